//! The access token of one application: in memory, fetched by one caller at a time, renewed early and when it is
//! refused (`contacts-api.md §2`, `events.md §8`).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::json;
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::endpoint::{Endpoint, TOKEN, TOKEN_LEGACY, TOKEN_OF_CORP};
use super::envelope::Payload;
use super::error::{ApiError, Class};
use super::lenient;
use super::transport::Transport;
use crate::secret::Secret;

/// A token that is renewed while it still works leaves no gap.
const RENEW_BEFORE_END: Duration = Duration::from_mins(10);
/// A token that is used within this time of its fetch has had no time to die of anything but being refused as such.
const FRESH: Duration = Duration::from_millis(250);
/// So many fresh tokens refused in a row are no coincidence.
const REFUSED_IN_VAIN: u32 = 3;
/// Where an answer does not say how long its token lives.
const USUAL_LIFE: Duration = Duration::from_hours(2);
/// Whatever an answer promises.
const LONGEST_LIFE: Duration = Duration::from_hours(24);

/// A token as it is handed to calls.
#[derive(Debug)]
pub(super) struct Token {
    value: SecretString,
    fetched_at: Instant,
    renew_at: Instant,
    ends_at: Instant,
    worked: AtomicBool,
}

impl Token {
    pub(super) fn expose(&self) -> &str {
        self.value.expose_secret()
    }

    /// A call with this token was accepted.
    pub(super) fn mark_worked(&self) {
        self.worked.store(true, Ordering::Relaxed);
    }

    /// True just after the fetch.
    pub(super) fn is_fresh(&self) -> bool {
        self.fetched_at.elapsed() < FRESH
    }

    fn worked(&self) -> bool {
        self.worked.load(Ordering::Relaxed)
    }
}

#[derive(Debug, Default)]
struct State {
    current: Option<Arc<Token>>,
    /// Tokens in a row that were refused although they were fresh.
    refused_fresh: u32,
}

/// Fetches and keeps the token of one application.
#[derive(Debug)]
pub(super) struct Tokens {
    app_key: String,
    app_secret: Secret,
    state: Mutex<State>,
}

#[derive(Deserialize)]
struct Granted {
    #[serde(default, alias = "accessToken", deserialize_with = "lenient::text")]
    access_token: Option<String>,
    #[serde(default, alias = "expireIn", deserialize_with = "lenient::integer")]
    expires_in: Option<i64>,
}

impl Tokens {
    pub(super) fn new(app_key: String, app_secret: Secret) -> Self {
        Self { app_key, app_secret, state: Mutex::default() }
    }

    /// The current token, and whether it was fetched for this caller: the first one that finds none, or one that ends
    /// soon, fetches it while the others wait.
    pub(super) async fn current(&self, transport: &Transport) -> Result<(Arc<Token>, bool), ApiError> {
        let mut state = self.state.lock().await;
        let now = Instant::now();
        if let Some(token) = &state.current
            && now < token.renew_at
        {
            return Ok((Arc::clone(token), false));
        }
        match self.fetch(transport).await {
            Ok(token) => {
                let token = Arc::new(token);
                state.current = Some(Arc::clone(&token));
                Ok((token, true))
            }
            // The old one is good for a while yet.
            Err(error) => match &state.current {
                Some(token) if now < token.ends_at => Ok((Arc::clone(token), false)),
                _ => Err(error),
            },
        }
    }

    /// `token`, which was fresh or not when it was used, was refused: forgets it, unless somebody else has replaced it
    /// already. An error if tokens are refused although they are fresh: then fetching another one is no remedy.
    pub(super) async fn refused(
        &self,
        token: &Arc<Token>,
        was_fresh: bool,
        refusal: ApiError,
    ) -> Result<(), ApiError> {
        let mut state = self.state.lock().await;
        if !state.current.as_ref().is_some_and(|current| Arc::ptr_eq(current, token)) {
            return Ok(());
        }
        state.current = None;
        state.refused_fresh = if was_fresh && !token.worked() { state.refused_fresh + 1 } else { 0 };
        if state.refused_fresh < REFUSED_IN_VAIN {
            return Ok(());
        }
        Err(ApiError { class: Class::Credentials, ..refusal })
    }

    /// Forgets a token, or whatever is there, so that the next one carries permissions that were granted meanwhile.
    pub(super) async fn forget(&self, token: Option<&Arc<Token>>) {
        let mut state = self.state.lock().await;
        let is_it = |current: &Arc<Token>| token.is_none_or(|token| Arc::ptr_eq(current, token));
        if state.current.as_ref().is_some_and(is_it) {
            state.current = None;
        }
    }

    async fn fetch(&self, transport: &Transport) -> Result<Token, ApiError> {
        let granted = match self.fetch_from(transport, TOKEN).await {
            // Some networks let only the legacy host through, and some test doubles know only its call.
            Err(error) if matches!(error.class, Class::Retry | Class::UnknownMethod | Class::Unexpected) => {
                self.fetch_from(transport, TOKEN_LEGACY)
                    .await
                    .map_err(|second| if second.class == Class::UnknownMethod { error } else { second })
            }
            other => other,
        }?;
        let value = granted
            .access_token
            .ok_or_else(|| ApiError::unexpected(TOKEN, "there is no access token in it"))?;
        let life = granted
            .expires_in
            .and_then(|seconds| u64::try_from(seconds).ok())
            .filter(|&seconds| seconds > 0)
            .map_or(USUAL_LIFE, Duration::from_secs)
            .min(LONGEST_LIFE);
        let now = Instant::now();
        Ok(Token {
            value: SecretString::from(value),
            fetched_at: now,
            renew_at: now + life.saturating_sub(RENEW_BEFORE_END.min(life / 2)),
            ends_at: now + life,
            worked: AtomicBool::new(false),
        })
    }

    async fn fetch_from(&self, transport: &Transport, endpoint: Endpoint) -> Result<Granted, ApiError> {
        let secret = self.app_secret.with(|secret| SecretString::from(secret.to_owned()));
        let request = match endpoint {
            TOKEN_LEGACY => transport
                .get(endpoint)
                .query(&[("appkey", self.app_key.as_str()), ("appsecret", secret.expose_secret())]),
            _ => transport
                .post(endpoint)
                .json(&json!({ "appKey": self.app_key, "appSecret": secret.expose_secret() })),
        };
        transport.send(endpoint, Payload::TopLevel, request).await
    }

    /// Fetches a token for one organisation, to see whether it is the application's.
    pub(super) async fn prove_corp(&self, transport: &Transport, corp_id: &str) -> Result<(), ApiError> {
        let secret = self.app_secret.with(|secret| SecretString::from(secret.to_owned()));
        let request = transport.post_to_corp(corp_id).json(&json!({
            "client_id": self.app_key,
            "client_secret": secret.expose_secret(),
            "grant_type": "client_credentials",
        }));
        let granted: Granted = transport.send(TOKEN_OF_CORP, Payload::TopLevel, request).await?;
        match granted.access_token {
            Some(_) => Ok(()),
            None => Err(ApiError::unexpected(TOKEN_OF_CORP, "there is no access token in it")),
        }
    }
}
