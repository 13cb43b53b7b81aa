//! What the OA's database says of a table.

use crate::store::Dialect;

/// A column of the OA's table.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TableColumn {
    /// Its name.
    pub name: String,
    /// Its type in the engine's words, such as `varchar(30)`.
    pub type_text: String,
    /// What its makers say of it; empty where they say nothing.
    pub comment: String,
    /// It may be NULL.
    pub is_nullable: bool,
    /// A row that does not name it gets a value all the same.
    pub has_default: bool,
    /// It belongs to the primary key.
    pub is_key: bool,
    /// Another key than the primary one keeps its values apart. Told on MySQL, where an upsert goes by all of them.
    pub is_unique: bool,
    /// The database makes its value: of a key by counting, else out of other columns.
    pub is_generated: bool,
}

/// The `SELECT` that brings the columns of a table in their order, for [`catalogue_columns`]. Its only argument is the table's
/// name; of a table that is not there it brings nothing.
pub fn catalogue_query(engine: Dialect) -> &'static str {
    match engine {
        // MariaDB writes NULL for a default that is none.
        Dialect::Mysql => {
            "SELECT c.COLUMN_NAME, c.COLUMN_TYPE, c.COLUMN_COMMENT, \
             CASE WHEN c.IS_NULLABLE = 'YES' THEN 1 ELSE 0 END, \
             CASE WHEN COALESCE(c.COLUMN_DEFAULT, 'NULL') = 'NULL' THEN 0 ELSE 1 END, \
             CASE WHEN c.COLUMN_KEY = 'PRI' THEN 1 ELSE 0 END, \
             CASE WHEN c.EXTRA LIKE '%auto_increment%' OR c.EXTRA LIKE '%VIRTUAL%' OR c.EXTRA LIKE '%STORED%' \
             THEN 1 ELSE 0 END, \
             CASE WHEN EXISTS (SELECT 1 FROM information_schema.STATISTICS AS s \
             WHERE s.TABLE_SCHEMA = c.TABLE_SCHEMA AND s.TABLE_NAME = c.TABLE_NAME AND s.COLUMN_NAME = c.COLUMN_NAME \
             AND s.NON_UNIQUE = 0 AND s.INDEX_NAME <> 'PRIMARY') THEN 1 ELSE 0 END, \
             t.TABLE_COMMENT \
             FROM information_schema.COLUMNS AS c \
             JOIN information_schema.TABLES AS t ON t.TABLE_SCHEMA = c.TABLE_SCHEMA AND t.TABLE_NAME = c.TABLE_NAME \
             WHERE c.TABLE_SCHEMA = DATABASE() AND c.TABLE_NAME = ? ORDER BY c.ORDINAL_POSITION"
        }
        // The name as SQL has it, with a schema or quotes where it needs them, or as it is.
        Dialect::Postgres => {
            "SELECT a.attname, format_type(a.atttypid, a.atttypmod), col_description(a.attrelid, a.attnum), \
             CASE WHEN a.attnotnull THEN 0 ELSE 1 END, \
             CASE WHEN a.atthasdef THEN 1 ELSE 0 END, \
             CASE WHEN EXISTS (SELECT 1 FROM pg_index AS i WHERE i.indrelid = a.attrelid AND i.indisprimary \
             AND a.attnum = ANY (i.indkey)) THEN 1 ELSE 0 END, \
             CASE WHEN a.attidentity <> '' OR a.attgenerated <> '' \
             OR pg_get_expr(d.adbin, d.adrelid) LIKE 'nextval(%' THEN 1 ELSE 0 END, 0, \
             obj_description(a.attrelid, 'pg_class') \
             FROM pg_attribute AS a LEFT JOIN pg_attrdef AS d ON d.adrelid = a.attrelid AND d.adnum = a.attnum \
             WHERE a.attrelid = COALESCE(to_regclass(quote_ident(CAST($1 AS text))), to_regclass(CAST($1 AS text))) \
             AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum"
        }
        // The only column of a key that is an INTEGER is the row's number, which is counted.
        Dialect::Sqlite => {
            "SELECT name, type, NULL, \
             CASE WHEN \"notnull\" = 0 AND pk = 0 THEN 1 ELSE 0 END, \
             CASE WHEN dflt_value IS NULL THEN 0 ELSE 1 END, \
             CASE WHEN pk > 0 THEN 1 ELSE 0 END, \
             CASE WHEN hidden IN (2, 3) OR (pk > 0 AND upper(type) = 'INTEGER' \
             AND (SELECT count(*) FROM pragma_table_xinfo(?1) WHERE pk > 0) = 1) THEN 1 ELSE 0 END, 0, \
             NULL \
             FROM pragma_table_xinfo(?1) WHERE hidden <> 1 ORDER BY cid"
        }
    }
}

/// The rows of [`catalogue_query`] as columns, and what the table's makers say of it; `None` where there is no such table.
pub fn catalogue_columns(rows: Vec<Vec<Option<String>>>) -> Option<(String, Vec<TableColumn>)> {
    let mut table_comment = String::new();
    let mut columns = Vec::with_capacity(rows.len());
    for row in rows {
        let mut cells = row.into_iter();
        let mut text = || cells.next().flatten().unwrap_or_default();
        let (name, type_text, comment) = (text(), text(), text());
        let mut flag = || text() == "1";
        columns.push(TableColumn {
            name,
            type_text,
            comment,
            is_nullable: flag(),
            has_default: flag(),
            is_key: flag(),
            is_generated: flag(),
            is_unique: flag(),
        });
        table_comment = text();
    }
    (!columns.is_empty()).then_some((table_comment, columns))
}
