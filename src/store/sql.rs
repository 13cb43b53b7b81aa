//! Statements, values and rows: the narrow waist between the store's logic and the database's driver.

use jiff::Timestamp;
use jiff::civil::Date;
use sqlx::pool::PoolConnection;
use sqlx::query::Query;
use sqlx::sqlite::{SqliteArguments, SqliteRow};
use sqlx::{AssertSqlSafe, Connection as _, Row as _, Sqlite, SqliteConnection};

use super::change::PendingChange;
use super::error::StoreError;

/// A value on its way into the database or out of it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    /// Not given.
    Null,
    /// A whole number.
    Integer(i64),
    /// A text.
    Text(String),
    /// True or false.
    Flag(bool),
    /// An instant of a public table.
    Instant(Timestamp),
    /// A day of the calendar.
    Day(Date),
    /// A JSON document, or a text that stands in its place.
    Json(String),
}

macro_rules! value_from {
    ($($type:ty => |$value:ident| $expression:expr),* $(,)?) => {
        $(impl From<$type> for Value {
            fn from($value: $type) -> Self {
                $expression
            }
        })*
    };
}

value_from! {
    i64 => |value| Self::Integer(value),
    i32 => |value| Self::Integer(value.into()),
    usize => |value| Self::Integer(value as i64),
    bool => |value| Self::Flag(value),
    String => |value| Self::Text(value),
    &str => |value| Self::Text(value.to_owned()),
    &String => |value| Self::Text(value.clone()),
    Timestamp => |value| Self::Instant(value),
    Date => |value| Self::Day(value),
}

impl<T: Into<Self>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

/// The arguments of a statement.
macro_rules! args {
    ($($argument:expr),* $(,)?) => {
        &[$($crate::store::sql::Value::from($argument)),*]
    };
}
pub(super) use args;

/// A statement's text: fixed, or put together from fixed parts once.
pub(super) trait Statement {
    fn into_query<'q>(self) -> Query<'q, Sqlite, SqliteArguments>;
}

impl Statement for &'static str {
    fn into_query<'q>(self) -> Query<'q, Sqlite, SqliteArguments> {
        sqlx::query(self)
    }
}

/// Only ever joined from names and placeholders that stand in this program; values are bound.
impl Statement for String {
    fn into_query<'q>(self) -> Query<'q, Sqlite, SqliteArguments> {
        sqlx::query(AssertSqlSafe(self))
    }
}

/// How instants stand in the public tables: RFC 3339 in UTC, always with milliseconds, so that texts sort as times do.
pub fn rfc3339(instant: Timestamp) -> String {
    format!("{instant:.3}")
}

fn bind<'q>(query: Query<'q, Sqlite, SqliteArguments>, value: &Value) -> Query<'q, Sqlite, SqliteArguments> {
    match value {
        Value::Null => query.bind(None::<i64>),
        Value::Integer(number) => query.bind(*number),
        Value::Flag(flag) => query.bind(i64::from(*flag)),
        Value::Text(text) | Value::Json(text) => query.bind(text.clone()),
        Value::Instant(instant) => query.bind(rfc3339(*instant)),
        Value::Day(day) => query.bind(day.to_string()),
    }
}

#[derive(Debug)]
enum Driver {
    Own(SqliteConnection),
    Pooled(PoolConnection<Sqlite>),
}

impl Driver {
    fn connection(&mut self) -> &mut SqliteConnection {
        match self {
            Self::Own(connection) => connection,
            Self::Pooled(connection) => connection,
        }
    }
}

/// A connection, inside of a transaction where anything is written.
#[derive(Debug)]
pub struct Conn {
    driver: Driver,
    /// Changes of the running operation; they get their numbers at its end.
    pub(super) changes: Vec<PendingChange>,
}

impl Conn {
    pub(super) fn own(connection: SqliteConnection) -> Self {
        Self { driver: Driver::Own(connection), changes: Vec::new() }
    }

    pub(super) fn pooled(connection: PoolConnection<Sqlite>) -> Self {
        Self { driver: Driver::Pooled(connection), changes: Vec::new() }
    }

