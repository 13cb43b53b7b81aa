//! MySQL and MariaDB.

mod oa;

use std::time::Duration;

use jiff::Timestamp;
use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use mysql_async::consts::ColumnType;
use mysql_async::prelude::Queryable as _;
use mysql_async::{Column, Conn, DriverError, Opts, OptsBuilder, Params, ServerError, SslOpts};

use super::address::{Address, Protection};
use super::{CONNECT_PATIENCE, STATEMENT_PATIENCE, within};
use crate::store::error::{Outage, StoreError};
use crate::store::fit;
use crate::store::sql::{Row, Value};

/// Prepared statements that a connection keeps; the server's own bound is 16,382 for all connections.
const STATEMENTS: usize = 200;
/// A session of ours: instants in UTC, a value that does not fit is an error, and nothing waits for ever. The server
/// closes a session, and frees what it has locked, that has said nothing for a minute: its host has died.
const SETTINGS: &str = "SET NAMES utf8mb4 COLLATE utf8mb4_bin;\n\
                        SET SESSION time_zone = '+00:00', SESSION innodb_lock_wait_timeout = 10, SESSION wait_timeout = 60, \
                        SESSION sql_mode = 'STRICT_TRANS_TABLES,ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION';\n\
                        SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED";

pub(in crate::store) struct Session {
    conn: Conn,
    /// A statement was begun and its end was not seen: what the connection brings next belongs to that one.
    is_torn: bool,
}

impl std::fmt::Debug for Session {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("mysql::Session")
    }
}

impl Session {
    pub(in crate::store) async fn connect(address: &Address) -> Result<Self, StoreError> {
        let mut session = Self::line(address).await?;
        session.refuse_old().await?;
        session.batch(SETTINGS, STATEMENT_PATIENCE).await?;
        Ok(session)
    }

    async fn line(address: &Address) -> Result<Self, StoreError> {
        let conn = within(CONNECT_PATIENCE, "connecting", Conn::new(options(address))).await?;
        Ok(Self { conn, is_torn: false })
    }

    async fn refuse_old(&mut self) -> Result<(), StoreError> {
        let rows = self.rows("SELECT version()", &[]).await?;
        let version = rows.first().map(|row| row.text(0)).transpose()?.flatten().unwrap_or_default();
        let numbers: Vec<u32> =
            version.split(['.', '-']).map_while(|part| part.parse().ok()).take(2).collect();
        let (name, oldest) =
            if version.contains("MariaDB") { ("MariaDB", [10, 6]) } else { ("MySQL", [8, 0]) };
        if numbers.as_slice() < oldest.as_slice() {
            let [major, minor] = oldest;
            return Err(StoreError::Schema(format!(
                "it is {name} {version}; version {major}.{minor} or a later one is needed"
            )));
        }
        Ok(())
    }

    /// True when the connection must not be used again.
    pub(super) fn is_torn(&self) -> bool {
        self.is_torn
    }

    pub(super) async fn batch(&mut self, script: &str, patience: Duration) -> Result<(), StoreError> {
        self.is_torn = true;
        for statement in statements(script) {
            within(patience, "a statement", self.conn.query_drop(statement)).await?;
        }
        self.is_torn = false;
        Ok(())
    }

    pub(super) async fn execute(&mut self, sql: &str, args: &[Value]) -> Result<u64, StoreError> {
        self.is_torn = true;
        let done = within(STATEMENT_PATIENCE, "a statement", self.conn.exec_drop(sql, arguments(args))).await;
        self.seen(&done);
        done?;
        Ok(self.conn.affected_rows())
    }

    pub(super) async fn rows(&mut self, sql: &str, args: &[Value]) -> Result<Vec<Row>, StoreError> {
        self.is_torn = true;
        let found: Result<Vec<mysql_async::Row>, StoreError> =
            within(STATEMENT_PATIENCE, "a statement", self.conn.exec(sql, arguments(args))).await;
        self.seen(&found);
        Ok(found?
            .into_iter()
            .map(|row| {
                let columns = row.columns();
                let values = row.unwrap().into_iter().zip(columns.iter());
                Row::new(values.map(|(value, column)| value_of(value, column)).collect())
            })
            .collect())
    }

    /// After an answer of the server's, a refusal too, the next statement can follow.
    fn seen<T>(&mut self, result: &Result<T, StoreError>) {
        self.is_torn = matches!(result, Err(StoreError::Unavailable { .. }));
    }

    pub(super) fn last_insert_id(&self) -> Option<i64> {
        self.conn.last_insert_id().and_then(|id| i64::try_from(id).ok())
    }
}

/// The statements of a script of ours: none of them holds a semicolon at the end of a line but its own.
fn statements(script: &str) -> impl Iterator<Item = &str> {
    script.split(";\n").map(|part| part.trim().trim_end_matches(';')).filter(|statement| {
        statement.lines().any(|line| !line.trim().is_empty() && !line.trim_start().starts_with("--"))
    })
}

fn options(address: &Address) -> Opts {
    let mut options = OptsBuilder::default()
        .user(Some(address.user.clone()))
        .pass(address.password.clone())
        .db_name(Some(address.database.clone()))
        // How many rows an UPDATE found, as the other engines tell it, and not how many it made different.
        .client_found_rows(true)
        .stmt_cache_size(STATEMENTS)
        .tcp_keepalive(Some(Duration::from_secs(15)))
        .prefer_socket(false)
        .ssl_opts(match &address.protection {
            Protection::None | Protection::WhereOffered => None,
            Protection::Required => Some(SslOpts::default().with_danger_accept_invalid_certs(true)),
            Protection::Verified { roots } => Some(match roots {
                Some(path) => SslOpts::default().with_root_certs(vec![path.clone().into()]),
                None => SslOpts::default(),
            }),
        });
    options = match &address.socket {
        Some(path) => options.socket(Some(path.display().to_string())),
        None => options.ip_or_hostname(address.host.clone()).tcp_port(address.port.unwrap_or(3306)),
    };
    options.into()
}

