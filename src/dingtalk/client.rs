//! Calls one organisation's DingTalk: within the limits, with a valid token, and with an answer or a classified error
//! at the end.

use std::collections::HashMap;
use std::fmt::Debug;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use reqwest::RequestBuilder;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::sync::Semaphore;
use tokio::time::Instant;

use super::breaker::{Blocked, Breaker};
use super::endpoint::{CATCH_UP_READS, Endpoint, Family, INDISPENSABLE, MIRROR_READS, TOKEN};
use super::envelope::Payload;
use super::error::{ApiError, Class, Denied, Throttle};
use super::meter::Meter;
use super::pace::{AddressAllowance, Pacer};
use super::token::{Token, Tokens};
use super::transport::{Hosts, Transport, TransportError};
use crate::clock::SharedClock;
use crate::lane::Lane;
use crate::random::Random;
use crate::secret::Secret;

/// How long one call waits for its turn while DingTalk throttles, before its object is given back to the queue.
const PATIENCE: Duration = Duration::from_mins(1);
const RETRIES: u32 = 3;
const FIRST_BACK_OFF: Duration = Duration::from_secs(1);
const THROTTLE_PAUSE: Duration = Duration::from_secs(1);
/// A token that dies again and again within one call is the organisation's trouble, not this call's.
const RENEWALS: u32 = 4;
/// For how long after a throttle an organisation is shown as throttled.
const THROTTLED_FOR: Duration = Duration::from_secs(5);

/// What a client is made of.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where to call.
    pub hosts: Hosts,
    /// The application's Client ID.
    pub app_key: String,
    /// Its Client Secret.
    pub app_secret: Secret,
    /// For each API path; 0 is no bound of our own.
    pub requests_per_second: f64,
    /// Calls on the wire at once.
    pub calls_in_flight: usize,
}

/// Is told about every call.
pub trait Observer: Debug + Send + Sync {
    /// A call of `path` ended with `result` (`ok` or [`Class::label`]).
    fn called(&self, path: &'static str, result: &'static str);
    /// Calls of an API pause for this long because DingTalk asked for it.
    fn throttled(&self, pause: Duration);
    /// Calls of an API stop because of this, until a probe succeeds.
    fn stopped(&self, error: &ApiError);
    /// They go on.
    fn resumed(&self, endpoint: Endpoint);
}

/// How an organisation's DingTalk is doing, in the words of the status page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Condition {
    /// Calls are answered.
    Ok,
    /// Calls are slowed down.
    Throttled,
    /// This machine's address is refused for having made too many calls.
    Banned,
    /// The credentials are refused.
    Credentials,
    /// A permission, a listed address or the application itself is missing.
    Permission,
    /// No answers.
    Unreachable,
}

impl Condition {
    /// Every condition, for metrics.
    pub const ALL: [Self; 6] =
        [Self::Ok, Self::Throttled, Self::Banned, Self::Credentials, Self::Permission, Self::Unreachable];

    /// The word in status and metrics.
    pub fn label(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Throttled => "throttled",
            Self::Banned => "banned",
            Self::Credentials => "credentials",
            Self::Permission => "permission",
            Self::Unreachable => "unreachable",
        }
    }
}

/// A [`Condition`] and since when it holds.
#[derive(Debug, Clone, Copy)]
pub struct Health {
    /// How it is.
    pub condition: Condition,
    /// Since when.
    pub since: Timestamp,
    /// The last call that was answered.
    pub last_ok_at: Option<Timestamp>,
}

/// One API path of the organisation.
#[derive(Debug)]
struct Line {
    pacer: Pacer,
    breaker: Breaker,
    answers: AtomicU64,
}

/// Calls the DingTalk of one organisation. Shared by its workers.
#[derive(Debug)]
pub struct Client {
    transport: Transport,
    tokens: Tokens,
    lines: HashMap<&'static str, Line>,
    token_breaker: Breaker,
    in_flight: Semaphore,
    address: Arc<AddressAllowance>,
    /// Whom a ban of the address is by.
    host: String,
    random: Random,
    observer: Arc<dyn Observer>,
    meter: Arc<dyn Meter>,
    health: Mutex<Health>,
    throttled_at: Mutex<Option<Instant>>,
}

