//! `dingsync migrate`

use clap::Args;

use super::exit::{Exit, Failure};
use super::session::Session;
use super::{App, output};
use crate::config::Needs;
use crate::store::migration_script;

#[derive(Debug, Args)]
pub(super) struct MigrateArgs {
    /// Print the statements for a DBA instead of running them
    #[arg(long)]
    print: bool,
}

pub(super) async fn migrate(app: App, args: MigrateArgs) -> Result<Exit, Failure> {
    if args.print {
        output::line(migration_script())?;
        return Ok(Exit::Done);
    }
    let config = app.config(Needs::CallbacksAlone)?;
    let session = Session::open(&app, &config, "migrate").await?;
    let text = if session.is_alone() {
        "the schema is up to date"
    } else {
        "the schema is up to date: a daemon runs on it"
    };
    output::line(text)?;
    session.close().await;
    Ok(Exit::Done)
}
