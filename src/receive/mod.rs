//! How events get in: authenticity, normalising, the commit, the acknowledgement. What is done with an event is not
//! decided here: which objects it marks is a function that the caller brings.

mod callback;
mod door;
pub mod failed_list;
mod gaps;
mod keys;
mod stats;

use crate::dingtalk::event::Event;
use crate::dingtalk::redact;
use crate::store::{FieldSet, Hint, Incoming};

pub use self::callback::{CALLBACK_RESULTS, Callbacks, router};
pub use self::door::{Arrivals, Door, DoorError, Reply, Waiting, Wakes};
pub use self::gaps::{Gaps, watch_gaps};
pub use self::keys::{CallbackEndpoint, Envelope, KeyPair, Opened};
pub use self::stats::{InboxStats, Rejection};

/// Says which objects an event marks.
pub type Classify = fn(&Event) -> Vec<Hint>;

/// What an event is on its way into the inbox of `corp_id`, without the values of the `excluded` columns of people.
fn incoming(corp_id: &str, classify: Classify, excluded: &FieldSet, event: Event) -> Incoming {
    let redacted = redact::without_fields(&event.message, excluded.names());
    Incoming {
        corp_id: corp_id.to_owned(),
        hints: classify(&event),
        key: event.key,
        event_id: event.event_id,
        event_type: event.event_type,
        operator_userid: event.operator_userid,
        occurred_at: event.occurred_at,
        message: redacted.unwrap_or(event.message),
    }
}
