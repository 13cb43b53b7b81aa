//! Values, rows and lists of placeholders: the narrow waist between the store's logic and the databases' drivers.

use jiff::Timestamp;
use jiff::civil::Date;

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

/// A row of a result. Columns are counted from 0.
#[derive(Debug)]
pub(super) struct Row(Vec<Value>);

impl Row {
    pub(super) fn new(values: Vec<Value>) -> Self {
        Self(values)
    }

    fn get(&self, column: usize) -> &Value {
        self.0.get(column).unwrap_or(&Value::Null)
    }

    /// A number; also one that somebody's tool stored as a text.
    pub(super) fn integer(&self, column: usize) -> Result<Option<i64>, StoreError> {
        match self.get(column) {
            Value::Null => Ok(None),
            Value::Integer(number) => Ok(Some(*number)),
            Value::Flag(flag) => Ok(Some(i64::from(*flag))),
            Value::Text(text) | Value::Json(text) => Ok(text.parse().ok()),
            Value::Instant(_) | Value::Day(_) => Err(unexpected("a number", column)),
        }
    }

    pub(super) fn text(&self, column: usize) -> Result<Option<String>, StoreError> {
        match self.get(column) {
            Value::Null => Ok(None),
            Value::Integer(number) => Ok(Some(number.to_string())),
            Value::Text(text) | Value::Json(text) => Ok(Some(text.clone())),
            Value::Flag(_) | Value::Instant(_) | Value::Day(_) => Err(unexpected("a text", column)),
        }
    }

    pub(super) fn flag(&self, column: usize) -> Result<Option<bool>, StoreError> {
        Ok(self.integer(column)?.map(|number| number != 0))
    }

    /// An instant of a public table.
    pub(super) fn instant(&self, column: usize) -> Result<Option<Timestamp>, StoreError> {
        match self.get(column) {
            Value::Instant(instant) => Ok(Some(*instant)),
            _ => Ok(self.text(column)?.and_then(|text| text.parse().ok())),
        }
    }

    pub(super) fn day(&self, column: usize) -> Result<Option<Date>, StoreError> {
        match self.get(column) {
            Value::Day(day) => Ok(Some(*day)),
            _ => Ok(self.text(column)?.and_then(|text| text.parse().ok())),
        }
    }

    /// Whether there is anything.
    pub(super) fn is_given(&self, column: usize) -> bool {
        *self.get(column) != Value::Null
    }

    /// An instant of the daemon's own tables: milliseconds.
    pub(super) fn millisecond(&self, column: usize) -> Result<Option<Timestamp>, StoreError> {
        Ok(self.integer(column)?.and_then(|number| Timestamp::from_millisecond(number).ok()))
    }
}

/// The first column of rows, as far as it is given.
pub(super) fn texts_of(rows: &[Row]) -> Result<Vec<String>, StoreError> {
    let texts: Result<Vec<_>, _> = rows.iter().map(|row| row.text(0)).collect();
    Ok(texts?.into_iter().flatten().collect())
}

fn unexpected(what: &str, column: usize) -> StoreError {
    StoreError::Schema(format!("column {column} of a result holds something else where {what} is expected"))
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
