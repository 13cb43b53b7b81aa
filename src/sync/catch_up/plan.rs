//! When what is due.

use std::time::Duration;

use jiff::Timestamp;

use crate::store::{BootstrapState, CatchUp};

/// How often the failed list is asked without a reason: the call is metered.
const ASK_EVERY: Duration = Duration::from_hours(1);
/// DingTalk lists an event 3 to 5 minutes after it has given it up (`events.md §5`).
const LISTED_AFTER: Duration = Duration::from_mins(5);
/// Between two comparisons that nobody asked for: whoever can cause gaps must not be able to cause more.
const COMPARE_EVERY: Duration = Duration::from_hours(1);

/// Whether the failed list is to be asked: at a start, some time after each gap of this daemon's own, else now and then.
pub(super) fn is_list_due(state: &CatchUp, now: Timestamp) -> bool {
    let Some(asked_at) = state.asked_at else { return true };
    let listed_at = state.gap_until.map(|until| until + LISTED_AFTER);
    let follows_gap = listed_at.is_some_and(|at| asked_at < at && at <= now);
    follows_gap || asked_at + ASK_EVERY <= now
}

/// Whether what may have been missed is to be looked for. A pull under way looks for it itself; what came meanwhile is
/// looked for after that.
pub(super) fn is_comparison_due(state: &CatchUp, bootstrap: BootstrapState, now: Timestamp) -> bool {
    let is_pulled = matches!(bootstrap, BootstrapState::Complete | BootstrapState::Failed);
    let is_rested = state.reconciled_at.is_none_or(|at| at + COMPARE_EVERY <= now);
    state.gap_since.is_some() && is_pulled && (state.is_exempt || is_rested)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(minute: i64) -> Timestamp {
        Timestamp::from_second(1_767_225_600 + 60 * minute).unwrap()
    }

    #[test]
    fn the_list_is_asked_at_a_start_and_then_every_hour() {
        let mut state = CatchUp::default();
        assert!(is_list_due(&state, at(0)));
        state.asked_at = Some(at(0));
        assert!(!is_list_due(&state, at(59)));
        assert!(is_list_due(&state, at(60)));
    }

    #[test]
    fn a_gap_is_followed_by_one_call_five_minutes_later() {
        let mut state = CatchUp { asked_at: Some(at(0)), gap_until: Some(at(10)), ..CatchUp::default() };
        assert!(!is_list_due(&state, at(14)));
        assert!(is_list_due(&state, at(15)));
        state.asked_at = Some(at(15));
        assert!(!is_list_due(&state, at(16)), "that call was made");
        // A gap that lasts moves its end, and the hourly call is made all the same.
        for minute in 16..75 {
            state.gap_until = Some(at(minute));
            assert!(!is_list_due(&state, at(minute)));
        }
        assert!(is_list_due(&state, at(75)));
    }

    #[test]
    fn nothing_is_compared_more_than_once_an_hour_but_after_an_absence() {
        let due = |state: &CatchUp, minute| is_comparison_due(state, BootstrapState::Complete, at(minute));
        let mut state = CatchUp { gap_since: Some(at(0)), ..CatchUp::default() };
        assert!(due(&state, 0), "the first one is free");
        state.reconciled_at = Some(at(0));
        for minute in 1..60 {
            assert!(!due(&state, minute));
        }
        assert!(due(&state, 60));
        state.is_exempt = true;
        assert!(due(&state, 1), "a start after an absence does not wait");
        state.gap_since = None;
        assert!(!due(&state, 90), "without a gap there is nothing to look for");
    }

    #[test]
    fn a_pull_is_waited_for() {
        let state = CatchUp { gap_since: Some(at(0)), is_exempt: true, ..CatchUp::default() };
        for (bootstrap, expected) in [
            (BootstrapState::Pending, false),
            (BootstrapState::Running, false),
            (BootstrapState::Failed, true),
            (BootstrapState::Complete, true),
        ] {
            assert_eq!(is_comparison_due(&state, bootstrap, at(1)), expected);
        }
    }
}
