//! What all parts of a running simulator share.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, RwLock};

use tokio::sync::broadcast;
use tokio_util::sync::CancellationToken;

use super::api::robot::Group;
use super::app::{App, Scope};
use super::apply::World;
use super::change::{Change, ChangeError, Happening};
use super::counters::CallCounters;
use super::events::{Event, Subject};
use super::faults::{Ban, BanForm, Faults, Spell};
use super::history::{Mark, RETENTION_MS};
use super::limits::Limits;
use super::push::Pusher;
use super::sync::{Dice, lock, read, write};
use super::time::SimClock;
use super::token::Tokens;
use super::view::View;

/// The state of a simulator.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) corp_id: String,
    pub(crate) clock: SimClock,
    pub(crate) dice: Dice,
    pub(crate) world: RwLock<World>,
    /// The application that the events belong to.
    pub(crate) first_app: String,
    pub(crate) apps: RwLock<BTreeMap<String, App>>,
    pub(crate) tokens: Mutex<Tokens>,
    pub(crate) limits: Mutex<Limits>,
    /// Calls a second for each application and path; 0: no limit.
    rate: AtomicU32,
    faults: RwLock<Arc<Faults>>,
    pub(crate) calls: Mutex<CallCounters>,
    pub(crate) pusher: Pusher,
    pub(crate) happenings: broadcast::Sender<Happening>,
    /// What the group robot was sent.
    pub(crate) group: Group,
    /// Cancelled when the simulator stops.
    pub(crate) stop: CancellationToken,
}

/// Happenings that a slow listener may fall behind before it misses some.
const HAPPENINGS: usize = 4096;

/// What [`Shared::new`] is made of.
pub(crate) struct Parts {
    pub(crate) corp_id: String,
    pub(crate) clock: SimClock,
    pub(crate) dice: Dice,
    pub(crate) world: World,
    pub(crate) app: App,
    pub(crate) rate: u32,
    pub(crate) pusher: Pusher,
}

impl Shared {
    pub(crate) fn new(parts: Parts) -> Self {
        let first_app = parts.app.key.clone();
        let apps = BTreeMap::from([(parts.app.key.clone(), parts.app)]);
        Self {
            corp_id: parts.corp_id,
            clock: parts.clock,
            dice: parts.dice,
            world: RwLock::new(parts.world),
            first_app,
            apps: RwLock::new(apps),
            tokens: Mutex::default(),
            limits: Mutex::default(),
            rate: AtomicU32::new(parts.rate),
            faults: RwLock::default(),
            calls: Mutex::default(),
            pusher: parts.pusher,
            happenings: broadcast::Sender::new(HAPPENINGS),
            group: Group::default(),
            stop: CancellationToken::new(),
        }
    }

    pub(crate) fn rate(&self) -> u32 {
        self.rate.load(Ordering::Relaxed)
    }

    pub(crate) fn set_rate(&self, rate: u32) {
        self.rate.store(rate, Ordering::Relaxed);
    }

    pub(crate) fn faults(&self) -> Arc<Faults> {
        Arc::clone(&read(&self.faults))
    }

    /// Replaces all faults.
    pub(crate) fn set_faults(&self, faults: Faults) {
        self.clock.set_skew(faults.clock_skew_ms);
        *write(&self.faults) = Arc::new(faults);
    }

    /// Bans the callers' addresses for five minutes (`contacts-api.md §9`).
    pub(crate) fn ban(&self) {
        let mut faults = (*self.faults()).clone();
        let spell = Spell { for_ms: Some(300_000), since_ms: Some(self.clock.true_ms()) };
        faults.ban = Some(Ban { form: BanForm::Html, spell });
        self.set_faults(faults);
    }

    /// Lays a merge patch over the faults.
    pub(crate) fn merge_faults(&self, patch: &serde_json::Value) -> Result<Arc<Faults>, serde_json::Error> {
        let mut faults = write(&self.faults);
        let merged = faults.merged(patch, self.clock.true_ms())?;
        self.clock.set_skew(merged.clock_skew_ms);
        *faults = Arc::new(merged);
        Ok(Arc::clone(&faults))
    }

    /// Lays a merge patch over an application's settings; `None` where there is no such application.
    pub(crate) fn merge_app(
        &self,
        key: &str,
        patch: &serde_json::Value,
    ) -> Result<Option<App>, serde_json::Error> {
        let mut apps = write(&self.apps);
        let Some(app) = apps.get_mut(key) else {
            return Ok(None);
        };
        let mut settings = serde_json::to_value(&app.settings)?;
        super::faults::merge(&mut settings, patch);
        app.settings = serde_json::from_value(settings)?;
        Ok(Some(app.clone()))
    }

    /// Makes a change, sends its events and tells of it.
    pub(crate) fn change(&self, change: &Change) -> Result<Happening, ChangeError> {
        let now = self.clock.true_ms();
        let shown = self.clock.now_ms();
        let (mut happening, events) = {
            let mut world = write(&self.world);
            let mark = world.history.mark();
            let applied = world.apply(change, now)?;
            let events = self.in_scope(&world, mark, applied.events);
            (applied.happening, events)
        };
        let faults = self.faults();
        happening.events = events.iter().map(|event| event.topic.name()).collect();
        for mut event in events {
            event.at = shown;
            self.pusher.send(&Arc::new(event), faults.events);
        }
        // Nobody has to listen.
        let _listeners = self.happenings.send(happening.clone());
        Ok(happening)
    }

    /// Members and departments outside of the application's scope fire nothing (`events.md §5`): what it saw
    /// neither before nor after is taken out of the events.
    fn in_scope(&self, world: &World, mark: Mark, events: Vec<Event>) -> Vec<Event> {
        let scope =
            read(&self.apps).get(&self.first_app).map(|app| app.settings.scope.clone()).unwrap_or_default();
        if scope.is_everything() {
            return events;
        }
        let views = [world.view_before(mark), world.view()];
        events.into_iter().filter_map(|event| narrowed(event, &scope, &views)).collect()
    }

    /// The organisation as answers show it at this moment: late by what the faults say.
    pub(crate) fn answer_view<'w>(&self, world: &'w World, faults: &Faults) -> View<'w> {
        let Some(range) = faults.answer_lag_ms else {
            return world.view();
        };
        let lag = i64::try_from(self.dice.millis(range)).map_or(RETENTION_MS, |lag| lag.min(RETENTION_MS));
        world.view_at(self.clock.true_ms() - lag)
    }

    /// Counts what became of a call.
    pub(crate) fn count_end(&self, path: &str, result: &str) {
        lock(&self.calls).ended(path, result);
    }
}

/// The event with only those ids that the scope covers; `None` without any.
fn narrowed(mut event: Event, scope: &Scope, views: &[View<'_>; 2]) -> Option<Event> {
    let sees = |userid: &str| {
        views.iter().any(|view| view.person(userid).is_some_and(|person| scope.has_person(view, person)))
    };
    let left = match &mut event.subject {
        Subject::People { userids, .. } | Subject::Membership { userids, .. } => {
            userids.retain(|userid| sees(userid));
            userids.len()
        }
        Subject::Departments(departments) => {
            departments.retain(|dept_id| {
                views
                    .iter()
                    .any(|view| view.department(*dept_id).is_some() && scope.has_department(view, *dept_id))
            });
            departments.len()
        }
        Subject::Organisation | Subject::Labels { .. } => 1,
    };
    (left > 0).then_some(event)
}
