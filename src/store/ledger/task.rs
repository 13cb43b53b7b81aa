//! The ledger's rows as people look at them: what waits, what is being read, what is set aside, and why.

use jiff::Timestamp;

use super::{Kind, Standing, lane_number, lane_of};
use crate::lane::Lane;
use crate::store::change::Cause;
use crate::store::conn::Conn;
use crate::store::error::StoreError;
use crate::store::sql::{Row, Value, args, key_lists, placeholders};

/// What becomes of an object next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TaskState {
    /// Set aside because of the object itself: somebody has to decide.
    Parked,
    /// Gone, but the deletion guard holds its row: somebody has to decide.
    Held,
    /// Being read.
    Running,
    /// Read as soon as there is a worker for it.
    Pending,
    /// Read again later, after a failure or a moment ago.
    Waiting,
    /// Read once more, because an answer and its event disagreed.
    Confirming,
    /// Outside of the application's scope.
    Hidden,
    /// Nothing.
    Idle,
}

impl TaskState {
    /// Those that are listed, in that order.
    pub const LISTED: [Self; 7] = [
        Self::Parked,
        Self::Held,
        Self::Running,
        Self::Pending,
        Self::Waiting,
        Self::Confirming,
        Self::Hidden,
    ];

    /// The word that people read.
    pub fn label(self) -> &'static str {
        match self {
            Self::Parked => "parked",
            Self::Held => "held",
            Self::Running => "running",
            Self::Pending => "pending",
            Self::Waiting => "waiting",
            Self::Confirming => "confirming",
            Self::Hidden => "hidden",
            Self::Idle => "idle",
        }
    }

    /// The condition for it, and whether it is one of the states that an index of their own finds.
    fn condition(self) -> (&'static str, bool) {
        match self {
            Self::Parked => ("parked_at IS NOT NULL", true),
            Self::Held => ("standing > 2 AND standing = 4", true),
            Self::Hidden => ("standing > 2 AND standing = 3", true),
            Self::Running => ("lease IS NOT NULL", false),
            Self::Pending => ("lease IS NULL AND wanted > done AND ready_at <= ?", false),
            Self::Waiting => ("lease IS NULL AND wanted > done AND ready_at > ?", false),
            Self::Confirming | Self::Idle => ("lease IS NULL AND wanted = done AND confirm > 0", false),
        }
    }
}

/// An object as the ledger knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Task {
    /// What it is.
    pub kind: Kind,
    /// Its id.
    pub object_id: String,
    /// What becomes of it next.
    pub state: TaskState,
    /// How urgent what waits is.
    pub lane: Lane,
    /// What the last read said.
    pub standing: Standing,
    /// When that was.
    pub read_at: Option<Timestamp>,
    /// Why it was, or is to be, read.
    pub cause: Cause,
    /// The last event's `eventId`, where it had one.
    pub event_id: Option<String>,
    /// Who made the change, where the event says so.
    pub operator_userid: Option<String>,
    /// When the last event came.
    pub event_at: Option<Timestamp>,
    /// The run that marked it; 0 for none, negative for a person's request.
    pub run_id: i64,
    /// Hints that no read has answered yet.
    pub unanswered: i64,
    /// Since when they wait.
    pub pending_since: Option<Timestamp>,
    /// When it may be read; while it is being read, when its lease runs out.
    pub ready_at: Option<Timestamp>,
    /// Failures in a row that are its own.
    pub attempts: i64,
    /// Why it is set aside.
    pub parked_reason: Option<String>,
    /// Since when.
    pub parked_at: Option<Timestamp>,
}

/// A place in a list of tasks: what follows it comes next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TaskPlace {
    /// The lane and kind, counted through.
    pub queue: usize,
    /// The last one's `ready_at`, in milliseconds.
    pub ready_at: i64,
    /// The last one's number.
    pub id: i64,
}

impl TaskPlace {
    /// Before the first one.
    pub const BEGINNING: Self = Self { queue: 0, ready_at: i64::MIN, id: 0 };
}

const COLUMNS: &str = "id, kind, object_id, lane, standing, read_at, cause, event_id, operator_userid, event_at, run_id, \
                       wanted, done, pending_since, ready_at, attempts, parked_reason, parked_at, lease, confirm";

impl Conn {
    /// An object's row; `None` where the ledger does not know it.
    pub async fn task(
        &mut self,
        corp_id: &str,
        kind: Kind,
        object_id: &str,
        now: Timestamp,
    ) -> Result<Option<Task>, StoreError> {
        let corp = self.corp_number(corp_id).await?;
        let sql =
            format!("SELECT {COLUMNS} FROM dingsync_object WHERE corp = ? AND kind = ? AND object_id = ?");
        let row = self.row(sql, args![corp, kind.label(), object_id]).await?;
        row.map(|row| task_of(&row, now)).transpose()
    }

