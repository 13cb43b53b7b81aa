//! The heart: which objects are read, in what order, and what their answers mean for the mirror.
//!
//! Every fact has one owner read, made under the object's lease; everything else inserts what nobody has read yet, or
//! compares and marks. Nothing here knows SQL or HTTP.

mod bootstrap;
mod catalogue;
mod catch_up;
mod compare;
mod context;
mod convert;
mod department;
mod difference;
mod dispatch;
mod employee;
mod engine;
mod guard;
mod held;
mod hints;
mod lead;
mod metering;
mod now;
mod outcome;
mod permission;
mod references;
mod retention;
mod role_members;
mod runs;
mod schedule;
mod seen;
mod settle;
mod unexpected;
mod visibility;
mod walk;
mod worker;

use std::time::Duration;

pub use self::context::Context;
pub use self::engine::{Engine, EngineError, prepare};
pub use self::held::{Decided, Decision};
pub use self::hints::classify;
pub use self::lead::lead;
pub use self::metering::metering_month;
pub use self::now::{FieldNow, Now};
pub use self::permission::FieldPermission;
pub use self::retention::{Erased, Forget};

/// How long an object stays with a worker that shows no sign of life. Leases are renewed four times in that time.
const LEASE: Duration = Duration::from_secs(20);
