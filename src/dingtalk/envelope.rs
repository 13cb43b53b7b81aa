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
    #[serde(default, deserialize_with = "lenient::text")]
    sub_code: Option<String>,
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
    let (code, class) = match errcode {
        88 => enveloped(endpoint, head, errmsg, text),
        plain => (Code::Number(plain), classify_number(endpoint, plain, text)),
    };
    let mut error = ApiError::refused(endpoint, class, code, text);
    if class == Class::Throttle(Throttle::Platform) {
        error.retry_after = platform_pause(text, now);
    }
    error
}

/// 88 alone says nothing: a bad token, a missing permission, an unlisted address and a throttle all come in it. Whatever
/// is not known of it is the gateway's trouble (`isp.…`, `errors.md §4.1`), never the object's.
fn enveloped(endpoint: Endpoint, head: &Head, errmsg: &str, text: &str) -> (Code, Class) {
    let sub_code = head.sub_code.as_deref().map(str::trim);
    match sub_code.and_then(|code| code.parse().ok()).or_else(|| subcode_in(errmsg)) {
        Some(number) => match classify_number(endpoint, number, text) {
            Class::Unexpected => (Code::Number(number), Class::Retry),
            class => (Code::Number(number), class),
        },
        None => (sub_code.map_or(Code::Number(88), |word| Code::Word(word.to_owned())), Class::Retry),
    }
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

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::endpoint::{DEPARTMENT, MEMBERS, PERSON, ROLE, ROLES, SCOPES, TOKEN, TOKEN_LEGACY};
    use super::super::error::Denied;
    use super::*;

    const ADDRESS: Class = Class::Throttle(Throttle::Address);
    const APPLICATION: Class = Class::Throttle(Throttle::Application);
    const PLATFORM: Class = Class::Throttle(Throttle::Platform);
    const QUOTA: Class = Class::Throttle(Throttle::MonthlyQuota);
    const POINT: Class = Class::Denied(Denied::PermissionPoint);

    fn refused(endpoint: Endpoint, status: u16, body: &str) -> ApiError {
        let status = StatusCode::from_u16(status).unwrap();
        let outcome =
            open::<Value>(endpoint, Payload::TopLevel, status, body.as_bytes(), Timestamp::UNIX_EPOCH);
        outcome.expect_err(body)
    }

    fn class(endpoint: Endpoint, status: u16, body: &Value) -> Class {
        refused(endpoint, status, &body.to_string()).class
    }

    #[test]
    fn numbers_mean_what_the_tables_say() {
        for (endpoint, code, expected) in [
            (PERSON, -1, Class::Retry),
            (PERSON, 15, Class::Retry),
            (ROLES, 1002, Class::Retry),
            (PERSON, 1002, Class::BadRequest),
            (PERSON, 22, Class::UnknownMethod),
            (SCOPES, 404, Class::UnknownMethod),
            (PERSON, 40_014, Class::RefreshToken),
            (PERSON, 42_001, Class::RefreshToken),
            (PERSON, 40_001, Class::RefreshToken),
            (TOKEN_LEGACY, 40_001, Class::Credentials),
            (TOKEN_LEGACY, 40_096, Class::Credentials),
            (TOKEN_LEGACY, 40_035, Class::Credentials),
            (PERSON, 60_011, POINT),
            (PERSON, 60_020, Class::Denied(Denied::Address)),
            (PERSON, 50_003, Class::Denied(Denied::Disabled)),
            (PERSON, 50_002, Class::Hidden),
            (DEPARTMENT, 50_004, Class::Hidden),
            (PERSON, 90_018, APPLICATION),
            (PERSON, 90_002, PLATFORM),
            (PERSON, 90_003, Class::Throttle(Throttle::Organisation)),
            (PERSON, 90_001, ADDRESS),
            (SCOPES, 90_020, QUOTA),
            (PERSON, 60_121, Class::Gone),
            (PERSON, 33_012, Class::Gone),
            (DEPARTMENT, 60_003, Class::Gone),
            (DEPARTMENT, 40_009, Class::Gone),
            (ROLE, 33_011, Class::Gone),
            // Only its own kind of object can be gone.
            (PERSON, 60_003, Class::BadRequest),
            (DEPARTMENT, 60_121, Class::BadRequest),
            (MEMBERS, 60_019, Class::BadRequest),
            (PERSON, 400_002, Class::BadRequest),
            (PERSON, 123_456, Class::Unexpected),
        ] {
            let bare = json!({ "errcode": code, "errmsg": "x" });
            assert_eq!(class(endpoint, 200, &bare), expected, "{code} of {endpoint}");
            let as_text = json!({ "errcode": code.to_string() });
            assert_eq!(class(endpoint, 200, &as_text), expected, "{code} of {endpoint} as a text");
        }
    }

    #[test]
    fn an_envelope_of_88_is_opened_and_never_taken_for_a_throttle() {
        for (body, expected) in [
            (json!({ "errcode": 88, "sub_code": "40014", "sub_msg": "x" }), Class::RefreshToken),
            (json!({ "errcode": 88, "sub_code": 60011 }), POINT),
            (json!({ "errcode": 88, "sub_code": "90018" }), APPLICATION),
            (
                json!({ "errcode": "88", "errmsg": "ding talk error[subcode=60020,submsg=x]" }),
                Class::Denied(Denied::Address),
            ),
            (json!({ "errcode": 88, "sub_code": "isp.service-error", "sub_msg": "x" }), Class::Retry),
            (json!({ "errcode": 88, "sub_code": "987654" }), Class::Retry),
            (json!({ "errcode": 88, "errmsg": "x" }), Class::Retry),
        ] {
            assert_eq!(class(PERSON, 200, &body), expected, "{body}");
        }
    }

    #[test]
    fn words_of_the_newer_host_are_told_apart_by_more_than_their_status() {
        for (status, word, expected) in [
            (400, "InvalidAuthentication", Class::RefreshToken),
            (401, "anything", Class::RefreshToken),
            (400, "invalidClientIdOrSecret", Class::Credentials),
            (403, "Forbidden.AccessDenied.QpsLimitForAppkeyAndApi", APPLICATION),
            (403, "Forbidden.AccessDenied.QpsLimitForApi", PLATFORM),
            (403, "Forbidden.AccessDenied.ApiCountLimitForOrg", QUOTA),
            (403, "Forbidden.AccessDenied.AccessTokenPermissionDenied", POINT),
            (403, "Forbidden.AccessDenied.IpNotInWhiteList", Class::Denied(Denied::Address)),
            (404, "InvalidAction.NotFound", Class::UnknownMethod),
            (429, "system.busy", APPLICATION),
            (500, "unknownError", Class::Retry),
            (400, "parameter.error", Class::BadRequest),
        ] {
            let body = json!({ "code": word, "message": "m", "requestid": "r" });
            assert_eq!(class(TOKEN, status, &body), expected, "{status} {word}");
        }
    }

    #[test]
    fn answers_that_are_no_json_are_a_gateway_s_a_ban_s_or_a_missing_path_s() {
        for (status, body, expected) in [
            (502, "<html>Bad Gateway</html>", Class::Retry),
            (503, "", Class::Retry),
            (200, "<!DOCTYPE html><html>您的访问被阻断</html>", ADDRESS),
            (405, "<!doctype html>", ADDRESS),
            (404, "<html>Not Found</html>", Class::UnknownMethod),
            (200, "{\"status\":1111,\"wait\":5,\"source\":\"x5\",\"punish\":\"deny\"}", ADDRESS),
            (200, "{\"errco", Class::Retry),
            (200, "{}", Class::Unexpected),
        ] {
            assert_eq!(refused(PERSON, status, body).class, expected, "{status} {body}");
        }
    }

    #[test]
    fn a_platform_wide_throttle_lasts_until_the_time_that_it_names() {
        let now: Timestamp = "2030-01-01T19:00:01Z".parse().unwrap();
        let text = "请求总次数超过 1200 次, 限制将在 2030-01-02 03:00:05 结束.";
        let body = json!({ "errcode": 90_002, "errmsg": text }).to_string();
        let outcome = open::<Value>(PERSON, Payload::Result, StatusCode::OK, body.as_bytes(), now);
        assert_eq!(outcome.unwrap_err().retry_after, Some(std::time::Duration::from_secs(4)));
    }

    #[test]
    fn missing_permission_points_are_named() {
        let text = "应用尚未开通所需的权限：[qyapi_get_member], {requiredScopes=[qyapi_get_member, qyapi_x]}";
        let error =
            refused(PERSON, 200, &json!({ "errcode": 88, "sub_code": "60011", "sub_msg": text }).to_string());
        assert_eq!(error.refusal.unwrap().required_scopes, ["qyapi_get_member", "qyapi_x"]);
    }
}
