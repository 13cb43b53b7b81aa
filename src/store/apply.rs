//! How far the OA's own tables follow the mirror: the cursor, what is due or parked, and the memberships that were put
//! there.

use std::collections::HashSet;

use jiff::Timestamp;

use super::change::Entity;
use super::conn::Conn;
use super::error::StoreError;
use super::insert::Insert;
use super::sql::{Row, Value, args, texts_of};

/// What is being done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ApplyPhase {
    /// The first pull is not complete: a half mirror is applied to nothing.
    Waiting,
    /// Every object of the mirror is applied, one after the other.
    Walking,
    /// Changes are applied as they come.
    Following,
}

impl ApplyPhase {
    const ALL: [Self; 3] = [Self::Waiting, Self::Walking, Self::Following];

    /// Its word, also in the status.
    pub fn label(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Walking => "walking",
            Self::Following => "following",
        }
    }
}

/// Why nothing gets on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApplyTrouble {
    /// `away`, `read_only`, `denied`, `mismatch`, `busy`, …
    pub kind: String,
    /// In words.
    pub text: String,
    /// Since when.
    pub since: Option<Timestamp>,
}

/// Where the application of an organisation's changes is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApplyRecord {
    /// The NAME of `[apply.NAME]`.
    pub name: String,
    /// The last change that was applied.
    pub seq: i64,
    /// What is being done.
    pub phase: ApplyPhase,
    /// The last object that the walk has passed: its entity's word and its id.
    pub walked: Option<(String, String)>,
    /// A walk was asked for and has not begun.
    pub wants_walk: bool,
    /// How many walks were asked for.
    pub walks_wanted: i64,
    /// How many of these have begun.
    pub walks_begun: i64,
    /// A digest of the statements that the last walk ran.
    pub mapping: Option<String>,
    /// Where the OA's tables were that it wrote.
    pub place: Option<String>,
    /// Why nothing gets on, where nothing does.
    pub trouble: Option<ApplyTrouble>,
    /// When something was applied last.
    pub applied_at: Option<Timestamp>,
}

impl ApplyRecord {
    /// Whether the last walk ran other statements than those with this digest.
    pub fn walked_with_others(&self, digest: &str) -> bool {
        self.mapping.as_ref().is_some_and(|walked| walked != digest)
    }
}

/// What an object waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ApplyState {
    /// Its turn.
    Due,
    /// That somebody mends what the OA's database refuses, or a change of its own.
    Parked,
    /// That a person lets it go: `when` leaves out more than the deletion guard allows at once.
    Held,
}

impl ApplyState {
    /// The word in `dingsync_apply_object.state`.
    pub fn label(self) -> &'static str {
        match self {
            Self::Due => "due",
            Self::Parked => "parked",
            Self::Held => "held",
        }
    }
}

/// An object whose row in the OA is not yet as it is to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApplyObject {
    /// What it is.
    pub entity: String,
    /// The object's id.
    pub ding_id: String,
    /// `due`, `parked` or `held`.
    pub state: String,
    /// Which statement was refused, such as `employee.upsert`.
    pub statement: Option<String>,
    /// In which words. They may quote values: they are for operators, and for no log.
    pub message: Option<String>,
    /// How often it was tried without success.
    pub attempts: i64,
    /// Since when.
    pub since: Option<Timestamp>,
    /// How often it was marked.
    pub marks: i64,
    /// A person has given it another row: what shows its key is due with it.
    pub is_rekeyed: bool,
}

/// How much is left to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ApplyCounts {
    /// Objects that wait for their turn.
    pub due: i64,
    /// Objects that the OA's database refuses.
    pub parked: i64,
    /// Objects that `when` leaves out and that the guard holds.
    pub held: i64,
}

/// Which memberships.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MemberOf {
    /// `ding_employee_department`
    Departments,
    /// `ding_employee_role`
    Roles,
}

impl MemberOf {
    /// The word in `dingsync_apply_member.entity`.
    pub fn label(self) -> &'static str {
        match self {
            Self::Departments => "employee_department",
            Self::Roles => "employee_role",
        }
    }
}

const OBJECT: &str = "entity, ding_id, state, statement, message, attempts, since, marks, rekeyed";

