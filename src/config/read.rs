//! From written values to the typed configuration.

use std::collections::BTreeSet;
use std::path::Path;
use std::str::FromStr;
use std::time::Duration;

use jiff::SignedDuration;
use jiff::civil::Time;
use url::Url;

use super::keys::{self, KEYS, Kind};
use super::layers::{Entry, Layers, Origin, Written};
use super::{
    Application, Callback, CallbackKeys, Config, Corp, Effective, Guard, Log, Needs, Ops, OpsToken, Problem,
    Reconcile, Retention, Robot, Server,
};
use crate::dingtalk::crypto::AesKey;
use crate::dingtalk::{Hosts, is_loopback};
use crate::secret::Secret;
use crate::store::FieldSet;

/// Builds the configuration, or `None` where a problem left a hole in it.
pub(super) fn config(layers: &Layers, needs: Needs, problems: &mut Vec<Problem>) -> Option<Config> {
    let mut reader = Reader { layers, problems };
    let names = reader.names("corps");
    if names.is_empty() {
        reader.problems.push(Problem::missing("corps", no_corps(layers.file.as_deref())));
    }
    let mut corps: Vec<Option<Corp>> = Vec::new();
    for name in &names {
        match reader.parsed::<bool>(&format!("corps.{name}.enabled")) {
            Some(false) => {}
            Some(true) => corps.push(reader.corp(name, needs)),
            None => corps.push(None),
        }
    }
    let tokens: Vec<Option<OpsToken>> = reader
        .names("ops.tokens")
        .iter()
        .map(|name| {
            let path = format!("ops.tokens.{name}");
            let token = reader.required_secret(&format!("{path}.token"), "choose a long random text")?;
            Some(OpsToken { name: name.clone(), token, scopes: reader.list(&format!("{path}.scopes")) })
        })
        .collect();
    let database_url = reader.secret("database.url");
    // Everything is read before anything is missed, so that all problems are told at once.
    let server = (reader.text("server.listen"), reader.parsed("server.connections"));
    let shutdown_delay = reader.duration("server.shutdown_delay");
    let ops_listen = reader.text("ops.listen");
    let hosts = reader.list("ops.hosts").into_iter().map(|host| host.to_ascii_lowercase()).collect();
    let address_calls_per_20s = reader.parsed("dingtalk.address_calls_per_20s");
    let (max_deletions, max_share) = (reader.parsed("guard.max_deletions"), reader.parsed("guard.max_share"));
    let window = reader.duration("guard.window");
    let daily_at = reader.parsed::<Time>("reconcile.daily_at");
    let without_callbacks_every = reader.duration("reconcile.without_callbacks_every");
    let details_every_days = reader.parsed("reconcile.details_every_days");
    let exclude_fields = reader.exclude_fields();
    let retention = reader.retention();
    let (format, level) = (reader.text("log.format"), reader.text("log.level"));
    let mut config = Config {
        database_url: database_url?,
        server: Server { listen: server.0?, connections: server.1?, shutdown_delay: shutdown_delay? },
        ops: Ops { listen: ops_listen?, hosts, tokens: tokens.into_iter().collect::<Option<_>>()? },
        address_calls_per_20s: address_calls_per_20s?,
        corps: corps.into_iter().collect::<Option<_>>()?,
        guard: Guard { max_deletions: max_deletions?, max_share: max_share?, window: window? },
        reconcile: Reconcile {
            daily_at: daily_at?,
            without_callbacks_every: without_callbacks_every?,
            details_every_days: details_every_days?,
        },
        exclude_fields,
        retention: retention?,
        log: Log { json: format? == "json", level: level? },
        effective: reader.effective(&names),
    };
    reader.refuse_twins(&config.corps);
    reader.applies(&names, &mut config.corps, needs);
    Some(config)
}

fn no_corps(file: Option<&Path>) -> String {
    let file = match file {
        Some(path) => format!("in {}", path.display()),
        None => "in a file ./dingsync.toml, of which there is none here".to_owned(),
    };
    format!(
        "is missing: describe at least one organisation in a table such as [corps.main] {file}, or in variables \
         such as DINGSYNC_CORPS__MAIN__CORP_ID"
    )
}

pub(super) struct Reader<'a> {
    pub(super) layers: &'a Layers,
    pub(super) problems: &'a mut Vec<Problem>,
}

