//! Pushes as DingTalk makes them, one at a time and with every part in the test's hand.

use std::collections::BTreeMap;

use dingsync::dingtalk::crypto::{AesKey, decrypt, encrypt, signature};
use dingsync::sim::Credentials;
use reqwest::header::CONTENT_TYPE;
use serde_json::{Value, json};
use url::Url;

/// Signs and encrypts for one callback URL.
pub(crate) struct Caller {
    url: Url,
    token: String,
    key: AesKey,
    owner: String,
    http: reqwest::Client,
}

/// A push that has not been sent.
#[derive(Clone)]
pub(crate) struct Push {
    pub(crate) query: Vec<(&'static str, String)>,
    pub(crate) body: Vec<u8>,
    pub(crate) content_type: Option<&'static str>,
}

impl Caller {
    /// With the first application's keys, under its own owner key.
    pub(crate) fn new(url: Url, credentials: &Credentials) -> Self {
        Self {
            url,
            token: credentials.callback_token.clone(),
            key: AesKey::parse(&credentials.callback_aes_key).expect("a key"),
            owner: credentials.app_key.clone(),
            http: reqwest::Client::builder().no_proxy().build().expect("a client"),
        }
    }

    pub(crate) fn owned_by(mut self, owner: &str) -> Self {
        owner.clone_into(&mut self.owner);
        self
    }

    pub(crate) fn with_keys(mut self, token: &str, aes_key: &str) -> Self {
        token.clone_into(&mut self.token);
        self.key = AesKey::parse(aes_key).expect("a key");
        self
    }

    pub(crate) fn sealed(&self, message: &str) -> String {
        encrypt(&self.key, *b"0123456789abcdef", message, self.owner.as_bytes())
    }

    /// A push of any ciphertext, signed as it has to be.
    pub(crate) fn signed(&self, ciphertext: &str) -> Push {
        let (timestamp, nonce) = ("1767225600123".to_owned(), "6clubcaE".to_owned());
        let signed = signature(&self.token, &timestamp, &nonce, ciphertext);
        Push {
            query: vec![("signature", signed), ("timestamp", timestamp), ("nonce", nonce)],
            body: json!({ "encrypt": ciphertext }).to_string().into_bytes(),
            content_type: Some("application/json"),
        }
    }

    pub(crate) fn message(&self, message: &str) -> Push {
        self.signed(&self.sealed(message))
    }

    /// Sends a push; brings the status and the body.
    pub(crate) async fn send(&self, push: &Push) -> (u16, String) {
        self.try_send(push).await.expect("an answer")
    }

    pub(crate) async fn try_send(&self, push: &Push) -> Result<(u16, String), reqwest::Error> {
        let mut request = self.http.post(self.url.clone()).query(&push.query).body(push.body.clone());
        if let Some(content_type) = push.content_type {
            request = request.header(CONTENT_TYPE, content_type);
        }
        let response = request.send().await?;
        Ok((response.status().as_u16(), response.text().await?))
    }

    /// Checks an answer to the letter: DingTalk takes no other.
    pub(crate) fn assert_success(&self, (status, body): &(u16, String)) {
        assert_eq!(*status, 200, "{body}");
        let reply: BTreeMap<String, Value> = serde_json::from_str(body).expect("JSON");
        let names: Vec<&str> = reply.keys().map(String::as_str).collect();
        assert_eq!(names, ["encrypt", "msg_signature", "nonce", "timeStamp"], "{body}");
        let text = |name: &str| reply[name].as_str().expect("all four are strings").to_owned();
        let (timestamp, nonce, encrypted) = (text("timeStamp"), text("nonce"), text("encrypt"));
        assert!(timestamp.len() == 13 && timestamp.parse::<u64>().is_ok(), "{timestamp}");
        assert!(!nonce.is_empty());
        assert_eq!(text("msg_signature"), signature(&self.token, &timestamp, &nonce, &encrypted));
        let frame = decrypt(&self.key, &encrypted).expect("readable with the key of the push");
        assert_eq!(frame.message, "success");
        assert_eq!(frame.owner_key, self.owner.as_bytes(), "the owner key is that of the push");
    }

    /// Pushes a message that has to be taken.
    pub(crate) async fn push(&self, message: &str) {
        let answer = self.send(&self.message(message)).await;
        self.assert_success(&answer);
    }
}
