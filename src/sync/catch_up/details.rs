//! Marks many objects at once, in the background lane: everybody after a gap, a share every night, and all of a kind where
//! an event of it could not be read.

use std::time::Duration;

use jiff::Timestamp;
use tracing::{info, warn};

use super::{Next, is_given_up};
use crate::dingtalk::failed::Subject;
use crate::lane::Lane;
use crate::receive::failed_list::subjects;
use crate::store::{CATALOGUE, Cause, Conn, Gap, GapReason, Hint, Kind, Operation, StoreError};
use crate::sync::context::Context;

/// Objects that one transaction marks.
const BATCH: usize = 500;
const DAY: Duration = Duration::from_hours(24);

impl Context {
    /// Once the comparison that follows a gap is over, marks the next of the people: their details are on no page.
    pub(super) async fn mark_everybody(&self, run_id: i64, after: &str) -> Result<Next, StoreError> {
        let run = self.run_after_gap(run_id).await?;
        if run.as_ref().is_some_and(|run| !run.state.is_over()) {
            return Ok(Next::Later);
        }
        let now = self.now();
        if run.is_some_and(|run| is_given_up(&run)) {
            warn!(
                corp = self.name,
                run = run_id,
                "what may have been missed could not be looked for; it is tried again"
            );
            self.write(TryAgain { corp_id: self.corp_id.clone(), run_id, now }).await?;
            return Ok(Next::AtOnce);
        }
        let userids = {
            let mut reader = self.store.reader().await?;
            reader.employee_ids_after(&self.corp_id, after, BATCH).await?
        };
        let last = userids.last().cloned();
        let hints = userids.into_iter().map(|userid| detail(userid, run_id)).collect();
        self.write(MarkNext { corp_id: self.corp_id.clone(), hints, run_id, last, now }).await?;
        self.wake.notify_one();
        Ok(Next::AtOnce)
    }

    /// Marks the people whose details are the oldest for `run_id`: so many that everybody is read within `days`.
    pub(in crate::sync) async fn mark_share(&self, run_id: i64, days: u32) -> Result<(), StoreError> {
        let mut left = {
            let mut reader = self.store.reader().await?;
            let (people, _) = reader.populations(&self.corp_id).await?;
            let share = (people + i64::from(days) - 1) / i64::from(days.max(1));
            // Who is not read tonight must not be too old tomorrow.
            let too_old = self.now() - DAY * days.saturating_sub(1);
            share.max(reader.old_details(&self.corp_id, too_old).await?)
        };
        info!(corp = self.name, run = run_id, people = left, "details that are the oldest are read again");
        let mut place = (-1, -1);
        while left > 0 {
            let limit = BATCH.min(usize::try_from(left).unwrap_or(BATCH));
            let batch = {
                let mut reader = self.store.reader().await?;
                reader.oldest_details_after(&self.corp_id, place, limit).await?
            };
            let Some((_, last)) = batch.last() else { break };
            place = *last;
            left -= batch.len() as i64;
            self.mark(batch.into_iter().map(|(userid, _)| detail(userid, run_id)).collect()).await?;
        }
        Ok(())
    }

    /// Marks everything of the kinds of which an event named nobody that could be read. What is new is found by walks.
    pub(super) async fn mark_unreadable(&self, bits: i64) -> Result<(), StoreError> {
        let about = subjects(bits);
        warn!(
            corp = self.name,
            about = ?about,
            "events that could not be delivered name nobody; everything of their kind is read"
        );
        if about.contains(&Subject::Roles) {
            self.mark_roles().await?;
        }
        let has_departments = about.contains(&Subject::Departments);
        if has_departments || about.contains(&Subject::People) {
            self.mark_departments(has_departments).await?;
        }
        if about.contains(&Subject::People) {
            self.mark_people().await?;
        }
        self.write(ForgetUnreadable { corp_id: self.corp_id.clone(), bits }).await
    }

    async fn mark_roles(&self) -> Result<(), StoreError> {
        let roles = self.store.reader().await?.roles(&self.corp_id).await?.into_iter();
        let ids = roles.filter(|(_, role)| role.deleted_at.is_none()).map(|(id, _)| id.to_string());
        let members = ids.map(|id| unnamed(Kind::RoleMembers, id));
        self.mark(members.chain([unnamed(Kind::RoleCatalogue, CATALOGUE.to_owned())]).collect()).await
    }

    /// Marks every department to be walked, and where these are concerned themselves to be read.
    async fn mark_departments(&self, themselves: bool) -> Result<(), StoreError> {
        let kinds = if themselves { &[Kind::Department, Kind::Walk][..] } else { &[Kind::Walk] };
        let mut after = 0;
        loop {
            let ids = {
                let mut reader = self.store.reader().await?;
                reader.department_ids_after(&self.corp_id, after, BATCH).await?
            };
            let Some(&last) = ids.last() else { return Ok(()) };
            after = last;
            let hints = ids.iter().flat_map(|id| kinds.iter().map(|kind| unnamed(*kind, id.to_string())));
            self.mark(hints.collect()).await?;
        }
    }

    async fn mark_people(&self) -> Result<(), StoreError> {
        let mut after = String::new();
        loop {
            let userids = {
                let mut reader = self.store.reader().await?;
                reader.employee_ids_after(&self.corp_id, &after, BATCH).await?
            };
            let Some(last) = userids.last() else { return Ok(()) };
            after.clone_from(last);
            self.mark(userids.into_iter().map(|userid| unnamed(Kind::Employee, userid)).collect()).await?;
        }
    }
}

/// One of those of which an event may have told.
fn unnamed(kind: Kind, id: String) -> Hint {
    Hint::of(kind, id, Lane::Background, Cause::Reconcile)
}

fn detail(userid: String, run_id: i64) -> Hint {
    Hint { run_id, ..Hint::of(Kind::Employee, userid, Lane::Background, Cause::Reconcile) }
}

struct MarkNext {
    corp_id: String,
    hints: Vec<Hint>,
    run_id: i64,
    /// The last of them; `None` when nobody is left.
    last: Option<String>,
    now: Timestamp,
}

impl Operation for MarkNext {
    type Output = ();

    async fn run(&self, conn: &mut Conn) -> Result<(), StoreError> {
        conn.hint(&self.corp_id, &self.hints, self.now).await?;
        conn.note_details_marked(&self.corp_id, self.run_id, self.last.as_deref()).await
    }
}

/// Notes that what was missed has still to be looked for.
struct TryAgain {
    corp_id: String,
    run_id: i64,
    now: Timestamp,
}

impl Operation for TryAgain {
    type Output = ();

    async fn run(&self, conn: &mut Conn) -> Result<(), StoreError> {
        let gap = Gap { reason: GapReason::Unfinished, since: self.now, until: self.now };
        conn.note_gap(&self.corp_id, gap).await?;
        conn.note_details_marked(&self.corp_id, self.run_id, None).await
    }
}

struct ForgetUnreadable {
    corp_id: String,
    bits: i64,
}

impl Operation for ForgetUnreadable {
    type Output = ();

    async fn run(&self, conn: &mut Conn) -> Result<(), StoreError> {
        conn.forget_unreadable(&self.corp_id, self.bits).await
    }
}
