//! What DingTalk's refusals mean, as one enum with one reaction each (`errors.md §2`).

use std::fmt;
use std::time::Duration;

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use thiserror::Error;

use super::endpoint::{self, Endpoint, Family};

/// The request has not left this machine.
pub(super) const NO_CONNECTION: &str = "no connection";

/// A refusal's identity: a number on the legacy host, a word on the v1.0 host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Code {
    /// `errcode`, or the `sub_code` inside an 88 envelope.
    Number(i64),
    /// `code` of the v1.0 host.
    Word(String),
}

impl fmt::Display for Code {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => write!(formatter, "{number}"),
            Self::Word(word) => formatter.write_str(word),
        }
    }
}

/// Who is being slowed down by a throttle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Throttle {
    /// This application on this API (90018): a second's pause and a smaller rate.
    Application,
    /// Every caller of this API (90002): a pause until the time that the message names.
    Platform,
    /// This application or organisation on every API (90003, 90004).
    Organisation,
    /// This source address (90001, `status` 1111): everything stops.
    Address,
    /// The organisation's calls of this month are used up (90020).
    MonthlyQuota,
    /// Our own bound on metered calls, `metered_calls_per_month`, is used up: nothing was sent.
    Budget,
}

/// What is missing when a person has to change something in DingTalk's console.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Denied {
    /// The application lacks the API's permission point (60011).
    PermissionPoint,
    /// The calling address is not on the application's list (60020).
    Address,
    /// The application or the organisation is disabled or dissolved (50003, 50005, 70001, 48002, 48004).
    Disabled,
}

/// The reaction that a refusal asks for. Every answer that is not a success falls into exactly one of these.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// DingTalk's trouble, never the object's: try again, later and later, for as long as it takes.
    Retry,
    /// Not executed. Wait, and call less often.
    Throttle(Throttle),
    /// The token is not valid any more: drop it, fetch one, repeat.
    RefreshToken,
    /// The object does not exist.
    Gone,
    /// The object may exist, but outside of the application's contact scope (50002, 50004): neither gone nor readable.
    Hidden,
    /// A person has to change something in the console. Probe seldom.
    Denied(Denied),
    /// The credentials are wrong. Probe seldom.
    Credentials,
    /// The server does not know this method: switch off what needs it.
    UnknownMethod,
    /// Wrong for this object for as long as the object stays as it is.
    BadRequest,
    /// An answer that is not of the documented form, or a code that is not documented: once more, then as a bad request.
    Unexpected,
}

impl Class {
    /// True where the organisation, the network or the API is to blame, so that no object may be parked for it.
    pub fn is_trouble(self) -> bool {
        matches!(
            self,
            Self::Retry
                | Self::Throttle(_)
                | Self::RefreshToken
                | Self::Denied(_)
                | Self::Credentials
                | Self::UnknownMethod
        )
    }

    /// A bounded word for metrics.
    pub fn label(self) -> &'static str {
        match self {
            Self::Retry => "retry",
            Self::Throttle(Throttle::Address) => "banned",
            Self::Throttle(Throttle::MonthlyQuota) => "quota",
            Self::Throttle(Throttle::Budget) => "budget",
            Self::Throttle(_) => "throttled",
            Self::RefreshToken => "token",
            Self::Gone => "gone",
            Self::Hidden => "hidden",
            Self::Denied(_) => "denied",
            Self::Credentials => "credentials",
            Self::UnknownMethod => "unknown_method",
            Self::BadRequest => "bad_request",
            Self::Unexpected => "unexpected",
        }
    }
}

/// What a refusal says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The effective code.
    pub code: Code,
    /// Permission points that it names as missing.
    pub required_scopes: Vec<String>,
    /// DingTalk's own text, which may name people: for the database and the operator's screen, never for a log.
    pub text: String,
}

/// A call that did not bring what it was made for. Its text holds the API's path, the code and what to do.
#[derive(Debug, Clone, Error)]
#[error("{endpoint} {}", self.meaning())]
pub struct ApiError {
    /// Which API was called.
    pub endpoint: Endpoint,
    /// The reaction.
    pub class: Class,
    /// What DingTalk said, where it answered.
    pub refusal: Option<Box<Refusal>>,
    /// When calling again makes sense, where that is known.
    pub retry_after: Option<Duration>,
    /// What went wrong below the envelope (a time-out, a broken connection, an HTML page), in our words.
    pub transport: Option<&'static str>,
}

impl ApiError {
    pub(super) fn new(endpoint: Endpoint, class: Class) -> Self {
        Self { endpoint, class, refusal: None, retry_after: None, transport: None }
    }

