//! The configuration: a TOML file over built-in defaults, under environment variables.
//!
//! Every problem is reported with its key, where it was found and what to do, and all of them at once.

mod apply;
mod keys;
mod layers;
mod read;

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::civil::Time;
use jiff::{SignedDuration, Timestamp};
use thiserror::Error;

pub use self::apply::{APPLY_ENTITIES, Apply, ApplyEntity};
pub use self::keys::{KEYS, Key, Kind, TOKEN_SCOPES};
use self::layers::Layers;
pub use self::layers::Origin;
use crate::dingtalk::Hosts;
use crate::secret::Secret;
use crate::store::FieldSet;

/// Everything that can be configured, checked.
#[derive(Debug, Clone)]
pub struct Config {
    /// The database's URL, which may hold a password.
    pub database_url: Secret,
    /// The public listener.
    pub server: Server,
    /// The operators' listener.
    pub ops: Ops,
    /// Calls of all organisations together in 20 seconds; 0 is no bound.
    pub address_calls_per_20s: u32,
    /// The organisations that are switched on, in the order of their names.
    pub corps: Vec<Corp>,
    /// When deletions are held.
    pub guard: Guard,
    /// When everything is compared.
    pub reconcile: Reconcile,
    /// Columns of people that are never stored.
    pub exclude_fields: FieldSet,
    /// How long what is stored is kept.
    pub retention: Retention,
    /// How log lines look.
    pub log: Log,
    /// What every key is set to, and where; secrets are hidden already.
    pub effective: Vec<Effective>,
}

/// The listener that DingTalk reaches.
#[derive(Debug, Clone)]
pub struct Server {
    /// `address:port`.
    pub listen: String,
    /// Connections open at once.
    pub connections: usize,
    /// For how long callbacks are taken after the signal to stop.
    pub shutdown_delay: Duration,
}

/// The listener for operators.
#[derive(Debug, Clone)]
pub struct Ops {
    /// `address:port`.
    pub listen: String,
    /// Names, in small letters, by which programs of this machine may ask for it beside its own.
    pub hosts: Vec<String>,
    /// Who may use it from elsewhere, or to write.
    pub tokens: Vec<OpsToken>,
}

/// A named token of the API.
#[derive(Debug, Clone)]
pub struct OpsToken {
    /// Its name, as it stands in the audit trail.
    pub name: String,
    /// What its bearer sends.
    pub token: Secret,
    /// Some of [`TOKEN_SCOPES`].
    pub scopes: Vec<String>,
}

impl OpsToken {
    /// What is unwise about it, a sentence for each; nothing of it is refused.
    pub fn concerns(&self) -> Vec<String> {
        let path = format!("ops.tokens.{}", self.name);
        let is_short = self.token.with(|token| token.chars().count() < SHORTEST_TOKEN);
        let short = format!(
            "{path}.token has fewer than {SHORTEST_TOKEN} characters and can be guessed: \
             `openssl rand -hex 24` makes a better one"
        );
        let push = format!("{path}.scopes names `push`, for which there is no endpoint yet");
        let names_push = self.scopes.iter().any(|scope| scope == "push");
        [(is_short, short), (names_push, push)]
            .into_iter()
            .filter(|(is, _)| *is)
            .map(|(_, text)| text)
            .collect()
    }
}

/// Characters that nobody tries one after the other.
const SHORTEST_TOKEN: usize = 16;

/// One organisation.
#[derive(Debug, Clone)]
pub struct Corp {
    /// The table's name: in the callback's path and in `--corp`.
    pub name: String,
    /// DingTalk's CorpId.
    pub corp_id: String,
    /// The application's credentials; a pure receiver has none.
    pub application: Option<Application>,
    /// Without these no callbacks are taken.
    pub callback: Option<Callback>,
    /// What may stand at the end of a decrypted message.
    pub owner_keys: Vec<String>,
    /// Where to call.
    pub hosts: Hosts,
    /// For each API path; 0 is no bound of our own.
    pub requests_per_second: f64,
    /// Calls on the wire at once.
    pub calls_in_flight: usize,
    /// Calls that DingTalk counts by the month; 0 is no bound of our own.
    pub metered_calls_per_month: u32,
    /// Who is told what needs people.
    pub robot: Option<Robot>,
    /// How the OA's own tables are filled.
    pub apply: Option<Apply>,
}

/// A group robot.
#[derive(Debug, Clone)]
pub struct Robot {
    /// Its URL, with its token.
    pub webhook: Secret,
    /// Signs its messages.
    pub secret: Option<Secret>,
}

/// An application's credentials.
#[derive(Debug, Clone)]
pub struct Application {
    /// Client ID.
    pub app_key: String,
    /// Client Secret.
    pub app_secret: Secret,
}

/// The keys of the callback.
#[derive(Debug, Clone)]
pub struct Callback {
    /// The pair in use.
    pub current: CallbackKeys,
    /// The pair before a change.
    pub previous: Option<CallbackKeys>,
}

/// A token and an AES key that were made together.
#[derive(Debug, Clone)]
pub struct CallbackKeys {
    /// Signs.
    pub token: Secret,
    /// Encrypts; 43 characters.
    pub aes_key: Secret,
}

/// Limits that hold deletions back.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Guard {
    /// Never held below this many; 0 switches the guard off.
    pub max_deletions: u32,
    /// Nor below this share of the kind.
    pub max_share: f64,
    /// Counted over this long.
    pub window: Duration,
}

impl Guard {
    /// Whether nothing is held at all.
    pub fn is_off(self) -> bool {
        self.max_deletions == 0
    }

