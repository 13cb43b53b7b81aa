//! Carries out runs, one after the other.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use tokio::time::Instant;

use super::context::{Context, WorkError};
use crate::dingtalk::Class;
use crate::dingtalk::client::Condition;
use crate::lifecycle::Pulse;
use crate::store::{BootstrapState, Conn, Kind, Operation, Run, RunKind, RunState, StoreError};

/// How long a run waits for a DingTalk that does not answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Patience {
    /// For as long as it takes: nobody watches, and what is to be done has to be done.
    Endless,
    /// Somebody waits for the end, who can try again later.
    Limited,
}

impl Patience {
    /// When to give up, after so long without an answer.
    pub(super) const LIMIT: Duration = Duration::from_mins(1);
}

/// How a run ended.
#[derive(Debug)]
pub(super) struct End {
    pub(super) state: RunState,
    pub(super) error: Option<String>,
    /// Given up for a reason that passes by itself.
    pub(super) try_later: bool,
}

impl End {
    pub(super) fn of(state: RunState, error: Option<String>) -> Self {
        Self { state, error, try_later: false }
    }
}

/// Another process may have asked for a run: look at least this often.
const LOOK: Duration = Duration::from_millis(500);
const STORE_PAUSE: Duration = Duration::from_secs(1);
/// How often the workers' progress on a run is looked at.
const PROGRESS_LOOK: Duration = Duration::from_millis(100);

/// Carries out what is asked for until `shutdown`. A run that is interrupted by it is begun again after the next start.
pub(super) async fn carry_out_runs(context: Arc<Context>, shutdown: CancellationToken, pulse: Pulse) {
    tokio::select! {
        () = shutdown.cancelled() => {}
        never = pulse.keep_beating() => match never {},
        () = carry_out(context) => {}
    }
}

async fn carry_out(context: Arc<Context>) {
    loop {
        match context.next_run().await {
            Ok(Some(run)) => {
                // A report is asked for by somebody who waits; everything else has to be done some day.
                let patience = match run.kind {
                    RunKind::Verify => Patience::Limited,
                    RunKind::Bootstrap | RunKind::Reconcile => Patience::Endless,
                };
                if let Err(error) = context.carry_out(&run, patience).await {
                    if error.outage().is_none() {
                        warn!(corp = context.name, run = run.id, %error, "a run cannot go on; it is begun again");
                    }
                    tokio::time::sleep(STORE_PAUSE).await;
                }
            }
            Ok(None) => {
                tokio::time::sleep(LOOK).await;
                if let Err(error) = context.complete_late().await
                    && error.outage().is_none()
                {
                    warn!(corp = context.name, %error, "the state of the pull cannot be looked at");
                }
            }
            Err(error) => {
                if error.outage().is_none() {
                    warn!(corp = context.name, %error, "the list of runs cannot be read");
                }
                tokio::time::sleep(STORE_PAUSE).await;
            }
        }
    }
}

impl Context {
    async fn next_run(&self) -> Result<Option<Run>, StoreError> {
        Ok(self.store.reader().await?.open_runs(&self.corp_id).await?.into_iter().next())
    }

    /// Asks for a run.
    pub async fn request_run(&self, kind: RunKind, quick: bool) -> Result<i64, StoreError> {
        self.write(RequestRun { corp_id: self.corp_id.clone(), kind, quick, now: self.now() }).await
    }

    /// After a start that follows an absence: begins the pull, or ends it if it has never been complete; and if it has ever
    /// begun, notes that nobody knows what happened while the daemon was away.
    pub(super) async fn request_first_runs(&self) -> Result<(), StoreError> {
        let (corp, open) = {
            let mut reader = self.store.reader().await?;
            (reader.corp(&self.corp_id).await?, reader.open_runs(&self.corp_id).await?)
        };
        let pulled = corp.map_or(BootstrapState::Pending, |corp| corp.bootstrap);
        if pulled != BootstrapState::Complete && !open.iter().any(|run| run.kind == RunKind::Bootstrap) {
            self.request_run(RunKind::Bootstrap, false).await?;
        }
        if pulled != BootstrapState::Pending {
            self.note_absence().await?;
        }
        Ok(())
    }

