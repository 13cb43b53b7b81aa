//! What a run has to say in words.

use super::error::StoreError;
use super::insert::Insert;
use super::run::{Run, RunKind};
use super::sql::{Value, args};
use crate::store::conn::Conn;

/// What a note is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum NoteKind {
    /// JSON, not words: how many differences of each kind were found.
    Found,
    /// Something could not be read: nothing is concluded from its absence.
    Unread,
    /// DingTalk's number of people is larger than that of those it showed.
    Count,
    /// The application's contact scope is not the whole organisation, or something is outside of it.
    Scope,
    /// A permission point or a field permission is missing.
    Permission,
    /// Deletions are held.
    Held,
    /// What a person decided on held deletions.
    Decision,
}

impl NoteKind {
    /// The word in `dingsync_run_note.kind`.
    pub fn label(self) -> &'static str {
        match self {
            Self::Found => "found",
            Self::Unread => "unread",
            Self::Count => "count",
            Self::Scope => "scope",
            Self::Permission => "permission",
            Self::Held => "held",
            Self::Decision => "decision",
        }
    }

    /// Whether it says that a run could not see everything it should have.
    pub fn is_lack(self) -> bool {
        matches!(self, Self::Unread | Self::Count)
    }
}

/// One thing that a run has to say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunNote {
    /// The word of its [`NoteKind`].
    pub kind: String,
    /// A sentence or two for people, with ids and numbers, without anything personal.
    pub text: String,
}

impl RunNote {
    /// A note.
    pub fn new(kind: NoteKind, text: impl Into<String>) -> Self {
        Self { kind: kind.label().to_owned(), text: text.into() }
    }
}

impl Conn {
    /// Adds notes to a run.
    pub async fn add_run_notes(&mut self, run_id: i64, notes: &[RunNote]) -> Result<(), StoreError> {
        let row = |note: &RunNote| [run_id.into(), Value::from(&note.kind), Value::from(&note.text)];
        let columns = &["run_id", "kind", "text"];
        let insert = Insert { table: "dingsync_run_note", columns, ending: "" };
        self.insert_rows(&insert, notes.iter().flat_map(row).collect()).await
    }

    /// Forgets what an earlier attempt at a run had to say.
    pub(super) async fn forget_run_notes(&mut self, run_id: i64) -> Result<(), StoreError> {
        let sql = "DELETE FROM dingsync_run_note WHERE run_id = ? AND kind <> 'decision'";
        self.execute(sql, args![run_id]).await
    }

    /// What a run had to say, in the order in which it was noted.
    pub async fn run_notes(&mut self, run_id: i64) -> Result<Vec<RunNote>, StoreError> {
        let sql = "SELECT kind, text FROM dingsync_run_note WHERE run_id = ? ORDER BY id";
        let rows = self.rows(sql, args![run_id]).await?;
        let text = |text: Option<String>| text.unwrap_or_default();
        rows.iter().map(|row| Ok(RunNote { kind: text(row.text(0)?), text: text(row.text(1)?) })).collect()
    }

    /// The last reconcile that is over, with what it had to say.
    pub async fn last_reconcile(&mut self, corp_id: &str) -> Result<Option<(Run, Vec<RunNote>)>, StoreError> {
        match self.last_over(corp_id, RunKind::Reconcile).await? {
            None => Ok(None),
            Some(run) => {
                let notes = self.run_notes(run.id).await?;
                Ok(Some((run, notes)))
            }
        }
    }
}
