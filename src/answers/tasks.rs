//! The queue: what waits, what is set aside and why, and what an operator does about it.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;
use serde_json::json;

use super::request::Requester;
use super::{AnswerError, bounded, instant};
use crate::lane::Lane;
use crate::store::{Cause, Conn, Hint, Kind, Operation, Store, StoreError, Task, TaskPlace, TaskState, Turn};

/// Lines of a list, where nothing else is asked for.
const USUAL: usize = 100;

/// An object as the queue knows it.
#[derive(Debug, Clone, Serialize)]
pub struct TaskLine {
    /// `employee`, `department`, `walk`, `roles` or `role_members`.
    pub kind: &'static str,
    /// The object's id.
    pub id: String,
    /// `parked`, `held`, `running`, `pending`, `waiting`, `confirming`, `hidden` or `idle`.
    pub state: &'static str,
    /// `live` or `background`.
    pub lane: &'static str,
    /// What the last read said.
    pub standing: &'static str,
    /// When that was.
    pub read_at: Option<String>,
    /// Why it was, or is to be, read.
    pub cause: &'static str,
    /// The event's id.
    pub event_id: Option<String>,
    /// Who made the change.
    pub operator_userid: Option<String>,
    /// When the last event came.
    pub event_at: Option<String>,
    /// The run that marked it.
    pub run: Option<i64>,
    /// Hints that no read has answered.
    pub unanswered: i64,
    /// Since when they wait.
    pub pending_since: Option<String>,
    /// When it may be read.
    pub ready_at: Option<String>,
    /// Failures in a row.
    pub attempts: i64,
    /// Why it is parked.
    pub parked_reason: Option<String>,
    /// Since when.
    pub parked_at: Option<String>,
}

impl From<Task> for TaskLine {
    fn from(task: Task) -> Self {
        Self {
            kind: task.kind.label(),
            id: task.object_id,
            state: task.state.label(),
            lane: task.lane.label(),
            standing: task.standing.label(),
            read_at: instant(task.read_at),
            cause: task.cause.label(),
            event_id: task.event_id,
            operator_userid: task.operator_userid,
            event_at: instant(task.event_at),
            run: Some(task.run_id).filter(|&run| run > 0),
            unanswered: task.unanswered,
            pending_since: instant(task.pending_since),
            ready_at: instant(task.ready_at),
            attempts: task.attempts,
            parked_reason: task.parked_reason,
            parked_at: instant(task.parked_at),
        }
    }
}

/// A list of tasks.
#[derive(Debug, Serialize)]
pub struct TaskPage {
    /// One state after the other.
    pub tasks: Vec<TaskLine>,
    /// What to ask for next: `after=…`; `null` at the end.
    pub next: Option<String>,
}

/// The kind of a word.
pub fn kind(word: &str) -> Result<Kind, AnswerError> {
    Kind::of_label(word).ok_or_else(|| {
        let known: Vec<&str> = Kind::ALL.into_iter().map(Kind::label).collect();
        AnswerError::Unusable(format!("`{word}` is no kind of task; there are {}", known.join(", ")))
    })
}

/// The state of a word.
pub fn state(word: &str) -> Result<TaskState, AnswerError> {
    TaskState::LISTED.into_iter().find(|state| state.label() == word).ok_or_else(|| {
        let known: Vec<&str> = TaskState::LISTED.into_iter().map(TaskState::label).collect();
        AnswerError::Unusable(format!("`{word}` is no state of a task; there are {}", known.join(", ")))
    })
}

/// Tasks in the given states (without any: in all of them), after the place that an earlier answer named.
pub async fn tasks(
    store: &Store,
    corp_id: &str,
    states: &[TaskState],
    after: Option<&str>,
    limit: Option<usize>,
    now: Timestamp,
) -> Result<TaskPage, AnswerError> {
    let states = if states.is_empty() { &TaskState::LISTED[..] } else { states };
    let limit = bounded(limit, USUAL);
    let (first, mut place) = match after {
        None => (0, TaskPlace::BEGINNING),
        Some(after) => place_of(after, states)
            .ok_or_else(|| AnswerError::Unusable(format!("`{after}` is no `next` of this list")))?,
    };
    let mut reader = store.reader().await?;
    let mut tasks = Vec::new();
    for (at, state) in states.iter().enumerate().skip(first) {
        let (found, next) = reader.tasks_in(corp_id, *state, place, limit - tasks.len(), now).await?;
        tasks.extend(found.into_iter().map(TaskLine::from));
        if let Some(next) = next {
            return Ok(TaskPage { tasks, next: Some(name_of(*state, next)) });
        }
        place = TaskPlace::BEGINNING;
        if tasks.len() >= limit {
            let next = states.get(at + 1).map(|state| name_of(*state, TaskPlace::BEGINNING));
            return Ok(TaskPage { tasks, next });
        }
    }
    Ok(TaskPage { tasks, next: None })
}

fn name_of(state: TaskState, place: TaskPlace) -> String {
    let TaskPlace { queue, ready_at, id } = place;
    format!("{}.{queue}.{ready_at}.{id}", state.label())
}

