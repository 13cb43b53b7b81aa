//! `dingsync config`

use clap::Args;
use serde_json::json;

use super::exit::{Exit, Failure};
use super::{App, output};
use crate::config::{Config, KEYS, Needs};

/// Columns of a value that are shown; `--json` shows it whole.
const SHOWN: usize = 60;

#[derive(Debug, Args)]
pub(super) struct ConfigArgs {
    /// List every key that there is, with its default and its meaning
    #[arg(long)]
    keys: bool,
}

pub(super) fn config(app: &App, args: &ConfigArgs) -> Result<Exit, Failure> {
    if args.keys {
        return keys(app.global.json);
    }
    let mut config = Config::load(app.global.config.as_deref(), &app.environment, Needs::CallbacksAlone)?;
    app.narrow(&mut config)?;
    if app.global.json {
        let values: Vec<_> = config
            .effective
            .iter()
            .map(|one| json!({ "key": one.path, "value": one.value, "origin": one.origin.to_string() }))
            .collect();
        output::json(&values)?;
        return Ok(Exit::Done);
    }
    let rows: Vec<[String; 3]> = config
        .effective
        .iter()
        .map(|one| [one.path.clone(), output::brief(&one.value, SHOWN), one.origin.to_string()])
        .collect();
    output::table(&rows)?;
    Ok(Exit::Done)
}

fn keys(as_json: bool) -> Result<Exit, Failure> {
    if as_json {
        let keys: Vec<_> = KEYS
            .iter()
            .map(|key| json!({ "key": key.path, "default": key.default, "meaning": key.meaning }))
            .collect();
        output::json(&keys)?;
        return Ok(Exit::Done);
    }
    let rows: Vec<[String; 3]> = KEYS
        .iter()
        .map(|key| [key.path.to_owned(), key.default.to_owned(), key.meaning.to_owned()])
        .collect();
    output::table(&rows)?;
    Ok(Exit::Done)
}
