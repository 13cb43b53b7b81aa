//! The follower: from a durable place in the change log, in its order; first, and whenever it is asked for, through the
//! whole mirror.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::Duration;

use jiff::tz::{Offset, TimeZone};
use tokio::sync::{Mutex as AsyncMutex, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::fault::ApplyError;
use super::mapping::{Mapping, Part};
use super::notes::{BeginWalk, Introduce, NoteTrouble, Pass, Walked};
use super::one::Turn;
use super::tree::Tree;
use crate::clock::SharedClock;
use crate::config::{self, ConfigError, Guard, Problem};
use crate::lifecycle::Pulse;
use crate::secret::Secret;
use crate::store::{
    ApplyPhase, ApplyRecord, ApplyState, BootstrapState, Entity, LoggedChange, OaConn, OaError, Store,
    StoreError,
};

/// How often is looked for changes.
const LOOK: Duration = Duration::from_millis(500);
/// A connection that says nothing for longer is asked whether it is there: servers close silent ones.
const SILENCE: Duration = Duration::from_secs(15);
/// Pauses while nothing gets on.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
/// The database of a process that has died notices that within this time, and gives its lock back.
const TAKING_OVER: Duration = Duration::from_secs(90);
/// Objects of one step.
const BATCH: usize = 100;
/// In this order a walk goes.
pub(super) const WALK: [Entity; 3] = [Entity::Department, Entity::Role, Entity::Employee];

/// Fills the OA's tables with one organisation.
#[derive(Debug, Clone)]
pub struct Applier {
    /// The organisation's name in the configuration.
    pub corp: String,
    /// DingTalk's id of it.
    pub corp_id: String,
    /// What is written how.
    pub mapping: Mapping,
    guard: Guard,
    url: Option<Secret>,
    time_zone: String,
    zone: TimeZone,
    pub(super) store: Store,
    clock: SharedClock,
}

/// Organisations that fill the tables in one place take turns: else two of them could find the same free row at once.
static TURNS: LazyLock<Mutex<HashMap<String, Arc<AsyncMutex<()>>>>> = LazyLock::new(Mutex::default);

fn turns_in(place: &str) -> Arc<AsyncMutex<()>> {
    let mut turns = TURNS.lock().unwrap_or_else(PoisonError::into_inner);
    Arc::clone(turns.entry(place.to_owned()).or_default())
}

/// What keeps its worth from one step to the next.
#[derive(Debug, Default)]
pub struct Hold {
    oa: Option<OaConn>,
    used: Option<Instant>,
    tree: Option<Tree>,
    /// Of all that fill the tables in that place.
    turns: Arc<AsyncMutex<()>>,
    /// The last change that was applied.
    seq: i64,
    is_walking: bool,
    /// What a walk has still to leave out, of each kind for which that was counted.
    to_leave_out: HashMap<Entity, i64>,
}

/// Whether there is more to do at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// There may be.
    More,
    /// Everything is as it is to be, parked objects aside.
    Rest,
    /// The first pull is not complete.
    Waits,
    /// Another process is at it.
    Elsewhere,
}

impl Applier {
    /// The one of an organisation that fills an OA; an error tells everything that is wrong with its mapping.
    pub fn of(
        corp: &config::Corp,
        guard: Guard,
        store: &Store,
        clock: &SharedClock,
    ) -> Result<Option<Self>, ConfigError> {
        let Some(apply) = &corp.apply else { return Ok(None) };
        let engine = match &apply.url {
            Some(url) => url.with(Store::engine_of).map_err(|error| {
                let problem = Problem::of_key(&format!("apply.{}.url", apply.name), error.to_string());
                ConfigError::Problems(vec![problem])
            })?,
            None => store.engine(),
        };
        let mapping = Mapping::of(apply, engine).map_err(ConfigError::Problems)?;
        let unfindable = mapping.unfindable().filter(|_| apply.url.is_some());
        let problems: Vec<Problem> = unfindable.map(|part| unsafe_without_find(&apply.name, part)).collect();
        if !problems.is_empty() {
            return Err(ConfigError::Problems(problems));
        }
        Ok(Some(Self {
            corp: corp.name.clone(),
            corp_id: corp.corp_id.clone(),
            mapping,
            guard,
            url: apply.url.clone(),
            time_zone: apply.time_zone.clone(),
            zone: zone_of(&apply.time_zone),
            store: store.clone(),
            clock: Arc::clone(clock),
        }))
    }

