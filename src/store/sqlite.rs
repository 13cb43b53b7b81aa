//! The SQLite engine: one writer that commits in groups, a few readers, and a lock that keeps a second daemon out.

use std::fs::{File, TryLockError};
use std::io::{Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use futures_util::future::BoxFuture;
use sqlx::ConnectOptions;
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};
use tokio::sync::mpsc;
use tokio::time::Instant;
use tracing::warn;

use super::error::{Outage, StoreError};
use super::sql::Conn;

const READERS: u32 = 4;
/// How long a statement waits for another process's write.
const BUSY_PATIENCE: Duration = Duration::from_secs(5);
const READER_PATIENCE: Duration = Duration::from_secs(5);
/// Operations that share one commit at most, and for how long a commit is put off for them: an acknowledgement waits
/// for its group.
const GROUP: usize = 128;
const GROUP_TIME: Duration = Duration::from_millis(10);
const WAITING: usize = 1024;
const RECONNECT_PAUSE: Duration = Duration::from_millis(200);

/// The file behind `sqlite://…`.
pub(super) fn options(url: &str) -> Result<SqliteConnectOptions, StoreError> {
    let options = SqliteConnectOptions::from_str(url).map_err(|error| StoreError::Url(error.to_string()))?;
    Ok(options
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        // An acknowledged event must survive a power cut; group commit pays for it.
        .synchronous(SqliteSynchronous::Full)
        .busy_timeout(BUSY_PATIENCE)
        .pragma("cache_size", "-8000")
        .pragma("temp_store", "MEMORY")
        .pragma("journal_size_limit", "67108864")
        .disable_statement_logging())
}

/// Readers see the last commit and hold nobody up.
pub(super) fn readers(options: &SqliteConnectOptions) -> SqlitePool {
    SqlitePoolOptions::new()
        .max_connections(READERS)
        .acquire_timeout(READER_PATIENCE)
        .idle_timeout(Duration::from_mins(1))
        .connect_lazy_with(options.clone().pragma("query_only", "ON").pragma("cache_size", "-2000"))
}

/// An operation that waits for its turn.
pub(super) trait Job: Send {
    /// Runs inside of the group's transaction: whether its own part stands, and what to tell its caller once the fate
    /// of the commit is known.
    fn run<'c>(self: Box<Self>, conn: &'c mut Conn) -> BoxFuture<'c, (bool, Settle)>
    where
        Self: 'c;
    /// It could not even begin.
    fn refuse(self: Box<Self>, error: StoreError);
}

/// Called with the fate of the group's commit.
pub(super) type Settle = Box<dyn FnOnce(Result<(), StoreError>) + Send>;

/// The way to the single writer.
#[derive(Debug, Clone)]
pub(super) struct Writer {
    urgent: mpsc::Sender<Box<dyn Job>>,
    normal: mpsc::Sender<Box<dyn Job>>,
}

impl Writer {
    /// Starts the writer. It ends when the last [`Writer`] is dropped.
    pub(super) fn start(options: SqliteConnectOptions) -> (Self, impl Future<Output = ()> + Send) {
        let (urgent, urgent_jobs) = mpsc::channel(WAITING);
        let (normal, normal_jobs) = mpsc::channel(WAITING);
        (Self { urgent, normal }, write_in_groups(options, urgent_jobs, normal_jobs))
    }

    /// Hands an operation to the writer; those that somebody waits for on the wire go first.
    pub(super) async fn submit(&self, urgent: bool, job: Box<dyn Job>) -> Result<(), StoreError> {
        let queue = if urgent { &self.urgent } else { &self.normal };
        queue.send(job).await.map_err(|_| sqlx::Error::WorkerCrashed.into())
    }
}

async fn write_in_groups(
    options: SqliteConnectOptions,
    mut urgent: mpsc::Receiver<Box<dyn Job>>,
    mut normal: mpsc::Receiver<Box<dyn Job>>,
) {
    let mut connection = None;
    loop {
        let first = tokio::select! {
            biased;
            job = urgent.recv() => job,
            job = normal.recv() => job,
        };
        let Some(first) = first else { break };
        let mut waiting = std::iter::once(first)
            .chain(std::iter::from_fn(|| urgent.try_recv().or_else(|_| normal.try_recv()).ok()));
        let fit = match connect(&mut connection, &options).await {
            Ok(conn) => commit_group(conn, &mut waiting).await,
            Err(error) => {
                waiting.for_each(|job| job.refuse(error.clone()));
                tokio::time::sleep(RECONNECT_PAUSE).await;
                true
            }
        };
        if !fit {
            connection = None;
        }
    }
    if let Some(conn) = connection
        && let Err(error) = conn.close().await
    {
        warn!(%error, "the database's connection did not close cleanly");
    }
}

async fn connect<'c>(
    connection: &'c mut Option<Conn>,
    options: &SqliteConnectOptions,
) -> Result<&'c mut Conn, StoreError> {
    match connection {
        Some(conn) => Ok(conn),
        None => Ok(connection.insert(Conn::own(options.connect().await?))),
    }
}

/// Runs what waits in one transaction and tells every caller how it went. False if the connection must be given up.
async fn commit_group(conn: &mut Conn, waiting: &mut (dyn Iterator<Item = Box<dyn Job>> + Send)) -> bool {
    let begun = Instant::now();
    if let Err(error) = conn.execute("BEGIN IMMEDIATE", &[]).await {
        waiting.take(1).for_each(|job| job.refuse(error.clone()));
        return error.outage() == Some(Outage::Busy);
    }
    let mut settles: Vec<Settle> = Vec::new();
    let mut fate = Ok(());
    while fate.is_ok() && settles.len() < GROUP && begun.elapsed() < GROUP_TIME {
        let Some(job) = waiting.next() else { break };
        fate = run_in_savepoint(conn, job, &mut settles).await;
    }
    if fate.is_ok() {
        fate = conn.execute("COMMIT", &[]).await.map(drop);
    }
    let mut fit = true;
    if fate.is_err() {
        // SQLite may have rolled back by itself (a full disk does that); then this fails, and a fresh connection is the
        // sure way to a clean state.
        fit = conn.execute("ROLLBACK", &[]).await.is_ok();
    }
    for settle in settles {
        settle(fate.clone());
    }
    fit
}

/// An operation that fails takes back only what it did itself.
async fn run_in_savepoint(
    conn: &mut Conn,
    job: Box<dyn Job>,
    settles: &mut Vec<Settle>,
) -> Result<(), StoreError> {
    if let Err(error) = conn.execute("SAVEPOINT operation", &[]).await {
        job.refuse(error.clone());
        return Err(error);
    }
    let (stands, settle) = job.run(conn).await;
    settles.push(settle);
    if !stands {
        conn.execute("ROLLBACK TO operation", &[]).await?;
    }
    conn.execute("RELEASE operation", &[]).await.map(drop)
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
        let io = |error: std::io::Error| StoreError::from(sqlx::Error::Io(error));
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
