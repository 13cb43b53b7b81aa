//! A group robot (自定义机器人): sends a text into a DingTalk group through its webhook.
//!
//! With 加签 each message is signed: HMAC-SHA256 with the secret as its key over `timestamp`, a newline and the secret, in
//! Base64; the timestamp is in milliseconds and within an hour of DingTalk's clock. A robot takes 20 messages a minute.
//! The answer is `{"errcode":0,"errmsg":"ok"}`; 310000 stands for whatever its security settings refuse.

use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use jiff::Timestamp;
use reqwest::redirect::Policy;
use serde::Deserialize;
use serde_json::json;
use sha2::Sha256;
use thiserror::Error;
use url::Url;

use super::transport::is_loopback;
use crate::secret::Secret;

const CONNECT_DEADLINE: Duration = Duration::from_secs(5);
const DEADLINE: Duration = Duration::from_secs(10);

/// Why a message did not get into the group. Says nothing of the webhook, which is a secret.
#[derive(Debug, Error, Clone, PartialEq, Eq)]
pub enum RobotError {
    /// The webhook is no URL: its file was changed.
    #[error("`robot_webhook` is no URL any more: copy it again from the robot's page in the group")]
    Webhook,
    /// No answer.
    #[error("the robot's webhook does not answer: {0}; look at the network and the proxy")]
    Unreachable(&'static str),
    /// The answer is not DingTalk's.
    #[error(
        "the robot's webhook answers with HTTP status {0} and without a code; look at what is in between"
    )]
    Unexpected(u16),
    /// DingTalk refuses the message.
    #[error("DingTalk refuses the robot's message with code {code}: {}", meaning(*code))]
    Refused {
        /// `errcode`
        code: i64,
    },
}

fn meaning(code: i64) -> &'static str {
    match code {
        310_000 => {
            "its security settings (安全设置) do not allow it. With 加签, copy `robot_secret` again; with keywords \
             (自定义关键词), let `dingsync` be one; with addresses, add the one of this machine"
        }
        130_101 | 410_100 => "too many messages in a minute; it is tried again",
        300_001 | 300_005 | 400_101 => {
            "it does not know the robot: copy `robot_webhook` again from the robot's page"
        }
        _ => "the robot's page in the group says more",
    }
}

/// The signature of a message sent at `timestamp`, in Base64.
fn signature(timestamp: i64, secret: &str) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("any length is a key");
    mac.update(format!("{timestamp}\n{secret}").as_bytes());
    BASE64_STANDARD.encode(mac.finalize().into_bytes())
}

/// One robot.
#[derive(Debug, Clone)]
pub struct Robot {
    webhook: Secret,
    secret: Option<Secret>,
}

#[derive(Deserialize)]
struct Answer {
    errcode: i64,
}

impl Robot {
    /// The robot behind `webhook`; without a `secret` its messages are not signed.
    pub fn new(webhook: Secret, secret: Option<Secret>) -> Self {
        Self { webhook, secret }
    }

    /// Sends a text.
    pub async fn send(&self, text: &str, now: Timestamp) -> Result<(), RobotError> {
        let mut url: Url = self.webhook.with(str::parse).map_err(|_| RobotError::Webhook)?;
        let mut builder = reqwest::Client::builder()
            .connect_timeout(CONNECT_DEADLINE)
            .timeout(DEADLINE)
            .redirect(Policy::none())
            .retry(reqwest::retry::never())
            .user_agent(concat!("dingsync/", env!("CARGO_PKG_VERSION")));
        if is_loopback(&url) {
            builder = builder.no_proxy();
        }
        let http =
            builder.build().map_err(|_| RobotError::Unreachable("the HTTP client cannot be set up"))?;
        if let Some(secret) = &self.secret {
            let timestamp = now.as_millisecond();
            let sign = secret.with(|secret| signature(timestamp, secret));
            url.query_pairs_mut().append_pair("timestamp", &timestamp.to_string()).append_pair("sign", &sign);
        }
        let body = json!({ "msgtype": "text", "text": { "content": text } });
        let response = http.post(url).json(&body).send().await.map_err(|error| describe(&error))?;
        let status = response.status().as_u16();
        let body = response.bytes().await.map_err(|error| describe(&error))?;
        match serde_json::from_slice::<Answer>(&body) {
            Ok(Answer { errcode: 0 }) => Ok(()),
            Ok(Answer { errcode }) => Err(RobotError::Refused { code: errcode }),
            Err(_) => Err(RobotError::Unexpected(status)),
        }
    }
}

/// The kind of failure, without the URL: that carries the token.
fn describe(error: &reqwest::Error) -> RobotError {
    RobotError::Unreachable(if error.is_timeout() {
        "no answer in time"
    } else if error.is_connect() {
        "no connection"
    } else {
        "the connection broke"
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_an_hmac_of_time_and_secret() {
        // python3: base64(hmac(b"SEC1", b"1767225600123\nSEC1", sha256))
        assert_eq!(signature(1_767_225_600_123, "SEC1"), "+TX83x4g3ljvF02wMrJLrzlh5rRrRkzpH+xFOlsWpqU=");
    }

    #[test]
    fn errors_do_not_name_the_webhook() {
        let robot = Robot::new(Secret::fixed("not a URL with token-123"), None);
        let sent = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime")
            .block_on(robot.send("x", Timestamp::UNIX_EPOCH));
        let error = sent.expect_err("no URL");
        assert!(!error.to_string().contains("token-123"), "{error}");
    }
}
