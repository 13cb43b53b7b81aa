//! Answers that make no sense: whose fault they are.
//!
//! One object whose answer makes no sense is parked after a few attempts. When several are answered like that and none
//! as it should be, the trouble is DingTalk's, or that of something in between.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, PoisonError};

/// What was answered with nonsense since each API last worked.
#[derive(Debug, Default)]
pub struct Nonsense(Mutex<HashMap<&'static str, Streak>>);

#[derive(Debug)]
struct Streak {
    /// How many calls of the API had been answered when the streak began.
    answers: u64,
    objects: HashSet<String>,
}

impl Nonsense {
    /// Notes that `path` answered for `object` with nonsense. True if that cannot be laid to the object alone. `answers`
    /// tells how many calls of a path have been answered as they should be.
    pub(super) fn is_trouble(
        &self,
        path: &'static str,
        object: &str,
        answers: impl Fn(&'static str) -> u64,
    ) -> bool {
        let mut streaks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        streaks.retain(|path, streak| streak.answers == answers(path));
        let begun = || Streak { answers: answers(path), objects: HashSet::new() };
        streaks.entry(path).or_insert_with(begun).objects.insert(object.to_owned());
        streaks.values().map(|streak| streak.objects.len()).sum::<usize>() > 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_object_is_to_blame_and_two_are_not() {
        let nonsense = Nonsense::default();
        assert!(!nonsense.is_trouble("/user/get", "u1", |_| 7));
        assert!(!nonsense.is_trouble("/user/get", "u1", |_| 7));
        assert!(nonsense.is_trouble("/user/get", "u2", |_| 7));
        assert!(nonsense.is_trouble("/user/get", "u1", |_| 7));
        assert!(!nonsense.is_trouble("/user/get", "u1", |_| 8), "somebody was answered meanwhile");
        assert!(nonsense.is_trouble("/role/list", "*", |_| 8), "two APIs at once");
        assert!(!nonsense.is_trouble("/role/list", "*", |path| path.len() as u64), "both have worked since");
    }
}