impl Reader<'_> {
    /// The names that the configuration chose under `prefix`.
    pub(super) fn names(&mut self, prefix: &str) -> Vec<String> {
        let prefix = format!("{prefix}.");
        let paths = self.layers.entries.keys().filter_map(|path| path.strip_prefix(&prefix));
        let names: BTreeSet<&str> = paths.filter_map(|rest| rest.split('.').next()).collect();
        for name in &names {
            let mut characters = name.chars();
            let starts_well = characters.next().is_some_and(|first| first.is_ascii_lowercase());
            if !starts_well || !characters.all(|next| next.is_ascii_lowercase() || next.is_ascii_digit()) {
                self.problems.push(Problem::missing(
                    &format!("{prefix}{name}"),
                    "is not a usable name: it must start with a small letter and go on with small letters and digits",
                ));
            }
        }
        names.into_iter().map(str::to_owned).collect()
    }

    fn entry(&self, path: &str) -> Option<&Entry> {
        self.layers.entries.get(path)
    }

    pub(super) fn origin(&self, path: &str) -> Origin {
        let entry = self.entry(path).or_else(|| self.entry(&format!("{path}_file")));
        entry.map_or(Origin::Default, |entry| entry.origin.clone())
    }

    /// The value of `path`, or its default; `None` where there is neither, or a problem (which is noted).
    pub(super) fn text(&mut self, path: &str) -> Option<String> {
        let Some(entry) = self.entry(path) else {
            let key = keys::find(path)?.key;
            return Some(key.default.to_owned()).filter(|default| !default.is_empty());
        };
        let (entry, kind) = (entry.clone(), keys::find(path)?.kind());
        let Written::One(text) = &entry.written else {
            self.problems.push(Problem::new(path, &entry.origin, "must be one value, not a list"));
            return None;
        };
        match check(kind, text) {
            Ok(()) => Some(text.clone()),
            Err(problem) => {
                self.problems.push(Problem::new(path, &entry.origin, problem));
                None
            }
        }
    }

    fn parsed<T: FromStr>(&mut self, path: &str) -> Option<T> {
        let text = self.text(path)?;
        let value = text.parse().ok();
        if value.is_none() {
            let origin = self.origin(path);
            self.problems.push(Problem::new(path, &origin, "is out of range"));
        }
        value
    }

    fn duration(&mut self, path: &str) -> Option<Duration> {
        let length: SignedDuration = self.parsed(path)?;
        Duration::try_from(length).ok()
    }

    pub(super) fn list(&mut self, path: &str) -> Vec<String> {
        let Some(key) = keys::find(path).map(|found| found.key) else {
            return Vec::new();
        };
        let Some(entry) = self.entry(path).cloned() else {
            return key.default.split(',').filter(|item| !item.is_empty()).map(str::to_owned).collect();
        };
        let items = match entry.written {
            Written::Many(items) => items,
            Written::One(item) => vec![item],
        };
        if let Kind::Words(words) = key.kind
            && let Some(item) = items.iter().find(|item| !words.contains(&item.as_str()))
        {
            let text = format!("has `{item}`, but knows only {}", words.join(", "));
            self.problems.push(Problem::new(path, &entry.origin, text));
        }
        items
    }

    /// A secret, from its value or from the file that its `_file` names.
    pub(super) fn secret(&mut self, path: &str) -> Option<Secret> {
        let file_path = format!("{path}_file");
        if let Some(entry) = self.entry(&file_path).cloned() {
            let file = self.text(&file_path)?;
            return match Secret::from_file(Path::new(&file)) {
                Ok(secret) => Some(secret),
                Err(error) => {
                    let text = format!("names the file {file}, which cannot be read: {error}");
                    self.problems.push(Problem::new(&file_path, &entry.origin, text));
                    None
                }
            };
        }
        self.text(path).map(Secret::fixed)
    }

    fn required_secret(&mut self, path: &str, remedy: &str) -> Option<Secret> {
        let before = self.problems.len();
        let secret = self.secret(path);
        if secret.is_none() && self.problems.len() == before {
            self.problems.push(self.missing(path, remedy, true));
        }
        secret
    }

    fn required_text(&mut self, path: &str, remedy: &str) -> Option<String> {
        let before = self.problems.len();
        let text = self.text(path);
        if text.is_none() && self.problems.len() == before {
            self.problems.push(self.missing(path, remedy, false));
        }
        text
    }

    pub(super) fn missing(&self, path: &str, remedy: &str, is_secret: bool) -> Problem {
        let file = self.layers.file.as_deref().unwrap_or_else(|| Path::new("dingsync.toml"));
        let variable = format!("DINGSYNC_{}", path.to_ascii_uppercase().replace('.', "__"));
        let or_file = if is_secret { format!(", or its file in {variable}_FILE") } else { String::new() };
        Problem::missing(
            path,
            format!("is missing: {remedy}. Set it in {} or in {variable}{or_file}", file.display()),
        )
    }

    fn corp(&mut self, name: &str, needs: Needs) -> Option<Corp> {
        let path = |key: &str| format!("corps.{name}.{key}");
        let corp_id = self.required_text(&path("corp_id"), "the CorpId stands on the console's first page");
        let application = self.application(name, needs);
        let callback = self.callback(name);
        let mut owner_keys = self.list(&path("owner_keys"));
        let hosts = self.hosts(name);
        let requests_per_second = self.parsed(&path("requests_per_second"));
        let calls_in_flight = self.parsed(&path("calls_in_flight"));
        let metered_calls_per_month = self.parsed(&path("metered_calls_per_month"));
        let app_key = self.text(&path("app_key"));
        let robot = self.robot(name);
        let corp_id = corp_id?;
        if owner_keys.is_empty() {
            if callback.is_some() && app_key.is_none() && needs != Needs::Credentials {
                let remedy = "pushes end with it, and are told from foreign ones by it; or list what they end with in owner_keys";
                let missing = self.missing(&path("app_key"), remedy, false);
                self.problems.push(missing);
            }
            owner_keys = app_key.into_iter().chain([corp_id.clone()]).collect();
        }
        Some(Corp {
            name: name.to_owned(),
            corp_id,
            application,
            callback,
            owner_keys,
            hosts: hosts?,
            requests_per_second: requests_per_second?,
            calls_in_flight: calls_in_flight?,
            metered_calls_per_month: metered_calls_per_month?,
            robot,
            apply: None,
        })
    }

    fn application(&mut self, name: &str, needs: Needs) -> Option<Application> {
        let key_path = format!("corps.{name}.app_key");
        let secret_path = format!("corps.{name}.app_secret");
        let (app_key, app_secret) = match needs {
            Needs::CallbacksAlone | Needs::Draft => (self.text(&key_path), self.secret(&secret_path)),
            Needs::Credentials => {
                let page = "it stands on the application's page 凭证与基础信息";
                (self.required_text(&key_path, page), self.required_secret(&secret_path, page))
            }
        };
        Some(Application { app_key: app_key?, app_secret: app_secret? })
    }

    fn robot(&mut self, name: &str) -> Option<Robot> {
        let path = format!("corps.{name}.robot_webhook");
        let before = self.problems.len();
        let webhook = self.secret(&path);
        let secret = self.secret(&format!("corps.{name}.robot_secret"));
        if webhook.is_none() && secret.is_some() && self.problems.len() == before {
            let missing = self.missing(&path, "there is the robot's secret, but not its webhook", true);
            self.problems.push(missing);
        }
        let webhook = webhook?;
        if let Err(problem) = webhook.with(check_url) {
            let origin = self.origin(&path);
            let text = format!("{problem}. Copy it from the robot's page in the group");
            self.problems.push(Problem::new(&path, &origin, text));
        }
        Some(Robot { webhook, secret })
    }

    fn callback(&mut self, name: &str) -> Option<Callback> {
        let current = self.callback_keys(name, "");
        let previous = self.callback_keys(name, "_previous");
        if current.is_none() && previous.is_some() {
            let path = format!("corps.{name}.callback_token");
            let missing = self.missing(&path, "there is a previous pair, but no current one", true);
            self.problems.push(missing);
        }
        Some(Callback { current: current?, previous })
    }

    fn callback_keys(&mut self, name: &str, suffix: &str) -> Option<CallbackKeys> {
        let token_path = format!("corps.{name}.callback_token{suffix}");
        let key_path = format!("corps.{name}.callback_aes_key{suffix}");
        let before = self.problems.len();
        let token = self.secret(&token_path);
        let aes_key = self.secret(&key_path);
        let missing = match (token, aes_key) {
            (Some(token), Some(aes_key)) => match aes_key.with(AesKey::parse) {
                Ok(_) => return Some(CallbackKeys { token, aes_key }),
                Err(error) => {
                    let text = format!(
                        "is not an AES key: {error}. Copy it again from the event subscription page (事件订阅)"
                    );
                    let origin = self.origin(&key_path);
                    self.problems.push(Problem::new(&key_path, &origin, text));
                    return None;
                }
            },
            (None, None) => return None,
            (None, Some(_)) => token_path,
            (Some(_), None) => key_path,
        };
        // A value that is there but wrong has been reported already.
        if self.problems.len() == before {
            let missing = self.missing(&missing, "a callback needs its token and its AES key", true);
            self.problems.push(missing);
        }
        None
    }

    fn hosts(&mut self, name: &str) -> Option<Hosts> {
        let domain = match self.text(&format!("corps.{name}.site"))?.as_str() {
            "intl" => "dingtalk.io",
            _ => "dingtalk.com",
        };
        let before = self.problems.len();
        let mut host = |key: &str, word: &str| {
            let written = self.text(&format!("corps.{name}.{key}"));
            written.unwrap_or_else(|| format!("https://{word}.{domain}")).parse::<Url>().ok()
        };
        let hosts = host("oapi_url", "oapi").zip(host("api_url", "api"));
        if self.problems.len() > before { None } else { hosts.map(|(oapi, api)| Hosts { oapi, api }) }
    }

    fn exclude_fields(&mut self) -> FieldSet {
        let path = "mirror.exclude_fields";
        let names = self.list(path);
        let origin = self.origin(path);
        for name in &names {
            let text = match FieldSet::of(&[name]) {
                Some(_) => continue,
                None if FieldSet::IDENTIFYING.contains(&name.as_str()) => {
                    format!("has `{name}`, which cannot be left out: people are told apart by it")
                }
                None => format!("has `{name}`, but knows only {}", FieldSet::excludable().names().join(", ")),
            };
            self.problems.push(Problem::new(path, &origin, text));
        }
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        FieldSet::of(&names).unwrap_or_default()
    }

    fn retention(&mut self) -> Option<Retention> {
        let inbox_days = self.parsed("retention.inbox_days");
        let (changes_days, audit_days) =
            (self.parsed("retention.changes_days"), self.parsed("retention.audit_days"));
        let (runs_days, leavers_days) =
            (self.parsed("retention.runs_days"), self.parsed("retention.leavers_days"));
        Some(Retention {
            inbox_days: inbox_days?,
            changes_days: changes_days?,
            audit_days: audit_days?,
            runs_days: runs_days?,
            leavers_days: leavers_days?,
        })
    }

    fn refuse_twins(&mut self, corps: &[Corp]) {
        for (at, corp) in corps.iter().enumerate() {
            if let Some(twin) = corps[..at].iter().find(|other| other.corp_id == corp.corp_id) {
                let path = format!("corps.{}.corp_id", corp.name);
                let origin = self.origin(&path);
                let text =
                    format!("is the same as that of `corps.{}`: one organisation needs one table", twin.name);
                self.problems.push(Problem::new(&path, &origin, text));
            }
        }
    }

    fn effective(&self, corps: &[String]) -> Vec<Effective> {
        let mut all: Vec<Effective> = Vec::new();
        for key in KEYS {
            let set = self
                .layers
                .entries
                .iter()
                .filter(|(path, _)| keys::find(path).is_some_and(|found| found.key.path == key.path));
            let mut defaults: Vec<String> = match key.path.strip_prefix("corps.*.") {
                Some(rest) if !key.default.is_empty() => {
                    corps.iter().map(|name| format!("corps.{name}.{rest}")).collect()
                }
                _ if key.path.contains('*') => Vec::new(),
                _ => vec![key.path.to_owned()],
            };
            for (path, entry) in set {
                defaults.retain(|unset| unset != path && format!("{unset}_file") != *path);
                let in_file = path.ends_with("_file");
                let value = match (&entry.written, key.kind) {
                    (_, kind) if kind.is_secret() && !in_file => "(hidden)".to_owned(),
                    (Written::One(text), _) => text.clone(),
                    (Written::Many(items), _) => items.join(","),
                };
                all.push(Effective { path: path.clone(), value, origin: entry.origin.clone() });
            }
            all.extend(defaults.into_iter().map(|path| Effective {
                path,
                value: key.default.to_owned(),
                origin: Origin::Default,
            }));
        }
        all
    }
}

