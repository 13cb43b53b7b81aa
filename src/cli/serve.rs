//! `dingsync serve`

use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use clap::{Args, ValueEnum};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tower::Service;
use tracing::{info, warn};

use super::exit::{Exit, Failure};
use super::session::{DAEMON, holder, replica};
use super::{App, stop_on_signals};
use crate::answers::Filling;
use crate::apply::{Applier, keep_applying};
use crate::clock::SharedClock;
use crate::config::{Config, Needs};
use crate::dingtalk::crypto::AesKey;
use crate::dingtalk::robot::Robot;
use crate::http::{self, Limits};
use crate::lifecycle::{Pulse, Tasks, tell_service_manager};
use crate::notice::{Post, tell};
use crate::ops;
use crate::receive::{self, CallbackEndpoint, Callbacks, Door, Gaps, InboxStats, Wakes, watch_gaps};
use crate::replicas::{DatabaseClock, Membership};
use crate::secret::Secret;
use crate::store::{ExclusiveUse, Store, StoreError};
use crate::sync::{Engine, classify, lead, prepare};
use crate::telemetry::Metrics;

const DATABASE_PAUSE: Duration = Duration::from_millis(500);
/// Before a newcomer works, the others have heard of it and given it its share.
const MAKING_ROOM: Duration = Duration::from_millis(2_500);
/// How often the log says again what is waited for.
const REMINDER: Duration = Duration::from_secs(30);
/// How often files that hold secrets are looked at.
const SECRETS_LOOK: Duration = Duration::from_secs(2);

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

/// Those of the organisations that fill an OA.
fn appliers(config: &Config, store: &Store, clock: &SharedClock) -> Result<Vec<Applier>, Failure> {
    let mut appliers = Vec::new();
    for corp in &config.corps {
        appliers.extend(Applier::of(corp, store, clock)?);
    }
    Ok(appliers)
}

/// The callbacks' routes, once there is a database behind them.
type Gate = Arc<OnceLock<Router>>;

