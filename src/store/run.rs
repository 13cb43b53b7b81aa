//! Runs: work that somebody asked for, queued for whoever has the database, with progress and result.

use std::time::Duration;

use jiff::Timestamp;

use super::change::{Entity, JsonObject, json_array};
use super::error::StoreError;
use super::insert::Insert;
use super::mirror::Difference;
use super::sql::{Row, Value, args};
use crate::store::conn::Conn;

/// What a run does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RunKind {
    /// Pulls everything.
    Bootstrap,
    /// Compares everything and repairs it.
    Reconcile,
    /// Compares everything and reports.
    Verify,
}

impl RunKind {
    const ALL: [Self; 3] = [Self::Bootstrap, Self::Reconcile, Self::Verify];

    /// The word in `dingsync_run.kind`.
    pub fn label(self) -> &'static str {
        match self {
            Self::Bootstrap => "bootstrap",
            Self::Reconcile => "reconcile",
            Self::Verify => "verify",
        }
    }
}

/// Where a run stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RunState {
    /// Nobody has begun it.
    Queued,
    /// Somebody is at it, or was when his process died: then it is begun again.
    Running,
    /// Done, and everything could be read.
    Complete,
    /// Done, but something could not be read.
    Partial,
    /// Given up.
    Failed,
}

impl RunState {
    const ALL: [Self; 5] = [Self::Queued, Self::Running, Self::Complete, Self::Partial, Self::Failed];

    /// The word in `dingsync_run.state`.
    pub fn label(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Complete => "complete",
            Self::Partial => "partial",
            Self::Failed => "failed",
        }
    }

    /// Whether nothing more will happen.
    pub fn is_over(self) -> bool {
        matches!(self, Self::Complete | Self::Partial | Self::Failed)
    }
}

/// A run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// Its number.
    pub id: i64,
    /// Whose.
    pub corp_id: String,
    /// What it does.
    pub kind: RunKind,
    /// Leaves everybody's details out.
    pub quick: bool,
    /// Where it stands.
    pub state: RunState,
    /// When it began.
    pub started_at: Option<Timestamp>,
    /// When it was over.
    pub finished_at: Option<Timestamp>,
    /// What it is doing, in a word.
    pub phase: Option<String>,
    /// Objects done.
    pub progress: i64,
    /// Objects to do, once that is known.
    pub total: Option<i64>,
    /// What could not be read, or why it was given up.
    pub error: Option<String>,
    /// It was given up for a reason that passes by itself.
    pub try_later: bool,
}

/// How DingTalk and the mirror differ in one object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Disagreement {
    /// DingTalk has it, the mirror has not.
    Created,
    /// Both have it, with other values.
    Changed,
    /// The mirror has it, DingTalk has not.
    Gone,
    /// As [`Self::Gone`], but the deletion guard holds the row.
    Held,
    /// The mirror has it, and DingTalk does not show it to us: the row stays as it is, so it is no difference.
    Hidden,
}

impl Disagreement {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Created, Self::Changed, Self::Gone, Self::Held, Self::Hidden];

    /// The word in `dingsync_run_item.difference`.
    pub fn label(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Changed => "changed",
            Self::Gone => "gone",
            Self::Held => "held",
            Self::Hidden => "hidden",
        }
    }
}

/// One thing that a run found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunItem {
    /// What it is about.
    pub entity: Entity,
    /// Its id.
    pub entity_id: String,
    /// How the two differ.
    pub disagreement: Disagreement,
    /// `[{"field":…,"stored":…,"actual":…}]`
    pub fields: String,
}

impl RunItem {
    /// What was found, with the fields that differ.
    pub fn new(
        entity: Entity,
        entity_id: impl Into<String>,
        disagreement: Disagreement,
        fields: &[Difference],
    ) -> Self {
        let fields = json_array(fields.iter().map(|field| {
            let mut object = JsonObject::default();
            object.field("field", &field.field.into());
            object.raw("stored", &field.stored);
            object.raw("actual", &field.actual);
            object
        }));
        Self { entity, entity_id: entity_id.into(), disagreement, fields }
    }
}

/// An interrupted run that is gone on with later than this compares everything again.
const PLACE_HOLDS: Duration = Duration::from_hours(1);

pub(super) const COLUMNS: &str = "id, corp_id, kind, options, state, started_at, finished_at, phase, progress, total, error, \
                       try_later";

impl Conn {
    /// Asks for a run. One of the same kind that nobody has begun is joined.
    pub async fn request_run(
        &mut self,
        corp_id: &str,
        kind: RunKind,
        quick: bool,
        now: Timestamp,
    ) -> Result<i64, StoreError> {
        let options = if quick { "quick" } else { "" };
        let sql = "SELECT id FROM dingsync_run \
                   WHERE corp_id = ? AND state = 'queued' AND kind = ? AND options = ? ORDER BY id LIMIT 1";
        if let Some(row) = self.row(sql, args![corp_id, kind.label(), options]).await? {
            return Ok(row.integer(0)?.unwrap_or_default());
        }
        let sql = "INSERT INTO dingsync_run (corp_id, kind, options, state, requested_at) \
                   VALUES (?, ?, ?, 'queued', ?)";
        self.insert(sql, args![corp_id, kind.label(), options, now.as_millisecond()]).await
    }

    /// The runs of the organisation that are not over, oldest first.
    pub async fn open_runs(&mut self, corp_id: &str) -> Result<Vec<Run>, StoreError> {
        let sql = format!(
            "SELECT {COLUMNS} FROM dingsync_run \
             WHERE corp_id = ? AND state IN ('queued', 'running') ORDER BY id",
        );
        self.rows(sql, args![corp_id]).await?.iter().map(run_of).collect()
    }

