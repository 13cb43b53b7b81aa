//! Every configuration key: its name, what it means, its default. The single source for reading, `dingsync config`
//! and the README's table.

/// What a key's value looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Any text.
    Text,
    /// A text that is never shown; also taken from the file that `…_file` names.
    Secret,
    /// Where the database is; as a [`Self::Secret`], because a password may stand in it.
    Database,
    /// As [`Self::Database`], of another one.
    OtherDatabase,
    /// How much the log says: a level, or directives.
    Level,
    /// `true` or `false`.
    Flag,
    /// A whole number that is not less than this.
    Count(u32),
    /// For how many days something is kept: 0 for ever, else not less than this.
    Days(u32),
    /// 0, or a number of at least 0.01.
    Rate,
    /// A number from 0 to 1.
    Share,
    /// Such as `30s`, `5m`, `1h`.
    Duration,
    /// As [`Self::Duration`], from `0s` to `5s`.
    Delay,
    /// A time of day, such as `03:17`.
    TimeOfDay,
    /// `address:port`.
    Address,
    /// A URL.
    Url,
    /// One of the given words.
    Word(&'static [&'static str]),
    /// A list of texts; in a variable they are separated by commas.
    List,
    /// A list of the given words.
    Words(&'static [&'static str]),
    /// One SQL statement, or a list of them.
    Statements,
    /// The distance of a time zone from UTC, such as `+08:00`.
    Offset,
}

impl Kind {
    /// Whether a value is never shown, and may also come from a file.
    pub fn is_secret(self) -> bool {
        matches!(self, Self::Secret | Self::Database | Self::OtherDatabase)
    }
}

/// One key. A `*` in its path stands for a name that the configuration chooses.
#[derive(Debug, Clone, Copy)]
pub struct Key {
    /// `corps.*.app_key`
    pub path: &'static str,
    /// The form of its value.
    pub kind: Kind,
    /// Its value where nothing sets it, as the file would write it; empty where there is none.
    pub default: &'static str,
    /// What it means, for people.
    pub meaning: &'static str,
}

const fn key(path: &'static str, kind: Kind, default: &'static str, meaning: &'static str) -> Key {
    Key { path, kind, default, meaning }
}

/// What a token of the admin API may be allowed to do.
pub const TOKEN_SCOPES: &[&str] = &["read", "operate", "approve", "push"];

