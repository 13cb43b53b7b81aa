//! `dingsync migrate`

use clap::Args;
use serde_json::json;

use super::exit::{Exit, Failure};
use super::session::Session;
use super::{App, output};
use crate::config::Needs;
use crate::store::{Store, StoreError};

#[derive(Debug, Args)]
pub(super) struct MigrateArgs {
    /// Print the statements for a DBA instead of running them
    #[arg(long)]
    print: bool,
}

pub(super) async fn migrate(app: App, args: MigrateArgs) -> Result<Exit, Failure> {
    let config = app.config(Needs::CallbacksAlone)?;
    if args.print {
        let (store, _) = config.database_url.with(Store::open)?;
        output::line(store.migration_script())?;
        return Ok(Exit::Done);
    }
    let (store, _) = config.database_url.with(Store::open)?;
    let missing = match store.missing_migrations().await {
        Ok(missing) => Some(missing),
        Err(StoreError::NoMirror(_)) => None,
        Err(error) => return Err(error.into()),
    };
    let session = Session::open_or_make(&app, &config, "migrate").await?;
    let did = match missing {
        None => "the schema was made".to_owned(),
        Some(0) => "the schema was up to date already".to_owned(),
        Some(missing) => format!("{} made; the schema is up to date", output::counted(missing, "migration")),
    };
    let beside = if session.is_alone() { "" } else { "; a daemon runs on it" };
    let text = format!("{}: {did}{beside}", store.place());
    if app.global.json {
        output::json(&json!({ "up_to_date": true, "daemon_runs": !session.is_alone() }))?;
    } else {
        output::line(text)?;
    }
    session.close().await;
    Ok(Exit::Done)
}
