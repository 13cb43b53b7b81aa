//! The database: inbox, ledger, mirror, change log, runs, migrations. Nothing here knows DingTalk or HTTP.
//!
//! Whatever is written, is written by an [`Operation`]: a named piece of work that runs inside of one transaction, with
//! its part of the change log numbered at its end. Operations that wait together share a commit, and each caller gets
//! its answer after that commit.

mod apply;
mod audit;
mod bulk;
mod catch_up;
mod change;
mod conn;
mod corp;
mod deletion;
mod dialect;
mod engine;
mod error;
mod events;
mod exclusive;
mod facts;
mod feed;
mod fit;
mod held;
mod inbox;
mod insert;
mod ledger;
mod link;
mod metering;
mod migrate;
mod mirror;
mod notice;
mod oa;
mod outages;
mod readers;
mod replica;
mod retention;
mod run;
mod run_list;
mod run_note;
mod run_place;
mod sql;
mod writer;

use std::path::Path;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use jiff::Timestamp;

pub use self::apply::{
    ApplyCounts, ApplyObject, ApplyPhase, ApplyRecord, ApplyState, ApplyTrouble, MemberOf,
};
pub use self::audit::AuditEntry;
pub use self::catch_up::{CatchUp, Gap, GapReason};
pub use self::change::{Action, Cause, ChangeHead, Entity, Logged, Provenance, json_ids};
pub use self::conn::Conn;
pub use self::corp::{BootstrapState, CorpRecord, Snapshot};
pub use self::deletion::Loss;
pub use self::dialect::Dialect;
use self::engine::address::{self, Target};
use self::engine::sqlite;
pub use self::error::{Outage, StoreError};
pub use self::events::{EventStretch, EventWish, StoredEvent};
pub use self::exclusive::ExclusiveUse;
pub(crate) use self::facts::{FactKind, Facts, TreeNode, columns_of, json_of, member_columns_of};
pub use self::feed::{FeedPage, LoggedChange};
pub use self::held::{HeldGroup, HeldRecord, HeldState};
pub use self::inbox::{Arrival, Incoming};
pub use self::ledger::{
    ANSWER_LAG, CATALOGUE, Claim, ClaimWish, Confirm, Counts, Doubt, Expectations, Finish, Hint, Kind,
    LaneCount, ObjectState, Standing, Task, TaskPlace, TaskState,
};
pub use self::link::{LONGEST_KEY, Link, LinkedBy};
use self::mirror::Fit;
pub use self::mirror::{
    Department, Difference, DifferingMember, Employee, Fate, FieldSet, FindBy, Json, LeaveOut, ListedOutcome,
    ListedPerson, Membership, Person, Role, RoleGroup, RoleMembership, RoleScope, Scrubbed, Stamp, Stored,
    Whose,
};
pub use self::notice::Notice;
pub use self::oa::{OaAnswer, OaConn, OaError, OaPrepared, OaValue};
use self::outages::Outages;
pub use self::readers::Reader;
use self::readers::Readers;
pub use self::replica::Replica;
pub use self::retention::{Aging, Swept};
pub use self::run::{Disagreement, Run, RunItem, RunKind, RunState};
pub use self::run_list::FoundByRun;
pub use self::run_note::{NoteKind, RunNote};
pub use self::run_place::RunPlace;
pub(crate) use self::sql::Value;
pub use self::sql::rfc3339;
pub use self::writer::Turn;
use self::writer::Writer;

/// A piece of work that changes the database, inside of one transaction. It may be run again after a transaction that
/// was taken back, so it changes nothing else.
pub trait Operation: Send + Sync + 'static {
    /// What it brings.
    type Output: Send + 'static;

    /// How it shares commits with others.
    const TURN: Turn = Turn::Grouped;

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
    target: Target,
    writer: Arc<Writer>,
    readers: Arc<Readers>,
    outages: Arc<Outages>,
    /// Columns of people that are never stored.
    excluded: Arc<FieldSet>,
}