pub(super) async fn serve(app: App, args: ServeArgs) -> Result<Exit, Failure> {
    let needs = match args.only {
        Some(Half::Receive) => Needs::CallbacksAlone,
        Some(Half::Work) | None => Needs::Credentials,
    };
    let config = app.config(needs)?;
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

    /// Takes the database if it is to be had. A second daemon is refused; a command that has it will end.
    fn take_database(&self) -> Result<Option<ExclusiveUse>, StoreError> {
        match self.store.take(&holder(DAEMON)) {
            Ok(alone) => Ok(Some(alone)),
            Err(error @ StoreError::InUse { .. }) if !will_end(&error) => Err(error),
            Err(_) => Ok(None),
        }
    }

    async fn listen_for_operators(&mut self) -> Result<SocketAddr, Failure> {
        let (listener, address) = bind(&self.config.ops.listen, "ops.listen").await?;
        info!(%address, "health, metrics and status");
        let corps = self.config.corps.iter().map(|corp| ops::Corp {
            name: corp.name.clone(),
            corp_id: corp.corp_id.clone(),
            context: self.engine.as_ref().and_then(|engine| engine.context(&corp.name)).cloned(),
            metered_calls_per_month: corp.metered_calls_per_month,
            inbox: self.inboxes.get(&corp.name).cloned().unwrap_or_default(),
            filling: self.appliers.iter().find(|applier| applier.corp == corp.name).map(Filling::from),
        });
        let router = ops::router(ops::Ops {
            corps: corps.collect(),
            store: self.store.clone(),
            in_place: Arc::clone(&self.in_place),
            pulses: self.tasks.pulses(),
            metrics: self.metrics.clone(),
            tokens: self.config.ops.tokens.clone(),
            listen: self.config.ops.listen.clone(),
            hosts: self.config.ops.hosts.clone(),
            stopping: self.tasks.shutdown(),
            clock: Arc::clone(&self.clock),
        });
        let limits = Limits { drain: Duration::from_secs(1), ..Limits::default() };
        let serving = http::serve(listener, router, limits, self.closing.clone());
        self.tasks.spawn("operators' listener", serving);
        Ok(address)
    }

    /// Opens the public listener. Until the database is in place, callbacks are told to come again.
    async fn listen_for_callbacks(&mut self) -> Result<SocketAddr, Failure> {
        let (listener, address) = bind(&self.config.server.listen, "server.listen").await?;
        for corp in &self.config.corps {
            let path = format!("/dingtalk/{}/callback", corp.name);
            match corp.callback {
                Some(_) => info!(corp = corp.name, %address, path, "callbacks"),
                None => info!(corp = corp.name, "takes no callbacks: no callback_token is configured"),
            }
        }
        let router = Router::new().fallback(through_gate).with_state(Arc::clone(&self.gate));
        let limits = Limits { connections: self.config.server.connections, ..Limits::default() };
        let serving = http::serve(listener, router, limits, self.closing.clone());
        self.tasks.spawn("callback listener", serving);
        Ok(address)
    }

    /// Waits until the database is there, has its schema, and knows the organisations.
    async fn place_database(&self, mut taken: Option<ExclusiveUse>) -> Result<ExclusiveUse, StoreError> {
        let mut told: Option<Instant> = None;
        loop {
            let error = match self.try_to_place(&mut taken).await {
                Err(error) if error.outage().is_some() || will_end(&error) => error,
                result => return result,
            };
            if told.is_none_or(|told| told.elapsed() > REMINDER) {
                warn!(%error, "waiting for the database; callbacks are refused with 503 until then");
                told = Some(Instant::now());
            }
            tokio::time::sleep(DATABASE_PAUSE).await;
        }
    }

    async fn try_to_place(&self, taken: &mut Option<ExclusiveUse>) -> Result<ExclusiveUse, StoreError> {
        let alone = match taken.take() {
            Some(alone) => alone,
            None => self.store.take(&holder(DAEMON))?,
        };
        let now = self.app.clock.now();
        if self.args.no_migrate {
            let missing = self.store.missing_migrations().await?;
            if missing > 0 {
                return Err(StoreError::Schema(format!(
                    "{missing} migrations are missing: run `dingsync migrate`, or start without --no-migrate"
                )));
            }
        } else {
            self.store.migrate(&alone, now).await?;
        }
        prepare(&self.store, &self.config, now).await?;
        if let Some(membership) = &self.membership {
            membership.beat().await?;
        }
        Ok(alone)
    }

    /// Starts everything that needs the database.
    fn start_behind_database(&mut self) {
        for corp in &self.config.corps {
            self.metrics.introduce(&corp.name, receive::CALLBACK_RESULTS);
        }
        if self.args.only != Some(Half::Work) {
            self.open_gate();
        }
        let leads = self.join_others();
        let leading_too = leads.clone();
        let tasks = &mut self.tasks;
        if let Some(engine) = &self.engine {
            let has_others = |membership: &Membership| !membership.view().borrow().others.is_empty();
            let delay =
                if self.membership.as_ref().is_some_and(has_others) { MAKING_ROOM } else { Duration::ZERO };
            engine.spawn_workers(tasks, delay);
            let pulse = tasks.pulse("lead");
            let reconcile = self.config.reconcile;
            let leading = lead(
                engine.clone(),
                reconcile,
                self.membership.clone(),
                leads,
                self.metrics.clone(),
                tasks.shutdown(),
                pulse,
            );
            tasks.spawn("lead", leading);
            for corp in &self.config.corps {
                let Some((robot, context)) = corp.robot.as_ref().zip(engine.context(&corp.name)) else {
                    continue;
                };
                let robot = Robot::new(robot.webhook.clone(), robot.secret.clone());
                let name = format!("notices of {}", corp.name);
                let (pulse, shutdown) = (tasks.pulse(&name), tasks.shutdown());
                let post = Post { context: Arc::clone(context), robot, fills_oa: corp.apply.is_some() };
                tasks.spawn(name, tell(post, leading_too.clone(), shutdown, pulse));
            }
        }
        for applier in self.appliers.drain(..).filter(|_| self.engine.is_some()) {
            let name = format!("OA tables of {}", applier.corp);
            let (pulse, shutdown) = (tasks.pulse(&name), tasks.shutdown());
            tasks.spawn(name, keep_applying(applier, leading_too.clone(), shutdown, pulse));
        }
        let pulse = tasks.pulse("secrets");
        let secrets = self.config.secrets_in_files();
        tasks.spawn("secrets", watch_secrets(secrets, tasks.shutdown(), pulse));
        self.in_place.store(true, Ordering::Release);
        info!("ready");
    }

    /// Shows the others that this process is there, and keeps to its share of the calls. Brings whether it leads.
    fn join_others(&mut self) -> watch::Receiver<bool> {
        let Some(membership) = self.membership.clone() else { return watch::channel(true).1 };
        let (leads, leading) = watch::channel(false);
        let mut view = membership.view();
        let (engine, tasks) = (self.engine.clone(), &mut self.tasks);
        let (shutdown, pulse) = (tasks.shutdown(), tasks.pulse("membership"));
        tasks.spawn("membership", membership.live(shutdown.clone(), pulse));
        tasks.spawn("share", async move {
            loop {
                let seen = view.borrow_and_update().clone();
                if let Some(engine) = &engine {
                    engine.share(seen.working);
                }
                leads.send_replace(seen.leads);
                tokio::select! {
                    Ok(()) = view.changed() => {}
                    () = shutdown.cancelled() => return,
                    else => return,
                }
            }
        });
        leading
    }

    /// Lets callbacks through to the database.
    fn open_gate(&mut self) {
        let wakes: Wakes = self
            .engine
            .iter()
            .flat_map(Engine::contexts)
            .map(|context| (context.corp_id.clone(), Arc::clone(&context.wake)))
            .collect();
        let (door, arrivals) = Door::open();
        self.tasks.spawn("inbox", arrivals.commit(self.store.clone(), Arc::clone(&self.clock), wakes));
        let endpoints: HashMap<String, CallbackEndpoint> = self
            .config
            .corps
            .iter()
            .filter_map(|corp| {
                let stats = self.inboxes.get(&corp.name).cloned().unwrap_or_default();
                Some((corp.name.clone(), CallbackEndpoint::of(corp, stats)?))
            })
            .collect();
        let gaps = Gaps::default();
        let watching = watch_gaps(
            gaps.clone(),
            endpoints.values().cloned().collect(),
            self.store.clone(),
            (Arc::clone(&self.clock), self.clock.now()),
            self.tasks.shutdown(),
            self.tasks.pulse("gaps"),
        );
        self.tasks.spawn("gaps", watching);
        let callbacks = receive::router(Callbacks {
            excluded: Arc::clone(self.store.excluded()),
            endpoints,
            classify,
            door,
            gaps,
            clock: Arc::clone(&self.app.clock),
            random: self.app.random.clone(),
            metrics: self.metrics.clone(),
        });
        // Set once, here.
        drop(self.gate.set(callbacks));
    }
}

