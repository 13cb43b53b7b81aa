//! The three ways to a token (`contacts-api.md §2`).

use serde_json::json;

use super::envelope::{Payload, Refusal};
use super::request::Params;
use crate::sim::app::App;
use crate::sim::faults::Faults;
use crate::sim::state::Shared;
use crate::sim::sync::{lock, read};
use crate::sim::token::LIFETIME_S;

/// `GET /gettoken`.
pub(super) fn classic(shared: &Shared, faults: &Faults, params: &Params) -> Result<Payload, Refusal> {
    if params.text("corpid").is_some() {
        // The old pair is the organisation's, which the simulator gives to nobody.
        return Err(Refusal::business(40_089, "不合法的corpid或corpsecret"));
    }
    let (Some(key), Some(secret)) = (params.text("appkey"), params.text("appsecret")) else {
        return Err(Refusal::business(40_035, "缺少参数 corpid or appkey"));
    };
    let app =
        find(shared, &key, &secret).ok_or_else(|| Refusal::business(40_096, "不合法的appKey或appSecret"))?;
    Ok(Payload::fields(json!({ "access_token": issue(shared, faults, &app), "expires_in": LIFETIME_S })))
}

/// `POST /v1.0/oauth2/accessToken`.
pub(super) fn modern(shared: &Shared, faults: &Faults, params: &Params) -> Result<Payload, Refusal> {
    let key = params.text("appKey").unwrap_or_default();
    let secret = params.text("appSecret").unwrap_or_default();
    let app = find(shared, &key, &secret).ok_or(Refusal::Modern {
        status: 400,
        code: "invalidClientIdOrSecret",
        message: "无效的clientId或者clientSecret",
    })?;
    Ok(Payload::Whole(json!({ "accessToken": issue(shared, faults, &app), "expireIn": LIFETIME_S })))
}

/// `POST /v1.0/oauth2/{corpId}/token`.
pub(super) fn unified(
    shared: &Shared,
    faults: &Faults,
    corp_id: &str,
    params: &Params,
) -> Result<Payload, Refusal> {
    let refused = |status, code, message| Refusal::Modern { status, code, message };
    if corp_id != shared.corp_id {
        return Err(refused(500, "unknownError", "未知错误"));
    }
    if params.text("grant_type").as_deref() != Some("client_credentials") {
        return Err(refused(400, "unsupported.grant.type", "不支持的grant_type"));
    }
    let id = params.text("client_id").unwrap_or_default();
    let secret = params.text("client_secret").unwrap_or_default();
    let app = find(shared, &id, &secret).ok_or(refused(400, "invalid.client", "无效的client"))?;
    Ok(Payload::Whole(json!({ "access_token": issue(shared, faults, &app), "expires_in": LIFETIME_S })))
}

fn find(shared: &Shared, key: &str, secret: &str) -> Option<App> {
    let apps = read(&shared.apps);
    apps.get(key).filter(|app| app.secret == secret).cloned()
}

fn issue(shared: &Shared, faults: &Faults, app: &App) -> String {
    let now = shared.clock.true_ms();
    lock(&shared.tokens).issue(app, now, faults.token_life_ms, || shared.dice.hex(32))
}
