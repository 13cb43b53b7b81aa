//! Puts together what the mirror is to hold of a person, from what it holds and what DingTalk answered.

use std::sync::Arc;

use jiff::Timestamp;

use super::permission::FieldPermission;
use crate::store::{Fate, FieldSet, LeaveOut as _, Membership, Person, Stored};

/// What DingTalk answered, and what of the stored row its silence does not take away.
#[derive(Debug, Clone)]
pub(super) struct Answer {
    /// The person.
    pub(super) person: Person,
    /// Permissions whose fields are missing from the answer although they have values.
    pub(super) lost: Vec<FieldPermission>,
    /// Departments that are missing from the answer because they are hidden from us.
    pub(super) hidden: Vec<i64>,
    /// Columns that are not to be stored, whatever the stored row holds of them.
    pub(super) excluded: Arc<FieldSet>,
}

/// The same userid, but another person: the unionid tells (`contacts-api.md §5.1`). Nobody can say who somebody was whose
/// personal columns were erased after he had gone: who comes then is new.
pub(super) fn is_replaced(before: &Stored<Person>, after: &Person) -> bool {
    if before.deleted_at.is_some() && is_erased(&before.row) {
        return true;
    }
    match (&before.row.row.unionid, &after.row.unionid) {
        (Some(was), Some(is)) => was != is,
        _ => false,
    }
}

/// Whether DingTalk said last that the person is gone, whatever hid him since.
pub(super) fn was_gone(person: &Stored<Person>) -> bool {
    person.deleted_at.is_some() || person.row.row.gone_at.is_some()
}

pub(super) fn is_erased(person: &Person) -> bool {
    person.row.unionid.is_none() && person.row.name.is_none()
}

/// Puts together what the mirror is to hold, from what it holds and what DingTalk answered.
pub(super) fn settle(
    before: Option<&Stored<Person>>,
    answer: &Answer,
    scopes: &[(i64, String)],
    now: Timestamp,
) -> (Person, Fate) {
    let mut person = answer.person.clone();
    let fate = match before {
        Some(before) if is_replaced(before, &person) => Fate::Replaced,
        _ => Fate::Lives,
    };
    let same = before.filter(|_| fate == Fate::Lives);
    for role in &mut person.roles {
        // Only the role's member list says this. Where it said nothing that was kept, what is stored came from it.
        let stored = same.and_then(|same| same.row.roles.iter().find(|known| known.role_id == role.role_id));
        let listed = scopes.iter().find(|(role_id, _)| *role_id == role.role_id);
        role.manage_dept_ids = listed
            .map(|(_, departments)| departments.clone())
            .or_else(|| stored.and_then(|stored| stored.manage_dept_ids.clone()));
    }
    let mut stored_main = None;
    if let Some(before) = same {
        for permission in &answer.lost {
            permission.keep(&before.row.row, &mut person.row);
        }
        let kept = before.row.departments.iter().filter(|known| answer.hidden.contains(&known.dept_id));
        person.departments.extend(kept.cloned().map(|known| Membership { is_main: None, ..known }));
        person.departments.sort();
        person.leave_out(&answer.excluded);
        stored_main = before.row.row.main_dept_id.filter(|main| answer.hidden.contains(main));
    }
    person.row.detail_read_at = same.and_then(|before| before.row.row.detail_read_at).or(Some(now));
    let main = main_department(&person.departments, stored_main);
    person.row.main_dept_id = main;
    for membership in &mut person.departments {
        membership.is_main = Some(Some(membership.dept_id) == main);
    }
    (person, fate)
}