/// All keys, in the order in which they are shown.
pub const KEYS: &[Key] = &[
    key(
        "database.url",
        Kind::Database,
        "sqlite://dingsync.db",
        "where the mirror lives: `sqlite://path/to/file`, `postgres://user:password@host/database` or `mysql://…`",
    ),
    key(
        "server.listen",
        Kind::Address,
        "0.0.0.0:8080",
        "what DingTalk reaches; serves callbacks and nothing else",
    ),
    key("server.connections", Kind::Count(1), "1024", "callback connections open at once; further ones wait"),
    key(
        "server.shutdown_delay",
        Kind::Delay,
        "0s",
        "after SIGTERM callbacks are taken for so long yet, at most 5s, while `readyz` says no: for a load balancer to notice",
    ),
    key(
        "ops.listen",
        Kind::Address,
        "127.0.0.1:8081",
        "health, metrics, status, admin API; keep it off the Internet",
    ),
    key(
        "ops.hosts",
        Kind::List,
        "",
        "names by which a proxy on this machine asks for it; then a token is needed for everything",
    ),
    key(
        "ops.tokens.*.token",
        Kind::Secret,
        "",
        "lets its bearer use the API under `ops.listen`: from other machines, and to write",
    ),
    key(
        "ops.tokens.*.scopes",
        Kind::Words(TOKEN_SCOPES),
        "read",
        "what the token may do: `read`; `operate` (replay, retry, discard, sync, compare); `approve` (held deletions, forget); `push`",
    ),
    key(
        "dingtalk.address_calls_per_20s",
        Kind::Count(0),
        "10000",
        "calls of all organisations together; DingTalk bans an address that makes more. 0 = no bound of our own",
    ),
    key("corps.*.corp_id", Kind::Text, "", "the organisation's CorpId"),
    key("corps.*.app_key", Kind::Text, "", "the application's Client ID (AppKey)"),
    key("corps.*.app_secret", Kind::Secret, "", "the application's Client Secret (AppSecret)"),
    key("corps.*.callback_token", Kind::Secret, "", "the Token (签名 Token) of the event subscription page"),
    key(
        "corps.*.callback_aes_key",
        Kind::Secret,
        "",
        "the AES key (加密 aes_key) of that page, 43 characters",
    ),
    key(
        "corps.*.callback_token_previous",
        Kind::Secret,
        "",
        "the Token before a change, while pushes still use it",
    ),
    key("corps.*.callback_aes_key_previous", Kind::Secret, "", "the AES key before a change"),
    key(
        "corps.*.owner_keys",
        Kind::List,
        "",
        "what may stand at the end of a decrypted message; by default app_key and corp_id",
    ),
    key("corps.*.site", Kind::Word(&["cn", "intl"]), "cn", "which DingTalk: sets both hosts"),
    key("corps.*.oapi_url", Kind::Url, "", "overrides the legacy host; plain http only to this machine"),
    key("corps.*.api_url", Kind::Url, "", "overrides the v1.0 host; plain http only to this machine"),
    key(
        "corps.*.requests_per_second",
        Kind::Rate,
        "10",
        "for each API path; DingTalk allows an application 20, shared with all that uses it. 0 = no bound of our own",
    ),
    key("corps.*.calls_in_flight", Kind::Count(1), "16", "calls on the wire at once"),
    key(
        "corps.*.metered_calls_per_month",
        Kind::Count(0),
        "2500",
        "calls that DingTalk counts by the month (the list of failed events, `auth/scopes`), of 5,000 that an organisation shares on the standard edition. 0 = no bound of our own",
    ),
    key(
        "corps.*.robot_webhook",
        Kind::Secret,
        "",
        "the webhook of a group robot (群机器人) that is told what needs people",
    ),
    key("corps.*.robot_secret", Kind::Secret, "", "the secret of that robot's 加签, `SEC…`"),
    key(
        "corps.*.enabled",
        Kind::Flag,
        "true",
        "false leaves the organisation alone; its other keys are not needed then",
    ),
    key(
        "guard.max_deletions",
        Kind::Count(0),
        "50",
        "deletions of one kind within the window that are never held. 0 switches the guard off",
    ),
    key("guard.max_share", Kind::Share, "0.1", "the share of a kind that may go within the window, 0 to 1"),
    key("guard.window", Kind::Duration, "1h", "the window in which deletions are counted"),
    key(
        "reconcile.daily_at",
        Kind::TimeOfDay,
        "03:17",
        "when everything is compared, time of Shanghai; off the full hour",
    ),
    key(
        "reconcile.without_callbacks_every",
        Kind::Duration,
        "1h",
        "how often an organisation that takes no callbacks is compared",
    ),
    key(
        "reconcile.details_every_days",
        Kind::Count(1),
        "7",
        "everybody's details are read again within so many days, a share every night",
    ),
    key(
        "mirror.exclude_fields",
        Kind::List,
        "",
        "columns of `ding_employee` that are never stored, such as `mobile`, `email`, `remark`; what is stored of them is erased",
    ),
    key(
        "retention.inbox_days",
        Kind::Days(8),
        "30",
        "how long received events are kept, at least 8 days. 0 = for ever, as for the following",
    ),
    key("retention.changes_days", Kind::Days(1), "0", "how long the change log `ding_change` is kept"),
    key("retention.audit_days", Kind::Days(1), "365", "how long it is kept who asked for what"),
    key(
        "retention.runs_days",
        Kind::Days(1),
        "90",
        "how long pulls and comparisons, with what they found, are kept",
    ),
    key(
        "retention.leavers_days",
        Kind::Days(1),
        "0",
        "how long the personal fields of people who are gone are kept; then they are erased, in the change log too",
    ),
    key(
        "apply.*.corp",
        Kind::Text,
        "",
        "the organisation whose people are written into the OA's own tables; not needed where there is one, or where it has this name",
    ),
    key(
        "apply.*.url",
        Kind::OtherDatabase,
        "",
        "the database of the OA's tables, in the form of `database.url`; without it they are in the mirror's",
    ),
    key(
        "apply.*.time_zone",
        Kind::Offset,
        "+08:00",
        "the time zone in which times are written there, as a distance from UTC",
    ),
    key(
        "apply.*.*.find",
        Kind::Text,
        "",
        "for `department`, `role` or `employee`: a SELECT that brings the key of a row that is there already",
    ),
    key(
        "apply.*.*.upsert",
        Kind::Statements,
        "",
        "the statement that writes a row, or a list of them; also for `employee_department` and `employee_role`",
    ),
    key(
        "apply.*.*.delete",
        Kind::Statements,
        "",
        "what is done with the row of something that is gone; often an UPDATE of a status",
    ),
    key(
        "apply.*.*.when.*",
        Kind::List,
        "",
        "the value, or the values, that a column must have; others are left out",
    ),
    key(
        "apply.*.*.values.*.*",
        Kind::Text,
        "",
        "what is written in place of a column's value; `null` for NULL",
    ),
    key("log.format", Kind::Word(&["text", "json"]), "text", "how log lines look"),
    key(
        "log.level",
        Kind::Level,
        "info",
        "`error`, `warn`, `info`, `debug`, `trace`, or directives such as `info,dingsync::sync=debug`",
    ),
];

