//! Erases what is personal of people who are gone: in what was written about them first, in their row last, which is
//! what says that it is still to be done.

use std::collections::HashSet;

use serde::Serialize;
use serde_json::json;
use tracing::info;

use super::sweep::older_than;
use super::{BATCH, PAUSE};
use crate::dingtalk::redact;
use crate::store::{Conn, FieldSet, Operation, Stamp, StoreError, Whose};
use crate::sync::context::Context;

/// What an erasure came to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Erased {
    /// People whose row still held something.
    pub people: i64,
    /// Changes of the log.
    pub changes: i64,
    /// What runs had found.
    pub findings: i64,
    /// Messages of the inbox.
    pub messages: usize,
}

/// Who asked for a person to be forgotten: `command line: USER`, or `token NAME`.
#[derive(Debug, Clone)]
pub struct Forget {
    /// As it stands in the audit trail.
    pub who: String,
}

impl Context {
    /// Erases whoever has been gone for longer than `days`; 0 keeps everybody.
    pub(super) async fn erase_leavers(&self, days: u32) -> Result<(), StoreError> {
        let Some(before) = older_than(days, self.now()) else { return Ok(()) };
        let mut total = Erased::default();
        loop {
            let leavers = {
                let mut reader = self.store.reader().await?;
                reader.leavers_before(&self.corp_id, before, BATCH).await?
            };
            if leavers.is_empty() {
                break;
            }
            let erased = self.erase(leavers, None).await?;
            total.people += erased.people;
            total.changes += erased.changes;
            // Who is there again meanwhile is met no more.
            if erased.people == 0 {
                break;
            }
        }
        if total.people > 0 {
            info!(
                corp = self.name,
                people = total.people,
                changes = total.changes,
                "the personal fields of people who are gone were erased"
            );
        }
        Ok(())
    }

    /// Erases what is personal of one who is gone, at once. Whether that is so has to be looked at before; who is there
    /// again meanwhile keeps his row.
    pub async fn forget(&self, userid: String, forget: Forget) -> Result<Erased, StoreError> {
        self.erase(vec![userid], Some(forget)).await
    }

    async fn erase(&self, leavers: Vec<String>, forget: Option<Forget>) -> Result<Erased, StoreError> {
        let people: HashSet<String> = leavers.iter().cloned().collect();
        let mut erased = Erased {
            messages: self.redact_messages(|message| redact::without_people(message, &leavers)).await?,
            ..Erased::default()
        };
        let mut after = 0;
        loop {
            let scrub = ScrubFindings { corp_id: self.corp_id.clone(), people: people.clone(), after };
            let scrubbed = self.write(scrub).await?;
            erased.findings += scrubbed.changed;
            match scrubbed.last {
                Some(last) => after = last,
                None => break,
            }
            tokio::time::sleep(PAUSE).await;
        }
        for userid in leavers {
            let erase = EraseLeaver { userid, forget: forget.clone(), stamp: self.own_stamp() };
            let (was_there, changes) = self.write(erase).await?;
            erased.people += i64::from(was_there);
            erased.changes += changes;
        }
        Ok(erased)
    }
}

struct ScrubFindings {
    corp_id: String,
    people: HashSet<String>,
    after: i64,
}

impl Operation for ScrubFindings {
    type Output = crate::store::Scrubbed;

    async fn run(&self, conn: &mut Conn) -> Result<crate::store::Scrubbed, StoreError> {
        let (fields, people) = (FieldSet::personal(), Some(&self.people));
        conn.scrub_run_items(&self.corp_id, &fields, people, self.after, BATCH).await
    }
}

struct EraseLeaver {
    userid: String,
    forget: Option<Forget>,
    stamp: Stamp,
}

impl Operation for EraseLeaver {
    type Output = (bool, i64);

    async fn run(&self, conn: &mut Conn) -> Result<(bool, i64), StoreError> {
        let (corp_id, fields) = (&self.stamp.corp_id, FieldSet::personal());
        let was_there = conn.erase_fields(&self.userid, &fields, Whose::Leaver, &self.stamp).await?;
        let is_gone = conn.employee(corp_id, &self.userid).await?.is_none_or(|now| now.deleted_at.is_some());
        let changes = if is_gone { conn.scrub_changes_of(corp_id, &self.userid, &fields).await? } else { 0 };
        if is_gone {
            conn.forget_apply_message(corp_id, &self.userid).await?;
        }
        if let Some(forget) = &self.forget {
            let subject = json!({ "userid": self.userid, "changes": changes });
            conn.note_audit(corp_id, &forget.who, "employee.forget", &subject, self.stamp.now).await?;
        }
        Ok((was_there, changes))
    }
}
