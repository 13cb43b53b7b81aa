//! The one door through which events enter the database.
//!
//! Events that wait together are committed together, and each is acknowledged after that commit. A batch that fails is
//! tried one by one, so that a single event that cannot be stored does not refuse the others.

use std::collections::HashMap;
use std::sync::Arc;

use jiff::Timestamp;
use thiserror::Error;
use tokio::sync::{Notify, mpsc, oneshot};

use crate::clock::SharedClock;
use crate::store::{Arrival, Conn, Incoming, Operation, Store, StoreError, Turn};

/// Events in one commit at most.
const BATCH: usize = 256;
/// Events that wait for a commit; more are refused, so that DingTalk sends them again.
const WAITING: usize = 4096;

/// Wakes the workers of an organisation, by its corp id.
pub type Wakes = HashMap<String, Arc<Notify>>;

/// Why an event was not taken. It must not be acknowledged.
#[derive(Debug, Clone, Error)]
pub enum DoorError {
    /// It could not be committed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Too many events wait already.
    #[error("more events wait for the database than can be held")]
    Full,
    /// The commit takes too long.
    #[error("it was not committed in time")]
    TooSlow,
    /// The process is going down.
    #[error("the daemon is stopping")]
    Closed,
}

/// An event that waits for its commit, and where its acknowledgement is waited for.
pub type Waiting = (Incoming, oneshot::Sender<Result<Arrival, DoorError>>);

/// Takes events in. Clones lead to the same door.
#[derive(Debug, Clone)]
pub struct Door {
    waiting: mpsc::Sender<Waiting>,
}

impl Door {
    /// A door, and the events that come through it: whoever has those answers each, as [`commit_batches`] does.
    pub fn open() -> (Self, mpsc::Receiver<Waiting>) {
        let (sender, receiver) = mpsc::channel(WAITING);
        (Self { waiting: sender }, receiver)
    }

    /// Commits an event with the objects it marks. `Ok` is the permission to acknowledge it.
    pub async fn accept(&self, event: Incoming) -> Result<Arrival, DoorError> {
        let (reply, outcome) = oneshot::channel();
        self.waiting.try_send((event, reply)).map_err(|refused| match refused {
            mpsc::error::TrySendError::Full(_) => DoorError::Full,
            mpsc::error::TrySendError::Closed(_) => DoorError::Closed,
        })?;
        outcome.await.unwrap_or(Err(DoorError::Closed))
    }
}

struct Accept {
    events: Arc<[Incoming]>,
    now: Timestamp,
}

impl Operation for Accept {
    type Output = Vec<Arrival>;
    const TURN: Turn = Turn::Urgent;

    async fn run(&self, conn: &mut Conn) -> Result<Vec<Arrival>, StoreError> {
        conn.accept(&self.events, self.now).await
    }
}

/// Commits what comes through a door until the last [`Door`] is dropped.
pub async fn commit_batches(
    mut waiting: mpsc::Receiver<Waiting>,
    store: Store,
    clock: SharedClock,
    wakes: Wakes,
) {
    let mut batch = Vec::with_capacity(BATCH);
    while waiting.recv_many(&mut batch, BATCH).await > 0 {
        let (events, replies): (Vec<Incoming>, Vec<_>) = batch.drain(..).unzip();
        let events: Arc<[Incoming]> = events.into();
        let outcomes = commit(&store, &clock, &events).await;
        for event in events.iter() {
            if let Some(wake) = wakes.get(&event.corp_id) {
                wake.notify_one();
            }
        }
        for (reply, outcome) in replies.into_iter().zip(outcomes) {
            // Whoever pushed it may have hung up; it is stored all the same.
            drop(reply.send(outcome));
        }
    }
}

async fn commit(
    store: &Store,
    clock: &SharedClock,
    events: &Arc<[Incoming]>,
) -> Vec<Result<Arrival, DoorError>> {
    let error = match store.write(Accept { events: Arc::clone(events), now: clock.now() }).await {
        Ok(written) => return written.output.into_iter().map(Ok).collect(),
        Err(error) => error,
    };
    if events.len() == 1 || error.outage().is_some() {
        return vec![Err(error.into()); events.len()];
    }
    let mut outcomes = Vec::with_capacity(events.len());
    for event in events.iter() {
        let single = Accept { events: [event.clone()].into(), now: clock.now() };
        let outcome = store.write(single).await;
        outcomes.push(
            outcome
                .map_err(DoorError::from)
                .and_then(|written| written.output.first().copied().ok_or(DoorError::Closed)),
        );
    }
    outcomes
}
