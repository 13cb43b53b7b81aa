//! dingsync mirrors a DingTalk organisation into the database of an OA system, and keeps it there.
//!
//! One idea carries it: **an event is a hint, the truth is in DingTalk, the mirror converges to it.**
//! Callbacks mark objects as dirty; workers re-read each dirty object and make the mirror agree with
//! what they read. A bootstrap, a reconcile and an operator mark objects the same way.

pub mod answers;
pub mod apply;
pub mod cli;
pub mod clock;
pub mod config;
pub mod dingtalk;
pub mod hex;
pub mod http;
pub mod lane;
pub mod lifecycle;
pub mod notice;
pub mod ops;
pub mod random;
pub mod receive;
pub mod replicas;
pub mod secret;
pub mod sim;
pub mod store;
pub mod sync;
pub mod telemetry;
