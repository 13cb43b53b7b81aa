//! Which row of the OA's is which object of DingTalk's: asked for, said, and taken back.

use jiff::Timestamp;
use serde::Serialize;
use serde_json::json;

use super::lookup::row;
use super::request::Requester;
use super::{AnswerError, instant};
use crate::store::{Conn, Entity, LONGEST_KEY, Link, LinkedBy, Operation, Store, StoreError};

/// A row of the OA's and its object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LinkLine {
    /// `employee`, `department` or `role`.
    pub entity: &'static str,
    /// The object's id.
    pub ding_id: String,
    /// The key of the OA's row.
    pub oa_id: String,
    /// `find`, `key` or `command`.
    pub linked_by: Option<String>,
    /// Since when.
    pub since: Option<String>,
    /// When the object was gone, and the row was treated as the mapping says.
    pub removed_at: Option<String>,
}

impl LinkLine {
    pub(super) fn of(entity: Entity, link: Link) -> Self {
        Self {
            entity: entity.label(),
            ding_id: link.ding_id,
            oa_id: link.oa_id,
            linked_by: link.linked_by,
            since: instant(link.since),
            removed_at: instant(link.removed_at),
        }
    }
}

/// The link of an object, if it has one.
pub async fn link_of(
    store: &Store,
    corp_id: &str,
    entity: Entity,
    ding_id: &str,
) -> Result<Option<LinkLine>, StoreError> {
    let link = store.reader().await?.link(corp_id, entity, ding_id).await?;
    Ok(link.map(|link| LinkLine::of(entity, link)))
}

/// The link of a row of the OA's, if it has one.
pub async fn link_of_row(
    store: &Store,
    corp_id: &str,
    entity: Entity,
    oa_id: &str,
) -> Result<Option<LinkLine>, StoreError> {
    let link = store.reader().await?.link_of_row(corp_id, entity, oa_id).await?;
    Ok(link.map(|link| LinkLine::of(entity, link)))
}

/// Which row is to be whose.
#[derive(Debug, Clone)]
pub struct LinkWish {
    /// What the object is.
    pub entity: Entity,
    /// Its id in DingTalk.
    pub ding_id: String,
    /// The key of the OA's row.
    pub oa_id: String,
    /// Links that are in the way are forgotten.
    pub replaces: bool,
}

/// Links an object that is there with a row. With `is_filled` it is applied again.
pub async fn link(
    store: &Store,
    corp_id: &str,
    wish: LinkWish,
    is_filled: bool,
    requester: &Requester<'_>,
) -> Result<LinkLine, AnswerError> {
    let wish = LinkWish { oa_id: key(&wish.oa_id)?, ..wish };
    let (entity, object) = (wish.entity, format!("{} {}", wish.entity.label(), wish.ding_id));
    let found = row(&mut store.reader().await?, corp_id, entity, &wish.ding_id).await?;
    let Some(found) = found else {
        return Err(AnswerError::Unknown(format!("the mirror has no {object}")));
    };
    if found.get("deleted_at").is_some_and(|at| !at.is_null()) {
        let text = format!("{object} is gone: no row is written for it. Link it when it is there again");
        return Err(AnswerError::Refused(text));
    }
    let oa_id = wish.oa_id.clone();
    let operation = Join {
        corp_id: corp_id.to_owned(),
        wish,
        is_filled,
        who: requester.who.to_owned(),
        now: requester.now,
    };
    let text = match store.write(operation).await?.output {
        Joined::Linked(link) => return Ok(LinkLine::of(entity, link)),
        Joined::ObjectTaken(other) => format!(
            "{object} is linked with the row {other} already: `dingsync unlink {object}` if that is wrong, or \
             `dingsync link --replace` to put {oa_id} into its place"
        ),
        Joined::RowTaken(other) => format!(
            "the row {oa_id} is that of {label} {other} already: `dingsync unlink {label} {other}` if that is wrong, \
             or `dingsync link --replace` to take it from there",
            label = entity.label()
        ),
    };
    Err(AnswerError::Refused(text))
}

/// A key as it can be stored.
fn key(text: &str) -> Result<String, AnswerError> {
    let key = text.trim();
    match key.chars().count() {
        1..=LONGEST_KEY => Ok(key.to_owned()),
        0 => Err(AnswerError::Unusable("the key of the OA's row is missing".to_owned())),
        _ => Err(AnswerError::Unusable(format!(
            "the key of the OA's row has more than {LONGEST_KEY} characters"
        ))),
    }
}

enum Joined {
    Linked(Link),
    /// The object has this row.
    ObjectTaken(String),
    /// The row is this object's.
    RowTaken(String),
}

struct Join {
    corp_id: String,
    wish: LinkWish,
    is_filled: bool,
    who: String,
    now: Timestamp,
}

impl Operation for Join {
    type Output = Joined;

