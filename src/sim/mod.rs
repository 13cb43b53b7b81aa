//! A DingTalk on this machine: organisation, API, events, faults.
//!
//! The simulator behaves as the protocol notes (`contacts-api.md`, `events.md`, `errors.md`) say that DingTalk does,
//! and as nothing else: it knows no client. Where the notes leave a question open, the answer is a setting or is
//! marked as a guess where it is made.
//!
//! [`Sim::start`] runs one inside a program or a test, [`run`] is the command `dingsync sim`. Both listen on one
//! address for three things: the older API and the newer one, whose paths do not clash, and the routes under `/sim`
//! that steer it (see [`Sim`] for what can be done, and the command's long help for the routes).
//!
//! How it is laid out: `model`, `organisation`, `history` and `view` are the state and the ways to look at it;
//! `change`, `apply` and `life` alter it and say which events follow; `api` answers calls, `push` delivers events;
//! `faults`, `limits`, `token` and `app` are what stands between a client and the state; `control` and `command` are
//! the outside. Writes of the API will be further actions in `api`'s table that make a [`Change`].

mod api;
mod app;
mod apply;
mod change;
mod command;
mod control;
mod counters;
mod events;
mod faults;
mod generate;
mod handle;
mod history;
mod life;
mod limits;
mod model;
mod names;
mod options;
mod organisation;
mod push;
mod state;
mod sync;
mod time;
mod token;
mod truth;
mod view;

pub use self::app::{AppSettings, Scope};
pub use self::change::{Change, ChangeError, Field, Happening, Kind};
pub use self::command::{Args, run};
pub use self::counters::PathCount;
pub use self::events::{DiffInfo, FailedShape, Shape};
pub use self::faults::{
    Ban, BanForm, EventFaults, FailingPage, Faults, GatewayErrors, Overload, PathFaults, Spell, Variants,
};
pub use self::handle::Sim;
pub use self::life::Plan;
pub use self::options::{Counters, Credentials, LifeCount, Options, StartError, Status};
pub use self::push::{Owner, PushCount, PushFailure, PushSettings, SignatureParameter, TimestampParameter};
pub use self::truth::Subject;
