//! The inbox: which events came, what they named, and marking that again.
//!
//! Nothing beside the message says which objects an event names: an index of that would cost the door more than all else
//! that it writes, for a question that is asked seldom. So the inbox is looked through from its end, in stretches, for a
//! bounded time; where that is not enough, the answer says how far it came, and from where to go on.

use std::time::{Duration, Instant};

use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Value, json};

use super::request::Requester;
use super::{AnswerError, bounded, document, instant};
use crate::dingtalk::event::Event;
use crate::lane::Lane;
use crate::store::{
    Cause, Conn, Entity, EventWish, Hint, Operation, Provenance, Store, StoreError, StoredEvent, rfc3339,
};
use crate::sync::classify;

/// Lines of a list, where nothing else is asked for.
const USUAL: usize = 100;
/// Rows looked through at once.
const STRETCH: usize = 2000;
/// How long one question looks through the inbox.
const PATIENCE: Duration = Duration::from_secs(2);
/// Rows are numbered in the order in which they came, but for those that came together.
const DISORDER: Duration = Duration::from_mins(1);
/// Events that one transaction marks again.
const TOGETHER: usize = 200;

/// Which events are asked for.
#[derive(Debug, Clone, Default)]
pub struct EventFilter {
    /// Those that came then or later.
    pub since: Option<Timestamp>,
    /// Those that came before then.
    pub until: Option<Timestamp>,
    /// Those of this type.
    pub event_type: Option<String>,
    /// Those that name this object.
    pub object: Option<(Entity, String)>,
    /// Those with numbers below this one.
    pub before: Option<i64>,
}

impl EventFilter {
    /// True where it leaves nothing out.
    pub fn is_empty(&self) -> bool {
        self.since.is_none() && self.until.is_none() && self.event_type.is_none() && self.object.is_none()
    }
}

/// An event without its message: ids and times, nothing personal.
#[derive(Debug, Clone, Serialize)]
pub struct EventHead {
    /// Its number in the inbox.
    pub id: i64,
    /// Its type.
    pub event_type: String,
    /// DingTalk's `eventId`.
    pub event_id: Option<String>,
    /// When it came.
    pub received_at: String,
    /// When the change happened.
    pub occurred_at: Option<String>,
    /// Who made the change.
    pub operator_userid: Option<String>,
    /// The people that it names.
    pub employees: Vec<String>,
    /// The departments that it names.
    pub departments: Vec<String>,
    /// The roles or role groups that it names.
    pub roles: Vec<String>,
}

/// An event with its message.
#[derive(Debug, Serialize)]
pub struct EventWhole {
    /// What it is.
    #[serde(flatten)]
    pub head: EventHead,
    /// What it marked: kinds and ids.
    pub marks: Vec<(&'static str, String)>,
    /// The decrypted message.
    pub message: Value,
}

/// A list of events.
#[derive(Debug, Serialize)]
pub struct EventPage {
    /// The newest first.
    pub events: Vec<EventHead>,
    /// What to ask for next: `before=…`; `null` where there are no older ones.
    pub next: Option<String>,
    /// How far back was looked; `null` where that is to the beginning.
    pub looked_back_to: Option<String>,
}

/// An event and what it says.
struct Found {
    row: StoredEvent,
    said: Option<Event>,
}

impl Found {
    fn of(row: StoredEvent) -> Self {
        // What cannot be read any more is listed all the same.
        let said = Event::parse(row.message.clone()).ok();
        // Its type may have come beside the message.
        let said = said.map(|said| Event { event_type: row.event_type.clone(), ..said });
        Self { row, said }
    }

    fn names(&self, entity: Entity, id: &str) -> bool {
        let Some(said) = &self.said else { return false };
        let number = id.parse::<i64>().ok();
        match entity {
            Entity::Employee => said.userids.iter().any(|userid| userid == id),
            Entity::Department => number.is_some_and(|number| said.dept_ids.contains(&number)),
            Entity::Role | Entity::RoleGroup => number.is_some_and(|number| said.label_ids.contains(&number)),
        }
    }