fn place_of(text: &str, states: &[TaskState]) -> Option<(usize, TaskPlace)> {
    let mut parts = text.split('.');
    let state = parts.next()?;
    let at = states.iter().position(|known| known.label() == state)?;
    let mut number = || parts.next()?.parse::<i64>().ok();
    let (queue, ready_at, id) = (number()?, number()?, number()?);
    Some((at, TaskPlace { queue: usize::try_from(queue).ok()?, ready_at, id }))
}

/// One object's task.
pub async fn task(
    store: &Store,
    corp_id: &str,
    kind: Kind,
    id: &str,
    now: Timestamp,
) -> Result<TaskLine, AnswerError> {
    let task = store.reader().await?.task(corp_id, kind, id, now).await?;
    task.map(TaskLine::from)
        .ok_or_else(|| AnswerError::Unknown(format!("the queue has never heard of {} {id}", kind.label())))
}

/// Has objects read again now, parked ones too. All of them must be known.
pub async fn retry(
    store: &Store,
    corp_id: &str,
    objects: &[(Kind, String)],
    requester: &Requester<'_>,
) -> Result<usize, AnswerError> {
    for (kind, id) in objects {
        task(store, corp_id, *kind, id, requester.now).await?;
    }
    let retry = Retry {
        corp_id: corp_id.to_owned(),
        objects: objects.to_vec(),
        who: requester.who.to_owned(),
        now: requester.now,
    };
    store.write(retry).await?;
    Ok(objects.len())
}

struct Retry {
    corp_id: String,
    objects: Vec<(Kind, String)>,
    who: String,
    now: Timestamp,
}

impl Operation for Retry {
    type Output = ();

    async fn run(&self, conn: &mut Conn) -> Result<(), StoreError> {
        let hints: Vec<Hint> = self
            .objects
            .iter()
            .map(|(kind, id)| Hint::of(*kind, id.clone(), Lane::Live, Cause::Manual))
            .collect();
        conn.hint(&self.corp_id, &hints, self.now).await?;
        let subject = named(&self.objects);
        conn.note_audit(&self.corp_id, &self.who, "tasks.retry", &subject, self.now).await
    }
}

/// What was given up, and what was not parked.
#[derive(Debug, Serialize)]
pub struct Discarded {
    /// Kinds and ids.
    pub discarded: Vec<(&'static str, String)>,
}

/// Gives up what waits for parked objects: their rows stay as they are until something else marks them. Whatever is not
/// parked is left alone.
pub async fn discard(
    store: &Store,
    corp_id: &str,
    objects: &[(Kind, String)],
    requester: &Requester<'_>,
) -> Result<Discarded, AnswerError> {
    let mut kinds: BTreeMap<Kind, Vec<String>> = BTreeMap::new();
    for (kind, id) in objects {
        kinds.entry(*kind).or_default().push(id.clone());
    }
    let mut discarded = Vec::new();
    for (kind, ids) in kinds {
        let discard = Discard {
            corp_id: corp_id.to_owned(),
            kind,
            ids,
            who: requester.who.to_owned(),
            now: requester.now,
        };
        let gone = store.write(discard).await?.output;
        discarded.extend(gone.into_iter().map(|id| (kind.label(), id)));
    }
    Ok(Discarded { discarded })
}

struct Discard {
    corp_id: String,
    kind: Kind,
    ids: Vec<String>,
    who: String,
    now: Timestamp,
}

impl Operation for Discard {
    type Output = Vec<String>;
    // It takes rows before the end of its transaction, where others take theirs.
    const TURN: Turn = Turn::Alone;

    async fn run(&self, conn: &mut Conn) -> Result<Vec<String>, StoreError> {
        let discarded = conn.discard_parked(&self.corp_id, self.kind, &self.ids).await?;
        if !discarded.is_empty() {
            let objects: Vec<(Kind, String)> = discarded.iter().map(|id| (self.kind, id.clone())).collect();
            let subject = named(&objects);
            conn.note_audit(&self.corp_id, &self.who, "tasks.discard", &subject, self.now).await?;
        }
        Ok(discarded)
    }
}

/// How many objects an entry of the audit trail names.
const NAMED: usize = 50;

/// Objects as they stand in the audit trail.
fn named(objects: &[(Kind, String)]) -> serde_json::Value {
    let some: Vec<String> =
        objects.iter().take(NAMED).map(|(kind, id)| format!("{} {id}", kind.label())).collect();
    json!({ "count": objects.len(), "objects": some })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_in_a_list_is_found_again_by_its_name() {
        let place = TaskPlace { queue: 7, ready_at: 1_767_225_600_123, id: 42 };
        let name = name_of(TaskState::Pending, place);
        assert_eq!(place_of(&name, &TaskState::LISTED), Some((3, place)));
        assert_eq!(place_of(&name, &[TaskState::Parked]), None);
        assert_eq!(place_of("pending.x.1.2", &TaskState::LISTED), None);
        let beginning = name_of(TaskState::Parked, TaskPlace::BEGINNING);
        assert_eq!(place_of(&beginning, &TaskState::LISTED), Some((0, TaskPlace::BEGINNING)));
    }
}
