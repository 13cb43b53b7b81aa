//! Where values come from: built-in defaults, under a file, under environment variables.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use toml::de::{DeTable, DeValue};

use super::keys::{self, Kind};
use super::{ConfigError, Problem};

/// Names of variables start with this.
const PREFIX: &str = "DINGSYNC_";
/// The variable that names the file; no key of the file itself.
pub(super) const FILE_VARIABLE: &str = "DINGSYNC_CONFIG";
/// Read when nothing else is named, if it is there.
const USUAL_FILE: &str = "dingsync.toml";

/// Where a value was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// Built in.
    Default,
    /// A line of the file.
    File {
        /// The file.
        path: PathBuf,
        /// Counted from 1.
        line: usize,
    },
    /// An environment variable.
    Variable(String),
}

impl fmt::Display for Origin {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => formatter.write_str("default"),
            Self::File { path, line } => write!(formatter, "{}, line {line}", path.display()),
            Self::Variable(name) => write!(formatter, "variable {name}"),
        }
    }
}

/// A value as it was written.
#[derive(Debug, Clone)]
pub(super) enum Written {
    One(String),
    Many(Vec<String>),
}

#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) written: Written,
    pub(super) origin: Origin,
}

/// All values that a file or a variable sets, by path.
#[derive(Debug, Default)]
pub(super) struct Layers {
    pub(super) entries: BTreeMap<String, Entry>,
    pub(super) file: Option<PathBuf>,
}

impl Layers {
    /// Reads the file (`explicit`, else the one that the environment names, else the usual one if it is there) and lays
    /// the variables over it. Problems are collected, so that all of them can be shown at once.
    pub(super) fn read(
        explicit: Option<&Path>,
        environment: &[(String, String)],
        problems: &mut Vec<Problem>,
    ) -> Result<Self, ConfigError> {
        let mut layers = Self::default();
        let named = environment.iter().find(|(name, _)| name == FILE_VARIABLE).map(|(_, path)| path);
        let file = match (explicit, named) {
            (Some(path), _) => Some(path.to_owned()),
            (None, Some(path)) => Some(PathBuf::from(path)),
            (None, None) => Some(PathBuf::from(USUAL_FILE)).filter(|path| path.exists()),
        };
        if let Some(path) = file {
            let text = std::fs::read_to_string(&path)
                .map_err(|source| ConfigError::File { path: path.clone(), source })?;
            layers.lay_file(&path, &text, problems)?;
            layers.file = Some(path);
        }
        layers.lay_environment(environment, problems);
        Ok(layers)
    }

    fn lay_file(&mut self, path: &Path, text: &str, problems: &mut Vec<Problem>) -> Result<(), ConfigError> {
        let table = DeTable::parse(text).map_err(|error| ConfigError::Syntax {
            path: path.to_owned(),
            line: error.span().map_or(1, |span| line_of(text, span.start)),
            message: error.message().to_owned(),
        })?;
        self.lay_table(path, text, "", table.get_ref(), problems);
        Ok(())
    }

    fn lay_table(
        &mut self,
        path: &Path,
        text: &str,
        prefix: &str,
        table: &DeTable<'_>,
        problems: &mut Vec<Problem>,
    ) {
        for (name, value) in table {
            let key = format!("{prefix}{}", name.get_ref());
            let origin = Origin::File { path: path.to_owned(), line: line_of(text, name.span().start) };
            match value.get_ref() {
                DeValue::Table(inner) => self.lay_table(path, text, &format!("{key}."), inner, problems),
                value => match written(value) {
                    Some(written) => self.set(key, Entry { written, origin }, problems),
                    None => problems.push(Problem::new(
                        &key,
                        &origin,
                        "must be a text, a number, true, false or a list of texts",
                    )),
                },
            }
        }
    }

    fn lay_environment(&mut self, environment: &[(String, String)], problems: &mut Vec<Problem>) {
        for (name, value) in environment {
            let Some(rest) = name.strip_prefix(PREFIX).filter(|_| name != FILE_VARIABLE) else {
                continue;
            };
            let origin = Origin::Variable(name.clone());
            if !rest.contains("__") {
                if !is_service_link(rest) {
                    problems.push(Problem::new(
                        name,
                        &origin,
                        "is no setting of dingsync: its parts are joined by two underscores, as in DINGSYNC_DATABASE__URL",
                    ));
                }
                continue;
            }
            let path = rest.to_ascii_lowercase().replace("__", ".");
            let written = match keys::find(&path).map(|found| found.key.kind) {
                Some(Kind::List | Kind::Words(_)) => Written::Many(
                    value
                        .split(',')
                        .map(|item| item.trim().to_owned())
                        .filter(|item| !item.is_empty())
                        .collect(),
                ),
                _ => Written::One(value.clone()),
            };
            self.set(path, Entry { written, origin }, problems);
        }
    }

    /// Sets a value over what a lower layer set, under whichever of its two names.
    fn set(&mut self, path: String, entry: Entry, problems: &mut Vec<Problem>) {
        let Some(found) = keys::find(&path) else {
            let remedy = match keys::closest(&path) {
                Some(likely) => format!("is not a key of dingsync; did you mean `{likely}`?"),
                None => "is not a key of dingsync; `dingsync config --keys` lists them".to_owned(),
            };
            problems.push(Problem::new(&path, &entry.origin, remedy));
            return;
        };
        if found.key.kind.is_secret() {
            let sibling = match path.strip_suffix("_file") {
                Some(plain) if found.in_file => plain.to_owned(),
                _ => format!("{path}_file"),
            };
            if let Some(other) = self.entries.get(&sibling) {
                if std::mem::discriminant(&other.origin) == std::mem::discriminant(&entry.origin) {
                    let remedy = format!("is set as well as `{sibling}`: keep one of them");
                    problems.push(Problem::new(&path, &entry.origin, remedy));
                }
                self.entries.remove(&sibling);
            }
        }
        self.entries.insert(path, entry);
    }
}

fn written(value: &DeValue<'_>) -> Option<Written> {
    let one = |value: &DeValue<'_>| match value {
        DeValue::String(text) => Some(text.to_string()),
        DeValue::Integer(number) if number.radix() == 10 => Some(number.as_str().to_owned()),
        DeValue::Float(number) => Some(number.as_str().to_owned()),
        DeValue::Boolean(flag) => Some(flag.to_string()),
        // `03:17:00` without quotes is a local time.
        DeValue::Datetime(time) => Some(time.to_string()),
        _ => None,
    };
    match value {
        DeValue::Array(items) => {
            items.iter().map(|item| one(item.get_ref())).collect::<Option<_>>().map(Written::Many)
        }
        value => one(value).map(Written::One),
    }
}

fn line_of(text: &str, offset: usize) -> usize {
    1 + text.as_bytes().iter().take(offset).filter(|&&byte| byte == b'\n').count()
}

/// Kubernetes sets variables for every service of a namespace; for a service whose name starts with `dingsync` they
/// look like ours.
fn is_service_link(rest: &str) -> bool {
    rest == "PORT"
        || rest.ends_with("_PORT")
        || ["SERVICE_HOST", "SERVICE_PORT", "PORT_"]
            .iter()
            .any(|mark| rest.starts_with(mark) || rest.contains(&format!("_{mark}")))
}
