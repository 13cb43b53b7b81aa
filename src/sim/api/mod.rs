//! DingTalk's API: one door for both hosts, with everything that can go wrong in front of the methods.

mod callback;
mod department;
mod endpoint;
mod envelope;
mod leavers;
mod oauth;
mod request;
pub(super) mod robot;
mod role;
mod scopes;
mod trouble;
mod user;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{ConnectInfo, State};
use axum::http::{HeaderValue, Method, Request, Response, header};

use self::endpoint::{Action, Call, Endpoint, Verb};
use self::envelope::{Family, Payload, Refusal};
use self::request::Params;
use self::trouble::Met;
use super::app::App;
use super::faults::Faults;
use super::state::Shared;
use super::sync::{lock, read};
use super::time::http_date;
use crate::http::read_body;

const BODY_LIMIT: usize = 1 << 20;
const BODY_DEADLINE: Duration = Duration::from_secs(30);

/// The header that carries the token to the modern host.
const MODERN_TOKEN: &str = "x-acs-dingtalk-access-token";

/// Answers any call of the API.
pub(crate) async fn serve(
    State(shared): State<Arc<Shared>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    request: Request<Body>,
) -> Response<Body> {
    let path = request.uri().path().to_owned();
    let found = endpoint::find(&path);
    let name = found.map_or(path.as_str(), |endpoint| endpoint.path);
    lock(&shared.calls).arrived(name, tokio::time::Instant::now());
    let faults = shared.faults();
    let mut response = match trouble::meet(&shared, &faults, name, peer.ip()).await {
        Met::Nothing => {
            let outcome = answer(&shared, &faults, peer, found, &path, request).await;
            let request_id = shared.dice.request_id();
            let family = Family::of(&path);
            match outcome {
                Ok(payload) => {
                    shared.count_end(name, "ok");
                    envelope::success(family, &payload, &request_id)
                }
                Err(refusal) => {
                    shared.count_end(name, &refusal.label());
                    envelope::failure(family, &refusal, &request_id, faults.variants)
                }
            }
        }
        Met::Answer { label, response } => {
            shared.count_end(name, label);
            response
        }
        Met::Busy => {
            shared.count_end(name, "-1");
            envelope::failure(Family::of(&path), &Refusal::Busy, &shared.dice.request_id(), faults.variants)
        }
        Met::Hang => {
            shared.count_end(name, "hang");
            // The server drops this future when the client goes away.
            shared.stop.cancelled().await;
            trouble::broken()
        }
    };
    if let Ok(date) = HeaderValue::from_str(&http_date(shared.clock.now_ms())) {
        response.headers_mut().insert(header::DATE, date);
    }
    response
}

async fn answer(
    shared: &Shared,
    faults: &Faults,
    peer: SocketAddr,
    found: Option<&'static Endpoint>,
    path: &str,
    request: Request<Body>,
) -> Result<Payload, Refusal> {
    let unknown = || Refusal::UnknownMethod { path: path.to_owned() };
    let endpoint = found.ok_or_else(unknown)?;
    if faults.unknown_methods.contains(endpoint.path) {
        return Err(unknown());
    }
    let (parts, body) = request.into_parts();
    check_verb(endpoint, &parts.method)?;
    let query = Params::from_form(parts.uri.query().unwrap_or_default().as_bytes());
    let header = |name: &str| {
        let value = parts.headers.get(name);
        value.and_then(|value| value.to_str().ok()).unwrap_or_default()
    };
    let body = read_body(body, BODY_LIMIT, BODY_DEADLINE)
        .await
        .map_err(|error| Refusal::parameter(&error.to_string()))?;
    let content_type = header("content-type").to_ascii_lowercase();
    let sent = Params::from_body(&content_type, &body);
    let app = if endpoint.wants_token() {
        let token = match endpoint.family() {
            Family::Modern => header(MODERN_TOKEN).to_owned(),
            Family::Topapi | Family::Classic => oapi_token(&query, &content_type, sent.as_ref().ok()),
        };
        Some(admit(shared, faults, peer, endpoint, &token)?)
    } else {
        throttle(shared, faults, "", endpoint)?;
        None
    };
    let params = match endpoint.verb {
        Verb::Get => query,
        Verb::Post => sent?,
    };
    match endpoint.action {
        Action::ClassicToken => oauth::classic(shared, faults, &params),
        Action::ModernToken => oauth::modern(shared, faults, &params),
        Action::UnifiedToken => {
            let corp = endpoint::unified_token_corp(path).unwrap_or_default();
            oauth::unified(shared, faults, corp, &params)
        }
        Action::Callback(administration) => callback::administer(shared, administration, &params).await,
        Action::Read(handler) => {
            let app = app.ok_or(Refusal::TokenMissing)?;
            let world = read(&shared.world);
            handler(&Call {
                app: &app,
                params: &params,
                view: shared.answer_view(&world, faults),
                faults,
                leavers: &world.leavers,
            })
        }
    }
}

