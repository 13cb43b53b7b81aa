//! A first draft of a mapping: the table `[apply.NAME.ENTITY]` for a table of the OA's, guessed from the names and comments
//! of its columns. People look at every line of it before they use it.

mod catalogue;
mod codes;
mod dictionary;
mod draft;
mod sql;
mod statements;
mod values;
mod words;

use std::fmt::{self, Display, Formatter};

pub use self::catalogue::{TableColumn, catalogue_columns, catalogue_query};
use self::draft::Draft;
use super::mapping::Part;
use crate::store::Dialect;

/// The draft for one table. It is shown as TOML.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proposal {
    /// Which part of the mapping it is.
    pub part: Part,
    /// Where it came from.
    headline: String,
    /// What people have to look at before it can be used.
    pub todo: Vec<String>,
    find: Option<String>,
    upsert: Vec<String>,
    delete: Option<String>,
    /// Columns that it does not write.
    pub left_alone: Vec<String>,
}

/// What a table holds, guessed from its name, its comment and its columns; a person's row where nothing tells.
pub fn propose(engine: Dialect, table: &str, table_comment: &str, columns: &[TableColumn]) -> Proposal {
    let told = words::part_of(table, table_comment, columns);
    let draft = Draft::new(engine, told.unwrap_or(Part::Employee), table, columns);
    let comment = if table_comment.is_empty() { String::new() } else { format!(" ({table_comment})") };
    let mut proposal = Proposal {
        part: draft.part,
        headline: format!("A draft for the table {table}{comment}: look at every line."),
        todo: Vec::new(),
        find: draft.find(),
        upsert: draft.upsert(),
        delete: draft.delete(),
        left_alone: draft.left_alone(),
    };
    if told.is_none() {
        let text = "nothing tells what the table holds. Is it departments, people, roles, or who is where?";
        proposal.todo.push(text.to_owned());
    }
    proposal.todo.extend(draft.todo());
    proposal
}

impl Display for Proposal {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        writeln!(formatter, "# {}", in_one_line(&self.headline))?;
        for todo in &self.todo {
            writeln!(formatter, "# TODO {}", in_one_line(todo))?;
        }
        writeln!(formatter, "[apply.oa.{}]", self.part.label())?;
        if let Some(find) = &self.find {
            writeln!(formatter, "find = {}", literal(find))?;
        }
        match self.upsert.as_slice() {
            [only] => writeln!(formatter, "upsert = {}", literal(only))?,
            several => {
                let several: Vec<String> = several.iter().map(|statement| literal(statement)).collect();
                writeln!(formatter, "upsert = [\n{},\n]", several.join(",\n"))?;
            }
        }
        if let Some(delete) = &self.delete {
            writeln!(formatter, "delete = {}", literal(delete))?;
        }
        if !self.left_alone.is_empty() {
            writeln!(formatter, "# Left alone: {}", in_one_line(&self.left_alone.join(", ")))?;
        }
        Ok(())
    }
}

/// A comment ends with its line.
fn in_one_line(text: &str) -> String {
    text.split(char::is_control).filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" ")
}

/// A statement as TOML has it.
fn literal(statement: &str) -> String {
    let escaped = statement.replace('\\', "\\\\").replace("\"\"\"", "\"\"\\\"");
    format!("\"\"\"\n{escaped}\"\"\"")
}

#[cfg(test)]
mod tests;
