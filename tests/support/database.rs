//! The daemon's database as the OA sees it: read with SQL, on whichever engine the tests run on.
//!
//! `DINGSYNC_TEST_ENGINE` names the engine, SQLite where it is not set; the servers are those of `TEST_POSTGRES_URL`,
//! `TEST_MARIADB_URL` and `TEST_MYSQL_URL`, on which each test has a database of its own.

#![expect(clippy::panic, reason = "a database that a test cannot use is the end of the test")]

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use jiff::Timestamp;
use jiff::tz::TimeZone;
use mysql_async::consts::ColumnType;
use mysql_async::prelude::Queryable as _;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, OpenFlags};
use serde_json::{Map, Value, json};
use tokio_postgres::NoTls;
use tokio_postgres::types::{FromSql, Type};

/// A row as a JSON object: flags as 0 and 1, instants and days as texts, documents as texts.
pub(crate) type Row = Map<String, Value>;

/// One database.
#[derive(Debug)]
pub(crate) enum Database {
    Sqlite(PathBuf),
    Postgres(Server),
    Mysql(Server),
}

/// A database on a server. It goes with its test.
#[derive(Debug)]
pub(crate) struct Server {
    /// Where databases are made.
    root: String,
    name: String,
}

impl Server {
    fn new(root: &str) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("dingsync_{}_{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        Self { root: root.to_owned(), name }
    }

    fn url(&self) -> String {
        let (server, _) = self.root.rsplit_once('/').expect("a URL that ends in /database");
        format!("{server}/{}", self.name)
    }
}

impl Database {
    /// An empty database on the engine that the tests run on; a file lies in `folder`.
    pub(crate) fn create(folder: &Path) -> Self {
        let engine = std::env::var("DINGSYNC_TEST_ENGINE").unwrap_or_else(|_| "sqlite".to_owned());
        Self::create_on(&engine, folder)
    }

    /// An empty database on `engine`.
    pub(crate) fn create_on(engine: &str, folder: &Path) -> Self {
        if engine == "sqlite" {
            return Self::Sqlite(folder.join("dingsync.db"));
        }
        let variable = format!("TEST_{}_URL", engine.to_uppercase());
        let root = std::env::var(&variable).unwrap_or_else(|_| {
            panic!("{variable} must name a server; `tests/servers.sh COMMAND` starts one")
        });
        Self::create_at(engine, &root)
    }

    /// An empty database on a server.
    pub(crate) fn create_at(engine: &str, root: &str) -> Self {
        let server = Server::new(root);
        let create = format!("CREATE DATABASE {}", server.name);
        match engine {
            "postgres" => {
                waited(postgres(&server.root, &create, None));
                Self::Postgres(server)
            }
            "mariadb" | "mysql" => {
                waited(mysql(&server.root, &create, None));
                Self::Mysql(server)
            }
            other => panic!("{other} is none of sqlite, postgres, mariadb and mysql"),
        }
    }

    /// A file that is there.
    pub(crate) fn at(path: &Path) -> Self {
        Self::Sqlite(path.to_owned())
    }

    /// What the configuration says.
    pub(crate) fn url(&self) -> String {
        match self {
            Self::Sqlite(path) => format!("sqlite://{}", path.display()),
            Self::Postgres(server) | Self::Mysql(server) => server.url(),
        }
    }

    /// The file, for tests of what only a file does.
    pub(crate) fn file(&self) -> &Path {
        match self {
            Self::Sqlite(path) => path,
            Self::Postgres(_) | Self::Mysql(_) => panic!("this test is about an embedded file"),
        }
    }

    /// Whether several write there, each by a connection of its own.
    pub(crate) fn is_server(&self) -> bool {
        !matches!(self, Self::Sqlite(_))
    }

    /// All rows of a query whose only argument, if it has one, is the organisation.
    pub(crate) fn rows(&self, sql: &str, corp_id: &str) -> Vec<Row> {
        self.query(sql, Some(corp_id).filter(|_| sql.contains('?')))
    }

