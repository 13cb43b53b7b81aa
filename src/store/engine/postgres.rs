//! PostgreSQL.

mod oa;

use std::collections::HashMap;
use std::error::Error;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use bytes::{BufMut as _, BytesMut};
use futures_util::future::{BoxFuture, try_join_all};
use futures_util::{join, poll};
use jiff::civil::{Date, date};
use jiff::{Span, Timestamp};
use tokio::task::JoinHandle;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::{FromSql, IsNull, ToSql, Type, to_sql_checked};
use tokio_postgres::{Client, Config, NoTls, Statement};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::address::{Address, Protection};
use super::{CONNECT_PATIENCE, STATEMENT_PATIENCE, tls, within};
use crate::store::dialect::Dialect;
use crate::store::error::{Outage, StoreError};
use crate::store::fit;
use crate::store::insert::Insert;
use crate::store::sql::{Row, Value, rfc3339};

/// The oldest version that has what the statements need, as `server_version_num` counts.
const OLDEST: i64 = 130_000;
/// Prepared statements that a connection keeps.
const STATEMENTS: usize = 512;
/// Statements under way at most, before their outcomes are waited for.
const UNDER_WAY: usize = 128;
/// A session of ours: what it is called, that it cannot wait for ever, and that a transaction whose client has died
/// gives its locks back.
const SETTINGS: &str = "SET application_name = 'dingsync'; SET timezone = 'UTC'; SET lock_timeout = '10s'; \
                        SET statement_timeout = '60s'; SET idle_in_transaction_session_timeout = '60s'; \
                        SET default_transaction_isolation = 'read committed'; SET client_min_messages = 'warning'";

/// How long a line may be idle before it has to show that it is still there.
const KEEPALIVE: Duration = Duration::from_secs(15);

/// How many rows a statement found, once the server has told.
type Outcome = BoxFuture<'static, Result<u64, StoreError>>;

/// A connection on which statements go out without waiting for the outcomes of those before them: a round trip costs as
/// much as several statements do.
pub(in crate::store) struct Session {
    client: Arc<Client>,
    statements: HashMap<String, Statement>,
    /// Those for any number of rows, by the text of the one for one row.
    inserts: HashMap<String, Statement>,
    /// Those of the mapping, by their text.
    foreign: HashMap<String, Statement>,
    /// Of statements that were sent, in their order. The first that failed has voided the transaction.
    under_way: Vec<Outcome>,
    /// Moves the bytes. Ends when the client is dropped.
    connection: JoinHandle<()>,
}

