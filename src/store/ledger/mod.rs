//! The ledger: one row for each object that was ever heard of. It is the queue, the memory of what was read, and the
//! tombstone of what is gone.
//!
//! A hint adds one to `wanted`; a claim notes the value it answers; the end of the read moves `done` there. A hint that
//! comes while the object is being read leaves `wanted > done`, so it is read once more. A claim is a lease: `ready_at`
//! then says when it runs out, after which anybody may claim the object again, and the one who lost it cannot finish.

mod claim;
mod effects;
mod hint;
mod look;
mod reference;
mod task;

use std::time::Duration;

use jiff::Timestamp;

pub(super) use self::effects::Effects;
pub(super) use self::look::of_kind;
pub use self::task::{Task, TaskPlace, TaskState};
use super::change::{Cause, Provenance};
use crate::lane::Lane;

/// What an object is, and so which read owns it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// The list of all role groups and roles; one object for the organisation.
    RoleCatalogue,
    /// A department's row.
    Department,
    /// The children and direct members of a department.
    Walk,
    /// The member list of a role.
    RoleMembers,
    /// A person.
    Employee,
}

impl Kind {
    /// In the order in which background work is taken: what makes others visible comes first.
    pub const ALL: [Self; 5] =
        [Self::RoleCatalogue, Self::Department, Self::Walk, Self::RoleMembers, Self::Employee];

    /// The word in `dingsync_object.kind`.
    pub fn label(self) -> &'static str {
        match self {
            Self::RoleCatalogue => "roles",
            Self::Department => "department",
            Self::Walk => "walk",
            Self::RoleMembers => "role_members",
            Self::Employee => "employee",
        }
    }

    /// The kind of this word.
    pub fn of_label(label: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.label() == label)
    }
}

/// The id of the only [`Kind::RoleCatalogue`].
pub const CATALOGUE: &str = "*";

fn lane_number(lane: Lane) -> i64 {
    match lane {
        Lane::Live => 0,
        Lane::Background => 1,
    }
}

fn lane_of(number: Option<i64>) -> Lane {
    if number == Some(0) { Lane::Live } else { Lane::Background }
}

/// What the hints expect a read to show; several can be on record at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Expectations(i64);

impl Expectations {
    /// Nothing in particular.
    pub const NONE: Self = Self(0);
    /// The object is there (it was added).
    pub const PRESENT: Self = Self(1);
    /// The object is there and differs from what is stored (it was modified).
    pub const CHANGED: Self = Self(2);
    /// The object is gone (it left).
    pub const GONE: Self = Self(4);

    /// Both.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether any of `other` is among them.
    pub fn any_of(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }
}

/// How much older than its event an answer of DingTalk's may be: a read that was begun this long after the last event
/// shows what all events were about.
pub const ANSWER_LAG: Duration = Duration::from_secs(10);

/// Between two reads of one object: what comes meanwhile is answered by the second.
const GAP: Duration = Duration::from_secs(1);

/// Whether reads have shown what an object's events were about.
///
/// An answer can be older than its event, and two answers can come in the wrong order. So of several events within
/// [`ANSWER_LAG`] none can be said to be shown by a read that merely changes something: it may show another one's effect,
/// or take that back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Doubt {
    /// They have.
    None,
    /// One event has come; a read that shows a change shows its effect.
    OneEvent,
    /// Only a read made late enough after the last event is to be believed.
    Several,
}

impl Doubt {
    const ALL: [Self; 3] = [Self::None, Self::OneEvent, Self::Several];

    /// What remains of both.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::None, doubt) | (doubt, Self::None) => doubt,
            _ => Self::Several,
        }
    }

    fn number(self) -> i64 {
        Self::ALL.iter().position(|doubt| *doubt == self).map_or(0, |number| number as i64)
    }

    fn of_number(number: Option<i64>) -> Self {
        let index = number.and_then(|number| usize::try_from(number).ok());
        index.and_then(|index| Self::ALL.get(index)).copied().unwrap_or(Self::None)
    }
}

