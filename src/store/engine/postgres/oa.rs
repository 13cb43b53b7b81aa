//! Other people's statements on PostgreSQL.

use std::error::Error as _;

use bytes::BytesMut;
use futures_util::TryStreamExt as _;
use jiff::SignedDuration;
use jiff::civil::{DateTime, date};
use tokio_postgres::types::{Format, FromSql, IsNull, Kind, ToSql, Type, to_sql_checked};
use tokio_postgres::{Error, Statement};

use super::{Address, EPOCH_DAY, SETTINGS, Session};
use crate::store::engine::{STATEMENT_PATIENCE, answered};
use crate::store::error::StoreError;
use crate::store::fit;
use crate::store::oa::{OaAnswer, OaError, OaPrepared, OaValue, Trouble};

type BoxedError = Box<dyn std::error::Error + Sync + Send>;

/// What differs for other people's statements: they are ended before the connection is given up; a backslash is no
/// escape, whatever the database's setting is; and the server soon sees that a client has died, whose lock lives as long
/// as its connection.
const FOREIGN_SETTINGS: &str = "SET statement_timeout = '15s'; SET standard_conforming_strings = on; \
                                SET tcp_keepalives_idle = 15; SET tcp_keepalives_interval = 15; \
                                SET tcp_keepalives_count = 2";

impl Session {
    /// A connection to a database that may not be ours: an older server is good enough for that.
    pub(in crate::store) async fn connect_foreign(address: &Address) -> Result<Self, StoreError> {
        let mut session = Self::line(address).await?;
        session.batch(SETTINGS, STATEMENT_PATIENCE).await?;
        session.batch(FOREIGN_SETTINGS, STATEMENT_PATIENCE).await?;
        Ok(session)
    }

    pub(in crate::store) async fn foreign_prepare(&mut self, sql: &str) -> Result<OaPrepared, OaError> {
        let statement = self.foreign_statement(sql).await?;
        let columns = statement.columns().iter().map(|column| column.name().to_owned()).collect();
        Ok(OaPrepared { parameters: statement.params().len(), columns })
    }

    pub(in crate::store) async fn foreign_run(
        &mut self,
        sql: &str,
        args: &[OaValue],
    ) -> Result<OaAnswer, OaError> {
        let statement = self.foreign_statement(sql).await?;
        let wanted = statement.params().len();
        if wanted != args.len() {
            return Err(OaError::wrong_count(wanted, args.len()));
        }
        let work = async {
            let mut found = std::pin::pin!(self.client.query_raw(&statement, args).await?);
            let mut rows = Vec::new();
            while let Some(row) = found.try_next().await? {
                let values: Result<Vec<Option<Text>>, Error> =
                    (0..row.len()).map(|column| row.try_get(column)).collect();
                rows.push(values?.into_iter().map(|value| value.map(|text| text.0)).collect());
            }
            let affected = found.rows_affected().unwrap_or_default();
            Ok::<_, Error>(OaAnswer { rows, affected, generated: None })
        };
        let result = answered(STATEMENT_PATIENCE, work).await;
        if result.is_err() {
            // A table that was changed may have made it useless.
            self.foreign.remove(sql);
        }
        self.answer(result)
    }

    pub(in crate::store) async fn foreign_command(&mut self, sql: &str) -> Result<(), OaError> {
        self.settle().await?;
        let result = answered(STATEMENT_PATIENCE, self.client.batch_execute(sql)).await;
        self.answer(result)
    }

    async fn foreign_statement(&mut self, sql: &str) -> Result<Statement, OaError> {
        // What was sent before may have voided the transaction: then that is what went wrong.
        self.settle().await?;
        if let Some(statement) = self.foreign.get(sql) {
            return Ok(statement.clone());
        }
        let prepared = answered(STATEMENT_PATIENCE, self.client.prepare(sql)).await;
        let statement = self.answer(prepared)?;
        if let Some(column) = statement.columns().iter().find(|column| !is_readable(column.type_())) {
            return Err(Trouble::Mismatch.told(
                None,
                format!(
                    "the column {} of the result is of the type {}, which cannot be read: leave it out, or write \
                     {}::text",
                    column.name(),
                    column.type_(),
                    column.name(),
                ),
            ));
        }
        if self.foreign.len() >= super::STATEMENTS {
            self.foreign.clear();
        }
        self.foreign.insert(sql.to_owned(), statement.clone());
        Ok(statement)
    }

    /// A line on which no answer came is closed.
    fn answer<T>(&self, result: Result<T, OaError>) -> Result<T, OaError> {
        if matches!(result, Err(OaError::Away { .. })) {
            self.connection.abort();
        }
        result
    }
}

/// As text, so that the server reads it for whatever type the parameter has.
impl ToSql for OaValue {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, BoxedError> {
        match self {
            Self::Null => return Ok(IsNull::Yes),
            Self::Integer(number) => out.extend_from_slice(number.to_string().as_bytes()),
            Self::Text(text) | Self::Loose(text) => out.extend_from_slice(fit::without_nul(text).as_bytes()),
        }
        Ok(IsNull::No)
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    fn encode_format(&self, _: &Type) -> Format {
        Format::Text
    }

