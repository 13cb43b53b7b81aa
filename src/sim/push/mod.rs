//! Delivery of events: encrypted pushes, retries, and the list of what failed (`events.md §2`, `§5`).

mod delivery;
mod reply;
mod settings;

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, RwLock};

use serde::Serialize;
use serde_json::Value;
use tokio::sync::{Semaphore, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::delivery::Delivery;
pub use self::reply::PushFailure;
pub(crate) use self::settings::{Channel, Subscription};
pub use self::settings::{Owner, PushSettings, SignatureParameter, TimestampParameter};
use super::counters::Histogram;
use super::events::Event;
use super::faults::EventFaults;
use super::sync::{Dice, lock, read, write};
use super::time::SimClock;

/// Pushes under way at once.
const AT_ONCE: usize = 64;
/// Items in one answer of the failed list (`events.md §5.1`).
const FAILED_PAGE: usize = 200;

/// What was counted about pushes.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct PushCount {
    /// Events handed over for delivery, duplicates included.
    pub events: u64,
    /// Attempts made.
    pub attempts: u64,
    /// Attempts that were acknowledged.
    pub accepted: u64,
    /// Attempts that were not, by reason.
    pub failed: BTreeMap<&'static str, u64>,
    /// Events given up after the last attempt.
    pub given_up: u64,
    /// Events that were dropped on purpose.
    pub lost: u64,
    /// Events sent twice on purpose.
    pub duplicated: u64,
    /// Deliveries that are not settled yet.
    pub pending: usize,
    /// Half of the acknowledgements took no longer than this, milliseconds.
    pub ack_p50_ms: f64,
    /// Ninety-nine of a hundred took no longer than this, milliseconds.
    pub ack_p99_ms: f64,
    /// The slowest took this long, milliseconds.
    pub ack_max_ms: f64,
}

#[derive(Debug, Default)]
struct Ledger {
    count: PushCount,
    acks: Histogram,
    failed: VecDeque<Failed>,
}

/// An event that was given up.
#[derive(Debug, Clone)]
struct Failed {
    delivery: Delivery,
    /// When it appears in the list, milliseconds UTC.
    listed_at: i64,
}

