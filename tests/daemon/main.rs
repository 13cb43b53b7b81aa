//! The daemon as a process of its own, against the simulator: what it shows to the outside.

#[path = "../compat/mod.rs"]
mod compat;
#[path = "../support/mod.rs"]
mod support;

mod answers;
mod apply;
mod callback;
mod catch_up;
mod commands;
mod engines;
mod events;
mod faults;
mod hostile;
mod live;
mod no_mirror;
mod notice;
mod operation;
mod organisations;
mod privacy;
mod pull;
mod reconcile;
