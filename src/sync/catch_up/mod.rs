//! Finds what no event has told, without anybody asking for it: after each gap of the daemon's own, what DingTalk holds
//! for undeliverable, who left, a quick comparison, and everybody's details in the background.

mod details;
mod failed_list;
mod leavers;
mod plan;

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use self::failed_list::FailedListPoll;
use super::context::Context;
use crate::lifecycle::Pulse;
use crate::store::{
    BootstrapState, CatchUp, Conn, Gap, GapReason, Operation, Run, RunKind, RunState, StoreError,
};

/// Another process may have noted a gap: look at least this often.
const LOOK: Duration = Duration::from_secs(1);
/// How long a step that was begun may take when the daemon stops: an answer that clears what it shows is to be stored.
const LAST_STEP: Duration = Duration::from_secs(4);

/// What a step leaves to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    /// There may be more to do.
    AtOnce,
    /// Nothing is due.
    Later,
}

/// Catches up, step by step, until `shutdown`. Only for the process that leads.
pub(super) async fn catch_up(
    context: Arc<Context>,
    takes_callbacks: bool,
    shutdown: CancellationToken,
    pulse: Pulse,
) {
    let mut catching_up = CatchingUp { poll: FailedListPoll::new(takes_callbacks), context, is_first: true };
    while !shutdown.is_cancelled() {
        let outcome = {
            let mut step = std::pin::pin!(catching_up.step());
            tokio::select! {
                outcome = &mut step => Some(outcome),
                never = pulse.keep_beating() => match never {},
                () = shutdown.cancelled() => tokio::time::timeout(LAST_STEP, step).await.ok(),
            }
        };
        match outcome {
            Some(Ok(Next::AtOnce)) => continue,
            Some(Err(error)) if error.outage().is_none() => {
                warn!(corp = catching_up.context.name, %error, "catching up cannot go on; it is tried again");
            }
            Some(Ok(Next::Later) | Err(_)) | None => {}
        }
        tokio::select! {
            () = tokio::time::sleep(LOOK) => {}
            never = pulse.keep_beating() => match never {},
            () = shutdown.cancelled() => {}
        }
    }
}

struct CatchingUp {
    context: Arc<Context>,
    poll: FailedListPoll,
    /// Nothing has been done in this term yet.
    is_first: bool,
}

impl CatchingUp {
    /// Does the most urgent of what is due.
    async fn step(&mut self) -> Result<Next, StoreError> {
        let context = Arc::clone(&self.context);
        let (state, corp) = {
            let mut reader = context.store.reader().await?;
            (reader.catch_up(&context.corp_id).await?, reader.corp(&context.corp_id).await?)
        };
        let now = context.now();
        if self.is_first && state.begun_at.is_some() {
            // Whoever expected it is gone.
            context.note_lost_answer(now).await?;
            return Ok(Next::AtOnce);
        }
        self.is_first = false;
        let bootstrap = corp.as_ref().map_or(BootstrapState::Pending, |corp| corp.bootstrap);
        if plan::is_comparison_due(&state, bootstrap, now) {
            context.begin_catch_up(&state, now).await?;
            return Ok(Next::AtOnce);
        }
        let has_events = corp.is_some_and(|corp| corp.last_event_at.is_some());
        if self.poll.is_due(&state, has_events, now) {
            return self.poll.ask(&context).await;
        }
        if state.unreadable != 0 {
            context.mark_unreadable(state.unreadable).await?;
            return Ok(Next::AtOnce);
        }
        if let Some(since) = state.leavers_since {
            context.mark_leavers(since, now).await?;
            return Ok(Next::AtOnce);
        }
        if let Some(run_id) = state.details_run {
            return context.mark_everybody(run_id, &state.details_after).await;
        }
        Ok(Next::Later)
    }
}

impl Context {
    /// Notes that nobody was there until now.
    pub(super) async fn note_absence(&self) -> Result<(), StoreError> {
        self.write(NoteAbsence { corp_id: self.corp_id.clone(), now: self.now() }).await
    }

    async fn note_lost_answer(&self, now: Timestamp) -> Result<(), StoreError> {
        warn!(
            corp = self.name,
            "an answer of the list of failed events was lost, with what it showed; everything is compared"
        );
        self.write(NoteLostAnswer { corp_id: self.corp_id.clone(), now }).await
    }

    async fn begin_catch_up(&self, state: &CatchUp, now: Timestamp) -> Result<(), StoreError> {
        let reasons: Vec<&str> = state.reasons.iter().map(|reason| reason.label()).collect();
        let run = self.write(BeginCatchUp { corp_id: self.corp_id.clone(), now }).await?;
        let since = state.gap_since.map(|since| since.to_string());
        info!(
            corp = self.name,
            run,
            since,
            reasons = reasons.join(", "),
            "something may have been missed; comparing everything, then reading everybody's details"
        );
        Ok(())
    }

    /// What a run that was to find what was missed has come to.
    async fn run_after_gap(&self, run_id: i64) -> Result<Option<Run>, StoreError> {
        self.store.reader().await?.run(run_id).await
    }
}

fn is_given_up(run: &Run) -> bool {
    run.state == RunState::Failed
}

struct NoteAbsence {
    corp_id: String,
    now: Timestamp,
}

impl Operation for NoteAbsence {
    type Output = ();

    async fn run(&self, conn: &mut Conn) -> Result<(), StoreError> {
        let state = conn.catch_up(&self.corp_id).await?;
        // Where nobody noted when callbacks were taken last, the last comparison did.
        let compared_at = conn.corp(&self.corp_id).await?.and_then(|corp| corp.last_reconcile_at);
        let since = state.received_at.or(compared_at).unwrap_or(self.now).min(self.now);
        let gap = Gap { reason: GapReason::Down, since, until: self.now };
        conn.note_gap(&self.corp_id, gap).await?;
        conn.exempt_catch_up(&self.corp_id).await
    }
}

struct NoteLostAnswer {
    corp_id: String,
    now: Timestamp,
}

impl Operation for NoteLostAnswer {
    type Output = ();

    async fn run(&self, conn: &mut Conn) -> Result<(), StoreError> {
        let state = conn.catch_up(&self.corp_id).await?;
        let since = state.begun_at.unwrap_or(self.now).min(self.now);
        let gap = Gap { reason: GapReason::LostAnswer, since, until: self.now };
        conn.note_gap(&self.corp_id, gap).await?;
        conn.note_failed_list(&self.corp_id, 0, self.now).await
    }
}

struct BeginCatchUp {
    corp_id: String,
    now: Timestamp,
}

impl Operation for BeginCatchUp {
    type Output = i64;

    async fn run(&self, conn: &mut Conn) -> Result<i64, StoreError> {
        let run_id = conn.request_run(&self.corp_id, RunKind::Reconcile, true, self.now).await?;
        conn.begin_catch_up(&self.corp_id, run_id, self.now).await?;
        Ok(run_id)
    }
}
