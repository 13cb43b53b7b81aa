//! Answers and refusals in the shapes of the three families (`errors.md §1`).

use axum::body::{Body, Bytes};
use axum::http::{HeaderValue, Response, StatusCode, header};
use serde::Serialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use crate::sim::faults::{GatewayErrors, Variants};
use crate::sim::time::shanghai;

/// Which part of DingTalk a path belongs to; it decides on the shape of errors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Family {
    /// `/topapi/…`: gateway errors wrapped in 88.
    Topapi,
    /// The older calls on the same host: everything flat.
    Classic,
    /// `/v1.0/…`: HTTP status and a code of letters.
    Modern,
}

impl Family {
    /// The family of any path, known or not.
    pub(crate) fn of(path: &str) -> Self {
        if path.starts_with("/topapi/") {
            Self::Topapi
        } else if path.starts_with("/v1.0/") {
            Self::Modern
        } else {
            Self::Classic
        }
    }
}

/// What a call gives when all is well.
#[derive(Debug)]
pub(crate) enum Payload {
    /// Under `result`.
    Result(Box<RawValue>),
    /// Next to `errcode`.
    Fields(Map<String, Value>),
    /// The whole body; for the modern family.
    Whole(Value),
}

impl Payload {
    /// Something under `result`.
    pub(crate) fn result<T: Serialize>(value: &T) -> Result<Self, Refusal> {
        match serde_json::value::to_raw_value(value) {
            Ok(raw) => Ok(Self::Result(raw)),
            Err(error) => {
                tracing::error!(%error, "an answer could not be written");
                Err(Refusal::Busy)
            }
        }
    }

    /// Fields next to `errcode`.
    pub(crate) fn fields(value: Value) -> Self {
        match value {
            Value::Object(fields) => Self::Fields(fields),
            other => Self::Fields(Map::from_iter([("result".to_owned(), other)])),
        }
    }
}