impl std::fmt::Debug for Session {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("postgres::Session")
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.connection.abort();
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
        let (client, connection) = match tls::config(&address.protection)? {
            Some(tls) => {
                let connector = MakeRustlsConnect::new(tls);
                let (client, connection) =
                    within(CONNECT_PATIENCE, "connecting", config(address).connect(connector)).await?;
                (client, tokio::spawn(async { drop(connection.await) }))
            }
            None => {
                let (client, connection) =
                    within(CONNECT_PATIENCE, "connecting", config(address).connect(NoTls)).await?;
                (client, tokio::spawn(async { drop(connection.await) }))
            }
        };
        Ok(Self {
            client: Arc::new(client),
            statements: HashMap::new(),
            inserts: HashMap::new(),
            foreign: HashMap::new(),
            under_way: Vec::new(),
            connection,
        })
    }

    async fn refuse_old(&mut self) -> Result<(), StoreError> {
        let rows = self.rows_each(&[("SELECT current_setting('server_version_num')::bigint", &[])]).await?;
        let version = rows
            .first()
            .and_then(|rows| rows.first())
            .map(|row| row.integer(0))
            .transpose()?
            .flatten()
            .unwrap_or_default();
        if version < OLDEST {
            return Err(StoreError::Schema(format!(
                "it is PostgreSQL {}; version 13 or a later one is needed",
                version / 10_000
            )));
        }
        Ok(())
    }

    pub(super) fn is_broken(&self) -> bool {
        self.client.is_closed()
    }

    /// A line on which no answer came is closed: another one may get through where this one never will.
    fn heard<T>(&self, answered: Result<T, StoreError>) -> Result<T, StoreError> {
        if matches!(answered, Err(StoreError::Unavailable { .. })) {
            self.connection.abort();
        }
        answered
    }

    pub(super) async fn batch(&mut self, script: &str, patience: Duration) -> Result<(), StoreError> {
        let before = settled(std::mem::take(&mut self.under_way));
        let both = async { Ok(join!(before, self.client.batch_execute(script))) };
        let answered = within::<_, StoreError>(patience, "a statement", both).await;
        let (before, result) = self.heard(answered)?;
        before?;
        Ok(result?)
    }

    /// Takes the transaction back, whatever became of its statements.
    pub(super) async fn roll_back(&mut self) -> Result<(), StoreError> {
        let before = settled(std::mem::take(&mut self.under_way));
        let both = async { join!(before, self.client.batch_execute("ROLLBACK")).1 };
        let answered = within(STATEMENT_PATIENCE, "a statement", both).await;
        self.heard(answered)
    }

    /// Sends a statement. How it went is told by what is waited for next on this connection.
    pub(super) async fn send(&mut self, sql: &str, args: &[Value]) -> Result<(), StoreError> {
        let statement = self.statement(sql).await?;
        self.dispatch(statement, args.to_vec()).await
    }

    async fn dispatch<P>(&mut self, statement: Statement, args: Vec<P>) -> Result<(), StoreError>
    where
        P: ToSql + Sync + Send + 'static,
    {
        if self.under_way.len() >= UNDER_WAY {
            self.settle().await?;
        }
        let client = Arc::clone(&self.client);
        let mut outcome: Outcome =
            Box::pin(async move { Ok(client.execute(&statement, &arguments(&args)).await?) });
        // The first look at it is what sends it. What is over by then was not sent: a value does not fit.
        if let Poll::Ready(result) = poll!(&mut outcome) {
            return result.map(drop);
        }
        self.under_way.push(outcome);
        Ok(())
    }

    /// Sends one statement for any number of rows.
    pub(super) async fn insert_rows(
        &mut self,
        insert: &Insert<'_>,
        values: Vec<Value>,
    ) -> Result<(), StoreError> {
        if values.is_empty() {
            return Ok(());
        }
        let statement = self.many_rows(insert).await?;
        self.dispatch(statement, by_column(values, insert.columns.len())).await
    }

    /// Inserts any number of rows with one statement, and brings what it tells.
    pub(super) async fn insert_rows_telling(
        &mut self,
        insert: &Insert<'_>,
        values: Vec<Value>,
    ) -> Result<Vec<Row>, StoreError> {
        if values.is_empty() {
            return Ok(Vec::new());
        }
        let statement = self.many_rows(insert).await?;
        let columns = by_column(values, insert.columns.len());
        let told = self.query_each(&[(statement, arguments(&columns))]).await?;
        Ok(told.into_iter().flatten().collect())
    }

    /// The statement that inserts any number of rows: each argument is a column of them all. The types of the columns
    /// are the server's.
    async fn many_rows(&mut self, insert: &Insert<'_>) -> Result<Statement, StoreError> {
        let one_row = format!("{} {}", insert.statement(1), insert.ending);
        if let Some(statement) = self.inserts.get(&one_row) {
            return Ok(statement.clone());
        }
        let types = self.statement(&one_row).await?;
        let columns: Vec<String> = types
            .params()
            .iter()
            .enumerate()
            .map(|(at, column)| format!("${}::{}[]", at + 1, column.name()))
            .collect();
        let sql = format!(
            "INSERT INTO {} ({}) SELECT * FROM unnest({}) {}",
            insert.table,
            insert.columns.join(", "),
            columns.join(", "),
            insert.ending,
        );
        let statement = self.statement(&sql).await?;
        self.inserts.insert(one_row, statement.clone());
        Ok(statement)
    }

    /// Runs statements and tells how many rows each found.
    pub(super) async fn execute_each(
        &mut self,
        statements: &[(&str, &[Value])],
    ) -> Result<Vec<u64>, StoreError> {
        self.settle().await?;
        let mut counts = Vec::with_capacity(statements.len());
        for some in statements.chunks(UNDER_WAY) {
            for (sql, args) in some {
                self.send(sql, args).await?;
            }
            counts.extend(self.settle().await?);
        }
        Ok(counts)
    }

    /// Waits for the outcomes of everything that was sent.
    async fn settle(&mut self) -> Result<Vec<u64>, StoreError> {
        if self.under_way.is_empty() {
            return Ok(Vec::new());
        }
        let under_way = settled(std::mem::take(&mut self.under_way));
        let answered = within(STATEMENT_PATIENCE, "a statement", under_way).await;
        self.heard(answered)
    }

    /// Runs queries and brings the rows of each.
    pub(super) async fn rows_each(
        &mut self,
        queries: &[(&str, &[Value])],
    ) -> Result<Vec<Vec<Row>>, StoreError> {
        let mut prepared = Vec::with_capacity(queries.len());
        for (sql, args) in queries {
            prepared.push((self.statement(sql).await?, arguments(args)));
        }
        self.query_each(&prepared).await
    }

    async fn query_each(
        &mut self,
        queries: &[(Statement, Vec<&(dyn ToSql + Sync)>)],
    ) -> Result<Vec<Vec<Row>>, StoreError> {
        let before = settled(std::mem::take(&mut self.under_way));
        let queries =
            try_join_all(queries.iter().map(|(statement, args)| self.client.query(statement, args)));
        let both = async { Ok(join!(before, queries)) };
        let answered = within::<_, StoreError>(STATEMENT_PATIENCE, "a statement", both).await;
        let (before, found) = self.heard(answered)?;
        before?;
        found?.iter().map(|rows| rows.iter().map(row).collect()).collect()
    }

    async fn statement(&mut self, sql: &str) -> Result<Statement, StoreError> {
        if let Some(statement) = self.statements.get(sql) {
            return Ok(statement.clone());
        }
        let placed = Dialect::Postgres.placed(sql);
        let answered = within(STATEMENT_PATIENCE, "a statement", self.client.prepare(&placed)).await;
        let prepared = self.heard(answered);
        if prepared.is_err() {
            // In a transaction that is void already nothing can be prepared: what voided it is what went wrong.
            self.settle().await?;
        }
        let statement = prepared?;
        if self.statements.len() >= STATEMENTS {
            self.statements.clear();
        }
        self.statements.insert(sql.to_owned(), statement.clone());
        Ok(statement)
    }
}

