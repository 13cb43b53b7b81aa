//! The OA's database, on which other people's statements run: our own, by a connection of its own, or another one.

mod error;

use sha2::{Digest as _, Sha256};

pub use self::error::OaError;
pub(in crate::store) use self::error::Trouble;
use super::conn::Conn;
use super::dialect::Dialect;
use super::engine::address::{self, Target};
use super::engine::{Session, mysql, postgres, sqlite};
use super::{Store, StoreError};

/// A value for a statement of the mapping.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OaValue {
    /// Not given.
    Null,
    /// A whole number.
    Integer(i64),
    /// A text, whatever it looks like.
    Text(String),
    /// A key, or a value out of the configuration: a number where it looks like one and the engine makes a difference.
    Loose(String),
}

/// What a statement brought.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OaAnswer {
    /// The rows, as texts.
    pub rows: Vec<Vec<Option<String>>>,
    /// How many rows were found or made. On MySQL an `ON DUPLICATE KEY UPDATE` that changes a row counts as two.
    pub affected: u64,
    /// The number that was generated for the row of this statement's `INSERT`: `AUTO_INCREMENT`, or SQLite's rowid; `None`
    /// where the engine tells none. The first one's, where there are several rows.
    ///
    /// On SQLite it is the rowid, which is not the key of a table whose key is no `INTEGER PRIMARY KEY`. MySQL also tells a
    /// number that was given, and that of a row which `ON DUPLICATE KEY UPDATE` has changed, but not of one that was like that
    /// already.
    pub generated: Option<String>,
}

/// What a statement needs and brings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OaPrepared {
    /// How many values it takes.
    pub parameters: usize,
    /// The names of the columns of its result; none where it brings no rows.
    pub columns: Vec<String>,
}

/// In which zone the session writes and reads times at the moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Zone {
    /// The one of the configuration, for the mapping's statements.
    Configured,
    /// UTC, for our own.
    Utc,
}

/// A connection to the OA's database.
///
/// Between [`Self::begin`] and the transaction's end nothing else should be waited for: on SQLite whoever else writes waits
/// meanwhile.
#[derive(Debug)]
pub struct OaConn {
    conn: Conn,
    is_own: bool,
    /// The command that puts the session into the configured zone; `None` where there is nothing to put.
    set_zone: Option<String>,
    /// Unknown after a change of which no answer was seen.
    zone: Option<Zone>,
    database: String,
    place: String,
    is_broken: bool,
}

impl Store {
    /// The engine of our own database.
    pub fn engine(&self) -> Dialect {
        self.target.dialect()
    }

    /// The engine that a URL names.
    pub fn engine_of(url: &str) -> Result<Dialect, OaError> {
        Ok(address::target_of(url)?.dialect())
    }

    /// A connection to the OA's database behind `url`, or to our own where there is none, by a session in `time_zone`, such
    /// as `+08:00`.
    pub async fn open_oa(&self, url: Option<&str>, time_zone: &str) -> Result<OaConn, OaError> {
        let set_zone = |dialect| set_zone(dialect, time_zone);
        let target = url.map(address::target_of).transpose()?.unwrap_or_else(|| self.target.clone());
        let set_zone = set_zone(target.dialect())?;
        let is_own = target.is_same(&self.target);
        let (session, database) = match &target {
            Target::Sqlite(path) => {
                let open = if is_own { sqlite::Session::open_own } else { sqlite::Session::open_foreign };
                (Session::Sqlite(open(path)?), String::new())
            }
            Target::Postgres(address) => {
                let session = Box::pin(postgres::Session::connect_foreign(address)).await;
                (Session::Postgres(session.map_err(connecting)?), address.database.clone())
            }
            Target::Mysql(address) => {
                let session = Box::pin(mysql::Session::connect_foreign(address)).await;
                (Session::Mysql(session.map_err(connecting)?), address.database.clone())
            }
        };
        let conn = Conn::new(session);
        let place = target.place();
        let mut opened = OaConn { conn, is_own, set_zone, zone: None, database, place, is_broken: false };
        opened.turn_to(Zone::Configured).await?;
        Ok(opened)
    }
}

