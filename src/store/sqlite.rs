//! The SQLite engine: one writer that commits in groups, a few readers, and a lock that keeps a second daemon out.
//!
//! It drives SQLite itself instead of going through an asynchronous driver: those hand every statement to another
//! thread, which costs more than most statements do. An operation runs on the writer's thread from begin to end.

use std::collections::VecDeque;
use std::fs::{File, TryLockError};
use std::io::{Read, Seek, Write};
use std::ops::{Deref, DerefMut};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures_util::future::{BoxFuture, FutureExt as _};
use rusqlite::{Connection, ErrorCode, OpenFlags, ffi};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tracing::{debug, error, warn};

use super::error::{Outage, StoreError};
use super::sql::Conn;

const READERS: usize = 4;
/// How long a statement waits for another process's write.
const BUSY_PATIENCE: Duration = Duration::from_secs(5);
/// For how long a commit is put off for operations that nobody waits for on the wire: the more share one, the fewer
/// pages are written twice. One that somebody waits for closes its group.
const GROUP_TIME: Duration = Duration::from_millis(100);
/// How often the journal is copied into the file while there are commits.
const CHECKPOINT_PAUSE: Duration = Duration::from_millis(200);
/// Prepared statements that a connection keeps: all that there are, in every number of rows.
const STATEMENTS: usize = 512;

/// The file behind `sqlite://…`.
pub(super) fn path_of(url: &str) -> Result<PathBuf, StoreError> {
    let refuse = |text: &str| Err(StoreError::Url(text.to_owned()));
    let Some(rest) = url.strip_prefix("sqlite:") else {
        return refuse("it must start with sqlite://, followed by the path of the file");
    };
    match rest.strip_prefix("//").unwrap_or(rest) {
        "" | ":memory:" => refuse("it names no file"),
        path if path.contains('?') => refuse("parameters after a ? are not known here"),
        path => Ok(PathBuf::from(path)),
    }
}

/// Opens the file for writing, and makes it if it is not there.
pub(super) fn open_writer(path: &Path) -> Result<Conn, StoreError> {
    let connection = Connection::open(path)?;
    configure(&connection)?;
    // An acknowledged event must survive a power cut; group commit pays for it.
    connection.execute_batch(
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA cache_size = -16000; \
         PRAGMA temp_store = MEMORY; PRAGMA wal_autocheckpoint = 8000; PRAGMA journal_size_limit = 67108864;",
    )?;
    Ok(Conn::new(connection))
}

fn open_reader(path: &Path) -> Result<Conn, StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    configure(&connection)?;
    connection.execute_batch("PRAGMA query_only = ON; PRAGMA cache_size = -2000;")?;
    Ok(Conn::new(connection))
}

fn configure(connection: &Connection) -> Result<(), StoreError> {
    connection.busy_timeout(BUSY_PATIENCE)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    Ok(())
}

/// Connections that see the last commit and hold nobody up.
#[derive(Debug)]
pub(super) struct Readers {
    path: PathBuf,
    idle: Mutex<Vec<Conn>>,
    permits: Arc<Semaphore>,
}

/// A connection that only reads.
#[derive(Debug)]
pub struct Reader {
    /// `None` only while it is being given back.
    conn: Option<Conn>,
    readers: Arc<Readers>,
    _permit: OwnedSemaphorePermit,
}

impl Readers {
    pub(super) fn new(path: PathBuf) -> Self {
        Self { path, idle: Mutex::default(), permits: Arc::new(Semaphore::new(READERS)) }
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Conn>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) async fn acquire(self: &Arc<Self>) -> Result<Reader, StoreError> {
        let permit = Arc::clone(&self.permits).acquire_owned().await;
        let permit = permit.map_err(|_| StoreError::Closed("it is being closed"))?;
        let idle = self.idle().pop();
        let conn = match idle {
            Some(conn) => conn,
            None => open_reader(&self.path)?,
        };
        Ok(Reader { conn: Some(conn), readers: Arc::clone(self), _permit: permit })
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.readers.idle().extend(self.conn.take());
    }
}

impl Deref for Reader {
    type Target = Conn;

    fn deref(&self) -> &Conn {
        self.conn.as_ref().expect("a reader has its connection until it is dropped")
    }
}

impl DerefMut for Reader {
    fn deref_mut(&mut self) -> &mut Conn {
        self.conn.as_mut().expect("a reader has its connection until it is dropped")
    }
}

/// An operation that waits for its turn.
pub(super) trait Job: Send {
    /// Runs inside of a transaction; again, if that transaction was taken back.
    fn run<'c>(&'c mut self, conn: &'c mut Conn) -> BoxFuture<'c, Result<(), StoreError>>;
    /// Tells its caller how its transaction ended.
    fn settle(self: Box<Self>, fate: Result<(), StoreError>);
}

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

