//! `database.url`

use std::path::{Path, PathBuf};

use url::Url;

use crate::store::dialect::Dialect;
use crate::store::error::StoreError;

/// Which engine a URL names, and where it is.
#[derive(Debug, Clone)]
pub(in crate::store) enum Target {
    Sqlite(PathBuf),
    Postgres(Address),
    Mysql(Address),
}

impl Target {
    /// Where it is, for people; never with a password.
    pub(in crate::store) fn place(&self) -> String {
        match self {
            Self::Sqlite(path) => path.display().to_string(),
            Self::Postgres(address) | Self::Mysql(address) => address.shown(),
        }
    }

    pub(in crate::store) fn dialect(&self) -> Dialect {
        match self {
            Self::Sqlite(_) => Dialect::Sqlite,
            Self::Postgres(_) => Dialect::Postgres,
            Self::Mysql(_) => Dialect::Mysql,
        }
    }
}

impl Target {
    /// Whether both name one database, and the same user of it.
    pub(in crate::store) fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Sqlite(left), Self::Sqlite(right)) => {
                left == right
                    || matches!((left.canonicalize(), right.canonicalize()), (Ok(left), Ok(right)) if left == right)
            }
            (Self::Postgres(left), Self::Postgres(right)) => left.place(5432) == right.place(5432),
            (Self::Mysql(left), Self::Mysql(right)) => left.place(3306) == right.place(3306),
            _ => false,
        }
    }
}

/// A server and who we are there.
#[derive(Clone)]
pub(in crate::store) struct Address {
    pub(in crate::store) host: String,
    pub(in crate::store) port: Option<u16>,
    /// A socket instead of a host: PostgreSQL's folder, MySQL's file.
    pub(in crate::store) socket: Option<PathBuf>,
    pub(in crate::store) user: String,
    pub(in crate::store) password: Option<String>,
    pub(in crate::store) database: String,
    pub(in crate::store) protection: Protection,
}

/// Never with the password.
impl std::fmt::Debug for Address {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}", self.shown())
    }
}

impl Address {
    /// What tells it from another one, on a server whose port is `usual` where the URL names none.
    fn place(&self, usual: u16) -> (Result<&Path, (String, u16)>, &str, &str) {
        let server = || (self.host.to_lowercase(), self.port.unwrap_or(usual));
        (self.socket.as_deref().ok_or_else(server), &self.database, &self.user)
    }

    /// Where it is, for people.
    pub(in crate::store) fn shown(&self) -> String {
        let place = match (&self.socket, self.port) {
            (Some(socket), _) => socket.display().to_string(),
            (None, Some(port)) => format!("{}:{port}", self.host),
            (None, None) => self.host.clone(),
        };
        format!("the database {} at {place}", self.database)
    }
}

/// How the way to a server is protected: `?sslmode=` of the URL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::store) enum Protection {
    /// `disable`
    None,
    /// `prefer`: TLS where the server has it, whoever the server is. MySQL has no such thing.
    WhereOffered,
    /// `require`: TLS, whoever the server is.
    Required,
    /// `verify-full`: TLS, and the server's certificate is verified, against the file of `sslrootcert` or the system's.
    Verified { roots: Option<PathBuf> },
}

const FORMS: &str = "sqlite://path/to/file, postgres://user:password@host/database or \
                     mysql://user:password@host/database";

/// Reads a URL. Errors hold nothing of it: it may have a password in it.
pub(in crate::store) fn target_of(url: &str) -> Result<Target, StoreError> {
    let scheme = url.split(':').next().unwrap_or_default();
    match scheme {
        "sqlite" => file_of(url).map(Target::Sqlite),
        "postgres" | "postgresql" => address_of(url).map(Target::Postgres),
        "mysql" | "mariadb" => address_of(url).map(Target::Mysql),
        _ => Err(refusal(&format!("it must have the form {FORMS}"))),
    }
}

fn refusal(text: &str) -> StoreError {
    StoreError::Url(text.to_owned())
}

fn file_of(url: &str) -> Result<PathBuf, StoreError> {
    let rest = url.trim_start_matches("sqlite:");
    match rest.strip_prefix("//").unwrap_or(rest) {
        "" | ":memory:" => Err(refusal("it names no file")),
        path if path.contains('?') => Err(refusal("parameters after a ? are not known for SQLite")),
        path => Ok(PathBuf::from(path)),
    }
}