/// What is met before any statement has run is a matter of rights at most.
fn connecting(error: StoreError) -> OaError {
    match error {
        StoreError::Schema(text) | StoreError::Denied(text) => Trouble::Denied.told(None, text),
        StoreError::Statement(text) => Trouble::Away.told(None, &*text),
        other => other.into(),
    }
}

/// The command that puts a session into a zone, which is an offset such as `+08:00`.
fn set_zone(dialect: Dialect, offset: &str) -> Result<Option<String>, OaError> {
    let is_offset =
        matches!(offset.as_bytes(), [b'+' | b'-', b'0'..=b'1', b'0'..=b'9', b':', b'0'..=b'5', b'0'..=b'9']);
    if !is_offset {
        return Err(OaError::Setting(format!("the time zone `{offset}` must be an offset such as +08:00")));
    }
    Ok(match dialect {
        Dialect::Sqlite => None,
        // As a text it would be read the other way round, as POSIX has it.
        Dialect::Postgres => Some(format!("SET TIME ZONE INTERVAL '{offset}' HOUR TO MINUTE")),
        Dialect::Mysql => Some(format!("SET SESSION time_zone = '{offset}'")),
    })
}

impl OaConn {
    /// The engine of the OA's database.
    pub fn engine(&self) -> Dialect {
        self.conn.dialect()
    }

    /// Where it is, for people; never with a password.
    pub fn place(&self) -> &str {
        &self.place
    }

    /// Whether it is our own database.
    pub fn is_own(&self) -> bool {
        self.is_own
    }

    /// Whether the connection is of no use any more.
    pub fn is_broken(&self) -> bool {
        self.is_broken || self.conn.is_broken()
    }

    /// Takes the lock of this name for the life of the connection; false when somebody else has it. A file has no such
    /// locks: who has our own database has the OA's.
    pub async fn lock(&mut self, name: &str) -> Result<bool, OaError> {
        let (sql, key) = match self.engine() {
            Dialect::Sqlite => return Ok(true),
            Dialect::Postgres => {
                let digest = Sha256::digest(name);
                let number = digest.first_chunk().map_or(0, |bytes| i64::from_be_bytes(*bytes));
                ("SELECT CAST(pg_try_advisory_lock($1) AS INT)", OaValue::Integer(number))
            }
            Dialect::Mysql => {
                // The names of locks are the server's, and have a length.
                let digest = Sha256::digest(format!("{}\0{name}", self.database));
                let name = format!("dingsync {}", crate::hex::encode(&digest[..16]));
                ("SELECT GET_LOCK(?, 0)", OaValue::Text(name))
            }
        };
        let answer = self.run(sql, &[key]).await?;
        Ok(answer.rows.iter().flatten().flatten().any(|told| told == "1"))
    }

    /// Asks the server whether it is still there. MySQL closes a session, and frees its lock, that says nothing for a minute.
    pub async fn ping(&mut self) -> Result<(), OaError> {
        let result = self.conn.session().foreign_command("SELECT 1").await;
        self.heard(result)
    }

    /// Begins a transaction.
    pub async fn begin(&mut self) -> Result<(), OaError> {
        let result = self.conn.begin().await.map_err(OaError::from);
        self.heard(result)
    }

    /// Ends the transaction and keeps what it did. After an error the caller takes it back.
    pub async fn commit(&mut self) -> Result<(), OaError> {
        let result = self.commit_all().await;
        self.heard(result)
    }

    async fn commit_all(&mut self) -> Result<(), OaError> {
        self.conn.flush().await?;
        self.conn.session().foreign_command("COMMIT").await?;
        self.conn.has_ended();
        Ok(())
    }

    /// Takes the transaction back. A connection on which that fails is broken.
    pub async fn roll_back(&mut self) -> Result<(), OaError> {
        let result = self.conn.roll_back().await.map_err(OaError::from);
        self.is_broken |= result.is_err();
        self.heard(result)
    }

