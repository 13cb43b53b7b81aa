//! A connection, as the store's logic sees it: the same on every engine.

use std::collections::HashMap;

use super::change::{Logged, PendingChange};
use super::dialect::Dialect;
use super::engine::address::Target;
use super::engine::{Session, mysql, postgres, sqlite};
use super::error::StoreError;
use super::insert::Insert;
use super::ledger::Effects;
use super::sql::{Row, Value, key_lists};

/// A connection, inside of a transaction where anything is written.
#[derive(Debug)]
pub struct Conn {
    session: Session,
    dialect: Dialect,
    /// What the running operations want of the ledger; done at the end of the transaction.
    pub(super) effects: Effects,
    /// Changes of the running operations; they get their numbers at the end of the transaction.
    pub(super) changes: Vec<PendingChange>,
    /// The numbers of organisations; they never change.
    pub(super) corp_numbers: HashMap<String, i64>,
    /// A transaction was begun and its end was not seen.
    in_transaction: bool,
    /// It reads a file, which takes its time without ever waiting for anything.
    is_file_reader: bool,
}

impl Conn {
    /// A connection for making the schema. An embedded file is made if it is not there.
    pub(super) async fn create(target: &Target) -> Result<Self, StoreError> {
        match target {
            Target::Sqlite(path) => {
                let session = sqlite::Session::create(path)?;
                Ok(Self::new(Session::Sqlite(session)))
            }
            Target::Postgres(_) | Target::Mysql(_) => Self::open_writer(target).await,
        }
    }

    /// A connection for writing.
    pub(super) async fn open_writer(target: &Target) -> Result<Self, StoreError> {
        match target {
            Target::Sqlite(path) => {
                let session = sqlite::Session::open_writer(path)?;
                Ok(Self::new(Session::Sqlite(session)))
            }
            Target::Postgres(address) => {
                let session = Box::pin(postgres::Session::connect(address)).await?;
                Ok(Self::new(Session::Postgres(session)))
            }
            Target::Mysql(address) => {
                let session = Box::pin(mysql::Session::connect(address)).await?;
                Ok(Self::new(Session::Mysql(session)))
            }
        }
    }

    /// A connection for reading.
    pub(super) async fn open_reader(target: &Target) -> Result<Self, StoreError> {
        match target {
            Target::Sqlite(path) => {
                let session = sqlite::Session::open_reader(path)?;
                Ok(Self { is_file_reader: true, ..Self::new(Session::Sqlite(session)) })
            }
            Target::Postgres(_) | Target::Mysql(_) => Self::open_writer(target).await,
        }
    }

    pub(super) fn new(session: Session) -> Self {
        Self {
            dialect: session.dialect(),
            session,
            effects: Effects::default(),
            changes: Vec::new(),
            corp_numbers: HashMap::new(),
            in_transaction: false,
            is_file_reader: false,
        }
    }

    pub(super) fn dialect(&self) -> Dialect {
        self.dialect
    }

    /// Whether the connection is in a state in which somebody else can use it.
    pub(super) fn is_reusable(&self) -> bool {
        !self.in_transaction && !self.is_broken()
    }

    /// Whether nobody can use the connection any more.
    pub(super) fn is_broken(&self) -> bool {
        self.session.is_broken()
    }

    /// The session below, for statements that are not the store's own.
    pub(super) fn session(&mut self) -> &mut Session {
        &mut self.session
    }

    /// Notes that a transaction has ended that was ended on the session.
    pub(super) fn has_ended(&mut self) {
        self.in_transaction = false;
    }

    pub(super) async fn begin(&mut self) -> Result<(), StoreError> {
        self.in_transaction = true;
        self.session.command(self.dialect.begin()).await
    }

    /// Begins a transaction that reads one moment.
    pub(super) async fn begin_look(&mut self) -> Result<(), StoreError> {
        self.in_transaction = true;
        for statement in self.dialect.begin_look() {
            self.session.command(statement).await?;
        }
        Ok(())
    }

    pub(super) async fn commit(&mut self) -> Result<(), StoreError> {
        self.session.command("COMMIT").await?;
        self.in_transaction = false;
        Ok(())
    }

    /// Takes everything back, what was put off to the end included.
    pub(super) async fn roll_back(&mut self) -> Result<(), StoreError> {
        self.effects.clear();
        self.changes.clear();
        self.session.roll_back().await?;
        self.in_transaction = false;
        Ok(())
    }

    /// Does what operations have put off to the end of their transaction: the ledger's rows first, in the order of their
    /// keys, so that two transactions never wait for each other in a circle; then the change log.
    pub(super) async fn flush(&mut self) -> Result<(), StoreError> {
        self.apply_effects().await?;
        self.flush_changes().await
    }

    /// What was logged since there were `from` changes.
    pub(super) fn logged_from(&self, from: usize) -> Vec<Logged> {
        self.changes.iter().skip(from).map(PendingChange::logged).collect()
    }

