//! A person's own read: the only one that overwrites his row, departments and roles.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::context::{Context, WorkError};
use super::convert;
use super::guard::{self, Deletion};
use super::outcome::{Reading, conclude};
use super::permission::FieldPermission;
use super::references::{
    follow_references, mark_bereaved, mark_hidden, mark_led_departments, mark_of_the_former, mark_reunited,
};
use super::role_members::SpreadScopes;
use crate::config::Guard;
use crate::dingtalk::Class;
use crate::lane::Lane;
use crate::store::{
    ANSWER_LAG, Action, Claim, Conn, Entity, Expectations, Fate, FieldSet, Finish, LeaveOut as _, Membership,
    Operation, Person, RoleMembership, Stamp, Standing, StoreError, Stored,
};

/// After values were kept because a field permission seems to be gone: that verdict is then outdated.
const AFTER_KEPT: Duration = Duration::from_secs(70);

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

/// What a look at a person brought.
#[derive(Debug, Clone)]
pub(super) enum Look {
    Present(Box<Answer>),
    Gone,
    Hidden,
}

impl Context {
    /// Asks DingTalk for a person, and finds out what his answer leaves out for other reasons than that it is gone.
    pub(super) async fn look_at_person(&self, lane: Lane, userid: &str) -> Result<Look, WorkError> {
        let person = match self.client.person(lane, userid).await {
            Ok(answer) => self.store.fitted(convert::person(answer)),
            Err(error) if error.class == Class::Gone => return Ok(Look::Gone),
            Err(error) if error.class == Class::Hidden => return Ok(Look::Hidden),
            Err(error) => return Err(error.into()),
        };
        self.permissions.note_shown(&person.row);
        let excluded = Arc::clone(self.store.excluded());
        let mut before = self.store.reader().await?.employee(&self.corp_id, userid).await?;
        if let Some(before) = &mut before {
            before.row.leave_out(&excluded);
        }
        let (mut lost, mut hidden) = (Vec::new(), Vec::new());
        if let Some(before) = before.filter(|before| !is_replaced(before, &person)) {
            lost = self.lost_permissions(lane, userid, &before.row.row, &person.row).await?;
            hidden = self.hidden_memberships(lane, &before.row.departments, &person.departments).await?;
        }
        Ok(Look::Present(Box::new(Answer { person, lost, hidden, excluded })))
    }

    pub(super) async fn work_on_employee(&self, claim: &Claim) -> Result<(), WorkError> {
        let look = self.look_at_person(claim.lane, &claim.object_id).await?;
        let stamp = self.stamp(claim);
        let finish = FinishEmployee { claim: claim.clone(), look, guard: self.guard, stamp: stamp.clone() };
        let done = self.write(finish).await?;
        self.settle_new_roles(&claim.object_id, &done.new_roles, &stamp).await?;
        if done.recycled {
            tracing::warn!(
                corp = self.name,
                "a userid came back with another unionid: another person has it now, and the row was overwritten"
            );
        }
        self.note_done(claim, done.finish);
        Ok(())
    }

    /// What a role's list says of somebody may have come while his first membership in it was being written.
    async fn settle_new_roles(
        &self,
        userid: &str,
        written: &[RoleMembership],
        stamp: &Stamp,
    ) -> Result<(), StoreError> {
        if written.is_empty() {
            return Ok(());
        }
        let role_ids: Vec<i64> = written.iter().map(|role| role.role_id).collect();
        let said = self.store.reader().await?.role_scopes_of(&self.corp_id, userid, &role_ids).await?;
        for role in written {
            let said = said.iter().find(|(role_id, _)| *role_id == role.role_id).map(|(_, said)| said);
            if said != role.manage_dept_ids.as_ref() {
                let (userids, stamp) = (vec![userid.to_owned()], stamp.clone());
                self.write(SpreadScopes { role_id: role.role_id, userids, stamp }).await?;
            }
        }
        Ok(())
    }
}

/// The same userid, but another person: the unionid tells (`contacts-api.md §5.1`). Nobody can say who somebody was whose
/// personal columns were erased after he had gone: who comes then is new.
fn is_replaced(before: &Stored<Person>, after: &Person) -> bool {
    if before.deleted_at.is_some() && is_erased(&before.row) {
        return true;
    }
    match (&before.row.row.unionid, &after.row.unionid) {
        (Some(was), Some(is)) => was != is,
        _ => false,
    }
}

/// Whether DingTalk said last that the person is gone, whatever hid him since.
fn was_gone(person: &Stored<Person>) -> bool {
    person.deleted_at.is_some() || person.row.row.gone_at.is_some()
}

