//! What things looked like a moment ago: DingTalk's answers can be older than the event that led to them.
//!
//! The log keeps, for two minutes, what each change replaced. Laid over the organisation of now, newest first, the
//! entries since an instant give the organisation of that instant.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use super::model::{Department, Person, Role, RoleGroup, Userid};

/// How far back an answer can reach, milliseconds.
pub(crate) const RETENTION_MS: i64 = 120_000;

/// One object as it was before a change; `None` where it was not there.
#[derive(Debug, Clone)]
pub(crate) enum Before {
    Department(i64, Option<Arc<Department>>),
    Person(Userid, Option<Arc<Person>>),
    Group(i64, Option<Arc<RoleGroup>>),
    Role(i64, Option<Arc<Role>>),
}

/// The objects that were different at an instant, as they were then.
#[derive(Debug, Default)]
pub(crate) struct Earlier {
    pub(crate) departments: BTreeMap<i64, Option<Arc<Department>>>,
    pub(crate) people: BTreeMap<Userid, Option<Arc<Person>>>,
    pub(crate) groups: BTreeMap<i64, Option<Arc<RoleGroup>>>,
    pub(crate) roles: BTreeMap<i64, Option<Arc<Role>>>,
}

impl Earlier {
    fn lay(&mut self, before: &Before) {
        match before.clone() {
            Before::Department(id, department) => {
                self.departments.insert(id, department);
            }
            Before::Person(userid, person) => {
                self.people.insert(userid, person);
            }
            Before::Group(id, group) => {
                self.groups.insert(id, group);
            }
            Before::Role(id, role) => {
                self.roles.insert(id, role);
            }
        }
    }
}

/// A place in the log.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Mark(u64);

/// The log of what was replaced.
#[derive(Debug, Default)]
pub(crate) struct History {
    /// Oldest first, with the instant of the change, milliseconds UTC.
    log: VecDeque<(i64, Before)>,
    /// How many entries have been dropped from the front.
    dropped: u64,
}

impl History {
    /// Notes what a change at `now` replaced, and forgets what is out of reach.
    pub(crate) fn record(&mut self, now: i64, before: Before) {
        while self.log.front().is_some_and(|(at, _)| *at < now - RETENTION_MS) {
            self.log.pop_front();
            self.dropped += 1;
        }
        self.log.push_back((now, before));
    }

    /// The place after the newest entry.
    pub(crate) fn mark(&self) -> Mark {
        Mark(self.dropped + self.log.len() as u64)
    }

    /// What was different at the instant `then`.
    pub(crate) fn since(&self, then: i64) -> Earlier {
        let mut earlier = Earlier::default();
        for (_, before) in self.log.iter().rev().take_while(|(at, _)| *at > then) {
            earlier.lay(before);
        }
        earlier
    }

    /// What was different at a place in the log.
    pub(crate) fn since_mark(&self, mark: Mark) -> Earlier {
        let mut earlier = Earlier::default();
        let kept = usize::try_from(mark.0.saturating_sub(self.dropped)).unwrap_or(usize::MAX);
        for (_, before) in self.log.iter().skip(kept).rev() {
            earlier.lay(before);
        }
        earlier
    }
}
