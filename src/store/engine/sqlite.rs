//! SQLite, driven directly instead of through an asynchronous driver: those hand every statement to another thread,
//! which costs more than most statements do. Nothing here ever waits for anything but the file.

mod oa;

use std::path::Path;
use std::time::Duration;

use rusqlite::types::{ToSqlOutput, Value as Stored, ValueRef};
use rusqlite::{Connection, ErrorCode, OpenFlags, ToSql, params_from_iter};

use self::oa::EndsBy;
use crate::store::error::{Outage, StoreError};
use crate::store::sql::{Row, Value, rfc3339};

/// How long a statement waits for another process's write.
const BUSY_PATIENCE: Duration = Duration::from_secs(5);
/// Prepared statements that a connection keeps: all that there are, in every number of rows.
const STATEMENTS: usize = 512;

#[derive(Debug)]
pub(in crate::store) struct Session {
    connection: Connection,
    ends_by: EndsBy,
}

impl Session {
    fn of(connection: Connection) -> Self {
        Self { connection, ends_by: EndsBy::default() }
    }

    /// Opens the file for writing, and makes it if it is not there.
    pub(in crate::store) fn create(path: &Path) -> Result<Self, StoreError> {
        Self::open_to_write(path, OpenFlags::SQLITE_OPEN_CREATE)
    }

    /// Opens the file for writing.
    pub(in crate::store) fn open_writer(path: &Path) -> Result<Self, StoreError> {
        Self::open_to_write(path, OpenFlags::empty())
    }

    fn open_to_write(path: &Path, more: OpenFlags) -> Result<Self, StoreError> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX | more;
        let connection = Connection::open_with_flags(path, flags).map_err(|error| at(path, error))?;
        configure(&connection)?;
        // An acknowledged event must survive a power cut; group commit pays for it. What is erased is gone from the file.
        connection.execute_batch(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA cache_size = -16000; \
             PRAGMA secure_delete = ON; PRAGMA temp_store = MEMORY; PRAGMA wal_autocheckpoint = 8000; PRAGMA journal_size_limit = 67108864;",
        )?;
        Ok(Self::of(connection))
    }

    /// Opens the file for reading.
    pub(in crate::store) fn open_reader(path: &Path) -> Result<Self, StoreError> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(path, flags).map_err(|error| at(path, error))?;
        configure(&connection)?;
        connection.execute_batch("PRAGMA query_only = ON; PRAGMA cache_size = -2000;")?;
        Ok(Self::of(connection))
    }

    /// Takes the transaction back, unless a statement has done so: a trigger's `RAISE(ROLLBACK)`, a full disk.
    pub(super) fn roll_back(&self) -> Result<(), StoreError> {
        if self.connection.is_autocommit() { Ok(()) } else { self.batch("ROLLBACK") }
    }

    pub(super) fn batch(&self, script: &str) -> Result<(), StoreError> {
        Ok(self.connection.execute_batch(script)?)
    }

    pub(super) fn execute(&self, sql: &str, args: &[Value]) -> Result<u64, StoreError> {
        let mut statement = self.connection.prepare_cached(sql)?;
        Ok(statement.execute(params_from_iter(args))? as u64)
    }

    pub(super) fn rows(&self, sql: &str, args: &[Value]) -> Result<Vec<Row>, StoreError> {
        let mut statement = self.connection.prepare_cached(sql)?;
        let columns = statement.column_count();
        let mut found = statement.query(params_from_iter(args))?;
        let mut rows = Vec::new();
        while let Some(row) = found.next()? {
            let values: rusqlite::Result<Vec<Value>> =
                (0..columns).map(|column| row.get_ref(column).map(value_of)).collect();
            rows.push(Row::new(values?));
        }
        Ok(rows)
    }
}

fn configure(connection: &Connection) -> Result<(), StoreError> {
    connection.busy_timeout(BUSY_PATIENCE)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    Ok(())
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

/// Numbers with a fraction and bytes are never ours: they stand as whatever comes closest.
fn value_of(stored: ValueRef<'_>) -> Value {
    match stored {
        ValueRef::Null => Value::Null,
        ValueRef::Integer(number) => Value::Integer(number),
        ValueRef::Real(number) if number.fract() == 0.0 => Value::Integer(number as i64),
        ValueRef::Real(number) => Value::Text(number.to_string()),
        ValueRef::Text(bytes) | ValueRef::Blob(bytes) => {
            Value::Text(String::from_utf8_lossy(bytes).into_owned())
        }
    }
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        let text = brief(&error).into();
        match error.sqlite_error_code().and_then(outage_of) {
            Some(outage) => Self::Unavailable { outage, text },
            None => Self::Statement(text),
        }
    }
}

fn outage_of(code: ErrorCode) -> Option<Outage> {
    match code {
        ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked => Some(Outage::Busy),
        ErrorCode::ReadOnly => Some(Outage::ReadOnly),
        ErrorCode::SystemIoFailure => Some(Outage::Io),
        ErrorCode::DiskFull => Some(Outage::Full),
        ErrorCode::CannotOpen | ErrorCode::PermissionDenied => Some(Outage::Unreachable),
        _ => None,
    }
}

/// The driver's text without the statement and the values that it was given: those may be personal.
fn brief(error: &rusqlite::Error) -> String {
    match error {
        rusqlite::Error::SqliteFailure(code, message) => message.clone().unwrap_or_else(|| code.to_string()),
        rusqlite::Error::SqlInputError { msg, .. } => msg.clone(),
        other => other.to_string(),
    }
}

/// A file that cannot be opened, with its name.
fn at(path: &Path, error: rusqlite::Error) -> StoreError {
    match StoreError::from(error) {
        StoreError::Unavailable { outage, text } => {
            let text = if text.contains(&*path.to_string_lossy()) {
                text
            } else {
                format!("{}: {text}", path.display()).into()
            };
            StoreError::Unavailable { outage, text }
        }
        other => other,
    }
}

/// Whether a file can be made in a folder: makes one beside the place that is meant, and removes it.
pub(in crate::store) fn probe_folder(path: &Path) -> Result<(), StoreError> {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".probe-{}", std::process::id()));
    let probe = Path::new(&name);
    std::fs::File::create_new(probe)
        .and_then(|_| std::fs::remove_file(probe))
        .map_err(|error| io_failure(probe, &error))
}

/// A failure of the file system beside SQLite's own file.
pub(in crate::store) fn io_failure(path: &Path, error: &std::io::Error) -> StoreError {
    let outage = match error.kind() {
        std::io::ErrorKind::NotFound | std::io::ErrorKind::PermissionDenied => Outage::Unreachable,
        std::io::ErrorKind::ReadOnlyFilesystem => Outage::ReadOnly,
        std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => Outage::Full,
        _ => Outage::Io,
    };
    StoreError::Unavailable { outage, text: format!("{}: {error}", path.display()).into() }
}