    pub(super) async fn close(self) -> Result<(), StoreError> {
        match self.driver {
            Driver::Own(connection) => Ok(connection.close().await?),
            Driver::Pooled(connection) => Ok(connection.close().await?),
        }
    }

    /// Runs a statement and tells how many rows it touched.
    pub(super) async fn execute(&mut self, sql: impl Statement, args: &[Value]) -> Result<u64, StoreError> {
        let query = args.iter().fold(sql.into_query(), bind);
        Ok(query.execute(self.driver.connection()).await?.rows_affected())
    }

    pub(super) async fn rows(&mut self, sql: impl Statement, args: &[Value]) -> Result<Vec<Row>, StoreError> {
        let query = args.iter().fold(sql.into_query(), bind);
        Ok(query.fetch_all(self.driver.connection()).await?.into_iter().map(Row).collect())
    }

    pub(super) async fn row(
        &mut self,
        sql: impl Statement,
        args: &[Value],
    ) -> Result<Option<Row>, StoreError> {
        let query = args.iter().fold(sql.into_query(), bind);
        Ok(query.fetch_optional(self.driver.connection()).await?.map(Row))
    }

    /// The single number that a statement such as `SELECT count(*)` brings; 0 where it brings none.
    pub(super) async fn number(&mut self, sql: impl Statement, args: &[Value]) -> Result<i64, StoreError> {
        match self.row(sql, args).await? {
            Some(row) => Ok(row.integer(0)?.unwrap_or(0)),
            None => Ok(0),
        }
    }
}

/// A row of a result. Columns are counted from 0.
#[derive(Debug)]
pub(super) struct Row(SqliteRow);

impl Row {
    pub(super) fn integer(&self, column: usize) -> Result<Option<i64>, StoreError> {
        Ok(self.0.try_get(column)?)
    }

    pub(super) fn text(&self, column: usize) -> Result<Option<String>, StoreError> {
        Ok(self.0.try_get(column)?)
    }

    pub(super) fn flag(&self, column: usize) -> Result<Option<bool>, StoreError> {
        Ok(self.integer(column)?.map(|number| number != 0))
    }

    /// An instant of a public table.
    pub(super) fn instant(&self, column: usize) -> Result<Option<Timestamp>, StoreError> {
        Ok(self.text(column)?.and_then(|text| text.parse().ok()))
    }

    pub(super) fn day(&self, column: usize) -> Result<Option<Date>, StoreError> {
        Ok(self.text(column)?.and_then(|text| text.parse().ok()))
    }

    /// An instant of the daemon's own tables: milliseconds.
    pub(super) fn millisecond(&self, column: usize) -> Result<Option<Timestamp>, StoreError> {
        Ok(self.integer(column)?.and_then(|number| Timestamp::from_millisecond(number).ok()))
    }
}

/// How many keys one statement names at most. Shorter lists repeat their last key up to the next size, so that a few
/// statement texts serve every list.
const LIST_SIZES: [usize; 3] = [1, 16, 128];

/// Splits `keys` into lists for which [`placeholders`] has a size.
pub(super) fn key_lists(keys: &[Value]) -> impl Iterator<Item = Vec<Value>> {
    keys.chunks(LIST_SIZES[LIST_SIZES.len() - 1]).map(|chunk| {
        let size = LIST_SIZES.into_iter().find(|&size| size >= chunk.len()).unwrap_or(chunk.len());
        let mut list = chunk.to_vec();
        if let Some(last) = chunk.last() {
            list.resize(size, last.clone());
        }
        list
    })
}

/// `?, ?, ?`
pub(super) fn placeholders(count: usize) -> String {
    vec!["?"; count].join(", ")
}

/// How many rows one statement inserts at most; longer lists are split into these sizes.
const ROW_SIZES: [usize; 3] = [32, 8, 1];

/// Splits `rows` so that few statement texts serve every number of rows.
pub(super) fn row_batches<T>(mut rows: &[T]) -> impl Iterator<Item = &[T]> {
    std::iter::from_fn(move || {
        let size = ROW_SIZES.into_iter().find(|&size| size <= rows.len())?;
        let (batch, rest) = rows.split_at(size);
        rows = rest;
        Some(batch)
    })
}
