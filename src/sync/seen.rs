//! Remembers ids without keeping them.

use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};

/// Ids that were seen, in eight bytes each. Two ids with one hash would be taken for one another, once in some ten
/// billion organisations of a hundred thousand people; what is overlooked then, the next comparison finds.
#[derive(Debug, Default)]
pub(super) struct Seen {
    hashes: HashSet<u64>,
    hasher: RandomState,
}

impl Seen {
    pub(super) fn note(&mut self, id: &str) {
        self.hashes.insert(self.hasher.hash_one(id));
    }

    /// How many different ones.
    pub(super) fn len(&self) -> usize {
        self.hashes.len()
    }

    pub(super) fn has(&self, id: &str) -> bool {
        self.hashes.contains(&self.hasher.hash_one(id))
    }
}
