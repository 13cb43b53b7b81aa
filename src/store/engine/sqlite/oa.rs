//! Other people's statements on SQLite.

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, Error, OpenFlags, ToSql, ffi, params_from_iter};

use super::Session;
use crate::store::oa::{OaAnswer, OaError, OaPrepared, OaValue, Trouble};

/// How long a statement waits for another connection's write. It holds a thread up meanwhile.
const BUSY_PATIENCE: Duration = Duration::from_secs(2);
/// How long a statement may run: it holds a thread up meanwhile, and whoever wants to write to the file.
const STATEMENT_PATIENCE: Duration = Duration::from_secs(2);
/// How many of SQLite's steps pass between two looks at the clock.
const LOOK_EVERY: i32 = 10_000;
/// A row of a table that only this connection has: inserting it leaves a number behind that no other table has used, so
/// that it is seen whether the statement after it has made a row. No file is touched.
const NOTE: &str = "INSERT OR REPLACE INTO temp.dingsync_generated (id) VALUES (-9223372036854775808)";

/// When the statement that runs must have ended; nothing while none runs.
#[derive(Debug, Clone, Default)]
pub(super) struct EndsBy(Arc<Mutex<Option<Instant>>>);

impl EndsBy {
    fn lock(&self) -> MutexGuard<'_, Option<Instant>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_past(&self) -> bool {
        self.lock().is_some_and(|ends_by| Instant::now() > ends_by)
    }

    /// Lets a statement run for so long, until what this brings is dropped.
    fn within(&self, patience: Duration) -> Running<'_> {
        *self.lock() = Some(Instant::now() + patience);
        Running(self)
    }
}

struct Running<'session>(&'session EndsBy);

impl Drop for Running<'_> {
    fn drop(&mut self) {
        *self.0.lock() = None;
    }
}

impl Session {
    /// Opens a file that is there and may be somebody else's: it stays in the mode that its owner has chosen.
    pub(in crate::store) fn open_foreign(path: &Path) -> Result<Self, OaError> {
        Self::must_be_there(path)?;
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let opened = Connection::open_with_flags(path, flags).map_err(|error| at(path, &error))?;
        // The first look at the file: it may be no database at all.
        opened
            .busy_timeout(BUSY_PATIENCE)
            .and_then(|()| opened.query_row("PRAGMA schema_version", [], |_| Ok(())))
            .map_err(|error| at(path, &error))?;
        Self::of(opened).taking_statements()
    }

    /// Opens our own file, which is there.
    pub(in crate::store) fn open_own(path: &Path) -> Result<Self, OaError> {
        Self::must_be_there(path)?;
        let session = Self::open_writer(path)?;
        session.connection.busy_timeout(BUSY_PATIENCE).map_err(|error| at(path, &error))?;
        session.taking_statements()
    }

    /// SQLite makes a file that is not there; a wrong path is better told.
    fn must_be_there(path: &Path) -> Result<(), OaError> {
        match std::fs::metadata(path) {
            Ok(_) => Ok(()),
            Err(error) => Err(Trouble::Away.told(None, format!("{}: {error}", path.display()))),
        }
    }

    fn taking_statements(mut self) -> Result<Self, OaError> {
        let ends_by = self.ends_by.clone();
        self.connection
            .progress_handler(LOOK_EVERY, Some(move || ends_by.is_past()))
            .map_err(|error| of(&error, Phase::Run))?;
        let table = "CREATE TEMP TABLE dingsync_generated (id INTEGER PRIMARY KEY)";
        self.connection.execute_batch(table).map_err(|error| of(&error, Phase::Run))?;
        Ok(self)
    }

    pub(in crate::store) fn foreign_prepare(&self, sql: &str) -> Result<OaPrepared, OaError> {
        let statement = self.connection.prepare_cached(sql).map_err(|error| of(&error, Phase::Prepare))?;
        let columns = statement.column_names().map(str::to_owned).collect();
        Ok(OaPrepared { parameters: statement.parameter_count(), columns })
    }

