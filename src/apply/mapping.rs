//! The mapping: which statements write which objects, with which values.

use std::collections::BTreeMap;

use sha2::{Digest, Sha256};

use super::statement::Statement;
use crate::config::{Apply, ApplyEntity, Problem};
use crate::store::{Dialect, Entity, MemberOf, Value, columns_of, member_columns_of};

/// What the OA's tables hold, as the tables `[apply.NAME.ENTITY]` are named.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Part {
    /// Departments.
    Department,
    /// Roles.
    Role,
    /// People.
    Employee,
    /// Who is in which department.
    DepartmentMember,
    /// Who has which role.
    RoleMember,
}

impl Part {
    /// In the order in which rows need each other.
    pub const ALL: [Self; 5] =
        [Self::Department, Self::Role, Self::Employee, Self::DepartmentMember, Self::RoleMember];

    /// The word in the configuration.
    pub fn label(self) -> &'static str {
        match self {
            Self::Department => "department",
            Self::Role => "role",
            Self::Employee => "employee",
            Self::DepartmentMember => MemberOf::Departments.label(),
            Self::RoleMember => MemberOf::Roles.label(),
        }
    }

    /// The part that has the rows of an entity.
    pub fn of(entity: Entity) -> Option<Self> {
        match entity {
            Entity::Department => Some(Self::Department),
            Entity::Role => Some(Self::Role),
            Entity::Employee => Some(Self::Employee),
            Entity::RoleGroup => None,
        }
    }

    /// Which memberships it writes, if it writes some.
    pub fn members(self) -> Option<MemberOf> {
        match self {
            Self::DepartmentMember => Some(MemberOf::Departments),
            Self::RoleMember => Some(MemberOf::Roles),
            Self::Department | Self::Role | Self::Employee => None,
        }
    }

    /// Values beside the columns of the mirror's table.
    fn further_parameters(self) -> &'static [&'static str] {
        match self {
            Self::Department => &[
                "corp_id",
                "oa_id",
                "full_name",
                "id_path",
                "level",
                "parent_oa_id",
                "ancestor_oa_ids",
                "manager_userid",
                "manager_oa_id",
                "manager_name",
                "manager_mobile",
                "manager_email",
            ],
            Self::Role => &["corp_id", "oa_id", "group_name"],
            Self::Employee => &[
                "corp_id",
                "oa_id",
                "main_dept_name",
                "main_dept_full_name",
                "main_dept_oa_id",
                "manager_name",
                "manager_oa_id",
                "departments",
                "roles",
            ],
            Self::DepartmentMember => &["corp_id", "userid", "employee_oa_id", "department_oa_id"],
            Self::RoleMember => &["corp_id", "userid", "employee_oa_id", "role_oa_id"],
        }
    }

    /// The names of everything that a statement of this part can use.
    pub fn parameters(self) -> Vec<&'static str> {
        let columns = match self {
            Self::Department => columns_of(Entity::Department),
            Self::Role => columns_of(Entity::Role),
            Self::Employee => columns_of(Entity::Employee),
            Self::DepartmentMember => member_columns_of(MemberOf::Departments),
            Self::RoleMember => member_columns_of(MemberOf::Roles),
        };
        let columns = columns.iter().map(|(name, _)| *name);
        self.further_parameters().iter().copied().chain(columns).collect()
    }
}

/// How the rows of one part are written.
#[derive(Debug, Clone)]
pub(super) struct PartMapping {
    pub(super) find: Option<Statement>,
    pub(super) upsert: Vec<Statement>,
    pub(super) delete: Vec<Statement>,
    when: Vec<(String, Vec<String>)>,
    values: BTreeMap<String, BTreeMap<String, String>>,
}

/// What the configuration says of an organisation, read for one engine.
#[derive(Debug, Clone)]
pub struct Mapping {
    /// The NAME of `[apply.NAME]`.
    pub name: String,
    /// Changes whenever what is written may change.
    pub digest: String,
    parts: BTreeMap<Part, PartMapping>,
}

impl Mapping {
    /// Reads the statements, or tells everything that is wrong with them.
    pub fn of(apply: &Apply, engine: Dialect) -> Result<Self, Vec<Problem>> {
        let mut problems = Vec::new();
        let mut parts = BTreeMap::new();
        let mut digest = Sha256::new();
        for part in Part::ALL {
            let Some(written) = apply.entities.get(part.label()) else { continue };
            digest.update(format!("{part:?} {written:?} {}", apply.time_zone));
            let mut reading =
                Reading { part, path: format!("apply.{}.{}", apply.name, part.label()), engine };
            parts.insert(part, reading.part_of(written, &mut problems));
        }
        if !problems.is_empty() {
            return Err(problems);
        }
        let digest = crate::hex::encode(&digest.finalize());
        Ok(Self { name: apply.name.clone(), digest, parts })
    }

    /// How a part is written, if it is.
    pub(super) fn part(&self, part: Part) -> Option<&PartMapping> {
        self.parts.get(&part)
    }

    /// All parts that are written.
    pub(super) fn parts(&self) -> impl Iterator<Item = (Part, &PartMapping)> {
        self.parts.iter().map(|(part, mapping)| (*part, mapping))
    }

