//! The three engines: how a connection is made, how values travel, and what their errors mean.

pub(super) mod address;
pub(super) mod mysql;
pub(super) mod postgres;
pub(super) mod sqlite;
mod tls;

use std::time::Duration;

use super::dialect::Dialect;
use super::error::StoreError;
use super::insert::Insert;
use super::oa::{OaAnswer, OaError, OaPrepared, OaValue, Trouble};
use super::sql::{Row, Value};

/// How long making a connection to a server may take.
const CONNECT_PATIENCE: Duration = Duration::from_secs(5);
/// How long a server may take for a statement before the connection is given up.
const STATEMENT_PATIENCE: Duration = Duration::from_secs(20);
/// A migration's statement may rebuild a large table.
const SCRIPT_PATIENCE: Duration = Duration::from_mins(30);
/// The beginning and the end of a transaction: a disk may be slow, but a line that has gone silent is not waited for.
const COMMAND_PATIENCE: Duration = Duration::from_secs(30);

/// A connection of one of the engines. What waits for a server is boxed: it would make every operation's future large.
#[derive(Debug)]
pub(super) enum Session {
    Sqlite(sqlite::Session),
    Postgres(postgres::Session),
    Mysql(mysql::Session),
}

impl Session {
    pub(super) fn dialect(&self) -> Dialect {
        match self {
            Self::Sqlite(_) => Dialect::Sqlite,
            Self::Postgres(_) => Dialect::Postgres,
            Self::Mysql(_) => Dialect::Mysql,
        }
    }

    /// True when the connection must not be used again.
    pub(super) fn is_broken(&self) -> bool {
        match self {
            Self::Sqlite(_) => false,
            Self::Postgres(session) => session.is_broken(),
            Self::Mysql(session) => session.is_torn(),
        }
    }

    /// Runs statements that may take long.
    pub(super) async fn batch(&mut self, script: &str) -> Result<(), StoreError> {
        self.batch_within(SCRIPT_PATIENCE, script).await
    }

    /// Runs statements that a server answers soon, or never will.
    pub(super) async fn command(&mut self, statement: &str) -> Result<(), StoreError> {
        self.batch_within(COMMAND_PATIENCE, statement).await
    }

    async fn batch_within(&mut self, patience: Duration, script: &str) -> Result<(), StoreError> {
        match self {
            Self::Sqlite(session) => session.batch(script),
            Self::Postgres(session) => Box::pin(session.batch(script, patience)).await,
            Self::Mysql(session) => Box::pin(session.batch(script, patience)).await,
        }
    }

    /// Takes a transaction back.
    pub(super) async fn roll_back(&mut self) -> Result<(), StoreError> {
        match self {
            Self::Sqlite(session) => session.roll_back(),
            Self::Postgres(session) => Box::pin(session.roll_back()).await,
            Self::Mysql(session) => Box::pin(session.batch("ROLLBACK", STATEMENT_PATIENCE)).await,
        }
    }

    /// Runs a statement of a transaction. It may be told later that it failed, by the commit at the latest.
    pub(super) async fn send(&mut self, sql: &str, args: &[Value]) -> Result<(), StoreError> {
        match self {
            Self::Sqlite(session) => session.execute(sql, args).map(drop),
            Self::Postgres(session) => Box::pin(session.send(sql, args)).await,
            Self::Mysql(session) => Box::pin(session.execute(sql, args)).await.map(drop),
        }
    }

    /// Runs statements, together where the engine can, and tells how many rows each found.
    pub(super) async fn execute_each(
        &mut self,
        statements: &[(&str, &[Value])],
    ) -> Result<Vec<u64>, StoreError> {
        let mut counts = Vec::with_capacity(statements.len());
        match self {
            Self::Sqlite(session) => {
                for (sql, args) in statements {
                    counts.push(session.execute(sql, args)?);
                }
            }
            Self::Postgres(session) => return Box::pin(session.execute_each(statements)).await,
            Self::Mysql(session) => {
                for (sql, args) in statements {
                    counts.push(Box::pin(session.execute(sql, args)).await?);
                }
            }
        }
        Ok(counts)
    }