    /// A connection to the OA's database.
    pub(super) async fn open(&self) -> Result<OaConn, OaError> {
        let url = self.url.as_ref().map(|url| url.with(str::to_owned));
        self.store.open_oa(url.as_deref(), &self.time_zone).await
    }

    /// A connection on which every statement has been found to fit the tables.
    async fn connect(&self) -> Result<OaConn, ApplyError> {
        let mut oa = self.open().await?;
        for (_, part) in self.mapping.parts() {
            for statement in part.statements() {
                let prepared = oa.prepare(statement.sql()).await;
                prepared.map_err(|error| ApplyError::of(statement.name(), error))?;
            }
        }
        Ok(oa)
    }

    /// Does a part of what there is to do.
    pub async fn step(&self, hold: &mut Hold) -> Result<Step, ApplyError> {
        let record = self.record().await?;
        if record.phase == ApplyPhase::Waiting && !self.is_mirror_whole().await? {
            return Ok(Step::Waits);
        }
        if !self.hold_connection(hold).await? {
            return Ok(Step::Elsewhere);
        }
        let place = hold.oa.as_ref().map(|oa| oa.place().to_owned()).unwrap_or_default();
        refuse_moved(&record, &place)?;
        let mut feed = self.store.reader().await?.feed(&self.corp_id, record.seq, BATCH).await?;
        let is_cut = match feed.oldest {
            Some(oldest) => oldest > record.seq + 1,
            None => feed.last > record.seq,
        };
        let is_first = record.phase == ApplyPhase::Waiting;
        if is_first || is_cut || record.wants_walk {
            // A log that begins after the place where it was left tells nothing of what lies between.
            let seq = (is_first || is_cut).then_some(feed.last);
            self.begin_walk(&record, place, seq).await?;
            hold.tree = None;
            hold.to_leave_out.clear();
            return Ok(Step::More);
        }
        (hold.seq, hold.is_walking) = (record.seq, record.phase != ApplyPhase::Following);
        if !hold.is_walking {
            hold.to_leave_out.clear();
        }
        let mut is_busy = !feed.changes.is_empty();
        for change in feed.changes.drain(..) {
            self.apply_change(hold, &change).await?;
        }
        let due = self.store.reader().await?.apply_objects(&self.corp_id, ApplyState::Due, BATCH).await?;
        is_busy |= !due.is_empty();
        for object in due {
            if let Some(entity) = Entity::of_label(&object.entity) {
                self.apply(hold, entity, &object.ding_id, None).await?;
            }
        }
        if record.phase == ApplyPhase::Walking {
            is_busy = true;
            self.walk_on(hold, &record).await?;
        }
        // With work left the trouble is over once something was applied; changes that concern nobody prove nothing.
        if record.trouble.is_some() && (!is_busy || self.record().await?.trouble.is_none()) {
            self.note_trouble(&record, None).await?;
        }
        Ok(if is_busy { Step::More } else { Step::Rest })
    }

    /// Where it is; made at the first time.
    async fn record(&self) -> Result<ApplyRecord, StoreError> {
        let known = self.store.reader().await?.apply_record(&self.corp_id).await?;
        if let Some(record) = known.filter(|record| record.name == self.mapping.name) {
            return Ok(record);
        }
        let (corp_id, name) = (self.corp_id.clone(), self.mapping.name.clone());
        self.store.write(Introduce { corp_id, name }).await?;
        let known = self.store.reader().await?.apply_record(&self.corp_id).await?;
        known.ok_or_else(|| {
            StoreError::Schema("the row of dingsync_apply is gone that was just made".to_owned())
        })
    }

    async fn is_mirror_whole(&self) -> Result<bool, StoreError> {
        let corp = self.store.reader().await?.corp(&self.corp_id).await?;
        Ok(corp.is_some_and(|corp| corp.bootstrap == BootstrapState::Complete))
    }

    /// False where another process has the OA's database for this organisation.
    async fn hold_connection(&self, hold: &mut Hold) -> Result<bool, ApplyError> {
        if let Some(oa) = &mut hold.oa {
            if hold.used.is_some_and(|used| used.elapsed() < SILENCE) {
                return Ok(true);
            }
            oa.ping().await?;
            hold.used = Some(Instant::now());
            return Ok(true);
        }
        let mut oa = self.connect().await?;
        if !oa.lock(&format!("dingsync apply {}", self.corp_id)).await? {
            return Ok(false);
        }
        let turns = turns_in(oa.place());
        *hold = Hold { oa: Some(oa), used: Some(Instant::now()), turns, ..Hold::default() };
        Ok(true)
    }