/// The outcomes in their order, or the first failure.
async fn settled(under_way: Vec<Outcome>) -> Result<Vec<u64>, StoreError> {
    let mut fate = Ok(Vec::with_capacity(under_way.len()));
    for outcome in under_way {
        match (outcome.await, &mut fate) {
            (Ok(count), Ok(counts)) => counts.push(count),
            (Err(error), Ok(_)) => fate = Err(error),
            (_, Err(_)) => {}
        }
    }
    fate
}

fn row(row: &tokio_postgres::Row) -> Result<Row, StoreError> {
    let values: Result<Vec<Value>, _> =
        (0..row.len()).map(|column| row.try_get::<_, Value>(column)).collect();
    Ok(Row::new(values?))
}

fn config(address: &Address) -> Config {
    let mut config = Config::new();
    config.port(address.port.unwrap_or(5432)).user(&address.user).dbname(&address.database);
    match &address.socket {
        Some(folder) => config.host_path(folder),
        None => config.host(&address.host),
    };
    if let Some(password) = &address.password {
        config.password(password);
    }
    config.ssl_mode(match address.protection {
        Protection::None => tokio_postgres::config::SslMode::Disable,
        Protection::WhereOffered => tokio_postgres::config::SslMode::Prefer,
        Protection::Required | Protection::Verified { .. } => tokio_postgres::config::SslMode::Require,
    });
    config.connect_timeout(CONNECT_PATIENCE);
    config.keepalives_idle(KEEPALIVE).keepalives_interval(KEEPALIVE).keepalives_retries(2);
    config.tcp_user_timeout(STATEMENT_PATIENCE);
    config
}

fn arguments<P: ToSql + Sync>(args: &[P]) -> Vec<&(dyn ToSql + Sync)> {
    args.iter().map(|value| value as &(dyn ToSql + Sync)).collect()
}

/// Turns values that stand row after row into columns.
fn by_column(values: Vec<Value>, width: usize) -> Vec<Vec<Value>> {
    let mut columns: Vec<Vec<Value>> = vec![Vec::with_capacity(values.len() / width); width];
    for (at, value) in values.into_iter().enumerate() {
        columns[at % width].push(value);
    }
    columns
}

const EPOCH_DAY: Date = date(2000, 1, 1);
/// 2000-01-01 in microseconds since 1970.
const EPOCH_MICROSECONDS: i64 = 946_684_800_000_000;