    /// Asks for a statement without running it: an error tells that it does not fit the tables.
    pub async fn prepare(&mut self, sql: &str) -> Result<OaPrepared, OaError> {
        let result = self.conn.session().foreign_prepare(sql).await;
        self.heard(result)
    }

    /// Runs a statement of the mapping. On PostgreSQL an error voids the transaction: the caller takes it back.
    pub async fn run(&mut self, sql: &str, args: &[OaValue]) -> Result<OaAnswer, OaError> {
        self.turn_to(Zone::Configured).await?;
        let result = self.conn.session().foreign_run(sql, args).await;
        self.heard(result)
    }

    /// Our own tables, in the same transaction; `None` where the OA's database is another one.
    ///
    /// Our times stand in UTC on MySQL, so there the session is put into UTC for this, and back into the configured zone for
    /// the next statement of the mapping: a command each, where the two follow each other.
    pub async fn own(&mut self) -> Result<Option<&mut Conn>, OaError> {
        if !self.is_own {
            return Ok(None);
        }
        if self.engine() == Dialect::Mysql {
            self.turn_to(Zone::Utc).await?;
        }
        Ok(Some(&mut self.conn))
    }

    async fn turn_to(&mut self, zone: Zone) -> Result<(), OaError> {
        let Some(configured) = self.set_zone.as_deref().filter(|_| self.zone != Some(zone)) else {
            return Ok(());
        };
        let command = match zone {
            Zone::Configured => configured,
            Zone::Utc => "SET SESSION time_zone = '+00:00'",
        };
        self.zone = None;
        let result = self.conn.session().foreign_command(command).await;
        self.heard(result)?;
        self.zone = Some(zone);
        Ok(())
    }

    fn heard<T>(&mut self, result: Result<T, OaError>) -> Result<T, OaError> {
        self.is_broken |= matches!(result, Err(OaError::Away { .. }));
        result
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use tempfile::TempDir;

    use super::*;

    const TABLE: &str = "CREATE TABLE sys_user (id INTEGER PRIMARY KEY, code TEXT NOT NULL UNIQUE, name VARCHAR(5) \
                         CHECK (length(name) <= 5), age INTEGER, any_type);";

    fn url(path: &Path) -> String {
        format!("sqlite://{}", path.display())
    }

    fn text(text: &str) -> OaValue {
        OaValue::Text(text.to_owned())
    }

    fn loose(text: &str) -> OaValue {
        OaValue::Loose(text.to_owned())
    }

    /// A store of our own on a file, and a file of the OA's with a table.
    struct Scene {
        folder: TempDir,
        store: Store,
    }

    impl Scene {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let own = folder.path().join("own.db");
            let (store, _task) = Store::open(&url(&own)).unwrap();
            for path in [own, folder.path().join("oa.db")] {
                rusqlite::Connection::open(path).unwrap().execute_batch(TABLE).unwrap();
            }
            Self { folder, store }
        }

        fn oa(&self) -> std::path::PathBuf {
            self.folder.path().join("oa.db")
        }

        async fn open(&self) -> OaConn {
            self.store.open_oa(Some(&url(&self.oa())), "+08:00").await.unwrap()
        }
    }

    async fn kind(conn: &mut OaConn, sql: &str, args: &[OaValue]) -> (&'static str, String) {
        let error = conn.run(sql, args).await.expect_err(sql);
        (error.kind_label(), error.code().unwrap_or_default().to_owned())
    }

    #[tokio::test]
    async fn our_own_database_is_known_by_either_way_to_it() {
        let scene = Scene::new();
        let own = url(&scene.folder.path().join(".").join("own.db"));
        for named in [None, Some(own.as_str())] {
            let mut conn = scene.store.open_oa(named, "+08:00").await.unwrap();
            assert!(conn.is_own() && conn.own().await.unwrap().is_some());
            assert_eq!(conn.engine(), Dialect::Sqlite);
        }
        let mut other = scene.open().await;
        assert!(!other.is_own() && other.own().await.unwrap().is_none());
        assert!(other.lock("apply main").await.unwrap());
        other.ping().await.unwrap();
        assert!(!other.is_broken());
    }

