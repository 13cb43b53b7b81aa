//! The part of the status that tells of reconciles: what is held, and how the last one ended.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

use crate::store::{HeldGroup, NoteKind, Run, RunNote, rfc3339};

/// Deletions that wait for a person.
#[derive(Serialize)]
pub(super) struct Held {
    total: i64,
    /// How many of each kind.
    objects: BTreeMap<&'static str, i64>,
    /// The runs that found them, by number; `events` stands for single reads.
    found_by: BTreeMap<String, i64>,
    /// The run, where it is one.
    run: Option<i64>,
    since: Option<String>,
    remedy: &'static str,
}

const REMEDY: &str = "right: `dingsync reconcile approve`; wrong: `dingsync reconcile discard`";

/// `None` where nothing is held.
pub(super) fn held(groups: &[HeldGroup]) -> Option<Held> {
    let total: i64 = groups.iter().map(|group| group.count).sum();
    if total == 0 {
        return None;
    }
    let mut objects = BTreeMap::new();
    let mut found_by = BTreeMap::new();
    for group in groups {
        *objects.entry(group.entity.label()).or_default() += group.count;
        let name = if group.run_id > 0 { group.run_id.to_string() } else { "events".to_owned() };
        *found_by.entry(name).or_default() += group.count;
    }
    let first = groups.first().map(|group| group.run_id);
    Some(Held {
        total,
        objects,
        found_by,
        run: first.filter(|&run| run > 0 && groups.iter().all(|group| group.run_id == run)),
        since: groups.iter().filter_map(|group| group.since).min().map(rfc3339),
        remedy: REMEDY,
    })
}

/// The last reconcile that is over.
#[derive(Serialize)]
pub(super) struct LastReconcile {
    run: i64,
    state: &'static str,
    started_at: Option<String>,
    finished_at: Option<String>,
    /// Everybody's details were left out.
    quick: bool,
    /// Differences by kind; `null` where it ended before it had found any.
    found: Option<Value>,
    error: Option<String>,
    notes: Vec<Note>,
}

#[derive(Serialize)]
struct Note {
    kind: String,
    text: String,
}

/// How a reconcile ended.
pub(super) fn last(run: Run, notes: Vec<RunNote>) -> LastReconcile {
    let (counts, notes): (Vec<RunNote>, Vec<RunNote>) =
        notes.into_iter().partition(|note| note.kind == NoteKind::Found.label());
    LastReconcile {
        run: run.id,
        state: run.state.label(),
        started_at: run.started_at.map(rfc3339),
        finished_at: run.finished_at.map(rfc3339),
        quick: run.quick,
        found: counts.first().and_then(|note| serde_json::from_str(&note.text).ok()),
        error: run.error,
        notes: notes.into_iter().map(|note| Note { kind: note.kind, text: note.text }).collect(),
    }
}