impl Conn {
    /// Where the application of an organisation's changes is; `None` before the first time.
    pub async fn apply_record(&mut self, corp_id: &str) -> Result<Option<ApplyRecord>, StoreError> {
        let sql = "SELECT name, seq, phase, walk_entity, walk_after, walks_wanted, walks_begun, mapping, trouble, \
                   trouble_text, trouble_since, applied_at, place FROM dingsync_apply WHERE corp_id = ?";
        let row = self.row(sql, args![corp_id]).await?;
        row.map(|row| {
            let phase = row.text(2)?.unwrap_or_default();
            let phase = ApplyPhase::ALL.into_iter().find(|known| known.label() == phase);
            let kind = row.text(8)?;
            let text = row.text(9)?.unwrap_or_default();
            let since = row.millisecond(10)?;
            let (walks_wanted, walks_begun) =
                (row.integer(5)?.unwrap_or_default(), row.integer(6)?.unwrap_or_default());
            Ok(ApplyRecord {
                name: row.text(0)?.unwrap_or_default(),
                seq: row.integer(1)?.unwrap_or_default(),
                phase: phase.unwrap_or(ApplyPhase::Waiting),
                walked: row.text(3)?.zip(row.text(4)?),
                wants_walk: walks_begun < walks_wanted,
                walks_wanted,
                walks_begun,
                mapping: row.text(7)?,
                trouble: kind.map(|kind| ApplyTrouble { kind, text, since }),
                applied_at: row.millisecond(11)?,
                place: row.text(12)?,
            })
        })
        .transpose()
    }

    /// Makes the row of an organisation that is applied for the first time, or under another name.
    pub(crate) async fn introduce_apply(&mut self, corp_id: &str, name: &str) -> Result<(), StoreError> {
        let sql = format!(
            "INSERT INTO dingsync_apply (corp_id, name) VALUES (?, ?) {}",
            self.dialect().overwrite("corp_id", &["name"])
        );
        self.execute(sql, args![corp_id, name]).await
    }

    /// Begins a walk over the whole mirror. From `seq` on the log is followed beside it, where that is not done already.
    pub(crate) async fn begin_apply_walk(
        &mut self,
        corp_id: &str,
        (mapping, place): (&str, &str),
        seq: Option<i64>,
        walks: i64,
    ) -> Result<(), StoreError> {
        let sql = "UPDATE dingsync_apply SET phase = 'walking', walk_entity = NULL, walk_after = NULL, mapping = ?, \
                   place = ?, walks_begun = ? WHERE corp_id = ?";
        self.execute(sql, args![mapping, place, walks, corp_id]).await?;
        match seq {
            Some(seq) => {
                self.execute("UPDATE dingsync_apply SET seq = ? WHERE corp_id = ?", args![seq, corp_id]).await
            }
            None => Ok(()),
        }
    }

    /// Notes how far the walk has come; `None` at its end.
    pub(crate) async fn set_apply_walk(
        &mut self,
        corp_id: &str,
        walked: Option<(&str, &str)>,
    ) -> Result<(), StoreError> {
        let phase = if walked.is_some() { ApplyPhase::Walking } else { ApplyPhase::Following };
        let (entity, after) = walked.unzip();
        let sql = "UPDATE dingsync_apply SET phase = ?, walk_entity = ?, walk_after = ? WHERE corp_id = ?";
        self.execute(sql, args![phase.label(), entity, after, corp_id]).await
    }

    /// Notes the last change that was applied. A process that is late does not set it back.
    pub(crate) async fn set_apply_seq(&mut self, corp_id: &str, seq: i64) -> Result<(), StoreError> {
        let sql = "UPDATE dingsync_apply SET seq = ? WHERE corp_id = ? AND seq < ?";
        self.execute(sql, args![seq, corp_id, seq]).await
    }

    /// The last change that was applied.
    pub(crate) async fn apply_seq(&mut self, corp_id: &str) -> Result<i64, StoreError> {
        self.number("SELECT seq FROM dingsync_apply WHERE corp_id = ?", args![corp_id]).await
    }

    /// Notes that something was applied: whatever was in the way is over.
    pub(crate) async fn set_applied(&mut self, corp_id: &str, now: Timestamp) -> Result<(), StoreError> {
        let sql = "UPDATE dingsync_apply SET applied_at = ?, trouble = NULL, trouble_text = NULL, \
                   trouble_since = NULL WHERE corp_id = ?";
        self.execute(sql, args![now.as_millisecond(), corp_id]).await
    }

