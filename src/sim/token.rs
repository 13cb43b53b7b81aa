//! Access tokens (`contacts-api.md §2`).

use std::collections::{BTreeMap, BTreeSet};

use super::app::App;

/// How long a token is good for, seconds.
pub(crate) const LIFETIME_S: i64 = 7200;

#[derive(Debug, Clone)]
struct Token {
    value: String,
    issued_at: i64,
    expires_at: i64,
    /// What the application was allowed when the token was issued.
    permissions: BTreeSet<String>,
}

/// The live token of each application. Times are milliseconds UTC.
#[derive(Debug, Default)]
pub(crate) struct Tokens {
    live: BTreeMap<String, Token>,
    issued: u64,
}

/// Whom a token speaks for.
#[derive(Debug)]
pub(crate) struct Bearer {
    pub(crate) app_key: String,
    pub(crate) permissions: BTreeSet<String>,
}

impl Tokens {
    /// The application's token: the same one, extended, while it is good; a new one after that. `fresh` makes it.
    pub(crate) fn issue(
        &mut self,
        app: &App,
        now: i64,
        life_ms: Option<u64>,
        fresh: impl FnOnce() -> String,
    ) -> String {
        let expires_at = now + LIFETIME_S * 1000;
        if let Some(token) = self.live.get_mut(&app.key)
            && is_good(token, now, life_ms)
        {
            token.expires_at = expires_at;
            return token.value.clone();
        }
        let value = fresh();
        self.issued += 1;
        self.live.insert(
            app.key.clone(),
            Token {
                value: value.clone(),
                issued_at: now,
                expires_at,
                permissions: app.settings.permissions.clone(),
            },
        );
        value
    }

    /// Whom a token speaks for; nobody once it is dead.
    pub(crate) fn bearer(&self, value: &str, now: i64, life_ms: Option<u64>) -> Option<Bearer> {
        let (app_key, token) = self.live.iter().find(|(_, token)| token.value == value)?;
        is_good(token, now, life_ms)
            .then(|| Bearer { app_key: app_key.clone(), permissions: token.permissions.clone() })
    }

    /// Lets every token die.
    pub(crate) fn kill(&mut self) {
        self.live.clear();
    }

    /// How many different tokens were issued.
    pub(crate) fn issued(&self) -> u64 {
        self.issued
    }
}

fn is_good(token: &Token, now: i64, life_ms: Option<u64>) -> bool {
    let killed = life_ms
        .and_then(|life| i64::try_from(life).ok())
        .is_some_and(|life| now >= token.issued_at.saturating_add(life));
    now < token.expires_at && !killed
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::app::AppSettings;

    fn app() -> App {
        App { key: "k".into(), secret: "s".into(), settings: AppSettings::default() }
    }

    #[test]
    fn asking_again_extends_the_same_token() {
        let mut tokens = Tokens::default();
        let first = tokens.issue(&app(), 0, None, || "a".into());
        let hour = 3_600_000;
        assert_eq!(tokens.issue(&app(), hour, None, || "b".into()), first);
        assert!(tokens.bearer(&first, 3 * hour - 1, None).is_some(), "extended by the second call");
        assert!(tokens.bearer(&first, 3 * hour, None).is_none());
        assert_eq!(tokens.issue(&app(), 3 * hour, None, || "b".into()), "b");
        assert_eq!(tokens.issued(), 2);
    }

    #[test]
    fn a_short_life_overrides_what_was_promised() {
        let mut tokens = Tokens::default();
        tokens.issue(&app(), 0, Some(50), || "a".into());
        assert!(tokens.bearer("a", 49, Some(50)).is_some());
        assert!(tokens.bearer("a", 50, Some(50)).is_none());
        assert_eq!(tokens.issue(&app(), 50, Some(50), || "b".into()), "b");
    }
}