/// What a request carries.
pub(super) enum Parameters {
    /// A JSON body, sent by POST.
    Body(Value),
    /// Nothing, sent by GET.
    None,
    /// A query, sent by GET.
    Query(Vec<(&'static str, String)>),
}

impl Client {
    /// A client that has not called yet.
    pub fn new(
        settings: Settings,
        address: Arc<AddressAllowance>,
        clock: SharedClock,
        random: Random,
        observer: Arc<dyn Observer>,
        meter: Arc<dyn Meter>,
    ) -> Result<Self, TransportError> {
        let line = || Line {
            pacer: Pacer::new(settings.requests_per_second),
            breaker: Breaker::default(),
            answers: AtomicU64::new(0),
        };
        let since = clock.now();
        let host = settings.hosts.oapi.authority().to_owned();
        Ok(Self {
            transport: Transport::new(settings.hosts, clock)?,
            tokens: Tokens::new(settings.app_key, settings.app_secret),
            lines: MIRROR_READS
                .iter()
                .chain(CATCH_UP_READS)
                .map(|endpoint| (endpoint.path, line()))
                .collect(),
            token_breaker: Breaker::default(),
            in_flight: Semaphore::new(settings.calls_in_flight),
            address,
            host,
            random,
            observer,
            meter,
            health: Mutex::new(Health { condition: Condition::Ok, since, last_ok_at: None }),
            throttled_at: Mutex::new(None),
        })
    }

    fn line(&self, endpoint: Endpoint) -> &Line {
        self.lines
            .get(endpoint.path)
            .expect("every endpoint that is called is listed in MIRROR_READS or CATCH_UP_READS")
    }

    /// Divides the allowance of the application by so many processes.
    pub fn share(&self, processes: usize) {
        self.lines.values().for_each(|line| line.pacer.share(processes));
    }

    /// How many calls of an API path were answered as they should be.
    pub fn answers(&self, path: &str) -> u64 {
        self.lines.get(path).map_or(0, |line| line.answers.load(Ordering::Relaxed))
    }

    /// Whether calls of `endpoint` are spaced.
    pub fn is_bounded(&self, endpoint: Endpoint) -> bool {
        self.line(endpoint).pacer.is_bounded()
    }

    /// Whether calls of `endpoint` make sense now: as many as wanted (`None`), a probe, or none before an instant.
    pub fn admits(&self, endpoint: Endpoint) -> Result<Option<usize>, Blocked> {
        if let Some(until) = self.address.banned_until(&self.host) {
            return Err(Blocked { class: Class::Throttle(Throttle::Address), until });
        }
        let line = match self.line(endpoint).breaker.admits() {
            // Whoever asks for an unknown method is told so at once, and goes on without it.
            Err(blocked) if blocked.class == Class::UnknownMethod => None,
            line => line?,
        };
        match (self.token_breaker.admits()?, line) {
            (None, None) => Ok(None),
            _ => Ok(Some(1)),
        }
    }

    /// How this DingTalk is doing.
    pub fn health(&self) -> Health {
        *self.observed_health()
    }

    /// The health, brought up to date: each change is noted when it happens, not when somebody asks.
    fn observed_health(&self) -> MutexGuard<'_, Health> {
        let condition = self.condition();
        let now = self.transport.now();
        let mut health = self.health.lock().unwrap_or_else(PoisonError::into_inner);
        if health.condition != condition {
            health.condition = condition;
            health.since = now;
        }
        health
    }

    fn condition(&self) -> Condition {
        if self.address.banned_until(&self.host).is_some() {
            return Condition::Banned;
        }
        let troubles = || {
            let lines = self.lines.values().filter_map(|line| line.breaker.recent_trouble());
            lines.chain(self.token_breaker.trouble())
        };
        if troubles().any(|class| class == Class::Credentials) {
            return Condition::Credentials;
        }
        if troubles().any(|class| matches!(class, Class::Denied(_))) {
            return Condition::Permission;
        }
        if troubles().any(|class| matches!(class, Class::Retry | Class::RefreshToken)) {
            return Condition::Unreachable;
        }
        if troubles().any(|class| matches!(class, Class::Throttle(_))) {
            return Condition::Throttled;
        }
        let throttled_at = *self.throttled_at.lock().unwrap_or_else(PoisonError::into_inner);
        if throttled_at.is_some_and(|at| at.elapsed() < THROTTLED_FOR) {
            return Condition::Throttled;
        }
        Condition::Ok
    }

    fn answered(&self) {
        let now = self.transport.now();
        self.observed_health().last_ok_at = Some(now);
    }

    fn note_throttle(&self, pause: Duration) {
        *self.throttled_at.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
        drop(self.observed_health());
        self.observer.throttled(pause);
    }

    /// Fetches a token for `corp_id`, which DingTalk refuses when the application is another organisation's.
    pub async fn prove_corp(&self, corp_id: &str) -> Result<(), ApiError> {
        self.tokens.prove_corp(&self.transport, corp_id).await
    }

    /// Fetches a token now, whatever the breakers say.
    pub async fn prove_credentials(&self) -> Result<(), ApiError> {
        self.tokens.forget(None).await;
        self.tokens.current(&self.transport).await.map(drop)
    }

    /// What DingTalk's clock shows.
    pub async fn server_time(&self) -> Option<Timestamp> {
        self.transport.server_time().await
    }

    async fn token(&self) -> Result<Arc<Token>, ApiError> {
        let _admission = self.token_breaker.admit().map_err(|blocked| blocked_error(TOKEN, blocked))?;
        match self.tokens.current(&self.transport).await {
            Ok((token, was_fetched)) => {
                if was_fetched {
                    self.observer.called(TOKEN.path, "ok");
                }
                if self.token_breaker.worked() {
                    self.observer.resumed(TOKEN);
                }
                Ok(token)
            }
            Err(error) => {
                self.observer.called(error.endpoint.path, error.class.label());
                match error.class {
                    Class::Throttle(Throttle::Address) => self.note_throttle(self.address.banned(&self.host)),
                    Class::Throttle(_) => self.note_throttle(error.retry_after.unwrap_or(THROTTLE_PAUSE)),
                    _ => {}
                }
                // Whatever else a token server answers, calls have to wait for it.
                let class = match error.class {
                    Class::Credentials | Class::Denied(_) | Class::Throttle(_) => error.class,
                    _ => Class::Retry,
                };
                let error = ApiError { class, ..error };
                self.note_failure(&self.token_breaker, &error);
                Err(error)
            }
        }
    }

    /// Makes a call: waits for its turn, renews a refused token, retries what passes by itself, and gives up with the
    /// class of what is in the way.
    pub(super) async fn call<T: DeserializeOwned>(
        &self,
        endpoint: Endpoint,
        payload: Payload,
        lane: Lane,
        parameters: Parameters,
    ) -> Result<T, ApiError> {
        let line = self.line(endpoint);
        let patience = Instant::now() + PATIENCE;
        let mut attempt = Attempt::default();
        loop {
            let _admission = line.breaker.admit().map_err(|blocked| blocked_error(endpoint, blocked))?;
            line.pacer.turn(lane).await;
            self.address.turn().await;
            if let Some(until) = self.address.banned_until(&self.host) {
                let class = Class::Throttle(Throttle::Address);
                return Err(blocked_error(endpoint, Blocked { class, until }));
            }
            let (token, was_fresh, outcome) = {
                let _permit = self.in_flight.acquire().await.expect("the semaphore is never closed");
                // Last, so that it has not died while the call waited for its turn.
                let token = self.token().await?;
                let was_fresh = token.is_fresh();
                let request = self.request(endpoint, &token, &parameters);
                if endpoint.metered {
                    self.meter.begin(endpoint).await.map_err(|why| why.error(endpoint))?;
                }
                let outcome = self.transport.send(endpoint, payload, request).await;
                (token, was_fresh, outcome.map_err(missed_if_indispensable))
            };
            if endpoint.metered && outcome.as_ref().is_err_and(|error| !error.may_have_been_carried_out()) {
                self.meter.take_back(endpoint).await;
            }
            let result = outcome.as_ref().err().map_or("ok", |error| error.class.label());
            self.observer.called(endpoint.path, result);
            let error = match outcome {
                Ok(answer) => {
                    self.note_worked(endpoint, line, &token);
                    return Ok(answer);
                }
                Err(error) => error,
            };
            attempt.used_fresh_token = was_fresh;
            self.react(line, &token, error, &mut attempt, patience).await?;
        }
    }

    fn note_failure(&self, breaker: &Breaker, error: &ApiError) {
        if breaker.failed(error.class) {
            self.observer.stopped(error);
        }
        drop(self.observed_health());
    }

    /// An API answers nonsense, whoever is asked for: that is trouble as an outage is.
    pub fn note_nonsense(&self, error: &ApiError) {
        let trouble = ApiError { class: Class::Retry, ..error.clone() };
        self.note_failure(&self.line(error.endpoint).breaker, &trouble);
    }

    fn note_worked(&self, endpoint: Endpoint, line: &Line, token: &Token) {
        token.mark_worked();
        line.answers.fetch_add(1, Ordering::Relaxed);
        if line.breaker.worked() {
            self.observer.resumed(endpoint);
        }
        self.address.worked(&self.host);
        self.answered();
    }

    fn request(&self, endpoint: Endpoint, token: &Token, parameters: &Parameters) -> RequestBuilder {
        let request = match parameters {
            Parameters::Body(body) => self.transport.post(endpoint).json(body),
            Parameters::None => self.transport.get(endpoint),
            Parameters::Query(query) => self.transport.get(endpoint).query(query),
        };
        match endpoint.family {
            Family::V1 => request.header("x-acs-dingtalk-access-token", token.expose()),
            Family::Topapi | Family::Classic | Family::Token => {
                request.query(&[("access_token", token.expose())])
            }
        }
    }

    /// Does what the class of `error` asks for. `Ok` is "try again now".
    async fn react(
        &self,
        line: &Line,
        token: &Arc<Token>,
        error: ApiError,
        attempt: &mut Attempt,
        patience: Instant,
    ) -> Result<(), ApiError> {
        match error.class {
            Class::Gone | Class::Hidden | Class::BadRequest => {
                self.note_worked(error.endpoint, line, token);
                Err(error)
            }
            // Whatever was taken away is lost; another call would take away more.
            Class::Retry | Class::Unexpected if error.endpoint.destructive => {
                self.note_failure(&line.breaker, &error);
                Err(error)
            }
            // What is left out for lack of a permission is no trouble.
            Class::Denied(Denied::PermissionPoint) if error.endpoint.optional => {
                self.note_worked(error.endpoint, line, token);
                Err(error)
            }
            Class::Unexpected if !attempt.unexpected => {
                attempt.unexpected = true;
                Ok(())
            }
            Class::Unexpected => {
                // The probe of an API that is in trouble: it still is.
                if line.breaker.trouble().is_some() {
                    self.note_nonsense(&error);
                }
                Err(error)
            }
            Class::Retry => {
                self.note_failure(&line.breaker, &error);
                attempt.failures += 1;
                if attempt.failures > RETRIES {
                    return Err(error);
                }
                let back_off = FIRST_BACK_OFF * 2u32.pow(attempt.failures - 1);
                tokio::time::sleep(self.random.jittered(back_off)).await;
                Ok(())
            }
            Class::RefreshToken => {
                attempt.renewals += 1;
                if attempt.renewals > RENEWALS {
                    self.note_failure(&line.breaker, &error);
                    return Err(error);
                }
                let refused = self.tokens.refused(token, attempt.used_fresh_token, error).await;
                if let Err(error) = &refused {
                    self.note_failure(&self.token_breaker, error);
                }
                refused
            }
            Class::Denied(Denied::PermissionPoint) if !attempt.fresh_permissions => {
                // A permission that was granted after the token was fetched needs a new one.
                attempt.fresh_permissions = true;
                self.tokens.forget(Some(token)).await;
                Ok(())
            }
            Class::Throttle(Throttle::Address) => {
                self.note_throttle(self.address.banned(&self.host));
                Err(error)
            }
            Class::Throttle(Throttle::MonthlyQuota)
            | Class::Denied(_)
            | Class::Credentials
            | Class::UnknownMethod => {
                self.note_failure(&line.breaker, &error);
                Err(error)
            }
            Class::Throttle(throttle) => {
                let pause = error.retry_after.unwrap_or(THROTTLE_PAUSE);
                let pause = pause + self.random.jittered(THROTTLE_PAUSE / 2);
                match throttle {
                    Throttle::Organisation => self.lines.values().for_each(|line| line.pacer.pause(pause)),
                    Throttle::Application => line.pacer.refused(pause),
                    _ => line.pacer.pause(pause),
                }
                self.note_throttle(pause);
                if Instant::now() > patience { Err(error) } else { Ok(()) }
            }
        }
    }
}

/// What one call has been through.
#[derive(Debug, Default)]
struct Attempt {
    failures: u32,
    renewals: u32,
    used_fresh_token: bool,
    unexpected: bool,
    fresh_permissions: bool,
}

/// Without these methods there is nothing to go on with: what does not know them is no DingTalk, at the moment.
fn missed_if_indispensable(error: ApiError) -> ApiError {
    if error.class == Class::UnknownMethod && INDISPENSABLE.contains(&error.endpoint) {
        let transport =
            Some("the server does not know the method; look at oapi_url, or for a proxy in between");
        return ApiError { class: Class::Retry, transport, ..error };
    }
    error
}

fn blocked_error(endpoint: Endpoint, blocked: Blocked) -> ApiError {
    ApiError {
        retry_after: Some(blocked.until.saturating_duration_since(Instant::now())),
        transport: Some("its calls pause after repeated failures"),
        ..ApiError::new(endpoint, blocked.class)
    }
}
