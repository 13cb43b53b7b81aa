//! The processes that share a database server: each shows signs of life there, and so all know how many share the
//! allowance of calls; one of them leads, which means that it does what only one may do.
//!
//! Every time is the database's, so that clocks that differ do not matter. Who cannot reach the database for a while
//! gives the lead up by himself, before anybody else can take it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::clock::{Clock, SharedClock};
use crate::lifecycle::Pulse;
use crate::store::{Conn, Operation, Replica, Store, StoreError, Turn};

/// How often a process shows that it lives.
const BEAT: Duration = Duration::from_secs(1);
/// A process that was not heard of for this long is gone.
pub const SILENCE: Duration = Duration::from_secs(5);
/// How long the lead lasts without a sign of life.
const LEAD: Duration = Duration::from_secs(6);
/// Who has not shown a sign of life for this long leads no more, whatever the database says.
const DOUBT: Duration = Duration::from_secs(4);
/// How long telling the others may take at the end.
const LEAVING: Duration = Duration::from_secs(3);
/// A row that nobody has touched for this long is of no use to anybody.
const FORGOTTEN: Duration = Duration::from_mins(1);

/// The database's clock, as this process knows it: what it showed last, and how long ago that was.
#[derive(Debug)]
pub struct DatabaseClock {
    machine: SharedClock,
    shown: Mutex<Option<(Timestamp, Instant)>>,
}

impl DatabaseClock {
    /// Shows the machine's time until the database's is known.
    pub fn new(machine: SharedClock) -> Self {
        Self { machine, shown: Mutex::default() }
    }

    fn set(&self, now: Timestamp, seen: Instant) {
        *self.shown.lock().unwrap_or_else(PoisonError::into_inner) = Some((now, seen));
    }
}

impl Clock for DatabaseClock {
    fn now(&self) -> Timestamp {
        match *self.shown.lock().unwrap_or_else(PoisonError::into_inner) {
            Some((shown, seen)) => shown + seen.elapsed(),
            None => self.machine.now(),
        }
    }
}

/// What a process knows of the others.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct View {
    /// How many processes have workers, this one included where it has.
    pub working: usize,
    /// This process leads.
    pub leads: bool,
    /// The daemons with workers, and the leader; this process aside.
    pub others: Vec<Replica>,
    /// Who leads.
    pub leader: Option<Replica>,
}

/// What one beat after another has shown.
#[derive(Debug, Default)]
struct Memory {
    /// This process has shown itself.
    is_known: bool,
    /// When the others were heard of.
    heard: HashMap<i64, Timestamp>,
    /// One of them was heard of again: it lives, and is no remnant of a process that died.
    has_company: bool,
}

/// One process among those that share a database.
#[derive(Debug, Clone)]
pub struct Membership {
    store: Store,
    replica: Replica,
    clock: Arc<DatabaseClock>,
    wants_lead: bool,
    view: watch::Sender<View>,
    memory: Arc<Mutex<Memory>>,
}

impl Membership {
    /// A process that has not shown itself yet.
    pub fn new(store: Store, replica: Replica, clock: Arc<DatabaseClock>, wants_lead: bool) -> Self {
        Self {
            store,
            replica,
            clock,
            wants_lead,
            view: watch::Sender::new(View::default()),
            memory: Arc::default(),
        }
    }

    /// What this process knows of the others, and learns.
    pub fn view(&self) -> watch::Receiver<View> {
        self.view.subscribe()
    }

