//! `dingsync apply status`: a report, which changes nothing.

use clap::Args;

use super::super::desk::Desk;
use super::super::exit::{Exit, Failure};
use super::super::{App, output};
use super::filled_corps;
use crate::answers::{self, ApplyLine, ApplyStatus, Filling};
use crate::apply::Applier;
use crate::config::Needs;

#[derive(Debug, Args)]
pub(in crate::cli) struct StatusArgs {
    /// How many objects at most are listed
    #[arg(long, value_name = "COUNT", default_value_t = 100)]
    limit: usize,
}

pub(super) async fn status(app: App, args: StatusArgs) -> Result<Exit, Failure> {
    let choose = |config: &_| Ok(filled_corps(config)?[0].clone());
    let desk = Desk::open_for(&app, Needs::CallbacksAlone, choose).await?;
    let done = report(&app, &desk, args.limit).await;
    desk.close().await;
    done
}

async fn report(app: &App, desk: &Desk, limit: usize) -> Result<Exit, Failure> {
    let mut all = Vec::new();
    for corp in filled_corps(&desk.config)? {
        let Some(applier) = Applier::of(corp, desk.config.guard, &desk.store, &app.clock)? else { continue };
        let place = (corp.name.as_str(), corp.corp_id.as_str());
        let filling = Filling::from(&applier);
        all.push(answers::apply_status(&desk.store, place, &filling, Some(limit)).await?);
    }
    if app.global.json {
        output::json(&all)?;
    } else {
        for status in &all {
            print(status)?;
        }
    }
    Ok(Exit::Done)
}

fn print(status: &ApplyStatus) -> Result<(), Failure> {
    let ApplyStatus { corp, name, state, behind, due, parked, held, .. } = status;
    let state = match *state {
        "waiting" if status.trouble.is_some() => "has not begun",
        "waiting" => "waits for the first pull",
        "walking" => "applies every object",
        _ => "follows the changes",
    };
    output::line(format!(
        "{corp}: apply.{name} {state}; {} behind, {due} due, {parked} parked, {held} held",
        output::counted(*behind, "change")
    ))?;
    if let Some(at) = &status.applied_at {
        output::line(format!("  applied last at {at}, up to change {}", status.cursor))?;
    }
    if let Some(trouble) = &status.trouble {
        let since = trouble.since.as_deref().unwrap_or("an unknown time");
        output::line(format!("  TROUBLE ({}) since {since}: {}", trouble.kind, trouble.text))?;
        if !["moved", "elsewhere"].contains(&trouble.kind.as_str()) {
            output::line("  everything waits, and goes on by itself once that is put right")?;
        }
    }
    if status.mapping_changed {
        output::line(
            "  the statements have changed since all objects were applied: `dingsync apply rebuild` applies the new ones \
             to everybody",
        )?;
    }
    let objects = status.objects.as_deref().unwrap_or_default();
    objects_table(objects)?;
    let left = due + parked + held - i64::try_from(objects.len()).unwrap_or(i64::MAX);
    if left > 0 {
        output::line(format!("  {left} more: --limit COUNT"))?;
    }
    if *parked > 0 {
        output::line(
            "  `dingsync apply retry` tries the parked ones again, once what they say is put right",
        )?;
    }
    if *held > 0 {
        output::line(format!("  {}", held_text(corp, *held)))?;
    }
    Ok(())
}

/// What the guard holds, and what to do about it.
pub(super) fn held_text(corp: &str, held: i64) -> String {
    let held = output::counted(held, "object");
    format!(
        "{corp}: {held} with a row in the OA left out by `when`, more than `[guard]` allows at once: the rows stay as they \
         are. If `when` is wrong: correct it, restart, `dingsync apply rebuild`. If they are to be treated as gone: \
         `dingsync apply approve`"
    )
}

pub(super) fn objects_table(objects: &[ApplyLine]) -> Result<(), Failure> {
    let rows: Vec<[String; 3]> = objects.iter().map(line).collect();
    output::table(&rows)
}

fn line(object: &ApplyLine) -> [String; 3] {
    let why = match (&object.statement, &object.message) {
        // The same for all of them: it stands below.
        (Some(statement), _) if object.state == "held" => statement.clone(),
        (Some(statement), message) => {
            let message = message.as_deref().unwrap_or("its words were erased with what was personal");
            format!("{statement}: {message}")
        }
        (None, message) => message.clone().unwrap_or_default(),
    };
    let since = object.since.as_deref().unwrap_or_default();
    [format!("  {}", object.state), format!("{} {}", object.entity, object.id), format!("{since}  {why}")]
}