impl Store {
    /// The database behind `url`, without touching it yet, and the task that has to run for it.
    pub fn open(url: &str) -> Result<(Self, BoxFuture<'static, ()>), StoreError> {
        let target = address::target_of(url)?;
        let (writer, task) = Writer::start(&target);
        let readers = Arc::new(Readers::new(target.clone()));
        let (outages, excluded) = (Arc::default(), Arc::default());
        Ok((Self { target, writer: Arc::new(writer), readers, outages, excluded }, task))
    }

    /// The same database, into which no values of these columns of people get.
    #[must_use]
    pub fn excluding(self, fields: FieldSet) -> Self {
        Self { excluded: Arc::new(fields), ..self }
    }

    /// The columns of people that are never stored.
    pub fn excluded(&self) -> &Arc<FieldSet> {
        &self.excluded
    }

    /// Where it is, for people; never with a password.
    pub fn place(&self) -> String {
        match &self.target {
            Target::Sqlite(path) => {
                std::path::absolute(path).unwrap_or_else(|_| path.clone()).display().to_string()
            }
            Target::Postgres(_) | Target::Mysql(_) => self.target.place(),
        }
    }

    /// True for a server: several daemons may share it.
    pub fn is_shared(&self) -> bool {
        !matches!(self.target, Target::Sqlite(_))
    }

    /// Takes the database for a daemon, or for a command that does a daemon's work; an error if somebody has it.
    pub fn take(&self, holder: &str) -> Result<ExclusiveUse, StoreError> {
        match &self.target {
            Target::Sqlite(path) => ExclusiveUse::take(path, holder),
            Target::Postgres(_) | Target::Mysql(_) => Ok(ExclusiveUse::shared()),
        }
    }

    /// Brings the schema up to date, from nothing if need be. Needs the database for itself.
    pub async fn migrate(&self, _alone: &ExclusiveUse, now: Timestamp) -> Result<(), StoreError> {
        Conn::create(&self.target).await?.migrate(now).await
    }

    /// How many migrations are missing of a schema that was made before.
    pub async fn missing_migrations(&self) -> Result<usize, StoreError> {
        self.expect_mirror().await?;
        Conn::open_writer(&self.target).await?.missing_migrations().await
    }

    /// Refuses a place where nobody has made the schema yet. Makes nothing there.
    pub async fn expect_mirror(&self) -> Result<(), StoreError> {
        let place = self.place();
        if let Target::Sqlite(path) = &self.target
            && is_missing_in_its_folder(path)
        {
            return Err(StoreError::NoMirror(format!("there is no file {place}")));
        }
        if Conn::open_reader(&self.target).await?.is_made().await? {
            Ok(())
        } else {
            Err(StoreError::NoMirror(format!("{place} holds no mirror")))
        }
    }

    /// Finds out whether the schema could be made where there is none, and leaves nothing behind.
    pub async fn probe_making(&self) -> Result<(), StoreError> {
        match &self.target {
            Target::Sqlite(path) if is_missing_in_its_folder(path) => sqlite::probe_folder(path),
            _ => Conn::open_writer(&self.target).await?.probe_making().await,
        }
    }

    /// The statements that make the schema, for a DBA who runs them by hand.
    pub fn migration_script(&self) -> String {
        migrate::script(self.target.dialect())
    }

    /// Brings a value of DingTalk's to what this database can hold, and is to hold, so that it is stored and compared as
    /// that.
    pub(crate) fn fitted<F: Fit + LeaveOut>(&self, mut value: F) -> F {
        value.fit(self.target.dialect());
        value.leave_out(&self.excluded);
        value
    }

    /// A connection for reading the last commit.
    pub async fn reader(&self) -> Result<Reader, StoreError> {
        let reader = self.readers.acquire().await;
        if reader.is_err() {
            self.outages.hear(&reader);
        }
        reader
    }

    /// Runs an operation and waits for its commit.
    pub async fn write<O: Operation>(&self, operation: O) -> Result<Written<O::Output>, StoreError> {
        let result = self.writer.run(operation).await;
        self.outages.hear(&result);
        result
    }
}

/// With its folder away, too, the file may be back in a moment.
fn is_missing_in_its_folder(path: &Path) -> bool {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    folder.is_dir() && matches!(path.try_exists(), Ok(false))
}