/// Why a call is refused. Which body that makes depends on the family.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// No token.
    TokenMissing,
    /// A wrong token, or a dead one.
    TokenInvalid,
    /// The application lacks a permission point.
    Permission { point: &'static str, app_key: String },
    /// The caller's address is not on the application's list.
    Address { address: String, app_key: String },
    /// Too many calls of this application to this path.
    TooOften { path: &'static str },
    /// Too many calls of everybody to this path; until when, milliseconds UTC.
    Overload { path: String, now: i64, until: i64 },
    /// The organisation's allowance of the month is used up.
    QuotaUsed,
    /// System busy.
    Busy,
    /// There is no such method.
    UnknownMethod { path: String },
    /// An error of the method itself.
    Business { code: i64, message: String },
    /// An error of a modern method itself.
    Modern { status: u16, code: &'static str, message: &'static str },
}

impl Refusal {
    pub(crate) fn business(code: i64, message: impl Into<String>) -> Self {
        Self::Business { code, message: message.into() }
    }

    pub(crate) fn missing(name: &str) -> Self {
        Self::business(40_035, format!("缺少参数 {name}"))
    }

    pub(crate) fn parameter(message: &str) -> Self {
        Self::business(40_035, format!("不合法的参数: {message}"))
    }

    pub(crate) fn no_department() -> Self {
        Self::business(60_003, "部门不存在")
    }

    pub(crate) fn no_person(variants: Variants) -> Self {
        Self::business(variants.unknown_person_code, "找不到该用户")
    }

    /// `contacts-api.md §3`.
    pub(crate) fn hidden_department() -> Self {
        Self::business(50_004, "请求的部门id不在授权范围内")
    }

    /// `contacts-api.md §3`.
    pub(crate) fn hidden_person() -> Self {
        Self::business(50_002, "请求的员工userid不在授权范围内")
    }

    /// The effective error code, or the name of what happened: what calls are counted under.
    pub(crate) fn label(&self) -> String {
        match self {
            Self::Modern { code, .. } => (*code).to_owned(),
            other => other.code().to_string(),
        }
    }

    fn code(&self) -> i64 {
        match self {
            Self::TokenMissing => 40_000,
            Self::TokenInvalid => 40_014,
            Self::Permission { .. } => 60_011,
            Self::Address { .. } => 60_020,
            Self::TooOften { .. } => 90_018,
            Self::Overload { .. } => 90_002,
            Self::QuotaUsed => 90_020,
            Self::Busy | Self::Modern { .. } => -1,
            Self::UnknownMethod { .. } => 22,
            Self::Business { code, .. } => *code,
        }
    }

    fn message(&self) -> String {
        match self {
            Self::TokenMissing => "access_token is blank".to_owned(),
            Self::TokenInvalid => "不合法的access_token".to_owned(),
            Self::Permission { point, app_key } => format!(
                "应用尚未开通所需的权限：[{point}]，点击链接申请并开通即可：\
                 https://open-dev.dingtalk.com/appscope/apply?content={app_key}%23{point}, {{requiredScopes=[{point}]}}"
            ),
            Self::Address { address, app_key } => {
                format!("访问ip不在白名单之中,request ip={address} appKey({app_key})")
            }
            Self::TooOften { path } => {
                format!("您的应用调用该接口的频率过高,触发qps流控, apiPath({})", method_name(path))
            }
            Self::Overload { path, now, until } => format!(
                "您的服务器调用钉钉开放平台所有接口的请求总次数超出了该接口承受的最大qps, apiPath({}), 从 {now} 到 {now} \
                 请求总次数超过 1200 次, 限制将在 {} 结束.",
                method_name(path),
                // The text has whole seconds: the end is the second after the last one that is still refused.
                shanghai(until + 999),
                now = shanghai(*now),
            ),
            Self::QuotaUsed => {
                "您的企业本月api调用量已超过限制,调用量:5001次,额度:5000次,请购买专业版或等待下月".to_owned()
            }
            Self::Busy => "系统繁忙".to_owned(),
            Self::UnknownMethod { path } => format!("不合法ApiName，ApiName = {}", method_name(path)),
            Self::Business { message, .. } => message.clone(),
            Self::Modern { message, .. } => (*message).to_owned(),
        }
    }

    /// Whether the gateway refuses, before the method is reached.
    fn is_of_gateway(&self) -> bool {
        matches!(
            self,
            Self::TokenMissing
                | Self::TokenInvalid
                | Self::Permission { .. }
                | Self::Address { .. }
                | Self::TooOften { .. }
                | Self::Overload { .. }
        )
    }
}

/// `dingtalk.oapi.v2.user.list` for `/topapi/v2/user/list`; classic paths stand for themselves.
fn method_name(path: &str) -> String {
    path.strip_prefix("/topapi/")
        .map_or_else(|| path.to_owned(), |rest| format!("dingtalk.oapi.{}", rest.replace('/', ".")))
}

/// The answer to a call that succeeded.
pub(crate) fn success(family: Family, payload: &Payload, request_id: &str) -> Response<Body> {
    #[derive(Serialize)]
    struct Enveloped<'a> {
        errcode: i64,
        errmsg: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        request_id: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        result: Option<&'a RawValue>,
        #[serde(flatten)]
        fields: Map<String, Value>,
    }
    let (result, fields) = match payload {
        Payload::Whole(value) => return json_response(StatusCode::OK, value.to_string()),
        Payload::Result(raw) => (Some(&**raw), Map::new()),
        Payload::Fields(fields) => (None, fields.clone()),
    };
    let enveloped = Enveloped {
        errcode: 0,
        errmsg: "ok",
        // The classic family usually has none (`contacts-api.md §1`).
        request_id: (family == Family::Topapi).then_some(request_id),
        result,
        fields,
    };
    match serde_json::to_vec(&enveloped) {
        Ok(body) => json_response(StatusCode::OK, body),
        Err(error) => {
            tracing::error!(%error, "an answer could not be written");
            failure(family, &Refusal::Busy, request_id, Variants::default())
        }
    }
}