/// Delivers events. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Pusher(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    client: reqwest::Client,
    clock: SimClock,
    dice: Dice,
    corp_id: String,
    app_key: String,
    settings: RwLock<Arc<PushSettings>>,
    /// What is set in the console, and what was registered through the API.
    console: RwLock<Option<Subscription>>,
    registered: RwLock<Option<Subscription>>,
    permits: Semaphore,
    pending: watch::Sender<usize>,
    ledger: Mutex<Ledger>,
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl Pusher {
    pub(crate) fn new(
        clock: SimClock,
        dice: Dice,
        corp_id: String,
        app_key: String,
        settings: PushSettings,
    ) -> Result<Self, reqwest::Error> {
        let client = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .pool_max_idle_per_host(AT_ONCE)
            .tcp_nodelay(true)
            .build()?;
        Ok(Self(Arc::new(Inner {
            client,
            clock,
            dice,
            corp_id,
            app_key,
            settings: RwLock::new(Arc::new(settings)),
            console: RwLock::new(None),
            registered: RwLock::new(None),
            permits: Semaphore::new(AT_ONCE),
            pending: watch::Sender::new(0),
            ledger: Mutex::new(Ledger::default()),
            tasks: TaskTracker::new(),
            stop: CancellationToken::new(),
        })))
    }

    pub(crate) fn settings(&self) -> Arc<PushSettings> {
        Arc::clone(&read(&self.0.settings))
    }

    pub(crate) fn set_settings(&self, settings: PushSettings) {
        *write(&self.0.settings) = Arc::new(settings);
    }

    pub(crate) fn console(&self) -> Option<Subscription> {
        read(&self.0.console).clone()
    }

    pub(crate) fn set_console(&self, subscription: Option<Subscription>) {
        *write(&self.0.console) = subscription;
    }

    pub(crate) fn registered(&self) -> Option<Subscription> {
        read(&self.0.registered).clone()
    }

    pub(crate) fn set_registered(&self, subscription: Option<Subscription>) {
        *write(&self.0.registered) = subscription;
    }

    fn subscription(&self, channel: Channel) -> Option<Subscription> {
        match channel {
            Channel::Console => self.console(),
            Channel::Registered => self.registered(),
        }
    }

    /// Hands an event over for delivery to everybody who subscribed to it.
    pub(crate) fn send(&self, event: &Arc<Event>, faults: EventFaults) {
        for channel in [Channel::Console, Channel::Registered] {
            let Some(subscription) = self.subscription(channel) else { continue };
            let tags = subscription.tags.as_ref();
            if tags.is_some_and(|tags| !tags.contains(event.topic.name())) {
                continue;
            }
            if self.0.dice.chance(faults.loss_share) {
                lock(&self.0.ledger).count.lost += 1;
                continue;
            }
            let delivery = Delivery::new(self, channel, subscription, event);
            if self.0.dice.chance(faults.duplicate_share) {
                lock(&self.0.ledger).count.duplicated += 1;
                self.deliver(delivery.clone(), faults.delay_ms);
            }
            self.deliver(delivery, faults.delay_ms);
        }
    }

    fn deliver(&self, delivery: Delivery, delay_ms: [u64; 2]) {
        let delay = self.0.dice.duration(delay_ms);
        lock(&self.0.ledger).count.events += 1;
        self.0.pending.send_modify(|pending| *pending += 1);
        let pusher = self.clone();
        self.0.tasks.spawn(async move {
            let stopped = pusher.0.stop.clone();
            let failed = tokio::select! {
                failed = delivery.run(&pusher, delay) => failed,
                () = stopped.cancelled() => None,
            };
            if let Some(delivery) = failed {
                pusher.give_up(delivery);
            }
            pusher.0.pending.send_modify(|pending| *pending -= 1);
        });
    }

    fn give_up(&self, delivery: Delivery) {
        let delay = i64::try_from(self.settings().failed_list_delay_ms).unwrap_or(i64::MAX);
        let listed_at = self.0.clock.now_ms().saturating_add(delay);
        let mut ledger = lock(&self.0.ledger);
        ledger.count.given_up += 1;
        ledger.failed.push_back(Failed { delivery, listed_at });
    }

    /// Waits until every delivery has been acknowledged or given up.
    pub(crate) async fn settled(&self) {
        let mut pending = self.0.pending.subscribe();
        // The sender lives in `self`: waiting cannot fail.
        let _settled = pending.wait_for(|pending| *pending == 0).await;
    }

    /// Pushes everything that failed once more, now, to where events go now; tells how much that was.
    pub(crate) fn resend(&self) -> usize {
        let failed: Vec<Failed> = lock(&self.0.ledger).failed.drain(..).collect();
        let mut count = 0;
        for mut item in failed {
            if let Some(subscription) = self.subscription(item.delivery.channel()) {
                item.delivery.redirect(self, subscription);
                self.deliver(item.delivery, [0, 0]);
                count += 1;
            } else {
                lock(&self.0.ledger).failed.push_back(item);
            }
        }
        count
    }

    /// Takes up to 200 events out of the failed list: reading clears them (`events.md §5.1`). Tells whether more
    /// are listed.
    pub(crate) fn take_failed(&self) -> (Vec<Value>, bool) {
        let now = self.0.clock.now_ms();
        let shape = self.settings().failed_shape;
        let mut ledger = lock(&self.0.ledger);
        let mut taken = Vec::new();
        let mut kept = VecDeque::new();
        let mut more = false;
        for item in ledger.failed.drain(..) {
            if item.listed_at > now {
                kept.push_back(item);
            } else if taken.len() < FAILED_PAGE {
                taken.push(item.delivery.event().render_failed(shape, &self.0.corp_id));
            } else {
                more = true;
                kept.push_back(item);
            }
        }
        ledger.failed = kept;
        (taken, more)
    }

    /// How many events are in the failed list or on their way into it.
    pub(crate) fn failed_count(&self) -> usize {
        lock(&self.0.ledger).failed.len()
    }

    /// Sends `check_url` and checks the answer (`events.md §2.2`).
    pub(crate) async fn check_url(&self, subscription: &Subscription) -> Result<(), PushFailure> {
        delivery::check_url(self, subscription).await
    }

    pub(crate) fn count(&self) -> PushCount {
        let ledger = lock(&self.0.ledger);
        PushCount {
            pending: *self.0.pending.borrow(),
            ack_p50_ms: ledger.acks.quantile_ms(0.5),
            ack_p99_ms: ledger.acks.quantile_ms(0.99),
            ack_max_ms: ledger.acks.longest_ms(),
            ..ledger.count.clone()
        }
    }

    /// Starts counting anew.
    pub(crate) fn reset_count(&self) {
        let mut ledger = lock(&self.0.ledger);
        ledger.count = PushCount::default();
        ledger.acks = Histogram::default();
    }

    /// Breaks off what is under way.
    pub(crate) async fn stop(&self) {
        self.0.stop.cancel();
        self.0.tasks.close();
        self.0.tasks.wait().await;
    }
}
