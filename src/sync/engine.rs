//! Everything that runs for the configured organisations.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use thiserror::Error;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::catch_up::catch_up;
use super::context::Context;
use super::dispatch::dispatch;
use super::held::HeldNotice;
use super::metering::StoredMeter;
use super::permission::FieldPermissions;
use super::retention::keep_retention;
use super::runs::carry_out_runs;
use super::schedule::schedule;
use super::unexpected::Nonsense;
use super::visibility::HiddenDepartments;
use crate::clock::SharedClock;
use crate::config::{self, Config, Corp};
use crate::dingtalk::client::Settings;
use crate::dingtalk::pace::AddressAllowance;
use crate::dingtalk::{Client, TransportError};
use crate::lifecycle::{Pulse, Tasks};
use crate::random::Random;
use crate::store::{Conn, Operation, Store, StoreError};
use crate::telemetry::{CallWatch, Metrics};

/// Why the engine could not be put together.
#[derive(Debug, Error)]
pub enum EngineError {
    /// The HTTP client.
    #[error(transparent)]
    Transport(#[from] TransportError),
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// One context for each organisation with credentials.
#[derive(Debug, Clone)]
pub struct Engine {
    corps: Vec<(Arc<Context>, Corp)>,
    address: Arc<AddressAllowance>,
    retention: config::Retention,
}

impl Engine {
    /// Puts the engine together, without starting anything.
    pub fn new(
        config: &Config,
        store: &Store,
        clock: &SharedClock,
        random: &Random,
        metrics: &Metrics,
    ) -> Result<Self, EngineError> {
        Self::put_together(config, store, (clock, random), metrics, true)
    }

    /// The same for a preflight, which finds out what else is wrong with a database that cannot count metered calls.
    pub fn for_preflight(
        config: &Config,
        store: &Store,
        clock: &SharedClock,
        random: &Random,
        metrics: &Metrics,
    ) -> Result<Self, EngineError> {
        Self::put_together(config, store, (clock, random), metrics, false)
    }

    fn put_together(
        config: &Config,
        store: &Store,
        (clock, random): (&SharedClock, &Random),
        metrics: &Metrics,
        counts_strictly: bool,
    ) -> Result<Self, EngineError> {
        let address = Arc::new(AddressAllowance::new(config.address_calls_per_20s));
        let mut corps = Vec::new();
        for corp in &config.corps {
            let Some(application) = &corp.application else { continue };
            let settings = Settings {
                hosts: corp.hosts.clone(),
                app_key: application.app_key.clone(),
                app_secret: application.app_secret.clone(),
                requests_per_second: corp.requests_per_second,
                calls_in_flight: corp.calls_in_flight,
            };
            let observer = Arc::new(CallWatch { metrics: metrics.clone(), corp: corp.name.clone() });
            let meter = Arc::new(StoredMeter {
                corp_id: corp.corp_id.clone(),
                store: store.clone(),
                clock: Arc::clone(clock),
                limit: Some(corp.metered_calls_per_month).filter(|&limit| limit > 0),
                is_strict: counts_strictly,
            });
            let clock = Arc::clone(clock);
            let client = Client::new(
                settings,
                Arc::clone(&address),
                Arc::clone(&clock),
                random.clone(),
                observer,
                meter,
            )?;
            let context = Context {
                corp_id: corp.corp_id.clone(),
                name: corp.name.clone(),
                client,
                store: store.clone(),
                clock,
                random: random.clone(),
                guard: config.guard,
                metrics: metrics.clone(),
                has_workers: AtomicBool::new(false),
                wake: Arc::new(Notify::new()),
                permissions: FieldPermissions::default(),
                nonsense: Nonsense::default(),
                hidden: HiddenDepartments::default(),
                held_told: HeldNotice::default(),
            };
            corps.push((Arc::new(context), corp.clone()));
        }
        Ok(Self { corps, address, retention: config.retention })
    }

    /// The contexts, in the order of the organisations' names.
    pub fn contexts(&self) -> impl Iterator<Item = &Arc<Context>> {
        self.corps.iter().map(|(context, _)| context)
    }

    /// The context of the organisation with this name.
    pub fn context(&self, name: &str) -> Option<&Arc<Context>> {
        self.contexts().find(|context| context.name == name)
    }

    /// Starts the workers of every organisation, after `delay`: those of other processes may have to make room first.
    pub fn spawn_workers(&self, tasks: &mut Tasks, delay: Duration) {
        for context in self.contexts() {
            let name = format!("workers of {}", context.name);
            let pulse = tasks.pulse(&name);
            let shutdown = tasks.shutdown();
            context.has_workers.store(true, Ordering::Relaxed);
            let context = Arc::clone(context);
            tasks.spawn(name, async move {
                tokio::select! {
                    () = tokio::time::sleep(delay) => {}
                    () = shutdown.cancelled() => {}
                }
                dispatch(context, shutdown, pulse).await;
            });
        }
    }

    /// Divides the allowance of calls by so many processes.
    pub fn share(&self, processes: usize) {
        self.address.share(processes);
        self.contexts().for_each(|context| context.client.share(processes));
    }

    /// What only one process may do, for every organisation: runs, schedules, catching up, tidying up. Ends when `term` does.
    pub(super) fn lead(
        &self,
        reconcile: config::Reconcile,
        term: &CancellationToken,
        pulse: &Pulse,
    ) -> JoinSet<()> {
        let mut tasks = JoinSet::new();
        let contexts = self.contexts().cloned().collect();
        tasks.spawn(keep_retention(contexts, self.retention, term.clone(), pulse.clone()));
        for (context, corp) in &self.corps {
            tasks.spawn(carry_out_runs(Arc::clone(context), term.clone(), pulse.clone()));
            let takes_callbacks = corp.callback.is_some();
            tasks.spawn(catch_up(Arc::clone(context), takes_callbacks, term.clone(), pulse.clone()));
            let context = Arc::clone(context);
            tasks.spawn(schedule(context, reconcile, takes_callbacks, term.clone(), pulse.clone()));
        }
        tasks
    }
}

/// Makes the configured organisations known to the database. Whoever has it alone tidies up behind processes that died:
/// voids their leases, completes what they put off.
pub async fn prepare(store: &Store, config: &Config, now: Timestamp) -> Result<(), StoreError> {
    let corps = config.corps.iter().map(|corp| (corp.corp_id.clone(), corp.name.clone())).collect();
    store.write(Prepare { corps, is_alone: !store.is_shared(), now }).await.map(drop)
}

struct Prepare {
    corps: Vec<(String, String)>,
    is_alone: bool,
    now: Timestamp,
}

impl Operation for Prepare {
    type Output = ();

    async fn run(&self, conn: &mut Conn) -> Result<(), StoreError> {
        for (corp_id, name) in &self.corps {
            conn.register_corp(corp_id, name, self.now).await?;
        }
        if !self.is_alone {
            return Ok(());
        }
        for (corp_id, _) in &self.corps {
            conn.set_details_wait(corp_id, false).await?;
        }
        let configured: Vec<&str> = self.corps.iter().map(|(corp_id, _)| corp_id.as_str()).collect();
        conn.give_up_other_pulls(&configured, self.now).await?;
        conn.void_leases(self.now).await?;
        conn.end_filling().await
    }
}