/// Marks an object as dirty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hint {
    /// What it is.
    pub kind: Kind,
    /// Its id.
    pub object_id: String,
    /// How urgent.
    pub lane: Lane,
    /// What it expects.
    pub expects: Expectations,
    /// [`Doubt::None`] where no event is behind it.
    pub doubt: Doubt,
    /// Why.
    pub provenance: Provenance,
    /// The run that it belongs to; 0 for none.
    pub run_id: i64,
}

impl Hint {
    /// A hint without an event behind it.
    pub fn of(kind: Kind, object_id: impl Into<String>, lane: Lane, cause: Cause) -> Self {
        Self {
            kind,
            object_id: object_id.into(),
            lane,
            expects: Expectations::NONE,
            doubt: Doubt::None,
            provenance: Provenance::of(cause),
            run_id: 0,
        }
    }
}

/// What the last read said of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It was never read.
    Unread,
    /// It is there.
    Present,
    /// It is gone.
    Gone,
    /// It is outside of the application's scope.
    Hidden,
    /// It is gone, but the deletion guard holds its row.
    Held,
}

impl Standing {
    const ALL: [Self; 5] = [Self::Unread, Self::Present, Self::Gone, Self::Hidden, Self::Held];

    /// The word that people read.
    pub fn label(self) -> &'static str {
        match self {
            Self::Unread => "unread",
            Self::Present => "present",
            Self::Gone => "gone",
            Self::Hidden => "hidden",
            Self::Held => "held",
        }
    }

    fn number(self) -> i64 {
        Self::ALL.iter().position(|standing| *standing == self).map_or(0, |number| number as i64)
    }

    fn of_number(number: Option<i64>) -> Self {
        let index = number.and_then(|number| usize::try_from(number).ok());
        index.and_then(|index| Self::ALL.get(index)).copied().unwrap_or(Self::Unread)
    }
}

/// The read that follows an answer which may be older than its event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Confirm {
    /// None.
    No,
    /// The first one after a contradiction.
    FirstContradiction,
    /// The second one.
    SecondContradiction,
    /// After a read that cannot be told from one which is older than its events.
    Doubt,
}

impl Confirm {
    const ALL: [Self; 4] = [Self::No, Self::FirstContradiction, Self::SecondContradiction, Self::Doubt];

    fn number(self) -> i64 {
        Self::ALL.iter().position(|stage| *stage == self).map_or(0, |number| number as i64)
    }

    fn of_number(number: Option<i64>) -> Self {
        let index = number.and_then(|number| usize::try_from(number).ok());
        index.and_then(|index| Self::ALL.get(index)).copied().unwrap_or(Self::No)
    }
}

/// Which objects a worker would take, and on which terms.
#[derive(Debug, Clone, Copy)]
pub struct ClaimWish {
    /// Only these.
    pub kind: Kind,
    /// Only from here.
    pub lane: Lane,
    /// At most so many.
    pub limit: usize,
    /// Only those whose confirming read is due.
    pub only_confirming: bool,
    /// Under this number, which nobody else uses.
    pub lease: i64,
    /// Until then.
    pub until: Timestamp,
}

/// An object that a worker holds.
#[derive(Debug, Clone)]
pub struct Claim {
    /// The number of its row.
    pub id: i64,
    /// The number of its organisation.
    pub corp: i64,
    /// What it is.
    pub kind: Kind,
    /// Its id.
    pub object_id: String,
    /// The lease; only its holder can finish.
    pub lease: i64,
    /// How urgent.
    pub lane: Lane,
    /// True where there are hints to answer; false for a confirming read.
    pub hinted: bool,
    /// What the hints expect.
    pub expects: Expectations,
    /// What reads have not shown yet.
    pub doubt: Doubt,
    /// When the last event came.
    pub event_at: Option<Timestamp>,
    /// When this claim was made: what is read under it is not older than this by more than [`ANSWER_LAG`].
    pub claimed_at: Timestamp,
    /// The confirming read that this is, or that it makes up for.
    pub confirm: Confirm,
    /// Why.
    pub provenance: Provenance,
    /// The run that marked it; 0 for none.
    pub run_id: i64,
    /// What the last read said.
    pub standing: Standing,
    /// Failures in a row for which the object itself is to blame.
    pub attempts: i64,
    /// Where a read of several pages goes on.
    pub progress: Option<String>,
    /// Since when there are hints to answer.
    pub pending_since: Option<Timestamp>,
}

