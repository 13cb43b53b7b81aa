//! What the program tells about itself: log lines and metrics.

mod calls;
mod logging;
mod metrics;

pub use self::calls::CallWatch;
pub use self::logging::{LoggingError, init_logging};
pub use self::metrics::Metrics;
