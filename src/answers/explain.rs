//! Why an object stands in the mirror as it does: what is stored and by which read, what touched it, what waits for it,
//! and what DingTalk says of it now.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;

use super::apply::ApplyLine;
use super::events::{EventFilter, EventHead, events};
use super::feed::Change;
use super::links::LinkLine;
use super::lookup::{Finding, row};
use super::runs::RunHead;
use super::tasks::TaskLine;
use super::{AnswerError, document, instant, parse_id, reads};
use crate::store::{Entity, FoundByRun, HeldRecord, HeldState, Reader, Store, StoreError};
use crate::sync::{Context, Now};

/// Events, runs and changes that are shown, the newest of each.
const SHOWN: usize = 20;

/// Everything about one object.
#[derive(Debug, Serialize)]
pub struct Explanation {
    /// The organisation's name in the configuration.
    pub corp: String,
    /// `employee`, `department`, `role` or `role_group`.
    pub entity: &'static str,
    /// Its id.
    pub id: String,
    /// All of it in a few sentences.
    pub verdict: Vec<String>,
    /// Its row; `null` where it was never seen.
    pub stored: Option<Finding>,
    /// Names of the departments and roles in it, by kind and id.
    pub names: BTreeMap<&'static str, BTreeMap<String, String>>,
    /// What is known of its reads, and what waits for it; the first one is the object's own.
    pub tasks: Vec<TaskLine>,
    /// What DingTalk says now; `null` where it was not asked.
    pub dingtalk: Option<Now>,
    /// Its last changes, the newest first.
    pub changes: Vec<Change>,
    /// The last events that named it, the newest first.
    pub events: Vec<EventHead>,
    /// How far back the inbox was looked through; `null` where that is to its beginning.
    pub events_looked_back_to: Option<String>,
    /// The last runs that found something of it, the newest first.
    pub runs: Vec<RunFinding>,
    /// Its side in the OA's own tables; `null` where none is filled.
    pub oa: Option<OaSide>,
}

/// What is known of an object's row in the OA.
#[derive(Debug, Serialize)]
pub struct OaSide {
    /// Which row it is; `null` where it has none.
    pub link: Option<LinkLine>,
    /// Whether it is `due` or `parked`, and why; `null` where the row is as it is to be.
    pub waiting: Option<ApplyLine>,
}

/// What a run found of an object.
#[derive(Debug, Serialize)]
pub struct RunFinding {
    /// The run.
    #[serde(flatten)]
    pub run: RunHead,
    /// `created`, `changed`, `gone` or `held`.
    pub difference: String,
    /// `[{"field":…,"stored":…,"actual":…}]`
    pub fields: Value,
}

impl From<FoundByRun> for RunFinding {
    fn from(found: FoundByRun) -> Self {
        let fields = document(Some(&found.fields));
        Self { run: found.run.into(), difference: found.difference, fields }
    }
}

/// Explains an object. DingTalk is asked where there is a `context`.
pub async fn explain(
    store: &Store,
    (corp, corp_id): (&str, &str),
    entity: Entity,
    id: &str,
    context: Option<&Context>,
    now: Timestamp,
) -> Result<Explanation, AnswerError> {
    let id = parse_id(entity, id)?;
    let asked = async {
        match context {
            Some(context) => Some(context.state_now(entity, &id).await),
            None => None,
        }
    };
    let filter = EventFilter { object: Some((entity, id.clone())), ..EventFilter::default() };
    let (dingtalk, known, events) = tokio::join!(
        asked,
        known(store, corp_id, entity, &id, now),
        events(store, corp_id, &filter, Some(SHOWN))
    );
    let (known, events) = (known?, events?);
    Ok(Explanation {
        corp: corp.to_owned(),
        entity: entity.label(),
        verdict: verdict(entity, &id, &known, dingtalk.as_ref()),
        id,
        stored: known.stored,
        names: known.names,
        tasks: known.tasks,
        dingtalk,
        changes: known.changes,
        events: events.events,
        events_looked_back_to: events.looked_back_to,
        runs: known.runs,
        oa: known.oa,
    })
}

/// What the database knows of an object.
struct Known {
    stored: Option<Finding>,
    names: BTreeMap<&'static str, BTreeMap<String, String>>,
    tasks: Vec<TaskLine>,
    changes: Vec<Change>,
    runs: Vec<RunFinding>,
    held: Option<HeldRecord>,
    oa: Option<OaSide>,
}

async fn known(
    store: &Store,
    corp_id: &str,
    entity: Entity,
    id: &str,
    now: Timestamp,
) -> Result<Known, StoreError> {
    let mut reader = store.reader().await?;
    let stored = row(&mut reader, corp_id, entity, id).await?;
    let names = match &stored {
        Some(stored) => names(&mut reader, corp_id, stored).await?,
        None => BTreeMap::new(),
    };
    let mut tasks = Vec::new();
    for (kind, object_id) in reads(entity, id) {
        tasks.extend(reader.task(corp_id, kind, &object_id, now).await?.map(TaskLine::from));
    }
    let changes = reader.last_changes_of(corp_id, entity, id, SHOWN).await?;
    let runs = reader.found_by_runs(corp_id, entity, id, SHOWN).await?;
    Ok(Known {
        stored,
        names,
        tasks,
        changes: changes.into_iter().map(Change::from).collect(),
        runs: runs.into_iter().map(RunFinding::from).collect(),
        held: reader.held_record(corp_id, entity, id).await?,
        oa: oa_side(&mut reader, corp_id, entity, id).await?,
    })
}