    async fn begin_walk(
        &self,
        record: &ApplyRecord,
        place: String,
        seq: Option<i64>,
    ) -> Result<(), StoreError> {
        info!(corp = self.corp, apply = self.mapping.name, "every object is applied to the OA's tables");
        let walk = BeginWalk {
            corp_id: self.corp_id.clone(),
            mapping: self.mapping.digest.clone(),
            place,
            seq,
            walks: record.walks_wanted,
        };
        self.store.write(walk).await.map(drop)
    }

    async fn apply_change(&self, hold: &mut Hold, change: &LoggedChange) -> Result<(), ApplyError> {
        if change.entity == Entity::Department.label() {
            hold.tree = None;
        }
        hold.seq = change.seq;
        match Entity::of_label(&change.entity) {
            Some(entity) => self.apply(hold, entity, &change.entity_id, Some(change)).await,
            None => Ok(self
                .store
                .write(Pass { corp_id: self.corp_id.clone(), seq: change.seq })
                .await
                .map(drop)?),
        }
    }

    async fn apply(
        &self,
        hold: &mut Hold,
        entity: Entity,
        id: &str,
        change: Option<&LoggedChange>,
    ) -> Result<(), ApplyError> {
        if hold.tree.is_none() {
            hold.tree = Some(self.tree().await?);
        }
        let (Some(oa), Some(tree)) = (&mut hold.oa, &hold.tree) else { return Ok(()) };
        let _ours = hold.turns.lock().await;
        let mut turn = self.turn(oa, tree, hold.seq, hold.is_walking);
        turn.to_leave_out = std::mem::take(&mut hold.to_leave_out);
        let applied = turn.apply(entity, id, change).await;
        hold.to_leave_out = turn.to_leave_out;
        applied?;
        hold.used = Some(Instant::now());
        Ok(())
    }

    /// The departments as they are now.
    pub(super) async fn tree(&self) -> Result<Tree, StoreError> {
        let departments = self.store.reader().await?.department_tree(&self.corp_id).await?;
        Ok(Tree::new(departments))
    }

