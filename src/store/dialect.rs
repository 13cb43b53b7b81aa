//! Where the engines' SQL differs. Everything else of it is the same text on all of them.

/// The language that a database speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Dialect {
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
    fn an_upsert_is_written_as_each_engine_knows_it() {
        assert_eq!(
            Dialect::Postgres.overwrite("a, b", &["c"]),
            "ON CONFLICT (a, b) DO UPDATE SET c = excluded.c"
        );
        assert_eq!(Dialect::Mysql.overwrite("a, b", &["c"]), "ON DUPLICATE KEY UPDATE c = VALUES(c)");
        assert_eq!(Dialect::Mysql.keep("a, b"), "ON DUPLICATE KEY UPDATE a = a");
    }
}
