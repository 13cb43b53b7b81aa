//! Who may use the API: anybody on this machine may read; everything else needs a token with the scope.
//!
//! A page in a browser of this machine is on this machine, too. It can name this listener by a host of its own making
//! (DNS rebinding), and it can send simple requests without being allowed to see the answers. So what comes from this
//! machine must name a host that only this machine has, or one that is configured; whoever writes must send a token and
//! JSON, which a page of another origin cannot; and what says that it comes from a page is refused.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use axum::extract::{ConnectInfo, Request, State};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::Shared;
use super::api::Refusal;
use crate::config::OpsToken;
use crate::secret::equal_in_constant_time;

/// What a proxy adds to a request that it passes on.
const PASSED_ON: [&str; 5] = ["forwarded", "x-forwarded-for", "x-forwarded-host", "x-real-ip", "via"];

/// What a route asks for.
#[derive(Clone)]
pub(super) struct Gate {
    shared: Arc<Shared>,
    /// One of `config::TOKEN_SCOPES`.
    scope: &'static str,
}

impl Gate {
    pub(super) fn new(shared: &Arc<Shared>, scope: &'static str) -> Self {
        Self { shared: Arc::clone(shared), scope }
    }
}

/// Whoever sent a request, as the audit trail names him.
#[derive(Debug, Clone)]
pub(super) struct Who(pub(super) String);

/// Lets through who may.
pub(super) async fn admit(State(gate): State<Gate>, mut request: Request, next: Next) -> Response {
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|ConnectInfo(peer)| peer.ip());
    // What a proxy on this machine passes on comes from elsewhere.
    let is_passed_on = PASSED_ON.iter().any(|name| request.headers().contains_key(*name));
    let is_local = !is_passed_on && peer.is_some_and(|address| address.to_canonical().is_loopback());
    let ops = &gate.shared.ops;
    let who = judge(&gate, is_local, request.method(), request.headers(), &ops.tokens);
    match who {
        Err(refusal) => refusal.into_response(),
        Ok(_) if !ops.in_place.load(Ordering::Acquire) => {
            let text = "the database is not in place yet; the log says what it waits for";
            Refusal::new(StatusCode::SERVICE_UNAVAILABLE, text).into_response()
        }
        Ok(who) => {
            request.extensions_mut().insert(Who(who));
            next.run(request).await
        }
    }
}

/// Whether the request may go on, and in whose name.
fn judge(
    gate: &Gate,
    is_local: bool,
    method: &Method,
    headers: &HeaderMap,
    tokens: &[OpsToken],
) -> Result<String, Refusal> {
    let writes = method != Method::GET && method != Method::HEAD;
    let host = host_of(headers);
    let is_own_host = host.as_deref().is_some_and(|host| is_own_host(host, &gate.shared.ops.listen));
    let is_configured = host.is_some_and(|host| gate.shared.ops.hosts.contains(&host));
    if is_local && !is_own_host && !is_configured {
        return Err(Refusal::new(
            StatusCode::FORBIDDEN,
            "the header Host names another machine; ask 127.0.0.1, or list the name in ops.hosts",
        ));
    }
    if writes && headers.contains_key(header::ORIGIN) {
        let text = "requests of web pages are refused: the header Origin must not be there";
        return Err(Refusal::new(StatusCode::FORBIDDEN, text));
    }
    let who = match headers.get(header::AUTHORIZATION) {
        Some(sent) => {
            let sent = sent.to_str().ok().and_then(|value| value.split_once(' '));
            let sent = sent.filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
            let token = sent.and_then(|(_, sent)| known(tokens, sent.trim()));
            let Some(token) = token else {
                return Err(unauthorized("the token is none of ops.tokens".to_owned()));
            };
            let has_scope = token.scopes.iter().any(|granted| granted == gate.scope);
            if !has_scope && (writes || !(is_local && is_own_host)) {
                let text = format!(
                    "the token {} lacks the scope `{}`: add it to ops.tokens.{}.scopes",
                    token.name, gate.scope, token.name
                );
                return Err(Refusal::new(StatusCode::FORBIDDEN, text));
            }
            format!("token {}", token.name)
        }
        None if !writes && is_local && is_own_host => "this machine".to_owned(),
        None => {
            let text = format!("send a token with the scope `{}`: Authorization: Bearer …", gate.scope);
            return Err(unauthorized(text));
        }
    };
    if writes && !is_json(headers) {
        let text = "send JSON: Content-Type: application/json";
        return Err(Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, text));
    }
    Ok(who)
}

fn unauthorized(text: String) -> Refusal {
    Refusal::new(StatusCode::UNAUTHORIZED, text)
}

fn is_json(headers: &HeaderMap) -> bool {
    let sent = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    sent.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case("application/json")
}

/// The host that the request names, without its port, in small letters.
fn host_of(headers: &HeaderMap) -> Option<String> {
    let host = headers.get(header::HOST)?.to_str().ok()?;
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split_once(']')?.0,
        None => host.rsplit_once(':').map_or(host, |(name, _)| name),
    };
    Some(name.to_ascii_lowercase())
}

/// Whether `host` is a name that no other machine can have, or the address that is listened on.
fn is_own_host(host: &str, listen: &str) -> bool {
    let address: Option<IpAddr> = host.parse().ok();
    let listens_on = listen.rsplit_once(':').map(|(address, _)| address.trim_matches(['[', ']']));
    host == "localhost"
        || address.is_some_and(|address| address.to_canonical().is_loopback())
        || listens_on.is_some_and(|address| address.eq_ignore_ascii_case(host))
}

/// The token that was sent. All are compared, so that the time tells nothing about which one is close.
fn known<'a>(tokens: &'a [OpsToken], sent: &str) -> Option<&'a OpsToken> {
    let mut found = None;
    for token in tokens {
        if token.token.with(|known| equal_in_constant_time(known.as_bytes(), sent.as_bytes())) {
            found = Some(token);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_read_without_their_ports() {
        let host = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::HOST, text.parse().unwrap());
            host_of(&headers)
        };
        assert_eq!(host("LOCALHOST:8081").as_deref(), Some("localhost"));
        assert_eq!(host("[::1]:8081").as_deref(), Some("::1"));
        assert_eq!(host("127.0.0.1").as_deref(), Some("127.0.0.1"));
        assert_eq!(host_of(&HeaderMap::new()), None);
    }

    #[test]
    fn only_this_machine_s_own_names_are_its_own() {
        for host in ["localhost", "127.0.0.1", "127.8.8.8", "::1", "10.0.0.7"] {
            assert!(is_own_host(host, "10.0.0.7:8081"), "{host}");
        }
        for host in ["evil.example", "localhost.evil.example", "10.0.0.8", "127.0.0.1.evil.example", ""] {
            assert!(!is_own_host(host, "10.0.0.7:8081"), "{host}");
        }
        assert!(is_own_host("::1", "[::]:8081"));
    }
}
