//! Other people's statements on MySQL and MariaDB.

use mysql_async::prelude::Queryable as _;
use mysql_async::{Column, DriverError, Error, Params, ServerError, Statement, Value as Wire};

use super::{Address, SETTINGS, Session};
use crate::store::engine::{STATEMENT_PATIENCE, answered};
use crate::store::error::StoreError;
use crate::store::oa::{OaAnswer, OaError, OaPrepared, OaValue, Trouble};

impl Session {
    /// A connection to a database that may not be ours: an older server is good enough for that.
    pub(in crate::store) async fn connect_foreign(address: &Address) -> Result<Self, StoreError> {
        let mut session = Self::line(address).await?;
        session.batch(SETTINGS, STATEMENT_PATIENCE).await?;
        Ok(session)
    }

    pub(in crate::store) async fn foreign_prepare(&mut self, sql: &str) -> Result<OaPrepared, OaError> {
        let statement = self.foreign_statement(sql).await?;
        let columns = statement.columns().iter().map(|column| column.name_str().into_owned()).collect();
        Ok(OaPrepared { parameters: usize::from(statement.num_params()), columns })
    }

    pub(in crate::store) async fn foreign_run(
        &mut self,
        sql: &str,
        args: &[OaValue],
    ) -> Result<OaAnswer, OaError> {
        let statement = self.foreign_statement(sql).await?;
        // The driver gives up the connection over it.
        if usize::from(statement.num_params()) != args.len() {
            return Err(OaError::wrong_count(usize::from(statement.num_params()), args.len()));
        }
        let params = match args {
            [] => Params::Empty,
            _ => Params::Positional(args.iter().map(argument).collect()),
        };
        self.is_torn = true;
        let found = answered(STATEMENT_PATIENCE, self.conn.exec(statement, params)).await;
        self.heard(&found);
        let found: Vec<mysql_async::Row> = found?;
        let rows: Vec<Vec<Option<String>>> = found
            .into_iter()
            .map(|row| {
                let columns = row.columns();
                row.unwrap()
                    .into_iter()
                    .zip(columns.iter())
                    .map(|(value, column)| text_of(value, column))
                    .collect()
            })
            .collect();
        // What brings rows does not tell how many it changed.
        let affected = self.conn.affected_rows().max(rows.len() as u64);
        let generated = self.conn.last_insert_id().filter(|&id| id != 0).map(|id| id.to_string());
        Ok(OaAnswer { rows, affected, generated })
    }

    pub(in crate::store) async fn foreign_command(&mut self, sql: &str) -> Result<(), OaError> {
        self.is_torn = true;
        let done = answered(STATEMENT_PATIENCE, self.conn.query_drop(sql)).await;
        self.heard(&done);
        done
    }

    async fn foreign_statement(&mut self, sql: &str) -> Result<Statement, OaError> {
        self.is_torn = true;
        let prepared = answered(STATEMENT_PATIENCE, self.conn.prep(sql)).await;
        self.heard(&prepared);
        prepared
    }

    /// After an answer of the server's, a refusal too, the next statement can follow.
    fn heard<T>(&mut self, result: &Result<T, OaError>) {
        self.is_torn = matches!(result, Err(OaError::Away { .. }));
    }
}

fn argument(value: &OaValue) -> Wire {
    match value {
        OaValue::Null => Wire::NULL,
        OaValue::Integer(number) => Wire::Int(*number),
        OaValue::Text(text) | OaValue::Loose(text) => Wire::Bytes(text.clone().into_bytes()),
    }
}

