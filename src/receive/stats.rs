//! What came in since the process began.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use jiff::{SignedDuration, Timestamp};

use crate::store::Arrival;

/// The same kind of refusal is told this often at most.
const TOLD_EVERY: SignedDuration = SignedDuration::from_mins(1);

/// Why a push was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Rejection {
    /// Query or body are not those of a callback, or the message is no JSON object.
    Shape,
    /// Nobody who knows the token signed it.
    Signature,
    /// The signature is good, but the ciphertext cannot be read.
    Decrypt,
    /// The message is for somebody else.
    Owner,
    /// The body is too large.
    TooLarge,
    /// The body did not arrive in time.
    TooSlow,
}

impl Rejection {
    /// The word in status and metrics.
    pub fn label(self) -> &'static str {
        match self {
            Self::Shape => "shape",
            Self::Signature => "signature",
            Self::Decrypt => "decrypt",
            Self::Owner => "owner",
            Self::TooLarge => "too_large",
            Self::TooSlow => "too_slow",
        }
    }

    /// What the operator can do when it was DingTalk that was refused.
    pub fn remedy(self) -> &'static str {
        match self {
            Self::Shape => "nothing, unless DingTalk changed its protocol: somebody else called the URL",
            Self::Signature => {
                "compare callback_token with the Token (签名 Token) on the console's event subscription page (事件订阅)"
            }
            Self::Decrypt => "compare callback_aes_key with the AES key (加密 aes_key) on that page",
            Self::Owner => {
                "compare app_key and corp_id with the console, or list the key that DingTalk uses in owner_keys"
            }
            Self::TooLarge => "nothing: DingTalk's pushes are small, somebody else called the URL",
            Self::TooSlow => "look for a slow network or proxy between DingTalk and this daemon",
        }
    }
}

/// One organisation's counters.
#[derive(Debug, Default)]
pub struct InboxStats {
    received: AtomicU64,
    duplicates: AtomicU64,
    rejected: AtomicU64,
    has_met_previous_keys: AtomicBool,
    last_rejected: Mutex<Option<(Timestamp, Rejection)>>,
    /// When each thing was last worth a log line.
    told: Mutex<HashMap<&'static str, Timestamp>>,
}

impl InboxStats {
    pub(super) fn arrived(&self, arrival: Arrival) {
        let counter = match arrival {
            Arrival::New => &self.received,
            Arrival::Duplicate => &self.duplicates,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a refusal. True if it is worth a log line: whoever calls the URL must not be able to fill the log.
    pub(super) fn rejected_at(&self, now: Timestamp, rejection: Rejection) -> bool {
        self.rejected.fetch_add(1, Ordering::Relaxed);
        *self.last_rejected.lock().unwrap_or_else(PoisonError::into_inner) = Some((now, rejection));
        self.is_worth_telling(now, rejection.label())
    }

    /// Notes a push under the keys that were in use before. True for the first one.
    pub(super) fn met_previous_keys(&self) -> bool {
        !self.has_met_previous_keys.swap(true, Ordering::Relaxed)
    }

    /// Whether `what` has not been told for a while.
    pub(super) fn is_worth_telling(&self, now: Timestamp, what: &'static str) -> bool {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let is_due = told.get(what).is_none_or(|at| now.duration_since(*at) >= TOLD_EVERY);
        if is_due {
            told.insert(what, now);
        }
        is_due
    }

    /// Events stored, each once.
    pub fn received(&self) -> u64 {
        self.received.load(Ordering::Relaxed)
    }

    /// Events that had come before.
    pub fn duplicates(&self) -> u64 {
        self.duplicates.load(Ordering::Relaxed)
    }

    /// Pushes refused.
    pub fn rejected(&self) -> u64 {
        self.rejected.load(Ordering::Relaxed)
    }

    /// The last refusal.
    pub fn last_rejected(&self) -> Option<(Timestamp, Rejection)> {
        *self.last_rejected.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
