//! `dingsync apply`: the OA's own tables.

mod check;
mod init;
mod status;
mod work;

use clap::Subcommand;

use self::check::{CheckArgs, check};
use self::init::{InitArgs, init};
use self::status::{StatusArgs, status};
use self::work::{WhichArgs, approve, rebuild, retry};
use super::App;
use super::exit::{Exit, Failure};
use crate::config::{Config, Corp};

#[derive(Debug, Subcommand)]
pub(super) enum ApplyCommand {
    /// Show how far the OA's tables follow the mirror, what they wait for, and what the OA's database refuses
    Status(StatusArgs),
    /// Apply everything again that is parked, or one object, and wait until that is done
    Retry(WhichArgs),
    /// Treat as gone in the OA what `when` leaves out and the deletion guard holds, all of it or one object
    Approve(WhichArgs),
    /// Apply every object again, as after a change of the statements, and wait until that is done
    Rebuild,
    /// Try the statements on the OA's database and show what they would write; writes nothing
    Check(CheckArgs),
    /// Propose statements for tables of the OA's, from the names and comments of their columns
    Init(InitArgs),
}

pub(super) async fn apply(app: App, command: ApplyCommand) -> Result<Exit, Failure> {
    match command {
        ApplyCommand::Status(args) => status(app, args).await,
        ApplyCommand::Retry(args) => retry(app, args).await,
        ApplyCommand::Approve(args) => approve(app, args).await,
        ApplyCommand::Rebuild => rebuild(app).await,
        ApplyCommand::Check(args) => check(app, args).await,
        ApplyCommand::Init(args) => init(app, args).await,
    }
}

/// The organisations that fill an OA, of those that are meant.
fn filled_corps(config: &Config) -> Result<Vec<&Corp>, Failure> {
    let filled: Vec<&Corp> = config.corps.iter().filter(|corp| corp.apply.is_some()).collect();
    if filled.is_empty() {
        let names: Vec<&str> = config.corps.iter().map(|corp| corp.name.as_str()).collect();
        return Err(nothing_says(&names.join(", ")));
    }
    Ok(filled)
}

fn nothing_says(corps: &str) -> Failure {
    Failure::usage(format!(
        "nothing says how the OA's tables are filled with {corps}: write a table [apply.NAME] with what is to be \
         written, such as [apply.NAME.employee]"
    ))
}
