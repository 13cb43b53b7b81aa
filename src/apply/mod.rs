//! Filling the OA's own tables, with statements that its people write.

mod statement;

pub use self::statement::{Statement, StatementError};
