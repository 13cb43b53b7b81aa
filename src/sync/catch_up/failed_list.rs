//! Asks DingTalk for the events that it could not deliver (`events.md §5.1`).

use std::time::Duration;

use jiff::Timestamp;
use tracing::{info, warn};

use super::{Next, plan};
use crate::dingtalk::error::Throttle;
use crate::dingtalk::failed::FailedList;
use crate::dingtalk::{ApiError, Class};
use crate::lane::Lane;
use crate::receive::failed_list::StoreAnswer;
use crate::store::{CatchUp, StoreError};
use crate::sync::context::Context;
use crate::sync::hints::classify;

/// After a refusal that passes by itself.
const SOON: Duration = Duration::from_mins(1);
/// After a refusal that somebody has to do something about.
const LATE: Duration = Duration::from_hours(1);
const STORE_PAUSE: Duration = Duration::from_secs(1);

/// What this process knows of its calls.
#[derive(Debug)]
pub(super) struct FailedListPoll {
    takes_callbacks: bool,
    /// A refused call is not repeated before.
    not_before: Option<Timestamp>,
    /// Further events were listed behind the last answer.
    has_more: bool,
}

impl FailedListPoll {
    pub(super) fn new(takes_callbacks: bool) -> Self {
        Self { takes_callbacks, not_before: None, has_more: false }
    }

    /// Whether a call is due. Where nothing was ever pushed to, nothing can have failed.
    pub(super) fn is_due(&self, state: &CatchUp, has_events: bool, now: Timestamp) -> bool {
        (self.takes_callbacks || has_events)
            && self.not_before.is_none_or(|at| at <= now)
            && (self.has_more || plan::is_list_due(state, now))
    }

    /// Makes one call, and stores its answer before anything else.
    pub(super) async fn ask(&mut self, context: &Context) -> Result<Next, StoreError> {
        self.has_more = false;
        match context.client.failed_list(Lane::Live).await {
            Ok(list) => {
                self.not_before = None;
                self.has_more = list.has_more;
                context.store_answer(list).await;
                Ok(Next::AtOnce)
            }
            Err(error) => {
                let now = context.now();
                self.not_before = Some(now + pause_after(&error));
                tell(context, &error);
                let state = context.store.reader().await?.catch_up(&context.corp_id).await?;
                if state.begun_at.is_some() {
                    context.note_lost_answer(now).await?;
                }
                Ok(Next::Later)
            }
        }
    }
}

fn pause_after(error: &ApiError) -> Duration {
    match error.class {
        Class::Throttle(Throttle::MonthlyQuota | Throttle::Budget)
        | Class::Denied(_)
        | Class::UnknownMethod
        | Class::BadRequest => LATE,
        _ => error.retry_after.unwrap_or(SOON).max(SOON),
    }
}

fn tell(context: &Context, error: &ApiError) {
    let corp = &context.name;
    match error.class {
        Class::UnknownMethod => {
            info!(corp, %error, "events that failed cannot be asked for; comparisons find what they told");
        }
        _ => {
            warn!(corp, %error, "events that failed could not be asked for; comparisons find what they told");
        }
    }
}

impl Context {
    /// Stores an answer, however long that takes: no later one shows it again.
    async fn store_answer(&self, list: FailedList) {
        let answer = StoreAnswer::new(&self.corp_id, list, classify, self.now());
        if answer.count() > 0 {
            info!(
                corp = self.name,
                events = answer.count(),
                unreadable = answer.unreadable().len(),
                "events that could not be delivered were fetched"
            );
        }
        if let Err(error) = self.store_patiently(&answer).await {
            warn!(corp = self.name, %error, "events that were fetched cannot be stored together; one by one then");
            for part in answer.one_by_one() {
                if let Err(error) = self.store_patiently(&part).await {
                    warn!(corp = self.name, %error, "an event that was fetched cannot be stored; a comparison finds what it told");
                }
            }
        }
        self.wake.notify_one();
    }

    /// Waits for a database that is away.
    async fn store_patiently(&self, answer: &StoreAnswer) -> Result<(), StoreError> {
        loop {
            match self.write(answer.clone()).await {
                Err(error) if error.outage().is_some() => tokio::time::sleep(STORE_PAUSE).await,
                result => return result,
            }
        }
    }
}
