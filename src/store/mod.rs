//! The database: inbox, ledger, mirror, change log, runs, migrations. Nothing here knows DingTalk or HTTP.
//!
//! Whatever is written, is written by an [`Operation`]: a named piece of work that runs inside of one transaction, with
//! its part of the change log numbered at its end. Operations that wait together share a commit, and each caller gets
//! its answer after that commit.

mod bulk;
mod change;
mod corp;
mod deletion;
mod error;
mod inbox;
mod ledger;
mod migrate;
mod mirror;
mod run;
mod sql;
mod sqlite;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures_util::future::BoxFuture;
use jiff::Timestamp;
use tokio::sync::oneshot;

pub use self::change::{Action, Cause, ChangeHead, Entity, Logged, LoggedChange, Provenance, json_ids};
pub use self::corp::{BootstrapState, CorpRecord, Snapshot};
pub use self::error::{Outage, StoreError};
pub use self::inbox::{Arrival, Incoming};
pub use self::ledger::{
    ANSWER_LAG, CATALOGUE, Claim, ClaimWish, Confirm, Counts, Doubt, Expectations, Finish, Hint, Kind,
    LaneCount, ObjectState, Standing,
};
pub use self::migrate::script as migration_script;
pub use self::mirror::{
    Department, Difference, Employee, Fate, Json, ListedOutcome, ListedPerson, Membership, Person, Role,
    RoleGroup, RoleMembership, RoleScope, Stamp, Stored,
};
pub use self::run::{Disagreement, Run, RunItem, RunKind, RunState};
pub use self::sql::{Conn, rfc3339};
pub use self::sqlite::{ExclusiveUse, Reader};
use self::sqlite::{Job, Readers, Writer};

/// A piece of work that changes the database, inside of one transaction. It may be run again after a transaction that
/// was taken back, so it changes nothing else.
pub trait Operation: Send + Sync + 'static {
    /// What it brings.
    type Output: Send + 'static;

    /// True where somebody on the wire waits for it: it goes before the others.
    const URGENT: bool = false;

    /// Does it. An error takes back all that it did.
    fn run(&self, conn: &mut Conn) -> impl Future<Output = Result<Self::Output, StoreError>> + Send;
}

/// What an operation brought, and what it logged.
#[derive(Debug)]
pub struct Written<T> {
    /// Its output.
    pub output: T,
    /// The changes that it logged, in their order.
    pub logged: Vec<Logged>,
}

/// The database. Clones share it.
#[derive(Debug, Clone)]
pub struct Store {
    path: Arc<PathBuf>,
    writer: Arc<Writer>,
    readers: Arc<Readers>,
}

impl Store {
    /// The database behind `url`, without touching it yet, and the task that has to run for it.
    pub fn open(url: &str) -> Result<(Self, impl Future<Output = ()> + Send + use<>), StoreError> {
        let path = sqlite::path_of(url)?;
        let (writer, task) = Writer::start(path.clone());
        let readers = Arc::new(Readers::new(path.clone()));
        Ok((Self { path: Arc::new(path), writer: Arc::new(writer), readers }, task))
    }

    /// The database's file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Takes the database for a daemon, or for a command that does a daemon's work; an error if somebody has it.
    pub fn take(&self, holder: &str) -> Result<ExclusiveUse, StoreError> {
        ExclusiveUse::take(self.path(), holder)
    }

    /// Brings the schema up to date. Needs the database for itself.
    pub async fn migrate(&self, _alone: &ExclusiveUse, now: Timestamp) -> Result<(), StoreError> {
        sqlite::open_writer(self.path())?.migrate(now).await
    }

    /// How many migrations are missing.
    pub async fn missing_migrations(&self) -> Result<usize, StoreError> {
        sqlite::open_writer(self.path())?.missing_migrations().await
    }

    /// A connection for reading the last commit.
    pub async fn reader(&self) -> Result<Reader, StoreError> {
        self.readers.acquire().await
    }

    /// Runs an operation and waits for its commit.
    pub async fn write<O: Operation>(&self, operation: O) -> Result<Written<O::Output>, StoreError> {
        let (reply, outcome) = oneshot::channel();
        self.writer.submit(O::URGENT, Box::new(Waiting { operation, outcome: None, reply }));
        // The writer drops an operation only when it dies itself.
        outcome.await.unwrap_or(Err(StoreError::Closed("its writer has ended")))
    }
}

/// An operation with somebody who waits for it.
struct Waiting<O: Operation> {
    operation: O,
    outcome: Option<Written<O::Output>>,
    reply: oneshot::Sender<Result<Written<O::Output>, StoreError>>,
}

impl<O: Operation> Job for Waiting<O> {
    fn run<'c>(&'c mut self, conn: &'c mut Conn) -> BoxFuture<'c, Result<(), StoreError>> {
        Box::pin(async move {
            let result = match self.operation.run(conn).await {
                Ok(output) => conn.flush_changes().await.map(|logged| Written { output, logged }),
                Err(error) => Err(error),
            };
            conn.changes.clear();
            match result {
                Ok(written) => {
                    self.outcome = Some(written);
                    Ok(())
                }
                Err(error) => Err(error),
            }
        })
    }

    fn settle(self: Box<Self>, fate: Result<(), StoreError>) {
        let Self { reply, outcome, .. } = *self;
        let result = fate.and_then(|()| outcome.ok_or(StoreError::Closed("an operation was not run")));
        // Whoever asked may have gone away; the commit stands all the same.
        drop(reply.send(result));
    }
}
