//! The only writer of an embedded file: a thread that commits what waits together.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures_util::future::FutureExt as _;
use tokio::task::JoinSet;
use tracing::{debug, error};

use super::{Job, Turn};
use crate::store::conn::Conn;
use crate::store::engine::{Session, sqlite};
use crate::store::error::{Outage, StoreError};

/// For how long a commit is put off for operations that nobody waits for on the wire: the more share one, the fewer
/// pages are written twice. One that somebody waits for closes its group.
const GROUP_TIME: Duration = Duration::from_millis(100);
/// How often the journal is copied into the file while there are commits.
const CHECKPOINT_PAUSE: Duration = Duration::from_millis(200);

#[derive(Default)]
struct Waiting {
    urgent: VecDeque<Box<dyn Job>>,
    normal: VecDeque<Box<dyn Job>>,
    closed: bool,
    /// The writer's thread has ended.
    abandoned: bool,
}

#[derive(Default)]
struct Queue {
    waiting: Mutex<Waiting>,
    arrived: Condvar,
    commits: AtomicU64,
    closed: Condvar,
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn next_urgent(&self) -> Option<Box<dyn Job>> {
        self.lock().urgent.pop_front()
    }

    fn next_normal(&self) -> Option<Box<dyn Job>> {
        self.lock().normal.pop_front()
    }

    fn next(&self) -> Option<Box<dyn Job>> {
        self.next_urgent().or_else(|| self.next_normal())
    }

    /// Sleeps; false once the queue is closed.
    fn sleep(&self, time: Duration) -> bool {
        let waiting = self.lock();
        let slept = self.closed.wait_timeout_while(waiting, time, |waiting| !waiting.closed);
        !slept.unwrap_or_else(PoisonError::into_inner).0.closed
    }

    /// Waits until there is something to do; false once the queue is closed and empty.
    fn wait(&self) -> bool {
        let mut waiting = self.lock();
        loop {
            if !waiting.urgent.is_empty() || !waiting.normal.is_empty() {
                return true;
            }
            if waiting.closed {
                return false;
            }
            waiting = self.arrived.wait(waiting).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

/// The way to the thread. Dropping it closes the queue.
pub(in crate::store) struct Writer {
    queue: Arc<Queue>,
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.queue.lock().closed = true;
        self.queue.arrived.notify_all();
        self.queue.closed.notify_all();
    }
}

impl Writer {
    /// A writer, and the task that has to run for it. The task ends when the writer is dropped.
    pub(super) fn start(path: PathBuf) -> (Self, impl Future<Output = ()> + Send + use<>) {
        let queue = Arc::new(Queue::default());
        let writing = Arc::clone(&queue);
        let task = async move {
            let (copied, copying) = (path.clone(), Arc::clone(&writing));
            let mut threads = JoinSet::new();
            threads.spawn_blocking(move || write_in_groups(&path, &writing));
            threads.spawn_blocking(move || checkpoint(&copied, &copying));
            while let Some(ended) = threads.join_next().await {
                if let Err(error) = ended {
                    error!(%error, "a defect ended a thread of the database");
                    return;
                }
            }
        };
        (Self { queue }, task)
    }

    /// Hands an operation to the writer; those that somebody waits for on the wire go first.
    pub(super) fn submit(&self, turn: Turn, job: Box<dyn Job>) {
        let mut waiting = self.queue.lock();
        if waiting.abandoned {
            return;
        }
        if turn == Turn::Urgent {
            waiting.urgent.push_back(job);
        } else {
            waiting.normal.push_back(job);
        }
        drop(waiting);
        self.queue.arrived.notify_one();
    }
}

/// Lets go of everybody who waits when the writer's thread ends, however it ends.
struct Abandon<'queue>(&'queue Queue);

impl Drop for Abandon<'_> {
    fn drop(&mut self) {
        let mut waiting = self.0.lock();
        waiting.abandoned = true;
        waiting.urgent.clear();
        waiting.normal.clear();
    }
}

