//! The list of events that could not be delivered, as a second way in: what it shows takes the same path as a push
//! (`events.md §5.1`).

use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::Timestamp;

use super::{Classify, incoming};
use crate::dingtalk::failed::{FailedList, Subject};
use crate::store::{
    ANSWER_LAG, Conn, Doubt, Expectations, FieldSet, Gap, GapReason, Incoming, Operation, StoreError,
};

/// Stores what an answer shows, with the objects that it marks. Another call before that would clear it.
#[derive(Debug, Clone)]
pub struct StoreAnswer(Arc<Answer>);

#[derive(Debug)]
struct Answer {
    corp_id: String,
    events: Vec<Incoming>,
    /// What entries were about that name nobody.
    unreadable: BTreeSet<Subject>,
    now: Timestamp,
}

impl StoreAnswer {
    /// An answer for the inbox of `corp_id`, without the values of the `excluded` columns of people.
    pub fn new(
        corp_id: &str,
        list: FailedList,
        classify: Classify,
        excluded: &FieldSet,
        now: Timestamp,
    ) -> Self {
        let mut unreadable = BTreeSet::new();
        let mut events = Vec::with_capacity(list.events.len());
        for event in list.events {
            let mut event = incoming(corp_id, classify, excluded, event);
            if event.occurred_at.is_some_and(|at| at + ANSWER_LAG < now) {
                // No answer is as old as that: the next one is believed.
                for hint in &mut event.hints {
                    (hint.expects, hint.doubt) = (Expectations::NONE, Doubt::None);
                }
            }
            if event.hints.is_empty() {
                unreadable.extend(Subject::of(&event.event_type));
            }
            events.push(event);
        }
        Self(Arc::new(Answer { corp_id: corp_id.to_owned(), events, unreadable, now }))
    }

    /// How many events there are.
    pub fn count(&self) -> usize {
        self.0.events.len()
    }

    /// What entries were about that name nobody.
    pub fn unreadable(&self) -> &BTreeSet<Subject> {
        &self.0.unreadable
    }

    /// The same events, each in an answer of its own, and what remains of the answer without them: where one of them
    /// cannot be stored, that must not lose the others.
    pub fn one_by_one(&self) -> Vec<Self> {
        let Answer { corp_id, events, unreadable, now } = &*self.0;
        let answer = |events: Vec<Incoming>| {
            let (corp_id, unreadable) = (corp_id.clone(), unreadable.clone());
            Self(Arc::new(Answer { corp_id, events, unreadable, now: *now }))
        };
        let singles = events.iter().map(|event| answer(vec![event.clone()]));
        singles.chain([answer(Vec::new())]).collect()
    }
}

impl Operation for StoreAnswer {
    type Output = ();

    async fn run(&self, conn: &mut Conn) -> Result<(), StoreError> {
        let Answer { corp_id, events, unreadable, now } = &*self.0;
        if !events.is_empty() {
            conn.accept(events, *now).await?;
            self.note_gap(conn).await?;
        }
        conn.note_failed_list(corp_id, bits(unreadable), *now).await
    }
}

impl StoreAnswer {
    /// What could not be delivered need not be all that was not; a comparison that was begun later finds it anyway.
    async fn note_gap(&self, conn: &mut Conn) -> Result<(), StoreError> {
        let Answer { corp_id, events, now, .. } = &*self.0;
        let times = || events.iter().map(|event| event.occurred_at.unwrap_or(*now).min(*now));
        let (since, until) = (times().min().unwrap_or(*now), times().max().unwrap_or(*now));
        if conn.catch_up(corp_id).await?.reconciled_at.is_some_and(|at| at >= until) {
            return Ok(());
        }
        conn.note_gap(corp_id, Gap { reason: GapReason::FailedEvents, since, until }).await
    }
}

/// Subjects as they stand in `dingsync_catch_up.unreadable`.
pub fn bits(subjects: &BTreeSet<Subject>) -> i64 {
    subjects.iter().map(|subject| bit(*subject)).sum()
}

/// The subjects that these bits stand for.
pub fn subjects(bits: i64) -> BTreeSet<Subject> {
    Subject::ALL.into_iter().filter(|subject| bits & bit(*subject) != 0).collect()
}

fn bit(subject: Subject) -> i64 {
    match subject {
        Subject::People => 1,
        Subject::Departments => 2,
        Subject::Roles => 4,
    }
}