    to_sql_checked!();
}

/// A value of a result, as the server would write it.
struct Text(String);

impl<'raw> FromSql<'raw> for Text {
    fn from_sql(column: &Type, raw: &'raw [u8]) -> Result<Self, BoxedError> {
        text_of(column, raw).map(Self)
    }

    fn accepts(column: &Type) -> bool {
        is_readable(column)
    }
}

fn is_readable(column: &Type) -> bool {
    match column.kind() {
        Kind::Enum(_) => true,
        Kind::Domain(inner) => is_readable(inner),
        _ => {
            // An extension's type: a text that knows no case.
            column.name() == "citext"
                || [
                    Type::BOOL,
                    Type::INT2,
                    Type::INT4,
                    Type::INT8,
                    Type::OID,
                    Type::FLOAT4,
                    Type::FLOAT8,
                    Type::NUMERIC,
                    Type::TEXT,
                    Type::VARCHAR,
                    Type::BPCHAR,
                    Type::NAME,
                    Type::CHAR,
                    Type::UNKNOWN,
                    Type::JSON,
                    Type::JSONB,
                    Type::XML,
                    Type::UUID,
                    Type::DATE,
                    Type::TIMESTAMP,
                    Type::TIMESTAMPTZ,
                    Type::VOID,
                ]
                .contains(column)
        }
    }
}

fn text_of(column: &Type, raw: &[u8]) -> Result<String, BoxedError> {
    if let Kind::Domain(inner) = column.kind() {
        return text_of(inner, raw);
    }
    Ok(match *column {
        Type::BOOL => bool::from_sql(column, raw)?.to_string(),
        Type::INT2 => i16::from_sql(column, raw)?.to_string(),
        Type::INT4 => i32::from_sql(column, raw)?.to_string(),
        Type::INT8 => i64::from_sql(column, raw)?.to_string(),
        Type::OID => u32::from_sql(column, raw)?.to_string(),
        Type::FLOAT4 => f32::from_sql(column, raw)?.to_string(),
        Type::FLOAT8 => f64::from_sql(column, raw)?.to_string(),
        Type::NUMERIC => numeric(raw)?,
        Type::UUID => {
            let digits = crate::hex::encode(raw);
            let part = |from: usize, to: usize| digits.get(from..to).ok_or("a uuid of another length");
            [part(0, 8)?, part(8, 12)?, part(12, 16)?, part(16, 20)?, part(20, 32)?].join("-")
        }
        Type::DATE => {
            let days = i64::from(i32::from_be_bytes(raw.try_into()?));
            EPOCH_DAY.checked_add(SignedDuration::from_hours(days * 24))?.to_string()
        }
        Type::TIMESTAMP => moment(raw)?,
        Type::TIMESTAMPTZ => format!("{}+00", moment(raw)?),
        // The first byte is the format's version.
        Type::JSONB => std::str::from_utf8(raw.get(1..).unwrap_or_default())?.to_owned(),
        _ => std::str::from_utf8(raw)?.to_owned(),
    })
}

fn moment(raw: &[u8]) -> Result<String, BoxedError> {
    let microseconds = i64::from_be_bytes(raw.try_into()?);
    let epoch: DateTime = date(2000, 1, 1).at(0, 0, 0, 0);
    let moment = epoch.checked_add(SignedDuration::from_micros(microseconds))?;
    Ok(moment.to_string().replace('T', " "))
}

/// Digits to the base of 10,000: their number, the power of the first one, the sign, the places after the point.
fn numeric(raw: &[u8]) -> Result<String, BoxedError> {
    let mut words = raw.chunks_exact(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]]));
    let mut header = || words.next().ok_or("a number that is cut off");
    let (count, weight, sign, places) = (header()?, header()? as i16, header()?, header()?);
    let digits: Vec<u16> = words.take(usize::from(count)).collect();
    match sign {
        0 | 0x4000 => {}
        0xd000 => return Ok("Infinity".to_owned()),
        0xf000 => return Ok("-Infinity".to_owned()),
        _ => return Ok("NaN".to_owned()),
    }
    let digit = |power: i32| {
        let at = i32::from(weight) - power;
        usize::try_from(at).ok().and_then(|at| digits.get(at)).copied().unwrap_or_default()
    };
    let digits = |power: i32| format!("{:04}", digit(power));
    let whole: Vec<String> = (0..=i32::from(weight).max(0)).rev().map(digits).collect();
    let whole = whole.concat();
    let whole = whole.trim_start_matches('0');
    let groups = i32::from(places.div_ceil(4));
    let fraction: Vec<String> = (1..=groups).map(|power| digits(-power)).collect();
    let mut fraction = fraction.concat();
    fraction.truncate(usize::from(places));
    let sign = if sign == 0 { "" } else { "-" };
    let whole = if whole.is_empty() { "0" } else { whole };
    let point = if fraction.is_empty() { "" } else { "." };
    Ok(format!("{sign}{whole}{point}{fraction}"))
}

