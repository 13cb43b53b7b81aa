//! Erases what is stored of columns that are not to be stored: the rows first, so that nothing gets it from there any
//! more, then whatever was written of them.

use std::sync::Arc;

use tracing::info;

use super::{BATCH, PAUSE};
use crate::dingtalk::redact;
use crate::store::{Cause, Conn, FieldSet, Operation, Provenance, Scrubbed, Stamp, StoreError, Whose};
use crate::sync::context::Context;

const TASK: &str = "excluded_fields";

impl Context {
    /// Erases the excluded columns, unless that was done and nothing has come since.
    pub(super) async fn erase_excluded(&self) -> Result<(), StoreError> {
        let fields = Arc::clone(self.store.excluded());
        let detail = fields.names().join(",");
        let done = self.store.reader().await?.erasure_done(&self.corp_id, TASK).await?;
        if fields.is_empty() && done.is_none() {
            return Ok(());
        }
        let people = if fields.is_empty() { 0 } else { self.erase_rows(&fields).await? };
        if people == 0 && done.as_deref() == Some(detail.as_str()) {
            return Ok(());
        }
        if !fields.is_empty() {
            info!(corp = self.name, fields = detail, people, "`mirror.exclude_fields` is being erased");
            let changes = self.scrub(What::Changes, &fields).await?;
            let findings = self.scrub(What::Findings, &fields).await?;
            let messages =
                self.redact_messages(|message| redact::without_fields(message, fields.names())).await?;
            info!(
                corp = self.name,
                fields = detail,
                people,
                changes,
                findings,
                messages,
                "`mirror.exclude_fields` was erased from everything that is stored"
            );
        }
        self.write(NoteDone { corp_id: self.corp_id.clone(), detail, now: self.now() }).await
    }

    async fn erase_rows(&self, fields: &Arc<FieldSet>) -> Result<usize, StoreError> {
        let (mut erased, mut after) = (0, String::new());
        loop {
            let userids = {
                let mut reader = self.store.reader().await?;
                reader.employees_with(&self.corp_id, fields, &after, BATCH).await?
            };
            let Some(last) = userids.last() else { return Ok(erased) };
            after.clone_from(last);
            erased += userids.len();
            self.write(EraseRows { userids, fields: Arc::clone(fields), stamp: self.own_stamp() }).await?;
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// What the change log says of an erasure.
    pub(super) fn own_stamp(&self) -> Stamp {
        Stamp {
            corp_id: self.corp_id.clone(),
            provenance: Provenance::of(Cause::Manual),
            is_unannounced: false,
            is_first_read: false,
            now: self.now(),
        }
    }

    async fn scrub(&self, what: What, fields: &Arc<FieldSet>) -> Result<i64, StoreError> {
        let (mut changed, mut after) = (0, 0);
        loop {
            let scrub = Scrub { what, corp_id: self.corp_id.clone(), fields: Arc::clone(fields), after };
            let scrubbed = self.write(scrub).await?;
            changed += scrubbed.changed;
            let Some(last) = scrubbed.last else { return Ok(changed) };
            after = last;
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Puts into the place of each message of the inbox what `redact` makes of it; brings how many changed.
    pub(super) async fn redact_messages(
        &self,
        redact: impl Fn(&str) -> Option<String>,
    ) -> Result<usize, StoreError> {
        let (mut changed, mut after) = (0, 0);
        loop {
            let messages = {
                let mut reader = self.store.reader().await?;
                reader.messages_after(&self.corp_id, after, BATCH).await?
            };
            let Some((last, _)) = messages.last() else { return Ok(changed) };
            after = *last;
            let redacted: Vec<(i64, String)> =
                messages.iter().filter_map(|(id, message)| Some((*id, redact(message)?))).collect();
            if !redacted.is_empty() {
                changed += redacted.len();
                self.write(Replace { messages: redacted }).await?;
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

#[derive(Debug, Clone, Copy)]
enum What {
    Changes,
    Findings,
}

struct EraseRows {
    userids: Vec<String>,
    fields: Arc<FieldSet>,
    stamp: Stamp,
}

impl Operation for EraseRows {
    type Output = ();

    async fn run(&self, conn: &mut Conn) -> Result<(), StoreError> {
        for userid in &self.userids {
            conn.erase_fields(userid, &self.fields, Whose::Anybody, &self.stamp).await?;
        }
        Ok(())
    }
}

struct Scrub {
    what: What,
    corp_id: String,
    fields: Arc<FieldSet>,
    after: i64,
}

impl Operation for Scrub {
    type Output = Scrubbed;

    async fn run(&self, conn: &mut Conn) -> Result<Scrubbed, StoreError> {
        match self.what {
            What::Changes => conn.scrub_changes(&self.corp_id, &self.fields, self.after, BATCH).await,
            What::Findings => {
                conn.scrub_run_items(&self.corp_id, &self.fields, None, self.after, BATCH).await
            }
        }
    }
}

struct Replace {
    messages: Vec<(i64, String)>,
}

impl Operation for Replace {
    type Output = ();

    async fn run(&self, conn: &mut Conn) -> Result<(), StoreError> {
        for (id, message) in &self.messages {
            conn.replace_message(*id, message).await?;
        }
        Ok(())
    }
}

struct NoteDone {
    corp_id: String,
    detail: String,
    now: jiff::Timestamp,
}

impl Operation for NoteDone {
    type Output = ();

    async fn run(&self, conn: &mut Conn) -> Result<(), StoreError> {
        conn.note_erasure(&self.corp_id, TASK, &self.detail, self.now).await
    }
}
