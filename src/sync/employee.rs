//! A person's own read: the only one that overwrites his row, departments and roles.

use std::sync::Arc;
use std::time::Duration;

use super::context::{Context, WorkError};
use super::convert;
use super::guard::{self, Deletion};
use super::outcome::{Reading, conclude};
use super::references::{
    follow_references, mark_bereaved, mark_hidden, mark_led_departments, mark_of_the_former, mark_reunited,
};
use super::role_members::SpreadScopes;
use super::settle::{Answer, is_erased, is_replaced, settle, was_gone};
use crate::config::Guard;
use crate::dingtalk::Class;
use crate::lane::Lane;
use crate::store::{
    ANSWER_LAG, Action, Claim, Conn, Entity, Expectations, Fate, Finish, LeaveOut as _, Operation, Person,
    RoleMembership, Stamp, Standing, StoreError, Stored,
};

/// After values were kept because a field permission seems to be gone: that verdict is then outdated.
const AFTER_KEPT: Duration = Duration::from_secs(70);

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
        let (finish, written) = self.write(finish).await?;
        self.settle_new_roles(&claim.object_id, &written.new_roles, &stamp).await?;
        if written.recycled {
            tracing::warn!(
                corp = self.name,
                "a userid came back with another unionid: another person has it now, and the row was overwritten"
            );
        }
        self.note_done(claim, finish);
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

/// Whether two answers differ in more than roles: those can vanish with the role itself, of which no event tells the
/// person, and so are no sign that an event's own effect is shown.
fn differs_beside_roles(before: &Person, after: &Person) -> bool {
    before.row != after.row || before.departments != after.departments
}

/// Makes the mirror agree with a look at a person, and ends the claim.
struct FinishEmployee {
    claim: Claim,
    look: Look,
    guard: Guard,
    stamp: Stamp,
}

/// What a look at somebody who is there brought into the mirror.
#[derive(Debug, Default)]
struct Written {
    /// Another person has the userid than before.
    recycled: bool,
    /// Memberships in roles that the person had not had here.
    new_roles: Vec<RoleMembership>,
}

impl Operation for FinishEmployee {
    type Output = (Finish, Written);

    async fn run(&self, conn: &mut Conn) -> Result<Self::Output, StoreError> {
        let userid = self.claim.object_id.as_str();
        let before = conn.employee(&self.stamp.corp_id, userid).await?;
        let (reading, written) = match &self.look {
            Look::Hidden => (Reading::of(Standing::Hidden, None), Written::default()),
            Look::Gone => {
                let (standing, action) = self.remove(conn, before.as_ref()).await?;
                (Reading::of(standing, action), Written::default())
            }
            Look::Present(answer) => self.put(conn, before.as_ref(), answer).await?,
        };
        let finish = conclude(&self.claim, reading, self.stamp.now);
        conn.finish(&self.claim, &finish, self.stamp.now);
        Ok((finish, written))
    }
}

impl FinishEmployee {
    /// Whether the guard admits that whoever the mirror has is deleted.
    async fn may_be_deleted(&self, conn: &mut Conn) -> Result<bool, StoreError> {
        let id = self.claim.object_id.as_str();
        let deletion = Deletion { claim: &self.claim, entity: Entity::Employee, id, is_harmless: false };
        deletion.is_admitted(conn, self.guard, &self.stamp.corp_id, self.stamp.now).await
    }

    /// DingTalk shows somebody.
    async fn put(
        &self,
        conn: &mut Conn,
        before: Option<&Stored<Person>>,
        answer: &Answer,
    ) -> Result<(Reading, Written), StoreError> {
        let userid = self.claim.object_id.as_str();
        let role_ids: Vec<i64> = answer.person.roles.iter().map(|role| role.role_id).collect();
        let scopes = conn.role_scopes_of(&self.stamp.corp_id, userid, &role_ids).await?;
        let (after, fate) = settle(before, answer, &scopes, self.stamp.now);
        let replaced = fate == Fate::Replaced;
        let lived = before.is_some_and(|before| before.deleted_at.is_none());
        // Whoever had the userid before is gone.
        if replaced && lived && !self.may_be_deleted(conn).await? {
            return Ok((Reading::of(Standing::Held, None), Written::default()));
        }
        let action = conn.write_employee(userid, before, &after, fate, &self.stamp).await?;
        if !replaced {
            guard::release(conn, &self.claim, &self.stamp.corp_id, Entity::Employee).await?;
        }
        if let Some(before) = before {
            // Who left and is there may have left and come back before anybody looked.
            if replaced || self.claim.expects.any_of(Expectations::GONE) {
                mark_of_the_former(conn, &self.claim, &before.row, &self.stamp).await?;
            }
            mark_led_departments(conn, &self.claim, &before.row, &after, &self.stamp).await?;
        }
        let was_gone =
            matches!(self.claim.standing, Standing::Gone | Standing::Held) || before.is_some_and(was_gone);
        if replaced || was_gone {
            mark_reunited(conn, &self.claim, &self.stamp).await?;
        }
        let refers_to_gone = follow_references(conn, &self.claim, &after, &self.stamp).await?;
        mark_hidden(conn, &self.claim, &answer.hidden, &self.stamp).await?;
        let again_in = if answer.lost.is_empty() { None } else { Some(AFTER_KEPT) };
        let reading = Reading {
            shows_event: before.is_none_or(|before| differs_beside_roles(&before.row, &after)),
            again_in: again_in.or(refers_to_gone.then_some(ANSWER_LAG)),
            ..Reading::of(Standing::Present, action)
        };
        let had: &[RoleMembership] = before.map_or(&[], |before| &before.row.roles);
        let mut new_roles = after.roles;
        new_roles.retain(|role| had.iter().all(|known| known.role_id != role.role_id));
        let recycled = before.is_some_and(|before| replaced && !is_erased(&before.row));
        Ok((reading, Written { recycled, new_roles }))
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