fn address_of(url: &str) -> Result<Address, StoreError> {
    let broken = |error: url::ParseError| {
        refusal(&format!("{error}; it must have the form {FORMS}, with %-escapes for special characters"))
    };
    let url = Url::parse(url).map_err(broken)?;
    let decoded = |text: &str| {
        percent_encoding::percent_decode_str(text)
            .decode_utf8()
            .map(std::borrow::Cow::into_owned)
            .map_err(|_| refusal("a %-escape in it is no UTF-8"))
    };
    let database = decoded(url.path().trim_start_matches('/'))?;
    if database.is_empty() {
        return Err(refusal("it names no database: it must end in /database"));
    }
    if url.username().is_empty() {
        return Err(refusal("it names no user: it must have user:password@ before the host"));
    }
    let (mut mode, mut roots, mut socket) = (None, None, None);
    for (key, value) in url.query_pairs() {
        match &*key {
            "sslmode" => mode = Some(value.into_owned()),
            "sslrootcert" => roots = Some(PathBuf::from(&*value)),
            "socket" => socket = Some(PathBuf::from(&*value)),
            other => {
                return Err(refusal(&format!(
                    "its parameter {other} is not known; known are sslmode, sslrootcert and socket"
                )));
            }
        }
    }
    let protection = match mode.as_deref() {
        None if roots.is_some() => Protection::Verified { roots },
        None | Some("prefer") => Protection::WhereOffered,
        Some("disable") => Protection::None,
        Some("require") => Protection::Required,
        Some("verify-full" | "verify-ca") => Protection::Verified { roots },
        Some(_) => {
            return Err(refusal("its sslmode must be disable, prefer, require or verify-full"));
        }
    };
    Ok(Address {
        host: url.host_str().unwrap_or("localhost").trim_matches(['[', ']']).to_owned(),
        port: url.port(),
        socket,
        user: decoded(url.username())?,
        password: url.password().map(decoded).transpose()?,
        database,
        protection,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(url: &str) -> Address {
        match target_of(url).unwrap() {
            Target::Postgres(address) | Target::Mysql(address) => address,
            Target::Sqlite(_) => panic!("a file"),
        }
    }

    #[test]
    fn a_server_with_everything() {
        let found =
            address("postgres://oa:p%40ss@db.example:6432/people?sslmode=verify-full&sslrootcert=/ca.pem");
        assert_eq!((found.host.as_str(), found.port), ("db.example", Some(6432)));
        assert_eq!((found.user.as_str(), found.password.as_deref()), ("oa", Some("p@ss")));
        assert_eq!(found.database, "people");
        assert_eq!(found.protection, Protection::Verified { roots: Some("/ca.pem".into()) });
        assert_eq!(format!("{found:?}"), "the database people at db.example:6432");
    }

    #[test]
    fn the_same_database_is_known_again_however_its_url_is_written() {
        let same = |left: &str, right: &str| target_of(left).unwrap().is_same(&target_of(right).unwrap());
        let url = "postgres://oa:p%40ss@db.example/people";
        assert!(same(url, url));
        assert!(same(url, "postgresql://oa:other@DB.example:5432/people?sslmode=require"));
        assert!(same("mysql://oa:a@db/people", "mariadb://oa:a@db:3306/people"));
        for other in [
            "postgres://oa:p%40ss@db.example/others",
            "postgres://oa:p%40ss@db.example:5433/people",
            "postgres://oa:p%40ss@db2.example/people",
            "postgres://somebody:p%40ss@db.example/people",
            "postgres://oa:p%40ss@db.example/people?socket=/run",
            "mysql://oa:p%40ss@db.example/people",
            "sqlite://people",
        ] {
            assert!(!same(url, other), "{other}");
        }
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.db");
        std::fs::write(&file, "").unwrap();
        let (plain, round) = (file.display(), folder.path().join("./../").display().to_string());
        let round = format!("{round}{}/a.db", folder.path().file_name().unwrap().display());
        assert!(same(&format!("sqlite://{plain}"), &format!("sqlite://{round}")));
        assert!(!same(&format!("sqlite://{plain}"), &format!("sqlite://{plain}b")));
    }

    #[test]
    fn what_is_missing_or_unknown_is_named_and_the_password_is_not() {
        for (url, named) in [
            ("oracle://oa:secret@db/people", "postgres://"),
            ("postgres://oa:secret@db", "names no database"),
            ("mysql://db/people", "names no user"),
            ("mysql://oa:secret@db/people?charset=utf8", "charset"),
            ("postgres://oa:secret@db/people?sslmode=yes", "verify-full"),
            ("postgres://oa:secret@db:port/people", "form"),
            ("sqlite://", "names no file"),
        ] {
            let text = target_of(url).unwrap_err().to_string();
            assert!(text.contains(named) && !text.contains("secret"), "{url}: {text}");
        }
    }
}
