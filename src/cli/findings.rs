//! What a comparison found, for people and for programs.

use serde_json::{Value, json};

use super::exit::Failure;
use super::output;
use crate::store::{Disagreement, NoteKind, Run, RunItem, RunKind, RunNote, RunState, Store};

const BATCH: usize = 500;
/// Differences that are printed for people; all of them are in the JSON.
const SHOWN: usize = 1000;

/// What a run has found and has to say.
pub(super) struct Report {
    /// Differences: created, changed, gone, held.
    pub(super) differences: Vec<RunItem>,
    /// What is out of sight: its rows stay, so it is no difference.
    hidden: Vec<RunItem>,
    notes: Vec<RunNote>,
    /// Deletions that wait for a person, of this run and of others.
    pub(super) held: i64,
}

impl Report {
    /// Reads it from the database. `held` deletions wait for somebody's word.
    pub(super) async fn read(store: &Store, run_id: i64, held: i64) -> Result<Self, Failure> {
        let mut items = Vec::new();
        let mut after = 0;
        loop {
            let batch = store.reader().await?.run_items_after(run_id, after, BATCH).await?;
            let Some((last, _)) = batch.last() else { break };
            after = *last;
            items.extend(batch.into_iter().map(|(_, item)| item));
        }
        let (hidden, differences) =
            items.into_iter().partition(|item| item.disagreement == Disagreement::Hidden);
        let mut notes = store.reader().await?.run_notes(run_id).await?;
        notes.retain(|note| note.kind != NoteKind::Found.label());
        Ok(Self { differences, hidden, notes, held })
    }

    fn count(&self, disagreement: Disagreement) -> usize {
        let items = self.differences.iter().chain(&self.hidden);
        items.filter(|item| item.disagreement == disagreement).count()
    }

    /// As it stands in the output of `--json`.
    pub(super) fn as_json(&self, corp: &str, run: &Run) -> Result<Value, Failure> {
        let mut differences = Vec::new();
        for item in &self.differences {
            let fields: Value = serde_json::from_str(&item.fields)?;
            differences.push(json!({
                "entity": item.entity.label(),
                "id": item.entity_id,
                "difference": item.disagreement.label(),
                "fields": fields,
            }));
        }
        let hidden =
            self.hidden.iter().map(|item| json!({ "entity": item.entity.label(), "id": item.entity_id }));
        let found: serde_json::Map<String, Value> = Disagreement::ALL
            .into_iter()
            .map(|kind| (kind.label().to_owned(), json!(self.count(kind))))
            .collect();
        let notes = self.notes.iter().map(|note| json!({ "kind": note.kind, "text": note.text }));
        Ok(json!({
            "corp": corp,
            "run": run.id,
            "kind": run.kind.label(),
            "state": run.state.label(),
            "compared": run.progress,
            "error": run.error,
            "found": found,
            "held": self.held,
            "differences": differences,
            "hidden": hidden.collect::<Vec<_>>(),
            "notes": notes.collect::<Vec<_>>(),
        }))
    }

    /// Shows it to people.
    pub(super) fn print(&self, corp: &str, run: &Run) -> Result<(), Failure> {
        output::table(&self.rows()?)?;
        let all = self.differences.len() + self.hidden.len();
        if all > SHOWN {
            output::line(format!("… and {} more; --json lists all of them", all - SHOWN))?;
        }
        output::line(format!("{corp}: {} ({} objects compared)", self.verdict(run), run.progress))?;
        if all > 0 {
            let counts: Vec<String> = Disagreement::ALL
                .into_iter()
                .filter(|kind| self.count(*kind) > 0)
                .map(|kind| format!("{} {}", self.count(kind), kind.label()))
                .collect();
            output::line(format!("{corp}: {}", counts.join(", ")))?;
        }
        for note in &self.notes {
            output::line(format!("{corp}: {}", note.text))?;
        }
        if self.held > 0 {
            output::line(format!(
                "{corp}: {} deletions are held, because so many at once are rarely meant. If they are right, \
                 `dingsync reconcile approve`; if not, `dingsync reconcile discard`",
                self.held
            ))?;
        }
        if let Some(error) = &run.error {
            output::line(format!("{corp}: {error}"))?;
        }
        Ok(())
    }

    fn rows(&self) -> Result<Vec<[String; 4]>, Failure> {
        let mut rows = Vec::new();
        for item in self.differences.iter().chain(&self.hidden).take(SHOWN) {
            let fields: Vec<Value> = serde_json::from_str(&item.fields)?;
            let row = |text: String| {
                [
                    item.entity.label().to_owned(),
                    item.entity_id.clone(),
                    item.disagreement.label().to_owned(),
                    text,
                ]
            };
            if fields.is_empty() {
                rows.push(row(String::new()));
            }
            rows.extend(fields.iter().map(|field| {
                let name = field["field"].as_str().unwrap_or_default();
                row(format!("{name}: {} → {}", field["stored"], field["actual"]))
            }));
        }
        Ok(rows)
    }

    fn verdict(&self, run: &Run) -> String {
        match (run.state, run.kind, self.differences.len()) {
            (RunState::Failed, ..) => "gave up".to_owned(),
            (_, RunKind::Reconcile, 0) => "nothing differed".to_owned(),
            (RunState::Complete, RunKind::Reconcile, found) if self.held == 0 => {
                format!("{found} differences found and repaired")
            }
            (_, RunKind::Reconcile, found) => format!("{found} differences found"),
            (_, _, 0) => "nothing differs".to_owned(),
            (_, _, found) => format!("{found} differences"),
        }
    }
}
