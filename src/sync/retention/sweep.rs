//! Deletes what is old.

use std::sync::Arc;

use jiff::{Timestamp, ToSpan as _};

use super::{BATCH, PAUSE};
use crate::config;
use crate::store::{Aging, Conn, Operation, StoreError};
use crate::sync::context::Context;

/// How many rows were deleted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Swept {
    pub(super) inbox: usize,
    pub(super) changes: i64,
    pub(super) audit: usize,
    pub(super) runs: usize,
}

/// The instant before which something is older than `days`; `None` where it is kept for ever.
pub(super) fn older_than(days: u32, now: Timestamp) -> Option<Timestamp> {
    if days == 0 {
        return None;
    }
    now.checked_sub((i64::from(days) * 24).hours()).ok()
}

pub(super) async fn sweep(
    contexts: &[Arc<Context>],
    retention: config::Retention,
) -> Result<Swept, StoreError> {
    // All organisations share a store.
    let Some(context) = contexts.first() else { return Ok(Swept::default()) };
    let now = context.now();
    let corp_ids: Vec<String> = contexts.iter().map(|context| context.corp_id.clone()).collect();
    let mut swept = Swept::default();
    for (aging, days, deleted) in [
        (Aging::Inbox, retention.inbox_days, &mut swept.inbox),
        (Aging::Audit, retention.audit_days, &mut swept.audit),
        (Aging::Runs, retention.runs_days, &mut swept.runs),
    ] {
        if let Some(before) = older_than(days, now) {
            *deleted = context.sweep_table(aging, &corp_ids, before).await?;
        }
    }
    if let Some(before) = older_than(retention.changes_days, now) {
        for context in contexts {
            swept.changes += context.sweep_changes(before).await?;
        }
    }
    Ok(swept)
}

impl Context {
    async fn sweep_table(
        &self,
        aging: Aging,
        corp_ids: &[String],
        before: Timestamp,
    ) -> Result<usize, StoreError> {
        let (mut deleted, mut after) = (0, Some(0));
        while let Some(from) = after {
            let (ids, next) = {
                let mut reader = self.store.reader().await?;
                reader.aged(aging, corp_ids, before, from, BATCH).await?
            };
            if aging == Aging::Runs {
                for &run_id in &ids {
                    while self.write(DeleteItems { run_id }).await? == BATCH {
                        tokio::time::sleep(PAUSE).await;
                    }
                }
            }
            if !ids.is_empty() {
                deleted += ids.len();
                self.write(Delete { aging, ids }).await?;
                tokio::time::sleep(PAUSE).await;
            }
            after = next;
        }
        Ok(deleted)
    }

    async fn sweep_changes(&self, before: Timestamp) -> Result<i64, StoreError> {
        let mut deleted = 0;
        loop {
            let corp_id = self.corp_id.clone();
            let swept = self.write(DeleteChanges { corp_id, before }).await?;
            deleted += swept.deleted;
            if swept.next.is_none() {
                return Ok(deleted);
            }
            tokio::time::sleep(PAUSE).await;
        }
    }
}

struct Delete {
    aging: Aging,
    ids: Vec<i64>,
}

impl Operation for Delete {
    type Output = ();

    async fn run(&self, conn: &mut Conn) -> Result<(), StoreError> {
        conn.delete_aged(self.aging, &self.ids).await
    }
}

struct DeleteItems {
    run_id: i64,
}

impl Operation for DeleteItems {
    type Output = usize;

    async fn run(&self, conn: &mut Conn) -> Result<usize, StoreError> {
        conn.delete_run_items(self.run_id, BATCH).await
    }
}

struct DeleteChanges {
    corp_id: String,
    before: Timestamp,
}

impl Operation for DeleteChanges {
    type Output = crate::store::Swept;

    async fn run(&self, conn: &mut Conn) -> Result<crate::store::Swept, StoreError> {
        conn.delete_changes(&self.corp_id, self.before, BATCH).await
    }
}