    /// Shows a sign of life, once.
    pub async fn beat(&self) -> Result<View, StoreError> {
        let begun = Instant::now();
        let is_first = !self.memory().is_known;
        let beat = Beat { replica: self.replica.clone(), wants_lead: self.wants_lead, is_first };
        let Beaten { now, view, heard } = self.store.write(beat).await?.output;
        self.clock.set(now, begun);
        self.remember(heard);
        if view.leads && !self.view.borrow().leads {
            info!("this process leads");
        }
        self.view.send_if_modified(|known| {
            let is_new = *known != view;
            known.clone_from(&view);
            is_new
        });
        Ok(view)
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn remember(&self, heard: HashMap<i64, Timestamp>) {
        let mut memory = self.memory();
        let advanced = |(id, at): (&i64, &Timestamp)| memory.heard.get(id).is_some_and(|before| before < at);
        memory.has_company |= heard.iter().any(advanced);
        memory.heard = heard;
        memory.is_known = true;
    }

    /// Whether nobody was there before this process: then what happened meanwhile has to be found.
    pub async fn follows_absence(&self) -> Result<bool, StoreError> {
        Ok(!self.memory().has_company || self.store.reader().await?.was_absent().await?)
    }

    /// Notes that what happened in the absence has been asked for.
    pub async fn forget_absence(&self) -> Result<(), StoreError> {
        self.memory().has_company = true;
        self.store.write(ForgetAbsence).await.map(drop)
    }

    /// Shows signs of life until `shutdown`, and then goes.
    pub async fn live(self, shutdown: CancellationToken, pulse: Pulse) {
        let mut heard = Instant::now();
        while !shutdown.is_cancelled() {
            pulse.beat();
            let begun = Instant::now();
            let deadline = (heard + DOUBT).max(begun + BEAT);
            match tokio::time::timeout_at(deadline, self.beat()).await {
                Ok(Ok(_)) => heard = begun,
                Ok(Err(error)) if error.outage().is_none() => {
                    warn!(%error, "no sign of life could be shown to the other processes");
                }
                // Of an outage the log tells already.
                Ok(Err(_)) | Err(_) => {}
            }
            if heard.elapsed() >= DOUBT && self.give_up_lead() {
                warn!("this process leads no more: the database has not heard of it for too long");
            }
            tokio::select! {
                () = tokio::time::sleep(BEAT) => {}
                () = shutdown.cancelled() => {}
            }
        }
        drop(tokio::time::timeout(LEAVING, self.leave()).await);
    }

    /// Goes: the others need not wait for the silence.
    pub async fn leave(&self) {
        self.give_up_lead();
        if let Err(error) = self.store.write(Leave { replica_id: self.replica.id }).await {
            // They find out by themselves.
            info!(%error, "the other processes could not be told that this one stops");
        }
    }

    fn give_up_lead(&self) -> bool {
        self.view.send_if_modified(|view| std::mem::take(&mut view.leads))
    }
}

/// A sign of life.
struct Beat {
    replica: Replica,
    wants_lead: bool,
    is_first: bool,
}

struct Beaten {
    now: Timestamp,
    view: View,
    /// When the others were heard of.
    heard: HashMap<i64, Timestamp>,
}

impl Operation for Beat {
    type Output = Beaten;
    const TURN: Turn = Turn::Alone;

    async fn run(&self, conn: &mut Conn) -> Result<Self::Output, StoreError> {
        let now = conn.database_now().await?;
        if self.is_first && conn.replicas(now - SILENCE).await?.is_empty() {
            conn.note_absence().await?;
        }
        conn.hear(&self.replica, now, now - FORGOTTEN).await?;
        let leader =
            if self.wants_lead { Some(conn.take_lead(&self.replica, now, now + LEAD).await?) } else { None };
        let replicas = conn.replicas(now - SILENCE).await?;
        let working = replicas.iter().filter(|(replica, _)| replica.works).count();
        let (others, heard) = replicas
            .into_iter()
            .filter(|(replica, _)| replica.id != self.replica.id)
            .map(|(replica, at)| (replica.clone(), (replica.id, at)))
            .unzip();
        let leads = leader.as_ref().is_some_and(|leader| leader.id == self.replica.id);
        Ok(Beaten { now, view: View { working, leads, others, leader }, heard })
    }
}

struct ForgetAbsence;

impl Operation for ForgetAbsence {
    type Output = ();
    const TURN: Turn = Turn::Alone;

    async fn run(&self, conn: &mut Conn) -> Result<(), StoreError> {
        conn.forget_absence().await
    }
}

struct Leave {
    replica_id: i64,
}

impl Operation for Leave {
    type Output = ();
    const TURN: Turn = Turn::Alone;

    async fn run(&self, conn: &mut Conn) -> Result<(), StoreError> {
        conn.leave(self.replica_id).await
    }
}
