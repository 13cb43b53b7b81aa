//! Where the engines' SQL differs. Everything else of it is the same text on all of them.

use super::sql::placeholders;

/// The language that a database speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Dialect {
    /// An embedded file.
    Sqlite,
    /// PostgreSQL.
    Postgres,
    /// MySQL, and MariaDB: what runs on both.
    Mysql,
}

impl Dialect {
    /// The end of an `INSERT` that leaves a row with the same `key` as it is.
    pub(super) fn keep(self, key: &str) -> String {
        match self {
            Self::Sqlite | Self::Postgres => format!("ON CONFLICT ({key}) DO NOTHING"),
            Self::Mysql => {
                let first = key.split(',').next().unwrap_or_default();
                format!("ON DUPLICATE KEY UPDATE {first} = {first}")
            }
        }
    }

    /// The end of an `INSERT` that leaves a row with the same `key` as it is, and brings the keys of the rows that it made;
    /// `None` where the engine cannot tell.
    pub(super) fn tell_inserted(self, key: &str) -> Option<String> {
        match self {
            Self::Sqlite | Self::Postgres => Some(format!("ON CONFLICT ({key}) DO NOTHING RETURNING {key}")),
            Self::Mysql => None,
        }
    }

    /// The end of an `INSERT` that makes these assignments in a row with the same `key`. They are made in their order,
    /// and on MySQL a later one sees what an earlier one has done.
    pub(super) fn merge(self, key: &str, assignments: &str) -> String {
        match self {
            Self::Sqlite | Self::Postgres => format!("ON CONFLICT ({key}) DO UPDATE SET {assignments}"),
            Self::Mysql => format!("ON DUPLICATE KEY UPDATE {assignments}"),
        }
    }

    /// The end of an `INSERT` that overwrites `columns` of a row with the same `key`.
    pub(super) fn overwrite(self, key: &str, columns: &[&str]) -> String {
        let assignments: Vec<String> =
            columns.iter().map(|column| format!("{column} = {}", self.incoming(column))).collect();
        self.merge(key, &assignments.join(", "))
    }

    /// In an assignment of [`Self::merge`], the value that was to be inserted. MariaDB knows no other form for it.
    pub(super) fn incoming(self, column: &str) -> String {
        match self {
            Self::Sqlite | Self::Postgres => format!("excluded.{column}"),
            Self::Mysql => format!("VALUES({column})"),
        }
    }