impl From<Error> for OaError {
    fn from(error: Error) -> Self {
        let Some(database) = error.as_db_error() else {
            let source = error.source().map(ToString::to_string);
            let text = source.map_or_else(|| error.to_string(), |source| format!("{error}: {source}"));
            // What was read or written here, and not the way.
            let is_value = text.starts_with("error serializing") || text.starts_with("error deserializing");
            return if is_value { Trouble::Mismatch } else { Trouble::Away }.told(None, text);
        };
        let mut message = database.message().to_owned();
        for more in [database.detail(), database.hint()].into_iter().flatten() {
            message.push_str("; ");
            message.push_str(more);
        }
        let code = database.code().code();
        let is_about_row = code == "42501" && message.contains("row-level security");
        let trouble = if is_about_row { Trouble::Refused } else { trouble_of(code) };
        trouble.told(code.to_owned(), message)
    }
}

fn trouble_of(code: &str) -> Trouble {
    match code {
        "25006" => Trouble::ReadOnly,
        "42501" => Trouble::Denied,
        "53100" => Trouble::Full,
        // A serialization failure, a deadlock, a lock that is not given, an object in use, a statement that took too long; a
        // transaction that another statement has voided: these values are not to blame.
        "40P01" | "55P03" | "55006" | "57014" | "25P02" => Trouble::Busy,
        _ if code.starts_with("40") => Trouble::Busy,
        // A transaction that was silent for too long: the connection is closed. A damaged file.
        "25P03" | "XX001" | "XX002" => Trouble::Away,
        // Not supported, or a plan that a changed table has made useless; a prepared statement that is not there.
        // A table without a replica identity, a view that cannot be written to.
        "0A000" | "26000" | "55000" => Trouble::Mismatch,
        // Syntax and names, a schema that is not there.
        _ if code.starts_with("42") || code.starts_with("3F") => Trouble::Mismatch,
        // Connections, credentials, a database that is not there, a server that comes or goes, too little memory, the disk.
        _ if ["08", "28", "3D", "53", "57P", "58"].iter().any(|class| code.starts_with(class)) => {
            Trouble::Away
        }
        _ => Trouble::Refused,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_tell_the_kind() {
        for (code, trouble) in [
            ("25006", Trouble::ReadOnly),
            ("42501", Trouble::Denied),
            ("42P01", Trouble::Mismatch),
            ("42P18", Trouble::Mismatch),
            ("40P01", Trouble::Busy),
            ("57P01", Trouble::Away),
            ("57014", Trouble::Busy),
            ("53300", Trouble::Away),
            ("53100", Trouble::Full),
            ("22001", Trouble::Refused),
            ("23505", Trouble::Refused),
            ("22P02", Trouble::Refused),
            ("P0001", Trouble::Refused),
        ] {
            assert_eq!(trouble_of(code), trouble, "{code}");
        }
    }

    #[test]
    fn numbers_are_read_as_the_server_writes_them() {
        let raw = |words: &[u16]| words.iter().flat_map(|word| word.to_be_bytes()).collect::<Vec<u8>>();
        for (words, text) in [
            (&[0, 0, 0, 0][..], "0"),
            (&[0, 0, 0, 2], "0.00"),
            (&[1, 0, 0, 0, 7], "7"),
            (&[2, 1, 0, 0, 12, 34], "120034"),
            (&[1, 1, 0, 0, 5], "50000"),
            (&[2, 0, 0x4000, 2, 3, 1400], "-3.14"),
            (&[1, 0xffff, 0, 3, 10], "0.001"),
            (&[1, 0xfffe, 0, 8, 1], "0.00000001"),
            (&[0, 0, 0xc000, 0], "NaN"),
        ] {
            assert_eq!(numeric(&raw(words)).unwrap(), text);
        }
        assert!(numeric(&[0, 1]).is_err());
    }

    #[test]
    fn moments_and_uuids_are_read_as_the_server_writes_them() {
        assert_eq!(text_of(&Type::DATE, &8766_i32.to_be_bytes()).unwrap(), "2024-01-01");
        let moment = 86_400_000_000_i64.to_be_bytes();
        assert_eq!(text_of(&Type::TIMESTAMP, &moment).unwrap(), "2000-01-02 00:00:00");
        assert_eq!(text_of(&Type::TIMESTAMPTZ, &moment).unwrap(), "2000-01-02 00:00:00+00");
        let uuid = text_of(&Type::UUID, &[0xab; 16]).unwrap();
        assert_eq!(uuid, "abababab-abab-abab-abab-abababababab");
        assert!(text_of(&Type::UUID, &[1]).is_err());
        assert!(
            is_readable(&Type::JSONB) && !is_readable(&Type::INTERVAL) && !is_readable(&Type::INT4_ARRAY)
        );
    }
}
