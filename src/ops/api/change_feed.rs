//! `GET /api/v1/changes`: the change log as a feed.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::{RawQuery, State};
use tokio::time::Instant;

use super::parameters::Parameters;
use super::{Answer, Refusal, Shared};
use crate::answers::{self, Feed};

/// How often is looked for news while somebody waits: another process may have written them.
const LOOK: Duration = Duration::from_millis(200);

/// The changes of an organisation after a number. With `wait`, an answer without changes waits so many seconds for some.
pub(super) async fn changes(State(shared): State<Arc<Shared>>, RawQuery(query): RawQuery) -> Answer<Feed> {
    let mut parameters = Parameters::of(query.as_deref())?;
    let corp = match (parameters.text("corp"), shared.ops.corps.as_slice()) {
        (Some(name), _) => shared.corp(&name)?,
        (None, [corp]) => corp,
        (None, _) => return Err(Refusal::bad("`corp` must be the NAME of a table [corps.NAME]")),
    };
    let after = parameters.parsed("after", "the number of a change, 0 for the beginning")?.unwrap_or(0_i64);
    let limit = parameters.limit()?;
    let wait: Option<u64> = parameters.parsed("wait", "a number of seconds")?;
    parameters.end()?;
    let (store, corp_id) = (&shared.ops.store, corp.corp_id.as_str());
    let feed = answers::feed(store, corp_id, after, limit).await?;
    // Whoever is one too many is answered at once, and asks again.
    let (Some(wait), Ok(_waiting)) = (wait.filter(|_| feed.changes.is_empty()), shared.waiting.try_acquire())
    else {
        return Ok(Json(feed));
    };
    let until = Instant::now() + Duration::from_secs(wait).min(answers::WAITS);
    while Instant::now() < until && !answers::has_news(store, corp_id, after).await? {
        tokio::select! {
            () = tokio::time::sleep(LOOK) => {}
            () = shared.ops.stopping.cancelled() => break,
        }
    }
    Ok(Json(answers::feed(store, corp_id, after, limit).await?))
}
