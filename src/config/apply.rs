//! `[apply.NAME]`: how the OA's own tables are filled.

use std::collections::{BTreeMap, BTreeSet};

use super::layers::Written;
use super::read::Reader;
use super::{Corp, Needs, Problem};
use crate::secret::Secret;

/// What the OA's tables may hold, as the tables `[apply.NAME.ENTITY]` are named. In the order in which rows need each
/// other: departments before people, people before their memberships.
pub const APPLY_ENTITIES: [&str; 5] =
    ["department", "role", "employee", "employee_department", "employee_role"];

/// One table `[apply.NAME]`.
#[derive(Debug, Clone)]
pub struct Apply {
    /// Its name.
    pub name: String,
    /// Where the OA's tables are; `None` for the database that the mirror is in.
    pub url: Option<Secret>,
    /// The offset of the sessions' time zone, such as `+08:00`.
    pub time_zone: String,
    /// What is written, by the words of [`APPLY_ENTITIES`].
    pub entities: BTreeMap<&'static str, ApplyEntity>,
}

/// How the rows of one kind are written. Statements are as they were written down; the mapping reads them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ApplyEntity {
    /// Brings the key of a row that is there already.
    pub find: Option<String>,
    /// Writes a row.
    pub upsert: Vec<String>,
    /// Does what is to be done with the row of something that is gone.
    pub delete: Vec<String>,
    /// Columns and the values that they must have.
    pub when: BTreeMap<String, Vec<String>>,
    /// For columns, what stands for which value.
    pub values: BTreeMap<String, BTreeMap<String, String>>,
}

impl Reader<'_> {
    /// Gives every organisation what its table `[apply.NAME]` says. `names` are all organisations, those that are switched
    /// off too.
    pub(super) fn applies(&mut self, names: &[String], corps: &mut [Corp], needs: Needs) {
        let mut taken = BTreeMap::new();
        for name in self.names("apply") {
            let Some(corp) = self.corp_of_apply(&name, names) else { continue };
            if let Some(other) = taken.insert(corp.clone(), name.clone()) {
                let path = format!("apply.{name}");
                let text = format!(
                    "is for the organisation `{corp}`, as `apply.{other}` is: an organisation fills one OA. Set \
                     apply.{name}.corp, or put both into one table"
                );
                self.problems.push(Problem::missing(&path, text));
            }
            let apply = self.apply(&name, needs);
            if let Some(corp) = corps.iter_mut().find(|known| known.name == corp) {
                corp.apply = apply;
            }
        }
    }

    fn corp_of_apply(&mut self, name: &str, names: &[String]) -> Option<String> {
        let path = format!("apply.{name}.corp");
        let known = |corp: &String| names.contains(corp);
        match (self.text(&path), names) {
            (Some(corp), _) if known(&corp) => Some(corp),
            (Some(corp), _) => {
                let origin = self.origin(&path);
                let text = format!("names `{corp}`, which is no organisation: there is {}", names.join(", "));
                self.problems.push(Problem::new(&path, &origin, text));
                None
            }
            (None, [only]) => Some(only.clone()),
            (None, _) if known(&name.to_owned()) => Some(name.to_owned()),
            (None, _) => {
                let remedy = match names {
                    [] => "there is no organisation yet: add a table [corps.NAME]".to_owned(),
                    _ => format!("name one of the organisations {}", names.join(", ")),
                };
                let missing = self.missing(&path, &remedy, false);
                self.problems.push(missing);
                None
            }
        }
    }

    fn apply(&mut self, name: &str, needs: Needs) -> Option<Apply> {
        let url = self.secret(&format!("apply.{name}.url"));
        let time_zone = self.text(&format!("apply.{name}.time_zone"));
        let prefix = format!("apply.{name}.");
        let parts: BTreeSet<String> = self
            .layers
            .entries
            .keys()
            .filter_map(|path| path.strip_prefix(&prefix)?.split_once('.'))
            .map(|(entity, _)| entity.to_owned())
            .collect();
        let mut entities = BTreeMap::new();
        for part in parts {
            match APPLY_ENTITIES.into_iter().find(|known| *known == part) {
                Some(entity) => {
                    let read = self.apply_entity(&format!("{prefix}{entity}"));
                    entities.insert(entity, read);
                }
                None => {
                    let text = format!("is none of {}", APPLY_ENTITIES.join(", "));
                    self.problems.push(Problem::missing(&format!("{prefix}{part}"), text));
                }
            }
        }
        if entities.is_empty() && needs != Needs::Draft {
            let text = format!(
                "writes nothing: it needs a table such as [apply.{name}.employee]; `dingsync apply init --from-table \
                 TABLE` drafts one"
            );
            self.problems.push(Problem::missing(&format!("apply.{name}"), text));
        }
        Some(Apply { name: name.to_owned(), url, time_zone: time_zone?, entities })
    }

    fn apply_entity(&mut self, path: &str) -> ApplyEntity {
        let entity = ApplyEntity {
            find: self.text(&format!("{path}.find")),
            upsert: self.list(&format!("{path}.upsert")),
            delete: self.list(&format!("{path}.delete")),
            when: self.below(&format!("{path}.when")).into_iter().collect(),
            values: self.maps(&format!("{path}.values")),
        };
        if entity.upsert.is_empty() {
            let missing =
                self.missing(&format!("{path}.upsert"), "it is the statement that writes a row", false);
            self.problems.push(missing);
        }
        entity
    }

    fn maps(&self, path: &str) -> BTreeMap<String, BTreeMap<String, String>> {
        let mut maps: BTreeMap<String, BTreeMap<String, String>> = BTreeMap::new();
        for (key, mut values) in self.below(path) {
            if let Some((column, value)) = key.split_once('.') {
                let replacement = values.pop().unwrap_or_default();
                maps.entry(column.to_owned()).or_default().insert(value.to_owned(), replacement);
            }
        }
        maps
    }

    /// What is set below a path: the rest of each key, and its values.
    fn below(&self, path: &str) -> Vec<(String, Vec<String>)> {
        let prefix = format!("{path}.");
        let entries = self.layers.entries.iter();
        entries
            .filter_map(|(key, entry)| {
                let values = match &entry.written {
                    Written::One(value) => vec![value.clone()],
                    Written::Many(values) => values.clone(),
                };
                Some((key.strip_prefix(&prefix)?.to_owned(), values))
            })
            .collect()
    }
}