    pub(super) fn refused(endpoint: Endpoint, class: Class, code: Code, text: &str) -> Self {
        let refusal = Refusal { code, required_scopes: required_scopes(text), text: text.to_owned() };
        Self { refusal: Some(Box::new(refusal)), ..Self::new(endpoint, class) }
    }

    pub(super) fn transport(endpoint: Endpoint, what: &'static str) -> Self {
        Self { transport: Some(what), ..Self::new(endpoint, Class::Retry) }
    }

    pub(super) fn unexpected(endpoint: Endpoint, what: &'static str) -> Self {
        Self { transport: Some(what), ..Self::new(endpoint, Class::Unexpected) }
    }

    /// Whether DingTalk may have carried out a call that was sent and ended with this: a refusal of the gateway says that
    /// it did not, a line that goes dead says nothing.
    pub fn may_have_been_carried_out(&self) -> bool {
        match self.class {
            Class::Throttle(_)
            | Class::RefreshToken
            | Class::Denied(_)
            | Class::Credentials
            | Class::UnknownMethod => false,
            Class::Retry => self.transport != Some(NO_CONNECTION),
            Class::Gone | Class::Hidden | Class::BadRequest | Class::Unexpected => true,
        }
    }

    fn meaning(&self) -> String {
        let refusal = self.refusal.as_deref();
        let code = refusal.map(|refusal| format!(" (code {})", refusal.code)).unwrap_or_default();
        let what = match self.class {
            Class::Retry => match self.transport {
                Some(what) => return format!("did not answer: {what}"),
                None => "is busy or out of order".to_owned(),
            },
            Class::Throttle(Throttle::Application) => {
                "is throttled for this application; calls are being slowed down".to_owned()
            }
            Class::Throttle(Throttle::Platform) => "is throttled for everybody at the moment".to_owned(),
            Class::Throttle(Throttle::Organisation) => "is throttled for this organisation".to_owned(),
            Class::Throttle(Throttle::Address) => {
                "refuses this machine's address for having made too many calls; all calls pause".to_owned()
            }
            Class::Throttle(Throttle::MonthlyQuota) => {
                "is over the organisation's monthly number of calls".to_owned()
            }
            Class::Throttle(Throttle::Budget) => {
                "is not called any more this month: metered_calls_per_month is used up; raise it if the quota of the organisation allows".to_owned()
            }
            Class::RefreshToken => "refused the access token".to_owned(),
            Class::Gone => "knows no such object".to_owned(),
            Class::Hidden => {
                "says that the object is outside of the application's contact scope (通讯录授权范围)".to_owned()
            }
            Class::Denied(Denied::PermissionPoint) => match refusal.map_or(&[][..], |refusal| &refusal.required_scopes) {
                [] => "is not permitted to this application; grant its permission point (权限管理)".to_owned(),
                scopes => format!("needs the permission point {} (权限管理)", scopes.join(", ")),
            },
            Class::Denied(Denied::Address) => {
                "refuses this machine's address; add it to the application's server addresses (服务器出口IP)".to_owned()
            }
            Class::Denied(Denied::Disabled) => {
                "says that the application or the organisation is disabled".to_owned()
            }
            Class::Credentials => {
                "refused the credentials; compare app_key and app_secret with the console's Client ID and Client Secret (凭证与基础信息)".to_owned()
            }
            Class::UnknownMethod => "is not known to this server".to_owned(),
            Class::BadRequest => "refused the request".to_owned(),
            Class::Unexpected => match self.transport {
                Some(what) => format!("gave an answer that cannot be read: {what}"),
                None => "gave an undocumented answer".to_owned(),
            },
        };
        format!("{what}{code}")
    }
}

/// Sorts an effective code of the legacy host (`errors.md §4.1` to `§4.5`). An 88 envelope must be opened first.
pub(super) fn classify_number(endpoint: Endpoint, code: i64, text: &str) -> Class {
    match code {
        -1 | 15 | 400_001 => Class::Retry,
        1002 if endpoint.path.contains("/role/") => Class::Retry,
        22 | 404 => Class::UnknownMethod,
        40_000 if text.contains("access_token") => Class::RefreshToken,
        40_014 | 42_001 | 41_001 => Class::RefreshToken,
        40_001 if endpoint.family != Family::Token => Class::RefreshToken,
        40_001 | 40_096 | 40_089 | 40_013 | 52_010 | 41_002 | 41_004 | 33_001 | 400_042 | 400_043
        | 12_012 => Class::Credentials,
        40_035 if endpoint.family == Family::Token => Class::Credentials,
        43_007 | 60_011 => Class::Denied(Denied::PermissionPoint),
        60_020 => Class::Denied(Denied::Address),
        50_003 | 50_005 | 70_001 | 48_002 | 48_004 => Class::Denied(Denied::Disabled),
        50_002 | 50_004 => Class::Hidden,
        90_018 | 90_005 | 90_006 | 45_009 | 90_007..=90_014 => Class::Throttle(Throttle::Application),
        90_002 => Class::Throttle(Throttle::Platform),
        90_003 | 90_004 | 90_017 => Class::Throttle(Throttle::Organisation),
        90_001 => Class::Throttle(Throttle::Address),
        90_020 => Class::Throttle(Throttle::MonthlyQuota),
        _ if says_gone(endpoint, code) => Class::Gone,
        40
        | 41
        | 1002
        | 12_150
        | 23_004
        | 33_011
        | 33_012
        | 34_018
        | 34_020
        | 34_021
        | 200_002
        | 200_003
        | 400_002
        | 600_109
        | 660_000
        | 40_000..=49_999
        | 60_000..=60_999 => Class::BadRequest,
        _ => Class::Unexpected,
    }
}