    /// Notes what is in the way, or that nothing is. The time of the same trouble stays.
    pub(crate) async fn set_apply_trouble(
        &mut self,
        corp_id: &str,
        trouble: Option<(&str, &str)>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let Some((kind, text)) = trouble else {
            let sql = "UPDATE dingsync_apply SET trouble = NULL, trouble_text = NULL, trouble_since = NULL \
                       WHERE corp_id = ?";
            return self.execute(sql, args![corp_id]).await;
        };
        let sql = "UPDATE dingsync_apply SET trouble_since = ? \
                   WHERE corp_id = ? AND (trouble IS NULL OR trouble <> ?)";
        self.execute(sql, args![now.as_millisecond(), corp_id, kind]).await?;
        let sql = "UPDATE dingsync_apply SET trouble = ?, trouble_text = ? WHERE corp_id = ?";
        self.execute(sql, args![kind, text, corp_id]).await
    }

    /// Other organisations that fill the tables in the same place.
    pub(crate) async fn neighbours_in_apply(
        &mut self,
        corp_id: &str,
        place: &str,
    ) -> Result<Vec<String>, StoreError> {
        let sql = "SELECT corp_id FROM dingsync_apply WHERE place = ? AND corp_id <> ?";
        let rows = self.rows(sql, args![place, corp_id]).await?;
        texts_of(&rows)
    }

    /// Asks for a walk over the whole mirror.
    pub async fn request_apply_walk(&mut self, corp_id: &str) -> Result<(), StoreError> {
        let sql = "UPDATE dingsync_apply SET walks_wanted = walks_wanted + 1 WHERE corp_id = ?";
        self.execute(sql, args![corp_id]).await
    }

    /// How much is left to do.
    pub async fn apply_counts(&mut self, corp_id: &str) -> Result<ApplyCounts, StoreError> {
        let sql = "SELECT state, count(*) FROM dingsync_apply_object WHERE corp_id = ? GROUP BY state";
        let mut counts = ApplyCounts::default();
        for row in self.rows(sql, args![corp_id]).await? {
            let count = row.integer(1)?.unwrap_or_default();
            match row.text(0)?.as_deref() {
                Some("parked") => counts.parked = count,
                Some("held") => counts.held = count,
                _ => counts.due = count,
            }
        }
        Ok(counts)
    }

    /// Objects in a state, those that have been in it longest first.
    pub async fn apply_objects(
        &mut self,
        corp_id: &str,
        state: ApplyState,
        limit: usize,
    ) -> Result<Vec<ApplyObject>, StoreError> {
        let sql = format!(
            "SELECT {OBJECT} FROM dingsync_apply_object WHERE corp_id = ? AND state = ? ORDER BY id LIMIT ?"
        );
        let rows = self.rows(sql, args![corp_id, state.label(), limit]).await?;
        rows.iter().map(object_of).collect()
    }

    /// What is on record of one object; `None` where all is as it is to be.
    pub async fn apply_object(
        &mut self,
        corp_id: &str,
        entity: Entity,
        ding_id: &str,
    ) -> Result<Option<ApplyObject>, StoreError> {
        let sql = format!(
            "SELECT {OBJECT} FROM dingsync_apply_object WHERE corp_id = ? AND entity = ? AND ding_id = ?"
        );
        let row = self.row(sql, args![corp_id, entity.label(), ding_id]).await?;
        row.as_ref().map(object_of).transpose()
    }

    /// Gives an object its turn.
    pub async fn mark_apply(
        &mut self,
        corp_id: &str,
        entity: Entity,
        ding_id: &str,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        self.mark_apply_all(corp_id, &[(entity, ding_id.to_owned())], now).await
    }

    /// Gives objects their turn, whether they were parked or not.
    pub(crate) async fn mark_apply_all(
        &mut self,
        corp_id: &str,
        objects: &[(Entity, String)],
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let ending = self
            .dialect()
            .merge("corp_id, entity, ding_id", "state = 'due', marks = dingsync_apply_object.marks + 1");
        let columns = ["corp_id", "entity", "ding_id", "state", "since"];
        let insert = Insert { table: "dingsync_apply_object", columns: &columns, ending: &ending };
        let values = objects.iter().flat_map(|(entity, id)| {
            [
                corp_id.into(),
                entity.label().into(),
                Value::from(id),
                ApplyState::Due.label().into(),
                now.as_millisecond().into(),
            ]
        });
        self.insert_rows(&insert, values.collect()).await
    }