    /// The last run of a kind that is over.
    pub(super) async fn last_over(
        &mut self,
        corp_id: &str,
        kind: RunKind,
    ) -> Result<Option<Run>, StoreError> {
        let sql = format!(
            "SELECT {COLUMNS} FROM dingsync_run WHERE corp_id = ? AND state IN ('complete', 'partial', 'failed') \
             AND kind = ? ORDER BY id DESC LIMIT 1"
        );
        self.row(sql, args![corp_id, kind.label()]).await?.map(|row| run_of(&row)).transpose()
    }

    /// One run.
    pub async fn run(&mut self, run_id: i64) -> Result<Option<Run>, StoreError> {
        let sql = format!("SELECT {COLUMNS} FROM dingsync_run WHERE id = ?");
        self.row(sql, args![run_id]).await?.map(|row| run_of(&row)).transpose()
    }

    /// Notes that somebody is at it. What an earlier attempt found is forgotten, but not how far it came among people, if
    /// that was lately.
    pub async fn begin_run(&mut self, run_id: i64, now: Timestamp) -> Result<(), StoreError> {
        self.execute("DELETE FROM dingsync_run_item WHERE run_id = ?", args![run_id]).await?;
        self.forget_run_notes(run_id).await?;
        self.forget_old_run_places(run_id, now - PLACE_HOLDS).await?;
        let sql = "UPDATE dingsync_run SET state = 'running', started_at = COALESCE(started_at, ?), \
                   progress = 0, total = NULL WHERE id = ?";
        self.execute(sql, args![now.as_millisecond(), run_id]).await?;
        Ok(())
    }

    /// Notes how far it is.
    pub async fn note_run_progress(
        &mut self,
        run_id: i64,
        phase: &str,
        progress: i64,
        total: Option<i64>,
    ) -> Result<(), StoreError> {
        let sql = "UPDATE dingsync_run SET phase = ?, progress = ?, total = ? WHERE id = ?";
        self.execute(sql, args![phase, progress, total, run_id]).await?;
        Ok(())
    }

    /// Ends it.
    pub async fn end_run(
        &mut self,
        run_id: i64,
        state: RunState,
        error: Option<&str>,
        try_later: bool,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let sql = "UPDATE dingsync_run SET state = ?, error = ?, try_later = ?, finished_at = ? WHERE id = ?";
        self.execute(sql, args![state.label(), error, try_later, now.as_millisecond(), run_id]).await?;
        self.forget_run_places(run_id).await
    }

    /// Notes what it found.
    pub async fn add_run_items(&mut self, run_id: i64, items: &[RunItem]) -> Result<(), StoreError> {
        let row = |item: &RunItem| {
            [
                run_id.into(),
                item.entity.label().into(),
                Value::from(&item.entity_id),
                item.disagreement.label().into(),
                Value::from(&item.fields),
            ]
        };
        let columns = &["run_id", "entity", "entity_id", "difference", "fields"];
        let insert = Insert { table: "dingsync_run_item", columns, ending: "" };
        self.insert_rows(&insert, items.iter().flat_map(row).collect()).await
    }

    /// What it found, after the item with the number `after`, in the order of finding.
    pub async fn run_items_after(
        &mut self,
        run_id: i64,
        after: i64,
        limit: usize,
    ) -> Result<Vec<(i64, RunItem)>, StoreError> {
        let sql = "SELECT id, entity, entity_id, difference, fields FROM dingsync_run_item \
                   WHERE run_id = ? AND id > ? ORDER BY id LIMIT ?";
        let rows = self.rows(sql, args![run_id, after, limit]).await?;
        rows.iter()
            .map(|row| {
                let label = row.text(1)?.unwrap_or_default();
                let entity = Entity::ALL
                    .into_iter()
                    .find(|entity| entity.label() == label)
                    .ok_or_else(|| StoreError::Schema(format!("a run names an unknown entity, {label}")))?;
                let label = row.text(3)?.unwrap_or_default();
                let disagreement = Disagreement::ALL
                    .into_iter()
                    .find(|known| known.label() == label)
                    .ok_or_else(|| StoreError::Schema(format!("a run holds an unknown finding, {label}")))?;
                let item = RunItem {
                    entity,
                    entity_id: row.text(2)?.unwrap_or_default(),
                    disagreement,
                    fields: row.text(4)?.unwrap_or_default(),
                };
                Ok((row.integer(0)?.unwrap_or_default(), item))
            })
            .collect()
    }
}

pub(super) fn run_of(row: &Row) -> Result<Run, StoreError> {
    let unknown = |what: &str| StoreError::Schema(format!("the list of runs holds an unknown {what}"));
    let kind = row.text(2)?.unwrap_or_default();
    let state = row.text(4)?.unwrap_or_default();
    Ok(Run {
        id: row.integer(0)?.unwrap_or_default(),
        corp_id: row.text(1)?.unwrap_or_default(),
        kind: RunKind::ALL.into_iter().find(|known| known.label() == kind).ok_or_else(|| unknown("kind"))?,
        quick: row.text(3)?.as_deref() == Some("quick"),
        state: RunState::ALL
            .into_iter()
            .find(|known| known.label() == state)
            .ok_or_else(|| unknown("state"))?,
        started_at: row.millisecond(5)?,
        finished_at: row.millisecond(6)?,
        phase: row.text(7)?,
        progress: row.integer(8)?.unwrap_or_default(),
        total: row.integer(9)?,
        error: row.text(10)?,
        try_later: row.flag(11)?.unwrap_or_default(),
    })
}