/// The documents give codes 43001 and 43002 to a wrong HTTP method.
fn check_verb(endpoint: &Endpoint, method: &Method) -> Result<(), Refusal> {
    match (endpoint.verb, method) {
        (Verb::Get, &Method::GET) | (Verb::Post, &Method::POST) => Ok(()),
        (Verb::Get, _) => Err(Refusal::business(43_001, "需要GET请求")),
        (Verb::Post, _) => Err(Refusal::business(43_002, "需要POST请求")),
    }
}

/// The token in the query, or in a form; never in a header or a JSON body (`contacts-api.md §1`).
fn oapi_token(query: &Params, content_type: &str, sent: Option<&Params>) -> String {
    let form = sent.filter(|_| content_type.starts_with("application/x-www-form-urlencoded"));
    query
        .text("access_token")
        .or_else(|| form.and_then(|form| form.text("access_token")))
        .unwrap_or_default()
        .into_owned()
}

/// The gateway: token, address, rate, permission.
fn admit(
    shared: &Shared,
    faults: &Faults,
    peer: SocketAddr,
    endpoint: &'static Endpoint,
    token: &str,
) -> Result<App, Refusal> {
    if token.is_empty() {
        return Err(Refusal::TokenMissing);
    }
    let bearer = lock(&shared.tokens)
        .bearer(token, shared.clock.true_ms(), faults.token_life_ms)
        .ok_or(Refusal::TokenInvalid)?;
    let app = read(&shared.apps).get(&bearer.app_key).cloned().ok_or(Refusal::TokenInvalid)?;
    let addresses = app.settings.allowed_addresses.as_ref();
    if addresses.is_some_and(|allowed| !allowed.contains(&peer.ip())) {
        return Err(Refusal::Address { address: peer.ip().to_string(), app_key: app.key });
    }
    throttle(shared, faults, &app.key, endpoint)?;
    let granted = app.settings.permissions.contains(endpoint.permission)
        && (!faults.tokens_keep_rights || bearer.permissions.contains(endpoint.permission));
    if !granted {
        return Err(Refusal::Permission { point: endpoint.permission, app_key: app.key });
    }
    Ok(app)
}

fn throttle(
    shared: &Shared,
    faults: &Faults,
    app_key: &str,
    endpoint: &'static Endpoint,
) -> Result<(), Refusal> {
    let now = shared.clock.true_ms();
    if let Some(overload) = &faults.overload
        && overload.spell.lasts(now)
        && (overload.paths.is_empty() || overload.paths.contains(endpoint.path))
    {
        let skew = shared.clock.now_ms() - now;
        return Err(Refusal::Overload {
            path: endpoint.path.to_owned(),
            now: now + skew,
            until: overload.spell.end().unwrap_or(now + 1000) + skew,
        });
    }
    if endpoint.metered && faults.month_quota_used {
        return Err(Refusal::QuotaUsed);
    }
    let now = tokio::time::Instant::now();
    if lock(&shared.limits).admit(app_key, endpoint.path, shared.rate(), now) {
        Ok(())
    } else {
        Err(Refusal::TooOften { path: endpoint.path })
    }
}