    /// Gives an object its turn to which a person has given another row, or none.
    pub async fn mark_apply_rekeyed(
        &mut self,
        corp_id: &str,
        entity: Entity,
        ding_id: &str,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        self.mark_apply(corp_id, entity, ding_id, now).await?;
        let sql = "UPDATE dingsync_apply_object SET rekeyed = 1 \
                   WHERE corp_id = ? AND entity = ? AND ding_id = ?";
        self.execute(sql, args![corp_id, entity.label(), ding_id]).await
    }

    /// Gives everything that is parked its turn, and tells how much that is.
    pub async fn retry_parked_apply(&mut self, corp_id: &str) -> Result<u64, StoreError> {
        let sql = "UPDATE dingsync_apply_object SET state = 'due', marks = marks + 1 \
                   WHERE corp_id = ? AND state = 'parked'";
        self.count(sql, args![corp_id]).await
    }

    /// Lets what is held go, one object or all of them, gives it its turn, and tells how much that is.
    pub async fn let_go(&mut self, corp_id: &str, object: Option<(Entity, &str)>) -> Result<u64, StoreError> {
        let which = if object.is_some() { "AND entity = ? AND ding_id = ?" } else { "" };
        let mut args: Vec<Value> = vec![corp_id.into(), ApplyState::Held.label().into()];
        args.extend(object.into_iter().flat_map(|(entity, id)| [entity.label().into(), id.into()]));
        let held = format!("FROM dingsync_apply_object WHERE corp_id = ? AND state = ? {which}");
        let mut values = Vec::new();
        for row in self.rows(format!("SELECT entity, ding_id {held}"), &args).await? {
            values.extend([corp_id.into(), row.text(0)?.into(), row.text(1)?.into()]);
        }
        let columns = &["corp_id", "entity", "ding_id"];
        let ending = self.dialect().keep("corp_id, entity, ding_id");
        let insert = Insert { table: "dingsync_apply_let_go", columns, ending: &ending };
        self.insert_rows(&insert, values).await?;
        let sql = format!(
            "UPDATE dingsync_apply_object SET state = 'due', marks = marks + 1 \
             WHERE corp_id = ? AND state = ? {which}"
        );
        self.count(sql, &args).await
    }

    /// Whether a person has let an object go.
    pub(crate) async fn is_let_go(
        &mut self,
        corp_id: &str,
        entity: Entity,
        ding_id: &str,
    ) -> Result<bool, StoreError> {
        let sql = "SELECT count(*) FROM dingsync_apply_let_go \
                   WHERE corp_id = ? AND entity = ? AND ding_id = ?";
        Ok(self.number(sql, args![corp_id, entity.label(), ding_id]).await? > 0)
    }

    /// Parks an object or notes that it is held, once more where it is so already, unless it was marked since `marks` were
    /// seen.
    pub(crate) async fn park_apply(
        &mut self,
        corp_id: &str,
        entity: Entity,
        ding_id: &str,
        (state, statement, message): (ApplyState, &str, &str),
        marks: i64,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let dialect = self.dialect();
        let incoming = |column| dialect.incoming(column);
        let assignments = format!(
            "attempts = dingsync_apply_object.attempts + 1, \
             state = CASE WHEN dingsync_apply_object.marks > {marks} THEN 'due' ELSE {} END, \
             statement = {}, message = {}",
            incoming("state"),
            incoming("statement"),
            incoming("message")
        );
        let sql = format!(
            "INSERT INTO dingsync_apply_object (corp_id, entity, ding_id, state, statement, message, attempts, since) \
             VALUES (?, ?, ?, ?, ?, ?, 1, ?) {}",
            self.dialect().merge("corp_id, entity, ding_id", &assignments),
        );
        let now = now.as_millisecond();
        let args = args![corp_id, entity.label(), ding_id, state.label(), statement, message, now];
        self.execute(sql, args).await
    }

    /// Forgets in which words a person's values were refused: they may be quoted there.
    pub(crate) async fn forget_apply_message(
        &mut self,
        corp_id: &str,
        userid: &str,
    ) -> Result<(), StoreError> {
        let sql = "UPDATE dingsync_apply_object SET message = NULL \
                   WHERE corp_id = ? AND entity = ? AND ding_id = ?";
        self.execute(sql, args![corp_id, Entity::Employee.label(), userid]).await
    }

