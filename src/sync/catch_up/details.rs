//! Marks many objects at once, in the background lane: everybody after a gap, a share every night, and all of a kind where
//! an event of it could not be read.

use std::collections::BTreeSet;
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
        let now = self.now();
        let userids = {
            let mut reader = self.store.reader().await?;
            let (people, _) = reader.populations(&self.corp_id).await?;
            let people = usize::try_from(people).unwrap_or_default();
            let share = people.div_ceil(usize::try_from(days).unwrap_or(1).max(1));
            // Who is not read tonight must not be too old tomorrow.
            reader.oldest_details(&self.corp_id, share, now - DAY * days.saturating_sub(1)).await?
        };
        info!(
            corp = self.name,
            run = run_id,
            people = userids.len(),
            "details that are the oldest are read again"
        );
        for batch in userids.chunks(BATCH) {
            self.mark(batch.iter().map(|userid| detail(userid.clone(), run_id)).collect()).await?;
        }
        Ok(())
    }

    /// Marks everything of the kinds of which an event named nobody that could be read.
    pub(super) async fn mark_unreadable(&self, bits: i64) -> Result<(), StoreError> {
        let about = subjects(bits);
        warn!(
            corp = self.name,
            about = ?about,
            "events that could not be delivered name nobody; everything of their kind is read"
        );
        for (kind, ids) in self.known_of(&about).await? {
            for batch in ids.chunks(BATCH) {
                let hint = |id: &String| Hint::of(kind, id.clone(), Lane::Background, Cause::Reconcile);
                self.mark(batch.iter().map(hint).collect()).await?;
            }
        }
        self.write(ForgetUnreadable { corp_id: self.corp_id.clone(), bits }).await
    }

    /// What is known of these subjects, by what has to be read for them. New people and departments are found by walks.
    async fn known_of(&self, about: &BTreeSet<Subject>) -> Result<Vec<(Kind, Vec<String>)>, StoreError> {
        let mut known = Vec::new();
        let mut reader = self.store.reader().await?;
        if about.contains(&Subject::Roles) {
            known.push((Kind::RoleCatalogue, vec![CATALOGUE.to_owned()]));
            let roles = reader.roles(&self.corp_id).await?.into_iter();
            let ids = roles.filter(|(_, role)| role.deleted_at.is_none()).map(|(id, _)| id.to_string());
            known.push((Kind::RoleMembers, ids.collect()));
        }
        if about.contains(&Subject::Departments) || about.contains(&Subject::People) {
            let mut ids = Vec::new();
            let mut after = 0;
            loop {
                let batch = reader.department_ids_after(&self.corp_id, after, BATCH).await?;
                let Some(&last) = batch.last() else { break };
                after = last;
                ids.extend(batch.into_iter().map(|id| id.to_string()));
            }
            if about.contains(&Subject::Departments) {
                known.push((Kind::Department, ids.clone()));
            }
            known.push((Kind::Walk, ids));
        }
        if about.contains(&Subject::People) {
            let mut ids: Vec<String> = Vec::new();
            loop {
                let after = ids.last().cloned().unwrap_or_default();
                let batch = reader.employee_ids_after(&self.corp_id, &after, BATCH).await?;
                if batch.is_empty() {
                    break;
                }
                ids.extend(batch);
            }
            known.push((Kind::Employee, ids));
        }
        Ok(known)
    }
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
