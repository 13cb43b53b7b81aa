//! Whether something is to be told, from what is seen and what was told before.

use std::time::Duration;

use jiff::Timestamp;

use super::observe::{Seen, Topic};
use crate::store::Notice;

/// What comes and goes is not told more often than this.
const GAP: Duration = Duration::from_mins(10);
/// Nor that there is more of it.
const GROWTH: Duration = Duration::from_hours(1);
/// While it lasts, people are reminded.
const REMINDER: Duration = Duration::from_hours(24);
/// A permission that is gone shows only where somebody is read who had it.
const UNSEEN: Duration = Duration::from_hours(1);
/// How exactly it is on record when that was.
const SEEN_STEP: Duration = Duration::from_mins(1);

/// What is said of a topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Said {
    /// It began, or there is more of it.
    Is,
    /// It still lasts.
    Lasts,
    /// It is over.
    Over,
}

/// What is said now, and what is on record once it was.
pub(super) fn decide(seen: &Seen, before: &Notice, now: Timestamp) -> (Option<Said>, Notice) {
    let told =
        Notice { is_open: true, told: seen.amount, told_at: Some(now), seen_at: Some(now), ..before.clone() };
    let since = |at: Option<Timestamp>| {
        at.map_or(Duration::MAX, |at| Duration::try_from(now.duration_since(at)).unwrap_or_default())
    };
    let quiet = since(before.told_at);
    match seen.topic {
        Topic::Recycled if seen.amount == 0 => (None, Notice { position: seen.position, ..before.clone() }),
        // Until it may be told, the log is looked at again from the same place.
        Topic::Recycled if quiet < GAP => (None, before.clone()),
        Topic::Recycled => (Some(Said::Is), Notice { is_open: false, position: seen.position, ..told }),
        _ if seen.amount == 0 => over(seen.topic, before, since(before.seen_at), now),
        _ if !before.is_open => {
            let gap = if seen.topic == Topic::FieldsLost { REMINDER } else { GAP };
            if quiet < gap { (None, before.clone()) } else { (Some(Said::Is), told) }
        }
        _ if seen.amount > before.told && quiet >= GROWTH => (Some(Said::Is), told),
        _ if quiet >= REMINDER => (Some(Said::Lasts), told),
        Topic::FieldsLost if since(before.seen_at) >= SEEN_STEP => {
            (None, Notice { seen_at: Some(now), ..before.clone() })
        }
        _ => (None, before.clone()),
    }
}

fn over(topic: Topic, before: &Notice, unseen: Duration, now: Timestamp) -> (Option<Said>, Notice) {
    if !before.is_open || (topic == Topic::FieldsLost && unseen < UNSEEN) {
        return (None, before.clone());
    }
    let closed = Notice { is_open: false, told: 0, ..before.clone() };
    if topic == Topic::FieldsLost {
        // Nobody knows whether it is over, or nobody was read.
        return (None, closed);
    }
    (Some(Said::Over), Notice { told_at: Some(now), ..closed })
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_mins(1);

    /// Follows a topic through amounts seen at minutes, and brings what was said when.
    fn said(topic: Topic, amounts: &[(u32, i64)]) -> Vec<(u32, Said)> {
        let mut notice = Notice::of(topic.label());
        let mut all = Vec::new();
        for &(minute, amount) in amounts {
            let seen = Seen { position: Some(i64::from(minute)), ..Seen::of(topic, amount) };
            let (said, after) = decide(&seen, &notice, Timestamp::UNIX_EPOCH + MINUTE * minute);
            notice = after;
            all.extend(said.map(|said| (minute, said)));
        }
        all
    }

    #[test]
    fn each_state_is_told_once() {
        let lasting = [(0, 0), (1, 2), (2, 2), (3, 2), (4, 0), (5, 0)];
        assert_eq!(said(Topic::Parked, &lasting), [(1, Said::Is), (4, Said::Over)]);
    }

    #[test]
    fn more_is_told_after_an_hour_and_a_reminder_after_a_day() {
        let growing = [(0, 2), (1, 9), (61, 9), (62, 9), (61 + 24 * 60, 9), (62 + 24 * 60, 9)];
        let expected = [(0, Said::Is), (61, Said::Is), (61 + 24 * 60, Said::Lasts)];
        assert_eq!(said(Topic::Held, &growing), expected);
    }

    #[test]
    fn what_comes_and_goes_is_not_told_each_time() {
        let flapping: Vec<(u32, i64)> = (0..12).map(|minute| (minute, i64::from(minute % 2 == 0))).collect();
        assert_eq!(said(Topic::Denied, &flapping), [(0, Said::Is), (1, Said::Over)]);
    }

    #[test]
    fn a_permission_that_nobody_was_read_for_is_not_said_to_be_back() {
        let seen = [(0, 1), (2, 0), (30, 1), (70, 0), (95, 0), (100, 1), (25 * 60, 1)];
        assert_eq!(said(Topic::FieldsLost, &seen), [(0, Said::Is), (25 * 60, Said::Is)]);
    }

    #[test]
    fn recycled_userids_wait_for_their_message_and_are_counted_again_until_then() {
        assert_eq!(
            said(Topic::Recycled, &[(0, 0), (1, 1), (2, 1), (3, 2), (11, 2), (12, 0)]),
            [(1, Said::Is), (11, Said::Is)]
        );
    }
}
