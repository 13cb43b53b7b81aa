//! The OA's own tables, and which of their rows is which object.

use axum::body::Body;
use axum::extract::{Path, RawQuery, State};
use axum::http::StatusCode;
use axum::{Extension, Json};
use serde::Deserialize;
use serde_json::{Value, json};

use super::parameters::{Parameters, body};
use super::writes::{Done, Here, Nothing, accepted};
use super::{Answer, Refusal, Shared};
use crate::answers::{self, ApplyStatus, Filling, LinkLine, LinkWish};
use crate::ops::Corp;
use crate::ops::access::Who;
use crate::store::Entity;

/// Objects in one answer, where nothing else is asked for.
const USUAL: usize = 100;
const LONGEST: usize = 1000;

impl Corp {
    /// What fills its OA.
    fn filled(&self) -> Result<&Filling, Refusal> {
        let text =
            "nothing is configured that fills this organisation's OA: there is no table [apply.NAME] for it";
        self.filling.as_ref().ok_or_else(|| Refusal::new(StatusCode::NOT_FOUND, text))
    }
}

pub(super) async fn status(
    State(shared): Here,
    Path(corp): Path<String>,
    RawQuery(query): RawQuery,
) -> Answer<ApplyStatus> {
    let corp = shared.corp(&corp)?;
    let mut parameters = Parameters::of(query.as_deref())?;
    let limit = parameters.limit()?.unwrap_or(USUAL).clamp(1, LONGEST);
    parameters.end()?;
    let place = (corp.name.as_str(), corp.corp_id.as_str());
    Ok(Json(answers::apply_status(&shared.ops.store, place, corp.filled()?, Some(limit)).await?))
}

/// One object, or without it all that are meant.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Which {
    entity: Option<String>,
    id: Option<String>,
}

/// What the body of a request means, for an organisation whose OA is filled.
async fn meant<'s>(
    shared: &'s Shared,
    corp: &str,
    request: Body,
) -> Result<(&'s Corp, Option<(Entity, String)>), Refusal> {
    let corp = shared.corp(corp)?;
    corp.filled()?;
    let object = match body(request).await? {
        Which { entity: None, id: None } => None,
        Which { entity: Some(entity), id: Some(id) } => Some(named(shared, corp, &entity, &id).await?),
        _ => return Err(Refusal::bad("`entity` and `id` belong together; without both all are meant")),
    };
    Ok((corp, object))
}

pub(super) async fn retry(
    State(shared): Here,
    Path(corp): Path<String>,
    Extension(who): Extension<Who>,
    request: Body,
) -> Done<Value> {
    let (corp, object) = meant(&shared, &corp, request).await?;
    let (store, requester) = (&shared.ops.store, shared.requester(&who));
    let retried = answers::apply_retry(store, &corp.corp_id, object, &requester).await?;
    Ok(accepted(json!({ "retried": retried })))
}

pub(super) async fn approve(
    State(shared): Here,
    Path(corp): Path<String>,
    Extension(who): Extension<Who>,
    request: Body,
) -> Done<Value> {
    let (corp, object) = meant(&shared, &corp, request).await?;
    let (store, requester) = (&shared.ops.store, shared.requester(&who));
    let approved = answers::apply_approve(store, &corp.corp_id, object, &requester).await?;
    Ok(accepted(json!({ "approved": approved })))
}

pub(super) async fn rebuild(
    State(shared): Here,
    Path(corp): Path<String>,
    Extension(who): Extension<Who>,
    request: Body,
) -> Done<Value> {
    let corp = shared.corp(&corp)?;
    let filling = corp.filled()?;
    let Nothing {} = body(request).await?;
    let requester = shared.requester(&who);
    let walk = answers::apply_rebuild(&shared.ops.store, &corp.corp_id, filling, &requester).await?;
    Ok(accepted(json!({ "walk": walk })))
}

pub(super) async fn links(
    State(shared): Here,
    Path(corp): Path<String>,
    RawQuery(query): RawQuery,
) -> Answer<Value> {
    let corp = shared.corp(&corp)?;
    let mut parameters = Parameters::of(query.as_deref())?;
    let entity = parameters.text("entity").ok_or_else(|| Refusal::bad("`entity` is missing"))?;
    let entity = answers::applied_entity(&entity)?;
    let (oa_id, ding_id) = (parameters.text("oa_id"), parameters.text("ding_id"));
    parameters.end()?;
    let (store, corp_id) = (&shared.ops.store, corp.corp_id.as_str());
    let link = match (oa_id, ding_id) {
        (Some(oa_id), None) => answers::link_of_row(store, corp_id, entity, &oa_id).await?,
        (None, Some(id)) => {
            let id = answers::resolve(store, corp_id, entity, &id).await?;
            answers::link_of(store, corp_id, entity, &id).await?
        }
        _ => return Err(Refusal::bad("say whose link is meant: `oa_id`, or `ding_id`")),
    };
    let items: Vec<LinkLine> = link.into_iter().collect();
    Ok(Json(json!({ "items": items })))
}

/// The object that is named, by its id or otherwise.
async fn named(shared: &Shared, corp: &Corp, entity: &str, id: &str) -> Result<(Entity, String), Refusal> {
    let entity = answers::applied_entity(entity)?;
    Ok((entity, answers::resolve(&shared.ops.store, &corp.corp_id, entity, id).await?))
}

/// The key of a row, as programs have it: most are numbers.
#[derive(Deserialize)]
#[serde(untagged)]
enum Key {
    Number(i64),
    Text(String),
}

impl Key {
    fn text(self) -> String {
        match self {
            Self::Number(number) => number.to_string(),
            Self::Text(text) => text,
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Link {
    entity: String,
    oa_id: Key,
    ding_id: String,
    #[serde(default)]
    replace: bool,
}

pub(super) async fn link(
    State(shared): Here,
    Path(corp): Path<String>,
    Extension(who): Extension<Who>,
    request: Body,
) -> Done<LinkLine> {
    let corp = shared.corp(&corp)?;
    let Link { entity, oa_id, ding_id, replace } = body(request).await?;
    let (entity, ding_id) = named(&shared, corp, &entity, &ding_id).await?;
    let wish = LinkWish { entity, ding_id, oa_id: oa_id.text(), replaces: replace };
    let (store, requester) = (&shared.ops.store, shared.requester(&who));
    let link = answers::link(store, &corp.corp_id, wish, corp.filling.is_some(), &requester).await?;
    Ok((StatusCode::OK, Json(link)))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Unlink {
    entity: String,
    ding_id: String,
    oa_id: Option<Key>,
}

pub(super) async fn unlink(
    State(shared): Here,
    Path(corp): Path<String>,
    Extension(who): Extension<Who>,
    request: Body,
) -> Done<LinkLine> {
    let corp = shared.corp(&corp)?;
    let Unlink { entity, ding_id, oa_id } = body(request).await?;
    let (entity, ding_id) = named(&shared, corp, &entity, &ding_id).await?;
    let (store, requester) = (&shared.ops.store, shared.requester(&who));
    let (object, is_filled) = ((entity, ding_id.as_str()), corp.filling.is_some());
    let oa_id = oa_id.map(Key::text);
    let link = answers::unlink(store, &corp.corp_id, object, oa_id.as_deref(), is_filled, &requester).await?;
    Ok((StatusCode::OK, Json(link)))
}