/// A path that the configuration names, matched to its key.
#[derive(Debug, Clone, Copy)]
pub(super) struct Match {
    /// The key.
    pub(super) key: &'static Key,
    /// The path ends in `_file`: its value is where the secret is.
    pub(super) in_file: bool,
}

impl Match {
    /// What the value at the path looks like: that of a secret in a file is where the file is.
    pub(super) fn kind(self) -> Kind {
        if self.in_file { Kind::Text } else { self.key.kind }
    }
}

/// Finds the key that `path` (`corps.main.app_key`) is an instance of.
pub(super) fn find(path: &str) -> Option<Match> {
    let exact = |path: &str| KEYS.iter().find(|key| matches(key.path, path));
    if let Some(key) = exact(path) {
        return Some(Match { key, in_file: false });
    }
    let key = exact(path.strip_suffix("_file")?)?;
    (key.kind.is_secret()).then_some(Match { key, in_file: true })
}

fn matches(pattern: &str, path: &str) -> bool {
    let mut parts = path.split('.');
    pattern.split('.').all(|expected| parts.next().is_some_and(|part| expected == "*" || expected == part))
        && parts.next().is_none()
}

/// The known key that looks most like a mistyped one.
pub(super) fn closest(path: &str) -> Option<String> {
    let parts: Vec<&str> = path.split('.').collect();
    let instance = |key: &Key| -> String {
        let names = key.path.split('.').enumerate();
        names
            .map(|(at, part)| if part == "*" { parts.get(at).copied().unwrap_or("NAME") } else { part })
            .collect::<Vec<_>>()
            .join(".")
    };
    let candidates =
        KEYS.iter().map(instance).map(|candidate| (strsim::levenshtein(&candidate, path), candidate));
    candidates.min().filter(|(distance, _)| *distance <= 4).map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_in_the_middle_matches_and_a_longer_path_does_not() {
        assert_eq!(find("corps.main.app_key").unwrap().key.path, "corps.*.app_key");
        assert!(find("corps.main.app_secret_file").unwrap().in_file);
        assert!(find("database.url_file").unwrap().in_file, "a password may stand in it");
        assert!(find("corps.main.app_key_file").is_none(), "an app key is no secret");
        assert!(find("corps.main.app_key.x").is_none());
        assert!(find("corps.main").is_none());
    }

    #[test]
    fn a_mistyped_key_is_recognised() {
        assert_eq!(closest("corps.main.app_kee").as_deref(), Some("corps.main.app_key"));
        assert_eq!(closest("database.uri").as_deref(), Some("database.url"));
        assert_eq!(closest("completely.different"), None);
    }
}
