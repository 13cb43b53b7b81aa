//! Brings the schema up to date. Migrations go forward only, and only add: a program one version older keeps running
//! beside a newer schema.
//!
//! On SQLite and PostgreSQL each step is one transaction. MySQL has none for its definitions: there every statement can
//! be run again, and a step that was interrupted is run from its beginning.

use jiff::Timestamp;
use sha2::{Digest, Sha256};

use super::conn::Conn;
use super::dialect::Dialect;
use super::error::StoreError;
use super::sql::args;

/// A step of the schema. Its text never changes once it was released.
struct Migration {
    version: i64,
    description: &'static str,
    /// The oldest schema whose programs can live with this one.
    min_compatible_version: i64,
    /// As SQLite, PostgreSQL and MySQL say it.
    scripts: [&'static str; 3],
}

macro_rules! scripts {
    ($file:literal) => {
        [
            include_str!(concat!("../../migrations/sqlite/", $file)),
            include_str!(concat!("../../migrations/postgres/", $file)),
            include_str!(concat!("../../migrations/mysql/", $file)),
        ]
    };
}

const MIGRATIONS: &[Migration] = &[
    Migration {
        version: 1,
        description: "mirror",
        min_compatible_version: 1,
        scripts: scripts!("0001_mirror.sql"),
    },
    Migration {
        version: 2,
        description: "daemon",
        min_compatible_version: 2,
        scripts: scripts!("0002_daemon.sql"),
    },
    Migration {
        version: 3,
        description: "audit",
        min_compatible_version: 2,
        scripts: scripts!("0003_audit.sql"),
    },
    Migration {
        version: 4,
        description: "catch_up",
        min_compatible_version: 2,
        scripts: scripts!("0004_catch_up.sql"),
    },
    Migration {
        version: 5,
        description: "held",
        min_compatible_version: 2,
        scripts: scripts!("0005_held.sql"),
    },
    Migration {
        version: 6,
        description: "lookup",
        min_compatible_version: 2,
        scripts: scripts!("0006_lookup.sql"),
    },
    Migration {
        version: 7,
        description: "retention",
        min_compatible_version: 2,
        scripts: scripts!("0007_retention.sql"),
    },
    Migration {
        version: 8,
        description: "apply",
        min_compatible_version: 2,
        scripts: scripts!("0008_apply.sql"),
    },
    Migration {
        version: 9,
        description: "run_place",
        min_compatible_version: 2,
        scripts: scripts!("0009_run_place.sql"),
    },
    Migration {
        version: 10,
        description: "let_go",
        min_compatible_version: 2,
        scripts: scripts!("0010_let_go.sql"),
    },
];

const LEDGER: &str = "dingsync_migration";

/// Which steps were made. It is the first table of all.
fn ledger(dialect: Dialect) -> &'static str {
    match dialect {
        Dialect::Sqlite => {
            "CREATE TABLE dingsync_migration (\n    version                INTEGER PRIMARY KEY,\n    \
             description            TEXT    NOT NULL,\n    checksum               TEXT    NOT NULL,\n    \
             min_compatible_version INTEGER NOT NULL,\n    applied_at             INTEGER NOT NULL\n)"
        }
        Dialect::Postgres => {
            "CREATE TABLE dingsync_migration (\n    version                BIGINT PRIMARY KEY,\n    \
             description            TEXT   NOT NULL,\n    checksum               TEXT   NOT NULL,\n    \
             min_compatible_version BIGINT NOT NULL,\n    applied_at             BIGINT NOT NULL\n)"
        }
        Dialect::Mysql => {
            "CREATE TABLE dingsync_migration (\n    version                BIGINT PRIMARY KEY,\n    \
             description            VARCHAR(255) NOT NULL,\n    checksum               VARCHAR(64) NOT NULL,\n    \
             min_compatible_version BIGINT NOT NULL,\n    applied_at             BIGINT NOT NULL\n) \
             ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin"
        }
    }
}

const NOTE: &str = "INSERT INTO dingsync_migration \
                    (version, description, checksum, min_compatible_version, applied_at)";

/// All statements, for a DBA who runs them by hand.
pub(super) fn script(dialect: Dialect) -> String {
    let steps = MIGRATIONS.iter().map(|migration| {
        let Migration { version, description, min_compatible_version, .. } = migration;
        let (script, checksum) = (migration.script(dialect), migration.checksum(dialect));
        format!(
            "\n-- {version:04} {description}\n{script}\n{NOTE}\nVALUES ({version}, '{description}', '{checksum}', \
             {min_compatible_version}, 0);\n"
        )
    });
    std::iter::once(format!("{};\n", ledger(dialect))).chain(steps).collect()
}

impl Migration {
    fn script(&self, dialect: Dialect) -> &'static str {
        self.scripts[dialect as usize]
    }

    fn checksum(&self, dialect: Dialect) -> String {
        crate::hex::encode(&Sha256::digest(self.script(dialect).as_bytes()))
    }
}

impl Conn {
    /// Runs what is missing. On a file the caller must be alone with it; on a server one process at a time does it.
    pub(super) async fn migrate(&mut self, now: Timestamp) -> Result<(), StoreError> {
        self.lock_schema().await?;
        let migrated = self.run_missing(now).await;
        self.unlock_schema().await?;
        migrated
    }

    async fn run_missing(&mut self, now: Timestamp) -> Result<(), StoreError> {
        if !self.is_made().await? {
            let ledger = ledger(self.dialect());
            self.batch(ledger).await?;
        }
        let applied = self.applied().await?;
        for migration in MIGRATIONS.iter().filter(|one| !applied.contains(&one.version)) {
            self.begin().await?;
            match self.apply(migration, now).await {
                Ok(()) => self.commit().await?,
                Err(error) => {
                    self.roll_back().await?;
                    return Err(error);
                }
            }
        }
        Ok(())
    }

