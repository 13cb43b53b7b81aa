//! Which work goes first, from the queue to the wire.

/// Live work passes background work wherever the two wait for the same thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Lane {
    /// Events and people's requests.
    Live,
    /// Everything that nobody waits for.
    Background,
}

impl Lane {
    /// Live first.
    pub const ALL: [Self; 2] = [Self::Live, Self::Background];

    /// The word in metrics.
    pub fn label(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Background => "background",
        }
    }
}
