//! The daemon as a process of its own, against the simulator: what it shows to the outside.

#[path = "../support/mod.rs"]
mod support;

mod live;
mod pull;
