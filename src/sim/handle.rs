//! A running simulator, and everything that can be done with it.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, RwLock};
use std::time::Duration;

use rand::SeedableRng as _;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::{broadcast, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use url::Url;

use super::api::robot;
use super::app::{App, AppSettings};
use super::apply::World;
use super::change::{Change, ChangeError, Happening};
use super::control;
use super::counters::CallCounters;
use super::faults::{Faults, merge};
use super::generate::{self, Size};
use super::life::{Life, Plan};
use super::names::Random;
use super::options::{Counters, Credentials, LifeCount, Options, StartError, Status};
use super::push::{PushFailure, PushSettings, Pusher, Subscription};
use super::state::{Parts, Shared};
use super::sync::{Dice, lock, read, write};
use super::time::SimClock;
use super::truth::{self, Lines};
use crate::clock::SharedClock;
use crate::dingtalk::crypto::{AesKey, AesKeyError};
use crate::http::{Limits, serve};

/// A running simulator. Clones are handles to the same one; [`Sim::stop`] ends it.
#[derive(Debug, Clone)]
pub struct Sim(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    pub(super) shared: Arc<Shared>,
    address: SocketAddr,
    keys: RwLock<Keys>,
    tasks: TaskTracker,
    /// Ends the runs of random changes that are under way.
    end_life: Mutex<CancellationToken>,
    running: watch::Sender<usize>,
    made: AtomicU64,
    refused: AtomicU64,
}

#[derive(Debug)]
struct Keys {
    credentials: Credentials,
    aes_key: AesKey,
}

impl Sim {
    /// Makes an organisation and serves it.
    pub async fn start(options: Options, clock: SharedClock) -> Result<Self, StartError> {
        // Whoever installed a provider before has made the choice.
        let _already_installed = rustls::crypto::ring::default_provider().install_default();
        let aes_key = AesKey::parse(&options.credentials.callback_aes_key)?;
        let size = Size { users: options.users, departments: options.departments };
        let organisation = generate::organisation(size, options.seed, &options.organisation);
        // Separate sources, so that how many calls were made does not change what happens in the organisation.
        let world = World::new(organisation, Random::seed_from_u64(options.seed.wrapping_add(1)));
        let dice = Dice::new(options.seed.wrapping_add(2));
        let clock = SimClock::new(clock);
        let credentials = options.credentials;
        let pusher = Pusher::new(
            clock.clone(),
            dice.clone(),
            credentials.corp_id.clone(),
            credentials.app_key.clone(),
            options.push,
        )?;
        let shared = Arc::new(Shared::new(Parts {
            corp_id: credentials.corp_id.clone(),
            clock,
            dice,
            world,
            app: App {
                key: credentials.app_key.clone(),
                secret: credentials.app_secret.clone(),
                settings: options.app,
            },
            rate: options.rate,
            pusher,
        }));
        let listen = |source| StartError::Listen { address: options.listen, source };
        let listener = TcpListener::bind(options.listen).await.map_err(listen)?;
        let address = listener.local_addr().map_err(listen)?;
        let sim = Self(Arc::new(Inner {
            shared,
            address,
            keys: RwLock::new(Keys { credentials, aes_key }),
            tasks: TaskTracker::new(),
            end_life: Mutex::default(),
            running: watch::Sender::new(0),
            made: AtomicU64::new(0),
            refused: AtomicU64::new(0),
        }));
        sim.set_callback(options.callback);
        let limits =
            Limits { connections: 4096, header: Duration::from_mins(1), drain: Duration::from_millis(200) };
        let router = control::router(sim.clone());
        sim.0.tasks.spawn(serve(listener, router, limits, sim.0.shared.stop.clone()));
        Ok(sim)
    }

    pub(super) fn shared(&self) -> &Arc<Shared> {
        &self.0.shared
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.0.address
    }

    /// The base URL of both hosts of the API.
    pub fn url(&self) -> String {
        format!("http://{}", self.0.address)
    }

    /// The keys of the organisation and its first application.
    pub fn credentials(&self) -> Credentials {
        read(&self.0.keys).credentials.clone()
    }

    /// Makes one change and sends its events.
    pub fn change(&self, change: &Change) -> Result<Happening, ChangeError> {
        self.0.shared.change(change)
    }

    /// Tells every change from now on.
    pub fn subscribe(&self) -> broadcast::Receiver<Happening> {
        self.0.shared.happenings.subscribe()
    }

    /// Starts a run of random changes in the background.
    pub fn live(&self, plan: &Plan) {
        let life = {
            let world = read(&self.0.shared.world);
            Life::new(plan, &world, self.0.shared.dice.fork())
        };
        self.0.running.send_modify(|running| *running += 1);
        let (sim, plan) = (self.clone(), plan.clone());
        let ended = lock(&self.0.end_life).clone();
        self.0.tasks.spawn(async move {
            let stop = sim.0.shared.stop.clone();
            tokio::select! {
                () = sim.live_through(&plan, life) => {}
                () = ended.cancelled() => {}
                () = stop.cancelled() => {}
            }
            sim.0.running.send_modify(|running| *running -= 1);
        });
    }

    async fn live_through(&self, plan: &Plan, mut life: Life) {
        let mut pace = (plan.interval_ms > 0.0).then(|| {
            tokio::time::interval(Duration::from_secs_f64((plan.interval_ms / 1000.0).clamp(1e-6, 86_400.0)))
        });
        let mut made = 0;
        while plan.count == 0 || made < plan.count {
            match &mut pace {
                Some(pace) => {
                    pace.tick().await;
                }
                None => tokio::task::yield_now().await,
            }
            if self.live_once(&mut life) {
                made += 1;
            } else if plan.count > 0 {
                // Nothing of what was asked for is possible in this organisation.
                tracing::warn!(made, "a run of random changes found nothing more to do");
                return;
            }
        }
    }

    /// Throws the dice until a change is made; false when that does not succeed.
    fn live_once(&self, life: &mut Life) -> bool {
        const TRIES: usize = 500;
        for _ in 0..TRIES {
            let change = life.next(&read(&self.0.shared.world));
            let Some(change) = change else { continue };
            if self.change(&change).is_ok() {
                self.0.made.fetch_add(1, Ordering::Relaxed);
                return true;
            }
            self.0.refused.fetch_add(1, Ordering::Relaxed);
        }
        false
    }

    /// Waits until no run of random changes is under way.
    pub async fn life_ended(&self) {
        let mut running = self.0.running.subscribe();
        // The sender lives in `self`: waiting cannot fail.
        let _ended = running.wait_for(|running| *running == 0).await;
    }

    /// Ends the runs of random changes that are under way.
    pub fn end_life(&self) {
        std::mem::take(&mut *lock(&self.0.end_life)).cancel();
    }

    /// Random changes so far.
    pub fn life(&self) -> LifeCount {
        LifeCount {
            running: *self.0.running.borrow(),
            made: self.0.made.load(Ordering::Relaxed),
            refused: self.0.refused.load(Ordering::Relaxed),
        }
    }

    /// What goes wrong at present.
    pub fn faults(&self) -> Faults {
        (*self.0.shared.faults()).clone()
    }

    /// Replaces everything that goes wrong. Spells without a beginning begin now.
    pub fn set_faults(&self, mut faults: Faults) {
        faults.start_spells(self.0.shared.clock.true_ms());
        self.0.shared.set_faults(faults);
    }

    /// Lays a JSON merge patch over what goes wrong, such as `{"paths":{"*":{"busy":0.1}}}`.
    pub fn merge_faults(&self, patch: &Value) -> Result<Faults, serde_json::Error> {
        self.0.shared.merge_faults(patch).map(|faults| (*faults).clone())
    }

    /// Sets the calls a second for each application and path; 0: no limit.
    pub fn set_rate(&self, rate: u32) {
        self.0.shared.set_rate(rate);
    }

    /// How events are pushed.
    pub fn push_settings(&self) -> PushSettings {
        (*self.0.shared.pusher.settings()).clone()
    }

    /// Replaces how events are pushed.
    pub fn set_push_settings(&self, settings: PushSettings) {
        self.0.shared.pusher.set_settings(settings);
    }

    /// Lays a JSON merge patch over how events are pushed.
    pub fn merge_push_settings(&self, patch: &Value) -> Result<PushSettings, serde_json::Error> {
        let mut settings = serde_json::to_value(self.push_settings())?;
        merge(&mut settings, patch);
        let settings: PushSettings = serde_json::from_value(settings)?;
        self.set_push_settings(settings.clone());
        Ok(settings)
    }

    /// Sets where events go, as the console does without its check; `None` sends none.
    pub fn set_callback(&self, url: Option<Url>) {
        let keys = read(&self.0.keys);
        let subscription = url.map(|url| Subscription {
            url,
            token: keys.credentials.callback_token.clone(),
            aes_key_text: keys.credentials.callback_aes_key.clone(),
            aes_key: keys.aes_key.clone(),
            tags: None,
            owner: None,
        });
        self.0.shared.pusher.set_console(subscription);
    }

    /// Changes the keys of callbacks. Events that are on their way keep the old ones (`events.md §10`).
    pub fn set_callback_keys(&self, token: &str, aes_key: &str) -> Result<(), AesKeyError> {
        let parsed = AesKey::parse(aes_key)?;
        {
            let mut keys = write(&self.0.keys);
            token.clone_into(&mut keys.credentials.callback_token);
            aes_key.clone_into(&mut keys.credentials.callback_aes_key);
            keys.aes_key = parsed;
        }
        self.set_callback(self.0.shared.pusher.console().map(|console| console.url));
        Ok(())
    }

    /// Sends `check_url` to where events go, as the console does when its page is saved. `None` where they go nowhere.
    pub async fn check_callback(&self) -> Option<Result<(), PushFailure>> {
        let console = self.0.shared.pusher.console()?;
        Some(self.0.shared.pusher.check_url(&console).await)
    }

    /// Pushes everything in the failed list once more, now; tells how many events that were.
    pub fn resend(&self) -> usize {
        self.0.shared.pusher.resend()
    }

    /// Waits until every event has been acknowledged or given up.
    pub async fn settled(&self) {
        self.0.shared.pusher.settled().await;
    }

    /// The webhook and the secret of a group robot.
    pub fn robot(&self) -> (String, String) {
        let webhook = format!("{}{}?access_token={}", self.url(), robot::PATH, robot::TOKEN);
        (webhook, robot::SECRET.to_owned())
    }

    /// The texts that the group robot was sent, in the order in which they came.
    pub fn robot_messages(&self) -> Vec<String> {
        self.0.shared.group.texts()
    }

    /// Lets every access token die.
    pub fn kill_tokens(&self) {
        lock(&self.0.shared.tokens).kill();
    }

    /// Adds another application, or replaces one.
    pub fn add_app(&self, key: &str, secret: &str, settings: AppSettings) {
        let app = App { key: key.to_owned(), secret: secret.to_owned(), settings };
        write(&self.0.shared.apps).insert(app.key.clone(), app);
    }

    /// What an application may do.
    pub fn app_settings(&self, key: &str) -> Option<AppSettings> {
        read(&self.0.shared.apps).get(key).map(|app| app.settings.clone())
    }

    /// Lays a JSON merge patch over what an application may do; `None` where there is no such application.
    pub fn merge_app_settings(
        &self,
        key: &str,
        patch: &Value,
    ) -> Result<Option<AppSettings>, serde_json::Error> {
        Ok(self.0.shared.merge_app(key, patch)?.map(|app| app.settings))
    }

    /// What was counted.
    pub fn counters(&self) -> Counters {
        Counters {
            calls: lock(&self.0.shared.calls).snapshot(),
            push: self.0.shared.pusher.count(),
            tokens_issued: lock(&self.0.shared.tokens).issued(),
        }
    }

    /// Starts counting calls and deliveries anew.
    pub fn reset_counters(&self) {
        *lock(&self.0.shared.calls) = CallCounters::default();
        self.0.shared.pusher.reset_count();
    }

    /// What it looks like now.
    pub fn status(&self) -> Status {
        let shared = &self.0.shared;
        let url = |subscription: Option<Subscription>| subscription.map(|found| found.url.to_string());
        let world = read(&shared.world);
        let organisation = &world.organisation;
        Status {
            corp_id: shared.corp_id.clone(),
            organisation: world.view().organisation_name().to_owned(),
            people: organisation.people().len(),
            departments: organisation.departments().len(),
            roles: organisation.roles().len(),
            role_groups: organisation.groups().len(),
            rate: shared.rate(),
            callback: url(shared.pusher.console()),
            registered_callback: url(shared.pusher.registered()),
            failed_events: shared.pusher.failed_count(),
            life: self.life(),
            counters: self.counters(),
        }
    }

    /// The truth about all objects of a kind, as of one instant: one JSON object each, in the simulator's own terms.
    pub fn truth(&self, subject: truth::Subject) -> impl Iterator<Item = Value> + Send + 'static {
        let organisation = read(&self.0.shared.world).organisation.clone();
        Lines::new(organisation, subject)
    }

    /// A daemon's configuration for this simulator, ready to paste.
    pub fn daemon_toml(&self) -> String {
        let keys = self.credentials();
        let pairs = [
            ("corp_id", keys.corp_id),
            ("app_key", keys.app_key),
            ("app_secret", keys.app_secret),
            ("callback_token", keys.callback_token),
            ("callback_aes_key", keys.callback_aes_key),
            ("oapi_url", self.url()),
            ("api_url", self.url()),
        ];
        let mut table = String::from("[corps.main]\n");
        for (key, value) in pairs {
            // A text's Display is a TOML basic string, whatever is in it.
            table.extend([&format!("{key:<16}"), " = ", &toml::Value::from(value).to_string(), "\n"]);
        }
        table
    }

    /// Stops listening, breaks off what is under way, and waits until nothing of it is left.
    pub async fn stop(&self) {
        self.0.shared.stop.cancel();
        self.0.shared.pusher.stop().await;
        self.0.tasks.close();
        self.0.tasks.wait().await;
    }
}