    async fn run(&self, conn: &mut Conn) -> Result<Joined, StoreError> {
        let (corp_id, LinkWish { entity, ding_id, oa_id, replaces }) = (self.corp_id.as_str(), &self.wish);
        let own = conn.link(corp_id, *entity, ding_id).await?;
        let is_there = own.as_ref().is_some_and(|own| own.oa_id == *oa_id);
        let other =
            conn.link_of_row(corp_id, *entity, oa_id).await?.filter(|other| other.ding_id != *ding_id);
        if !replaces {
            if let Some(own) = own.as_ref().filter(|_| !is_there) {
                return Ok(Joined::ObjectTaken(own.oa_id.clone()));
            }
            if let Some(other) = other {
                return Ok(Joined::RowTaken(other.ding_id));
            }
        } else if let Some(other) = &other {
            conn.drop_link(corp_id, *entity, &other.ding_id).await?;
        }
        if !is_there {
            conn.drop_link(corp_id, *entity, ding_id).await?;
            conn.add_link(corp_id, *entity, (ding_id, oa_id), LinkedBy::Command, self.now).await?;
        }
        if self.is_filled {
            conn.mark_apply_rekeyed(corp_id, *entity, ding_id, self.now).await?;
            // Later: until the row has its new values, `find` would bring it for the other one.
            if let Some(other) = &other {
                conn.mark_apply_rekeyed(corp_id, *entity, &other.ding_id, self.now).await?;
            }
        }
        let subject = json!({
            "entity": entity.label(),
            "oa_id": oa_id,
            "ding_id": ding_id,
            "instead_of": own.filter(|_| !is_there).map(|own| own.oa_id),
            "taken_from": other.map(|other| other.ding_id),
        });
        conn.note_audit(corp_id, &self.who, "link", &subject, self.now).await?;
        let link = conn.link(corp_id, *entity, ding_id).await?;
        link.map(Joined::Linked)
            .ok_or_else(|| StoreError::Schema("the row of ding_link is gone that was just made".to_owned()))
    }
}

/// Forgets the link of an object; where a key is given, only one with that row. Neither the object nor the row changes.
/// With `is_filled` the object is applied again: its row is looked for anew.
pub async fn unlink(
    store: &Store,
    corp_id: &str,
    (entity, ding_id): (Entity, &str),
    oa_id: Option<&str>,
    is_filled: bool,
    requester: &Requester<'_>,
) -> Result<LinkLine, AnswerError> {
    let part = Part {
        corp_id: corp_id.to_owned(),
        entity,
        ding_id: ding_id.to_owned(),
        oa_id: oa_id.map(|oa_id| oa_id.trim().to_owned()),
        is_filled,
        who: requester.who.to_owned(),
        now: requester.now,
    };
    let object = format!("{} {ding_id}", entity.label());
    match store.write(part).await?.output {
        Parted::Unlinked(link) => Ok(LinkLine::of(entity, link)),
        Parted::Another(other) => {
            Err(AnswerError::Refused(format!("{object} is linked with the row {other}, not with that one")))
        }
        Parted::Unknown => Err(AnswerError::Unknown(format!("{object} is linked with no row"))),
    }
}

enum Parted {
    Unlinked(Link),
    /// It is linked with another row.
    Another(String),
    /// It has no link.
    Unknown,
}

struct Part {
    corp_id: String,
    entity: Entity,
    ding_id: String,
    oa_id: Option<String>,
    is_filled: bool,
    who: String,
    now: Timestamp,
}

impl Operation for Part {
    type Output = Parted;

    async fn run(&self, conn: &mut Conn) -> Result<Parted, StoreError> {
        let (corp_id, ding_id) = (self.corp_id.as_str(), self.ding_id.as_str());
        let Some(link) = conn.link(corp_id, self.entity, ding_id).await? else {
            return Ok(Parted::Unknown);
        };
        if self.oa_id.as_ref().is_some_and(|oa_id| *oa_id != link.oa_id) {
            return Ok(Parted::Another(link.oa_id));
        }
        conn.drop_link(corp_id, self.entity, ding_id).await?;
        if self.is_filled {
            conn.mark_apply_rekeyed(corp_id, self.entity, ding_id, self.now).await?;
        }
        let subject = json!({ "entity": self.entity.label(), "oa_id": link.oa_id, "ding_id": ding_id });
        conn.note_audit(corp_id, &self.who, "unlink", &subject, self.now).await?;
        Ok(Parted::Unlinked(link))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_what_can_be_stored() {
        assert_eq!(key(" 17 ").unwrap(), "17");
        assert!(key(&"键".repeat(LONGEST_KEY)).is_ok());
        for wrong in [String::new(), "  ".to_owned(), "9".repeat(LONGEST_KEY + 1)] {
            assert!(matches!(key(&wrong), Err(AnswerError::Unusable(_))), "{wrong}");
        }
    }
}