fn arguments(args: &[Value]) -> Params {
    if args.is_empty() {
        return Params::Empty;
    }
    Params::Positional(args.iter().map(argument).collect())
}

fn argument(value: &Value) -> mysql_async::Value {
    use mysql_async::Value as Wire;
    match value {
        Value::Null => Wire::NULL,
        Value::Integer(number) => Wire::Int(*number),
        Value::Flag(flag) => Wire::Int(i64::from(*flag)),
        Value::Text(text) => Wire::Bytes(text.clone().into_bytes()),
        Value::Json(text) => Wire::Bytes(fit::document(text).into_bytes()),
        Value::Instant(instant) => {
            let time = TimeZone::UTC.to_datetime(*instant);
            Wire::Date(
                time.year() as u16,
                time.month() as u8,
                time.day() as u8,
                time.hour() as u8,
                time.minute() as u8,
                time.second() as u8,
                (time.subsec_nanosecond() / 1_000_000 * 1_000) as u32,
            )
        }
        Value::Day(day) => Wire::Date(day.year() as u16, day.month() as u8, day.day() as u8, 0, 0, 0, 0),
    }
}

fn value_of(value: mysql_async::Value, column: &Column) -> Value {
    use mysql_async::Value as Wire;
    match value {
        // No column of ours holds a span of time.
        Wire::NULL | Wire::Time(..) => Value::Null,
        Wire::Int(number) => Value::Integer(number),
        Wire::UInt(number) => Value::Integer(number as i64),
        Wire::Float(number) => Value::Text(number.to_string()),
        Wire::Double(number) => Value::Text(number.to_string()),
        Wire::Bytes(bytes) => {
            let text = String::from_utf8(bytes)
                .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned());
            if column.column_type() == ColumnType::MYSQL_TYPE_JSON {
                Value::Json(fit::canonical(&text))
            } else {
                Value::Text(text)
            }
        }
        Wire::Date(year, month, day, hour, minute, second, microsecond) => {
            let date = Date::new(year as i16, month as i8, day as i8);
            if column.column_type() == ColumnType::MYSQL_TYPE_DATE {
                return date.map_or(Value::Null, Value::Day);
            }
            let nanosecond = i32::try_from(microsecond).unwrap_or_default() * 1_000;
            let instant = date
                .and_then(|date| {
                    let time = jiff::civil::Time::new(hour as i8, minute as i8, second as i8, nanosecond)?;
                    TimeZone::UTC.to_timestamp(DateTime::from_parts(date, time))
                })
                .ok();
            instant.map_or(Value::Null, |instant: Timestamp| Value::Instant(instant))
        }
    }
}

impl From<mysql_async::Error> for StoreError {
    fn from(error: mysql_async::Error) -> Self {
        match error {
            mysql_async::Error::Server(error) => of_server(&error),
            mysql_async::Error::Driver(
                error @ (DriverError::PacketTooLarge
                | DriverError::Params(_)
                | DriverError::StmtParamsMismatch { .. }
                | DriverError::FromRow { .. }
                | DriverError::FromValue { .. }),
            ) => Self::Statement(error.to_string().into()),
            error => Self::unreachable(error.to_string()),
        }
    }
}

fn of_server(error: &ServerError) -> StoreError {
    let text = |message: &str| format!("{message} ({})", error.code).into();
    let unavailable = |outage| StoreError::Unavailable { outage, text: text(&error.message) };
    match error.code {
        // A deadlock, a lock that is not given, a read of a row that was changed meanwhile; a key that somebody else has
        // just inserted. Their messages quote the key.
        1205 | 1213 | 1020 => StoreError::Conflict(text(&error.message)),
        1062 => StoreError::Conflict(text("another row has the same key")),
        1021 | 1041 | 1114 => unavailable(Outage::Full),
        1290 | 1792 | 1836 | 3989 => unavailable(Outage::ReadOnly),
        1030 | 1026 => unavailable(Outage::Io),
        // What the daemon may do is in `deploy/sql`.
        1142 | 1143 => StoreError::Denied(format!("{} ({})", error.message, error.code)),
        // Too many connections, no database, no access, a server that goes down, a killed connection or statement, one that
        // was silent for too long.
        1040
        | 1042..=1045
        | 1049
        | 1053
        | 1077
        | 1079
        | 1129
        | 1130
        | 1203
        | 1226
        | 1317
        | 1698
        | 1927
        | 3024
        | 3118
        | 3159
        | 4031 => unavailable(Outage::Unreachable),
        // These quote the value.
        1264 | 1265 | 1292 | 1366 | 1406 => StoreError::Statement(text("a value does not fit its column")),
        3140 | 3141 | 4025 => StoreError::Statement(text("a value is not JSON")),
        _ => StoreError::Statement(text(&error.message)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_is_split_into_its_statements() {
        let script = "-- what it is\nCREATE TABLE a (\n  b INT -- a column\n);\n\nINSERT INTO a VALUES (1);\n-- the end\n";
        let found: Vec<&str> = statements(script).collect();
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(found[0].ends_with("-- a column\n)"), "{found:?}");
        assert_eq!(found[1], "INSERT INTO a VALUES (1)");
        assert_eq!(statements("START TRANSACTION").count(), 1);
        assert_eq!(statements(SETTINGS).count(), 3);
    }
}
