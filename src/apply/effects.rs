//! What an applied object leaves in our own tables, in one transaction: with the OA's rows where they are in the same
//! database.

use jiff::Timestamp;

use super::fault::Refusal;
use crate::store::{ApplyState, Conn, Entity, LinkedBy, Loss, MemberOf, Operation, StoreError};

/// What becomes of an object's link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum LinkChange {
    /// It has a row now, instead of whichever it had.
    Linked { oa_id: String, by: LinkedBy },
    /// Its row was treated as that of something gone.
    Removed,
    /// It is there again, with the row that it had.
    Back,
}

/// All of it.
#[derive(Debug, Clone)]
pub(super) struct Effects {
    pub(super) corp_id: String,
    pub(super) entity: Entity,
    pub(super) id: String,
    pub(super) now: Timestamp,
    /// The change that was applied.
    pub(super) seq: Option<i64>,
    /// How often the object had been marked when it was looked at.
    pub(super) marks: Option<i64>,
    pub(super) link: Option<LinkChange>,
    /// Memberships that are there now, or no longer.
    pub(super) members: Vec<(MemberOf, i64, bool)>,
    /// What depends on it.
    pub(super) due: Vec<(Entity, String)>,
    pub(super) refusal: Option<Refusal>,
    /// `when` leaves it out although it had a row: counted by the guard, whose window began then.
    pub(super) left_out_since: Option<Timestamp>,
}

impl Effects {
    /// Writes it down, unless a process that took over has done so already.
    pub(super) async fn write(&self, conn: &mut Conn) -> Result<(), StoreError> {
        let (corp_id, id) = (self.corp_id.as_str(), self.id.as_str());
        if let Some(seq) = self.seq
            && seq <= conn.apply_seq(corp_id).await?
        {
            return Ok(());
        }
        match &self.link {
            Some(LinkChange::Linked { oa_id, by }) => {
                conn.drop_link(corp_id, self.entity, id).await?;
                conn.drop_removed_link(corp_id, self.entity, oa_id).await?;
                conn.add_link(corp_id, self.entity, (id, oa_id), *by, self.now).await?;
            }
            Some(LinkChange::Removed) => {
                conn.set_link_removed(corp_id, self.entity, id, Some(self.now), self.now).await?;
            }
            Some(LinkChange::Back) => {
                conn.set_link_removed(corp_id, self.entity, id, None, self.now).await?;
            }
            None => {}
        }
        for &(of, other_id, is_there) in &self.members {
            if is_there {
                conn.add_applied_member(corp_id, of, id, other_id).await?;
            } else {
                conn.drop_applied_member(corp_id, of, id, other_id).await?;
            }
        }
        match (&self.refusal, self.marks) {
            (Some(refusal), _) => {
                let marks = self.marks.unwrap_or(-1);
                let state = if refusal.is_held { ApplyState::Held } else { ApplyState::Parked };
                let why = (state, refusal.statement.as_str(), refusal.message.as_str());
                conn.park_apply(corp_id, self.entity, id, why, marks, self.now).await?;
            }
            (None, Some(marks)) => conn.settle_apply(corp_id, self.entity, id, marks).await?,
            (None, None) => {}
        }
        if let Some(start) = self.left_out_since {
            conn.note_losses(corp_id, Loss::LeftOut(self.entity), 1, start, self.now).await?;
        }
        conn.mark_apply_all(corp_id, &self.due, self.now).await?;
        if let Some(seq) = self.seq {
            conn.set_apply_seq(corp_id, seq).await?;
        }
        conn.set_applied(corp_id, self.now).await
    }
}

/// Memberships that are about to be put into the tables of another database: noted before they are, so that whoever finds
/// them there after a kill knows whose they are.
#[derive(Debug)]
pub(super) struct Intent {
    pub(super) corp_id: String,
    pub(super) userid: String,
    pub(super) members: Vec<(MemberOf, i64)>,
}

impl Operation for Intent {
    type Output = ();

    async fn run(&self, conn: &mut Conn) -> Result<(), StoreError> {
        for &(of, other_id) in &self.members {
            conn.add_applied_member(&self.corp_id, of, &self.userid, other_id).await?;
        }
        Ok(())
    }
}

impl Operation for Effects {
    type Output = ();

    async fn run(&self, conn: &mut Conn) -> Result<(), StoreError> {
        self.write(conn).await
    }
}