    pub(in crate::store) fn foreign_run(&self, sql: &str, args: &[OaValue]) -> Result<OaAnswer, OaError> {
        let mut statement =
            self.connection.prepare_cached(sql).map_err(|error| of(&error, Phase::Prepare))?;
        let _running = self.ends_by.within(STATEMENT_PATIENCE);
        let writes = !statement.readonly();
        // A statement that is kept is prepared anew in its first step, where the tables have changed meanwhile.
        let run = |error: Error| {
            let fits = self.connection.prepare(sql).is_ok();
            of(&error, if fits { Phase::Run } else { Phase::Prepare })
        };
        if writes {
            self.connection.prepare_cached(NOTE).and_then(|mut note| note.execute([])).map_err(run)?;
        }
        let columns = statement.column_count();
        let mut found = statement.query(params_from_iter(args)).map_err(run)?;
        let mut rows = Vec::new();
        while let Some(row) = found.next().map_err(run)? {
            let values: rusqlite::Result<Vec<Option<String>>> =
                (0..columns).map(|column| row.get_ref(column).map(text_of)).collect();
            rows.push(values.map_err(run)?);
        }
        drop(found);
        if !writes {
            return Ok(OaAnswer { affected: rows.len() as u64, rows, generated: None });
        }
        let made = self.connection.last_insert_rowid();
        let generated = (made != i64::MIN).then(|| made.to_string());
        Ok(OaAnswer { rows, affected: self.connection.changes(), generated })
    }

    pub(in crate::store) fn foreign_command(&self, sql: &str) -> Result<(), OaError> {
        self.connection.execute_batch(sql).map_err(|error| of(&error, Phase::Run))
    }
}

/// Columns have no types that are kept to: a key that is a number in the OA's table is bound as one.
impl ToSql for OaValue {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            Self::Null => ValueRef::Null,
            Self::Integer(number) => ValueRef::Integer(*number),
            Self::Text(text) => ValueRef::Text(text.as_bytes()),
            Self::Loose(text) => match text.parse::<i64>() {
                Ok(number) if number.to_string() == *text => ValueRef::Integer(number),
                _ => ValueRef::Text(text.as_bytes()),
            },
        }))
    }
}

fn text_of(stored: ValueRef<'_>) -> Option<String> {
    match stored {
        ValueRef::Null => None,
        ValueRef::Integer(number) => Some(number.to_string()),
        ValueRef::Real(number) => Some(number.to_string()),
        ValueRef::Text(bytes) | ValueRef::Blob(bytes) => Some(String::from_utf8_lossy(bytes).into_owned()),
    }
}

/// When an error was met: SQLite has one code for a statement that makes no sense and for a value that makes none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Prepare,
    Run,
}

fn of(error: &Error, phase: Phase) -> OaError {
    let (failure, message) = match error {
        Error::SqliteFailure(failure, message) => {
            (*failure, message.clone().unwrap_or_else(|| failure.to_string()))
        }
        Error::SqlInputError { error, msg, .. } => (*error, msg.clone()),
        other => return Trouble::Mismatch.told(None, other.to_string()),
    };
    let code = failure.extended_code;
    let message = if code == ffi::SQLITE_INTERRUPT {
        format!("a statement took longer than {} s", STATEMENT_PATIENCE.as_secs())
    } else {
        message
    };
    let trouble = match code & 0xff {
        ffi::SQLITE_BUSY | ffi::SQLITE_LOCKED | ffi::SQLITE_INTERRUPT => Trouble::Busy,
        ffi::SQLITE_READONLY | ffi::SQLITE_PERM => Trouble::ReadOnly,
        ffi::SQLITE_FULL => Trouble::Full,
        ffi::SQLITE_AUTH => Trouble::Denied,
        ffi::SQLITE_IOERR
        | ffi::SQLITE_CANTOPEN
        | ffi::SQLITE_CORRUPT
        | ffi::SQLITE_NOTADB
        | ffi::SQLITE_PROTOCOL
        | ffi::SQLITE_NOMEM => Trouble::Away,
        ffi::SQLITE_SCHEMA | ffi::SQLITE_RANGE | ffi::SQLITE_MISUSE => Trouble::Mismatch,
        ffi::SQLITE_ERROR if phase == Phase::Prepare => Trouble::Mismatch,
        _ => Trouble::Refused,
    };
    trouble.told(name_of(code), message)
}

/// A file that cannot be opened, with its name.
fn at(path: &Path, error: &Error) -> OaError {
    let error = of(error, Phase::Run);
    let message = error.message();
    let named = path.to_string_lossy();
    let message = if message.contains(&*named) { message } else { format!("{named}: {message}") };
    let code = error.code().map(str::to_owned);
    match error {
        OaError::Busy { .. } => Trouble::Busy.told(code, message),
        _ => Trouble::Away.told(code, message),
    }
}

