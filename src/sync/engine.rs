//! Everything that runs for the configured organisations.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use jiff::Timestamp;
use thiserror::Error;
use tokio::sync::Notify;

use super::context::Context;
use super::dispatch::dispatch;
use super::permission::FieldPermissions;
use super::runs::carry_out_runs;
use super::schedule::schedule;
use super::unexpected::Nonsense;
use super::visibility::HiddenDepartments;
use crate::clock::SharedClock;
use crate::config::{Config, Corp};
use crate::dingtalk::client::Settings;
use crate::dingtalk::pace::AddressAllowance;
use crate::dingtalk::{Client, TransportError};
use crate::lifecycle::Tasks;
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
            let client =
                Client::new(settings, Arc::clone(&address), Arc::clone(clock), random.clone(), observer)?;
            let context = Context {
                corp_id: corp.corp_id.clone(),
                name: corp.name.clone(),
                client,
                store: store.clone(),
                clock: Arc::clone(clock),
                random: random.clone(),
                guard: config.guard,
                metrics: metrics.clone(),
                pulling: AtomicBool::new(false),
                has_workers: AtomicBool::new(false),
                wake: Arc::new(Notify::new()),
                permissions: FieldPermissions::default(),
                nonsense: Nonsense::default(),
                hidden: HiddenDepartments::default(),
            };
            corps.push((Arc::new(context), corp.clone()));
        }
        Ok(Self { corps })
    }

    /// The contexts, in the order of the organisations' names.
    pub fn contexts(&self) -> impl Iterator<Item = &Arc<Context>> {
        self.corps.iter().map(|(context, _)| context)
    }

    /// The context of the organisation with this name.
    pub fn context(&self, name: &str) -> Option<&Arc<Context>> {
        self.contexts().find(|context| context.name == name)
    }

    /// Asks for what a daemon does first: a pull, or a comparison that makes up for its absence.
    pub async fn request_first_runs(&self) -> Result<(), StoreError> {
        for context in self.contexts() {
            context.request_first_runs().await?;
        }
        Ok(())
    }

    /// Starts the workers of every organisation.
    pub fn spawn_workers(&self, tasks: &mut Tasks) {
        for context in self.contexts() {
            let name = format!("workers of {}", context.name);
            let pulse = tasks.pulse(&name);
            let shutdown = tasks.shutdown();
            context.has_workers.store(true, Ordering::Relaxed);
            tasks.spawn(name, dispatch(Arc::clone(context), shutdown, pulse));
        }
    }

    /// Starts what carries out runs, for every organisation.
    pub fn spawn_runs(&self, tasks: &mut Tasks) {
        for context in self.contexts() {
            let name = format!("runs of {}", context.name);
            let pulse = tasks.pulse(&name);
            let shutdown = tasks.shutdown();
            tasks.spawn(name, carry_out_runs(Arc::clone(context), shutdown, pulse));
        }
    }

    /// Starts the schedules.
    pub fn spawn_schedules(&self, tasks: &mut Tasks, config: &Config) {
        for (context, corp) in &self.corps {
            let name = format!("schedule of {}", context.name);
            let pulse = tasks.pulse(&name);
            let shutdown = tasks.shutdown();
            let takes_callbacks = corp.callback.is_some();
            tasks.spawn(
                name,
                schedule(Arc::clone(context), config.reconcile, takes_callbacks, shutdown, pulse),
            );
        }
    }
}

/// Makes the configured organisations known to the database, and tidies up behind processes that died: voids their
/// leases, completes what they put off. Only for whoever has the database alone.
pub async fn prepare(store: &Store, config: &Config, now: Timestamp) -> Result<(), StoreError> {
    let corps = config.corps.iter().map(|corp| (corp.corp_id.clone(), corp.name.clone())).collect();
    store.write(Prepare { corps, now }).await.map(drop)
}

struct Prepare {
    corps: Vec<(String, String)>,
    now: Timestamp,
}

impl Operation for Prepare {
    type Output = ();

    async fn run(&self, conn: &mut Conn) -> Result<(), StoreError> {
        for (corp_id, name) in &self.corps {
            conn.register_corp(corp_id, name, self.now).await?;
        }
        let configured: Vec<&str> = self.corps.iter().map(|(corp_id, _)| corp_id.as_str()).collect();
        conn.give_up_other_pulls(&configured, self.now).await?;
        conn.void_leases(self.now).await?;
        conn.end_filling().await
    }
}
