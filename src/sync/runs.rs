//! Carries out runs, one after the other.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::context::{Context, WorkError};
use crate::dingtalk::Class;
use crate::lifecycle::Pulse;
use crate::store::{BootstrapState, Conn, Operation, Run, RunKind, RunState, StoreError};

/// Another process may have asked for a run: look at least this often.
const LOOK: Duration = Duration::from_millis(500);
const STORE_PAUSE: Duration = Duration::from_secs(1);
const BEAT: Duration = Duration::from_secs(5);

/// Carries out what is asked for until `shutdown`. A run that is interrupted by it is begun again after the next start.
pub(super) async fn carry_out_runs(context: Arc<Context>, shutdown: CancellationToken, pulse: Pulse) {
    let beats = async {
        loop {
            pulse.beat();
            tokio::time::sleep(BEAT).await;
        }
    };
    tokio::select! {
        () = shutdown.cancelled() => {}
        () = beats => {}
        () = carry_out(context) => {}
    }
}

async fn carry_out(context: Arc<Context>) {
    loop {
        match context.next_run().await {
            Ok(Some(run)) => {
                if let Err(error) = context.carry_out(&run).await {
                    warn!(corp = context.name, run = run.id, %error, "a run waits for the database");
                    tokio::time::sleep(STORE_PAUSE).await;
                }
            }
            Ok(None) => tokio::time::sleep(LOOK).await,
            Err(error) => {
                warn!(corp = context.name, %error, "the list of runs cannot be read; waiting for the database");
                tokio::time::sleep(STORE_PAUSE).await;
            }
        }
    }
}

impl Context {
    async fn next_run(&self) -> Result<Option<Run>, StoreError> {
        self.store.reader().await?.next_run(&self.corp_id).await
    }

    /// Asks for a run.
    pub async fn request_run(&self, kind: RunKind, quick: bool) -> Result<i64, StoreError> {
        self.write(RequestRun { corp_id: self.corp_id.clone(), kind, quick, now: self.now() }).await
    }

    /// After a start: pulls everything if that has never been done, else compares everything, because nobody knows what
    /// happened while the daemon was away.
    pub(super) async fn request_first_run(&self) -> Result<(), StoreError> {
        let corp = self.store.reader().await?.corp(&self.corp_id).await?;
        let kind = match corp.map(|corp| corp.bootstrap) {
            Some(BootstrapState::Complete) => RunKind::Reconcile,
            _ => RunKind::Bootstrap,
        };
        let open = self.next_run().await?;
        if open.is_none_or(|open| open.kind != kind) {
            self.request_run(kind, false).await?;
        }
        Ok(())
    }

    /// Carries out one run, in a process that has the database alone.
    pub async fn carry_out_run(&self, run_id: i64) -> Result<(), StoreError> {
        let run = self.store.reader().await?.run(run_id).await?;
        match run {
            Some(run) => self.carry_out(&run).await,
            None => Ok(()),
        }
    }

    async fn carry_out(&self, run: &Run) -> Result<(), StoreError> {
        self.write(BeginRun { run_id: run.id, now: self.now() }).await?;
        let result = match run.kind {
            RunKind::Bootstrap => self.bootstrap(run).await.map(|()| (RunState::Complete, None)),
            RunKind::Reconcile => self.reconcile(run).await,
            RunKind::Verify => self.verify(run).await,
        };
        let mut try_later = false;
        let (state, error) = match result {
            Ok(end) => end,
            Err(WorkError::Api(error)) => {
                try_later = matches!(error.class, Class::Retry | Class::Throttle(_));
                (RunState::Failed, Some(error.to_string()))
            }
            Err(WorkError::Store(error)) => return Err(error),
        };
        if run.kind != RunKind::Bootstrap {
            info!(
                corp = self.name,
                run = run.id,
                kind = run.kind.label(),
                state = state.label(),
                "a run is over"
            );
        }
        let end = EndRun { run: run.clone(), state, error, try_later, now: self.now() };
        self.write(end).await
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

struct EndRun {
    run: Run,
    state: RunState,
    error: Option<String>,
    try_later: bool,
    now: Timestamp,
}

impl Operation for EndRun {
    type Output = ();

    async fn run(&self, conn: &mut Conn) -> Result<(), StoreError> {
        let is_reconciled = self.run.kind == RunKind::Reconcile && self.state == RunState::Complete;
        if is_reconciled {
            conn.set_reconciled(&self.run.corp_id, self.now).await?;
        }
        conn.end_run(self.run.id, self.state, self.error.as_deref(), self.try_later, self.now).await
    }
}