/// The name of an extended code; of one that is not listed, its group's and the number.
fn name_of(code: i32) -> String {
    const NAMES: [(i32, &str); 41] = [
        (ffi::SQLITE_ERROR, "SQLITE_ERROR"),
        (ffi::SQLITE_PERM, "SQLITE_PERM"),
        (ffi::SQLITE_ABORT, "SQLITE_ABORT"),
        (ffi::SQLITE_BUSY, "SQLITE_BUSY"),
        (ffi::SQLITE_LOCKED, "SQLITE_LOCKED"),
        (ffi::SQLITE_NOMEM, "SQLITE_NOMEM"),
        (ffi::SQLITE_READONLY, "SQLITE_READONLY"),
        (ffi::SQLITE_INTERRUPT, "SQLITE_INTERRUPT"),
        (ffi::SQLITE_IOERR, "SQLITE_IOERR"),
        (ffi::SQLITE_CORRUPT, "SQLITE_CORRUPT"),
        (ffi::SQLITE_FULL, "SQLITE_FULL"),
        (ffi::SQLITE_CANTOPEN, "SQLITE_CANTOPEN"),
        (ffi::SQLITE_PROTOCOL, "SQLITE_PROTOCOL"),
        (ffi::SQLITE_SCHEMA, "SQLITE_SCHEMA"),
        (ffi::SQLITE_TOOBIG, "SQLITE_TOOBIG"),
        (ffi::SQLITE_CONSTRAINT, "SQLITE_CONSTRAINT"),
        (ffi::SQLITE_MISMATCH, "SQLITE_MISMATCH"),
        (ffi::SQLITE_MISUSE, "SQLITE_MISUSE"),
        (ffi::SQLITE_AUTH, "SQLITE_AUTH"),
        (ffi::SQLITE_RANGE, "SQLITE_RANGE"),
        (ffi::SQLITE_NOTADB, "SQLITE_NOTADB"),
        (ffi::SQLITE_BUSY_RECOVERY, "SQLITE_BUSY_RECOVERY"),
        (ffi::SQLITE_BUSY_SNAPSHOT, "SQLITE_BUSY_SNAPSHOT"),
        (ffi::SQLITE_BUSY_TIMEOUT, "SQLITE_BUSY_TIMEOUT"),
        (ffi::SQLITE_READONLY_RECOVERY, "SQLITE_READONLY_RECOVERY"),
        (ffi::SQLITE_READONLY_CANTLOCK, "SQLITE_READONLY_CANTLOCK"),
        (ffi::SQLITE_READONLY_ROLLBACK, "SQLITE_READONLY_ROLLBACK"),
        (ffi::SQLITE_READONLY_DBMOVED, "SQLITE_READONLY_DBMOVED"),
        (ffi::SQLITE_READONLY_CANTINIT, "SQLITE_READONLY_CANTINIT"),
        (ffi::SQLITE_READONLY_DIRECTORY, "SQLITE_READONLY_DIRECTORY"),
        (ffi::SQLITE_CONSTRAINT_CHECK, "SQLITE_CONSTRAINT_CHECK"),
        (ffi::SQLITE_CONSTRAINT_FOREIGNKEY, "SQLITE_CONSTRAINT_FOREIGNKEY"),
        (ffi::SQLITE_CONSTRAINT_FUNCTION, "SQLITE_CONSTRAINT_FUNCTION"),
        (ffi::SQLITE_CONSTRAINT_NOTNULL, "SQLITE_CONSTRAINT_NOTNULL"),
        (ffi::SQLITE_CONSTRAINT_PRIMARYKEY, "SQLITE_CONSTRAINT_PRIMARYKEY"),
        (ffi::SQLITE_CONSTRAINT_TRIGGER, "SQLITE_CONSTRAINT_TRIGGER"),
        (ffi::SQLITE_CONSTRAINT_UNIQUE, "SQLITE_CONSTRAINT_UNIQUE"),
        (ffi::SQLITE_CONSTRAINT_VTAB, "SQLITE_CONSTRAINT_VTAB"),
        (ffi::SQLITE_CONSTRAINT_ROWID, "SQLITE_CONSTRAINT_ROWID"),
        (ffi::SQLITE_CONSTRAINT_PINNED, "SQLITE_CONSTRAINT_PINNED"),
        (ffi::SQLITE_CONSTRAINT_DATATYPE, "SQLITE_CONSTRAINT_DATATYPE"),
    ];
    let name = |code| NAMES.iter().find(|(known, _)| *known == code).map(|(_, name)| *name);
    match (name(code), name(code & 0xff)) {
        (Some(name), _) => name.to_owned(),
        (None, Some(group)) => format!("{group} ({code})"),
        (None, None) => format!("SQLite's code {code}"),
    }
}
