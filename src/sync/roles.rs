//! Roles: the catalogue of groups and roles, and the member list of each role.

use std::time::Duration;

use super::context::{Context, WorkError};
use super::convert;
use super::guard::Deletion;
use super::outcome::{Reading, conclude};
use super::seen::Seen;
use crate::config::Guard;
use crate::dingtalk::error::Denied;
use crate::dingtalk::{ApiError, Class};
use crate::lane::Lane;
use crate::store::{
    Action, CATALOGUE, Claim, Confirm, Conn, Entity, Fate, Finish, Hint, Kind, Operation, Role, RoleGroup,
    RoleScope, Stamp, Standing, StoreError,
};

/// A method that the server does not know is tried again after this time.
const UNKNOWN_AGAIN: Duration = Duration::from_secs(65);
/// Members of a deleted role that are marked in one statement's worth of work.
const BATCH: usize = 1000;

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

    pub(super) async fn work_on_role_members(&self, claim: &Claim) -> Result<(), WorkError> {
        let Ok(role_id) = claim.object_id.parse::<i64>() else {
            return self.end_role_members(claim, 0, Standing::Gone).await;
        };
        match self.read_role_members(claim, role_id).await {
            Err(WorkError::Api(error)) if error.class == Class::Gone => {
                self.mark(vec![Hint::of(Kind::RoleCatalogue, CATALOGUE, claim.lane, claim.provenance.cause)])
                    .await?;
                self.end_role_members(claim, role_id, Standing::Gone).await
            }
            Err(WorkError::Api(error)) if error.class == Class::UnknownMethod => {
                self.end_role_members(claim, role_id, Standing::Unread).await
            }
            Err(WorkError::Api(error)) if error.class == Class::Hidden => {
                self.end_role_members(claim, role_id, Standing::Hidden).await
            }
            result => result,
        }
    }

    async fn end_role_members(
        &self,
        claim: &Claim,
        role_id: i64,
        standing: Standing,
    ) -> Result<(), WorkError> {
        let reading = (standing == Standing::Gone).then(|| self.new_reading());
        let page = MemberPage {
            claim: claim.clone(),
            role_id,
            stamp: self.stamp(claim),
            reading: reading.unwrap_or_default(),
            page: Vec::new(),
            next: None,
            standing,
            forget: standing == Standing::Gone,
            seen: None,
        };
        let finish = self.write(page).await?;
        self.note_done(claim, finish);
        Ok(())
    }

    /// Some of those on a page may have become members while it was being written: of two transactions that run at once,
    /// neither sees what the other one writes.
    async fn settle_role_scopes(
        &self,
        role_id: i64,
        userids: Vec<String>,
        stamp: Stamp,
    ) -> Result<(), StoreError> {
        let mut reader = self.store.reader().await?;
        let outdated = reader.outdated_role_scopes(&self.corp_id, role_id, &userids).await?;
        drop(reader);
        if outdated.is_empty() {
            return Ok(());
        }
        self.write(SpreadScopes { role_id, userids, stamp }).await
    }

    /// A number that tells one read of a member list from the others.
    fn new_reading(&self) -> i64 {
        (self.random.number() >> 1) as i64
    }

    async fn read_role_members(&self, claim: &Claim, role_id: i64) -> Result<(), WorkError> {
        let resumed = claim.progress.as_deref().and_then(|progress| {
            let (offset, reading) = progress.split_once(':')?;
            Some((offset.parse().ok()?, reading.parse().ok()?))
        });
        let (mut offset, reading): (i64, i64) = resumed.unwrap_or((0, self.new_reading()));
        let mut seen = (offset == 0).then(Seen::default);
        loop {
            let (members, next) = self.client.role_members(claim.lane, role_id, offset).await?;
            if let Some(seen) = &mut seen {
                members.iter().filter_map(|member| member.userid.as_deref()).for_each(|id| seen.note(id));
            }
            let page = MemberPage {
                claim: claim.clone(),
                role_id,
                stamp: self.stamp(claim),
                reading,
                page: members.iter().filter_map(convert::role_scope).collect(),
                next,
                standing: Standing::Present,
                forget: next.is_none(),
                seen: if next.is_none() { seen.take() } else { None },
            };
            let userids: Vec<String> = page.page.iter().map(|listed| listed.userid.clone()).collect();
            let stamp = page.stamp.clone();
            let finish = self.write(page).await?;
            self.settle_role_scopes(role_id, userids, stamp).await?;
            match next {
                Some(next) => offset = next,
                None => {
                    self.note_done(claim, finish);
                    return Ok(());
                }
            }
        }
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

/// The end of a read that the server does not know: what is stored stays, and is asked for again later.
fn asked_in_vain(claim: &Claim) -> Finish {
    Finish {
        standing: claim.standing,
        changed: false,
        doubt: claim.doubt,
        expects: claim.expects,
        confirm: Confirm::Doubt,
        confirm_in: UNKNOWN_AGAIN,
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
        let mut after = String::new();
        loop {
            let members = conn.role_member_ids_after(corp_id, role_id, &after, BATCH).await?;
            let Some(last) = members.last() else { return Ok(()) };
            after.clone_from(last);
            let hints: Vec<Hint> =
                members.into_iter().map(|userid| self.claim.affected(Kind::Employee, userid)).collect();
            conn.hint(corp_id, &hints, *now).await?;
        }
    }
}

/// Takes a page of a role's member list; the last one ends the claim.
struct MemberPage {
    claim: Claim,
    role_id: i64,
    stamp: Stamp,
    reading: i64,
    page: Vec<RoleScope>,
    next: Option<i64>,
    standing: Standing,
    /// This read has seen the whole list: what it did not say again is outdated.
    forget: bool,
    /// Everybody on the list, at its end, where this read has seen it from its beginning.
    seen: Option<Seen>,
}

impl Operation for MemberPage {
    type Output = Finish;

    async fn run(&self, conn: &mut Conn) -> Result<Finish, StoreError> {
        let Stamp { corp_id, now, .. } = &self.stamp;
        conn.keep_role_scopes(corp_id, self.role_id, &self.page, self.reading).await?;
        let listed: Vec<String> = self.page.iter().map(|listed| listed.userid.clone()).collect();
        let changed = conn.spread_role_scopes(self.role_id, &listed, &self.stamp).await?;
        self.mark_strangers(conn, listed).await?;
        if let Some(seen) = &self.seen {
            self.mark_former(conn, seen).await?;
        }
        if self.claim.standing != Standing::Present
            && self.standing == Standing::Present
            && conn.role_lives(corp_id, &[self.role_id]).await?.is_empty()
        {
            // An event spoke of the role before any list did.
            conn.hint(corp_id, &[self.claim.found(Kind::RoleCatalogue, CATALOGUE)], *now).await?;
        }
        if self.forget {
            conn.forget_role_scopes(corp_id, self.role_id, self.reading).await?;
        }
        let reading = Reading::of(self.standing, changed.then_some(Action::Update));
        let finish = match self.standing {
            Standing::Unread => asked_in_vain(&self.claim),
            _ => conclude(&self.claim, reading, *now),
        };
        match self.next {
            Some(next) => {
                let progress = format!("{next}:{}", self.reading);
                conn.keep_progress(&self.claim, &progress);
            }
            None => conn.finish(&self.claim, &finish, *now),
        }
        Ok(finish)
    }
}

impl MemberPage {
    /// People who have the role here and are not on its list: their own read says.
    async fn mark_former(&self, conn: &mut Conn, seen: &Seen) -> Result<(), StoreError> {
        let Stamp { corp_id, now, .. } = &self.stamp;
        let mut after = String::new();
        loop {
            let members = conn.role_member_ids_after(corp_id, self.role_id, &after, BATCH).await?;
            let Some(last) = members.last() else { return Ok(()) };
            after.clone_from(last);
            let hints: Vec<Hint> = members
                .into_iter()
                .filter(|userid| !seen.has(userid))
                .map(|userid| Hint { lane: Lane::Background, ..self.claim.hint(Kind::Employee, userid) })
                .collect();
            conn.hint(corp_id, &hints, *now).await?;
        }
    }

    /// People whose own read did not show the role: one of the two answers is outdated.
    async fn mark_strangers(&self, conn: &mut Conn, mut listed: Vec<String>) -> Result<(), StoreError> {
        let Stamp { corp_id, now, .. } = &self.stamp;
        let standings = conn.standings(corp_id, Kind::Employee, &listed).await?;
        listed.retain(|userid| {
            let standing = standings.iter().find(|known| known.0 == *userid).map(|known| known.1);
            !matches!(standing, Some(Standing::Unread | Standing::Hidden))
        });
        // Looked at last: whoever counts as read has all that his read brought by now.
        let holders = conn.role_holders_among(corp_id, self.role_id, &listed).await?;
        let hints: Vec<Hint> = listed
            .into_iter()
            .filter(|userid| !holders.contains(userid))
            .map(|userid| Hint { lane: Lane::Background, ..self.claim.hint(Kind::Employee, userid) })
            .collect();
        conn.hint(corp_id, &hints, *now).await
    }
}

/// Makes memberships say what their role's list last said.
pub(super) struct SpreadScopes {
    pub(super) role_id: i64,
    pub(super) userids: Vec<String>,
    pub(super) stamp: Stamp,
}

impl Operation for SpreadScopes {
    type Output = ();

    async fn run(&self, conn: &mut Conn) -> Result<(), StoreError> {
        conn.spread_role_scopes(self.role_id, &self.userids, &self.stamp).await?;
        Ok(())
    }
}