    /// Objects in a state, after a place in their list; and the place after the last of them, if there may be more.
    pub async fn tasks_in(
        &mut self,
        corp_id: &str,
        state: TaskState,
        after: TaskPlace,
        limit: usize,
        now: Timestamp,
    ) -> Result<(Vec<Task>, Option<TaskPlace>), StoreError> {
        let corp = self.corp_number(corp_id).await?;
        let (condition, is_apart) = state.condition();
        let mut tasks = Vec::new();
        if is_apart {
            let sql = format!(
                "SELECT {COLUMNS} FROM dingsync_object WHERE corp = ? AND {condition} AND id > ? \
                 ORDER BY id LIMIT ?"
            );
            let rows = self.rows(sql, args![corp, after.id, limit]).await?;
            let place = place_after(&rows, limit, after)?;
            for row in &rows {
                tasks.push(Task { state, ..task_of(row, now)? });
            }
            return Ok((tasks, place));
        }
        let queues =
            Lane::ALL.into_iter().flat_map(|lane| Kind::ALL.into_iter().map(move |kind| (lane, kind)));
        let mut after = after;
        for (queue, (lane, kind)) in queues.enumerate().skip(after.queue) {
            if queue != after.queue {
                after = TaskPlace { queue, ..TaskPlace::BEGINNING };
            }
            let sql = format!(
                "SELECT {COLUMNS} FROM dingsync_object WHERE corp = ? AND lane = ? AND kind = ? \
                 AND ready_at IS NOT NULL AND (ready_at > ? OR (ready_at = ? AND id > ?)) AND {condition} \
                 ORDER BY ready_at, id LIMIT ?"
            );
            let mut args: Vec<Value> =
                args![corp, lane_number(lane), kind.label(), after.ready_at, after.ready_at, after.id]
                    .to_vec();
            if condition.contains('?') {
                args.push(now.as_millisecond().into());
            }
            let wanted = limit - tasks.len();
            args.push(wanted.into());
            let rows = self.rows(sql, &args).await?;
            for row in &rows {
                tasks.push(Task { state, ..task_of(row, now)? });
            }
            if let Some(place) = place_after(&rows, wanted, after)? {
                return Ok((tasks, Some(place)));
            }
        }
        Ok((tasks, None))
    }

    /// Gives up what waits for parked objects of one kind: their hints count as answered, what is stored stays. Brings
    /// the ids of those that were parked.
    pub async fn discard_parked(
        &mut self,
        corp_id: &str,
        kind: Kind,
        object_ids: &[String],
    ) -> Result<Vec<String>, StoreError> {
        let corp = self.corp_number(corp_id).await?;
        let keys: Vec<Value> = object_ids.iter().map(Value::from).collect();
        let same = super::of_kind(corp, kind);
        self.lock_listed("dingsync_object", &same, "object_id", &keys).await?;
        let columns = "id, object_id, parked_at";
        let found = self.rows_listed(columns, "dingsync_object", &same, "object_id", &keys).await?;
        let (mut ids, mut discarded) = (Vec::new(), Vec::new());
        for row in found.iter().filter(|row| row.is_given(2)) {
            ids.push(Value::from(row.integer(0)?));
            discarded.extend(row.text(1)?);
        }
        for list in key_lists(&ids) {
            let sql = format!(
                "UPDATE dingsync_object SET done = wanted, claimed = wanted, ready_at = NULL, pending_since = NULL, \
                 expects = 0, doubt = 0, confirm = 0, attempts = 0, progress = NULL, parked_reason = NULL, \
                 parked_at = NULL WHERE id IN ({}) AND parked_at IS NOT NULL",
                placeholders(list.len()),
            );
            self.execute(sql, &list).await?;
        }
        Ok(discarded)
    }
}

/// The place after these rows, if they are as many as were asked for.
fn place_after(rows: &[Row], limit: usize, before: TaskPlace) -> Result<Option<TaskPlace>, StoreError> {
    let Some(last) = rows.last().filter(|_| rows.len() >= limit) else { return Ok(None) };
    Ok(Some(TaskPlace {
        queue: before.queue,
        ready_at: last.integer(14)?.unwrap_or(i64::MIN),
        id: last.integer(0)?.unwrap_or_default(),
    }))
}

fn task_of(row: &Row, now: Timestamp) -> Result<Task, StoreError> {
    let label = row.text(1)?.unwrap_or_default();
    let kind = Kind::of_label(&label).ok_or_else(|| {
        StoreError::Schema(format!("the queue holds an object of an unknown kind, {label}"))
    })?;
    let standing = Standing::of_number(row.integer(4)?);
    let unanswered = row.integer(11)?.unwrap_or_default() - row.integer(12)?.unwrap_or_default();
    let ready_at = row.millisecond(14)?;
    let state = if row.is_given(17) {
        TaskState::Parked
    } else if row.is_given(18) {
        TaskState::Running
    } else if unanswered > 0 && ready_at.is_some_and(|ready_at| ready_at > now) {
        TaskState::Waiting
    } else if unanswered > 0 {
        TaskState::Pending
    } else if row.integer(19)? > Some(0) && ready_at.is_some() {
        TaskState::Confirming
    } else {
        match standing {
            Standing::Held => TaskState::Held,
            Standing::Hidden => TaskState::Hidden,
            Standing::Unread | Standing::Present | Standing::Gone => TaskState::Idle,
        }
    };
    Ok(Task {
        kind,
        object_id: row.text(2)?.unwrap_or_default(),
        state,
        lane: lane_of(row.integer(3)?),
        standing,
        read_at: row.millisecond(5)?,
        cause: Cause::of_rank(row.integer(6)?.unwrap_or_default()),
        event_id: row.text(7)?,
        operator_userid: row.text(8)?,
        event_at: row.millisecond(9)?,
        run_id: row.integer(10)?.unwrap_or_default(),
        unanswered,
        pending_since: row.millisecond(13)?,
        ready_at,
        attempts: row.integer(15)?.unwrap_or_default(),
        parked_reason: row.text(16)?,
        parked_at: row.millisecond(17)?,
    })
}
