//! The one door through which events enter the database.
//!
//! Events that wait together are committed together, and each is acknowledged after that commit. A batch that fails is
//! tried one by one, so that a single event that cannot be stored does not refuse the others.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use thiserror::Error;
use tokio::sync::{Notify, mpsc, oneshot};

use crate::clock::SharedClock;
use crate::store::{Arrival, Conn, Incoming, Operation, Store, StoreError, Turn};

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
pub type Waiting = (Incoming, Reply);

/// Where the outcome of a commit is waited for.
pub type Reply = oneshot::Sender<Result<Arrival, DoorError>>;

/// Events that wait for a commit, in the order in which they came.
#[derive(Debug, Default)]
struct Queue {
    waiting: Mutex<Vec<Waiting>>,
    /// A commit that has not begun will take whatever waits when it begins.
    is_asked: AtomicBool,
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, Vec<Waiting>> {
        // Every change leaves the queue whole, so a panic elsewhere does not spoil it.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes all of them.
    fn take(&self) -> Vec<Waiting> {
        // Before it is emptied: whoever comes after that asks for the next one.
        self.is_asked.store(false, Ordering::SeqCst);
        std::mem::take(&mut *self.lock())
    }
}

/// Takes events in. Clones lead to the same door.
#[derive(Debug, Clone)]
pub struct Door {
    queue: Arc<Queue>,
    wake: mpsc::Sender<()>,
}

/// The inner side of a door.
#[derive(Debug)]
pub struct Arrivals {
    queue: Arc<Queue>,
    woken: mpsc::Receiver<()>,
}

impl Door {
    /// A door, and the events that come through it: whoever has those answers each.
    pub fn open() -> (Self, Arrivals) {
        let queue = Arc::<Queue>::default();
        let (wake, woken) = mpsc::channel(1);
        (Self { queue: Arc::clone(&queue), wake }, Arrivals { queue, woken })
    }

    /// Commits an event with the objects it marks. `Ok` is the permission to acknowledge it.
    pub async fn accept(&self, event: Incoming) -> Result<Arrival, DoorError> {
        let (reply, outcome) = oneshot::channel();
        {
            let mut waiting = self.queue.lock();
            if waiting.len() >= WAITING {
                return Err(DoorError::Full);
            }
            waiting.push((event, reply));
        }
        // A full channel has somebody on his way already.
        if let Err(mpsc::error::TrySendError::Closed(())) = self.wake.try_send(()) {
            self.queue.lock().clear();
        }
        outcome.await.unwrap_or(Err(DoorError::Closed))
    }
}

impl Drop for Arrivals {
    /// Nobody is left waiting for an answer that will not come.
    fn drop(&mut self) {
        self.woken.close();
        self.queue.lock().clear();
    }
}

impl Arrivals {
    /// Waits for events and takes all that are there; `None` when the last [`Door`] is dropped.
    pub async fn next(&mut self) -> Option<Vec<Waiting>> {
        self.woken.recv().await?;
        Some(self.queue.take())
    }

    /// Commits what comes through the door until the last [`Door`] is dropped.
    pub async fn commit(mut self, store: Store, clock: SharedClock, wakes: Wakes) {
        let mut commits = FuturesUnordered::new();
        loop {
            tokio::select! {
                // What was begun goes on, however many arrive.
                biased;
                Some(()) = commits.next() => {}
                woken = self.woken.recv() => match woken {
                    Some(()) if self.queue.is_asked.swap(true, Ordering::SeqCst) => {}
                    Some(()) => commits.push(commit(&self.queue, &store, &clock, &wakes)),
                    None => break,
                },
            }
        }
        while commits.next().await.is_some() {}
    }
}

async fn commit(queue: &Arc<Queue>, store: &Store, clock: &SharedClock, wakes: &Wakes) {
    let batch = Arc::new(Batch::new(queue, clock, OnceLock::new()));
    let stored = store.write(Accept(Arc::clone(&batch))).await;
    // Where not even a transaction could be begun, they have not been taken yet.
    let events = Arc::clone(batch.events());
    let outcomes = match stored {
        Ok(written) => written.output.into_iter().map(Ok).collect(),
        Err(error) if events.len() == 1 || error.outage().is_some() => {
            vec![Err(DoorError::from(error)); events.len()]
        }
        Err(_) => one_by_one(&events, queue, store, clock).await,
    };
    for event in events.iter() {
        if let Some(wake) = wakes.get(&event.corp_id) {
            wake.notify_one();
        }
    }
    for (reply, outcome) in std::mem::take(&mut *batch.lock_replies()).into_iter().zip(outcomes) {
        // Whoever pushed it may have hung up; it is stored all the same.
        drop(reply.send(outcome));
    }
}

/// One of them cannot be stored: that must not refuse the others.
async fn one_by_one(
    events: &[Incoming],
    queue: &Arc<Queue>,
    store: &Store,
    clock: &SharedClock,
) -> Vec<Result<Arrival, DoorError>> {
    let mut outcomes = Vec::with_capacity(events.len());
    for event in events {
        let single = Batch::new(queue, clock, OnceLock::from(Arc::from([event.clone()])));
        let stored = store.write(Accept(Arc::new(single))).await;
        outcomes.push(
            stored
                .map_err(DoorError::from)
                .and_then(|written| written.output.first().copied().ok_or(DoorError::Closed)),
        );
    }
    outcomes
}

/// Whatever waits when the turn of its commit comes: while one commit is under way, the next one fills.
struct Batch {
    queue: Arc<Queue>,
    clock: SharedClock,
    /// What was taken; the same again when the commit is tried once more.
    events: OnceLock<Arc<[Incoming]>>,
    replies: Mutex<Vec<Reply>>,
}

impl Batch {
    /// A batch of `events`; where they are not set, of whatever waits when its turn comes.
    fn new(queue: &Arc<Queue>, clock: &SharedClock, events: OnceLock<Arc<[Incoming]>>) -> Self {
        Self { queue: Arc::clone(queue), clock: Arc::clone(clock), events, replies: Mutex::default() }
    }

    fn events(&self) -> &Arc<[Incoming]> {
        self.events.get_or_init(|| {
            let (events, replies): (Vec<Incoming>, Vec<Reply>) = self.queue.take().into_iter().unzip();
            *self.lock_replies() = replies;
            events.into()
        })
    }

    fn lock_replies(&self) -> MutexGuard<'_, Vec<Reply>> {
        self.replies.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Accept(Arc<Batch>);

impl Operation for Accept {
    type Output = Vec<Arrival>;
    const TURN: Turn = Turn::Urgent;

    async fn run(&self, conn: &mut Conn) -> Result<Vec<Arrival>, StoreError> {
        conn.accept(self.0.events(), self.0.clock.now()).await
    }
}