fn write_in_groups(path: &Path, queue: &Queue) {
    let _abandon = Abandon(queue);
    let mut connection: Option<Conn> = None;
    while queue.wait() {
        let conn = match connection.take().map_or_else(|| open(path), Ok) {
            Ok(conn) => connection.insert(conn),
            Err(error) => {
                std::iter::from_fn(|| queue.next()).for_each(|job| job.settle(Err(error.clone())));
                continue;
            }
        };
        if !commit_group(conn, queue) {
            connection = None;
        }
    }
}

/// Copies committed pages from the journal into the file, so that the writer, whose commits somebody waits for, finds
/// little left to copy when the journal is full.
fn checkpoint(path: &Path, queue: &Queue) {
    let mut connection: Option<Conn> = None;
    let mut seen = 0;
    while queue.sleep(CHECKPOINT_PAUSE) {
        let commits = queue.commits.load(Ordering::Relaxed);
        if commits == seen {
            continue;
        }
        seen = commits;
        let copied = match connection.take().map_or_else(|| open(path), Ok) {
            Ok(conn) => now(connection.insert(conn).batch("PRAGMA wal_checkpoint(PASSIVE)")),
            Err(error) => Err(error),
        };
        if let Err(error) = copied {
            // The writer meets the same trouble, and reports it to whoever waits.
            debug!(%error, "the journal could not be copied");
            connection = None;
        }
    }
}

fn open(path: &Path) -> Result<Conn, StoreError> {
    sqlite::Session::open_writer(path).map(|session| Conn::new(Session::Sqlite(session)))
}

/// Runs what waits in one transaction and tells every caller how it went. False if the connection must be given up.
fn commit_group(conn: &mut Conn, queue: &Queue) -> bool {
    let begun = Instant::now();
    if let Err(error) = now(conn.begin()) {
        queue.next().into_iter().for_each(|job| job.settle(Err(error.clone())));
        return error.outage() == Some(Outage::Busy);
    }
    let mut group = Vec::new();
    let mut fate = Ok(());
    let mut somebody_waits = false;
    while fate.is_ok() {
        let next = match queue.next_urgent() {
            Some(job) => {
                somebody_waits = true;
                Some(job)
            }
            None if somebody_waits || begun.elapsed() > GROUP_TIME => None,
            None => queue.next_normal(),
        };
        let Some(mut job) = next else { break };
        fate = now(run(job.as_mut(), conn));
        group.push(job);
    }
    if fate.is_ok() {
        fate = now(conn.commit());
        queue.commits.fetch_add(1, Ordering::Relaxed);
    }
    let Err(error) = fate else {
        group.into_iter().for_each(|job| job.settle(Ok(())));
        return true;
    };
    // SQLite may have rolled back by itself (a full disk does that); then this fails, and a fresh connection is the sure
    // way to a clean state.
    let fit = now(conn.roll_back()).is_ok();
    if !fit || error.outage().is_some() {
        debug!(%error, operations = group.len(), "a commit failed");
        group.into_iter().for_each(|job| job.settle(Err(error.clone())));
        return fit;
    }
    // One of them cannot be done: that must not refuse the others.
    let mut fit = true;
    for job in group {
        if fit {
            fit = commit_alone(conn, job);
        } else {
            job.settle(Err(StoreError::Closed("its connection broke")));
        }
    }
    fit
}

/// Runs one operation in a transaction of its own. False if the connection must be given up.
fn commit_alone(conn: &mut Conn, mut job: Box<dyn Job>) -> bool {
    let fate =
        now(conn.begin()).and_then(|()| now(run(job.as_mut(), conn))).and_then(|()| now(conn.commit()));
    let fit = fate.is_ok() || now(conn.roll_back()).is_ok();
    job.settle(fate);
    fit
}

/// What an operation puts off is done before the next one, which may look for it.
async fn run(job: &mut dyn Job, conn: &mut Conn) -> Result<(), StoreError> {
    job.run(conn).await?;
    conn.flush().await
}

/// Statements of an embedded file never wait.
fn now<T>(work: impl Future<Output = T>) -> T {
    work.now_or_never().expect("an operation waits for nothing but its statements")
}