impl Claim {
    /// Whether a run of its own has marked it, rather than an event or an operator.
    pub fn is_of_run(&self) -> bool {
        self.run_id > 0
    }

    /// Whether a comparison has marked it, and no event: none that it answers, none whose effect is still to be shown.
    pub fn is_unannounced(&self) -> bool {
        self.is_of_run()
            && self.provenance.cause == Cause::Reconcile
            && self.expects == Expectations::NONE
            && self.doubt == Doubt::None
            && self.confirm == Confirm::No
    }

    /// Marks another object for the same reason, with the same urgency.
    pub fn hint(&self, kind: Kind, object_id: impl Into<String>) -> Hint {
        Hint {
            provenance: self.provenance.clone(),
            run_id: self.run_id,
            ..Hint::of(kind, object_id, self.lane, self.provenance.cause)
        }
    }

    /// Marks an object that has changed together with this one. Its own answer may be as late as this one was early. No
    /// event said that it is there, so that nothing contradicts an answer that it is gone.
    pub fn affected(&self, kind: Kind, object_id: impl Into<String>) -> Hint {
        Hint { doubt: Doubt::OneEvent, ..self.hint(kind, object_id) }
    }

    /// Marks an object that was met while this one was read: not what an event was about.
    pub fn found(&self, kind: Kind, object_id: impl Into<String>) -> Hint {
        let cause = match self.provenance.cause {
            Cause::Bootstrap => Cause::Bootstrap,
            _ => Cause::Reconcile,
        };
        Hint { provenance: Provenance::of(cause), ..self.hint(kind, object_id) }
    }
}

/// The end of a read that brought an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Finish {
    /// What it said.
    pub standing: Standing,
    /// Whether it changed a row.
    pub changed: bool,
    /// What is still not known to be shown.
    pub doubt: Doubt,
    /// What remains expected, for the confirming read.
    pub expects: Expectations,
    /// The confirming read that comes next, and when.
    pub confirm: Confirm,
    /// How long until it.
    pub confirm_in: Duration,
}

/// How many objects of one lane wait, and since when the oldest does.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LaneCount {
    /// Still to be read, retries included.
    pub pending: i64,
    /// When the oldest hint came.
    pub oldest: Option<Timestamp>,
}

/// The state of the queue at one moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Events and people's requests.
    pub live: LaneCount,
    /// The rest.
    pub background: LaneCount,
    /// Being read.
    pub running: i64,
    /// Waiting for a confirming read.
    pub confirming: i64,
    /// Set aside because of the object itself.
    pub parked: i64,
    /// Outside of the application's scope.
    pub hidden: i64,
    /// Gone, but held by the deletion guard.
    pub held: i64,
}

/// Where one object stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectState {
    /// Hints counted.
    pub wanted: i64,
    /// Hints answered.
    pub done: i64,
    /// A worker holds it.
    pub is_leased: bool,
    /// How urgent what waits is.
    pub lane: Lane,
    /// What the last read said.
    pub standing: Standing,
    /// Why it is set aside, if it is.
    pub parked_reason: Option<String>,
    /// The last read.
    pub read_at: Option<Timestamp>,
}

impl ObjectState {
    /// True while a read is under way or due.
    pub fn is_busy(&self) -> bool {
        self.parked_reason.is_none() && (self.is_leased || self.wanted > self.done)
    }
}
