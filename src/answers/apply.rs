//! The OA's own tables: how far they follow the mirror, what the OA's database refuses, and what an operator does about
//! it.

use jiff::Timestamp;
use serde::Serialize;
use serde_json::json;

use super::lookup::row;
use super::request::Requester;
use super::{AnswerError, instant};
use crate::apply::Applier;
use crate::store::{ApplyObject, ApplyPhase, ApplyState, Conn, Entity, Operation, Reader, Store, StoreError};

/// What fills an organisation's OA, as the configuration has it now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filling {
    /// The NAME of `[apply.NAME]`.
    pub name: String,
    /// The digest of its statements.
    pub mapping: String,
}

impl From<&Applier> for Filling {
    fn from(applier: &Applier) -> Self {
        Self { name: applier.mapping.name.clone(), mapping: applier.mapping.digest.clone() }
    }
}

/// How far an organisation's OA follows its mirror.
#[derive(Debug, Serialize)]
pub struct ApplyStatus {
    /// The organisation's name in the configuration.
    pub corp: String,
    /// The NAME of `[apply.NAME]`.
    pub name: String,
    /// `waiting` for the first pull, `walking` through the whole mirror, or `following` the change log.
    pub state: &'static str,
    /// What everything waits for; `null` where nothing is in the way.
    pub trouble: Option<TroubleLine>,
    /// The number of the last change that was applied.
    pub cursor: String,
    /// Changes after that one. None counts before the first walk, which takes the mirror as it is then.
    pub behind: i64,
    /// Objects that wait for their turn.
    pub due: i64,
    /// Objects that the OA's database refuses.
    pub parked: i64,
    /// Objects that `when` leaves out, more than the deletion guard allows at once: they wait for a person.
    pub held: i64,
    /// When something was applied last.
    pub applied_at: Option<String>,
    /// Whether the last walk ran other statements than the configuration has now.
    pub mapping_changed: bool,
    /// Parked ones first, then held ones, those that have waited longest before the others; missing where only counts are
    /// asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub objects: Option<Vec<ApplyLine>>,
}

/// Why nothing gets on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TroubleLine {
    /// `away`, `read_only`, `denied`, `mismatch`, `busy`, …
    pub kind: String,
    /// In words.
    pub text: String,
    /// Since when.
    pub since: Option<String>,
}

/// An object whose row in the OA is not yet as it is to be.
#[derive(Debug, Clone, Serialize)]
pub struct ApplyLine {
    /// `employee`, `department` or `role`.
    pub entity: String,
    /// The object's id.
    pub id: String,
    /// `parked`, `held` or `due`.
    pub state: String,
    /// Which statement was refused, such as `employee.upsert`.
    pub statement: Option<String>,
    /// In the database's words.
    pub message: Option<String>,
    /// How often it was refused.
    pub attempts: i64,
    /// Since when it is on the list.
    pub since: Option<String>,
}

impl From<ApplyObject> for ApplyLine {
    fn from(object: ApplyObject) -> Self {
        Self {
            entity: object.entity,
            id: object.ding_id,
            state: object.state,
            statement: object.statement,
            message: object.message,
            attempts: object.attempts,
            since: instant(object.since),
        }
    }
}

/// How far an organisation's OA follows, with so many objects, or without any.
pub async fn apply_status(
    store: &Store,
    (corp, corp_id): (&str, &str),
    filling: &Filling,
    objects: Option<usize>,
) -> Result<ApplyStatus, StoreError> {
    let mut reader = store.reader().await?;
    // In this order nothing looks done that is not: what is applied marks what depends on it first.
    let record = reader.apply_record(corp_id).await?;
    let counts = reader.apply_counts(corp_id).await?;
    let last = reader.last_change(corp_id).await?;
    let objects = match objects {
        Some(limit) => Some(waiting(&mut reader, corp_id, limit).await?),
        None => None,
    };
    let phase = record.as_ref().map_or(ApplyPhase::Waiting, |record| record.phase);
    let wants_walk = record.as_ref().is_some_and(|record| record.wants_walk);
    let cursor = record.as_ref().map_or(0, |record| record.seq);
    let trouble = record.as_ref().and_then(|record| record.trouble.as_ref()).map(|trouble| TroubleLine {
        kind: trouble.kind.clone(),
        text: trouble.text.clone(),
        since: instant(trouble.since),
    });
    Ok(ApplyStatus {
        corp: corp.to_owned(),
        name: filling.name.clone(),
        state: match phase {
            // It was asked for, and begins at the next step.
            ApplyPhase::Following if wants_walk => ApplyPhase::Walking.label(),
            phase => phase.label(),
        },
        trouble,
        cursor: cursor.to_string(),
        behind: if phase == ApplyPhase::Waiting { 0 } else { (last - cursor).max(0) },
        due: counts.due,
        parked: counts.parked,
        held: counts.held,
        applied_at: instant(record.as_ref().and_then(|record| record.applied_at)),
        mapping_changed: record.as_ref().is_some_and(|record| record.walked_with_others(&filling.mapping)),
        objects,
    })
}

