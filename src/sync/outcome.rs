//! Whether a read settles its hints, or has to be made once more because its answer may be older than its event.

use std::time::Duration;

use jiff::Timestamp;

use crate::store::{ANSWER_LAG, Action, Claim, Confirm, Doubt, Expectations, Finish, Standing};

/// After an answer that contradicts its event, and again after the first of these reads.
const AFTER_CONTRADICTION: Duration = Duration::from_secs(5);
const AFTER_SECOND_CONTRADICTION: Duration = Duration::from_secs(55);

/// A method that the server does not know is tried again after this time.
const UNKNOWN_AGAIN: Duration = Duration::from_secs(65);

/// What a read brought.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reading {
    /// What it said of the object.
    pub(super) standing: Standing,
    /// What it did to the object's row.
    pub(super) action: Option<Action>,
    /// Whether that can only be what an event was about.
    pub(super) shows_event: bool,
    /// When it is worth another look for a reason of its own.
    pub(super) again_in: Option<Duration>,
}

impl Reading {
    /// An answer and what it did.
    pub(super) fn of(standing: Standing, action: Option<Action>) -> Self {
        Self { standing, action, shows_event: action.is_some(), again_in: None }
    }
}

/// Decides what follows a read that ended at `now`.
pub(super) fn conclude(claim: &Claim, reading: Reading, now: Timestamp) -> Finish {
    let settled = Finish {
        standing: reading.standing,
        changed: reading.action.is_some(),
        doubt: Doubt::None,
        expects: Expectations::NONE,
        confirm: Confirm::No,
        confirm_in: Duration::ZERO,
    };
    if let Some(confirm) = contradiction(claim, reading.standing) {
        let confirm_in = match confirm {
            Confirm::SecondContradiction => AFTER_SECOND_CONTRADICTION,
            _ => AFTER_CONTRADICTION,
        };
        return Finish { expects: claim.expects, doubt: claim.doubt, confirm, confirm_in, ..settled };
    }
    let doubt = doubt_after(claim, reading);
    if let Some(certain_at) = claim.event_at.map(|at| at + ANSWER_LAG)
        && doubt > Doubt::None
    {
        let confirm_in = Duration::try_from(certain_at.duration_since(now)).unwrap_or_default();
        return Finish { doubt, confirm: Confirm::Doubt, confirm_in, ..settled };
    }
    match reading.again_in {
        // A read in doubt had no room for it.
        Some(confirm_in) if claim.hinted || claim.doubt > Doubt::None => {
            Finish { confirm: Confirm::Doubt, confirm_in, ..settled }
        }
        _ => settled,
    }
}

/// The read that is due because this one says the opposite of its event, if one more is worth it.
fn contradiction(claim: &Claim, standing: Standing) -> Option<Confirm> {
    let contradicts = match standing {
        Standing::Gone | Standing::Held => {
            claim.expects.any_of(Expectations::PRESENT.and(Expectations::CHANGED))
        }
        Standing::Present => claim.expects.any_of(Expectations::GONE),
        Standing::Unread | Standing::Hidden => false,
    };
    match claim.confirm {
        _ if !contradicts => None,
        Confirm::SecondContradiction if !claim.hinted => None,
        Confirm::FirstContradiction if !claim.hinted => Some(Confirm::SecondContradiction),
        _ => Some(Confirm::FirstContradiction),
    }
}

/// What a read leaves in doubt. One that was begun long enough after the last event is believed. An earlier one is
/// believed as the answer to a single event whose effect it shows; after that, for as long as nothing changes.
fn doubt_after(claim: &Claim, reading: Reading) -> Doubt {
    let is_late_enough = claim.event_at.is_none_or(|at| claim.claimed_at >= at + ANSWER_LAG);
    match claim.doubt {
        _ if is_late_enough => Doubt::None,
        Doubt::None if reading.action.is_none() => Doubt::None,
        Doubt::OneEvent if shows_effect(claim, reading) => Doubt::None,
        Doubt::None | Doubt::OneEvent | Doubt::Several => Doubt::Several,
    }
}

/// Whether what a read did to the row can only be the effect of the event that asked for it. The first read of an object
/// brings details that nobody had read, so that it always changes something.
fn shows_effect(claim: &Claim, reading: Reading) -> bool {
    match reading.action {
        Some(Action::Insert | Action::Restore) => claim.expects.any_of(Expectations::PRESENT),
        Some(Action::Update) => reading.shows_event && claim.standing != Standing::Unread,
        Some(Action::Delete) => true,
        None => false,
    }
}

