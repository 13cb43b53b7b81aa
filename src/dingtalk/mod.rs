//! DingTalk on the wire: hosts, tokens, paths, envelopes, error classes, limits, cryptography, event shapes.
//!
//! Nothing here knows a database or a mirror. Protocol facts carry their source, a section of the protocol notes
//! (`events.md §3`, `contacts-api.md §2`, `errors.md §1`).

pub mod crypto;
