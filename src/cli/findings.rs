//! What a comparison found, for people and for programs.

use serde_json::{Value, json};

use super::exit::Failure;
use super::output;
use crate::store::{Run, RunItem, RunKind, RunState, Store};

const BATCH: usize = 500;
/// Differences that are printed for people; all of them are in the JSON.
const SHOWN: usize = 1000;

/// What a run has found.
pub(super) async fn items(store: &Store, run_id: i64) -> Result<Vec<RunItem>, Failure> {
    let mut items = Vec::new();
    let mut after = 0;
    loop {
        let batch = store.reader().await?.run_items_after(run_id, after, BATCH).await?;
        let Some((last, _)) = batch.last() else { return Ok(items) };
        after = *last;
        items.extend(batch.into_iter().map(|(_, item)| item));
    }
}

/// As it stands in the output of `--json`.
pub(super) fn as_json(corp: &str, run: &Run, items: &[RunItem], held: i64) -> Result<Value, Failure> {
    let mut differences = Vec::new();
    for item in items {
        let fields: Value = serde_json::from_str(&item.fields)?;
        differences.push(json!({
            "entity": item.entity.label(),
            "id": item.entity_id,
            "difference": item.disagreement.label(),
            "fields": fields,
        }));
    }
    Ok(json!({
        "corp": corp,
        "run": run.id,
        "kind": run.kind.label(),
        "state": run.state.label(),
        "compared": run.progress,
        "error": run.error,
        "held": held,
        "differences": differences,
    }))
}

/// Shows what a run has found to people.
///
/// `held` deletions wait for somebody's word.
pub(super) fn print(corp: &str, run: &Run, items: &[RunItem], held: i64) -> Result<(), Failure> {
    let mut rows = Vec::new();
    for item in items.iter().take(SHOWN) {
        let fields: Vec<Value> = serde_json::from_str(&item.fields)?;
        let head = [item.entity.label().to_owned(), item.entity_id.clone()];
        let word = item.disagreement.label().to_owned();
        if fields.is_empty() {
            let [entity, id] = head.clone();
            rows.push([entity, id, word.clone(), String::new()]);
        }
        for field in fields {
            let [entity, id] = head.clone();
            let name = field["field"].as_str().unwrap_or_default();
            let text = format!("{name}: {} → {}", field["stored"], field["actual"]);
            rows.push([entity, id, word.clone(), text]);
        }
    }
    output::table(&rows)?;
    if items.len() > SHOWN {
        output::line(format!("… and {} more; --json lists all of them", items.len() - SHOWN))?;
    }
    let verdict = match (run.state, run.kind, items.len()) {
        (RunState::Failed, ..) => "gave up".to_owned(),
        (_, RunKind::Reconcile, 0) => "nothing differed".to_owned(),
        (RunState::Complete, RunKind::Reconcile, found) if held == 0 => {
            format!("{found} differences found and repaired")
        }
        (_, RunKind::Reconcile, found) => format!("{found} differences found"),
        (_, _, 0) => "nothing differs".to_owned(),
        (_, _, found) => format!("{found} differences"),
    };
    output::line(format!("{corp}: {verdict} ({} objects compared)", run.progress))?;
    if held > 0 {
        output::line(format!(
            "{corp}: {held} deletions are held, because so many at once are rarely meant. If these are, set \
             guard.max_deletions = 0, start again, run `dingsync reconcile`, and set it back"
        ))?;
    }
    if let Some(error) = &run.error {
        output::line(format!("{corp}: {error}"))?;
    }
    Ok(())
}