/// The end of a read that the server does not know: what is stored stays, and is asked for again later.
pub(super) fn asked_in_vain(claim: &Claim) -> Finish {
    Finish {
        standing: claim.standing,
        changed: false,
        doubt: claim.doubt,
        expects: claim.expects,
        confirm: Confirm::Doubt,
        confirm_in: UNKNOWN_AGAIN,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lane::Lane;
    use crate::store::{Cause, Kind, Provenance};

    const SECOND: Duration = Duration::from_secs(1);
    const REST_OF_LAG: Duration = Duration::from_secs(9);

    /// A claim made `after` its last event.
    fn claim(expects: Expectations, doubt: Doubt, after: Duration) -> Claim {
        let event_at = Timestamp::UNIX_EPOCH;
        Claim {
            id: 1,
            corp: 1,
            kind: Kind::Employee,
            object_id: "u1".to_owned(),
            lease: 1,
            lane: Lane::Live,
            hinted: true,
            expects,
            doubt,
            event_at: Some(event_at),
            claimed_at: event_at + after,
            confirm: Confirm::No,
            provenance: Provenance::of(Cause::Event),
            run_id: 0,
            standing: Standing::Present,
            attempts: 0,
            progress: None,
            pending_since: None,
        }
    }

    fn concluded(claim: &Claim, standing: Standing, action: Option<Action>) -> Finish {
        conclude(claim, Reading::of(standing, action), claim.claimed_at)
    }

    #[test]
    fn a_leave_with_not_found_needs_one_read() {
        let claim = claim(Expectations::GONE, Doubt::OneEvent, SECOND);
        let finish = concluded(&claim, Standing::Gone, Some(Action::Delete));
        assert_eq!((finish.confirm, finish.doubt), (Confirm::No, Doubt::None));
    }

    #[test]
    fn an_answer_that_contradicts_its_event_is_looked_at_twice_more() {
        let mut claim = claim(Expectations::GONE, Doubt::OneEvent, SECOND);
        let first = concluded(&claim, Standing::Present, None);
        assert_eq!((first.confirm, first.confirm_in), (Confirm::FirstContradiction, AFTER_CONTRADICTION));
        claim.hinted = false;
        claim.claimed_at += first.confirm_in;
        (claim.expects, claim.doubt, claim.confirm) = (first.expects, first.doubt, first.confirm);
        let second = concluded(&claim, Standing::Present, None);
        let expected = (Confirm::SecondContradiction, AFTER_SECOND_CONTRADICTION);
        assert_eq!((second.confirm, second.confirm_in), expected);
        claim.claimed_at += second.confirm_in;
        (claim.doubt, claim.confirm) = (second.doubt, second.confirm);
        assert_eq!(concluded(&claim, Standing::Present, None).confirm, Confirm::No);
    }

    #[test]
    fn a_read_that_shows_a_single_event_s_effect_is_believed() {
        let one = claim(Expectations::CHANGED, Doubt::OneEvent, SECOND);
        assert_eq!(concluded(&one, Standing::Present, Some(Action::Update)).confirm, Confirm::No);
        let added = claim(Expectations::PRESENT, Doubt::OneEvent, SECOND);
        assert_eq!(concluded(&added, Standing::Present, Some(Action::Insert)).confirm, Confirm::No);
    }

    #[test]
    fn a_first_read_changes_something_whatever_its_event_was_about() {
        let mut claim = claim(Expectations::CHANGED, Doubt::OneEvent, SECOND);
        claim.standing = Standing::Unread;
        assert_eq!(concluded(&claim, Standing::Present, Some(Action::Update)).confirm, Confirm::Doubt);
        assert_eq!(concluded(&claim, Standing::Present, Some(Action::Insert)).confirm, Confirm::Doubt);
    }

    #[test]
    fn several_events_in_a_row_are_believed_to_a_late_read_alone() {
        let mut claim = claim(Expectations::CHANGED, Doubt::Several, SECOND);
        let finish = concluded(&claim, Standing::Present, Some(Action::Update));
        assert_eq!((finish.confirm, finish.doubt), (Confirm::Doubt, Doubt::Several));
        assert_eq!(finish.confirm_in, REST_OF_LAG);
        claim.claimed_at += finish.confirm_in;
        let late = concluded(&claim, Standing::Present, None);
        assert_eq!((late.confirm, late.doubt), (Confirm::No, Doubt::None));
    }

    #[test]
    fn another_look_for_a_reason_of_its_own_is_put_off_by_doubt_and_not_lost() {
        let mut claim = claim(Expectations::CHANGED, Doubt::Several, SECOND);
        let reading = || Reading {
            again_in: Some(REST_OF_LAG),
            ..Reading::of(Standing::Present, Some(Action::Update))
        };
        let first = conclude(&claim, reading(), claim.claimed_at);
        assert_eq!((first.confirm, first.doubt), (Confirm::Doubt, Doubt::Several));
        (claim.hinted, claim.doubt, claim.confirm) = (false, first.doubt, first.confirm);
        claim.claimed_at += first.confirm_in;
        let second = conclude(&claim, reading(), claim.claimed_at);
        assert_eq!((second.confirm, second.confirm_in), (Confirm::Doubt, REST_OF_LAG));
        claim.doubt = second.doubt;
        assert_eq!(conclude(&claim, reading(), claim.claimed_at).confirm, Confirm::No);
    }

    #[test]
    fn a_modify_that_shows_nothing_is_looked_at_once_more() {
        let claim = claim(Expectations::CHANGED, Doubt::OneEvent, SECOND);
        let finish = concluded(&claim, Standing::Present, None);
        assert_eq!((finish.confirm, finish.confirm_in), (Confirm::Doubt, REST_OF_LAG));
    }

    #[test]
    fn a_read_that_nobody_expects_must_not_take_back_what_an_event_s_read_showed() {
        let claim = claim(Expectations::NONE, Doubt::None, SECOND);
        assert_eq!(concluded(&claim, Standing::Present, None).confirm, Confirm::No);
        assert_eq!(concluded(&claim, Standing::Present, Some(Action::Update)).confirm, Confirm::Doubt);
    }

    #[test]
    fn a_read_that_no_event_asked_for_is_believed() {
        let mut claim = claim(Expectations::NONE, Doubt::None, SECOND);
        claim.event_at = None;
        for standing in [Standing::Present, Standing::Gone, Standing::Hidden] {
            let finish = concluded(&claim, standing, Some(Action::Update));
            assert_eq!(finish.confirm, Confirm::No, "{standing:?}");
        }
    }
}
