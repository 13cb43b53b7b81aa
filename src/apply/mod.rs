//! Fills the OA's own tables with SQL that the configuration brings.
//!
//! A follower of the change log: a change says which object to look at, and what the mirror has of it now is written.
//! So whatever was written twice, late, or by a process that died, ends as the mirror is. Which row is which object stands
//! in `ding_link`; rows that no link names are never touched.

mod check;
mod dependents;
mod effects;
mod fault;
mod init;
mod left_empty;
mod left_out;
mod mapping;
mod members;
mod notes;
mod object;
mod one;
mod row;
mod run;
mod statement;
mod tree;

pub use self::check::{CheckReport, Ran, StatementCheck, Trial};
pub use self::fault::ApplyError;
pub use self::init::{Proposal, TableColumn, catalogue_columns, catalogue_query, propose};
pub use self::left_out::LeftOut;
pub use self::mapping::{Mapping, Part};
pub use self::run::{Applier, Step, keep_applying};
pub use self::statement::{Statement, StatementError};