    async fn apply(&mut self, migration: &Migration, now: Timestamp) -> Result<(), StoreError> {
        let dialect = self.dialect();
        self.batch(migration.script(dialect)).await?;
        let sql = format!("{NOTE} VALUES (?, ?, ?, ?, ?)");
        let args = args![
            migration.version,
            migration.description,
            migration.checksum(dialect),
            migration.min_compatible_version,
            now.as_millisecond()
        ];
        self.execute(sql, args).await?;
        Ok(())
    }

    /// Waits until no other process is at it. The server lets go of it when this connection ends, however it ends.
    async fn lock_schema(&mut self) -> Result<(), StoreError> {
        match self.dialect() {
            Dialect::Sqlite => Ok(()),
            // It waits as long as a migration may take, and not as long as a statement may.
            Dialect::Postgres => {
                self.batch("SET lock_timeout = 0; SET statement_timeout = 0; SET idle_in_transaction_session_timeout = 0")
                    .await?;
                self.batch(
                    "DO $$ BEGIN PERFORM pg_advisory_lock(hashtext('dingsync ' || current_schema())); END $$",
                )
                .await
            }
            Dialect::Mysql => {
                let sql = "SELECT GET_LOCK(LEFT(CONCAT('dingsync ', DATABASE()), 64), 15)";
                match self.number(sql, &[]).await? {
                    1 => Ok(()),
                    _ => Err(StoreError::Conflict("another process is changing the schema".into())),
                }
            }
        }
    }

    async fn unlock_schema(&mut self) -> Result<(), StoreError> {
        match self.dialect() {
            Dialect::Sqlite => Ok(()),
            Dialect::Postgres => {
                self.batch("DO $$ BEGIN PERFORM pg_advisory_unlock(hashtext('dingsync ' || current_schema())); END $$")
                    .await
            }
            Dialect::Mysql => {
                self.number("SELECT RELEASE_LOCK(LEFT(CONCAT('dingsync ', DATABASE()), 64))", &[]).await.map(drop)
            }
        }
    }

    /// How many migrations the database lacks.
    pub(super) async fn missing_migrations(&mut self) -> Result<usize, StoreError> {
        let applied = self.applied().await?;
        Ok(MIGRATIONS.iter().filter(|one| !applied.contains(&one.version)).count())
    }

    /// Makes a table and drops it, as whoever makes the schema must be allowed to.
    pub(super) async fn probe_making(&mut self) -> Result<(), StoreError> {
        // Not one of our names: whoever makes the schema at this moment would take it for a stranger's.
        let table = format!("probe_of_dingsync_{}", std::process::id());
        self.batch(&format!("CREATE TABLE {table} (id INTEGER)")).await?;
        self.batch(&format!("DROP TABLE {table}")).await
    }

    /// Whether the schema was made here, whatever it lacks.
    pub(super) async fn is_made(&mut self) -> Result<bool, StoreError> {
        // In one look: somebody may be making it at this moment, its ledger first.
        let tables = self.own_tables().await?;
        if tables.iter().any(|name| name == LEDGER) {
            return Ok(true);
        }
        tables.first().map_or(Ok(false), |name| Err(stranger(name)))
    }

    /// The tables and views of the database whose names are of our kind.
    async fn own_tables(&mut self) -> Result<Vec<String>, StoreError> {
        let sql = match self.dialect() {
            Dialect::Sqlite => "SELECT name FROM sqlite_schema WHERE type IN ('table', 'view') ORDER BY name",
            Dialect::Postgres => {
                "SELECT table_name::text FROM information_schema.tables WHERE table_schema = current_schema() \
                 ORDER BY table_name"
            }
            Dialect::Mysql => {
                "SELECT CAST(table_name AS CHAR) FROM information_schema.tables WHERE table_schema = DATABASE() \
                 ORDER BY table_name"
            }
        };
        let mut names = Vec::new();
        for row in self.rows(sql, &[]).await? {
            names.extend(row.text(0)?);
        }
        names.retain(|name| name.starts_with("ding_") || name.starts_with("dingsync_"));
        Ok(names)
    }

    /// The versions that were applied: ours as this program has them, and newer ones that it can live with.
    async fn applied(&mut self) -> Result<Vec<i64>, StoreError> {
        let newest = MIGRATIONS.last().map_or(0, |migration| migration.version);
        let dialect = self.dialect();
        let mut applied = Vec::new();
        let sql = "SELECT version, checksum, min_compatible_version FROM dingsync_migration ORDER BY version";
        for row in self.rows(sql, &[]).await? {
            let version = row.integer(0)?.unwrap_or_default();
            let oldest = row.integer(2)?.unwrap_or(i64::MAX);
            match MIGRATIONS.iter().find(|one| one.version == version) {
                None if version > newest && oldest <= newest => {}
                None => {
                    return Err(StoreError::Schema(format!(
                        "it has migration {version}, which this program does not know: use a newer dingsync, or \
                         restore a backup"
                    )));
                }
                Some(known) if row.text(1)?.as_deref() != Some(known.checksum(dialect).as_str()) => {
                    return Err(StoreError::Schema(format!(
                        "its migration {version} is not the one of this program: it was made by a development \
                         version, or changed by hand"
                    )));
                }
                Some(_) => {}
            }
            applied.push(version);
        }
        Ok(applied)
    }
}

/// A table of our names in a database that we have not set up belongs to somebody else.
fn stranger(name: &str) -> StoreError {
    StoreError::Schema(format!(
        "it holds `{name}`, which dingsync did not make: use another database, or rename that table"
    ))
}