/// Whether `text` has the form that `key` asks for; if not, what is wrong.
const DATABASES: [&str; 5] = ["sqlite", "postgres", "postgresql", "mysql", "mariadb"];
/// The whole stop has ten seconds.
const LONGEST_DELAY: SignedDuration = SignedDuration::from_secs(5);
/// A hundred years.
const MOST_DAYS: u32 = 36_500;
const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];

fn check(kind: Kind, text: &str) -> Result<(), String> {
    let fine = match kind {
        Kind::Text | Kind::Secret | Kind::List | Kind::Words(_) | Kind::Statements => !text.is_empty(),
        Kind::Offset => is_offset(text),
        Kind::Database | Kind::OtherDatabase => {
            let (scheme, rest) = text.split_once(':').unwrap_or_default();
            DATABASES.contains(&scheme) && !rest.trim_start_matches('/').is_empty()
        }
        // A word that is no level would be the name of a part of the program, and silence everything else.
        Kind::Level => {
            LEVELS.iter().any(|level| level.eq_ignore_ascii_case(text)) || text.contains(['=', ','])
        }
        Kind::Flag => text.parse::<bool>().is_ok(),
        Kind::Count(least) => text.parse::<u32>().is_ok_and(|number| number >= least),
        Kind::Days(least) => {
            text.parse::<u32>().is_ok_and(|days| days == 0 || (least..=MOST_DAYS).contains(&days))
        }
        Kind::Rate => text.parse::<f64>().is_ok_and(|rate| rate == 0.0 || (rate.is_finite() && rate >= 0.01)),
        Kind::Share => text.parse::<f64>().is_ok_and(|share| (0.0..=1.0).contains(&share)),
        Kind::Duration => text.parse::<SignedDuration>().is_ok_and(|length| length.is_positive()),
        Kind::Delay => text
            .parse::<SignedDuration>()
            .is_ok_and(|length| (SignedDuration::ZERO..=LONGEST_DELAY).contains(&length)),
        Kind::TimeOfDay => text.parse::<Time>().is_ok(),
        Kind::Address => {
            text.rsplit_once(':').is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok())
        }
        Kind::Url => return check_url(text),
        Kind::Word(words) => words.contains(&text),
    };
    if fine {
        return Ok(());
    }
    let form = match kind {
        Kind::Text | Kind::Secret | Kind::List | Kind::Words(_) | Kind::Statements => {
            "must not be empty".to_owned()
        }
        Kind::Offset => "must be a distance from UTC such as +08:00".to_owned(),
        Kind::Database | Kind::OtherDatabase => {
            "must be sqlite://path/to/file, postgres://user:password@host/database or mysql://…".to_owned()
        }
        Kind::Level => {
            format!("must be {}, or directives such as info,dingsync::sync=debug", LEVELS.join(", "))
        }
        Kind::Flag => "must be true or false".to_owned(),
        Kind::Count(least) => format!("must be a whole number, {least} or more"),
        Kind::Days(1) => format!("must be a whole number of days up to {MOST_DAYS}; 0 keeps everything"),
        Kind::Days(least) => format!(
            "must be a whole number of days, {least} or more, or 0 to keep everything: DingTalk may send an event \
             again from its failed list days later, and it must be known then"
        ),
        Kind::Rate => "must be a number: 0.01 or more, or 0 for no bound".to_owned(),
        Kind::Share => "must be a number from 0 to 1, such as 0.1 for a tenth".to_owned(),
        Kind::Duration => "must be a length of time such as 30s, 5m or 1h".to_owned(),
        Kind::Delay => "must be a length of time from 0s to 5s".to_owned(),
        Kind::TimeOfDay => "must be a time of day such as 03:17".to_owned(),
        Kind::Address => "must be an address and a port, such as 127.0.0.1:8081".to_owned(),
        Kind::Url => String::new(),
        Kind::Word(words) => format!("must be {}", words.join(" or ")),
    };
    Err(form)
}

/// `+08:00`: what every database takes, those without a list of time zones too.
fn is_offset(text: &str) -> bool {
    let Some((hours, minutes)) = text.strip_prefix(['+', '-']).and_then(|rest| rest.split_once(':')) else {
        return false;
    };
    let part = |text: &str, most: u8| {
        text.len() == 2 && text.parse::<u8>().is_ok_and(|number| number <= most) && !text.starts_with('+')
    };
    part(hours, 13) && part(minutes, 59)
}

fn check_url(text: &str) -> Result<(), String> {
    let Ok(url) = text.parse::<Url>() else {
        return Err("must be a URL such as https://oapi.dingtalk.com".to_owned());
    };
    match url.scheme() {
        "https" if url.has_host() => Ok(()),
        "http" if is_loopback(&url) => Ok(()),
        "http" => Err("must start with https: a token over plain http would be read by others".to_owned()),
        _ => Err("must start with https://".to_owned()),
    }
}