/// DingTalk's main department; else the one that was and is hidden now; else the only one, or the smallest id.
fn main_department(departments: &[Membership], hidden_main: Option<i64>) -> Option<i64> {
    let marked = departments.iter().find(|membership| membership.is_main == Some(true));
    let smallest = departments.iter().map(|membership| membership.dept_id).min();
    marked.map(|membership| membership.dept_id).or(hidden_main).or(smallest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{Employee, RoleMembership};

    fn in_departments(ids: &[i64]) -> Person {
        Person { departments: ids.iter().map(|&id| Membership::of(id)).collect(), ..Person::default() }
    }

    fn stored(person: Person) -> Stored<Person> {
        Stored { row: person, deleted_at: None }
    }

    fn answer(person: Person) -> Answer {
        Answer { person, lost: Vec::new(), hidden: Vec::new(), excluded: Arc::default() }
    }

    #[test]
    fn the_main_department_is_the_marked_one_else_the_only_or_smallest() {
        let mut person = in_departments(&[9, 4]);
        let (settled, _) = settle(None, &answer(person.clone()), &[], Timestamp::UNIX_EPOCH);
        assert_eq!(settled.row.main_dept_id, Some(4));
        person.departments[0].is_main = Some(true);
        let (settled, _) = settle(None, &answer(person), &[], Timestamp::UNIX_EPOCH);
        assert_eq!(settled.row.main_dept_id, Some(9));
        let (settled, _) = settle(None, &answer(in_departments(&[])), &[], Timestamp::UNIX_EPOCH);
        assert_eq!(settled.row.main_dept_id, None);
    }

    #[test]
    fn a_membership_in_a_hidden_department_is_kept_and_stays_the_main_one() {
        let mut before = in_departments(&[2, 5]);
        before.row.main_dept_id = Some(5);
        let look = Answer { hidden: vec![5], ..answer(in_departments(&[2])) };
        let (settled, fate) = settle(Some(&stored(before)), &look, &[], Timestamp::UNIX_EPOCH);
        assert_eq!(fate, Fate::Lives);
        let ids: Vec<i64> = settled.departments.iter().map(|membership| membership.dept_id).collect();
        assert_eq!((ids.as_slice(), settled.row.main_dept_id), ([2, 5].as_slice(), Some(5)));
    }

    #[test]
    fn the_managed_departments_are_what_the_role_s_list_last_said() {
        let with = |manage_dept_ids: Option<&str>| Person {
            roles: vec![RoleMembership { role_id: 7, manage_dept_ids: manage_dept_ids.map(str::to_owned) }],
            ..Person::default()
        };
        let settled = |stored_ids, scopes: &[(i64, String)]| {
            let before = stored(with(stored_ids));
            settle(Some(&before), &answer(with(None)), scopes, Timestamp::UNIX_EPOCH).0.roles
        };
        // What was written beside the list's read may have missed it.
        assert_eq!(settled(None, &[(7, "[3]".to_owned())]), with(Some("[3]")).roles);
        assert_eq!(settled(Some("[2]"), &[(7, "[3]".to_owned())]), with(Some("[3]")).roles);
        assert_eq!(settled(Some("[2]"), &[(8, "[3]".to_owned())]), with(Some("[2]")).roles);
        assert_eq!(settled(None, &[(8, "[3]".to_owned())]), with(None).roles);
    }

    #[test]
    fn fields_of_a_lost_permission_stay_and_cleared_ones_go() {
        let before = Employee {
            mobile: Some("139".to_owned()),
            email: Some("a@example.com".to_owned()),
            ..Employee::default()
        };
        let before = stored(Person { row: before, ..Person::default() });
        let look = Answer { lost: vec![FieldPermission::Mobile], ..answer(Person::default()) };
        let (settled, _) = settle(Some(&before), &look, &[], Timestamp::UNIX_EPOCH);
        assert_eq!(settled.row.mobile.as_deref(), Some("139"));
        assert_eq!(settled.row.email, None);
    }

    #[test]
    fn another_unionid_is_another_person() {
        let with = |unionid: Option<&str>| Person {
            row: Employee { unionid: unionid.map(str::to_owned), ..Employee::default() },
            ..Person::default()
        };
        let fate =
            |was, is| settle(Some(&stored(with(was))), &answer(with(is)), &[], Timestamp::UNIX_EPOCH).1;
        assert_eq!(fate(Some("a"), Some("b")), Fate::Replaced);
        assert_eq!(fate(Some("a"), Some("a")), Fate::Lives);
        assert_eq!(fate(Some("a"), None), Fate::Lives);
    }
}
