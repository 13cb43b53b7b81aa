//! Brings the schema up to date. Migrations go forward only, each in a transaction of its own.

use jiff::Timestamp;
use sha2::{Digest, Sha256};

use super::error::StoreError;
use super::sql::{Conn, args};

/// A step of the schema. Its text never changes once it was released.
struct Migration {
    version: i64,
    description: &'static str,
    script: &'static str,
}

const MIGRATIONS: &[Migration] = &[
    Migration {
        version: 1,
        description: "mirror",
        script: include_str!("../../migrations/sqlite/0001_mirror.sql"),
    },
    Migration {
        version: 2,
        description: "daemon",
        script: include_str!("../../migrations/sqlite/0002_daemon.sql"),
    },
];

const LEDGER: &str = "CREATE TABLE dingsync_migration (\n    version     INTEGER PRIMARY KEY,\n    \
                      description TEXT    NOT NULL,\n    checksum    TEXT    NOT NULL,\n    \
                      applied_at  INTEGER NOT NULL\n)";

/// All statements, for a DBA who runs them by hand.
pub fn script() -> String {
    let steps = MIGRATIONS.iter().map(|migration| {
        let Migration { version, description, script } = migration;
        let checksum = migration.checksum();
        format!(
            "\n-- {version:04} {description}\n{script}\nINSERT INTO dingsync_migration VALUES \
             ({version}, '{description}', '{checksum}', 0);\n"
        )
    });
    std::iter::once(format!("{LEDGER};\n")).chain(steps).collect()
}

impl Migration {
    fn checksum(&self) -> String {
        crate::hex::encode(&Sha256::digest(self.script.as_bytes()))
    }
}

impl Conn {
    /// Runs what is missing. The caller must be alone with the database.
    pub(super) async fn migrate(&mut self, now: Timestamp) -> Result<(), StoreError> {
        if !self.has_ledger().await? {
            self.refuse_strangers().await?;
            self.batch(LEDGER)?;
        }
        let applied = self.applied().await?;
        for migration in MIGRATIONS.iter().filter(|one| !applied.contains(&one.version)) {
            self.batch("BEGIN IMMEDIATE")?;
            let result = self.apply(migration, now).await;
            self.batch(if result.is_ok() { "COMMIT" } else { "ROLLBACK" })?;
            result?;
        }
        Ok(())
    }

    async fn apply(&mut self, migration: &Migration, now: Timestamp) -> Result<(), StoreError> {
        self.batch(migration.script)?;
        let sql =
            "INSERT INTO dingsync_migration (version, description, checksum, applied_at) VALUES (?, ?, ?, ?)";
        let args =
            args![migration.version, migration.description, migration.checksum(), now.as_millisecond()];
        self.execute(sql, args).await?;
        Ok(())
    }

    /// How many migrations the database lacks.
    pub(super) async fn missing_migrations(&mut self) -> Result<usize, StoreError> {
        if !self.has_ledger().await? {
            self.refuse_strangers().await?;
            return Ok(MIGRATIONS.len());
        }
        Ok(MIGRATIONS.len() - self.applied().await?.len())
    }

    async fn has_ledger(&mut self) -> Result<bool, StoreError> {
        let sql = "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name = 'dingsync_migration'";
        Ok(self.number(sql, &[]).await? > 0)
    }

    /// Tables of our names in a database that we have not set up belong to somebody else.
    async fn refuse_strangers(&mut self) -> Result<(), StoreError> {
        let sql = "SELECT name FROM sqlite_schema \
                   WHERE type IN ('table', 'view') AND (name LIKE 'ding\\_%' ESCAPE '\\' OR name LIKE 'dingsync\\_%' ESCAPE '\\') \
                   ORDER BY name LIMIT 1";
        match self.row(sql, &[]).await? {
            None => Ok(()),
            Some(row) => Err(StoreError::Schema(format!(
                "it holds `{}`, which dingsync did not make: use another database, or rename that table",
                row.text(0)?.unwrap_or_default()
            ))),
        }
    }

    /// The versions that were applied, each of them one that this program knows and left as it was.
    async fn applied(&mut self) -> Result<Vec<i64>, StoreError> {
        let mut applied = Vec::new();
        for row in self.rows("SELECT version, checksum FROM dingsync_migration", &[]).await? {
            let version = row.integer(0)?.unwrap_or_default();
            let Some(known) = MIGRATIONS.iter().find(|one| one.version == version) else {
                return Err(StoreError::Schema(format!(
                    "it has migration {version}, which this program does not know: use a newer dingsync, or restore a backup"
                )));
            };
            if row.text(1)?.as_deref() != Some(known.checksum().as_str()) {
                return Err(StoreError::Schema(format!(
                    "its migration {version} is not the one of this program: it was made by a development version, or changed by hand"
                )));
            }
            applied.push(version);
        }
        Ok(applied)
    }
}
