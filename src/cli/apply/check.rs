//! `dingsync apply check`: does the mapping fit the OA's tables, and what would it write.

use clap::Args;

use crate::apply::{Applier, ApplyError, CheckReport, LeftOut, Ran, Trial};
use crate::cli::desk::Desk;
use crate::cli::exit::{Exit, Failure};
use crate::cli::subject::What;
use crate::cli::{App, output};
use crate::config::Needs;

/// Characters of a value that are shown.
const SHOWN: usize = 60;

#[derive(Debug, Args)]
pub(in crate::cli) struct CheckArgs {
    /// What to try it on [default: the first department, role and person that it writes]
    #[arg(requires = "id")]
    what: Option<What>,
    /// Its id in DingTalk, or `name:…`; a person also by `mobile:…`, `job:…` or `unionid:…`
    id: Option<String>,
}

pub(super) async fn check(app: App, args: CheckArgs) -> Result<Exit, Failure> {
    let desk = Desk::open(&app, Needs::CallbacksAlone).await?;
    let result = report(&app, &desk, args).await;
    desk.close().await;
    result
}

async fn report(app: &App, desk: &Desk, args: CheckArgs) -> Result<Exit, Failure> {
    let applier = Applier::of(&desk.corp, desk.config.guard, &desk.store, &app.clock)?;
    let applier = applier.ok_or_else(|| super::nothing_says(&desk.corp.name))?;
    let object = match args.what.zip(args.id) {
        Some((what, id)) => {
            let entity = what.entity();
            Some((entity, crate::answers::resolve(&desk.store, &desk.corp.corp_id, entity, &id).await?))
        }
        None => None,
    };
    let report = Box::pin(applier.check(object)).await.map_err(failure)?;
    if app.global.json {
        output::json(&report)?;
    } else {
        print(&report)?;
    }
    Ok(if report.is_fine { Exit::Done } else { Exit::Failed })
}

/// What is in the way of the OA's database passes, most often.
fn failure(error: ApplyError) -> Failure {
    match error {
        ApplyError::Store(error) => error.into(),
        error => Failure::new(Exit::TryLater, error),
    }
}

fn print(report: &CheckReport) -> Result<(), Failure> {
    output::line(format!("{}\n", report.place))?;
    let rows: Vec<[String; 3]> = report
        .statements
        .iter()
        .map(|check| {
            let verdict = if check.problem.is_some() { "wrong" } else { "fits" };
            let said = match &check.problem {
                Some(problem) => problem.clone(),
                None => check.parameters.iter().map(|name| format!(":{name}")).collect::<Vec<_>>().join(" "),
            };
            [check.statement.clone(), verdict.to_owned(), said]
        })
        .collect();
    output::table(&rows)?;
    report.left_out.iter().try_for_each(|kind| output::line(format!("NOTE {}", left_out(kind))))?;
    report.left_empty.iter().try_for_each(|text| output::line(format!("NOTE {text}")))?;
    if report.trials.is_empty() {
        return output::line("\nNothing was tried: a statement does not fit the tables.");
    }
    output::line("\nWhat it would write (everything was taken back):")?;
    report.trials.iter().try_for_each(print_trial)
}

fn left_out(kind: &LeftOut) -> String {
    let LeftOut { entity, of, left_out, with_a_row, is_held } = kind;
    let fate = match (with_a_row, is_held) {
        (0, _) => "none of them has a row in the OA".to_owned(),
        (rows, false) => format!("{rows} of them have a row in the OA, and are treated as gone"),
        (rows, true) => format!(
            "{rows} of them have a row in the OA: more than `[guard]` allows at once, so that they are held until \
             `dingsync apply approve`"
        ),
    };
    format!("{entity}.when leaves out {left_out} of {of}; {fate}")
}

fn print_trial(trial: &Trial) -> Result<(), Failure> {
    let id = trial.id.as_deref().unwrap_or("—");
    let row = match trial.oa_id.as_deref() {
        Some(oa_id) => format!(" -> row {oa_id}"),
        None => String::new(),
    };
    output::line(format!("\n{} {id}{row}", trial.entity))?;
    for ran in &trial.ran {
        output::line(format!("  {}: {}", ran.statement, outcome(ran)))?;
        for (name, value) in &ran.arguments {
            output::line(format!("    :{name} = {}", shown(value.as_deref())))?;
        }
    }
    match &trial.problem {
        Some(problem) => output::line(format!("  {problem}")),
        None => Ok(()),
    }
}

fn outcome(ran: &Ran) -> String {
    let rows = |count: u64| format!("{count} row{}", if count == 1 { "" } else { "s" });
    match (ran.is_refused, ran.rows as u64, ran.affected) {
        (true, ..) => "refused".to_owned(),
        (false, found, _) if ran.statement.split('.').next_back() == Some("find") => {
            format!("finds {}", rows(found))
        }
        (false, 0, written) => format!("writes {}", rows(written)),
        (false, _, written) => format!("writes {} and tells the key", rows(written)),
    }
}

fn shown(value: Option<&str>) -> String {
    let Some(value) = value else { return "NULL".to_owned() };
    match value.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", &value[..end]),
        None => value.to_owned(),
    }
}
