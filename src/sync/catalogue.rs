//! The catalogue: the list of all role groups and roles.

use super::context::{Context, WorkError};
use super::guard::Deletion;
use super::outcome::{Reading, asked_in_vain, conclude};
use super::role_members::mark_members;
use crate::config::Guard;
use crate::dingtalk::error::Denied;
use crate::dingtalk::{ApiError, Class};
use crate::lane::Lane;
use crate::store::{
    Action, Claim, Conn, Entity, Fate, Finish, Kind, Operation, Role, RoleGroup, Stamp, Standing, StoreError,
};

/// The catalogue as DingTalk shows it, with what of the stored one is really gone.
#[derive(Debug, Clone, Default)]
pub(super) struct Catalogue {
    /// Groups by id.
    pub(super) groups: Vec<(i64, RoleGroup)>,
    /// Roles by id.
    pub(super) roles: Vec<(i64, Role)>,
    /// Stored groups that DingTalk says do not exist.
    pub(super) gone_groups: Vec<i64>,
    /// Stored roles that DingTalk says do not exist.
    pub(super) gone_roles: Vec<i64>,
}

impl Context {
    /// Reads the catalogue. What is stored and not listed is asked for by name: a list may be incomplete.
    pub(super) async fn look_at_catalogue(&self, lane: Lane) -> Result<Catalogue, WorkError> {
        let mut catalogue = Catalogue::default();
        for group in self.client.roles(lane).await? {
            let Some(group_id) = group.group_id else { continue };
            catalogue.groups.push((group_id, self.store.fitted(RoleGroup { name: group.name })));
            for role in group.roles {
                // The pages of a list that changes meanwhile can show one role twice.
                let is_new = |id: i64| catalogue.roles.iter().all(|(known, _)| *known != id);
                if let Some(role_id) = role.id.filter(|&id| is_new(id)) {
                    let role = Role { group_id: Some(group_id), name: role.name };
                    catalogue.roles.push((role_id, self.store.fitted(role)));
                }
            }
        }
        let (groups, roles) = {
            let mut reader = self.store.reader().await?;
            (reader.role_groups(&self.corp_id).await?, reader.roles(&self.corp_id).await?)
        };
        for (role_id, stored) in roles {
            if stored.deleted_at.is_none() && catalogue.roles.iter().all(|(id, _)| *id != role_id) {
                let proof = self.client.prove_role(lane, role_id).await;
                if is_gone(proof)? {
                    catalogue.gone_roles.push(role_id);
                }
            }
        }
        for (group_id, stored) in groups {
            if stored.deleted_at.is_none() && catalogue.groups.iter().all(|(id, _)| *id != group_id) {
                let proof = self.client.prove_role_group(lane, group_id).await;
                if is_gone(proof)? {
                    catalogue.gone_groups.push(group_id);
                }
            }
        }
        Ok(catalogue)
    }

    pub(super) async fn work_on_catalogue(&self, claim: &Claim) -> Result<(), WorkError> {
        let catalogue = match self.look_at_catalogue(claim.lane).await {
            // Nothing waits for it, and it is asked again whether it knows the method by now.
            Err(WorkError::Api(error)) if error.class == Class::UnknownMethod => None,
            result => Some(result?),
        };
        let finish =
            FinishCatalogue { claim: claim.clone(), catalogue, guard: self.guard, stamp: self.stamp(claim) };
        let finish = self.write(finish).await?;
        self.note_done(claim, finish);
        Ok(())
    }
}

/// Whether a proof of existence failed. Only DingTalk's own "not found" counts.
fn is_gone(proof: Result<(), ApiError>) -> Result<bool, WorkError> {
    match proof {
        Err(error) if error.class == Class::Gone => Ok(true),
        Err(error)
            if error.class.is_trouble()
                && !matches!(error.class, Class::UnknownMethod | Class::Denied(Denied::PermissionPoint)) =>
        {
            Err(error.into())
        }
        // Without a proof nothing is deleted.
        Ok(()) | Err(_) => Ok(false),
    }
}

/// Makes the mirror agree with the catalogue, and ends the claim.
struct FinishCatalogue {
    claim: Claim,
    /// `None` where the server does not know the method.
    catalogue: Option<Catalogue>,
    guard: Guard,
    stamp: Stamp,
}

impl Operation for FinishCatalogue {
    type Output = Finish;

    async fn run(&self, conn: &mut Conn) -> Result<Finish, StoreError> {
        let Some(catalogue) = &self.catalogue else {
            let finish = asked_in_vain(&self.claim);
            conn.finish(&self.claim, &finish, self.stamp.now);
            return Ok(finish);
        };
        let groups = self.write_groups(conn, catalogue).await?;
        let roles = self.write_roles(conn, catalogue).await?;
        self.release(conn, catalogue).await?;
        let standing = if groups.held || roles.held { Standing::Held } else { Standing::Present };
        let action = (groups.changed || roles.changed).then_some(Action::Update);
        let reading = Reading::of(Standing::Present, action);
        let finish = Finish { standing, ..conclude(&self.claim, reading, self.stamp.now) };
        conn.finish(&self.claim, &finish, self.stamp.now);
        Ok(finish)
    }
}