/// The way to the single writer. Dropping it closes the queue.
pub(super) struct Writer {
    queue: Arc<Queue>,
}

impl std::fmt::Debug for Writer {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Writer")
    }
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
    pub(super) fn submit(&self, urgent: bool, job: Box<dyn Job>) {
        let mut waiting = self.queue.lock();
        if waiting.abandoned {
            return;
        }
        if urgent {
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
        let conn = match connection.take().map_or_else(|| open_writer(path), Ok) {
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
        let copied = match connection.take().map_or_else(|| open_writer(path), Ok) {
            Ok(conn) => connection.insert(conn).batch("PRAGMA wal_checkpoint(PASSIVE)"),
            Err(error) => Err(error),
        };
        if let Err(error) = copied {
            // The writer meets the same trouble, and reports it to whoever waits.
            debug!(%error, "the journal could not be copied");
            connection = None;
        }
    }
}

/// Runs what waits in one transaction and tells every caller how it went. False if the connection must be given up.
fn commit_group(conn: &mut Conn, queue: &Queue) -> bool {
    let begun = Instant::now();
    if let Err(error) = conn.batch("BEGIN IMMEDIATE") {
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
        fate = run_now(conn, job.as_mut());
        group.push(job);
    }
    if fate.is_ok() {
        fate = conn.batch("COMMIT");
        queue.commits.fetch_add(1, Ordering::Relaxed);
    }
    let Err(error) = fate else {
        group.into_iter().for_each(|job| job.settle(Ok(())));
        return true;
    };
    // SQLite may have rolled back by itself (a full disk does that); then this fails, and a fresh connection is the sure
    // way to a clean state.
    let fit = conn.batch("ROLLBACK").is_ok();
    if !fit || error.outage().is_some() {
        warn!(%error, operations = group.len(), "a commit failed");
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
    let fate = conn
        .batch("BEGIN IMMEDIATE")
        .and_then(|()| run_now(conn, job.as_mut()))
        .and_then(|()| conn.batch("COMMIT"));
    let fit = fate.is_ok() || conn.batch("ROLLBACK").is_ok();
    job.settle(fate);
    fit
}

fn run_now(conn: &mut Conn, job: &mut dyn Job) -> Result<(), StoreError> {
    job.run(conn).now_or_never().expect("an operation waits for nothing but its statements")
}

/// A failure of the file system, as SQLite would report it.
fn io_failure(error: &std::io::Error) -> rusqlite::Error {
    let code = match error.kind() {
        std::io::ErrorKind::NotFound | std::io::ErrorKind::PermissionDenied => ErrorCode::CannotOpen,
        std::io::ErrorKind::ReadOnlyFilesystem => ErrorCode::ReadOnly,
        std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => ErrorCode::DiskFull,
        _ => ErrorCode::SystemIoFailure,
    };
    rusqlite::Error::SqliteFailure(ffi::Error { code, extended_code: 0 }, Some(error.to_string()))
}

/// The file that tells other processes that a daemon, or a command that does a daemon's work, has the database. The
/// operating system lets go of it when the process ends, however it ends.
#[derive(Debug)]
pub struct ExclusiveUse {
    // Held, not read: closing it releases the lock.
    _file: File,
}

impl ExclusiveUse {
    /// Takes the lock for `holder` ("serve, process 4711"), or tells who has it.
    pub(super) fn take(database: &Path, holder: &str) -> Result<Self, StoreError> {
        let path = lock_path(database);
        let io = |error: std::io::Error| StoreError::from(io_failure(&error));
        let mut file =
            File::options().read(true).write(true).create(true).truncate(false).open(&path).map_err(io)?;
        match file.try_lock() {
            Ok(()) => {
                file.set_len(0).and_then(|()| file.write_all(holder.as_bytes())).map_err(io)?;
                Ok(Self { _file: file })
            }
            Err(TryLockError::WouldBlock) => {
                let mut holder = String::new();
                // Who holds it is a courtesy; that it is held is the point.
                if file.rewind().and_then(|()| file.read_to_string(&mut holder)).is_err() || holder.is_empty()
                {
                    "another process".clone_into(&mut holder);
                }
                Err(StoreError::InUse { path: database.display().to_string(), holder })
            }
            Err(TryLockError::Error(error)) => Err(io(error)),
        }
    }
}

fn lock_path(database: &Path) -> PathBuf {
    let mut name = database.as_os_str().to_owned();
    name.push(".lock");
    PathBuf::from(name)
}
