//! Deletions that the guard was asked about: what is held, what is admitted, and who decided.

use std::collections::HashMap;

use jiff::Timestamp;

use super::change::Entity;
use super::error::StoreError;
use super::insert::Insert;
use super::sql::{Row, Value, args};
use crate::store::conn::Conn;

/// Where a deletion stands that the guard was asked about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum HeldState {
    /// It waits for a person.
    Held,
    /// A comparison found it, and with all the others of its kind it is within the limits.
    Admitted,
    /// A person wants it; the object's next read does it.
    Approved,
    /// A person does not want it: the row stays until the object is seen again or another run finds it gone.
    Discarded,
    /// It was approved, and is done.
    Deleted,
}

impl HeldState {
    const ALL: [Self; 5] = [Self::Held, Self::Admitted, Self::Approved, Self::Discarded, Self::Deleted];

    /// The word in `dingsync_held.state`.
    pub fn label(self) -> &'static str {
        match self {
            Self::Held => "held",
            Self::Admitted => "admitted",
            Self::Approved => "approved",
            Self::Discarded => "discarded",
            Self::Deleted => "deleted",
        }
    }

    fn read(row: &Row, column: usize) -> Result<Self, StoreError> {
        let label = row.text(column)?.unwrap_or_default();
        let known = Self::ALL.into_iter().find(|state| state.label() == label);
        known.ok_or_else(|| StoreError::Schema(format!("a held deletion is in an unknown state, {label}")))
    }
}

/// What the guard holds, of one kind and found by one run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeldGroup {
    /// Which kind.
    pub entity: Entity,
    /// The run that found them gone; 0 for reads that belonged to none.
    pub run_id: i64,
    /// How many.
    pub count: i64,
    /// When the first was found.
    pub since: Option<Timestamp>,
}

/// What is on record of an object's deletion.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeldRecord {
    /// Where it stands.
    pub state: HeldState,
    /// When a person decided.
    pub decided_at: Option<Timestamp>,
    /// Who: `command line: USER`, or `token NAME`.
    pub decided_by: Option<String>,
}

fn entity_of(row: &Row, column: usize) -> Result<Entity, StoreError> {
    let label = row.text(column)?.unwrap_or_default();
    let known = Entity::ALL.into_iter().find(|entity| entity.label() == label);
    known.ok_or_else(|| StoreError::Schema(format!("a held deletion names an unknown entity, {label}")))
}

impl Conn {
    /// Takes the organisation's turn at counting deletions, until the end of the transaction.
    pub async fn take_guard(&mut self, corp_id: &str) -> Result<(), StoreError> {
        let ending = self.dialect().merge("corp_id", "turn = dingsync_guard.turn + 1");
        let sql = format!("INSERT INTO dingsync_guard (corp_id, turn) VALUES (?, 1) {ending}");
        // Only a row that is known to be taken makes what is read after it the last word.
        self.count(sql, args![corp_id]).await.map(drop)
    }

    /// Where the deletion of an object stands, if the guard was asked about it.
    pub async fn held_state(
        &mut self,
        corp_id: &str,
        entity: Entity,
        entity_id: &str,
    ) -> Result<Option<HeldState>, StoreError> {
        let sql = "SELECT state FROM dingsync_held WHERE corp_id = ? AND entity = ? AND entity_id = ?";
        let row = self.row(sql, args![corp_id, entity.label(), entity_id]).await?;
        row.map(|row| HeldState::read(&row, 0)).transpose()
    }

    /// The same with who decided, and when.
    pub async fn held_record(
        &mut self,
        corp_id: &str,
        entity: Entity,
        entity_id: &str,
    ) -> Result<Option<HeldRecord>, StoreError> {
        let sql = "SELECT state, decided_at, decided_by FROM dingsync_held \
                   WHERE corp_id = ? AND entity = ? AND entity_id = ?";
        let row = self.row(sql, args![corp_id, entity.label(), entity_id]).await?;
        row.map(|row| {
            let state = HeldState::read(&row, 0)?;
            Ok(HeldRecord { state, decided_at: row.millisecond(1)?, decided_by: row.text(2)? })
        })
        .transpose()
    }

    /// The same for several objects of a kind.
    pub async fn held_states(
        &mut self,
        corp_id: &str,
        entity: Entity,
        ids: &[String],
    ) -> Result<HashMap<String, HeldState>, StoreError> {
        let keys: Vec<Value> = ids.iter().map(Value::from).collect();
        let same = [("corp_id", corp_id.into()), ("entity", entity.label().into())];
        let rows = self.rows_listed("entity_id, state", "dingsync_held", &same, "entity_id", &keys).await?;
        rows.iter().map(|row| Ok((row.text(0)?.unwrap_or_default(), HeldState::read(row, 1)?))).collect()
    }

