//! Follows each change from the company to its row in the mirror.

use std::collections::HashSet;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::TryRecvError;
use tokio::time::sleep;

use super::super::exit::Failure;
use super::super::output;
use super::stage::Stage;
use super::tell;
use crate::sim::{Happening, Kind, PushCount};
use crate::store::{ChangeHead, Entity, Store};

const LOOK: Duration = Duration::from_millis(20);
const BATCH: usize = 1000;
/// A change that left no row by then was taken back by a later one.
const GIVEN_UP_AFTER: Duration = Duration::from_secs(30);

pub(super) struct Watch {
    store: Store,
    corp_id: String,
    happenings: Receiver<Happening>,
    last_seq: i64,
    waiting: Vec<Happening>,
    told: HashSet<Kind>,
    made: u64,
    took: Vec<Duration>,
}

impl Watch {
    /// Watches from now on.
    pub(super) async fn begin(stage: &Stage) -> Result<Self, Failure> {
        let corp_id = stage.context.corp_id.clone();
        let last_seq = stage.store.reader().await?.last_change(&corp_id).await?;
        Ok(Self {
            store: stage.store.clone(),
            corp_id,
            happenings: stage.sim.subscribe(),
            last_seq,
            waiting: Vec::new(),
            told: HashSet::new(),
            made: 0,
            took: Vec::new(),
        })
    }

    /// Tells what happens, until that fails.
    pub(super) async fn follow(&mut self) -> Failure {
        loop {
            if let Err(failure) = self.look().await {
                return failure;
            }
            sleep(LOOK).await;
        }
    }

    /// Takes what has happened, and what of it is mirrored.
    pub(super) async fn look(&mut self) -> Result<(), Failure> {
        loop {
            match self.happenings.try_recv() {
                Ok(happening) => {
                    self.made += 1;
                    self.waiting.push(happening);
                }
                Err(TryRecvError::Lagged(missed)) => self.made += missed,
                Err(TryRecvError::Empty | TryRecvError::Closed) => break,
            }
        }
        let mut reader = self.store.reader().await?;
        let changes = reader.changes_after(&self.corp_id, self.last_seq, BATCH).await?;
        drop(reader);
        if let Some(last) = changes.last() {
            self.last_seq = last.seq;
        }
        let newest = changes.iter().filter_map(|change| change.changed_at).max();
        for happening in std::mem::take(&mut self.waiting) {
            let at = Timestamp::from_millisecond(happening.at).unwrap_or_default();
            let mirrored = changes.iter().find_map(|change| {
                let changed_at = change.changed_at.filter(|changed_at| *changed_at >= at)?;
                concerns(&happening, change).then_some(changed_at)
            });
            if let Some(mirrored) = mirrored {
                self.note(&happening, Duration::try_from(mirrored.duration_since(at)).unwrap_or_default())?;
            } else if newest.is_none_or(|newest| newest < at + GIVEN_UP_AFTER) {
                self.waiting.push(happening);
            }
        }
        Ok(())
    }

    fn note(&mut self, happening: &Happening, took: Duration) -> Result<(), Failure> {
        self.took.push(took);
        if self.told.insert(happening.kind) {
            output::line(tell::line(happening, took))?;
        }
        Ok(())
    }

    /// What there was to see.
    pub(super) fn summary(&self, push: &PushCount) -> String {
        let mut took = self.took.clone();
        took.sort_unstable();
        let part = |share: usize| took.get(took.len() * share / 100).map_or(0, Duration::as_millis);
        format!(
            "{} changes of {} kinds; {} callbacks acknowledged (half within {:.0} ms, 99 % within {:.0} ms);\n\
             rows in the mirror half within {} ms, 99 % within {} ms after the change",
            self.made,
            self.told.len(),
            push.accepted,
            push.ack_p50_ms,
            push.ack_p99_ms,
            part(50),
            part(99),
        )
    }
}

fn concerns(happening: &Happening, change: &ChangeHead) -> bool {
    let is = |entity: Entity| change.entity == entity.label();
    let named = |ids: &[i64]| ids.iter().any(|id| id.to_string() == change.entity_id);
    (is(Entity::Employee) && happening.people.contains(&change.entity_id))
        || (is(Entity::Department) && named(&happening.departments))
        || (is(Entity::Role) && named(&happening.roles))
        || (is(Entity::RoleGroup) && named(&happening.role_groups))
}
