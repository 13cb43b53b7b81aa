//! The answer to a push: right to the letter, or no answer at all (`events.md §2.3`).

use serde_json::Value;
use thiserror::Error;

use crate::dingtalk::crypto::{AesKey, DecryptError, decrypt, signature};

/// Why a push counts as failed.
#[derive(Debug, Error, Clone, PartialEq, Eq)]
pub enum PushFailure {
    /// No connection, or it broke.
    #[error("no connection: {0}")]
    Unreachable(String),
    /// No answer in time.
    #[error("no answer in time")]
    Late,
    /// Another status than 200.
    #[error("HTTP status {0}")]
    Status(u16),
    /// The body is not a JSON object.
    #[error("the body is not a JSON object")]
    NotJson,
    /// A key is missing, miswritten or not a text.
    #[error("the key {0:?} is missing or is not a text")]
    Key(&'static str),
    /// The time is too short to be one: DingTalk was seen to refuse three digits.
    #[error("timeStamp is not a time")]
    TimeStamp,
    /// The signature does not cover what was sent.
    #[error("the signature is wrong")]
    Signature,
    /// It cannot be decrypted.
    #[error("it cannot be decrypted: {0}")]
    Decrypt(#[from] DecryptError),
    /// The owner key is not that of the request.
    #[error("the owner key is another one than the request's")]
    Owner,
    /// The plaintext is not `success`.
    #[error("the plaintext is not `success`")]
    Plaintext,
}

impl PushFailure {
    /// A short name to count it under.
    pub fn label(&self) -> &'static str {
        match self {
            Self::Unreachable(_) => "unreachable",
            Self::Late => "late",
            Self::Status(_) => "status",
            Self::NotJson => "not_json",
            Self::Key(_) => "key",
            Self::TimeStamp => "timestamp",
            Self::Signature => "signature",
            Self::Decrypt(_) => "decrypt",
            Self::Owner => "owner",
            Self::Plaintext => "plaintext",
        }
    }
}

/// Checks a reply as DingTalk does: four texts under exactly these keys, a signature over just them, and `success`
/// under the owner key of the request.
pub(crate) fn check(
    status: u16,
    body: &[u8],
    token: &str,
    aes_key: &AesKey,
    owner: &str,
) -> Result<(), PushFailure> {
    if status != 200 {
        return Err(PushFailure::Status(status));
    }
    let Ok(Value::Object(reply)) = serde_json::from_slice(body) else {
        return Err(PushFailure::NotJson);
    };
    let text = |key: &'static str| reply.get(key).and_then(Value::as_str).ok_or(PushFailure::Key(key));
    let (signed, timestamp) = (text("msg_signature")?, text("timeStamp")?);
    let (nonce, encrypt) = (text("nonce")?, text("encrypt")?);
    if timestamp.len() < 10 || !timestamp.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(PushFailure::TimeStamp);
    }
    if signature(token, timestamp, nonce, encrypt) != signed {
        return Err(PushFailure::Signature);
    }
    let frame = decrypt(aes_key, encrypt)?;
    if frame.owner_key != owner.as_bytes() {
        return Err(PushFailure::Owner);
    }
    if frame.message != "success" {
        return Err(PushFailure::Plaintext);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::dingtalk::crypto::encrypt;

    fn reply(message: &str, owner: &str) -> Value {
        let key = AesKey::parse(&"a".repeat(43)).unwrap();
        let body = encrypt(&key, [3; 16], message, owner.as_bytes());
        let signed = signature("tok", "1767225600456", "n", &body);
        json!({"msg_signature": signed, "timeStamp": "1767225600456", "nonce": "n", "encrypt": body})
    }

    fn verdict(status: u16, body: &Value) -> Result<(), PushFailure> {
        let key = AesKey::parse(&"a".repeat(43)).unwrap();
        check(status, body.to_string().as_bytes(), "tok", &key, "owner")
    }

    #[test]
    fn only_the_exact_answer_is_accepted() {
        let good = reply("success", "owner");
        assert_eq!(verdict(200, &good), Ok(()));
        assert_eq!(verdict(201, &good), Err(PushFailure::Status(201)));
        assert_eq!(verdict(200, &json!([])), Err(PushFailure::NotJson));
        assert_eq!(verdict(200, &reply("Success", "owner")), Err(PushFailure::Plaintext));
        assert_eq!(verdict(200, &reply("success", "other")), Err(PushFailure::Owner));

        let mut misspelt = good.clone();
        misspelt["timestamp"] = misspelt["timeStamp"].take();
        assert_eq!(verdict(200, &misspelt), Err(PushFailure::Key("timeStamp")));
        let mut number = good.clone();
        number["timeStamp"] = json!(1_767_225_600_456_i64);
        assert_eq!(verdict(200, &number), Err(PushFailure::Key("timeStamp")));
        let mut short = good.clone();
        short["timeStamp"] = json!("456");
        assert_eq!(verdict(200, &short), Err(PushFailure::TimeStamp));
        let mut forged = good;
        forged["nonce"] = json!("m");
        assert_eq!(verdict(200, &forged), Err(PushFailure::Signature));
    }
}