/// Whether a code says that the object which this API reads does not exist: only its own kind of object can be gone.
fn says_gone(endpoint: Endpoint, code: i64) -> bool {
    match endpoint {
        endpoint::PERSON => matches!(code, 60_121 | 33_012 | 40_003 | 60_111 | 46_004),
        // An illegal id is a formerly known one when a department is being read (`errors.md §4.3`).
        endpoint::DEPARTMENT | endpoint::DEPARTMENT_CHILDREN | endpoint::MEMBERS | endpoint::MEMBER_IDS => {
            matches!(code, 60_003 | 40_009)
        }
        endpoint::ROLE | endpoint::ROLE_MEMBERS => matches!(code, 33_011 | 60_301),
        endpoint::ROLE_GROUP => matches!(code, 34_020),
        // Nothing is registered (`events.md §6`).
        endpoint::SUBSCRIPTION => code == 71_007,
        _ => false,
    }
}

/// Sorts a word of the v1.0 host (`errors.md §4.6`). The throttling words come first: they look like permissions.
pub(super) fn classify_word(status: u16, word: &str) -> Class {
    let denied = word.strip_prefix("Forbidden.AccessDenied.");
    match (status, denied, word) {
        (_, Some("QpsLimitForApi"), _) => Class::Throttle(Throttle::Platform),
        (_, Some(detail), _) if detail.starts_with("Qps") || detail.starts_with("Qpm") => {
            Class::Throttle(Throttle::Application)
        }
        (_, Some("ApiCountLimitForOrg"), _) => Class::Throttle(Throttle::MonthlyQuota),
        (_, Some("IpNotInWhiteList"), _) => Class::Denied(Denied::Address),
        (_, Some(_), _) | (_, _, "corpNotOpenHrm" | "noPermission") => Class::Denied(Denied::PermissionPoint),
        (_, _, "InvalidAuthentication" | "AuthenticationFailed.MissingParameter") => Class::RefreshToken,
        (
            _,
            _,
            "invalidClientIdOrSecret" | "invalid.client" | "unsupported.grant.type" | "unauthorized.client",
        ) => Class::Credentials,
        (_, _, "InvalidAction.NotFound" | "InvalidVersion") | (404, _, _) => Class::UnknownMethod,
        (_, _, "user.not.exist" | "empNotExists") => Class::Gone,
        (429, _, _) | (_, _, "invokeFrequentyly") => Class::Throttle(Throttle::Application),
        (401, _, _) => Class::RefreshToken,
        (500..=599, _, _) => Class::Retry,
        (400..=499, _, _) => Class::BadRequest,
        _ => Class::Unexpected,
    }
}

/// Every word that the text lists as `requiredScopes=[a, b]` (`errors.md §3`).
fn required_scopes(text: &str) -> Vec<String> {
    text.split_once("requiredScopes=[")
        .and_then(|(_, rest)| rest.split_once(']'))
        .map(|(list, _)| list.split(',').map(|scope| scope.trim().to_owned()).collect())
        .unwrap_or_default()
}

/// How long a platform-wide throttle lasts: its text ends in a Shanghai wall-clock time with a resolution of a second.
/// Bounded, because two clocks are involved (`errors.md §3`).
pub(super) fn platform_pause(text: &str, now: Timestamp) -> Option<Duration> {
    let before_end = text.rfind("结束").and_then(|end| text.get(..end))?;
    let start = before_end.rfind("将在").map(|at| at + "将在".len())?;
    let local: DateTime = before_end.get(start..)?.trim().parse().ok()?;
    let end = local.to_zoned(TimeZone::get("Asia/Shanghai").ok()?).ok()?.timestamp();
    let wait = end.duration_since(now).clamp(SignedDuration::from_millis(500), SignedDuration::from_secs(60));
    Duration::try_from(wait).ok()
}