/// The answer to a call that is refused.
pub(crate) fn failure(
    family: Family,
    refusal: &Refusal,
    request_id: &str,
    variants: Variants,
) -> Response<Body> {
    let (status, body) = match family {
        Family::Topapi => (StatusCode::OK, topapi_failure(refusal, request_id, variants.gateway_errors)),
        Family::Classic => (StatusCode::OK, classic_failure(refusal)),
        Family::Modern => modern_failure(refusal, request_id),
    };
    json_response(status, body.to_string())
}

fn topapi_failure(refusal: &Refusal, request_id: &str, form: GatewayErrors) -> Value {
    let (code, message) = (refusal.code(), refusal.message());
    if let Refusal::UnknownMethod { .. } = refusal {
        return json!({
            "errcode": 22,
            "sub_msg": message,
            "errmsg": format!("Invalid method[submsg={message}]"),
            "request_id": request_id,
        });
    }
    if refusal.is_of_gateway() && form != GatewayErrors::Bare {
        let mut body = json!({
            "errcode": 88,
            "errmsg": format!("ding talk error[subcode={code},submsg={message}]"),
            "request_id": request_id,
        });
        if form == GatewayErrors::Wrapped {
            body["sub_code"] = code.to_string().into();
            body["sub_msg"] = message.into();
        }
        return body;
    }
    json!({ "errcode": code, "errmsg": message, "request_id": request_id })
}

fn classic_failure(refusal: &Refusal) -> Value {
    if let Refusal::UnknownMethod { .. } = refusal {
        return json!({ "errcode": 404, "errmsg": "请求的URI地址不存在" });
    }
    json!({ "errcode": refusal.code(), "errmsg": refusal.message() })
}

fn modern_failure(refusal: &Refusal, request_id: &str) -> (StatusCode, Value) {
    let (status, code) = match refusal {
        Refusal::TokenMissing => (400, "AuthenticationFailed.MissingParameter"),
        Refusal::TokenInvalid => (400, "InvalidAuthentication"),
        Refusal::Permission { .. } => (403, "Forbidden.AccessDenied.AccessTokenPermissionDenied"),
        Refusal::Address { .. } => (403, "Forbidden.AccessDenied.IpNotInWhiteList"),
        Refusal::TooOften { .. } => (403, "Forbidden.AccessDenied.QpsLimitForAppkeyAndApi"),
        Refusal::Overload { .. } => (403, "Forbidden.AccessDenied.QpsLimitForApi"),
        Refusal::QuotaUsed => (403, "Forbidden.AccessDenied.ApiCountLimitForOrg"),
        Refusal::Busy => (500, "system.busy"),
        Refusal::UnknownMethod { .. } => (404, "InvalidAction.NotFound"),
        Refusal::Business { .. } => (400, "parameter.error"),
        Refusal::Modern { status, code, .. } => (*status, *code),
    };
    let mut body = json!({ "code": code, "requestid": request_id, "message": refusal.message() });
    if let Refusal::Permission { point, .. } = refusal {
        body["accessdenieddetail"] = json!({ "requiredScopes": [point] });
    }
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    (status, body)
}

/// A JSON body.
pub(crate) fn json_response(status: StatusCode, body: impl Into<Bytes>) -> Response<Body> {
    typed(status, "application/json", body)
}

/// A page for a browser.
pub(crate) fn html_response(status: StatusCode, body: &'static str) -> Response<Body> {
    typed(status, "text/html; charset=utf-8", body)
}

fn typed(status: StatusCode, content_type: &'static str, body: impl Into<Bytes>) -> Response<Body> {
    let mut response = Response::new(Body::from(body.into()));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}
