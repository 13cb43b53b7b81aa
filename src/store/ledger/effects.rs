//! What operations want of the ledger, put off to the end of their transaction and done there in the order of the keys.
//!
//! Two transactions that touch the same objects take their rows in the same order, whatever the operations in them did
//! in between, and so never wait for each other in a circle.

use jiff::Timestamp;

use super::hint::Marking;
use super::{Claim, Hint, Kind};
use crate::store::conn::Conn;
use crate::store::dialect::Dialect;
use crate::store::error::StoreError;
use crate::store::sql::{Value, args};

/// Everything that waits for the end of the transaction.
#[derive(Debug, Default)]
pub(in crate::store) struct Effects {
    updates: Vec<Update>,
    marks: Vec<Mark>,
}

impl Effects {
    pub(in crate::store) fn clear(&mut self) {
        self.updates.clear();
        self.marks.clear();
    }
}

/// A change of a row by the worker that holds it.
#[derive(Debug)]
struct Update {
    corp: i64,
    kind: Kind,
    object_id: String,
    sql: String,
    args: Vec<Value>,
    /// Without the lease, the whole transaction is void.
    is_fenced: bool,
}

#[derive(Debug)]
struct Mark {
    corp: i64,
    hint: Hint,
    now: Timestamp,
    marking: Marking,
}

type Key = (i64, &'static str, String);

impl Conn {
    /// At the end of the transaction, changes the row of a claimed object. The statement gets the number of the row and
    /// the lease as its last arguments.
    pub(super) fn put_off_update(
        &mut self,
        claim: &Claim,
        assignments: &str,
        args: &[Value],
        is_fenced: bool,
    ) {
        let mut args = args.to_vec();
        args.extend_from_slice(args![claim.id, claim.lease]);
        self.effects.updates.push(Update {
            corp: claim.corp,
            kind: claim.kind,
            object_id: claim.object_id.clone(),
            sql: format!("UPDATE dingsync_object SET {assignments} WHERE id = ? AND lease = ?"),
            args,
            is_fenced,
        });
    }

    /// At the end of the transaction, marks objects.
    pub(super) async fn put_off_marks(
        &mut self,
        corp_id: &str,
        hints: &[Hint],
        now: Timestamp,
        marking: Marking,
    ) -> Result<(), StoreError> {
        let corp = self.corp_number(corp_id).await?;
        let marks = hints.iter().map(|hint| Mark { corp, hint: hint.clone(), now, marking });
        self.effects.marks.extend(marks);
        Ok(())
    }

    pub(in crate::store) async fn apply_effects(&mut self) -> Result<(), StoreError> {
        let Effects { mut updates, marks } = std::mem::take(&mut self.effects);
        self.lock_rows(&updates, &marks).await?;
        updates.sort_by(|left, right| left.key().cmp(&right.key()));
        let statements: Vec<(&str, &[Value])> =
            updates.iter().map(|update| (update.sql.as_str(), update.args.as_slice())).collect();
        let found = self.count_each(&statements).await?;
        if updates.iter().zip(found).any(|(update, found)| update.is_fenced && found != 1) {
            return Err(StoreError::LeaseLost);
        }
        let mut rest = marks;
        while let Some(first) = rest.first() {
            let (corp, marking) = (first.corp, first.marking);
            let (alike, others): (Vec<Mark>, Vec<Mark>) =
                rest.into_iter().partition(|mark| (mark.corp, mark.marking) == (corp, marking));
            let now = alike.iter().map(|mark| mark.now).max().unwrap_or_default();
            let hints: Vec<Hint> = alike.into_iter().map(|mark| mark.hint).collect();
            self.mark_now(corp, &hints, now, marking).await?;
            rest = others;
        }
        Ok(())
    }

    /// Takes the rows that are there already, in the order of their keys. A single one needs no order.
    async fn lock_rows(&mut self, updates: &[Update], marks: &[Mark]) -> Result<(), StoreError> {
        if self.dialect() == Dialect::Sqlite {
            return Ok(());
        }
        let mut keys: Vec<Key> = updates.iter().map(Update::key).collect();
        keys.extend(marks.iter().map(|mark| {
            let Hint { kind, object_id, .. } = &mark.hint;
            (mark.corp, kind.label(), object_id.clone())
        }));
        keys.sort();
        keys.dedup();
        if keys.len() < 2 || updates.is_empty() {
            return Ok(());
        }
        for alike in
            keys.chunk_by(|(corp, kind, _), (other, other_kind, _)| (corp, kind) == (other, other_kind))
        {
            let Some((corp, kind, _)) = alike.first() else { continue };
            let same = [("corp", (*corp).into()), ("kind", (*kind).into())];
            let ids: Vec<Value> = alike.iter().map(|(_, _, object_id)| object_id.into()).collect();
            self.lock_listed("dingsync_object", &same, "object_id", &ids).await?;
        }
        Ok(())
    }
}

impl Update {
    fn key(&self) -> Key {
        (self.corp, self.kind.label(), self.object_id.clone())
    }
}
