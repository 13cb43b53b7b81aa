//! One HTTP exchange with DingTalk: hosts, deadlines, the size of an answer.

use std::net::IpAddr;
use std::time::Duration;

use jiff::Timestamp;
use reqwest::{RequestBuilder, Response, StatusCode};
use serde::de::DeserializeOwned;
use thiserror::Error;
use url::{Host, Url};

use super::endpoint::{Endpoint, Family};
use super::envelope::{self, Payload};
use super::error::{ApiError, Class, NO_CONNECTION, Throttle};
use crate::clock::SharedClock;

const CONNECT_DEADLINE: Duration = Duration::from_secs(5);
const CALL_DEADLINE: Duration = Duration::from_secs(20);
const IDLE_CONNECTION: Duration = Duration::from_secs(30);
/// `user/listid` is not paged: 100,000 ids are about 3 MB.
const LARGEST_ANSWER: usize = 32 * 1024 * 1024;

/// The two hosts of one DingTalk site.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hosts {
    /// The legacy host, without a trailing slash.
    pub oapi: Url,
    /// The v1.0 host.
    pub api: Url,
}

/// Why the HTTP client could not be set up.
#[derive(Debug, Error)]
#[error("the HTTP client could not be set up")]
pub struct TransportError(#[source] reqwest::Error);

/// Sends requests and opens their envelopes.
#[derive(Debug)]
pub(super) struct Transport {
    http: reqwest::Client,
    hosts: Hosts,
    clock: SharedClock,
}

/// True for an address of this machine's own: the only place where plain HTTP is allowed.
pub fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(Host::Ipv4(address)) => IpAddr::V4(address).is_loopback(),
        Some(Host::Ipv6(address)) => IpAddr::V6(address).is_loopback(),
        None => false,
    }
}

impl Transport {
    pub(super) fn new(hosts: Hosts, clock: SharedClock) -> Result<Self, TransportError> {
        let mut builder = reqwest::Client::builder()
            .connect_timeout(CONNECT_DEADLINE)
            .timeout(CALL_DEADLINE)
            .pool_idle_timeout(IDLE_CONNECTION)
            // No API redirects; an answer that does comes from somebody else.
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .user_agent(concat!("dingsync/", env!("CARGO_PKG_VERSION")));
        if is_loopback(&hosts.oapi) && is_loopback(&hosts.api) {
            builder = builder.no_proxy();
        }
        Ok(Self { http: builder.build().map_err(TransportError)?, hosts, clock })
    }

    pub(super) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    fn url(&self, endpoint: Endpoint) -> Url {
        let base = match endpoint.family {
            Family::V1 => &self.hosts.api,
            Family::Token if endpoint.path.starts_with("/v1.0/") => &self.hosts.api,
            Family::Topapi | Family::Classic | Family::Token => &self.hosts.oapi,
        };
        at(base, endpoint.path)
    }

    pub(super) fn get(&self, endpoint: Endpoint) -> RequestBuilder {
        self.http.get(self.url(endpoint))
    }

    pub(super) fn post(&self, endpoint: Endpoint) -> RequestBuilder {
        self.http.post(self.url(endpoint))
    }

    pub(super) fn post_to_corp(&self, corp_id: &str) -> RequestBuilder {
        let mut url = self.hosts.api.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(["v1.0", "oauth2", corp_id, "token"]);
        }
        self.http.post(url)
    }

    pub(super) async fn send<T: DeserializeOwned>(
        &self,
        endpoint: Endpoint,
        payload: Payload,
        request: RequestBuilder,
    ) -> Result<T, ApiError> {
        let (status, body) = self.exchange(endpoint, request).await?;
        envelope::open(endpoint, payload, status, &body, self.clock.now())
    }

    async fn exchange(
        &self,
        endpoint: Endpoint,
        request: RequestBuilder,
    ) -> Result<(StatusCode, Vec<u8>), ApiError> {
        let response = request.send().await.map_err(|error| describe(endpoint, &error))?;
        let status = response.status();
        let retry_after = retry_after(&response);
        let body = read_body(endpoint, response).await?;
        if status == StatusCode::TOO_MANY_REQUESTS && retry_after.is_some() {
            let throttled = ApiError::new(endpoint, Class::Throttle(Throttle::Application));
            return Err(ApiError { retry_after, ..throttled });
        }
        Ok((status, body))
    }

    /// The difference between the server's clock and ours, from the `Date` header of any answer of the legacy host.
    pub(super) async fn server_time(&self) -> Option<Timestamp> {
        let response = self.http.get(at(&self.hosts.oapi, "/gettoken")).send().await.ok()?;
        let date = response.headers().get(reqwest::header::DATE)?.to_str().ok()?;
        Some(jiff::fmt::rfc2822::parse(date).ok()?.timestamp())
    }
}

fn at(base: &Url, path: &str) -> Url {
    let mut url = base.clone();
    let prefix = base.path().trim_end_matches('/').to_owned();
    url.set_path(&format!("{prefix}{path}"));
    url
}

fn retry_after(response: &Response) -> Option<Duration> {
    let seconds = response.headers().get(reqwest::header::RETRY_AFTER)?.to_str().ok()?.parse().ok()?;
    Some(Duration::from_secs(seconds).min(Duration::from_mins(1)))
}

async fn read_body(endpoint: Endpoint, mut response: Response) -> Result<Vec<u8>, ApiError> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| describe(endpoint, &error))? {
        if body.len() + chunk.len() > LARGEST_ANSWER {
            return Err(ApiError::unexpected(endpoint, "it is larger than 32 MiB"));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// The kind of failure, without the URL: that carries the token.
fn describe(endpoint: Endpoint, error: &reqwest::Error) -> ApiError {
    let what = if error.is_timeout() {
        "no answer in time"
    } else if error.is_connect() {
        NO_CONNECTION
    } else if error.is_decode() || error.is_body() {
        "the answer broke off"
    } else {
        "the connection broke"
    };
    ApiError::transport(endpoint, what)
}
