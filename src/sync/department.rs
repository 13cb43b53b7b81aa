//! A department's own read.

use super::context::{Context, WorkError};
use super::convert;
use super::guard::{self, Deletion};
use super::hints::ROOT;
use super::outcome::{Reading, conclude};
use super::references::names_somebody_who_changes;
use crate::config::Guard;
use crate::dingtalk::Class;
use crate::lane::Lane;
use crate::store::{
    ANSWER_LAG, Action, Cause, Claim, Conn, Department, Entity, Fate, Finish, Hint, Kind, Operation, Stamp,
    Standing, StoreError, Stored,
};

/// What a look at a department brought.
#[derive(Debug, Clone)]
pub(super) enum Look {
    Present(Department),
    Gone,
    Hidden,
}

impl Context {
    /// Asks DingTalk for a department. The root always exists, so that its absence can only mean that it is out of sight.
    pub(super) async fn look_at_department(&self, lane: Lane, dept_id: i64) -> Result<Look, WorkError> {
        let look = match self.client.department(lane, dept_id).await {
            Ok(answer) => Look::Present(self.store.fitted(convert::department(answer))),
            Err(error) if error.class == Class::Hidden => Look::Hidden,
            Err(error) if error.class == Class::Gone && dept_id == ROOT => Look::Hidden,
            Err(error) if error.class == Class::Gone => Look::Gone,
            Err(error) => return Err(error.into()),
        };
        self.hidden.note(dept_id, matches!(look, Look::Hidden));
        Ok(look)
    }

    pub(super) async fn work_on_department(&self, claim: &Claim) -> Result<(), WorkError> {
        let look = match claim.object_id.parse() {
            Ok(dept_id) => self.look_at_department(claim.lane, dept_id).await?,
            // An id that is no number was never one of DingTalk's.
            Err(_) => Look::Gone,
        };
        let finish =
            FinishDepartment { claim: claim.clone(), look, guard: self.guard, stamp: self.stamp(claim) };
        let finish = self.write(finish).await?;
        self.note_done(claim, finish);
        Ok(())
    }
}

/// Makes the mirror agree with a look at a department, marks what depends on it, and ends the claim.
struct FinishDepartment {
    claim: Claim,
    look: Look,
    guard: Guard,
    stamp: Stamp,
}

impl Operation for FinishDepartment {
    type Output = Finish;

    async fn run(&self, conn: &mut Conn) -> Result<Finish, StoreError> {
        let dept_id = self.claim.object_id.parse().unwrap_or_default();
        let before = conn.department(&self.stamp.corp_id, dept_id).await?;
        let (standing, action) = match &self.look {
            Look::Hidden => (Standing::Hidden, None),
            Look::Gone => self.remove(conn, dept_id, before.as_ref()).await?,
            Look::Present(after) => {
                (Standing::Present, self.put(conn, dept_id, before.as_ref(), after).await?)
            }
        };
        let is_outdated = match &self.look {
            Look::Present(department) => {
                let named: Vec<String> = convert::managers(department)
                    .into_iter()
                    .chain(department.owner_userid.clone())
                    .collect();
                names_somebody_who_changes(conn, &self.claim, &named, &self.stamp).await?
            }
            Look::Gone | Look::Hidden => false,
        };
        let reading =
            Reading { again_in: is_outdated.then_some(ANSWER_LAG), ..Reading::of(standing, action) };
        let finish = conclude(&self.claim, reading, self.stamp.now);
        conn.finish(&self.claim, &finish, self.stamp.now);
        Ok(finish)
    }
}

