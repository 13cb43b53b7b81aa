//! `dingsync serve`

mod behind;
mod database;
mod listeners;
mod secrets;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use clap::{Args, ValueEnum};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use self::listeners::{Gate, close_later};
use super::exit::{Exit, Failure};
use super::session::{DAEMON, replica};
use super::{App, stop_on_signals};
use crate::apply::Applier;
use crate::clock::SharedClock;
use crate::config::{Config, Needs, OpsToken};
use crate::lifecycle::{Tasks, tell_service_manager};
use crate::receive::InboxStats;
use crate::replicas::{DatabaseClock, Membership};
use crate::store::{ExclusiveUse, Store};
use crate::sync::Engine;
use crate::telemetry::Metrics;

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Half {
    /// Take callbacks and leave the work to another process; needs no `app_secret`
    Receive,
    /// Do the work and leave the callbacks to another process
    Work,
}

#[derive(Debug, Default, Args)]
pub(super) struct ServeArgs {
    /// Do only one half of the daemon's work
    #[arg(long, value_name = "HALF")]
    only: Option<Half>,
    /// Leave the schema alone, and refuse to start when migrations are missing
    #[arg(long)]
    no_migrate: bool,
}

/// The parts of a daemon, before they run.
pub(super) struct Daemon<'app> {
    app: &'app App,
    args: ServeArgs,
    config: Config,
    pub(super) store: Store,
    metrics: Metrics,
    clock: SharedClock,
    /// `None` on an embedded file, which this process has alone.
    membership: Option<Membership>,
    /// `None` in a process that only receives.
    pub(super) engine: Option<Engine>,
    /// In a process that only receives they run nowhere, but their state is shown.
    appliers: Vec<Applier>,
    inboxes: HashMap<String, Arc<InboxStats>>,
    in_place: Arc<AtomicBool>,
    /// When the listeners close: some time after the stop has begun.
    closing: CancellationToken,
    gate: Gate,
    tasks: Tasks,
}

/// A daemon whose parts run.
pub(super) struct Running {
    /// Where operators look.
    pub(super) ops: SocketAddr,
    /// What DingTalk reaches; `None` in a process that only works.
    pub(super) callbacks: Option<SocketAddr>,
    tasks: Tasks,
    /// `None` if the shutdown came before the database was in place.
    alone: Option<ExclusiveUse>,
}

impl Running {
    /// Waits for the shutdown, and for the end of everything after it.
    pub(super) async fn wait(self) -> Result<(), Failure> {
        self.tasks.wait().await?;
        info!("stopped");
        drop(self.alone);
        Ok(())
    }
}

pub(super) async fn serve(app: App, args: ServeArgs) -> Result<Exit, Failure> {
    let needs = match args.only {
        Some(Half::Receive) => Needs::CallbacksAlone,
        Some(Half::Work) | None => Needs::Credentials,
    };
    let config = app.config(needs)?;
    for text in config.ops.tokens.iter().flat_map(OpsToken::concerns) {
        warn!("{text}");
    }
    let shutdown = CancellationToken::new();
    tokio::spawn(stop_on_signals(shutdown.clone()));
    Daemon::new(&app, args, config, shutdown)?.start().await?.wait().await?;
    Ok(Exit::Done)
}

impl<'app> Daemon<'app> {
    /// A daemon that has not touched anything yet; it stops when `shutdown` is cancelled.
    pub(super) fn new(
        app: &'app App,
        args: ServeArgs,
        config: Config,
        shutdown: CancellationToken,
    ) -> Result<Self, Failure> {
        let (store, writer) = config.database_url.with(Store::open)?;
        let store = store.excluding(config.exclude_fields.clone());
        let mut tasks = Tasks::new(shutdown);
        tasks.spawn("database writer", writer);
        let metrics = Metrics::new();
        let works = args.only != Some(Half::Receive);
        let (clock, membership) = if store.is_shared() {
            let clock = Arc::new(DatabaseClock::new(Arc::clone(&app.clock)));
            let replica = replica(app, DAEMON, works);
            let membership = Membership::new(store.clone(), replica, Arc::clone(&clock), works);
            (clock as SharedClock, Some(membership))
        } else {
            (Arc::clone(&app.clock), None)
        };
        let engine =
            if works { Some(Engine::new(&config, &store, &clock, &app.random, &metrics)?) } else { None };
        let appliers = appliers(&config, &store, &clock)?;
        let inboxes = config.corps.iter().map(|corp| (corp.name.clone(), Arc::default())).collect();
        Ok(Self {
            app,
            args,
            config,
            store,
            metrics,
            clock,
            membership,
            engine,
            appliers,
            inboxes,
            in_place: Arc::default(),
            closing: CancellationToken::new(),
            gate: Gate::default(),
            tasks,
        })
    }

    /// Starts everything, and comes back when callbacks are taken.
    pub(super) async fn start(mut self) -> Result<Running, Failure> {
        let shutdown = self.tasks.shutdown();
        // Before the listeners: a second daemon is to hear of the first one, not of a port in use.
        let taken = self.take_database()?;
        let ops = self.listen_for_operators().await?;
        let callbacks = match self.args.only {
            Some(Half::Work) => None,
            Some(Half::Receive) | None => Some(self.listen_for_callbacks().await?),
        };
        self.tasks.spawn(
            "closing",
            close_later(shutdown.clone(), self.config.server.shutdown_delay, self.closing.clone()),
        );
        let telling = tell_service_manager(self.tasks.pulses(), shutdown.clone());
        self.tasks.spawn("service manager", telling);
        let alone = tokio::select! {
            alone = self.place_database(taken) => Some(alone?),
            () = shutdown.cancelled() => None,
        };
        if alone.is_some() {
            self.start_behind_database();
        }
        Ok(Running { ops, callbacks, tasks: self.tasks, alone })
    }
}

/// Those of the organisations that fill an OA.
fn appliers(config: &Config, store: &Store, clock: &SharedClock) -> Result<Vec<Applier>, Failure> {
    let mut appliers = Vec::new();
    for corp in &config.corps {
        let Some(applier) = Applier::of(corp, config.guard, store, clock)? else { continue };
        for text in applier.left_empty() {
            warn!(corp = corp.name, "apply.{}: {text}", applier.mapping.name);
        }
        appliers.push(applier);
    }
    Ok(appliers)
}