fn text_of(value: Wire, column: &Column) -> Option<String> {
    use mysql_async::consts::ColumnType::MYSQL_TYPE_DATE;
    Some(match value {
        Wire::NULL => return None,
        Wire::Int(number) => number.to_string(),
        Wire::UInt(number) => number.to_string(),
        Wire::Float(number) => number.to_string(),
        Wire::Double(number) => number.to_string(),
        Wire::Bytes(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
        Wire::Date(year, month, day, hour, minute, second, microsecond) => {
            let day = format!("{year:04}-{month:02}-{day:02}");
            match (column.column_type(), microsecond) {
                (MYSQL_TYPE_DATE, _) => day,
                (_, 0) => format!("{day} {hour:02}:{minute:02}:{second:02}"),
                _ => format!("{day} {hour:02}:{minute:02}:{second:02}.{microsecond:06}"),
            }
        }
        Wire::Time(is_negative, days, hours, minutes, seconds, _) => {
            let sign = if is_negative { "-" } else { "" };
            format!("{sign}{:02}:{minutes:02}:{seconds:02}", days * 24 + u32::from(hours))
        }
    })
}

impl From<Error> for OaError {
    fn from(error: Error) -> Self {
        match error {
            Error::Server(ServerError { code, message, state }) => {
                trouble_of(code, &state).told(code.to_string(), message)
            }
            Error::Driver(error @ DriverError::PacketTooLarge) => {
                Trouble::Refused.told(None, error.to_string())
            }
            error => Trouble::Away.told(None, error.to_string()),
        }
    }
}

fn trouble_of(code: u16, state: &str) -> Trouble {
    match code {
        // A lock that is not given, a deadlock, a row or a table that was changed meanwhile; a statement that was ended
        // because it took too long; too many transactions, locks or prepared statements.
        1020 | 1037 | 1038 | 1135 | 1197 | 1205 | 1206 | 1213 | 1317 | 1412 | 1461 | 1615 | 1637 | 1969
        | 3024 | 3572 => Trouble::Busy,
        1021 | 1041 | 1114 => Trouble::Full,
        1036 | 1290 | 1792 | 1836 | 3989 => Trouble::ReadOnly,
        1044 | 1142 | 1143 | 1227 | 1370 => Trouble::Denied,
        // Too many connections, no database, no access, a server that goes down, a killed connection, one that was silent
        // for too long, a broken line or disk.
        1015..=1017
        | 1023
        | 1024
        | 1026
        | 1030
        | 1034
        | 1040
        | 1042
        | 1043
        | 1045
        | 1049
        | 1053
        | 1077
        | 1079
        | 1129
        | 1130
        | 1158..=1161
        | 1194
        | 1195
        | 1203
        | 1226
        | 1698
        | 1927
        | 3118
        | 3159
        | 4031 => Trouble::Away,
        // What a trigger or a procedure says, in whatever class; a query in one that brings two rows, a row too large, a
        // pattern that is none: it is these values.
        // Whether collations go together depends on the characters of the value, too.
        1118 | 1139 | 1172 | 1267 | 1270 | 1271 | 1644 | 1645 => Trouble::Refused,
        // Unknown names, wrong counts, what cannot be written to, generated columns.
        1046 | 1051 | 1052 | 1054 | 1060 | 1064 | 1066 | 1093 | 1109 | 1110 | 1111 | 1115 | 1136 | 1146
        | 1149 | 1193 | 1210 | 1222 | 1241 | 1247 | 1248 | 1273 | 1288 | 1295 | 1305 | 1318 | 1348 | 1364
        | 1665 | 1356 | 1442 | 1471 | 1582 | 1630 | 1906 | 3105 => Trouble::Mismatch,
        _ if state.starts_with("42") => Trouble::Mismatch,
        // A node of a cluster that is not ready; a transaction that others of a cluster have refused.
        _ if state.starts_with("08") => Trouble::Away,
        _ if state.starts_with("40") => Trouble::Busy,
        _ => Trouble::Refused,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_tell_the_kind_and_words_stay_whole() {
        for (code, state, kind) in [
            (1213, "40001", "busy"),
            (1114, "HY000", "busy"),
            (1290, "HY000", "read_only"),
            (1142, "42000", "denied"),
            (1040, "08004", "away"),
            (1146, "42S02", "mismatch"),
            (1176, "42000", "mismatch"),
            (1136, "21S01", "mismatch"),
            (1047, "08S01", "away"),
            (3101, "40000", "busy"),
            (1364, "HY000", "mismatch"),
            (1172, "42000", "refused"),
            (1406, "22001", "refused"),
            (1062, "23000", "refused"),
            (1644, "42000", "refused"),
        ] {
            let words = "what the server says";
            let error = ServerError { code, message: words.to_owned(), state: state.to_owned() };
            let error = OaError::from(Error::Server(error));
            assert_eq!((error.kind_label(), error.code()), (kind, Some(&*code.to_string())));
            assert_eq!(error.message(), words);
        }
        assert_eq!(OaError::from(Error::Driver(DriverError::ConnectionClosed)).kind_label(), "away");
    }
}
