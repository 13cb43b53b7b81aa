//! Log lines: to stderr, as text for people or as JSON for collectors. No secrets, no personal data.

use thiserror::Error;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::ParseError;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::{SubscriberInitExt as _, TryInitError};

use crate::config::Log;

/// Why logging could not be set up.
#[derive(Debug, Error)]
pub enum LoggingError {
    /// `log.level` is no level and no list of directives.
    #[error("`log.level` is neither a level nor a list of directives such as info,dingsync::sync=debug")]
    Level(#[from] ParseError),
    /// Somebody set up logging before.
    #[error("logging has been set up already")]
    Twice(#[from] TryInitError),
}

/// The database's driver shows the values of every statement at `debug`: people's names and numbers.
const AT_MOST: [&str; 2] = ["tokio_postgres=info", "tokio_postgres::query=info"];

/// Sets up logging for the whole process.
pub fn init_logging(log: &Log) -> Result<(), LoggingError> {
    let mut filter = EnvFilter::builder().parse(&log.level)?;
    for directive in AT_MOST {
        filter = filter.add_directive(directive.parse()?);
    }
    let registry = tracing_subscriber::registry().with(filter);
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    if log.json {
        registry.with(lines.json().flatten_event(true)).try_init()?;
    } else {
        let is_terminal = std::io::IsTerminal::is_terminal(&std::io::stderr());
        registry.with(lines.with_ansi(is_terminal)).try_init()?;
    }
    Ok(())
}