    /// The single number that a query brings.
    pub(crate) fn number(&self, sql: &str) -> i64 {
        let rows = self.query(sql, None);
        rows.first().and_then(|row| row.values().next()).and_then(Value::as_i64).expect(sql)
    }

    /// Runs a statement.
    pub(crate) fn execute(&self, sql: &str) {
        drop(self.query(sql, None));
    }

    /// Runs a script on a server.
    pub(crate) fn script(&self, script: &str) {
        match self {
            Self::Sqlite(path) => {
                Connection::open(path).expect("a database").execute_batch(script).expect(script);
            }
            Self::Postgres(server) => waited(async {
                let (client, connection) =
                    tokio_postgres::connect(&server.url(), NoTls).await.expect("a server");
                let connection = tokio::spawn(connection);
                client.batch_execute(script).await.expect(script);
                connection.abort();
            }),
            Self::Mysql(server) => waited(async {
                let mut conn = mysql_async::Conn::from_url(server.url()).await.expect("a server");
                conn.query_drop(script).await.expect(script);
                conn.disconnect().await.expect("a server");
            }),
        }
    }

    fn query(&self, sql: &str, argument: Option<&str>) -> Vec<Row> {
        match self {
            Self::Sqlite(path) => sqlite(path, sql, argument),
            Self::Postgres(server) => waited(postgres(&server.url(), sql, argument)),
            Self::Mysql(server) => waited(mysql(&server.url(), sql, argument)),
        }
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        match self {
            Self::Sqlite(_) => {}
            Self::Postgres(server) => {
                let sql = format!("DROP DATABASE {} WITH (FORCE)", server.name);
                waited(postgres(&server.root, &sql, None));
            }
            Self::Mysql(server) => {
                waited(mysql(&server.root, &format!("DROP DATABASE {}", server.name), None));
            }
        }
    }
}

/// Waits for something asynchronous where a test is not: on a thread of its own.
fn waited<T: Send>(work: impl Future<Output = T> + Send) -> T {
    let run = || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.expect("a runtime").block_on(work)
    };
    std::thread::scope(|scope| scope.spawn(run).join()).expect("no panic")
}

fn sqlite(path: &Path, sql: &str, argument: Option<&str>) -> Vec<Row> {
    let connection =
        Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE).expect("a database");
    connection.execute_batch("PRAGMA query_only = ON; PRAGMA busy_timeout = 5000;").expect("a pragma");
    let mut statement = connection.prepare(sql).expect(sql);
    let names: Vec<String> = statement.column_names().map(str::to_owned).collect();
    let mut found = statement.query(rusqlite::params_from_iter(argument)).expect(sql);
    let mut rows = Vec::new();
    while let Some(row) = found.next().expect("a row") {
        let value = |at: usize| match row.get_ref(at).expect("a column") {
            ValueRef::Null => Value::Null,
            ValueRef::Integer(number) => json!(number),
            ValueRef::Text(text) => json!(String::from_utf8_lossy(text)),
            ValueRef::Real(number) => json!(number),
            ValueRef::Blob(bytes) => json!(bytes),
        };
        rows.push(names.iter().enumerate().map(|(at, name)| (name.clone(), value(at))).collect());
    }
    rows
}

async fn postgres(url: &str, sql: &str, argument: Option<&str>) -> Vec<Row> {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.expect("a server");
    let connection = tokio::spawn(connection);
    let sql = sql.replace('?', "$1");
    let arguments: Vec<_> =
        argument.iter().map(|text| text as &(dyn tokio_postgres::types::ToSql + Sync)).collect();
    let found = client.query(&sql, &arguments).await.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
    connection.abort();
    let value = |row: &tokio_postgres::Row, at: usize| match *row.columns()[at].type_() {
        Type::INT8 => json!(row.get::<_, Option<i64>>(at)),
        Type::INT4 => json!(row.get::<_, Option<i32>>(at)),
        Type::BOOL => json!(row.get::<_, Option<bool>>(at).map(i64::from)),
        Type::TEXT | Type::VARCHAR => json!(row.get::<_, Option<String>>(at)),
        ref other => {
            let bytes = row.get::<_, Option<Bytes>>(at);
            bytes.map_or(Value::Null, |bytes| json!(text_of(other, &bytes.0)))
        }
    };
    found
        .iter()
        .map(|row| {
            let named = |at: usize| (row.columns()[at].name().to_owned(), value(row, at));
            (0..row.len()).map(named).collect()
        })
        .collect()
}