impl FinishDepartment {
    async fn put(
        &self,
        conn: &mut Conn,
        dept_id: i64,
        before: Option<&Stored<Department>>,
        after: &Department,
    ) -> Result<Option<Action>, StoreError> {
        let Stamp { corp_id, now, .. } = &self.stamp;
        let action = conn.write_department(dept_id, before, after, Fate::Lives, &self.stamp).await?;
        guard::release(conn, &self.claim, corp_id, Entity::Department).await?;
        if dept_id == ROOT {
            conn.set_org_name(corp_id, after.name.as_deref(), *now).await?;
        }
        if let Some(parent_id) = after.parent_id {
            let parent = self.claim.hint(Kind::Department, parent_id.to_string());
            conn.hint_unknown(corp_id, &[parent], *now).await?;
        }
        let walk = self.claim.hint(Kind::Walk, dept_id.to_string());
        // A walk that was made while the department could not be seen has seen nothing.
        let came_in_sight = matches!(self.claim.standing, Standing::Hidden | Standing::Gone | Standing::Held);
        match before {
            // A pull that found the department has marked its walk already.
            None if !came_in_sight => conn.hint_unknown(corp_id, &[walk], *now).await?,
            Some(before)
                if !came_in_sight
                    && before.deleted_at.is_none()
                    && before.row.parent_id == after.parent_id => {}
            _ => conn.hint(corp_id, &[walk], *now).await?,
        }
        self.mark_managers(conn, before, after).await?;
        Ok(action)
    }

    /// Who manages a department shows in the managers' own answers as well.
    async fn mark_managers(
        &self,
        conn: &mut Conn,
        before: Option<&Stored<Department>>,
        after: &Department,
    ) -> Result<(), StoreError> {
        let Stamp { corp_id, now, .. } = &self.stamp;
        let were = before.map(|before| convert::managers(&before.row)).unwrap_or_default();
        let are = convert::managers(after);
        let unknown: Vec<Hint> =
            are.iter().map(|userid| self.claim.hint(Kind::Employee, userid.clone())).collect();
        conn.hint_unknown(corp_id, &unknown, *now).await?;
        if before.is_none() || self.claim.provenance.cause == Cause::Bootstrap {
            return Ok(());
        }
        let appointed = are.iter().filter(|userid| !were.contains(userid));
        let dismissed = were.iter().filter(|userid| !are.contains(userid));
        let changed: Vec<Hint> = appointed
            .chain(dismissed)
            .map(|userid| self.claim.affected(Kind::Employee, userid.clone()))
            .collect();
        conn.hint(corp_id, &changed, *now).await
    }

    /// DingTalk says that the department is gone. Its children and members, and the roles that reach over it, are asked
    /// for themselves.
    async fn remove(
        &self,
        conn: &mut Conn,
        dept_id: i64,
        before: Option<&Stored<Department>>,
    ) -> Result<(Standing, Option<Action>), StoreError> {
        let Stamp { corp_id, now, .. } = &self.stamp;
        let before = before.filter(|before| before.deleted_at.is_none());
        // What is stored of people may name one that never had a row: it was out of sight.
        if before.is_none() && self.claim.standing == Standing::Gone {
            return Ok((Standing::Gone, None));
        }
        let children = conn.child_departments(corp_id, dept_id).await?;
        let members = conn.department_members(corp_id, dept_id).await?;
        let below: Vec<i64> = children.into_iter().map(|(id, _)| id).collect();
        let children = below.iter().map(|id| self.claim.affected(Kind::Department, id.to_string()));
        let people = members.iter().map(|userid| self.claim.affected(Kind::Employee, userid.clone()));
        let roles = conn.roles_reaching(corp_id, dept_id).await?;
        let roles = roles.into_iter().map(|id| self.claim.affected(Kind::RoleMembers, id.to_string()));
        // Those of a department that is held already were asked for when it was found gone.
        if self.claim.standing != Standing::Held {
            let dependents: Vec<Hint> = children.chain(people).chain(roles).collect();
            conn.hint(corp_id, &dependents, *now).await?;
        }
        let Some(before) = before else { return Ok((Standing::Gone, None)) };
        let deletion = Deletion {
            claim: &self.claim,
            entity: Entity::Department,
            id: &self.claim.object_id,
            is_harmless: members.is_empty() && guard::are_empty(conn, corp_id, below).await?,
        };
        if !deletion.is_admitted(conn, self.guard, corp_id, *now).await? {
            return Ok((Standing::Held, None));
        }
        let action =
            conn.write_department(dept_id, Some(before), &before.row, Fate::Gone, &self.stamp).await?;
        Ok((Standing::Gone, action))
    }
}