    #[tokio::test]
    async fn a_file_that_is_not_there_is_not_made() {
        let scene = Scene::new();
        let path = scene.folder.path().join("typo.db");
        let error = scene.store.open_oa(Some(&url(&path)), "+08:00").await.unwrap_err();
        assert!(error.kind_label() == "away" && error.message().contains("typo.db"), "{error}");
        assert!(!path.exists());
        std::fs::write(&path, "this is no database, however long it may be, and it is long enough").unwrap();
        let error = scene.store.open_oa(Some(&url(&path)), "+08:00").await.unwrap_err();
        assert_eq!((error.kind_label(), error.code()), ("away", Some("SQLITE_NOTADB")), "{error}");
        let error = scene.store.open_oa(Some("oracle://x"), "+08:00").await.unwrap_err();
        assert!(matches!(error, OaError::Setting(_)), "{error}");
        for zone in ["8", "Asia/Shanghai", "+8:00", "+08:60", "+08:00'"] {
            let error = scene.store.open_oa(None, zone).await.unwrap_err();
            assert!(matches!(&error, OaError::Setting(text) if text.contains(zone)), "{error}");
        }
    }

    #[tokio::test]
    async fn another_file_stays_in_the_mode_of_its_owner() {
        let scene = Scene::new();
        let mut conn = scene.open().await;
        conn.run("INSERT INTO sys_user (code) VALUES (?)", &[text("a")]).await.unwrap();
        drop(conn);
        let owner = rusqlite::Connection::open(scene.oa()).unwrap();
        let mode: String = owner.query_row("PRAGMA journal_mode", [], |row| row.get(0)).unwrap();
        assert_eq!(mode, "delete");
        let tables: i64 = owner
            .query_row("SELECT count(*) FROM sqlite_schema WHERE type = 'table'", [], |row| row.get(0))
            .unwrap();
        assert_eq!(tables, 1);
    }

    #[tokio::test]
    async fn a_statement_without_an_end_is_ended_and_the_next_one_runs() {
        let scene = Scene::new();
        let mut conn = scene.open().await;
        let endless = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT max(x) FROM n";
        assert_eq!(kind(&mut conn, endless, &[]).await, ("busy", "SQLITE_INTERRUPT".to_owned()));
        conn.run("INSERT INTO sys_user (code) VALUES (?)", &[text("a")]).await.unwrap();
    }

    #[tokio::test]
    async fn a_generated_key_is_told_and_none_where_no_row_was_made() {
        let scene = Scene::new();
        let mut conn = scene.open().await;
        let upsert = "INSERT INTO sys_user (code, name) VALUES (?, ?) \
                      ON CONFLICT (code) DO UPDATE SET name = excluded.name";
        conn.begin().await.unwrap();
        let made = conn.run(upsert, &[text("a"), text("one")]).await.unwrap();
        assert_eq!((made.affected, made.generated.as_deref()), (1, Some("1")));
        let again = conn.run(upsert, &[text("a"), text("two")]).await.unwrap();
        assert_eq!((again.affected, again.generated), (1, None));
        let given = "INSERT INTO sys_user (id, code) VALUES (?, ?)";
        let given = conn.run(given, &[loose("77"), text("b")]).await.unwrap();
        assert_eq!(given.generated.as_deref(), Some("77"));
        let update = conn.run("UPDATE sys_user SET name = 'x'", &[]).await.unwrap();
        assert_eq!((update.affected, update.generated), (2, None));
        let nothing = "INSERT INTO sys_user (code) VALUES (?) ON CONFLICT DO NOTHING";
        let nothing = conn.run(nothing, &[text("a")]).await.unwrap();
        assert_eq!((nothing.affected, nothing.generated), (0, None));
        let told = "INSERT INTO sys_user (code) VALUES (?) RETURNING id, code, name";
        let told = conn.run(told, &[text("c")]).await.unwrap();
        assert_eq!(told.rows, [[Some("78".to_owned()), Some("c".to_owned()), None]]);
        conn.roll_back().await.unwrap();
        let left = conn.run("SELECT code FROM sys_user", &[]).await.unwrap();
        assert!(left.rows.is_empty());
        conn.begin().await.unwrap();
        conn.run(upsert, &[text("a"), text("one")]).await.unwrap();
        conn.commit().await.unwrap();
        assert_eq!(conn.run("SELECT code FROM sys_user", &[]).await.unwrap().rows.len(), 1);
    }

