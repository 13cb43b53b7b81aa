//! What destroys something, and so asks for the scope `approve`.

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::{Extension, Json};
use serde::Deserialize;
use serde_json::{Value, json};

use super::parameters::body;
use super::writes::{Done, Here, Nothing, accepted};
use super::{Refusal, Shared};
use crate::answers;
use crate::ops::Corp;
use crate::ops::access::Who;
use crate::sync::{Context, Decision};

impl Corp {
    /// Its workers' side, which a process that only receives does not have.
    fn works(&self) -> Result<&Context, Refusal> {
        let text = "this process only receives: ask one that works";
        self.context.as_deref().ok_or_else(|| Refusal::new(StatusCode::CONFLICT, text))
    }
}

pub(super) async fn forget(
    State(shared): Here,
    Path((corp, userid)): Path<(String, String)>,
    Extension(who): Extension<Who>,
    request: Body,
) -> Done<Value> {
    let corp = shared.corp(&corp)?;
    let Nothing {} = body(request).await?;
    let erased = answers::forget(corp.works()?, &userid, &who.0).await?;
    Ok((StatusCode::OK, Json(json!({ "userid": userid, "erased": erased }))))
}

/// What of all that is held.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Which {
    run: Option<Run>,
}

/// What found it: a run, or single reads.
#[derive(Deserialize)]
#[serde(untagged)]
enum Run {
    Number(i64),
    Word(Events),
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Events {
    Events,
}

pub(super) async fn approve(
    State(shared): Here,
    Path(corp): Path<String>,
    Extension(who): Extension<Who>,
    request: Body,
) -> Done<Value> {
    decide(&shared, &corp, &who, Decision::Approve, body(request).await?).await
}

pub(super) async fn discard(
    State(shared): Here,
    Path(corp): Path<String>,
    Extension(who): Extension<Who>,
    request: Body,
) -> Done<Value> {
    decide(&shared, &corp, &who, Decision::Discard, body(request).await?).await
}

async fn decide(shared: &Shared, corp: &str, who: &Who, decision: Decision, which: Which) -> Done<Value> {
    let corp = shared.corp(corp)?;
    let context = corp.works()?;
    let run = match which.run {
        Some(Run::Number(run)) => {
            answers::run(&shared.ops.store, &corp.corp_id, run, None, Some(1)).await?;
            Some(run)
        }
        Some(Run::Word(Events::Events)) => Some(0),
        None => None,
    };
    let decided = context.decide(decision, run, &who.0).await?;
    Ok(accepted(json!({
        "action": decision.action(),
        "decided": decided.total(),
        "objects": decided.objects,
    })))
}
