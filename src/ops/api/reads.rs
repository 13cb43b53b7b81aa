//! What can be asked. Nothing here writes.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, RawQuery, State};
use serde_json::{Value, json};

use super::parameters::{Parameters, TIME, number};
use super::{Answer, Refusal, Shared};
use crate::answers::{
    self, EventFilter, EventPage, EventWhole, Explanation, Finding, LookupPage, LookupWish, RunPage,
    RunWhole, TaskLine, TaskPage,
};
use crate::store::{Entity, FindBy};

type Here = State<Arc<Shared>>;

const NUMBER: &str = "a number";

/// A list of rows: those with the values that are asked for, else one page after the other.
async fn list(shared: &Shared, corp: &str, entity: Entity, query: Option<&str>) -> Answer<LookupPage> {
    let corp = shared.corp(corp)?;
    let mut parameters = Parameters::of(query)?;
    let mut wish = LookupWish { limit: parameters.limit()?, ..LookupWish::default() };
    for by in [FindBy::Unionid, FindBy::Mobile, FindBy::JobNumber, FindBy::Name] {
        if by.finds(entity) {
            wish.values.extend(parameters.text(by.column()).map(|value| (by, value)));
        }
    }
    wish.after = parameters.text("after");
    parameters.end()?;
    Ok(Json(answers::lookup(&shared.ops.store, &corp.corp_id, entity, &wish).await?))
}

async fn one(shared: &Shared, corp: &str, entity: Entity, id: &str) -> Answer<Finding> {
    let corp = shared.corp(corp)?;
    Ok(Json(answers::one(&shared.ops.store, &corp.corp_id, entity, id).await?))
}

macro_rules! lookups {
    ($($list:ident, $one:ident: $entity:expr;)*) => {
        $(
            pub(super) async fn $list(
                State(shared): Here,
                Path(corp): Path<String>,
                RawQuery(query): RawQuery,
            ) -> Answer<LookupPage> {
                list(&shared, &corp, $entity, query.as_deref()).await
            }

            pub(super) async fn $one(
                State(shared): Here,
                Path((corp, id)): Path<(String, String)>,
            ) -> Answer<Finding> {
                one(&shared, &corp, $entity, &id).await
            }
        )*
    };
}

lookups! {
    employees, employee: Entity::Employee;
    departments, department: Entity::Department;
    roles, role: Entity::Role;
    role_groups, role_group: Entity::RoleGroup;
}

/// `employee:ID` and the like.
pub(super) fn object(text: &str) -> Result<(Entity, String), Refusal> {
    let (word, id) =
        text.split_once(':').ok_or_else(|| Refusal::bad("`object` must be such as employee:ID"))?;
    let entity = answers::entity(word)?;
    Ok((entity, answers::parse_id(entity, id)?))
}

pub(super) async fn events(
    State(shared): Here,
    Path(corp): Path<String>,
    RawQuery(query): RawQuery,
) -> Answer<EventPage> {
    let corp = shared.corp(&corp)?;
    let mut parameters = Parameters::of(query.as_deref())?;
    let filter = EventFilter {
        since: parameters.parsed("since", TIME)?,
        until: parameters.parsed("until", TIME)?,
        event_type: parameters.text("type"),
        object: parameters.text("object").map(|text| object(&text)).transpose()?,
        before: parameters.parsed("before", NUMBER)?,
    };
    let limit = parameters.limit()?;
    parameters.end()?;
    Ok(Json(answers::events(&shared.ops.store, &corp.corp_id, &filter, limit).await?))
}

pub(super) async fn event(
    State(shared): Here,
    Path((corp, id)): Path<(String, String)>,
) -> Answer<EventWhole> {
    let corp = shared.corp(&corp)?;
    Ok(Json(answers::event(&shared.ops.store, &corp.corp_id, number(&id)?).await?))
}

pub(super) async fn tasks(
    State(shared): Here,
    Path(corp): Path<String>,
    RawQuery(query): RawQuery,
) -> Answer<TaskPage> {
    let corp = shared.corp(&corp)?;
    let mut parameters = Parameters::of(query.as_deref())?;
    let states = parameters.text("state").unwrap_or_default();
    let states = states.split(',').filter(|word| !word.is_empty()).map(answers::state);
    let states = states.collect::<Result<Vec<_>, _>>()?;
    let (after, limit) = (parameters.text("after"), parameters.limit()?);
    parameters.end()?;
    let (store, now) = (&shared.ops.store, shared.ops.clock.now());
    Ok(Json(answers::tasks(store, &corp.corp_id, &states, after.as_deref(), limit, now).await?))
}

pub(super) async fn task(
    State(shared): Here,
    Path((corp, kind, id)): Path<(String, String, String)>,
) -> Answer<TaskLine> {
    let (corp, kind) = (shared.corp(&corp)?, answers::kind(&kind)?);
    let now = shared.ops.clock.now();
    Ok(Json(answers::task(&shared.ops.store, &corp.corp_id, kind, &id, now).await?))
}

pub(super) async fn runs(
    State(shared): Here,
    Path(corp): Path<String>,
    RawQuery(query): RawQuery,
) -> Answer<RunPage> {
    let corp = shared.corp(&corp)?;
    let mut parameters = Parameters::of(query.as_deref())?;
    let (before, limit) = (parameters.parsed("before", NUMBER)?, parameters.limit()?);
    parameters.end()?;
    Ok(Json(answers::runs(&shared.ops.store, &corp.corp_id, before, limit).await?))
}

pub(super) async fn run(
    State(shared): Here,
    Path((corp, id)): Path<(String, String)>,
    RawQuery(query): RawQuery,
) -> Answer<RunWhole> {
    let corp = shared.corp(&corp)?;
    let mut parameters = Parameters::of(query.as_deref())?;
    let (after, limit) = (parameters.parsed("after", NUMBER)?, parameters.limit()?);
    parameters.end()?;
    Ok(Json(answers::run(&shared.ops.store, &corp.corp_id, number(&id)?, after, limit).await?))
}

pub(super) async fn explain(
    State(shared): Here,
    Path((corp, entity, id)): Path<(String, String, String)>,
    RawQuery(query): RawQuery,
) -> Answer<Explanation> {
    let (corp, entity) = (shared.corp(&corp)?, answers::entity(&entity)?);
    let mut parameters = Parameters::of(query.as_deref())?;
    let offline = parameters.parsed("offline", "true or false")?.unwrap_or(false);
    parameters.end()?;
    let (store, now) = (&shared.ops.store, shared.ops.clock.now());
    let id = answers::resolve(store, &corp.corp_id, entity, &id).await?;
    // A process that only receives cannot ask.
    let context = corp.context.as_deref().filter(|_| !offline);
    let place = (corp.name.as_str(), corp.corp_id.as_str());
    Ok(Json(answers::explain(store, place, entity, &id, context, now).await?))
}

pub(super) async fn audit(
    State(shared): Here,
    Path(corp): Path<String>,
    RawQuery(query): RawQuery,
) -> Answer<Value> {
    let corp = shared.corp(&corp)?;
    let mut parameters = Parameters::of(query.as_deref())?;
    let (before, limit) = (parameters.parsed("before", NUMBER)?, parameters.limit()?);
    parameters.end()?;
    let entries = answers::audit(&shared.ops.store, &corp.corp_id, before, limit).await?;
    Ok(Json(json!({ "entries": entries })))
}