#[derive(Debug, Default)]
struct Effect {
    changed: bool,
    held: bool,
}

impl FinishCatalogue {
    async fn may_delete(&self, conn: &mut Conn, entity: Entity, id: i64) -> Result<bool, StoreError> {
        let id = id.to_string();
        let deletion = Deletion { claim: &self.claim, entity, id: &id, is_harmless: false };
        deletion.is_admitted(conn, self.guard, &self.stamp.corp_id, self.stamp.now).await
    }

    /// Whatever the list shows is there.
    async fn release(&self, conn: &mut Conn, catalogue: &Catalogue) -> Result<(), StoreError> {
        let corp_id = &self.stamp.corp_id;
        let groups: Vec<String> = catalogue.groups.iter().map(|(id, _)| id.to_string()).collect();
        let roles: Vec<String> = catalogue.roles.iter().map(|(id, _)| id.to_string()).collect();
        for (entity, ids) in [(Entity::RoleGroup, groups), (Entity::Role, roles)] {
            for id in conn.held_states(corp_id, entity, &ids).await?.into_keys() {
                conn.forget_held(corp_id, entity, &id).await?;
            }
        }
        Ok(())
    }

    async fn write_groups(&self, conn: &mut Conn, catalogue: &Catalogue) -> Result<Effect, StoreError> {
        let stored = conn.role_groups(&self.stamp.corp_id).await?;
        let before = |id: i64| stored.iter().find(|(known, _)| *known == id).map(|(_, stored)| stored);
        let mut effect = Effect::default();
        for (group_id, group) in &catalogue.groups {
            let action =
                conn.write_role_group(*group_id, before(*group_id), group, Fate::Lives, &self.stamp).await?;
            effect.changed |= action.is_some();
        }
        for group_id in &catalogue.gone_groups {
            let Some(before) = before(*group_id) else { continue };
            if self.may_delete(conn, Entity::RoleGroup, *group_id).await? {
                let row = &before.row;
                let action =
                    conn.write_role_group(*group_id, Some(before), row, Fate::Gone, &self.stamp).await?;
                effect.changed |= action.is_some();
            } else {
                effect.held = true;
            }
        }
        Ok(effect)
    }

    async fn write_roles(&self, conn: &mut Conn, catalogue: &Catalogue) -> Result<Effect, StoreError> {
        let Stamp { corp_id, now, .. } = &self.stamp;
        let stored = conn.roles(corp_id).await?;
        let before = |id: i64| stored.iter().find(|(known, _)| *known == id).map(|(_, stored)| stored);
        let mut effect = Effect::default();
        let mut unread = Vec::new();
        for (role_id, role) in &catalogue.roles {
            let action = conn.write_role(*role_id, before(*role_id), role, Fate::Lives, &self.stamp).await?;
            effect.changed |= action.is_some();
            if action == Some(Action::Restore) {
                // Its members lost it when it went, and no event tells them that it is back.
                let members = self.claim.affected(Kind::RoleMembers, role_id.to_string());
                conn.hint(corp_id, &[members], *now).await?;
            }
            unread.push(self.claim.hint(Kind::RoleMembers, role_id.to_string()));
        }
        conn.hint_unknown(corp_id, &unread, *now).await?;
        if self.claim.is_of_run() {
            // A pull reads every role's members, once.
            let ids: Vec<String> = unread.iter().map(|hint| hint.object_id.clone()).collect();
            let known = conn.standings(corp_id, Kind::RoleMembers, &ids).await?;
            let marked =
                |id: &str| known.iter().any(|(known, _, run)| known == id && *run == self.claim.run_id);
            unread.retain(|hint| !marked(&hint.object_id));
            conn.hint(corp_id, &unread, *now).await?;
        }
        for role_id in &catalogue.gone_roles {
            let Some(before) = before(*role_id) else { continue };
            if !self.may_delete(conn, Entity::Role, *role_id).await? {
                effect.held = true;
                continue;
            }
            let action =
                conn.write_role(*role_id, Some(before), &before.row, Fate::Gone, &self.stamp).await?;
            effect.changed |= action.is_some();
            self.mark_members(conn, *role_id).await?;
        }
        Ok(effect)
    }

    /// Whoever had a role that is gone is read again.
    async fn mark_members(&self, conn: &mut Conn, role_id: i64) -> Result<(), StoreError> {
        let Stamp { corp_id, now, .. } = &self.stamp;
        conn.hint(corp_id, &[self.claim.hint(Kind::RoleMembers, role_id.to_string())], *now).await?;
        let affected = |userid: String| Some(self.claim.affected(Kind::Employee, userid));
        mark_members(conn, role_id, &self.stamp, affected).await
    }
}
