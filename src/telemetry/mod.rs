//! What the program tells about itself: log lines and metrics.

mod logging;
mod metrics;

pub use self::logging::{LoggingError, init_logging};
pub use self::metrics::{CallCounter, Metrics};
