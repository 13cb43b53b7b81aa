//! What there is to tell, as one look at the state shows it.

use std::time::Duration;

use jiff::Timestamp;

use super::Post;
use crate::dingtalk::client::Condition;
use crate::store::{BootstrapState, Notice, RunKind, RunState, StoreError};

/// Changes that one look goes through at most.
const STRETCH: i64 = 5_000;

/// DingTalk is believed to answer again when it has done so for this long.
const SETTLED: Duration = Duration::from_secs(10);

/// Between an answer and the note that DingTalk answers again.
const MOMENT: Duration = Duration::from_secs(2);

/// What the OA's tables wait for is told of when it has lasted so long: a restart of its database is no news.
const LASTING: Duration = Duration::from_mins(5);

/// What is told of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Topic {
    /// Objects that DingTalk refuses to show.
    Parked,
    /// Deletions that the guard holds.
    Held,
    /// DingTalk refuses the application.
    Denied,
    /// A field permission was taken away.
    FieldsLost,
    /// The last comparison was not complete.
    Reconcile,
    /// A userid stands for another person.
    Recycled,
    /// Objects that the OA's database refuses, or that the deletion guard holds there.
    OaParked,
    /// The OA's tables wait.
    OaTrouble,
}

impl Topic {
    /// Its name on record.
    pub(super) fn label(self) -> &'static str {
        match self {
            Self::Parked => "parked",
            Self::Held => "held",
            Self::Denied => "denied",
            Self::FieldsLost => "fields_lost",
            Self::Reconcile => "reconcile",
            Self::Recycled => "recycled",
            Self::OaParked => "oa_parked",
            Self::OaTrouble => "oa_trouble",
        }
    }
}

/// One topic, as it is now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) topic: Topic,
    /// How much of it there is; 0 for none. Of a comparison that was not complete, its number.
    pub(super) amount: i64,
    /// The comparison was given up, not done in part.
    pub(super) is_failed: bool,
    /// Up to which change the log was looked at, where it was.
    pub(super) position: Option<i64>,
}

impl Seen {
    pub(super) fn of(topic: Topic, amount: i64) -> Self {
        Self { topic, amount, is_failed: false, position: None }
    }
}

impl Post {
    /// Whether DingTalk refuses the application; `None` where that cannot be said: a process that has just begun, or an
    /// answer of one API just after the refusal of another.
    fn denial(&self, now: Timestamp) -> Option<Seen> {
        let health = self.context.client.health();
        match health.condition {
            Condition::Credentials | Condition::Permission => Some(Seen::of(Topic::Denied, 1)),
            Condition::Ok if now >= health.since + SETTLED => {
                // Without an answer the refusals have only grown old.
                let is_answered = health.last_ok_at.is_some_and(|at| at + MOMENT >= health.since);
                is_answered.then(|| Seen::of(Topic::Denied, 0))
            }
            _ => None,
        }
    }

    /// Looks at everything, beside what is on record.
    pub(super) async fn observe(&self, known: &[Notice]) -> Result<Vec<Seen>, StoreError> {
        let context = &self.context;
        let mut reader = context.store.reader().await?;
        let counts = reader.counts(&context.corp_id).await?;
        let mut seen = vec![
            Seen::of(Topic::Parked, counts.parked),
            Seen::of(Topic::Held, counts.held),
            Seen::of(Topic::FieldsLost, context.permissions.lost().len() as i64),
        ];
        seen.extend(self.denial(context.clock.now()));
        let last = reader.last_run_over(&context.corp_id, RunKind::Reconcile).await?;
        let incomplete = last.filter(|run| run.state != RunState::Complete);
        seen.push(Seen {
            is_failed: incomplete.as_ref().is_some_and(|run| run.state == RunState::Failed),
            ..Seen::of(Topic::Reconcile, incomplete.map_or(0, |run| run.id))
        });
        let corp = reader.corp(&context.corp_id).await?;
        if corp.is_some_and(|corp| corp.bootstrap == BootstrapState::Complete) {
            let last = reader.last_change(&context.corp_id).await?;
            let record = known.iter().find(|notice| notice.topic == Topic::Recycled.label());
            // Whatever was there before the first look is no news.
            let from = record.and_then(|record| record.position).unwrap_or(last);
            let until = last.min(from + STRETCH);
            let recycled = reader.recycled_userids(&context.corp_id, from, until).await?;
            seen.push(Seen { position: Some(until), ..Seen::of(Topic::Recycled, recycled) });
        }
        if self.fills_oa {
            let counts = reader.apply_counts(&context.corp_id).await?;
            let record = reader.apply_record(&context.corp_id).await?;
            let since = record.and_then(|record| record.trouble).and_then(|trouble| trouble.since);
            let lasts = since.is_some_and(|since| context.clock.now() >= since + LASTING);
            seen.push(Seen::of(Topic::OaParked, counts.parked + counts.held));
            seen.push(Seen::of(Topic::OaTrouble, i64::from(lasts)));
        }
        Ok(seen)
    }
}