    /// Asks for the first pull where nobody has.
    pub(super) async fn request_first_pull(&self) -> Result<(), StoreError> {
        let (corp, open) = {
            let mut reader = self.store.reader().await?;
            (reader.corp(&self.corp_id).await?, reader.open_runs(&self.corp_id).await?)
        };
        let is_due = corp
            .is_none_or(|corp| matches!(corp.bootstrap, BootstrapState::Pending | BootstrapState::Running));
        if is_due && !open.iter().any(|run| run.kind == RunKind::Bootstrap) {
            self.request_run(RunKind::Bootstrap, false).await?;
        }
        Ok(())
    }

    /// Carries out one run, in a process that has the database alone.
    pub async fn carry_out_run(&self, run_id: i64) -> Result<(), StoreError> {
        let run = self.store.reader().await?.run(run_id).await?;
        match run {
            Some(run) => self.carry_out(&run, Patience::Limited).await,
            None => Ok(()),
        }
    }

    /// Notes that nobody goes on with a run.
    pub async fn abandon_run(&self, run_id: i64) -> Result<(), StoreError> {
        self.write(AbandonRun { run_id, now: self.now() }).await
    }

    /// Waits until no object of `kinds` that `run` has marked waits any more. Brings how many are parked; `None` if
    /// DingTalk was away for longer than `patience` allows.
    pub(super) async fn until_worked_off(
        &self,
        run: &Run,
        kinds: &[Kind],
        patience: Patience,
    ) -> Result<Option<i64>, StoreError> {
        let mut left = i64::MAX;
        let mut moved = Instant::now();
        loop {
            let (waiting, parked) = {
                let mut reader = self.store.reader().await?;
                reader.run_remains(&self.corp_id, run.id, kinds).await?
            };
            if waiting == 0 {
                return Ok(Some(parked));
            }
            if waiting != left || self.client.health().condition == Condition::Ok {
                left = waiting;
                moved = Instant::now();
            }
            if patience == Patience::Limited && moved.elapsed() > Patience::LIMIT {
                return Ok(None);
            }
            tokio::time::sleep(PROGRESS_LOOK).await;
        }
    }

    async fn carry_out(&self, run: &Run, patience: Patience) -> Result<(), StoreError> {
        self.write(BeginRun { run_id: run.id, now: self.now() }).await?;
        let result = match run.kind {
            RunKind::Bootstrap => self.bootstrap(run, patience).await,
            RunKind::Reconcile => self.reconcile(run, patience).await,
            RunKind::Verify => self.verify(run, patience).await,
        };
        let end = match result {
            Ok(end) => end,
            Err(WorkError::Api(error)) => End {
                state: RunState::Failed,
                try_later: matches!(error.class, Class::Retry | Class::Throttle(_)),
                error: Some(error.to_string()),
            },
            Err(WorkError::Store(error)) => return Err(error),
        };
        if run.kind != RunKind::Bootstrap {
            info!(
                corp = self.name,
                run = run.id,
                kind = run.kind.label(),
                state = end.state.label(),
                "a run is over"
            );
        }
        self.write(EndRun { run: run.clone(), end, now: self.now() }).await
    }
}

struct RequestRun {
    corp_id: String,
    kind: RunKind,
    quick: bool,
    now: Timestamp,
}

impl Operation for RequestRun {
    type Output = i64;

    async fn run(&self, conn: &mut Conn) -> Result<i64, StoreError> {
        conn.request_run(&self.corp_id, self.kind, self.quick, self.now).await
    }
}

struct BeginRun {
    run_id: i64,
    now: Timestamp,
}

impl Operation for BeginRun {
    type Output = ();

    async fn run(&self, conn: &mut Conn) -> Result<(), StoreError> {
        conn.begin_run(self.run_id, self.now).await
    }
}

struct AbandonRun {
    run_id: i64,
    now: Timestamp,
}

impl Operation for AbandonRun {
    type Output = ();

    async fn run(&self, conn: &mut Conn) -> Result<(), StoreError> {
        conn.end_run(self.run_id, RunState::Failed, Some("interrupted"), true, self.now).await
    }
}

struct EndRun {
    run: Run,
    end: End,
    now: Timestamp,
}

impl Operation for EndRun {
    type Output = ();

    async fn run(&self, conn: &mut Conn) -> Result<(), StoreError> {
        let End { state, error, try_later } = &self.end;
        let is_reconciled = self.run.kind == RunKind::Reconcile && *state == RunState::Complete;
        if is_reconciled {
            conn.set_reconciled(&self.run.corp_id, self.now).await?;
        }
        conn.end_run(self.run.id, *state, error.as_deref(), *try_later, self.now).await
    }
}
