//! A command's way to the database: beside a running daemon, which then does what has to read DingTalk, or alone, when
//! the command does that itself.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use jiff::Timestamp;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::App;
use super::exit::Failure;
use super::subject::several_corps;
use crate::clock::SharedClock;
use crate::config::Config;
use crate::lifecycle::Tasks;
use crate::replicas::{DatabaseClock, Membership, SILENCE};
use crate::store::{ExclusiveUse, Replica, Store, StoreError};
use crate::sync::{Context, Engine, prepare};
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

/// What a process says of itself to the others on a server.
pub(super) fn replica(app: &App, command: &str, works: bool) -> Replica {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let host = if host.trim().is_empty() { "this machine" } else { host.trim() };
    let holder = format!("{} on {host}", holder(command));
    Replica { id: (app.random.number() >> 1) as i64, holder, works }
}

/// What stands in the lock file.
pub(super) fn holder(command: &str) -> String {
    format!("{command}, process {}", std::process::id())
}

/// Takes a file, unless a daemon has it; a server is for everybody. Another command that has it is waited for.
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

/// On a server: leads, unless a daemon with workers runs there. Another command that leads is waited for.
async fn lead_unless_served(
    app: &App,
    store: &Store,
    clock: &Arc<DatabaseClock>,
    command: &str,
    tasks: &mut Tasks,
) -> Result<bool, StoreError> {
    let is_daemon = |replica: &Replica| replica.works && replica.holder.starts_with(DAEMON);
    if a_daemon_lives(store, is_daemon).await? {
        return Ok(false);
    }
    let membership = Membership::new(store.clone(), replica(app, command, true), Arc::clone(clock), true);
    let mut told = false;
    loop {
        let view = membership.beat().await?;
        if view.leads {
            let (shutdown, pulse) = (tasks.shutdown(), tasks.pulse("membership"));
            tasks.spawn("membership", membership.live(shutdown, pulse));
            return Ok(true);
        }
        if view.others.iter().any(is_daemon) {
            membership.leave().await;
            return Ok(false);
        }
        if !told {
            let holder = view.leader.map(|leader| leader.holder);
            info!(holder, "waiting for another command to end");
            told = true;
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// Whether a daemon shows signs of life. One that died a moment ago may still stand there: it has to show another one.
async fn a_daemon_lives(store: &Store, is_daemon: impl Fn(&Replica) -> bool) -> Result<bool, StoreError> {
    let look = async || {
        let mut reader = store.reader().await?;
        let now = reader.database_now().await?;
        let mut replicas = reader.replicas(now - SILENCE).await?;
        replicas.retain(|(replica, _)| is_daemon(replica));
        Ok::<_, StoreError>(replicas)
    };
    let known = look().await?;
    loop {
        let replicas = look().await?;
        if replicas.is_empty() {
            return Ok(false);
        }
        let is_news = |(replica, heard): &(Replica, Timestamp)| {
            known.iter().all(|(other, before)| other.id != replica.id || before < heard)
        };
        if replicas.iter().any(is_news) {
            return Ok(true);
        }
        tokio::time::sleep(LOOK).await;
    }
}

impl Session {
    /// Opens a database that was made before, with its schema brought up to date.
    pub(super) async fn open(app: &App, config: &Config, command: &str) -> Result<Self, Failure> {
        let (store, writer) = config.database_url.with(Store::open)?;
        store.expect_mirror().await?;
        Self::place(app, config, command, (store, writer)).await
    }

    /// The same, and makes it where it is not there.
    pub(super) async fn open_or_make(app: &App, config: &Config, command: &str) -> Result<Self, Failure> {
        let opened = config.database_url.with(Store::open)?;
        Self::place(app, config, command, opened).await
    }

    async fn place(
        app: &App,
        config: &Config,
        command: &str,
        (store, writer): (Store, BoxFuture<'static, ()>),
    ) -> Result<Self, Failure> {
        let store = store.excluding(config.exclude_fields.clone());
        let shutdown = CancellationToken::new();
        let mut tasks = Tasks::new(shutdown.clone());
        tasks.spawn("database writer", writer);
        let clock = Arc::new(DatabaseClock::new(Arc::clone(&app.clock)));
        let taken = take_unless_served(&store, command).await?;
        match &taken {
            Some(alone) => {
                store.migrate(alone, app.clock.now()).await?;
                prepare(&store, config, app.clock.now()).await?;
            }
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
        let is_served =
            store.is_shared() && !lead_unless_served(app, &store, &clock, command, &mut tasks).await?;
        let alone = taken.filter(|_| !is_served);
        let metrics = Metrics::new();
        let clock = if store.is_shared() { clock as SharedClock } else { Arc::clone(&app.clock) };
        let engine = Engine::new(config, &store, &clock, &app.random, &metrics)?;
        Ok(Self { store, engine, tasks, shutdown, alone })
    }

    /// The only organisation that is configured, or named by `--corp`.
    pub(super) fn only_context(&self) -> Result<Arc<Context>, Failure> {
        let mut contexts = self.engine.contexts();
        match (contexts.next(), contexts.next()) {
            (Some(context), None) => Ok(Arc::clone(context)),
            _ => Err(several_corps()),
        }
    }

    /// True where no daemon runs: then this process does its work.
    pub(super) fn is_alone(&self) -> bool {
        self.alone.is_some()
    }

    /// Starts workers, where no daemon has any.
    pub(super) fn work(&mut self) {
        if self.is_alone() {
            self.engine.spawn_workers(&mut self.tasks, Duration::ZERO);
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
