//! What is known of a table.

use super::super::mapping::Part;
use super::TableColumn;
use super::codes;
use super::sql::{Kind, quoted};
use super::words::{self, Meaning as M};
use crate::store::Dialect;

/// A column that is written.
pub(super) struct Field<'c> {
    pub(super) column: &'c TableColumn,
    /// What is written into it.
    pub(super) value: String,
    pub(super) turn: Turn,
}

/// When a column is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Turn {
    /// Always.
    Always,
    /// Always, unless DingTalk gives nothing.
    Given,
    /// With whatever else is written, and never alone.
    Beside,
    /// Into new rows.
    Once,
}

/// How a table tells that somebody is gone.
pub(super) struct Absence {
    pub(super) column: String,
    /// Its value for who is there, and the one for who is not.
    pub(super) here: String,
    pub(super) gone: String,
    /// An instant, and NULL for who is there.
    pub(super) is_instant: bool,
    /// True for who is there.
    pub(super) condition: String,
}

pub(super) struct Draft<'c> {
    pub(super) engine: Dialect,
    pub(super) part: Part,
    pub(super) table: String,
    pub(super) columns: &'c [TableColumn],
    pub(super) meanings: Vec<Option<M>>,
}

impl<'c> Draft<'c> {
    pub(super) fn new(engine: Dialect, part: Part, table: &str, columns: &'c [TableColumn]) -> Self {
        let mut meanings = words::meanings(part, columns);
        if part.members().is_none() {
            let key = columns.iter().position(|column| column.is_key && column.is_generated);
            let key = key.or_else(|| columns.iter().rposition(|column| column.is_key)).unwrap_or_default();
            if let Some(meaning) = meanings.get_mut(key) {
                *meaning = Some(M::Key);
            }
        }
        // Where nothing else is the person's name, it is what is called the user's.
        if !meanings.contains(&Some(M::Name))
            && let Some(login) = meanings.iter_mut().find(|meaning| **meaning == Some(M::Login))
        {
            *login = Some(M::Name);
        }
        let table = table.split('.').map(|name| quoted(engine, name)).collect::<Vec<_>>().join(".");
        Self { engine, part, table, columns, meanings }
    }

    pub(super) fn all(&self) -> impl Iterator<Item = (&'c TableColumn, Option<M>)> {
        self.columns.iter().zip(self.meanings.iter().copied())
    }

