//! What a comparison has to say in words: what it could not read, what is out of sight, what is not permitted.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use serde_json::json;

use crate::dingtalk::ApiError;
use crate::store::{Disagreement, Kind, NoteKind, RunItem, RunNote};
use crate::sync::hints::ROOT;
use crate::sync::permission::FieldPermission;

/// What could not be read is named so often, then counted.
const NAMED: usize = 20;

const PERMISSIONS_PAGE: &str = "开发者后台 → 应用 → 权限管理 (Permissions)";
const SCOPE_PAGE: &str = "开发者后台 → 应用 → 权限管理 → 通讯录授权范围 (Contact scope)";

/// What is lacking and odd, collected while everything is looked at.
#[derive(Debug, Default)]
pub(super) struct Notes {
    unread: Vec<String>,
    more_unread: usize,
    counted: Option<String>,
    /// Refused for want of a permission point, by API.
    refused: BTreeMap<&'static str, String>,
    lost: BTreeSet<FieldPermission>,
    scope: Option<(usize, usize)>,
}

impl Notes {
    /// Something could not be read: `part` says what, and why.
    pub(super) fn unread(&mut self, part: String) {
        if self.unread.len() < NAMED {
            self.unread.push(part);
        } else {
            self.more_unread += 1;
        }
    }

    /// DingTalk counts `counted` people and showed `seen`.
    pub(super) fn too_few_shown(&mut self, counted: i64, seen: usize) {
        self.counted = Some(format!(
            "DingTalk counts {counted} people in the organisation, but its lists showed {seen}"
        ));
    }

    /// An API refuses for want of a permission point.
    pub(super) fn refused(&mut self, error: &ApiError) {
        let named = error.refusal.as_ref().map(|refusal| refusal.required_scopes.join(", "));
        let named = named.filter(|named| !named.is_empty());
        let point = named.unwrap_or_else(|| error.endpoint.permission.to_owned());
        self.refused.entry(error.endpoint.path).or_insert(point);
    }

    /// Whether an API has refused for want of a permission point.
    pub(super) fn is_refused(&self, path: &str) -> bool {
        self.refused.contains_key(path)
    }

    /// A field permission is gone.
    pub(super) fn lost(&mut self, permission: FieldPermission) {
        self.lost.insert(permission);
    }

    /// Where the visible part of the organisation begins.
    pub(super) fn scope(&mut self, departments: &[i64], people: usize) {
        self.scope = (!departments.contains(&ROOT)).then_some((departments.len(), people));
    }

    /// How much there is to say of what could not be seen.
    pub(super) fn said(&self) -> usize {
        self.unread.len() + self.more_unread + self.refused.len() + self.lost.len()
    }

    /// Whether something could not be read: then nothing follows from its absence, and the run is partial.
    pub(super) fn is_partial(&self) -> bool {
        !self.unread.is_empty() || !self.refused.is_empty() || self.counted.is_some()
    }

    /// What could not be read, in the operator's words; `None` if everything could.
    pub(super) fn sentence(&self) -> Option<String> {
        let mut parts = self.unread.clone();
        if self.more_unread > 0 {
            parts.push(format!("and {} more", self.more_unread));
        }
        parts.extend(
            self.refused.iter().map(|(path, point)| {
                format!("DingTalk's {path} needs the permission point {point} (权限管理)")
            }),
        );
        let unread = (!parts.is_empty()).then(|| format!("could not be read: {}", parts.join("; ")));
        let sentences: Vec<String> = unread.into_iter().chain(self.counted.clone()).collect();
        (!sentences.is_empty()).then(|| sentences.join(". "))
    }

    /// All of it, one note for each thing.
    pub(super) fn into_notes(self, items: &[RunItem], hidden: &HashSet<(Kind, String)>) -> Vec<RunNote> {
        let mut notes = vec![RunNote::new(NoteKind::Found, found(items))];
        notes.extend(self.unread.into_iter().map(|part| {
            let text = format!("Could not be read, so nothing was concluded from it: {part}");
            RunNote::new(NoteKind::Unread, text)
        }));
        if self.more_unread > 0 {
            let text = format!("{} more could not be read", self.more_unread);
            notes.push(RunNote::new(NoteKind::Unread, text));
        }
        notes.extend(self.counted.map(|text| {
            let text = format!("{text}: the lists are incomplete, so nothing was concluded from absence");
            RunNote::new(NoteKind::Count, text)
        }));
        notes.extend(self.refused.into_iter().map(|(path, point)| {
            let text = format!(
                "The permission point {point} is missing: DingTalk's {path} refuses the application, and what it \
                 reads was left out; stored rows stay as they are. Grant it: {PERMISSIONS_PAGE}"
            );
            RunNote::new(NoteKind::Permission, text)
        }));
        notes.extend(self.lost.into_iter().map(lost));
        notes.extend(scope(self.scope, hidden));
        notes
    }
}

/// How many differences of each kind there are, as JSON.
fn found(items: &[RunItem]) -> String {
    let counted = Disagreement::ALL.map(|kind| {
        let count = items.iter().filter(|item| item.disagreement == kind).count();
        (kind.label().to_owned(), json!(count))
    });
    serde_json::Value::Object(counted.into_iter().collect()).to_string()
}

fn lost(permission: FieldPermission) -> RunNote {
    let text = format!(
        "DingTalk does not show {} any more: the field permission was taken away. Stored values stay as they are. \
         Grant it: {PERMISSIONS_PAGE}",
        permission.meaning()
    );
    RunNote::new(NoteKind::Permission, text)
}

fn scope(scope: Option<(usize, usize)>, hidden: &HashSet<(Kind, String)>) -> Option<RunNote> {
    let count = |wanted: Kind| hidden.iter().filter(|(kind, _)| *kind == wanted).count();
    let (departments, people) = (count(Kind::Department), count(Kind::Employee));
    if departments + people == 0 {
        return None;
    }
    let extent = match scope {
        Some((roots, persons)) => format!(
            "The application's contact scope is not the whole organisation: {roots} departments with all below \
             them, and {persons} people. "
        ),
        None => String::new(),
    };
    let text = format!(
        "{extent}{departments} departments and {people} people of the mirror are outside of the contact scope; their \
         rows stay as they are. To see them again: {SCOPE_PAGE}"
    );
    Some(RunNote::new(NoteKind::Scope, text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_not_be_read_is_named_and_then_counted() {
        let mut notes = Notes::default();
        assert_eq!(notes.sentence(), None);
        for number in 0..NAMED + 3 {
            notes.unread(format!("department {number}"));
        }
        let sentence = notes.sentence().unwrap();
        assert!(sentence.contains("department 19; and 3 more"), "{sentence}");
        assert!(notes.is_partial());
        assert_eq!(notes.into_notes(&[], &HashSet::new()).len(), 1 + NAMED + 1);
    }

    #[test]
    fn a_scope_that_hides_nothing_of_the_mirror_is_no_news() {
        let mut notes = Notes::default();
        notes.scope(&[7], 2);
        assert!(!notes.is_partial());
        assert_eq!(notes.into_notes(&[], &HashSet::new()).len(), 1);
        let hidden = HashSet::from([(Kind::Employee, "u1".to_owned())]);
        let told = scope(Some((1, 2)), &hidden).unwrap();
        assert!(told.text.contains("0 departments and 1 people") && told.text.contains("通讯录授权范围"));
    }
}
