//! The member list of each role: who has it, and the departments over which it reaches.

use super::context::{Context, WorkError};
use super::convert;
use super::outcome::{Reading, asked_in_vain, conclude};
use super::seen::Seen;
use crate::dingtalk::Class;
use crate::lane::Lane;
use crate::store::{
    Action, CATALOGUE, Claim, Conn, Finish, Hint, Kind, Operation, RoleScope, Stamp, Standing, StoreError,
};

/// Members that are marked in one statement's worth of work.
const BATCH: usize = 1000;

/// Goes through the current members of a role, and marks what `hint_of` makes of them.
pub(super) async fn mark_members(
    conn: &mut Conn,
    role_id: i64,
    stamp: &Stamp,
    hint_of: impl Fn(String) -> Option<Hint>,
) -> Result<(), StoreError> {
    let mut after = String::new();
    loop {
        let members = conn.role_member_ids_after(&stamp.corp_id, role_id, &after, BATCH).await?;
        let Some(last) = members.last() else { return Ok(()) };
        after.clone_from(last);
        let hints: Vec<Hint> = members.into_iter().filter_map(&hint_of).collect();
        conn.hint(&stamp.corp_id, &hints, stamp.now).await?;
    }
}

impl Context {
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
    /// One whose own read is to say whether he has the role.
    fn doubted(&self, userid: String) -> Hint {
        Hint { lane: Lane::Background, ..self.claim.hint(Kind::Employee, userid) }
    }

    /// People who have the role here and are not on its list.
    async fn mark_former(&self, conn: &mut Conn, seen: &Seen) -> Result<(), StoreError> {
        let former = |userid: String| (!seen.has(&userid)).then(|| self.doubted(userid));
        mark_members(conn, self.role_id, &self.stamp, former).await
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
            .map(|userid| self.doubted(userid))
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
