//! The statements.

use super::super::mapping::Part;
use super::TableColumn;
use super::draft::{Draft, Field, Turn};
use super::sql::{Kind, wrapped};
use super::words::Meaning as M;
use crate::store::Dialect;

impl Draft<'_> {
    pub(super) fn find(&self) -> Option<String> {
        if self.part.members().is_some() {
            return None;
        }
        let key_column = self.one(M::Key)?;
        let key = self.name(key_column);
        let absence = self.absence();
        let live = |condition: &str| match &absence {
            Some(absence) => format!("{} AND {condition}", absence.condition),
            None => condition.to_owned(),
        };
        // In their order: what is certain, what is likely, and what is looked at only where neither brings a row.
        let mut steps = Vec::new();
        if self.has_digest(key_column) {
            let digest = match Kind::of(key_column) {
                Kind::Text | Kind::Other | Kind::Uuid => self.text_digest(key_column),
                Kind::Number | Kind::ShortNumber | Kind::Flag => self.number_digest(),
            };
            steps.push(format!("{key} = {digest}"));
        }
        let equal = |meaning: M, parameter: &str| {
            self.named(meaning).map(|column| format!("{column} = :{parameter}"))
        };
        let ding = |parameter: &str| {
            let column = self.one(M::DingId)?;
            Some(format!("{} = {}", self.name(column), self.ding_number(column, parameter)))
        };
        match self.part {
            Part::Employee => {
                steps.extend(ding("userid").map(|condition| live(&condition)));
                let number = equal(M::JobNumber, "job_number").map(|number| match equal(M::Name, "name") {
                    Some(name) => format!("({number} AND {name})"),
                    None => number,
                });
                let likely: Vec<String> = equal(M::Login, "userid").into_iter().chain(number).collect();
                steps.extend(match likely.as_slice() {
                    [] => None,
                    [only] => Some(live(only.trim_start_matches('(').trim_end_matches(')'))),
                    several => Some(live(&format!("({})", several.join(" OR ")))),
                });
                steps.extend(equal(M::Mobile, "mobile").map(|condition| live(&condition)));
            }
            Part::Department => {
                steps.extend(ding("dept_id").map(|condition| live(&condition)));
                let parent = self.one(M::Parent).map(|column| {
                    let value = self.field(column, M::Parent).map_or_else(String::new, |field| field.value);
                    match self.engine {
                        Dialect::Mysql => format!(" AND {} <=> {value}", self.name(column)),
                        Dialect::Sqlite | Dialect::Postgres => {
                            format!(" AND {} IS NOT DISTINCT FROM {value}", self.name(column))
                        }
                    }
                });
                let name = equal(M::Name, "name");
                steps.extend(name.map(|name| live(&(name + &parent.unwrap_or_default()))));
            }
            // Never by its name: what a role of the OA's may do is not for whoever has one of that name in DingTalk.
            Part::Role => {
                steps.extend(ding("role_id"));
                steps.extend(self.named(M::Code).map(|code| format!("{code} = {}", self.role_code())));
            }
            Part::DepartmentMember | Part::RoleMember => {}
        }
        let select = |condition: &String| format!("SELECT {key} FROM {}\nWHERE {condition}", self.table);
        let found: Vec<String> = steps
            .iter()
            .enumerate()
            .map(|(at, step)| {
                let before = match &steps[..at] {
                    [] => return select(step),
                    [only] => only.clone(),
                    several => {
                        several.iter().map(|step| format!("({step})")).collect::<Vec<_>>().join(" OR ")
                    }
                };
                let is_new = format!("NOT EXISTS (SELECT 1 FROM {}\n    WHERE {before})", self.table);
                format!("{}\n  AND {is_new}", select(step))
            })
            .collect();
        (!found.is_empty()).then(|| found.join("\nUNION\n"))
    }

    pub(super) fn upsert(&self) -> Vec<String> {
        let fields = self.fields();
        if self.part.members().is_some() {
            return vec![self.member_upsert(&fields)];
        }
        let Some(key) = self.one(M::Key) else { return Vec::new() };
        let columns: Vec<String> = [key]
            .into_iter()
            .chain(fields.iter().map(|field| field.column))
            .map(|column| self.name(column))
            .collect();
        let values: Vec<String> =
            std::iter::once(self.key(key)).chain(fields.iter().map(|field| field.value.clone())).collect();
        if self.columns.iter().any(|column| column.is_unique) {
            return self.two_steps(key, &fields, &columns, &values);
        }
        let alias = if self.engine == Dialect::Mysql { "" } else { " AS present" };
        let insert = format!(
            "INSERT INTO {}{alias} ({})\nVALUES ({})",
            self.table,
            wrapped(&columns),
            wrapped(&values)
        );
        vec![format!("{insert}\n{}", self.merge(&[key], &fields, true))]
    }

    /// `ON DUPLICATE KEY UPDATE` would write into the row of whoever has the same mobile, say, where mobiles are unique.
    fn two_steps(
        &self,
        key: &TableColumn,
        fields: &[Field<'_>],
        columns: &[String],
        values: &[String],
    ) -> Vec<String> {
        let name = self.name(key);
        let is_counted = values.first().is_none_or(|value| value == ":oa_id");
        let assignments: Vec<String> = fields
            .iter()
            .filter(|field| field.turn != Turn::Once)
            .map(|field| {
                let column = self.name(field.column);
                format!("{column} = {}", kept(field, &field.value, &column))
            })
            .collect();
        let is_missing = if is_counted {
            ":oa_id IS NULL".to_owned()
        } else {
            let value = values.first().map_or_else(String::new, Clone::clone);
            format!("NOT EXISTS (SELECT 1 FROM {} WHERE {name} = {value})", self.table)
        };
        let insert = format!(
            "INSERT INTO {} ({})\nSELECT {}\nFROM DUAL WHERE {is_missing}",
            self.table,
            wrapped(columns),
            wrapped(values)
        );
        // After the first statement the key is known.
        let update =
            format!("UPDATE {} SET\n  {}\nWHERE {name} = :oa_id", self.table, assignments.join(",\n  "));
        vec![insert, update]
    }

    fn member_upsert(&self, fields: &[Field<'_>]) -> String {
        let keys: Vec<&TableColumn> = self.columns.iter().filter(|column| column.is_key).collect();
        let sides: Vec<&Field<'_>> = fields
            .iter()
            .filter(|field| {
                let is_it = |column: &TableColumn| std::ptr::eq(field.column, column);
                [M::Employee, M::Department, M::Role].iter().any(|side| self.one(*side).is_some_and(is_it))
            })
            .collect();
        let is_pair = keys.len() > 1
            && keys.iter().all(|key| fields.iter().any(|field| std::ptr::eq(field.column, *key)));
        let columns: Vec<String> = fields.iter().map(|field| self.name(field.column)).collect();
        let values: Vec<String> = fields.iter().map(|field| field.value.clone()).collect();
        if is_pair {
            let alias = if self.engine == Dialect::Mysql { "" } else { " AS present" };
            let rest: Vec<Field<'_>> = fields
                .iter()
                .filter(|field| !field.column.is_key)
                .map(|field| Field { column: field.column, value: field.value.clone(), turn: field.turn })
                .collect();
            return format!(
                "INSERT INTO {}{alias} ({}) VALUES ({})\n{}",
                self.table,
                columns.join(", "),
                values.join(", "),
                self.merge(&keys, &rest, false)
            );
        }
        // A row has a key of its own, so that nothing but a look keeps a second one out.
        let own = keys.first().filter(|key| !key.is_generated);
        let (mut columns, mut values) = (columns, values);
        if let Some(key) = own {
            columns.insert(0, self.name(key));
            values.insert(
                0,
                match Kind::of(key) {
                    Kind::Text | Kind::Other => self.text_digest(key),
                    Kind::Uuid => "gen_random_uuid()".to_owned(),
                    Kind::Number | Kind::ShortNumber | Kind::Flag => self.number_digest(),
                },
            );
        }
        let from = if self.engine == Dialect::Mysql { "\nFROM DUAL" } else { "" };
        let same: Vec<String> =
            sides.iter().map(|side| format!("{} = {}", self.name(side.column), side.value)).collect();
        format!(
            "INSERT INTO {} ({})\nSELECT {}{from}\nWHERE NOT EXISTS (SELECT 1 FROM {} WHERE {})",
            self.table,
            columns.join(", "),
            values.join(", "),
            self.table,
            same.join(" AND ")
        )
    }

    /// What is done with a row that has the same key: only what DingTalk owns is written, and only if it differs.
    fn merge(&self, keys: &[&TableColumn], fields: &[Field<'_>], tells_key: bool) -> String {
        let keys: Vec<String> = keys.iter().map(|key| self.name(key)).collect();
        let written: Vec<(&Field<'_>, String)> = fields
            .iter()
            .filter(|field| field.turn != Turn::Once)
            .map(|field| (field, self.incoming(field)))
            .collect();
        let assignments: Vec<String> =
            written.iter().map(|(field, value)| format!("{} = {value}", self.name(field.column))).collect();
        if self.engine == Dialect::Mysql {
            let nothing = format!("{0} = VALUES({0})", keys[0]);
            let assignments = if assignments.is_empty() { vec![nothing] } else { assignments };
            return format!("ON DUPLICATE KEY UPDATE\n  {}", assignments.join(",\n  "));
        }
        let returning = if tells_key { format!("\nRETURNING {}", keys.join(", ")) } else { String::new() };
        let conflict = format!("ON CONFLICT ({})", keys.join(", "));
        let compared: Vec<&(&Field<'_>, String)> =
            written.iter().filter(|(field, _)| field.turn != Turn::Beside).collect();
        if compared.is_empty() {
            return format!("{conflict} DO NOTHING{returning}");
        }
        let present: Vec<String> =
            compared.iter().map(|(field, _)| format!("present.{}", self.name(field.column))).collect();
        let incoming: Vec<String> = compared.iter().map(|(_, value)| value.clone()).collect();
        format!(
            "{conflict} DO UPDATE SET\n  {}\nWHERE ({})\n  IS DISTINCT FROM\n  ({}){returning}",
            assignments.join(",\n  "),
            wrapped(&present),
            wrapped(&incoming)
        )
    }

    /// What is written into a row that is there.
    fn incoming(&self, field: &Field<'_>) -> String {
        let name = self.name(field.column);
        let (incoming, present) = match self.engine {
            Dialect::Mysql => (format!("VALUES({name})"), name),
            Dialect::Sqlite | Dialect::Postgres => (format!("excluded.{name}"), format!("present.{name}")),
        };
        kept(field, &incoming, &present)
    }

    pub(super) fn delete(&self) -> Option<String> {
        if self.part.members().is_some() {
            let other = if self.part == Part::RoleMember { M::Role } else { M::Department };
            let same = |meaning: M, parameter: &str| {
                self.named(meaning).map(|name| format!("{name} = :{parameter}"))
            };
            let parameter = if self.part == Part::RoleMember { "role_oa_id" } else { "department_oa_id" };
            let conditions = [same(M::Employee, "employee_oa_id")?, same(other, parameter)?];
            return Some(format!("DELETE FROM {} WHERE {}", self.table, conditions.join(" AND ")));
        }
        let key = self.named(M::Key)?;
        let Some(absence) = self.absence() else {
            // A state of which nobody knows what it says is better than no row at all.
            let is_kept = self.one(M::Status).is_some();
            return (!is_kept).then(|| format!("DELETE FROM {} WHERE {key} = :oa_id", self.table));
        };
        let fields = self.fields();
        let beside = fields.iter().filter(|field| field.turn == Turn::Beside);
        // Of who has given his userid to somebody else nothing is known but that.
        let beside = beside.map(|field| {
            let name = self.name(field.column);
            let value = &field.value;
            if value.starts_with(':') {
                format!("{name} = COALESCE({value}, {name})")
            } else {
                format!("{name} = {value}")
            }
        });
        let assignments: Vec<String> =
            std::iter::once(format!("{} = {}", absence.column, absence.gone)).chain(beside).collect();
        Some(format!(
            "UPDATE {} SET {}\nWHERE {key} = :oa_id AND {}",
            self.table,
            assignments.join(", "),
            absence.condition
        ))
    }
}

/// What is written where DingTalk may give nothing: then the OA's value stays.
fn kept(field: &Field<'_>, incoming: &str, present: &str) -> String {
    match (field.turn, field.column.is_nullable) {
        (Turn::Given, true) => format!("COALESCE({incoming}, {present})"),
        (Turn::Given, false) => format!("COALESCE(NULLIF({incoming}, ''), {present})"),
        _ => incoming.to_owned(),
    }
}
