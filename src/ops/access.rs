//! Who may use the API: anybody on this machine may read; everything else needs a token.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Json;
use axum::extract::{ConnectInfo, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use serde_json::json;

use super::Shared;
use crate::config::OpsToken;
use crate::secret::equal_in_constant_time;

/// Lets readers through.
pub(super) async fn may_read(State(shared): State<Arc<Shared>>, request: Request, next: Next) -> Response {
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|ConnectInfo(peer)| peer.ip());
    let is_local = peer.is_some_and(|address| address.to_canonical().is_loopback());
    if is_local || bearer_has_scope(&shared.ops.tokens, request.headers(), "read") {
        return next.run(request).await;
    }
    let help = json!({ "error": "send a token with the scope `read`: Authorization: Bearer …" });
    (StatusCode::UNAUTHORIZED, [(header::WWW_AUTHENTICATE, "Bearer")], Json(help)).into_response()
}

/// All tokens are compared, so that the time tells nothing about which one is close.
fn bearer_has_scope(tokens: &[OpsToken], headers: &HeaderMap, scope: &str) -> bool {
    let sent = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let Some(sent) = sent.and_then(|value| value.strip_prefix("Bearer ")) else { return false };
    tokens.iter().fold(false, |allowed, token| {
        let same = token.token.with(|known| equal_in_constant_time(known.as_bytes(), sent.as_bytes()));
        allowed | (same & token.scopes.iter().any(|granted| granted == scope))
    })
}
