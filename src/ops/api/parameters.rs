//! What a request asks for: parameters of its query, and its body. Whatever is not known is refused, so that a typing
//! error is no other question.

use std::collections::BTreeMap;
use std::str::FromStr;
use std::time::Duration;

use axum::body::Body;
use axum::http::StatusCode;
use jiff::Timestamp;
use serde::de::DeserializeOwned;

use super::Refusal;
use crate::http::{BodyError, read_body};

/// How an instant looks.
pub(super) const TIME: &str = "a time such as 2026-11-28T08:00:00Z";
/// The largest body.
const LARGEST: usize = 64 * 1024;
const DEADLINE: Duration = Duration::from_secs(10);

/// The parameters of a query, until each has been taken.
pub(super) struct Parameters(BTreeMap<String, String>);

impl Parameters {
    pub(super) fn of(query: Option<&str>) -> Result<Self, Refusal> {
        let mut parameters = BTreeMap::new();
        for (name, value) in url::form_urlencoded::parse(query.unwrap_or_default().as_bytes()) {
            if parameters.insert(name.clone().into_owned(), value.into_owned()).is_some() {
                return Err(Refusal::bad(format!("`{name}` is given twice")));
            }
        }
        Ok(Self(parameters))
    }

    pub(super) fn text(&mut self, name: &str) -> Option<String> {
        self.0.remove(name).filter(|value| !value.is_empty())
    }

    /// A value of any kind that has a written form, such as `what` says.
    pub(super) fn parsed<T: FromStr>(&mut self, name: &str, what: &str) -> Result<Option<T>, Refusal> {
        let Some(text) = self.text(name) else { return Ok(None) };
        text.parse().map(Some).map_err(|_| Refusal::bad(format!("`{name}` must be {what}")))
    }

    pub(super) fn limit(&mut self) -> Result<Option<usize>, Refusal> {
        self.parsed("limit", "a number from 1 to 1000")
    }

    /// Refuses whatever has not been taken.
    pub(super) fn end(self) -> Result<(), Refusal> {
        match self.0.into_keys().next() {
            None => Ok(()),
            Some(name) => Err(Refusal::bad(format!("`{name}` is no parameter here"))),
        }
    }
}

/// An instant in a body.
pub(super) fn time(name: &str, text: Option<String>) -> Result<Option<Timestamp>, Refusal> {
    let parsed = text.map(|text| text.parse()).transpose();
    parsed.map_err(|_| Refusal::bad(format!("`{name}` must be {TIME}")))
}

/// The number in a path.
pub(super) fn number(text: &str) -> Result<i64, Refusal> {
    text.parse().map_err(|_| Refusal::bad(format!("`{text}` must be a number")))
}

/// A request's body; what is not there stands for an empty object.
pub(super) async fn body<T: DeserializeOwned>(body: Body) -> Result<T, Refusal> {
    let bytes = read_body(body, LARGEST, DEADLINE).await.map_err(|error| {
        let status = match error {
            BodyError::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            BodyError::TooSlow => StatusCode::REQUEST_TIMEOUT,
            BodyError::Broken => StatusCode::BAD_REQUEST,
        };
        Refusal::new(status, error.to_string())
    })?;
    let bytes = if bytes.is_empty() { &b"{}"[..] } else { &bytes };
    // A list would be taken for the fields in their order.
    if !bytes.trim_ascii_start().starts_with(b"{") {
        return Err(Refusal::bad("the body must be a JSON object"));
    }
    serde_json::from_slice(bytes).map_err(|error| Refusal::bad(format!("the body cannot be used: {error}")))
}