fn is_erased(person: &Person) -> bool {
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

/// Whether two answers differ in more than roles: those can vanish with the role itself, of which no event tells the
/// person, and so are no sign that an event's own effect is shown.
fn differs_beside_roles(before: &Person, after: &Person) -> bool {
    before.row != after.row || before.departments != after.departments
}

/// DingTalk's main department; else the one that was and is hidden now; else the only one, or the smallest id.
fn main_department(departments: &[Membership], hidden_main: Option<i64>) -> Option<i64> {
    let marked = departments.iter().find(|membership| membership.is_main == Some(true));
    let smallest = departments.iter().map(|membership| membership.dept_id).min();
    marked.map(|membership| membership.dept_id).or(hidden_main).or(smallest)
}

/// Makes the mirror agree with a look at a person, and ends the claim.
struct FinishEmployee {
    claim: Claim,
    look: Look,
    guard: Guard,
    stamp: Stamp,
}

struct Done {
    finish: Finish,
    /// Another person has the userid than before.
    recycled: bool,
    /// Memberships in roles that the person had not had here.
    new_roles: Vec<RoleMembership>,
}

impl Operation for FinishEmployee {
    type Output = Done;

    async fn run(&self, conn: &mut Conn) -> Result<Done, StoreError> {
        let userid = self.claim.object_id.as_str();
        let before = conn.employee(&self.stamp.corp_id, userid).await?;
        let mut recycled = false;
        let mut new_roles = Vec::new();
        let reading = match &self.look {
            Look::Hidden => Reading::of(Standing::Hidden, None),
            Look::Gone => {
                let (standing, action) = self.remove(conn, before.as_ref()).await?;
                Reading::of(standing, action)
            }
            Look::Present(answer) => {
                let role_ids: Vec<i64> = answer.person.roles.iter().map(|role| role.role_id).collect();
                let scopes = conn.role_scopes_of(&self.stamp.corp_id, userid, &role_ids).await?;
                let (after, fate) = settle(before.as_ref(), answer, &scopes, self.stamp.now);
                let replaced = fate == Fate::Replaced;
                // Whoever had the userid before is gone.
                if replaced
                    && before.as_ref().is_some_and(|before| before.deleted_at.is_none())
                    && !self.may_be_deleted(conn).await?
                {
                    let finish = conclude(&self.claim, Reading::of(Standing::Held, None), self.stamp.now);
                    conn.finish(&self.claim, &finish, self.stamp.now);
                    return Ok(Done { finish, recycled, new_roles });
                }
                recycled = before.as_ref().is_some_and(|before| replaced && !is_erased(&before.row));
                let action = conn.write_employee(userid, before.as_ref(), &after, fate, &self.stamp).await?;
                let had: &[RoleMembership] = before.as_ref().map_or(&[], |before| &before.row.roles);
                new_roles = after.roles.clone();
                new_roles.retain(|role| had.iter().all(|known| known.role_id != role.role_id));
                if !replaced {
                    guard::release(conn, &self.claim, &self.stamp.corp_id, Entity::Employee).await?;
                }
                if let Some(before) = &before {
                    // Who left and is there may have left and come back before anybody looked.
                    if replaced || self.claim.expects.any_of(Expectations::GONE) {
                        mark_of_the_former(conn, &self.claim, &before.row, &self.stamp).await?;
                    }
                    mark_led_departments(conn, &self.claim, &before.row, &after, &self.stamp).await?;
                }
                let was_gone = matches!(self.claim.standing, Standing::Gone | Standing::Held)
                    || before.as_ref().is_some_and(was_gone);
                if replaced || was_gone {
                    mark_reunited(conn, &self.claim, &self.stamp).await?;
                }
                let refers_to_gone = follow_references(conn, &self.claim, &after, &self.stamp).await?;
                mark_hidden(conn, &self.claim, &answer.hidden, &self.stamp).await?;
                let again_in = if answer.lost.is_empty() { None } else { Some(AFTER_KEPT) };
                let again_in = again_in.or(refers_to_gone.then_some(ANSWER_LAG));
                Reading {
                    shows_event: before
                        .as_ref()
                        .is_none_or(|before| differs_beside_roles(&before.row, &after)),
                    again_in,
                    ..Reading::of(Standing::Present, action)
                }
            }
        };
        let finish = conclude(&self.claim, reading, self.stamp.now);
        conn.finish(&self.claim, &finish, self.stamp.now);
        Ok(Done { finish, recycled, new_roles })
    }
}

impl FinishEmployee {
    /// Whether the guard admits that whoever the mirror has is deleted.
    async fn may_be_deleted(&self, conn: &mut Conn) -> Result<bool, StoreError> {
        let id = self.claim.object_id.as_str();
        let deletion = Deletion { claim: &self.claim, entity: Entity::Employee, id, is_harmless: false };
        deletion.is_admitted(conn, self.guard, &self.stamp.corp_id, self.stamp.now).await
    }

    /// DingTalk says that the person is gone.
    async fn remove(
        &self,
        conn: &mut Conn,
        before: Option<&Stored<Person>>,
    ) -> Result<(Standing, Option<Action>), StoreError> {
        let userid = self.claim.object_id.as_str();
        let Some(before) = before.filter(|before| before.deleted_at.is_none()) else {
            return Ok((Standing::Gone, None));
        };
        let mut after = before.row.clone();
        after.row.gone_at = after.row.gone_at.or(Some(self.stamp.now));
        let (standing, fate) = if self.may_be_deleted(conn).await? {
            (Standing::Gone, Fate::Gone)
        } else {
            (Standing::Held, Fate::Lives)
        };
        let action = conn.write_employee(userid, Some(before), &after, fate, &self.stamp).await?;
        if action.is_some() {
            mark_bereaved(conn, &self.claim, &before.row, &self.stamp).await?;
        }
        Ok((standing, action))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Employee;

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
