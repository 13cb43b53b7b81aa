//! An explanation for people: the verdict first, then what it rests on.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::super::exit::Failure;
use super::super::{events, output, tasks};
use crate::answers::{Change, Explanation};

/// Longer values are cut on the screen; `--json` has all of them.
const WIDEST: usize = 120;

pub(super) fn print(explanation: &Explanation) -> Result<(), Failure> {
    output::line(format!("{} {} of {}", explanation.entity, explanation.id, explanation.corp))?;
    for sentence in &explanation.verdict {
        output::line(format!("  {sentence}"))?;
    }
    stored(explanation)?;
    dingtalk(explanation)?;
    oa(explanation)?;
    heading("Reads")?;
    if explanation.tasks.is_empty() {
        output::line("none: nothing has ever asked for it")?;
    }
    for (at, task) in explanation.tasks.iter().enumerate() {
        if at > 0 {
            output::line("")?;
        }
        tasks::print(task)?;
    }
    heading("Changes, the newest first")?;
    for one in &explanation.changes {
        change(one)?;
    }
    heading("Events that named it, the newest first")?;
    let rows: Vec<[String; 5]> = explanation.events.iter().map(events::line).collect();
    output::table(&rows)?;
    if let Some(to) = &explanation.events_looked_back_to {
        output::line(format!("looked back to {to}"))?;
    }
    heading("Runs that found something of it, the newest first")?;
    let rows: Vec<[String; 4]> = explanation
        .runs
        .iter()
        .map(|found| {
            let at = found.run.started_at.clone().unwrap_or_default();
            let fields = found.fields.as_array().into_iter().flatten();
            let fields: Vec<&str> = fields.filter_map(|field| field["field"].as_str()).collect();
            let what = format!("{} {}", found.difference, fields.join(", "));
            [format!("run {}", found.run.run), at, found.run.kind.to_owned(), what]
        })
        .collect();
    output::table(&rows)
}

fn heading(text: &str) -> Result<(), Failure> {
    output::line(format!("\n{text}"))
}

/// A value as people write it.
fn plain(value: &Value) -> String {
    let text = match value {
        // What somebody wrote in DingTalk must not look like a line of ours.
        Value::String(text) => text.replace(char::is_control, " "),
        other => other.to_string(),
    };
    match text.char_indices().nth(WIDEST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

fn stored(explanation: &Explanation) -> Result<(), Failure> {
    let Some(stored) = &explanation.stored else { return Ok(()) };
    heading("Stored")?;
    let named = |kind: &str, id: &Value| {
        let name = explanation.names.get(kind).and_then(|names: &BTreeMap<_, _>| names.get(&plain(id)));
        name.map_or_else(|| plain(id), |name| format!("{} ({name})", plain(id)))
    };
    let mut rows = Vec::new();
    for (column, value) in stored {
        let value = match (column.as_str(), value) {
            (_, Value::Null) => continue,
            ("departments", Value::Array(places)) => {
                let places: Vec<String> = places
                    .iter()
                    .map(|place| {
                        let marks = [("is_main", "main"), ("is_leader", "leads it")];
                        let marks: Vec<&str> = marks
                            .iter()
                            .filter(|(field, _)| place[*field] == true)
                            .map(|(_, mark)| *mark)
                            .collect();
                        let name = named("department", &place["dept_id"]);
                        if marks.is_empty() { name } else { format!("{name} [{}]", marks.join(", ")) }
                    })
                    .collect();
                places.join("; ")
            }
            ("roles", Value::Array(roles)) => {
                let roles: Vec<String> = roles.iter().map(|role| named("role", &role["role_id"])).collect();
                roles.join("; ")
            }
            ("parent_id" | "main_dept_id", id) => named("department", id),
            ("group_id", id) => named("role_group", id),
            (_, value) => plain(value),
        };
        rows.push([column.clone(), value]);
    }
    output::table(&rows)
}

fn dingtalk(explanation: &Explanation) -> Result<(), Failure> {
    let Some(now) = &explanation.dingtalk else { return Ok(()) };
    heading(&format!("DingTalk at {}: {}", now.asked_at, now.state))?;
    let rows: Vec<[String; 2]> = now
        .differences
        .iter()
        .map(|difference| {
            let text = format!("{} → {}", plain(&difference.stored), plain(&difference.actual));
            [difference.field.to_owned(), text]
        })
        .collect();
    output::table(&rows)
}

fn oa(explanation: &Explanation) -> Result<(), Failure> {
    let Some(oa) = &explanation.oa else { return Ok(()) };
    heading("The OA's tables")?;
    let mut rows = Vec::new();
    if let Some(link) = &oa.link {
        let by = match link.linked_by.as_deref() {
            Some("find") => "`find` brought it",
            Some("key") => "the row was made for it",
            Some("command") => "somebody said so",
            _ => "nobody knows how",
        };
        let since = link.since.as_deref().unwrap_or("an unknown time");
        rows.push(["row".to_owned(), format!("{}, since {since}: {by}", link.oa_id)]);
        rows.extend(link.removed_at.clone().map(|at| ["treated as gone".to_owned(), at]));
    }
    if let Some(waiting) = &oa.waiting {
        let since = waiting.since.as_deref().unwrap_or("an unknown time");
        let refusals = match waiting.attempts {
            0 => String::new(),
            attempts => format!(", refusals: {attempts}"),
        };
        rows.push([waiting.state.clone(), format!("since {since}{refusals}")]);
        rows.extend(waiting.statement.clone().map(|statement| ["statement".to_owned(), statement]));
        rows.extend(waiting.message.clone().map(|message| ["refusal".to_owned(), message]));
    }
    if rows.is_empty() {
        output::line("no row is known")?;
    }
    output::table(&rows)
}

fn change(change: &Change) -> Result<(), Failure> {
    let at = change.changed_at.as_deref().unwrap_or_default();
    let event = change.event_id.as_ref().map(|event| format!(" (event {event})")).unwrap_or_default();
    let operator = change.operator_userid.as_ref().map(|userid| format!(", changed by {userid}"));
    let head = format!(
        "{} {at} {} because of {}{event}{}",
        change.seq,
        change.action,
        change.cause,
        operator.unwrap_or_default()
    );
    output::line(head)?;
    let fields = |values: &Option<Box<serde_json::value::RawValue>>| -> Map<String, Value> {
        values.as_ref().and_then(|raw| serde_json::from_str(raw.get()).ok()).unwrap_or_default()
    };
    let (old, new) = (fields(&change.old_values), fields(&change.new_values));
    for (field, is) in &new {
        match old.get(field) {
            Some(was) => output::line(format!("  {field}: {} → {}", plain(was), plain(is)))?,
            None if is.is_null() => {}
            None => output::line(format!("  {field}: {}", plain(is)))?,
        }
    }
    Ok(())
}
