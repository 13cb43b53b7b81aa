//! Statements, values and rows: the narrow waist between the store's logic and the database's driver.

use std::collections::HashMap;

use jiff::Timestamp;
use jiff::civil::Date;
use rusqlite::types::{ToSqlOutput, Value as Stored, ValueRef};
use rusqlite::{Connection, ToSql, params_from_iter};

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

/// How instants stand in the public tables: RFC 3339 in UTC, always with milliseconds, so that texts sort as times do.
pub fn rfc3339(instant: Timestamp) -> String {
    format!("{instant:.3}")
}

impl ToSql for Value {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(match self {
            Self::Null => ToSqlOutput::Borrowed(ValueRef::Null),
            Self::Integer(number) => ToSqlOutput::Borrowed(ValueRef::Integer(*number)),
            Self::Flag(flag) => ToSqlOutput::Borrowed(ValueRef::Integer(i64::from(*flag))),
            Self::Text(text) | Self::Json(text) => ToSqlOutput::Borrowed(ValueRef::Text(text.as_bytes())),
            Self::Instant(instant) => ToSqlOutput::Owned(Stored::Text(rfc3339(*instant))),
            Self::Day(day) => ToSqlOutput::Owned(Stored::Text(day.to_string())),
        })
    }
}

/// A connection, inside of a transaction where anything is written.
///
/// Its methods are asynchronous because an operation must not care which engine it runs on; this engine never waits.
#[derive(Debug)]
pub struct Conn {
    inner: Connection,
    /// Changes of the running operation; they get their numbers at its end.
    pub(super) changes: Vec<PendingChange>,
    /// The numbers of organisations; they never change.
    pub(super) corp_numbers: HashMap<String, i64>,
}

#[expect(clippy::unused_async, reason = "see the type: an operation awaits its statements on every engine")]
impl Conn {
    pub(super) fn new(inner: Connection) -> Self {
        Self { inner, changes: Vec::new(), corp_numbers: HashMap::new() }
    }

    /// Runs a statement that is not worth keeping prepared, such as `BEGIN` or a whole script.
    pub(super) fn batch(&self, script: &str) -> Result<(), StoreError> {
        Ok(self.inner.execute_batch(script)?)
    }

    /// Runs a statement and tells how many rows it touched.
    pub(super) async fn execute(&mut self, sql: impl AsRef<str>, args: &[Value]) -> Result<u64, StoreError> {
        let mut statement = self.inner.prepare_cached(sql.as_ref())?;
        Ok(statement.execute(params_from_iter(args))? as u64)
    }

    pub(super) async fn rows(
        &mut self,
        sql: impl AsRef<str>,
        args: &[Value],
    ) -> Result<Vec<Row>, StoreError> {
        let mut statement = self.inner.prepare_cached(sql.as_ref())?;
        let columns = statement.column_count();
        let mut found = statement.query(params_from_iter(args))?;
        let mut rows = Vec::new();
        while let Some(row) = found.next()? {
            rows.push(Row((0..columns).map(|column| row.get(column)).collect::<Result<_, _>>()?));
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

    /// The single number that a statement such as `SELECT count(*)` brings; 0 where it brings none.
    pub(super) async fn number(&mut self, sql: impl AsRef<str>, args: &[Value]) -> Result<i64, StoreError> {
        match self.row(sql, args).await? {
            Some(row) => Ok(row.integer(0)?.unwrap_or(0)),
            None => Ok(0),
        }
    }
}

/// A row of a result. Columns are counted from 0.
#[derive(Debug)]
pub(super) struct Row(Vec<Stored>);

impl Row {
    fn get(&self, column: usize) -> &Stored {
        self.0.get(column).unwrap_or(&Stored::Null)
    }

    /// A number; also one that somebody's tool stored as a text.
    pub(super) fn integer(&self, column: usize) -> Result<Option<i64>, StoreError> {
        match self.get(column) {
            Stored::Null => Ok(None),
            Stored::Integer(number) => Ok(Some(*number)),
            Stored::Real(number) => Ok(Some(*number as i64)),
            Stored::Text(text) => Ok(text.parse().ok()),
            Stored::Blob(_) => Err(unexpected("a number", column)),
        }
    }

    pub(super) fn text(&self, column: usize) -> Result<Option<String>, StoreError> {
        match self.get(column) {
            Stored::Null => Ok(None),
            Stored::Integer(number) => Ok(Some(number.to_string())),
            Stored::Real(number) => Ok(Some(number.to_string())),
            Stored::Text(text) => Ok(Some(text.clone())),
            Stored::Blob(_) => Err(unexpected("a text", column)),
        }
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

fn unexpected(what: &str, column: usize) -> StoreError {
    StoreError::Schema(format!("column {column} of a result holds bytes where {what} is expected"))
}

/// How many keys one statement names at most. Shorter lists repeat their last key up to the next size, so that a few
/// statement texts serve every list.
const LIST_SIZES: [usize; 6] = [1, 4, 16, 32, 64, 128];

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
const ROW_SIZES: [usize; 6] = [32, 16, 8, 4, 2, 1];

/// Splits `rows` so that few statement texts serve every number of rows.
pub(super) fn row_batches<T>(mut rows: &[T]) -> impl Iterator<Item = &[T]> {
    std::iter::from_fn(move || {
        let size = ROW_SIZES.into_iter().find(|&size| size <= rows.len())?;
        let (batch, rest) = rows.split_at(size);
        rows = rest;
        Some(batch)
    })
}