    /// Since when is counted.
    pub fn window_start(self, now: Timestamp) -> Timestamp {
        let window = SignedDuration::try_from(self.window).unwrap_or(SignedDuration::MAX);
        now.checked_sub(window).unwrap_or(Timestamp::MIN)
    }

    /// Whether so many of a kind, of which there were `population` when the window began, pass both limits.
    pub fn forbids(self, count: i64, population: i64) -> bool {
        !self.is_off()
            && count > i64::from(self.max_deletions)
            && count as f64 > self.max_share * population as f64
    }
}

/// When everything is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reconcile {
    /// Daily, in Shanghai.
    pub daily_at: Time,
    /// For an organisation that takes no callbacks.
    pub without_callbacks_every: Duration,
    /// Everybody's details are read again within so many days.
    pub details_every_days: u32,
}

/// How long what is stored is kept: in days, 0 for ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Retention {
    /// Received events.
    pub inbox_days: u32,
    /// The change log.
    pub changes_days: u32,
    /// The audit trail.
    pub audit_days: u32,
    /// Runs that are over, with what they found.
    pub runs_days: u32,
    /// The personal fields of people who are gone.
    pub leavers_days: u32,
}

/// How log lines look.
#[derive(Debug, Clone)]
pub struct Log {
    /// JSON, one object a line.
    pub json: bool,
    /// A level, or directives.
    pub level: String,
}

/// One key's effective value.
#[derive(Debug, Clone)]
pub struct Effective {
    /// The key's path.
    pub path: String,
    /// As the file would write it; `(hidden)` for a secret.
    pub value: String,
    /// Where it was found.
    pub origin: Origin,
}

/// One thing that is wrong, with the remedy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The key or the variable.
    pub key: String,
    /// Where it stands, if it stands anywhere.
    pub place: Option<String>,
    /// What is wrong and what to do.
    pub text: String,
}

impl Problem {
    fn new(key: &str, origin: &Origin, text: impl Into<String>) -> Self {
        let place = match origin {
            Origin::Variable(name) if name == key => None,
            origin => Some(origin.to_string()),
        };
        Self { key: key.to_owned(), place, text: text.into() }
    }

    fn missing(key: &str, text: impl Into<String>) -> Self {
        Self { key: key.to_owned(), place: None, text: text.into() }
    }

    /// Something about a key that whoever uses its value has found.
    pub(crate) fn of_key(key: &str, text: impl Into<String>) -> Self {
        Self::missing(key, text)
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            Some(place) => write!(formatter, "`{}` ({place}) {}", self.key, self.text),
            None => write!(formatter, "`{}` {}", self.key, self.text),
        }
    }
}

/// Why the configuration cannot be used. The process ends with 64.
#[derive(Debug, Error)]
pub enum ConfigError {
    /// The file that was named cannot be read.
    #[error("the configuration file {} cannot be read", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file is not TOML.
    #[error("{}, line {line}: {message}", path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// Counted from 1.
        line: usize,
        /// What the parser says.
        message: String,
    },
    /// Keys are unknown, missing or wrong.
    #[error("the configuration cannot be used:{}", list(.0))]
    Problems(Vec<Problem>),
}

fn list(problems: &[Problem]) -> String {
    let lines: Vec<String> = problems.iter().map(Problem::to_string).collect();
    format!("\n  {}", lines.join("\n  "))
}

/// What a process needs of the configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Needs {
    /// Credentials of every organisation: everything that calls DingTalk.
    Credentials,
    /// Callback keys are enough: a receiver that stands alone.
    CallbacksAlone,
    /// The same, and the statements that fill the OA may still be missing: they are to be drafted.
    Draft,
}

impl Config {
    /// Reads the configuration. `environment` is all of the process's variables.
    pub fn load(
        file: Option<&Path>,
        environment: &[(String, String)],
        needs: Needs,
    ) -> Result<Self, ConfigError> {
        let mut problems = Vec::new();
        let layers = Layers::read(file, environment, &mut problems)?;
        let config = read::config(&layers, needs, &mut problems);
        match config {
            Some(config) if problems.is_empty() => Ok(config),
            _ => Err(ConfigError::Problems(problems)),
        }
    }

    /// Every secret that is read from a file, with its key's path, for whoever watches those files.
    pub fn secrets_in_files(&self) -> Vec<(String, Secret)> {
        let mut secrets = Vec::new();
        for corp in &self.corps {
            let mut add = |name: &str, secret: &Secret| {
                if secret.file().is_some() {
                    secrets.push((format!("corps.{}.{name}", corp.name), secret.clone()));
                }
            };
            if let Some(application) = &corp.application {
                add("app_secret", &application.app_secret);
            }
            if let Some(robot) = &corp.robot {
                add("robot_webhook", &robot.webhook);
                robot.secret.iter().for_each(|secret| add("robot_secret", secret));
            }
            if let Some(callback) = &corp.callback {
                add("callback_token", &callback.current.token);
                add("callback_aes_key", &callback.current.aes_key);
                if let Some(previous) = &callback.previous {
                    add("callback_token_previous", &previous.token);
                    add("callback_aes_key_previous", &previous.aes_key);
                }
            }
        }
        for apply in self.corps.iter().filter_map(|corp| corp.apply.as_ref()) {
            if let Some(url) = apply.url.as_ref().filter(|url| url.file().is_some()) {
                secrets.push((format!("apply.{}.url", apply.name), url.clone()));
            }
        }
        for token in &self.ops.tokens {
            if token.token.file().is_some() {
                secrets.push((format!("ops.tokens.{}.token", token.name), token.token.clone()));
            }
        }
        secrets
    }
}