    /// An argument whose type nothing beside it tells.
    pub(super) fn number_argument(self) -> &'static str {
        match self {
            Self::Postgres => "CAST(? AS BIGINT)",
            Self::Sqlite | Self::Mysql => "?",
        }
    }

    /// The end of a `SELECT` whose rows this transaction takes, those aside that another one has.
    pub(super) fn take_free_rows(self) -> &'static str {
        match self {
            Self::Sqlite => "",
            Self::Postgres | Self::Mysql => "FOR UPDATE SKIP LOCKED",
        }
    }

    /// A `SELECT` of the rows in which the columns `same` have the values of the first arguments, and `key`, a text, one
    /// of the `count` further ones; with `lock`, the rows are taken in the order of their keys.
    ///
    /// PostgreSQL keeps the plan that it makes while a table is empty, and then a list of keys is best found by reading
    /// all rows of the organisation: so it is told to look for each key by itself, through the unique index.
    pub(super) fn select_listed(
        self,
        columns: &str,
        table: &str,
        same: &[&str],
        key: &str,
        count: usize,
        lock: bool,
    ) -> String {
        if self != Self::Postgres {
            let conditions: Vec<String> = same
                .iter()
                .map(|column| format!("{column} = ?"))
                .chain([format!("{key} IN ({})", placeholders(count))])
                .collect();
            let end = match (lock, self) {
                (true, Self::Mysql) => format!(" ORDER BY {key} FOR UPDATE"),
                _ => String::new(),
            };
            return format!("SELECT {columns} FROM {table} WHERE {}{end}", conditions.join(" AND "));
        }
        let numbered = |from: usize, count: usize| (from..from + count).map(|number| format!("${number}"));
        let keys: Vec<String> = numbered(same.len() + 1, count).collect();
        let conditions: Vec<String> = same
            .iter()
            .zip(numbered(1, same.len()))
            .map(|(column, number)| format!("{column} = {number}"))
            .chain([format!("{key} = listed.listed_key")])
            .collect();
        // Either of them keeps the planner from turning the two into a join of its own choice.
        let fence = if lock { "FOR UPDATE" } else { "OFFSET 0" };
        format!(
            "SELECT {columns} FROM (SELECT listed_key FROM unnest(ARRAY[{}]) AS given (listed_key) \
             GROUP BY listed_key ORDER BY listed_key COLLATE \"C\") AS listed \
             CROSS JOIN LATERAL (SELECT * FROM {table} WHERE {} {fence}) AS found",
            keys.join(", "),
            conditions.join(" AND "),
        )
    }

    /// Begins a transaction that writes.
    pub(super) fn begin(self) -> &'static str {
        match self {
            Self::Sqlite => "BEGIN IMMEDIATE",
            Self::Postgres => "BEGIN",
            Self::Mysql => "START TRANSACTION",
        }
    }

    /// Begins a transaction that sees one moment.
    pub(super) fn begin_look(self) -> &'static [&'static str] {
        match self {
            Self::Sqlite => &["BEGIN"],
            Self::Postgres => &["BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"],
            Self::Mysql => &[
                "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ",
                "START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY",
            ],
        }
    }

    /// The statement with this engine's placeholders; written are `?`.
    pub(super) fn placed(self, sql: &str) -> String {
        if self != Self::Postgres {
            return sql.to_owned();
        }
        let mut placed = String::with_capacity(sql.len() + 32);
        for (number, part) in sql.split('?').enumerate() {
            if number > 0 {
                placed.push('$');
                placed.push_str(&number.to_string());
            }
            placed.push_str(part);
        }
        placed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_are_numbered_on_postgresql_alone() {
        let sql = "SELECT a FROM t WHERE b = ? AND c IN (?, ?)";
        assert_eq!(Dialect::Postgres.placed(sql), "SELECT a FROM t WHERE b = $1 AND c IN ($2, $3)");
        assert_eq!(Dialect::Mysql.placed(sql), sql);
    }

    #[test]
    fn rows_with_listed_keys_are_looked_for_one_by_one_on_postgresql() {
        let select = |dialect: Dialect, lock| dialect.select_listed("a", "t", &["b"], "c", 2, lock);
        assert_eq!(select(Dialect::Mysql, false), "SELECT a FROM t WHERE b = ? AND c IN (?, ?)");
        assert_eq!(
            select(Dialect::Mysql, true),
            "SELECT a FROM t WHERE b = ? AND c IN (?, ?) ORDER BY c FOR UPDATE"
        );
        assert_eq!(
            select(Dialect::Postgres, true),
            "SELECT a FROM (SELECT listed_key FROM unnest(ARRAY[$2, $3]) AS given (listed_key) \
             GROUP BY listed_key ORDER BY listed_key COLLATE \"C\") AS listed \
             CROSS JOIN LATERAL (SELECT * FROM t WHERE b = $1 AND c = listed.listed_key FOR UPDATE) AS found"
        );
    }

    #[test]
    fn an_upsert_is_written_as_each_engine_knows_it() {
        assert_eq!(
            Dialect::Postgres.overwrite("a, b", &["c"]),
            "ON CONFLICT (a, b) DO UPDATE SET c = excluded.c"
        );
        assert_eq!(Dialect::Mysql.overwrite("a, b", &["c"]), "ON DUPLICATE KEY UPDATE c = VALUES(c)");
        assert_eq!(Dialect::Mysql.keep("a, b"), "ON DUPLICATE KEY UPDATE a = a");
    }
}