    fn head(&self) -> EventHead {
        let texts = |ids: &[i64]| ids.iter().map(i64::to_string).collect();
        let said = self.said.as_ref();
        EventHead {
            id: self.row.id,
            event_type: self.row.event_type.clone(),
            event_id: self.row.event_id.clone(),
            received_at: rfc3339(self.row.received_at),
            occurred_at: instant(self.row.occurred_at),
            operator_userid: self.row.operator_userid.clone(),
            employees: said.map(|said| said.userids.clone()).unwrap_or_default(),
            departments: said.map(|said| texts(&said.dept_ids)).unwrap_or_default(),
            roles: said.map(|said| texts(&said.label_ids)).unwrap_or_default(),
        }
    }

    /// What it marks, as if an operator had asked for it: an old event expects nothing of a read.
    fn hints(&self) -> Vec<Hint> {
        let Some(said) = &self.said else { return Vec::new() };
        let provenance = Provenance {
            cause: Cause::Manual,
            event_id: self.row.event_id.clone(),
            operator_userid: self.row.operator_userid.clone(),
        };
        classify(said)
            .into_iter()
            .map(|hint| Hint {
                provenance: provenance.clone(),
                ..Hint::of(hint.kind, hint.object_id, Lane::Live, Cause::Manual)
            })
            .collect()
    }
}

struct Search {
    found: Vec<Found>,
    next: Option<i64>,
    looked_back_to: Option<Timestamp>,
}

/// Looks through the inbox from its end, or from where an earlier look ended.
async fn search(
    store: &Store,
    corp_id: &str,
    filter: &EventFilter,
    limit: usize,
) -> Result<Search, StoreError> {
    let wish = EventWish {
        event_type: filter.event_type.clone(),
        containing: filter.object.as_ref().map(|(_, id)| id.clone()).filter(|id| is_plain(id)),
    };
    let mut below = i64::MAX;
    if let Some(until) = filter.until {
        let until = until.checked_add(DISORDER).unwrap_or(Timestamp::MAX);
        below = store.reader().await?.event_number_at(until).await?;
    }
    below = below.min(filter.before.unwrap_or(i64::MAX));
    let surely_before = filter.since.map(|since| since.checked_sub(DISORDER).unwrap_or(Timestamp::MIN));
    let begun = Instant::now();
    let mut found = Vec::new();
    loop {
        let stretch = store.reader().await?.events_below(corp_id, below, STRETCH, &wish).await?;
        let Some((oldest, oldest_came)) = stretch.oldest else {
            return Ok(Search { found, next: None, looked_back_to: None });
        };
        for event in stretch.events.into_iter().map(Found::of) {
            let came = event.row.received_at;
            let in_time = filter.since.is_none_or(|since| came >= since)
                && filter.until.is_none_or(|until| came < until);
            if in_time && filter.object.as_ref().is_none_or(|(entity, id)| event.names(*entity, id)) {
                let (id, came) = (event.row.id, event.row.received_at);
                found.push(event);
                if found.len() >= limit {
                    return Ok(Search { found, next: Some(id), looked_back_to: Some(came) });
                }
            }
        }
        if surely_before.is_some_and(|at| oldest_came < at) {
            return Ok(Search { found, next: None, looked_back_to: filter.since });
        }
        if begun.elapsed() > PATIENCE {
            return Ok(Search { found, next: Some(oldest), looked_back_to: Some(oldest_came) });
        }
        below = oldest;
    }
}

/// An id that stands in a message as it is, whatever writes the JSON.
fn is_plain(id: &str) -> bool {
    id.chars().all(|character| character.is_ascii_alphanumeric() || matches!(character, '_' | '-' | '.'))
}

/// The events that are asked for, without their messages.
pub async fn events(
    store: &Store,
    corp_id: &str,
    filter: &EventFilter,
    limit: Option<usize>,
) -> Result<EventPage, AnswerError> {
    let search = search(store, corp_id, filter, bounded(limit, USUAL)).await?;
    Ok(EventPage {
        events: search.found.iter().map(Found::head).collect(),
        next: search.next.map(|id| id.to_string()),
        looked_back_to: instant(search.looked_back_to),
    })
}

async fn found(store: &Store, corp_id: &str, id: i64) -> Result<Found, AnswerError> {
    let row = store.reader().await?.event(corp_id, id).await?;
    row.map(Found::of).ok_or_else(|| AnswerError::Unknown(format!("there is no event {id} in the inbox")))
}

/// One event, with its message, which may be personal.
pub async fn event(store: &Store, corp_id: &str, id: i64) -> Result<EventWhole, AnswerError> {
    let found = found(store, corp_id, id).await?;
    Ok(EventWhole {
        head: found.head(),
        marks: found.hints().into_iter().map(|hint| (hint.kind.label(), hint.object_id)).collect(),
        message: document(Some(&found.row.message)),
    })
}

/// What was marked again.
#[derive(Debug, Default, Serialize)]
pub struct Replayed {
    /// Events.
    pub events: usize,
    /// Marks that they made; an object that several name is read once.
    pub marks: usize,
    /// Older ones remain: what to ask for next, `before=…`.
    pub next: Option<String>,
}

/// Marks again what an event marked.
pub async fn replay(
    store: &Store,
    corp_id: &str,
    id: i64,
    requester: &Requester<'_>,
) -> Result<Replayed, AnswerError> {
    let found = found(store, corp_id, id).await?;
    let marks = mark_again(store, corp_id, &[found], requester).await?;
    Ok(Replayed { events: 1, marks, next: None })
}

/// Marks again what the events marked that are asked for.
pub async fn replay_many(
    store: &Store,
    corp_id: &str,
    filter: &EventFilter,
    limit: Option<usize>,
    requester: &Requester<'_>,
) -> Result<Replayed, AnswerError> {
    if filter.is_empty() {
        let text = "say which events: by a number, since, until, type or object".to_owned();
        return Err(AnswerError::Unusable(text));
    }
    let limit = bounded(limit, super::LONGEST);
    let mut filter = filter.clone();
    let mut replayed = Replayed::default();
    while replayed.events < limit {
        let search = search(store, corp_id, &filter, TOGETHER.min(limit - replayed.events)).await?;
        if !search.found.is_empty() {
            replayed.events += search.found.len();
            replayed.marks += mark_again(store, corp_id, &search.found, requester).await?;
        }
        filter.before = search.next;
        replayed.next = search.next.map(|id| id.to_string());
        if search.next.is_none() {
            break;
        }
    }
    Ok(replayed)
}

async fn mark_again(
    store: &Store,
    corp_id: &str,
    found: &[Found],
    requester: &Requester<'_>,
) -> Result<usize, StoreError> {
    let hints: Vec<Hint> = found.iter().flat_map(Found::hints).collect();
    let marks = hints.len();
    let replay = Replay {
        corp_id: corp_id.to_owned(),
        hints,
        events: found.iter().map(|event| event.row.id).collect(),
        who: requester.who.to_owned(),
        now: requester.now,
    };
    store.write(replay).await?;
    Ok(marks)
}

struct Replay {
    corp_id: String,
    hints: Vec<Hint>,
    events: Vec<i64>,
    who: String,
    now: Timestamp,
}

impl Operation for Replay {
    type Output = ();

    async fn run(&self, conn: &mut Conn) -> Result<(), StoreError> {
        conn.hint(&self.corp_id, &self.hints, self.now).await?;
        let subject = match self.events.as_slice() {
            [event] => json!({ "event": event }),
            events => {
                let bounds = (events.last(), events.first());
                json!({ "events": events.len(), "first": bounds.0, "last": bounds.1 })
            }
        };
        conn.note_audit(&self.corp_id, &self.who, "events.replay", &subject, self.now).await
    }
}