async fn oa_side(
    reader: &mut Reader,
    corp_id: &str,
    entity: Entity,
    id: &str,
) -> Result<Option<OaSide>, StoreError> {
    let link = reader.link(corp_id, entity, id).await?;
    let is_filled = entity != Entity::RoleGroup && reader.apply_record(corp_id).await?.is_some();
    if link.is_none() && !is_filled {
        return Ok(None);
    }
    let waiting = reader.apply_object(corp_id, entity, id).await?;
    Ok(Some(OaSide {
        link: link.map(|link| LinkLine::of(entity, link)),
        waiting: waiting.map(ApplyLine::from),
    }))
}

/// The names behind the ids in a row.
async fn names(
    reader: &mut Reader,
    corp_id: &str,
    stored: &Finding,
) -> Result<BTreeMap<&'static str, BTreeMap<String, String>>, StoreError> {
    let listed = |list: &str, key: &str| -> Vec<i64> {
        let items = stored.get(list).and_then(Value::as_array);
        items.into_iter().flatten().filter_map(|item| number(&item[key])).collect()
    };
    let mut departments = listed("departments", "dept_id");
    departments.extend(stored.get("parent_id").and_then(number));
    let groups: Vec<i64> = stored.get("group_id").and_then(number).into_iter().collect();
    let mut names = BTreeMap::new();
    for (entity, ids) in [
        (Entity::Department, departments),
        (Entity::Role, listed("roles", "role_id")),
        (Entity::RoleGroup, groups),
    ] {
        let known = reader.names(corp_id, entity, &ids).await?;
        if !known.is_empty() {
            let known = known.into_iter().map(|(id, name)| (id.to_string(), name));
            names.insert(entity.label(), known.collect());
        }
    }
    Ok(names)
}

/// A number, also one that stands as a text because it is large.
fn number(value: &Value) -> Option<i64> {
    value.as_i64().or_else(|| value.as_str()?.parse().ok())
}

/// All of it in a few sentences, with what to do.
fn verdict(entity: Entity, id: &str, known: &Known, dingtalk: Option<&Now>) -> Vec<String> {
    let object = format!("{} {id}", entity.label());
    let own = known.tasks.first();
    let mut verdict = Vec::new();
    let field = |name: &str| known.stored.as_ref().and_then(|stored| stored.get(name)?.as_str());
    let lives = known.stored.is_some() && field("deleted_at").is_none();
    verdict.push(match (&known.stored, field("deleted_at"), field("gone_at")) {
        (None, ..) => "The mirror has never had it.".to_owned(),
        (_, Some(since), _) => format!("It is gone since {since}; its row stays."),
        (_, None, Some(since)) => {
            format!("DingTalk says since {since} that it is gone, but its row is not deleted yet.")
        }
        _ => "The mirror has it.".to_owned(),
    });
    let mut is_queued = false;
    for task in &known.tasks {
        let of = |what: &str| format!("{} {}: {what}", task.kind, task.id);
        match task.state {
            "parked" => {
                let reason = task.parked_reason.as_deref().unwrap_or("no reason is on record");
                verdict.push(of(&format!(
                    "it is parked, and not read again by itself ({reason}). Put that right, then `dingsync tasks retry {} {}`",
                    task.kind, task.id
                )));
            }
            "running" => verdict.push(of("it is being read at the moment.")),
            "pending" => verdict.push(of("it waits to be read.")),
            "waiting" => {
                let at = task.ready_at.as_deref().unwrap_or("soon");
                verdict.push(of(&format!(
                    "it is to be read again at {at} (failures in a row: {}).",
                    task.attempts
                )));
            }
            "confirming" => {
                let at = task.ready_at.as_deref().unwrap_or("soon");
                verdict.push(of(&format!(
                    "it is read once more at {at}, because an answer can be older than its event."
                )));
            }
            _ => {}
        }
        is_queued |= matches!(task.state, "running" | "pending" | "waiting" | "confirming");
    }
    verdict.extend(known.held.as_ref().and_then(of_deletion));
    if own.is_some_and(|own| own.standing == "hidden") {
        verdict.push(
            "It lies outside of the application's contact scope (通讯录授权范围): what is stored stays as it was."
                .to_owned(),
        );
    }
    verdict.extend(known.oa.as_ref().map(|oa| of_oa(oa, &object)));
    let read_again = match entity {
        Entity::RoleGroup => "`dingsync reconcile --quick` reads it again.".to_owned(),
        _ => format!("`dingsync sync {object}` reads it again."),
    };
    if let Some(now) = dingtalk {
        let (agrees, says) = compared(now, lives, known.stored.is_some());
        verdict.push(says);
        if agrees == Some(false) && !is_queued {
            verdict.push(format!("Nothing waits to put that right: {read_again}"));
        }
    }
    verdict
}

