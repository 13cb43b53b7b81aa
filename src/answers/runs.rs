//! Runs: pulls, comparisons and reports, with what they found.

use serde::Serialize;
use serde_json::{Value, json};

use super::{AnswerError, bounded, document, instant};
use crate::store::{Run, Store};

/// Lines, where nothing else is asked for.
const USUAL: usize = 50;
/// What a run found, in one answer, where nothing else is asked for.
const ITEMS: usize = 500;

/// A run.
#[derive(Debug, Serialize)]
pub struct RunHead {
    /// Its number.
    pub run: i64,
    /// `bootstrap`, `reconcile` or `verify`.
    pub kind: &'static str,
    /// Leaves everybody's details out.
    pub quick: bool,
    /// `queued`, `running`, `complete`, `partial` or `failed`.
    pub state: &'static str,
    /// When it began.
    pub started_at: Option<String>,
    /// When it was over.
    pub finished_at: Option<String>,
    /// What it is doing.
    pub phase: Option<String>,
    /// Objects done.
    pub progress: i64,
    /// Objects to do, once that is known.
    pub total: Option<i64>,
    /// What could not be read, or why it was given up.
    pub error: Option<String>,
    /// It was given up for a reason that passes by itself.
    pub try_later: bool,
}

impl From<Run> for RunHead {
    fn from(run: Run) -> Self {
        Self {
            run: run.id,
            kind: run.kind.label(),
            quick: run.quick,
            state: run.state.label(),
            started_at: instant(run.started_at),
            finished_at: instant(run.finished_at),
            phase: run.phase,
            progress: run.progress,
            total: run.total,
            error: run.error,
            try_later: run.try_later,
        }
    }
}

/// A list of runs.
#[derive(Debug, Serialize)]
pub struct RunPage {
    /// The newest first.
    pub runs: Vec<RunHead>,
    /// What to ask for next: `before=…`; `null` at the end.
    pub next: Option<String>,
}

/// A run with what it found.
#[derive(Debug, Serialize)]
pub struct RunWhole {
    /// The run.
    #[serde(flatten)]
    pub head: RunHead,
    /// `{"entity":…,"id":…,"difference":…,"fields":[…]}`
    pub differences: Vec<Value>,
    /// What to ask for next: `after=…`; `null` at the end.
    pub next: Option<String>,
    /// What it has to say in words: `{"kind":…,"text":…}`
    pub notes: Vec<Value>,
}

/// Runs with numbers below `before`.
pub async fn runs(
    store: &Store,
    corp_id: &str,
    before: Option<i64>,
    limit: Option<usize>,
) -> Result<RunPage, AnswerError> {
    let limit = bounded(limit, USUAL);
    let runs = store.reader().await?.runs_below(corp_id, before.unwrap_or(i64::MAX), limit).await?;
    let next = runs.last().filter(|_| runs.len() >= limit).map(|run| run.id.to_string());
    Ok(RunPage { runs: runs.into_iter().map(RunHead::from).collect(), next })
}

/// A run, with what it found after the item with the number `after`.
pub async fn run(
    store: &Store,
    corp_id: &str,
    id: i64,
    after: Option<i64>,
    limit: Option<usize>,
) -> Result<RunWhole, AnswerError> {
    let limit = bounded(limit, ITEMS);
    let mut reader = store.reader().await?;
    let run = reader.run(id).await?.filter(|run| run.corp_id == corp_id);
    let run = run.ok_or_else(|| AnswerError::Unknown(format!("there is no run {id}")))?;
    let items = reader.run_items_after(id, after.unwrap_or_default(), limit).await?;
    let next = items.last().filter(|_| items.len() >= limit).map(|(id, _)| id.to_string());
    let differences = items
        .into_iter()
        .map(|(_, item)| {
            json!({
                "entity": item.entity.label(),
                "id": item.entity_id,
                "difference": item.disagreement.label(),
                "fields": document(Some(&item.fields)),
            })
        })
        .collect();
    let notes = reader.run_notes(id).await?.into_iter();
    let notes = notes.map(|note| json!({ "kind": note.kind, "text": note.text })).collect();
    Ok(RunWhole { head: run.into(), differences, next, notes })
}
