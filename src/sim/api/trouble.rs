//! What a call can meet before DingTalk's programs see it.

use std::io;
use std::net::IpAddr;

use axum::body::{Body, Bytes};
use axum::http::{Response, StatusCode};
use serde_json::json;
use tokio::time::Instant;

use super::envelope::{html_response, json_response};
use crate::sim::faults::{BanForm, Faults};
use crate::sim::state::Shared;
use crate::sim::sync::lock;

/// What a call met on its way in.
#[derive(Debug)]
pub(super) enum Met {
    /// Nothing: it goes on.
    Nothing,
    /// An answer of something that is not the API, counted under `label`.
    Answer { label: &'static str, response: Response<Body> },
    /// System busy, in the shape of the path's family.
    Busy,
    /// No answer at all.
    Hang,
}

const BANNED_PAGE: &str = "<!DOCTYPE html><html><head><meta charset=\"utf-8\"><title>405</title></head><body>\
    <h1>很抱歉，由于您访问的URL有可能对网站造成安全威胁，您的访问被阻断。</h1></body></html>";

const GATEWAY_PAGE: &str = "<html>\r\n<head><title>Bad Gateway</title></head>\r\n<body><center><h1>Bad Gateway</h1></center></body>\r\n</html>";

/// Throws the dice for a call to `path`.
pub(super) async fn meet(shared: &Shared, faults: &Faults, path: &str, address: IpAddr) -> Met {
    let now = shared.clock.true_ms();
    if faults.away.is_some_and(|spell| spell.lasts(now)) {
        return closed("away");
    }
    if let Some(ban) = faults.ban.filter(|ban| ban.spell.lasts(now)) {
        return banned(shared, ban.form);
    }
    if let Some(most) = faults.address_calls_per_20s
        && !lock(&shared.limits).admit_address(address, most, Instant::now())
    {
        shared.ban();
        return banned(shared, BanForm::Html);
    }
    let dice = &shared.dice;
    let chances = faults.of_path(path);
    if dice.chance(chances.reset) {
        return closed("reset");
    }
    if dice.chance(chances.hang) {
        return Met::Hang;
    }
    if dice.chance(chances.slow) {
        tokio::time::sleep(dice.duration(chances.slow_ms)).await;
    }
    if dice.chance(chances.ban_page) {
        return banned(shared, BanForm::Html);
    }
    if dice.chance(chances.http) {
        let status = [StatusCode::BAD_GATEWAY, StatusCode::SERVICE_UNAVAILABLE, StatusCode::GATEWAY_TIMEOUT]
            [dice.below(3)];
        let page = if dice.chance(0.5) { GATEWAY_PAGE } else { "" };
        return Met::Answer { label: "http", response: html_response(status, page) };
    }
    if dice.chance(chances.busy) {
        return Met::Busy;
    }
    Met::Nothing
}

fn banned(shared: &Shared, form: BanForm) -> Met {
    let response = match form {
        BanForm::Html => html_response(StatusCode::METHOD_NOT_ALLOWED, BANNED_PAGE),
        BanForm::Json => {
            let body = json!({
                "status": 1111, "wait": 5, "source": "x5", "punish": "deny", "uuid": shared.dice.hex(32),
            });
            json_response(StatusCode::OK, body.to_string())
        }
    };
    Met::Answer { label: "ban", response }
}

fn closed(label: &'static str) -> Met {
    Met::Answer { label, response: broken() }
}

/// A body that breaks before its first byte: the server closes the connection without having answered.
pub(super) fn broken() -> Response<Body> {
    let broken =
        futures_util::stream::once(async { Err::<Bytes, io::Error>(io::ErrorKind::ConnectionReset.into()) });
    Response::new(Body::from_stream(broken))
}
