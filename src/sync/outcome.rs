//! Whether a read settles its hints, or has to be made once more because its answer may be older than its event.

use std::time::Duration;

use crate::store::{Claim, Confirm, Expectations, Finish, Standing};

/// After an answer that contradicts its event, and again after the first of these reads.
const AFTER_CONTRADICTION: Duration = Duration::from_secs(5);
const AFTER_SECOND_CONTRADICTION: Duration = Duration::from_secs(55);
/// After an answer that does not show what its events announced.
const AFTER_QUIET: Duration = Duration::from_secs(10);
/// After values were kept because a field permission seems to be gone: that verdict is then outdated.
const AFTER_KEPT: Duration = Duration::from_secs(70);

/// What a read brought.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reading {
    /// What it said of the object.
    pub(super) standing: Standing,
    /// Whether it changed a row.
    pub(super) changed: bool,
    /// Whether values were kept that the answer did not show.
    pub(super) kept: bool,
}

/// Decides what follows a read.
///
/// Each read that changes something proves one event; events without a proof, of whatever read, ask for one more look.
/// So two changes whose events are answered by one read that shows only the first of them are not mistaken for one.
pub(super) fn conclude(claim: &Claim, reading: Reading) -> Finish {
    let settled = Finish {
        standing: reading.standing,
        changed: reading.changed,
        unproven: 0,
        expects: Expectations::NONE,
        confirm: Confirm::No,
        confirm_in: Duration::ZERO,
    };
    let is_gone = matches!(reading.standing, Standing::Gone | Standing::Held);
    let is_present = reading.standing == Standing::Present;
    let contradicts = (is_gone && claim.expects.any_of(Expectations::PRESENT.and(Expectations::CHANGED)))
        || (is_present && claim.expects.any_of(Expectations::GONE));
    if contradicts {
        let next = match claim.confirm {
            Confirm::FirstContradiction if !claim.hinted => Confirm::SecondContradiction,
            Confirm::SecondContradiction if !claim.hinted => Confirm::No,
            _ => Confirm::FirstContradiction,
        };
        return match next {
            Confirm::FirstContradiction => {
                Finish { expects: claim.expects, confirm: next, confirm_in: AFTER_CONTRADICTION, ..settled }
            }
            Confirm::SecondContradiction => Finish {
                expects: claim.expects,
                confirm: next,
                confirm_in: AFTER_SECOND_CONTRADICTION,
                ..settled
            },
            Confirm::No | Confirm::Quiet => settled,
        };
    }
    if !is_present || !claim.hinted {
        return settled;
    }
    if reading.kept {
        return Finish { confirm: Confirm::Quiet, confirm_in: AFTER_KEPT, ..settled };
    }
    let unproven = (claim.unproven - i64::from(reading.changed)).max(0);
    if unproven > 0 {
        return Finish { unproven, confirm: Confirm::Quiet, confirm_in: AFTER_QUIET, ..settled };
    }
    settled
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lane::Lane;
    use crate::store::{Cause, Kind, Provenance};

    fn claim(expects: Expectations, unproven: i64) -> Claim {
        Claim {
            id: 1,
            kind: Kind::Employee,
            object_id: "u1".to_owned(),
            lease: 1,
            lane: Lane::Live,
            hinted: true,
            expects,
            unproven,
            confirm: Confirm::No,
            provenance: Provenance::of(Cause::Event),
            run_id: 0,
            standing: Standing::Present,
            attempts: 0,
            progress: None,
            pending_since: None,
        }
    }

    fn read(standing: Standing, changed: bool) -> Reading {
        Reading { standing, changed, kept: false }
    }

    #[test]
    fn a_leave_with_not_found_needs_one_read() {
        let finish = conclude(&claim(Expectations::GONE, 1), read(Standing::Gone, true));
        assert_eq!(finish.confirm, Confirm::No);
    }

    #[test]
    fn an_answer_that_contradicts_its_event_is_looked_at_twice_more() {
        let mut claim = claim(Expectations::GONE, 1);
        let first = conclude(&claim, read(Standing::Present, false));
        assert_eq!((first.confirm, first.confirm_in), (Confirm::FirstContradiction, AFTER_CONTRADICTION));
        claim.hinted = false;
        claim.expects = first.expects;
        claim.confirm = first.confirm;
        let second = conclude(&claim, read(Standing::Present, false));
        assert_eq!(
            (second.confirm, second.confirm_in),
            (Confirm::SecondContradiction, AFTER_SECOND_CONTRADICTION)
        );
        claim.confirm = second.confirm;
        assert_eq!(conclude(&claim, read(Standing::Present, false)).confirm, Confirm::No);
    }

    #[test]
    fn a_change_that_shows_settles_its_event_and_only_that() {
        let one = conclude(&claim(Expectations::CHANGED, 1), read(Standing::Present, true));
        assert_eq!(one.confirm, Confirm::No);
        let two = conclude(&claim(Expectations::CHANGED, 2), read(Standing::Present, true));
        assert_eq!((two.confirm, two.unproven), (Confirm::Quiet, 1));
    }

    #[test]
    fn a_modify_that_shows_nothing_is_looked_at_once_more() {
        let mut claim = claim(Expectations::CHANGED, 1);
        let finish = conclude(&claim, read(Standing::Present, false));
        assert_eq!((finish.confirm, finish.confirm_in), (Confirm::Quiet, AFTER_QUIET));
        claim.hinted = false;
        claim.confirm = finish.confirm;
        claim.unproven = finish.unproven;
        assert_eq!(conclude(&claim, read(Standing::Present, false)).confirm, Confirm::No);
    }

    #[test]
    fn a_read_that_no_event_asked_for_is_believed() {
        for standing in [Standing::Present, Standing::Gone, Standing::Hidden] {
            let finish = conclude(&claim(Expectations::NONE, 0), read(standing, false));
            assert_eq!(finish.confirm, Confirm::No, "{standing:?}");
        }
    }
}
