//! The callback: the URL to paste into the console, and the same handshake that the console makes when it is saved.

use std::time::Duration;

use serde::Deserialize;
use url::Url;

use super::{Finding, Verdict};
use crate::clock::SharedClock;
use crate::config::Corp;
use crate::dingtalk::crypto::{AesKey, decrypt, encrypt, signature};
use crate::dingtalk::is_loopback;
use crate::random::Random;
use crate::secret::equal_in_constant_time;

const TOPIC: &str = "callback";
/// The console waits for 1.5 s (`events.md §2.1`); a little more shows what is slow.
const DEADLINE: Duration = Duration::from_secs(5);

/// What to paste into the console.
pub(super) fn describe(corp: &Corp) -> Finding {
    let path = format!("/dingtalk/{}/callback", corp.name);
    match &corp.callback {
        Some(_) => Finding::new(
            TOPIC,
            Verdict::Ok,
            format!("URL for the console: https://YOUR-PUBLIC-HOST{path}, with the token and the AES key of the configuration"),
        )
        .remedy("console → the application → 事件订阅 (Event subscription) → HTTP推送; start `dingsync serve` before you save the page"),
        None => Finding::new(
            TOPIC,
            Verdict::Note,
            "no callback_token and callback_aes_key: no callbacks are taken, changes are found by comparison alone",
        )
        .remedy("make both on the console's page 事件订阅 (Event subscription), HTTP推送"),
    }
}

#[derive(Deserialize)]
struct Reply {
    msg_signature: String,
    #[serde(rename = "timeStamp")]
    timestamp: String,
    nonce: String,
    encrypt: String,
}

/// Sends an encrypted `check_url` through `url` and checks the answer as DingTalk does.
pub(super) async fn send_check(corp: &Corp, url: &Url, clock: &SharedClock, random: &Random) -> Finding {
    match exchange(corp, url, clock, random).await {
        Ok(took) => Finding::new(
            TOPIC,
            Verdict::Ok,
            format!(
                "an encrypted check_url sent through {url} was answered rightly in {} ms",
                took.as_millis()
            ),
        ),
        Err((text, remedy)) => Finding::new(TOPIC, Verdict::Wrong, format!("{url}: {text}")).remedy(remedy),
    }
}

async fn exchange(
    corp: &Corp,
    url: &Url,
    clock: &SharedClock,
    random: &Random,
) -> Result<Duration, (String, &'static str)> {
    let Some(callback) = &corp.callback else {
        return Err((
            "the configuration has no callback keys to check with".to_owned(),
            "set callback_token and callback_aes_key",
        ));
    };
    let keys = &callback.current;
    let key =
        keys.aes_key.with(AesKey::parse).map_err(|error| (error.to_string(), "copy the AES key again"))?;
    let owner = corp.owner_keys.first().map(String::as_str).unwrap_or_default();
    let message = encrypt(&key, random.bytes(), r#"{"EventType":"check_url"}"#, owner.as_bytes());
    let (timestamp, nonce) = (clock.now().as_millisecond().to_string(), random.word(8));
    let signed = keys.token.with(|token| signature(token, &timestamp, &nonce, &message));
    let mut builder =
        reqwest::Client::builder().timeout(DEADLINE).redirect(reqwest::redirect::Policy::none());
    if is_loopback(url) {
        builder = builder.no_proxy();
    }
    let client = builder.build().map_err(|_| ("the HTTP client could not be set up".to_owned(), ""))?;
    let started = tokio::time::Instant::now();
    let request = client
        .post(url.clone())
        .query(&[
            ("msg_signature", signed.as_str()),
            ("signature", signed.as_str()),
            ("timestamp", timestamp.as_str()),
            ("nonce", nonce.as_str()),
        ])
        .json(&serde_json::json!({ "encrypt": message }));
    let response = request.send().await.map_err(|error| {
        let text = if error.is_timeout() { "no answer within 5 s" } else { "no connection" };
        (
            text.to_owned(),
            "start `dingsync serve`, and look at DNS, certificate, proxy and firewall on the way to it",
        )
    })?;
    let status = response.status();
    let body = response
        .bytes()
        .await
        .map_err(|_| ("the answer broke off".to_owned(), "look at the proxy on the way"))?;
    if !status.is_success() {
        let remedy = match status.as_u16() {
            300..=399 => "DingTalk does not follow redirects: give it the final URL",
            404 => "the path must be /dingtalk/NAME/callback with the name of the organisation's table",
            403 => {
                "the daemon runs with another token, AES key or owner key than this configuration: restart it"
            }
            503 => "the daemon cannot commit: look at its /readyz",
            _ => "look at the proxy on the way, and at the daemon's log",
        };
        return Err((format!("answered {status}"), remedy));
    }
    let not_ours = "something else answers under this URL, or the daemon runs with other keys";
    let reply: Reply = serde_json::from_slice(&body)
        .map_err(|_| ("the answer is not that of a callback".to_owned(), not_ours))?;
    let expected = keys.token.with(|token| signature(token, &reply.timestamp, &reply.nonce, &reply.encrypt));
    let frame = decrypt(&key, &reply.encrypt)
        .map_err(|error| (format!("the answer cannot be decrypted: {error}"), not_ours))?;
    let right = equal_in_constant_time(expected.as_bytes(), reply.msg_signature.as_bytes())
        && frame.message == "success"
        && frame.owner_key == owner.as_bytes();
    if right { Ok(started.elapsed()) } else { Err(("the answer is not `success`".to_owned(), not_ours)) }
}