    /// Runs statements that take no arguments and are not worth keeping prepared.
    pub(super) async fn batch(&mut self, script: &str) -> Result<(), StoreError> {
        self.session.batch(script).await
    }

    /// Runs a statement. Inside of a transaction it may be told later that it failed, by the commit at the latest.
    pub(super) async fn execute(&mut self, sql: impl AsRef<str>, args: &[Value]) -> Result<(), StoreError> {
        if self.in_transaction {
            return self.session.send(sql.as_ref(), args).await;
        }
        self.count(sql, args).await.map(drop)
    }

    /// Runs a statement and tells how many rows it found.
    pub(super) async fn count(&mut self, sql: impl AsRef<str>, args: &[Value]) -> Result<u64, StoreError> {
        let counts = self.session.execute_each(&[(sql.as_ref(), args)]).await?;
        Ok(counts.into_iter().sum())
    }

    /// Runs statements in their order and tells how many rows each found.
    pub(super) async fn count_each(
        &mut self,
        statements: &[(&str, &[Value])],
    ) -> Result<Vec<u64>, StoreError> {
        self.session.execute_each(statements).await
    }

    /// Inserts rows, whose values are given one row after the other. It may be told later that it failed, by the commit at
    /// the latest.
    pub(super) async fn insert_rows(
        &mut self,
        insert: &Insert<'_>,
        values: Vec<Value>,
    ) -> Result<(), StoreError> {
        self.session.insert_rows(insert, values).await
    }

    /// The same, and brings what the ending of the statement tells.
    pub(super) async fn insert_rows_telling(
        &mut self,
        insert: &Insert<'_>,
        values: Vec<Value>,
    ) -> Result<Vec<Row>, StoreError> {
        self.session.insert_rows_telling(insert, values).await
    }

    /// Inserts a row and brings the number that it was given.
    pub(super) async fn insert(&mut self, sql: &str, args: &[Value]) -> Result<i64, StoreError> {
        if self.dialect == Dialect::Mysql {
            self.count(sql, args).await?;
            let id = self.session.last_insert_id();
            return id.ok_or(StoreError::Schema("a table does not number its rows".to_owned()));
        }
        self.number(format!("{sql} RETURNING id"), args).await
    }

    pub(super) async fn rows(
        &mut self,
        sql: impl AsRef<str>,
        args: &[Value],
    ) -> Result<Vec<Row>, StoreError> {
        Ok(self.rows_each(&[(sql.as_ref(), args)]).await?.into_iter().flatten().collect())
    }

    /// Runs queries that do not depend on each other, and brings the rows of each.
    pub(super) async fn rows_each(
        &mut self,
        queries: &[(&str, &[Value])],
    ) -> Result<Vec<Vec<Row>>, StoreError> {
        let rows = self.session.rows_each(queries).await?;
        if self.is_file_reader {
            // Between two statements others have their turn on this thread: callbacks above all.
            tokio::task::yield_now().await;
        }
        Ok(rows)
    }

    pub(super) async fn row(
        &mut self,
        sql: impl AsRef<str>,
        args: &[Value],
    ) -> Result<Option<Row>, StoreError> {
        Ok(self.rows(sql, args).await?.into_iter().next())
    }

    /// The rows of `table` in which the columns `same` have these values and the column `key`, a text, is one of `keys`;
    /// in no order.
    pub(super) async fn rows_listed(
        &mut self,
        columns: &str,
        table: &str,
        same: &[(&str, Value)],
        key: &str,
        keys: &[Value],
    ) -> Result<Vec<Row>, StoreError> {
        self.listed(columns, table, same, (key, keys), false).await
    }

    /// The same; the rows are this transaction's until its end, and are taken in the order of their keys.
    pub(super) async fn lock_listed(
        &mut self,
        table: &str,
        same: &[(&str, Value)],
        key: &str,
        keys: &[Value],
    ) -> Result<(), StoreError> {
        self.listed("id", table, same, (key, keys), true).await.map(drop)
    }

    async fn listed(
        &mut self,
        columns: &str,
        table: &str,
        same: &[(&str, Value)],
        (key, keys): (&str, &[Value]),
        lock: bool,
    ) -> Result<Vec<Row>, StoreError> {
        let (same_columns, same_values): (Vec<&str>, Vec<Value>) = same.iter().cloned().unzip();
        let mut rows = Vec::new();
        for list in key_lists(keys) {
            let sql = self.dialect.select_listed(columns, table, &same_columns, key, list.len(), lock);
            let args: Vec<Value> = same_values.iter().cloned().chain(list).collect();
            rows.extend(self.rows(sql, &args).await?);
        }
        Ok(rows)
    }

    /// The single number that a statement such as `SELECT count(*)` brings; 0 where it brings none.
    pub(super) async fn number(&mut self, sql: impl AsRef<str>, args: &[Value]) -> Result<i64, StoreError> {
        match self.row(sql, args).await? {
            Some(row) => Ok(row.integer(0)?.unwrap_or(0)),
            None => Ok(0),
        }
    }
}