async fn waiting(reader: &mut Reader, corp_id: &str, limit: usize) -> Result<Vec<ApplyLine>, StoreError> {
    let mut objects = Vec::new();
    for state in [ApplyState::Parked, ApplyState::Held, ApplyState::Due] {
        let left = limit - objects.len();
        if left > 0 {
            objects.extend(reader.apply_objects(corp_id, state, left).await?);
        }
    }
    Ok(objects.into_iter().map(ApplyLine::from).collect())
}

/// An entity that has rows in the OA.
pub fn applied_entity(word: &str) -> Result<Entity, AnswerError> {
    match super::entity(word) {
        Ok(entity @ (Entity::Department | Entity::Role | Entity::Employee)) => Ok(entity),
        Ok(Entity::RoleGroup) | Err(_) => {
            Err(AnswerError::Unusable(format!("`{word}` is none of department, role, employee")))
        }
    }
}

/// Has an object applied again, or everything that is parked. Brings how many that are.
pub async fn apply_retry(
    store: &Store,
    corp_id: &str,
    object: Option<(Entity, String)>,
    requester: &Requester<'_>,
) -> Result<u64, AnswerError> {
    if let Some((entity, id)) = &object {
        let mut reader = store.reader().await?;
        let is_known = row(&mut reader, corp_id, *entity, id).await?.is_some()
            || reader.apply_object(corp_id, *entity, id).await?.is_some()
            || reader.link(corp_id, *entity, id).await?.is_some();
        if !is_known {
            return Err(AnswerError::Unknown(format!("the mirror has no {} {id}", entity.label())));
        }
    }
    let retry = Retry(Wish::of(corp_id, object, requester));
    Ok(store.write(retry).await?.output)
}

/// Has what the deletion guard holds treated as gone in the OA, one object or all. Brings how many that are.
pub async fn apply_approve(
    store: &Store,
    corp_id: &str,
    object: Option<(Entity, String)>,
    requester: &Requester<'_>,
) -> Result<u64, AnswerError> {
    let approval = Approval(Wish::of(corp_id, object.clone(), requester));
    match (store.write(approval).await?.output, object) {
        (0, Some((entity, id))) => Err(AnswerError::Refused(format!("{} {id} is not held", entity.label()))),
        (count, _) => Ok(count),
    }
}

/// What somebody asks for, of one object or of all.
struct Wish {
    corp_id: String,
    object: Option<(Entity, String)>,
    who: String,
    now: Timestamp,
}

impl Wish {
    fn of(corp_id: &str, object: Option<(Entity, String)>, requester: &Requester<'_>) -> Self {
        Self { corp_id: corp_id.to_owned(), object, who: requester.who.to_owned(), now: requester.now }
    }

    async fn note(&self, conn: &mut Conn, action: &str, count: u64) -> Result<(), StoreError> {
        let subject = match &self.object {
            Some((entity, id)) => json!({ "entity": entity.label(), "id": id }),
            None => json!({ "count": count }),
        };
        conn.note_audit(&self.corp_id, &self.who, action, &subject, self.now).await
    }
}

struct Retry(Wish);

impl Operation for Retry {
    type Output = u64;

    async fn run(&self, conn: &mut Conn) -> Result<u64, StoreError> {
        let Self(wish) = self;
        let count = match &wish.object {
            Some((entity, id)) => {
                conn.mark_apply(&wish.corp_id, *entity, id, wish.now).await?;
                1
            }
            None => conn.retry_parked_apply(&wish.corp_id).await?,
        };
        wish.note(conn, "apply.retry", count).await?;
        Ok(count)
    }
}

struct Approval(Wish);

impl Operation for Approval {
    type Output = u64;

    async fn run(&self, conn: &mut Conn) -> Result<u64, StoreError> {
        let Self(wish) = self;
        let object = wish.object.as_ref().map(|(entity, id)| (*entity, id.as_str()));
        let count = conn.let_go(&wish.corp_id, object).await?;
        if count > 0 {
            wish.note(conn, "apply.approve", count).await?;
        }
        Ok(count)
    }
}

/// Has every object applied again. Brings the number of the walk that does so.
pub async fn apply_rebuild(
    store: &Store,
    corp_id: &str,
    filling: &Filling,
    requester: &Requester<'_>,
) -> Result<i64, StoreError> {
    let rebuild = Rebuild {
        corp_id: corp_id.to_owned(),
        name: filling.name.clone(),
        who: requester.who.to_owned(),
        now: requester.now,
    };
    Ok(store.write(rebuild).await?.output)
}

struct Rebuild {
    corp_id: String,
    name: String,
    who: String,
    now: Timestamp,
}

impl Operation for Rebuild {
    type Output = i64;

    async fn run(&self, conn: &mut Conn) -> Result<i64, StoreError> {
        // Nobody may have begun to fill the OA.
        if conn.apply_record(&self.corp_id).await?.is_none() {
            conn.introduce_apply(&self.corp_id, &self.name).await?;
        }
        conn.request_apply_walk(&self.corp_id).await?;
        let record = conn.apply_record(&self.corp_id).await?;
        let walk = record.map(|record| record.walks_wanted).unwrap_or_default();
        let subject = json!({ "walk": walk });
        conn.note_audit(&self.corp_id, &self.who, "apply.rebuild", &subject, self.now).await?;
        Ok(walk)
    }
}
