//! Many rows in few statements.

use super::sql::{Value, placeholders};

/// How many rows one statement inserts at most; longer lists are split into these sizes, so that few texts serve every
/// number of rows.
const ROWS: [usize; 6] = [32, 16, 8, 4, 2, 1];

/// Where rows go.
#[derive(Debug, Clone, Copy)]
pub(super) struct Insert<'a> {
    /// The table.
    pub(super) table: &'a str,
    /// The columns that are given, in the order of the values.
    pub(super) columns: &'a [&'a str],
    /// What becomes of rows that are there already, and what is told.
    pub(super) ending: &'a str,
}

impl Insert<'_> {
    /// The statement for so many rows, without its ending.
    pub(super) fn statement(&self, rows: usize) -> String {
        let row = format!("({})", placeholders(self.columns.len()));
        let (table, columns) = (self.table, self.columns.join(", "));
        format!("INSERT INTO {table} ({columns}) VALUES {}", vec![row; rows].join(", "))
    }

    /// The statements for these values, row after row, each with its own.
    pub(super) fn statements<'values>(
        &self,
        mut values: &'values [Value],
    ) -> impl Iterator<Item = (String, &'values [Value])> {
        std::iter::from_fn(move || {
            let left = values.len() / self.columns.len();
            let rows = ROWS.into_iter().find(|&rows| rows <= left)?;
            let (some, rest) = values.split_at(rows * self.columns.len());
            values = rest;
            Some((format!("{} {}", self.statement(rows), self.ending), some))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_number_of_rows_is_split_into_few_sizes() {
        let insert = Insert { table: "t", columns: &["a", "b"], ending: "END" };
        let values: Vec<Value> = (0..14_i64).map(Value::from).collect();
        let statements: Vec<(String, &[Value])> = insert.statements(&values).collect();
        let rows: Vec<usize> = statements.iter().map(|(_, values)| values.len() / 2).collect();
        assert_eq!(rows, [4, 2, 1]);
        assert_eq!(statements[2].0, "INSERT INTO t (a, b) VALUES (?, ?) END");
        assert_eq!(statements[2].1, [Value::from(12_i64), Value::from(13_i64)]);
        assert_eq!(insert.statements(&[]).count(), 0);
    }
}
