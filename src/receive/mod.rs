//! How events get in: authenticity, normalising, the commit, the acknowledgement. What is done with an event is not
//! decided here: which objects it marks is a function that the caller brings.

mod callback;
mod door;
mod keys;
mod stats;

use crate::dingtalk::event::Event;
use crate::store::Hint;

pub use self::callback::{CALLBACK_RESULTS, Callbacks, router};
pub use self::door::{Arrivals, Door, DoorError, Reply, Waiting, Wakes};
pub use self::keys::{CallbackEndpoint, Envelope, KeyPair, Opened};
pub use self::stats::{InboxStats, Rejection};

/// Says which objects an event marks.
pub type Classify = fn(&Event) -> Vec<Hint>;
