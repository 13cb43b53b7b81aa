//! Brings the schema up to date. Migrations go forward only.

use sqlx::migrate::{MigrateError, Migrator};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection as _};

use super::error::StoreError;

/// The scripts are part of the program.
static MIGRATIONS: Migrator = sqlx::migrate!("migrations/sqlite");
const MIGRATION_TABLE: &str = "dingsync_migration";

fn migrator() -> Migrator {
    let mut migrator = Migrator::with_migrations(MIGRATIONS.iter().cloned().collect());
    migrator.dangerous_set_table_name(MIGRATION_TABLE);
    migrator
}

/// Runs what is missing. The caller must be alone with the database.
pub(super) async fn run(options: &SqliteConnectOptions) -> Result<(), StoreError> {
    let mut connection = options.connect().await?;
    let result = migrator().run_direct(None, &mut connection, false).await;
    connection.close().await?;
    result.map_err(explain)
}

/// How many migrations the database lacks. A newer schema is refused.
pub(super) async fn missing(options: &SqliteConnectOptions) -> Result<usize, StoreError> {
    use sqlx::migrate::Migrate as _;
    let mut connection = options.connect().await?;
    connection.ensure_migrations_table(MIGRATION_TABLE).await.map_err(explain)?;
    let applied = connection.list_applied_migrations(MIGRATION_TABLE).await.map_err(explain)?;
    connection.close().await?;
    if let Some(newer) = applied.iter().find(|one| !MIGRATIONS.version_exists(one.version)) {
        return Err(explain(MigrateError::VersionMissing(newer.version)));
    }
    Ok(MIGRATIONS.iter().count() - applied.len())
}

/// All statements, for a DBA who runs them by hand.
pub fn script() -> String {
    let scripts = MIGRATIONS.iter().map(|migration| {
        format!("-- {:04} {}\n{}", migration.version, migration.description, migration.sql.as_str())
    });
    scripts.collect::<Vec<_>>().join("\n")
}

fn explain(error: MigrateError) -> StoreError {
    match error {
        MigrateError::VersionMissing(version) => StoreError::Schema(format!(
            "it has migration {version}, which this program does not know: use a newer dingsync, or restore a backup"
        )),
        MigrateError::VersionMismatch(version) => StoreError::Schema(format!(
            "its migration {version} is not the one of this program: it was made by a development version, or changed by hand"
        )),
        MigrateError::Dirty(version) => StoreError::Schema(format!(
            "its migration {version} was interrupted: restore a backup, or complete it by hand"
        )),
        MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => error.into(),
        other => StoreError::Schema(other.to_string()),
    }
}
