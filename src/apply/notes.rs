//! Where the follower is, put on record.

use jiff::Timestamp;

use crate::store::{Conn, Operation, StoreError};

pub(super) struct Introduce {
    pub(super) corp_id: String,
    pub(super) name: String,
}

impl Operation for Introduce {
    type Output = ();

    async fn run(&self, conn: &mut Conn) -> Result<(), StoreError> {
        conn.introduce_apply(&self.corp_id, &self.name).await
    }
}

pub(super) struct BeginWalk {
    pub(super) corp_id: String,
    pub(super) mapping: String,
    pub(super) place: String,
    pub(super) seq: Option<i64>,
    pub(super) walks: i64,
}

impl Operation for BeginWalk {
    type Output = ();

    async fn run(&self, conn: &mut Conn) -> Result<(), StoreError> {
        let of = (self.mapping.as_str(), self.place.as_str());
        conn.begin_apply_walk(&self.corp_id, of, self.seq, self.walks).await
    }
}

pub(super) struct Walked {
    pub(super) corp_id: String,
    pub(super) walked: Option<(String, String)>,
}

impl Operation for Walked {
    type Output = ();

    async fn run(&self, conn: &mut Conn) -> Result<(), StoreError> {
        let walked = self.walked.as_ref().map(|(entity, id)| (entity.as_str(), id.as_str()));
        conn.set_apply_walk(&self.corp_id, walked).await
    }
}

pub(super) struct Pass {
    pub(super) corp_id: String,
    pub(super) seq: i64,
}

impl Operation for Pass {
    type Output = ();

    async fn run(&self, conn: &mut Conn) -> Result<(), StoreError> {
        conn.set_apply_seq(&self.corp_id, self.seq).await
    }
}

pub(super) struct NoteTrouble {
    pub(super) corp_id: String,
    pub(super) trouble: Option<(String, String)>,
    pub(super) now: Timestamp,
}

impl Operation for NoteTrouble {
    type Output = ();

    async fn run(&self, conn: &mut Conn) -> Result<(), StoreError> {
        let trouble = self.trouble.as_ref().map(|(kind, text)| (kind.as_str(), text.as_str()));
        conn.set_apply_trouble(&self.corp_id, trouble, self.now).await
    }
}