    /// Parts whose rows get their keys in the OA, and of which no statement finds a row.
    pub(super) fn unfindable(&self) -> impl Iterator<Item = Part> + '_ {
        let is_unfindable = |mapping: &PartMapping| mapping.find.is_none() && mapping.uses("oa_id");
        self.parts().filter(move |(_, mapping)| is_unfindable(mapping)).map(|(part, _)| part)
    }

    /// Whether a part's rows depend on one of these values.
    pub(super) fn uses(&self, part: Part, names: &[&str]) -> bool {
        self.part(part).is_some_and(|mapping| mapping.uses_any(names))
    }
}

impl PartMapping {
    /// All its statements.
    pub(super) fn statements(&self) -> impl Iterator<Item = &Statement> {
        self.find.iter().chain(&self.upsert).chain(&self.delete)
    }

    /// The columns that its `when` looks at.
    pub(super) fn conditions(&self) -> impl Iterator<Item = &str> {
        self.when.iter().map(|(column, _)| column.as_str())
    }

    /// Whether its rows depend on one of these values.
    pub(super) fn uses_any(&self, names: &[&str]) -> bool {
        names.iter().any(|name| self.uses(name))
    }

    fn uses(&self, name: &str) -> bool {
        let used = |parameter: &String| parameter.strip_prefix("old_").unwrap_or(parameter) == name;
        self.statements().any(|statement| statement.parameters().iter().any(used))
            || self.when.iter().any(|(column, _)| column == name)
    }

    /// Whether an object with these values is to be in the OA.
    pub(super) fn admits<'v>(&self, value: impl Fn(&str) -> &'v Value) -> bool {
        self.when.iter().all(|(column, wanted)| {
            let words = words_of(value(column));
            wanted.iter().any(|wanted| words.iter().any(|word| word == wanted))
        })
    }

    /// What stands for a column's value, where the mapping says so.
    pub(super) fn replacement(&self, column: &str, value: &Value) -> Option<&str> {
        let map = self.values.get(column)?;
        words_of(value).iter().find_map(|word| map.get(word)).map(String::as_str)
    }
}

/// How the configuration may write a value down.
fn words_of(value: &Value) -> Vec<String> {
    match value {
        Value::Null => vec!["null".to_owned()],
        Value::Flag(flag) => vec![flag.to_string(), i64::from(*flag).to_string()],
        Value::Integer(number) => vec![number.to_string()],
        Value::Text(text) | Value::Json(text) => vec![text.clone()],
        Value::Instant(instant) => vec![crate::store::rfc3339(*instant)],
        Value::Day(day) => vec![day.to_string()],
    }
}

/// Reads one part.
struct Reading {
    part: Part,
    path: String,
    engine: Dialect,
}

impl Reading {
    fn part_of(&mut self, written: &ApplyEntity, problems: &mut Vec<Problem>) -> PartMapping {
        if self.part.members().is_some() && written.find.is_some() {
            let text = "has no use: memberships have no key. Write an upsert that leaves a row as it is that is \
                        there already";
            problems.push(Problem::of_key(&format!("{}.find", self.path), text));
        }
        let columns = written.when.keys().map(|column| ("when", column));
        for (what, column) in columns.chain(written.values.keys().map(|column| ("values", column))) {
            self.refuse_unknown(&format!("{}.{what}.{column}", self.path), column, column, problems);
        }
        let find = written.find.as_ref().and_then(|text| self.statement("find", text, problems));
        if let Some(find) = &find
            && !["SELECT", "WITH"].contains(&find.verb())
        {
            problems.push(Problem::of_key(&format!("{}.find", self.path), "must be a SELECT: it only looks"));
        }
        if find.as_ref().is_some_and(|find| find.parameters().iter().any(|name| name == "oa_id")) {
            let text = "names `oa_id`, which is what it is to bring: it would find nothing, ever";
            problems.push(Problem::of_key(&format!("{}.find", self.path), text));
        }
        PartMapping {
            find,
            upsert: self.statements("upsert", &written.upsert, problems),
            delete: self.statements("delete", &written.delete, problems),
            when: written.when.clone().into_iter().collect(),
            values: written.values.clone(),
        }
    }

    fn statements(&self, what: &str, texts: &[String], problems: &mut Vec<Problem>) -> Vec<Statement> {
        texts.iter().filter_map(|text| self.statement(what, text, problems)).collect()
    }

    fn statement(&self, what: &str, text: &str, problems: &mut Vec<Problem>) -> Option<Statement> {
        let key = format!("{}.{what}", self.path);
        match Statement::parse(&format!("{}.{what}", self.part.label()), text, self.engine) {
            Ok(statement) => {
                let before = problems.len();
                for parameter in statement.parameters() {
                    let name = parameter.strip_prefix("old_").unwrap_or(parameter);
                    self.refuse_unknown(&key, parameter, name, problems);
                }
                problems.dedup();
                (problems.len() == before).then_some(statement)
            }
            Err(error) => {
                problems.push(Problem::of_key(&key, error.to_string()));
                None
            }
        }
    }

    /// `written` is the name with the `old_` that may stand before it.
    fn refuse_unknown(&self, key: &str, written: &str, name: &str, problems: &mut Vec<Problem>) {
        let known = self.part.parameters();
        if known.contains(&name) {
            return;
        }
        let closest = known.iter().min_by_key(|known| strsim::levenshtein(known, name));
        let likely = closest.map_or_else(String::new, |closest| format!("; did you mean `{closest}`?"));
        let text = format!(
            "names `{written}`, which is nothing that is known of {}{likely} There are {}",
            self.part.label(),
            known.join(", ")
        );
        problems.push(Problem::of_key(key, text));
    }
}
