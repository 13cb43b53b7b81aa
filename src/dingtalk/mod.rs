//! DingTalk on the wire: hosts, tokens, paths, envelopes, error classes, limits, cryptography, event shapes.
//!
//! Nothing here knows a database or a mirror. Protocol facts carry their source, a section of the protocol notes
//! (`events.md §3`, `contacts-api.md §2`, `errors.md §1`).

pub mod breaker;
pub mod client;
mod contacts;
pub mod crypto;
pub mod endpoint;
mod envelope;
pub mod error;
pub mod event;
pub mod failed;
mod leavers;
pub mod lenient;
pub mod meter;
pub mod model;
pub mod pace;
pub mod redact;
mod subscription;
mod token;
mod transport;

pub use client::Client;
pub use error::{ApiError, Class};
pub use meter::{Meter, NotCounted};
pub use subscription::Subscription;
pub use transport::{Hosts, TransportError, is_loopback};