    /// What it takes to apply objects after the change `seq`.
    pub(super) fn turn<'a>(
        &'a self,
        oa: &'a mut OaConn,
        tree: &'a Tree,
        seq: i64,
        is_walking: bool,
    ) -> Turn<'a> {
        Turn {
            corp: &self.corp,
            corp_id: &self.corp_id,
            mapping: &self.mapping,
            guard: self.guard,
            zone: &self.zone,
            store: &self.store,
            clock: &self.clock,
            tree,
            oa,
            seq,
            to_leave_out: HashMap::new(),
            is_walking,
            waiting: Vec::new(),
            rehearsal: None,
        }
    }

    /// Applies the next objects of a walk.
    async fn walk_on(&self, hold: &mut Hold, record: &ApplyRecord) -> Result<(), ApplyError> {
        let walked = record.walked.as_ref();
        let at =
            walked.and_then(|(entity, _)| WALK.iter().position(|one| one.label() == entity)).unwrap_or(0);
        let after = walked.map(|(_, id)| id.as_str()).filter(|id| !id.is_empty());
        let entity = WALK[at];
        let ids = self.store.reader().await?.object_ids_after(&self.corp_id, entity, after, BATCH).await?;
        for id in &ids {
            self.apply(hold, entity, id, None).await?;
        }
        let walked = match (ids.last(), WALK.get(at + 1)) {
            (Some(last), _) => Some((entity.label().to_owned(), last.clone())),
            (None, Some(next)) => Some((next.label().to_owned(), String::new())),
            (None, None) => None,
        };
        if walked.is_none() {
            info!(
                corp = self.corp,
                apply = self.mapping.name,
                "every object has been applied to the OA's tables"
            );
        }
        self.store.write(Walked { corp_id: self.corp_id.clone(), walked }).await?;
        Ok(())
    }

    /// Puts on record what is in the way, or that nothing is.
    async fn note_trouble(&self, record: &ApplyRecord, error: Option<&ApplyError>) -> Result<(), StoreError> {
        let trouble = error.map(|error| (error.kind().to_owned(), error.to_string()));
        let known = record.trouble.as_ref().map(|trouble| (trouble.kind.clone(), trouble.text.clone()));
        if trouble == known {
            return Ok(());
        }
        match error {
            // A server that is away says so in other words at every attempt.
            Some(error) if error.kind() == "away" && known.is_some_and(|(kind, _)| kind == "away") => {}
            Some(error) => warn!(corp = self.corp, apply = self.mapping.name, %error, "the OA's tables wait"),
            None => info!(corp = self.corp, apply = self.mapping.name, "the OA's tables are followed again"),
        }
        let note = NoteTrouble { corp_id: self.corp_id.clone(), trouble, now: self.clock.now() };
        self.store.write(note).await.map(drop)
    }

    /// The parts that are written, for whoever shows them.
    pub fn parts(&self) -> impl Iterator<Item = Part> + '_ {
        self.mapping.parts().map(|(part, _)| part)
    }

    /// Does what there is to do until nothing is left, or something is in the way, which is on record then.
    pub async fn settle(&self) -> Result<Step, ApplyError> {
        let mut hold = Hold::default();
        loop {
            match Box::pin(self.step(&mut hold)).await {
                Ok(Step::More) => {}
                Ok(step) => return Ok(step),
                Err(error) => {
                    self.note_trouble(&self.record().await?, Some(&error)).await?;
                    return Err(error);
                }
            }
        }
    }

    async fn keep_stepping(&self, leads: &mut watch::Receiver<bool>) {
        let mut hold = Hold::default();
        let mut pause = FIRST_PAUSE;
        let mut elsewhere: Option<Instant> = None;
        loop {
            if !*leads.borrow_and_update() {
                hold = Hold::default();
                // Whoever is alone leads for ever: nobody is left to say otherwise.
                if leads.wait_for(|leads| *leads).await.is_err() {
                    std::future::pending::<()>().await;
                }
            }
            let step = Box::pin(self.step(&mut hold)).await;
            let step = match step {
                Ok(Step::Elsewhere) if elsewhere.get_or_insert_with(Instant::now).elapsed() > TAKING_OVER => {
                    Err(ApplyError::Elsewhere)
                }
                Ok(Step::Elsewhere) => Ok(Step::Elsewhere),
                step => {
                    elsewhere = None;
                    step
                }
            };
            match step {
                Ok(Step::More) => pause = FIRST_PAUSE,
                Ok(Step::Rest | Step::Waits) => {
                    pause = FIRST_PAUSE;
                    tokio::time::sleep(LOOK).await;
                }
                Ok(Step::Elsewhere) => tokio::time::sleep(FIRST_PAUSE).await,
                Err(error) => {
                    hold = Hold::default();
                    let noted = match self.record().await {
                        Ok(record) => self.note_trouble(&record, Some(&error)).await,
                        Err(error) => Err(error),
                    };
                    if let Err(ours) = noted {
                        warn!(corp = self.corp, %error, %ours, "the OA's tables wait; our own database cannot be used");
                    }
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(LONGEST_PAUSE);
                }
            }
        }
    }
}

/// Fills the OA's tables whenever `leads` says so, until `shutdown`.
pub async fn keep_applying(
    applier: Applier,
    mut leads: watch::Receiver<bool>,
    shutdown: CancellationToken,
    pulse: Pulse,
) {
    tokio::select! {
        () = shutdown.cancelled() => {}
        never = pulse.keep_beating() => match never {},
        () = applier.keep_stepping(&mut leads) => {}
    }
}

/// Links say which row is whose in one database. In another one the same keys are other rows.
fn refuse_moved(record: &ApplyRecord, place: &str) -> Result<(), ApplyError> {
    match &record.place {
        Some(known) if known != place && !record.wants_walk => {
            Err(ApplyError::Moved { from: known.clone(), to: place.to_owned() })
        }
        _ => Ok(()),
    }
}

fn unsafe_without_find(name: &str, part: Part) -> Problem {
    let text = "is missing: a process may die after it has written a row into another database and before it has \
                noted the row's key in its own. `find` must bring such a row, or it would be written twice";
    Problem::of_key(&format!("apply.{name}.{}.find", part.label()), text)
}

/// A fixed distance from UTC. The configuration has none that is not one.
fn zone_of(text: &str) -> TimeZone {
    let (sign, rest) = text.split_at(text.len().min(1));
    let (hours, minutes) = rest.split_once(':').unwrap_or((rest, "0"));
    let seconds = hours.parse().unwrap_or(0) * 3_600 + minutes.parse().unwrap_or(0) * 60;
    let seconds = if sign == "-" { -seconds } else { seconds };
    Offset::from_seconds(seconds).map_or(TimeZone::UTC, TimeZone::fixed)
}