    #[tokio::test]
    async fn what_looks_like_a_number_is_bound_as_one_where_it_may() {
        let scene = Scene::new();
        let mut conn = scene.open().await;
        let sql = "SELECT typeof(?), typeof(?), typeof(?), typeof(?), typeof(?), typeof(?)";
        let args = [
            loose("12"),
            loose("012"),
            text("12"),
            loose("99999999999999999999"),
            OaValue::Integer(1),
            OaValue::Null,
        ];
        let types = conn.run(sql, &args).await.unwrap().rows.remove(0);
        let types: Vec<&str> = types.iter().flatten().map(String::as_str).collect();
        assert_eq!(types, ["integer", "text", "text", "text", "integer", "null"]);
    }

    #[tokio::test]
    async fn a_statement_is_known_before_it_is_run() {
        let scene = Scene::new();
        let mut conn = scene.open().await;
        let found =
            conn.prepare("SELECT id, name AS n FROM sys_user WHERE code = ? OR name = ?").await.unwrap();
        assert_eq!(found, OaPrepared { parameters: 2, columns: vec!["id".to_owned(), "n".to_owned()] });
        let found = conn.prepare("DELETE FROM sys_user").await.unwrap();
        assert_eq!(found, OaPrepared { parameters: 0, columns: Vec::new() });
        for wrong in ["SELEC 1", "SELECT * FROM sys_users", "SELECT nam FROM sys_user", "SELECT f(1)"] {
            assert_eq!(conn.prepare(wrong).await.unwrap_err().kind_label(), "mismatch", "{wrong}");
        }
    }

    #[tokio::test]
    async fn errors_are_of_their_kinds() {
        let scene = Scene::new();
        let mut conn = scene.open().await;
        let insert = "INSERT INTO sys_user (code, name) VALUES (?, ?)";
        conn.run(insert, &[text("a"), OaValue::Null]).await.unwrap();
        for (sql, args, expected, code) in [
            (insert, vec![text("a"), OaValue::Null], "refused", "SQLITE_CONSTRAINT_UNIQUE"),
            (insert, vec![text("b"), text("too long")], "refused", "SQLITE_CONSTRAINT_CHECK"),
            (insert, vec![OaValue::Null, OaValue::Null], "refused", "SQLITE_CONSTRAINT_NOTNULL"),
            ("SELECT json(?)", vec![text("{")], "refused", "SQLITE_ERROR"),
            (insert, vec![text("b")], "mismatch", ""),
            ("INSERT INTO nowhere VALUES (1)", vec![], "mismatch", "SQLITE_ERROR"),
        ] {
            let found = kind(&mut conn, sql, &args).await;
            assert_eq!((found.0, found.1.as_str()), (expected, code), "{sql}");
        }
        assert!(!conn.is_broken());
        conn.run("ALTER TABLE sys_user RENAME TO sys_person", &[]).await.unwrap();
        let found = kind(&mut conn, insert, &[text("c"), OaValue::Null]).await;
        assert_eq!((found.0, found.1.as_str()), ("mismatch", "SQLITE_ERROR"), "prepared before");
        conn.run("ALTER TABLE sys_person RENAME TO sys_user", &[]).await.unwrap();
        let mut other = scene.open().await;
        other.begin().await.unwrap();
        assert_eq!(conn.begin().await.unwrap_err().kind_label(), "busy");
        other.roll_back().await.unwrap();
    }

    #[tokio::test]
    async fn a_file_that_may_only_be_read_says_so() {
        let scene = Scene::new();
        let mut conn = scene.open().await;
        conn.run("PRAGMA query_only = ON", &[]).await.unwrap();
        let found = kind(&mut conn, "DELETE FROM sys_user", &[]).await;
        assert_eq!((found.0, found.1.as_str()), ("read_only", "SQLITE_READONLY"));
    }
}