    pub(super) fn one(&self, wanted: M) -> Option<&'c TableColumn> {
        self.all().find(|(_, meaning)| *meaning == Some(wanted)).map(|(column, _)| column)
    }

    pub(super) fn name(&self, column: &TableColumn) -> String {
        quoted(self.engine, &column.name)
    }

    pub(super) fn named(&self, wanted: M) -> Option<String> {
        self.one(wanted).map(|column| self.name(column))
    }

    pub(super) fn is_postgres(&self) -> bool {
        self.engine == Dialect::Postgres
    }

    /// A parameter of which PostgreSQL sees no type where it stands.
    pub(super) fn typed(&self, parameter: &str, kind: &str) -> String {
        if self.is_postgres() { format!("CAST(:{parameter} AS {kind})") } else { format!(":{parameter}") }
    }

    pub(super) fn joined(&self, texts: &[String]) -> String {
        match self.engine {
            Dialect::Mysql => format!("CONCAT({})", texts.join(", ")),
            Dialect::Sqlite | Dialect::Postgres => texts.join(" || "),
        }
    }

    /// A value in the way that the column wants it.
    pub(super) fn constant(&self, column: &TableColumn, value: &str) -> String {
        match (Kind::of(column), value) {
            (Kind::Flag, "0") if self.engine != Dialect::Mysql => "FALSE".to_owned(),
            (Kind::Flag, "1") if self.engine != Dialect::Mysql => "TRUE".to_owned(),
            (Kind::Number | Kind::ShortNumber | Kind::Flag, _) if value.parse::<i64>().is_ok() => {
                value.to_owned()
            }
            _ => format!("'{}'", value.replace('\'', "''")),
        }
    }

    /// How the table tells who is gone.
    pub(super) fn absence(&self) -> Option<Absence> {
        if let Some(column) = self.one(M::Deleted) {
            let (here, gone) =
                codes::of_comment(&column.comment).unwrap_or_else(|| ("0".to_owned(), "1".to_owned()));
            return Some(self.absence_by(column, &here, &gone));
        }
        if let Some(column) = self.one(M::DeletedAt) {
            let column = self.name(column);
            let condition = format!("{column} IS NULL");
            let (here, gone) = ("NULL".to_owned(), "COALESCE(:updated_at, CURRENT_TIMESTAMP)".to_owned());
            return Some(Absence { column, here, gone, is_instant: true, condition });
        }
        let column = self.one(M::Status)?;
        let (here, gone) = codes::of_comment(&column.comment).or_else(|| codes::of_name(&column.name))?;
        Some(self.absence_by(column, &here, &gone))
    }

    pub(super) fn absence_by(&self, column: &TableColumn, here: &str, gone: &str) -> Absence {
        let (here, gone) = (self.constant(column, here), self.constant(column, gone));
        let name = self.name(column);
        let condition = if column.is_nullable {
            format!("COALESCE({name}, {here}) <> {gone}")
        } else {
            format!("{name} <> {gone}")
        };
        Absence { column: name, here, gone, is_instant: false, condition }
    }

    /// The columns that are written, the key aside.
    pub(super) fn fields(&self) -> Vec<Field<'c>> {
        let written = self.all().filter(|(column, _)| !column.is_generated);
        written.filter_map(|(column, meaning)| self.field(column, meaning?)).collect()
    }

    /// Columns that must have a value, and of which nothing is known.
    pub(super) fn wanting(&self) -> Vec<&'c TableColumn> {
        let fields = self.fields();
        let is_written = |column: &TableColumn| fields.iter().any(|field| std::ptr::eq(field.column, column));
        // The key of a membership is written by itself.
        let is_key = |column: &TableColumn, meaning| {
            meaning == Some(M::Key) || (column.is_key && self.part.members().is_some())
        };
        let has_value = |column: &TableColumn| {
            column.is_nullable || column.has_default || column.is_generated || is_written(column)
        };
        self.all()
            .filter(|(column, meaning)| !is_key(column, *meaning) && !has_value(column))
            .map(|(column, _)| column)
            .collect()
    }

    pub(super) fn left_alone(&self) -> Vec<String> {
        let (fields, wanting) = (self.fields(), self.wanting());
        let is_named = |column: &TableColumn| {
            fields.iter().any(|field| std::ptr::eq(field.column, column))
                || wanting.iter().any(|other| std::ptr::eq(*other, column))
        };
        self.all()
            .filter(|(column, meaning)| *meaning != Some(M::Key) && !column.is_key && !is_named(column))
            .map(|(column, _)| column.name.clone())
            .collect()
    }

    pub(super) fn todo(&self) -> Vec<String> {
        let mut todo = Vec::new();
        for column in self.wanting() {
            todo.push(format!(
                "{} ({}) must have a value and has no default: add it to the upsert. {}",
                column.name, column.type_text, column.comment
            ));
        }
        let keys: Vec<&str> =
            self.columns.iter().filter(|column| column.is_key).map(|column| column.name.as_str()).collect();
        if self.part.members().is_none() {
            let key = self.one(M::Key);
            match (keys.as_slice(), key) {
                ([_], Some(key)) if matches!(Kind::of(key), Kind::ShortNumber) && !key.is_generated => {
                    todo.push(format!("{} is not generated: where does its value come from?", key.name));
                }
                ([_], _) => {}
                ([], _) => todo.push("the table has no primary key: rows are known by one column".to_owned()),
                (several, Some(key)) => todo.push(format!(
                    "the key is {}: rows are known here by {} alone, which must be unique",
                    several.join(", "),
                    key.name
                )),
                (_, None) => {}
            }
            match (self.absence(), self.one(M::Status)) {
                (Some(_), _) => {}
                (None, Some(status)) => todo.push(format!(
                    "which value of {} says that somebody is gone? Write it into the upsert and a delete",
                    status.name
                )),
                (None, None) => todo.push("rows of what is gone are deleted: is that right?".to_owned()),
            }
            match (self.find(), self.named(M::Login)) {
                (None, _) => todo.push(
                    "no find: every object gets a row of its own, whatever is there already".to_owned(),
                ),
                (Some(_), Some(login)) => {
                    todo.push(format!("keep the OA's own accounts out of find: AND {login} <> 'admin'"));
                }
                (Some(_), None) => {}
            }
        }
        todo
    }
}