impl ToSql for Value {
    fn to_sql(&self, ty: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        match (self, ty) {
            (Self::Null, _) => return Ok(IsNull::Yes),
            (Self::Integer(number), &Type::BOOL) => out.put_u8(u8::from(*number != 0)),
            (Self::Flag(flag), &Type::BOOL) => out.put_u8(u8::from(*flag)),
            (Self::Integer(_) | Self::Flag(_), &Type::INT8 | &Type::INT4 | &Type::INT2) => {
                put_number(self.number(), ty, out)?;
            }
            (Self::Instant(instant), &Type::TIMESTAMPTZ) => {
                out.put_i64(instant.as_millisecond() * 1000 - EPOCH_MICROSECONDS);
            }
            (Self::Day(day), &Type::DATE) => {
                out.put_i32(day.since(EPOCH_DAY)?.get_days());
            }
            (Self::Json(text) | Self::Text(text), &Type::JSONB) => {
                out.put_u8(1);
                out.put_slice(fit::document(text).as_bytes());
            }
            _ => out.put_slice(fit::without_nul(&self.as_text()).as_bytes()),
        }
        Ok(IsNull::No)
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    to_sql_checked!();
}

fn put_number(number: i64, ty: &Type, out: &mut BytesMut) -> Result<(), Box<dyn Error + Sync + Send>> {
    match *ty {
        Type::INT2 => out.put_i16(number.try_into()?),
        Type::INT4 => out.put_i32(number.try_into()?),
        _ => out.put_i64(number),
    }
    Ok(())
}

impl Value {
    fn number(&self) -> i64 {
        match self {
            Self::Integer(number) => *number,
            Self::Flag(flag) => i64::from(*flag),
            _ => 0,
        }
    }

    fn as_text(&self) -> String {
        match self {
            Self::Null => String::new(),
            Self::Integer(number) => number.to_string(),
            Self::Flag(flag) => flag.to_string(),
            Self::Text(text) | Self::Json(text) => text.clone(),
            Self::Instant(instant) => rfc3339(*instant),
            Self::Day(day) => day.to_string(),
        }
    }
}

impl<'raw> FromSql<'raw> for Value {
    fn from_sql(ty: &Type, raw: &'raw [u8]) -> Result<Self, Box<dyn Error + Sync + Send>> {
        Ok(match *ty {
            Type::INT8 => Self::Integer(i64::from_sql(ty, raw)?),
            Type::INT4 => Self::Integer(i32::from_sql(ty, raw)?.into()),
            Type::INT2 => Self::Integer(i16::from_sql(ty, raw)?.into()),
            Type::BOOL => Self::Flag(bool::from_sql(ty, raw)?),
            Type::TIMESTAMPTZ => {
                let microseconds = i64::from_be_bytes(raw.try_into()?);
                Self::Instant(Timestamp::from_microsecond(microseconds.saturating_add(EPOCH_MICROSECONDS))?)
            }
            Type::DATE => {
                Self::Day(EPOCH_DAY.checked_add(Span::new().days(i32::from_be_bytes(raw.try_into()?)))?)
            }
            // The first byte is the format's version.
            Type::JSONB => Self::Json(fit::canonical(std::str::from_utf8(raw.get(1..).unwrap_or_default())?)),
            _ => Self::Text(std::str::from_utf8(raw)?.to_owned()),
        })
    }

    fn from_sql_null(_: &Type) -> Result<Self, Box<dyn Error + Sync + Send>> {
        Ok(Self::Null)
    }

    fn accepts(_: &Type) -> bool {
        true
    }
}

impl From<tokio_postgres::Error> for StoreError {
    fn from(error: tokio_postgres::Error) -> Self {
        let Some(database) = error.as_db_error() else {
            // Without an answer of the server's it is the way there, or a value that does not fit its column.
            let source = error.source().map(ToString::to_string);
            let text = source.map_or_else(|| error.to_string(), |source| format!("{error}: {source}"));
            return if error.to_string().starts_with("error serializing") {
                Self::Statement(text.into())
            } else {
                Self::unreachable(text)
            };
        };
        let code = database.code();
        let text: Arc<str> = format!("{} ({})", database.message(), code.code()).into();
        match outage_of(code) {
            Some(outage) => Self::Unavailable { outage, text },
            None if *code == SqlState::INSUFFICIENT_PRIVILEGE => Self::Denied(text.to_string()),
            None if is_conflict(code) => Self::Conflict(text),
            None => Self::Statement(text),
        }
    }
}

/// Another transaction was in the way: to be tried again. A key that somebody else has just inserted is found then.
fn is_conflict(code: &SqlState) -> bool {
    [
        &SqlState::T_R_SERIALIZATION_FAILURE,
        &SqlState::T_R_DEADLOCK_DETECTED,
        &SqlState::LOCK_NOT_AVAILABLE,
        &SqlState::UNIQUE_VIOLATION,
    ]
    .contains(&code)
}

fn outage_of(code: &SqlState) -> Option<Outage> {
    match code.code() {
        "53100" => Some(Outage::Full),
        "25006" => Some(Outage::ReadOnly),
        "58030" => Some(Outage::Io),
        "57014" => Some(Outage::Busy),
        // Connections, credentials, a database that is not there, a server that comes or goes, too little memory.
        code if ["08", "28", "3D", "53", "57P"].iter().any(|class| code.starts_with(class)) => {
            Some(Outage::Unreachable)
        }
        _ => None,
    }
}
