//! Sees a row as soon as it is committed: over one connection, with one prepared statement.

use mysql_async::prelude::Queryable as _;
use rusqlite::{Connection, OpenFlags, OptionalExtension as _};
use tokio_postgres::NoTls;

/// A connection that looks at people's titles.
pub(crate) enum Watch {
    Sqlite(Connection),
    Postgres(tokio_postgres::Client, tokio_postgres::Statement),
    Mysql(mysql_async::Conn),
}

impl Watch {
    pub(crate) async fn open(url: &str) -> Self {
        if let Some(path) = url.strip_prefix("sqlite://") {
            let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE);
            Self::Sqlite(connection.expect("a database"))
        } else if url.starts_with("postgres") {
            let (client, connection) = tokio_postgres::connect(url, NoTls).await.expect("a server");
            tokio::spawn(connection);
            let statement = client.prepare("SELECT title FROM ding_employee WHERE userid = $1").await;
            Self::Postgres(client, statement.expect("a statement"))
        } else {
            Self::Mysql(mysql_async::Conn::from_url(url).await.expect("a server"))
        }
    }

    pub(crate) async fn title(&mut self, userid: &str) -> Option<String> {
        const QUERY: &str = "SELECT title FROM ding_employee WHERE userid = ?";
        match self {
            Self::Sqlite(connection) => {
                let mut statement = connection.prepare_cached(QUERY).expect("a statement");
                statement.query_row([userid], |row| row.get(0)).optional().expect("a row").flatten()
            }
            Self::Postgres(client, statement) => {
                client.query_opt(statement, &[&userid]).await.expect("a row").and_then(|row| row.get(0))
            }
            Self::Mysql(conn) => {
                conn.exec_first::<Option<String>, _, _>(QUERY, (userid,)).await.expect("a row").flatten()
            }
        }
    }
}