/// What is known of its row in the OA.
fn of_oa(oa: &OaSide, object: &str) -> String {
    let waits = |waiting: &ApplyLine| match waiting.state.as_str() {
        "parked" => {
            let statement = waiting.statement.as_deref().unwrap_or("a statement");
            format!(
                "the OA's database refuses it ({statement}). Put that right, then `dingsync apply retry {object}`"
            )
        }
        "held" => format!(
            "`when` leaves it out, as more others than `[guard]` allows at once. Wrong: correct `when`, restart, \
             `dingsync apply rebuild`; right: `dingsync apply approve {object}`"
        ),
        _ => "it waits for its turn".to_owned(),
    };
    match (&oa.link, &oa.waiting) {
        (Some(LinkLine { oa_id, removed_at: Some(at), .. }), None) => {
            format!(
                "Its row in the OA was {oa_id}, and was treated at {at} as that of something that is gone, or that `when` \
                 leaves out."
            )
        }
        (Some(link), None) => format!("Its row in the OA is {}.", link.oa_id),
        (Some(link), Some(waiting)) => {
            format!("Its row in the OA is {}, and not as it is to be: {}.", link.oa_id, waits(waiting))
        }
        (None, Some(waiting)) => format!("It has no row in the OA: {}.", waits(waiting)),
        (None, None) => "It has no row in the OA that dingsync knows of.".to_owned(),
    }
}

/// What the deletion guard and people have said of it.
fn of_deletion(held: &HeldRecord) -> Option<String> {
    let by = held.decided_by.as_deref().unwrap_or("nobody on record");
    let at = instant(held.decided_at).unwrap_or_default();
    match held.state {
        HeldState::Held => Some(
            "Its deletion is held, because so many at once are rarely meant: `dingsync reconcile approve` lets it \
             happen, `dingsync reconcile discard` keeps the row."
                .to_owned(),
        ),
        HeldState::Approved => Some(format!("Its deletion was approved at {at} ({by}).")),
        HeldState::Discarded => Some(format!(
            "Its deletion was discarded at {at} ({by}): the row stays, unless another run finds it gone."
        )),
        HeldState::Deleted => Some(format!("Its deletion was approved at {at} ({by}), and is done.")),
        HeldState::Admitted => None,
    }
}

/// Whether DingTalk and the mirror agree, and in words what DingTalk says.
fn compared(now: &Now, lives: bool, was_stored: bool) -> (Option<bool>, String) {
    match (now.state, lives) {
        ("present", true) if now.is_another => {
            (Some(false), "DingTalk gave its id to another person.".to_owned())
        }
        ("present", true) if now.differences.is_empty() => {
            (Some(true), "DingTalk says the same now.".to_owned())
        }
        ("present", true) => {
            let fields: Vec<&str> = now.differences.iter().map(|difference| difference.field).collect();
            (Some(false), format!("DingTalk says something else now of {}.", fields.join(", ")))
        }
        ("present", false) => (Some(false), "DingTalk has it now.".to_owned()),
        ("gone", true) => (Some(false), "DingTalk says now that there is no such object.".to_owned()),
        ("gone", false) if was_stored => (Some(true), "DingTalk says so, too.".to_owned()),
        ("gone", false) => (Some(true), "DingTalk knows no such object either.".to_owned()),
        ("hidden", _) => (None, "DingTalk does not show it to this application now.".to_owned()),
        _ => {
            let error = now.error.as_deref().unwrap_or("no answer");
            (None, format!("What DingTalk says now is not known: {error}."))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_in_the_oa_is_told_with_what_it_waits_for() {
        let link = |removed_at: Option<&str>| LinkLine {
            entity: "employee",
            ding_id: "00017".to_owned(),
            oa_id: "42".to_owned(),
            linked_by: Some("find".to_owned()),
            since: None,
            removed_at: removed_at.map(str::to_owned),
        };
        let waiting = |state: &str| ApplyLine {
            entity: "employee".to_owned(),
            id: "00017".to_owned(),
            state: state.to_owned(),
            statement: Some("employee.upsert".to_owned()),
            message: Some("Duplicate entry".to_owned()),
            attempts: 1,
            since: None,
        };
        let told = |link, waiting| of_oa(&OaSide { link, waiting }, "employee 00017");
        assert_eq!(told(Some(link(None)), None), "Its row in the OA is 42.");
        assert!(told(Some(link(Some("2026-11-29T00:00:00Z"))), None).contains("something that is gone"));
        let parked = told(None, Some(waiting("parked")));
        assert!(
            parked.contains("(employee.upsert)") && parked.contains("`dingsync apply retry employee 00017`")
        );
        assert!(
            told(Some(link(None)), Some(waiting("due"))).contains("42, and not as it is to be: it waits")
        );
        assert!(told(None, None).contains("no row"));
    }
}
