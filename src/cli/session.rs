//! A command's way to the database: beside a running daemon, which then does what has to read DingTalk, or alone, when
//! the command does that itself.

use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::App;
use super::exit::Failure;
use crate::config::Config;
use crate::lifecycle::Tasks;
use crate::store::{ExclusiveUse, Store, StoreError};
use crate::sync::{Engine, prepare};
use crate::telemetry::Metrics;

/// How the lock file names the daemon.
pub(super) const DAEMON: &str = "serve";
const LOOK: Duration = Duration::from_millis(200);

/// An open database, and the engine on it.
pub(super) struct Session {
    pub(super) store: Store,
    pub(super) engine: Engine,
    tasks: Tasks,
    shutdown: CancellationToken,
    alone: Option<ExclusiveUse>,
}

/// What stands in the lock file.
pub(super) fn holder(command: &str) -> String {
    format!("{command}, process {}", std::process::id())
}

/// Takes the database, unless a daemon has it. Another command that has it is waited for.
pub(super) async fn take_unless_served(
    store: &Store,
    command: &str,
) -> Result<Option<ExclusiveUse>, StoreError> {
    let mut told = false;
    loop {
        match store.take(&holder(command)) {
            Ok(alone) => return Ok(Some(alone)),
            Err(StoreError::InUse { holder, .. }) if holder.starts_with(DAEMON) => return Ok(None),
            Err(StoreError::InUse { holder, .. }) => {
                if !told {
                    info!(holder, "waiting for another command to end");
                    told = true;
                }
                tokio::time::sleep(LOOK).await;
            }
            Err(error) => return Err(error),
        }
    }
}

impl Session {
    /// Opens the database for `command`, with the schema in place.
    pub(super) async fn open(app: &App, config: &Config, command: &str) -> Result<Self, Failure> {
        let (store, writer) = config.database_url.with(Store::open)?;
        let shutdown = CancellationToken::new();
        let mut tasks = Tasks::new(shutdown.clone());
        tasks.spawn("database writer", writer);
        let alone = take_unless_served(&store, command).await?;
        match &alone {
            Some(alone) => store.migrate(alone, app.clock.now()).await?,
            None => {
                let missing = store.missing_migrations().await?;
                if missing > 0 {
                    return Err(StoreError::Schema(format!(
                        "{missing} migrations are missing, but a daemon runs on it: restart the daemon with this version"
                    ))
                    .into());
                }
            }
        }
        let metrics = Metrics::new();
        let engine = Engine::new(config, &store, &app.clock, &app.random, &metrics)?;
        if alone.is_some() {
            prepare(&store, config, app.clock.now()).await?;
        }
        Ok(Self { store, engine, tasks, shutdown, alone })
    }

    /// True where no daemon runs: then this process does its work.
    pub(super) fn is_alone(&self) -> bool {
        self.alone.is_some()
    }

    /// Starts workers, where no daemon has any.
    pub(super) fn work(&mut self) {
        if self.is_alone() {
            self.engine.spawn_workers(&mut self.tasks);
        }
    }

    /// Stops what was started.
    pub(super) async fn close(self) {
        let Self { store, engine, tasks, shutdown, alone } = self;
        shutdown.cancel();
        drop((store, engine));
        if let Err(error) = tasks.wait().await {
            warn!(%error, "the command did not stop cleanly");
        }
        drop(alone);
    }
}