/// A value as it comes over the wire.
struct Bytes(Vec<u8>);

impl<'raw> FromSql<'raw> for Bytes {
    fn from_sql(_: &Type, raw: &'raw [u8]) -> Result<Self, Box<dyn std::error::Error + Sync + Send>> {
        Ok(Self(raw.to_vec()))
    }

    fn accepts(_: &Type) -> bool {
        true
    }
}

/// The epoch of PostgreSQL, 2000-01-01, in seconds.
const EPOCH: i64 = 946_684_800;

fn text_of(column: &Type, bytes: &[u8]) -> String {
    match *column {
        // The first byte is the format's version.
        Type::JSONB => String::from_utf8(bytes[1..].to_vec()).expect("UTF-8"),
        Type::DATE => {
            let days = i32::from_be_bytes(bytes.try_into().expect("four bytes"));
            let day = Timestamp::from_second(EPOCH + i64::from(days) * 86_400).expect("a day");
            day.to_zoned(TimeZone::UTC).date().to_string()
        }
        Type::TIMESTAMPTZ => {
            let microseconds = i64::from_be_bytes(bytes.try_into().expect("eight bytes"));
            Timestamp::from_microsecond(EPOCH * 1_000_000 + microseconds).expect("an instant").to_string()
        }
        ref other => panic!("the tests cannot read {other}"),
    }
}

async fn mysql(url: &str, sql: &str, argument: Option<&str>) -> Vec<Row> {
    let mut conn = mysql_async::Conn::from_url(url).await.expect("a server");
    conn.query_drop("SET time_zone = '+00:00'").await.expect("a setting");
    let found: Vec<mysql_async::Row> = match argument {
        Some(argument) => conn.exec(sql, (argument,)).await,
        None => conn.query(sql).await,
    }
    .unwrap_or_else(|error| panic!("{sql}: {error:?}"));
    conn.disconnect().await.expect("a server");
    found
        .into_iter()
        .map(|row| {
            let columns = row.columns();
            let values = row.unwrap().into_iter().zip(columns.iter());
            values
                .map(|(value, column)| (column.name_str().into_owned(), mysql_value(value, column)))
                .collect()
        })
        .collect()
}

fn mysql_value(value: mysql_async::Value, column: &mysql_async::Column) -> Value {
    use mysql_async::Value as Wire;
    let is_number = matches!(
        column.column_type(),
        ColumnType::MYSQL_TYPE_LONGLONG
            | ColumnType::MYSQL_TYPE_LONG
            | ColumnType::MYSQL_TYPE_TINY
            | ColumnType::MYSQL_TYPE_SHORT
    );
    match value {
        Wire::NULL => Value::Null,
        Wire::Int(number) => json!(number),
        Wire::UInt(number) => json!(number),
        Wire::Bytes(bytes) => {
            let text = String::from_utf8(bytes).expect("UTF-8");
            if is_number { json!(text.parse::<i64>().expect("a number")) } else { json!(text) }
        }
        Wire::Date(year, month, day, hour, minute, second, micro) => {
            let date = format!("{year:04}-{month:02}-{day:02}");
            if column.column_type() == ColumnType::MYSQL_TYPE_DATE {
                json!(date)
            } else {
                json!(format!("{date}T{hour:02}:{minute:02}:{second:02}.{micro:06}Z"))
            }
        }
        other => panic!("{}: the tests cannot read {other:?}", column.name_str()),
    }
}