/// Closes the listeners some time after the stop has begun.
async fn close_later(shutdown: CancellationToken, delay: Duration, closing: CancellationToken) {
    shutdown.cancelled().await;
    tokio::time::sleep(delay).await;
    closing.cancel();
}

/// Whether a command has the database, which it gives back.
fn will_end(error: &StoreError) -> bool {
    matches!(error, StoreError::InUse { holder, .. } if !holder.starts_with(DAEMON))
}

async fn bind(address: &str, key: &str) -> Result<(TcpListener, SocketAddr), Failure> {
    let bound = async {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        Ok((listener, address))
    };
    bound.await.map_err(|error: std::io::Error| {
        Failure::failed(anyhow::Error::new(error).context(format!("`{key}`: cannot listen on {address}")))
    })
}

async fn through_gate(State(gate): State<Gate>, request: Request) -> Response {
    match gate.get() {
        Some(router) => router.clone().call(request).await.into_response(),
        None => StatusCode::SERVICE_UNAVAILABLE.into_response(),
    }
}

/// Takes over secrets whose files change.
async fn watch_secrets(secrets: Vec<(String, Secret)>, shutdown: CancellationToken, pulse: Pulse) {
    let mut unreadable = HashSet::new();
    loop {
        pulse.beat();
        tokio::select! {
            () = tokio::time::sleep(SECRETS_LOOK) => {}
            () = shutdown.cancelled() => return,
        }
        for (key, secret) in &secrets {
            let refreshed = secret.refresh();
            if refreshed.is_ok() {
                unreadable.remove(key);
            }
            match refreshed {
                Ok(false) => {}
                Ok(true) => {
                    info!(key, "a secret's file changed, and its new content is used");
                    let is_key = key.contains("aes_key");
                    if let Some(Err(error)) = is_key.then(|| secret.with(AesKey::parse)) {
                        warn!(key, %error, "the new content is no AES key; callbacks are refused until it is one");
                    }
                }
                Err(error) => {
                    if unreadable.insert(key) {
                        warn!(key, %error, "a secret's file cannot be read; the earlier content is used");
                    }
                }
            }
        }
    }
}