    /// Notes where the deletions of these objects stand. No decision of an earlier time is left.
    pub async fn put_held(
        &mut self,
        corp_id: &str,
        entity: Entity,
        ids: &[String],
        state: HeldState,
        run_id: i64,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let columns =
            ["corp_id", "entity", "entity_id", "state", "run_id", "found_at", "decided_at", "decided_by"];
        let ending = self.dialect().overwrite("corp_id, entity, entity_id", &columns[3..]);
        let row = |id: &String| {
            [
                corp_id.into(),
                entity.label().into(),
                Value::from(id),
                state.label().into(),
                run_id.into(),
                now.as_millisecond().into(),
                Value::Null,
                Value::Null,
            ]
        };
        let insert = Insert { table: "dingsync_held", columns: &columns, ending: &ending };
        self.insert_rows(&insert, ids.iter().flat_map(row).collect()).await
    }

    /// Forgets that an object was ever held: it is back, or its deletion was nobody's decision.
    pub async fn forget_held(
        &mut self,
        corp_id: &str,
        entity: Entity,
        entity_id: &str,
    ) -> Result<(), StoreError> {
        let sql = "DELETE FROM dingsync_held WHERE corp_id = ? AND entity = ? AND entity_id = ?";
        self.execute(sql, args![corp_id, entity.label(), entity_id]).await
    }

    /// Notes that an approved deletion is done. Who approved it stays on record until the object is back.
    pub async fn note_approved_deletion(
        &mut self,
        corp_id: &str,
        entity: Entity,
        entity_id: &str,
    ) -> Result<(), StoreError> {
        let sql = "UPDATE dingsync_held SET state = 'deleted' \
                   WHERE corp_id = ? AND entity = ? AND entity_id = ?";
        self.execute(sql, args![corp_id, entity.label(), entity_id]).await
    }

    /// What is held, by kind and run.
    pub async fn held_groups(&mut self, corp_id: &str) -> Result<Vec<HeldGroup>, StoreError> {
        let sql = "SELECT entity, run_id, count(*), min(found_at) FROM dingsync_held \
                   WHERE corp_id = ? AND state = 'held' GROUP BY entity, run_id ORDER BY run_id, entity";
        let rows = self.rows(sql, args![corp_id]).await?;
        rows.iter()
            .map(|row| {
                Ok(HeldGroup {
                    entity: entity_of(row, 0)?,
                    run_id: row.integer(1)?.unwrap_or_default(),
                    count: row.integer(2)?.unwrap_or_default(),
                    since: row.millisecond(3)?,
                })
            })
            .collect()
    }

    /// How many objects are held.
    pub async fn held_count(&mut self, corp_id: &str) -> Result<i64, StoreError> {
        let sql = "SELECT count(*) FROM dingsync_held WHERE corp_id = ? AND state = 'held'";
        self.number(sql, args![corp_id]).await
    }

    /// The held objects, of one run or of all, with the run that found each.
    pub async fn held_objects(
        &mut self,
        corp_id: &str,
        run_id: Option<i64>,
    ) -> Result<Vec<(Entity, String, i64)>, StoreError> {
        let sql = "SELECT entity, entity_id, run_id FROM dingsync_held \
                   WHERE corp_id = ? AND state = 'held' ORDER BY entity, entity_id";
        let mut objects = Vec::new();
        for row in self.rows(sql, args![corp_id]).await? {
            let found_by = row.integer(2)?.unwrap_or_default();
            if run_id.is_none_or(|wanted| wanted == found_by) {
                objects.push((entity_of(&row, 0)?, row.text(1)?.unwrap_or_default(), found_by));
            }
        }
        Ok(objects)
    }

    /// Notes what a person decided on what is held, of one run or of all.
    pub async fn decide_held(
        &mut self,
        corp_id: &str,
        run_id: Option<i64>,
        state: HeldState,
        who: &str,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let sql = "UPDATE dingsync_held SET state = ?, decided_at = ?, decided_by = ? \
                   WHERE corp_id = ? AND state = 'held'";
        let (state, at) = (state.label(), now.as_millisecond());
        match run_id {
            None => self.execute(sql, args![state, at, who, corp_id]).await,
            Some(run_id) => {
                self.execute(format!("{sql} AND run_id = ?"), args![state, at, who, corp_id, run_id]).await
            }
        }
    }

    /// Of what was approved at a moment: how many are deleted, and how many still wait. The others are back.
    pub async fn approved_at(&mut self, corp_id: &str, at: Timestamp) -> Result<(i64, i64), StoreError> {
        let sql = "SELECT count(*) FROM dingsync_held WHERE corp_id = ? AND state = ? AND decided_at = ?";
        let at = at.as_millisecond();
        let deleted = self.number(sql, args![corp_id, HeldState::Deleted.label(), at]).await?;
        Ok((deleted, self.number(sql, args![corp_id, HeldState::Approved.label(), at]).await?))
    }
}
