//! From an HTTP answer to a result or a classified refusal (`errors.md §1`).

use jiff::Timestamp;
use reqwest::StatusCode;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use super::endpoint::{Endpoint, Family};
use super::error::{ApiError, Class, Code, Throttle, classify_number, classify_word, platform_pause};
use super::lenient;

/// The fields in which an answer says how it went.
#[derive(Debug, Default, Deserialize)]
struct Head {
    #[serde(default, deserialize_with = "lenient::integer")]
    errcode: Option<i64>,
    #[serde(default, deserialize_with = "lenient::text")]
    errmsg: Option<String>,
    #[serde(default, deserialize_with = "lenient::integer")]
    sub_code: Option<i64>,
    #[serde(default, deserialize_with = "lenient::text")]
    sub_msg: Option<String>,
    /// 1111 when this address is banned.
    #[serde(default, deserialize_with = "lenient::integer")]
    status: Option<i64>,
    #[serde(default, deserialize_with = "lenient::text")]
    code: Option<String>,
    #[serde(default, deserialize_with = "lenient::text")]
    message: Option<String>,
}

/// Where an answer keeps what was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Payload {
    /// Under `result`.
    Result,
    /// Beside `errcode`: `auth/scopes`, `getrole`, `getrolegroup`, tokens.
    TopLevel,
}

#[derive(Deserialize)]
struct Answer {
    result: Option<Box<RawValue>>,
}

/// How an HTTP answer went, and its content.
pub(super) fn open<T: DeserializeOwned>(
    endpoint: Endpoint,
    payload: Payload,
    status: StatusCode,
    body: &[u8],
    now: Timestamp,
) -> Result<T, ApiError> {
    let Ok(head) = lenient::from_slice::<Head>(body) else {
        return Err(unreadable(endpoint, status, body));
    };
    refusal(endpoint, status, &head, now)?;
    let content = match payload {
        Payload::TopLevel => lenient::from_slice(body),
        Payload::Result => lenient::from_slice::<Answer>(body).and_then(|answer| match answer.result {
            Some(result) => lenient::from_slice(result.get().as_bytes()),
            None => lenient::from_slice(b"null"),
        }),
    };
    content.map_err(|_| ApiError::unexpected(endpoint, "the result is not of the documented form"))
}

fn refusal(endpoint: Endpoint, status: StatusCode, head: &Head, now: Timestamp) -> Result<(), ApiError> {
    if head.status == Some(1111) && head.errcode.is_none() {
        return Err(ApiError::new(endpoint, Class::Throttle(Throttle::Address)));
    }
    if let Some(word) = &head.code {
        let class = classify_word(status.as_u16(), word);
        let text = head.message.as_deref().unwrap_or_default();
        return Err(ApiError::refused(endpoint, class, Code::Word(word.clone()), text));
    }
    match head.errcode {
        Some(0) => Ok(()),
        Some(errcode) => Err(numbered(endpoint, errcode, head, now)),
        None if status.is_server_error() => Err(ApiError::transport(endpoint, "a gateway's error page")),
        None if status.is_client_error() => Err(ApiError::new(endpoint, classify_word(status.as_u16(), ""))),
        // The v1.0 host sends no errcode on success; on the legacy host a missing one is never a success.
        None if matches!(endpoint.family, Family::V1 | Family::Token) => Ok(()),
        None => Err(ApiError::unexpected(endpoint, "there is no errcode in it")),
    }
}

fn numbered(endpoint: Endpoint, errcode: i64, head: &Head, now: Timestamp) -> ApiError {
    let errmsg = head.errmsg.as_deref().unwrap_or_default();
    let text = head.sub_msg.as_deref().unwrap_or(errmsg);
    // 88 alone says nothing: a bad token, a missing permission, an unlisted address and a throttle all come in it.
    let effective = match errcode {
        88 => head.sub_code.or_else(|| subcode_in(errmsg)).unwrap_or(88),
        other => other,
    };
    let class = classify_number(endpoint, effective, text);
    let mut error = ApiError::refused(endpoint, class, Code::Number(effective), text);
    if class == Class::Throttle(Throttle::Platform) {
        error.retry_after = platform_pause(text, now);
    }
    error
}

/// Bodies without the structured field were seen: `ding talk error[subcode=40014,submsg=…]`.
fn subcode_in(errmsg: &str) -> Option<i64> {
    let (_, rest) = errmsg.split_once("subcode=")?;
    let digits = rest.find(|character: char| !character.is_ascii_digit()).unwrap_or(rest.len());
    rest[..digits].parse().ok()
}

/// An answer that is no JSON: an error page of a gateway, the page for a path that is not there, or the page that a banned
/// address gets. All are HTML; the status tells the first two.
fn unreadable(endpoint: Endpoint, status: StatusCode, body: &[u8]) -> ApiError {
    if status.is_server_error() {
        return ApiError::transport(endpoint, "a gateway's error page");
    }
    if status == StatusCode::NOT_FOUND {
        return ApiError::new(endpoint, Class::UnknownMethod);
    }
    let start = String::from_utf8_lossy(&body[..body.len().min(512)]).trim_start().to_ascii_lowercase();
    if start.starts_with('<') {
        return ApiError {
            transport: Some("an HTML page in place of an answer"),
            ..ApiError::new(endpoint, Class::Throttle(Throttle::Address))
        };
    }
    match status {
        StatusCode::METHOD_NOT_ALLOWED => ApiError::new(endpoint, Class::UnknownMethod),
        StatusCode::TOO_MANY_REQUESTS => ApiError::new(endpoint, Class::Throttle(Throttle::Application)),
        _ => ApiError::transport(endpoint, "an answer that is not JSON"),
    }
}
