//! `dingsync migrate`

use clap::Args;
use serde_json::json;

use super::exit::{Exit, Failure};
use super::session::Session;
use super::{App, output};
use crate::config::Needs;
use crate::store::Store;

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
    let session = Session::open_or_make(&app, &config, "migrate").await?;
    let text = if session.is_alone() {
        "the schema is up to date"
    } else {
        "the schema is up to date: a daemon runs on it"
    };
    if app.global.json {
        output::json(&json!({ "up_to_date": true, "daemon_runs": !session.is_alone() }))?;
    } else {
        output::line(text)?;
    }
    session.close().await;
    Ok(Exit::Done)
}