    /// Runs queries, together where the engine can, and brings the rows of each.
    pub(super) async fn rows_each(
        &mut self,
        queries: &[(&str, &[Value])],
    ) -> Result<Vec<Vec<Row>>, StoreError> {
        let mut rows = Vec::with_capacity(queries.len());
        match self {
            Self::Sqlite(session) => {
                for (sql, args) in queries {
                    rows.push(session.rows(sql, args)?);
                }
            }
            Self::Postgres(session) => return Box::pin(session.rows_each(queries)).await,
            Self::Mysql(session) => {
                for (sql, args) in queries {
                    rows.push(Box::pin(session.rows(sql, args)).await?);
                }
            }
        }
        Ok(rows)
    }

    /// Inserts rows, whose values are given one row after the other. It may be told later that it failed, by the commit at
    /// the latest.
    pub(super) async fn insert_rows(
        &mut self,
        insert: &Insert<'_>,
        values: Vec<Value>,
    ) -> Result<(), StoreError> {
        if let Self::Postgres(session) = self {
            return Box::pin(session.insert_rows(insert, values)).await;
        }
        for (sql, args) in insert.statements(&values) {
            self.send(&sql, args).await?;
        }
        Ok(())
    }

    /// The same, and brings what the ending of the statement tells.
    pub(super) async fn insert_rows_telling(
        &mut self,
        insert: &Insert<'_>,
        values: Vec<Value>,
    ) -> Result<Vec<Row>, StoreError> {
        if let Self::Postgres(session) = self {
            return Box::pin(session.insert_rows_telling(insert, values)).await;
        }
        let mut told = Vec::new();
        for (sql, args) in insert.statements(&values) {
            told.extend(self.rows_each(&[(&sql, args)]).await?.into_iter().flatten());
        }
        Ok(told)
    }

    /// Asks for a statement that is not the store's own, without running it.
    pub(super) async fn foreign_prepare(&mut self, sql: &str) -> Result<OaPrepared, OaError> {
        match self {
            Self::Sqlite(session) => session.foreign_prepare(sql),
            Self::Postgres(session) => Box::pin(session.foreign_prepare(sql)).await,
            Self::Mysql(session) => Box::pin(session.foreign_prepare(sql)).await,
        }
    }

    /// Runs a statement that is not the store's own, and waits for it.
    pub(super) async fn foreign_run(&mut self, sql: &str, args: &[OaValue]) -> Result<OaAnswer, OaError> {
        match self {
            Self::Sqlite(session) => session.foreign_run(sql, args),
            Self::Postgres(session) => Box::pin(session.foreign_run(sql, args)).await,
            Self::Mysql(session) => Box::pin(session.foreign_run(sql, args)).await,
        }
    }

    /// Runs a command, whose error has the database's own words.
    pub(super) async fn foreign_command(&mut self, sql: &str) -> Result<(), OaError> {
        match self {
            Self::Sqlite(session) => session.foreign_command(sql),
            Self::Postgres(session) => Box::pin(session.foreign_command(sql)).await,
            Self::Mysql(session) => Box::pin(session.foreign_command(sql)).await,
        }
    }

    /// The number that the last `INSERT` of this connection generated, where the engine tells it afterwards.
    pub(super) fn last_insert_id(&self) -> Option<i64> {
        match self {
            Self::Mysql(session) => session.last_insert_id(),
            Self::Sqlite(_) | Self::Postgres(_) => None,
        }
    }
}

/// Waits for a server's answer to a statement that is not the store's own, but not for ever.
async fn answered<T, E>(patience: Duration, work: impl Future<Output = Result<T, E>>) -> Result<T, OaError>
where
    OaError: From<E>,
{
    match tokio::time::timeout(patience, work).await {
        Ok(result) => Ok(result?),
        Err(_) => {
            let message = format!("a statement took longer than {} s", patience.as_secs());
            Err(Trouble::Away.told(None, message))
        }
    }
}

/// Waits for a server, but not for ever.
async fn within<T, E>(
    patience: Duration,
    what: &str,
    work: impl Future<Output = Result<T, E>>,
) -> Result<T, StoreError>
where
    StoreError: From<E>,
{
    match tokio::time::timeout(patience, work).await {
        Ok(result) => Ok(result?),
        Err(_) => Err(StoreError::unreachable(format!("{what} took longer than {} s", patience.as_secs()))),
    }
}