    /// Notes that an object is as it is to be, unless it was marked since `marks` were seen.
    pub(crate) async fn settle_apply(
        &mut self,
        corp_id: &str,
        entity: Entity,
        ding_id: &str,
        marks: i64,
    ) -> Result<(), StoreError> {
        let sql = "DELETE FROM dingsync_apply_object \
                   WHERE corp_id = ? AND entity = ? AND ding_id = ? AND marks <= ?";
        self.execute(sql, args![corp_id, entity.label(), ding_id, marks]).await?;
        let sql = "DELETE FROM dingsync_apply_let_go WHERE corp_id = ? AND entity = ? AND ding_id = ?";
        self.execute(sql, args![corp_id, entity.label(), ding_id]).await
    }

    /// Those of the objects that have been looked at: they have a row in the OA, or wait for something.
    pub(crate) async fn apply_known(
        &mut self,
        corp_id: &str,
        entity: Entity,
        ids: &[String],
    ) -> Result<Vec<String>, StoreError> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let same = [("corp_id", corp_id.into()), ("entity", entity.label().into())];
        let keys: Vec<Value> = ids.iter().map(Value::from).collect();
        let mut known = HashSet::new();
        for table in ["ding_link", "dingsync_apply_object"] {
            known.extend(texts_of(&self.rows_listed("ding_id", table, &same, "ding_id", &keys).await?)?);
        }
        Ok(known.into_iter().collect())
    }

    /// Those of the objects that are parked.
    pub(crate) async fn parked_apply(
        &mut self,
        corp_id: &str,
        entity: Entity,
        ids: &[String],
    ) -> Result<Vec<String>, StoreError> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let state = ApplyState::Parked.label();
        let same = [("corp_id", corp_id.into()), ("entity", entity.label().into()), ("state", state.into())];
        let keys: Vec<Value> = ids.iter().map(Value::from).collect();
        let rows = self.rows_listed("ding_id", "dingsync_apply_object", &same, "ding_id", &keys).await?;
        texts_of(&rows)
    }

    /// The memberships of somebody that were put into the OA's tables.
    pub(crate) async fn applied_members(
        &mut self,
        corp_id: &str,
        of: MemberOf,
        userid: &str,
    ) -> Result<Vec<i64>, StoreError> {
        let sql = "SELECT other_id FROM dingsync_apply_member \
                   WHERE corp_id = ? AND entity = ? AND userid = ? ORDER BY other_id";
        let rows = self.rows(sql, args![corp_id, of.label(), userid]).await?;
        Ok(rows
            .iter()
            .map(|row| row.integer(0))
            .collect::<Result<Vec<_>, _>>()?
            .into_iter()
            .flatten()
            .collect())
    }

    /// Notes that a membership was put there.
    pub(crate) async fn add_applied_member(
        &mut self,
        corp_id: &str,
        of: MemberOf,
        userid: &str,
        other_id: i64,
    ) -> Result<(), StoreError> {
        let sql = format!(
            "INSERT INTO dingsync_apply_member (corp_id, entity, userid, other_id) VALUES (?, ?, ?, ?) {}",
            self.dialect().keep("corp_id, entity, userid, other_id")
        );
        self.execute(sql, args![corp_id, of.label(), userid, other_id]).await
    }

    /// Notes that a membership was taken out again.
    pub(crate) async fn drop_applied_member(
        &mut self,
        corp_id: &str,
        of: MemberOf,
        userid: &str,
        other_id: i64,
    ) -> Result<(), StoreError> {
        let sql = "DELETE FROM dingsync_apply_member \
                   WHERE corp_id = ? AND entity = ? AND userid = ? AND other_id = ?";
        self.execute(sql, args![corp_id, of.label(), userid, other_id]).await
    }
}

fn object_of(row: &Row) -> Result<ApplyObject, StoreError> {
    Ok(ApplyObject {
        entity: row.text(0)?.unwrap_or_default(),
        ding_id: row.text(1)?.unwrap_or_default(),
        state: row.text(2)?.unwrap_or_default(),
        statement: row.text(3)?,
        message: row.text(4)?,
        attempts: row.integer(5)?.unwrap_or_default(),
        since: row.millisecond(6)?,
        marks: row.integer(7)?.unwrap_or_default(),
        is_rekeyed: row.flag(8)?.unwrap_or_default(),
    })
}
