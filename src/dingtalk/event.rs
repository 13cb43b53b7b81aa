//! Decrypted events: one normaliser for every shape that documents and captures show (`events.md §4.1`).
//!
//! Keys are looked up without regard to case; ids come as arrays or scalars, strings or numbers; the time as a string
//! or a number, in milliseconds or seconds, under four names. What is not understood stays in the message.

use std::collections::HashSet;

use jiff::Timestamp;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use thiserror::Error;

use super::lenient;
use crate::hex;

/// Longer ids are not DingTalk's; they would not fit the key of the inbox.
const LONGEST_EVENT_ID: usize = 128;
const LONGEST_EVENT_TYPE: usize = 64;
/// In characters. DingTalk's own bound is 64 (`contacts-api.md`); nobody's row could have a longer key than this.
pub const LONGEST_USERID: usize = 191;

/// What travels beside the message on channels other than the HTTP callback: the frame headers of Stream mode
/// (`events.md §7.2`).
#[derive(Debug, Clone, Default)]
pub struct Header {
    /// The event's type, which the message itself does not name there.
    pub event_type: Option<String>,
    /// The event's id.
    pub event_id: Option<String>,
    /// The organisation.
    pub corp_id: Option<String>,
    /// When it happened, in milliseconds.
    pub born_time: Option<String>,
}

/// Why an authentic message could not be taken as an event.
#[derive(Debug, Error, Clone, Copy, PartialEq, Eq)]
pub enum EventError {
    /// Not a JSON object, or one that is nested absurdly deep.
    #[error("the message is not a JSON object")]
    NotAnObject,
}

/// An event as a hint: which objects it names, and what tells it from others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Identifies the event among all of its organisation: its id, or a hash of the message.
    pub key: String,
    /// DingTalk's `eventId`. Without it two events with the same bytes may be two changes.
    pub event_id: Option<String>,
    /// `user_add_org`, `org_dept_modify`, …; empty where the message names none.
    pub event_type: String,
    /// The organisation that the event says it belongs to.
    pub corp_id: Option<String>,
    /// When the change happened.
    pub occurred_at: Option<Timestamp>,
    /// Who made the change; missing when it came through other systems.
    pub operator_userid: Option<String>,
    /// The people it names.
    pub userids: Vec<String>,
    /// The departments it names.
    pub dept_ids: Vec<i64>,
    /// The roles or role groups it names: an event cannot tell one from the other.
    pub label_ids: Vec<i64>,
    /// The decrypted message, as it came.
    pub message: String,
}

impl Event {
    /// Reads a decrypted message of the HTTP callback.
    pub fn parse(message: String) -> Result<Self, EventError> {
        Self::parse_with(message, &Header::default())
    }

    /// Reads a message whose envelope travels beside it.
    pub fn parse_with(message: String, header: &Header) -> Result<Self, EventError> {
        let object: Map<String, Value> =
            lenient::from_slice(message.as_bytes()).map_err(|_| EventError::NotAnObject)?;
        let fields = Fields::of(&object);
        let mut event_type =
            header.event_type.clone().or_else(|| fields.text(&["eventtype"])).unwrap_or_default();
        truncate(&mut event_type, LONGEST_EVENT_TYPE);
        let event_id =
            header.event_id.clone().or_else(|| fields.text(&["eventid"])).filter(|id| is_usable_id(id));
        let occurred_at = fields
            .text(&["timestamp", "eventtime"])
            .or_else(|| header.born_time.clone())
            .and_then(|text| instant(&text));
        let key = match &event_id {
            Some(id) => format!("id:{id}"),
            None => hash_of(&message, occurred_at),
        };
        let mut dept_ids = fields.integers(&["deptid", "deptids", "deptidlist", "dept_id"]);
        if dept_ids.is_empty() && event_type.starts_with("org_dept_") {
            // The form that carries the whole department (`events.md §4.3`).
            dept_ids = fields.integers(&["id"]);
        }
        Ok(Self {
            key,
            event_id,
            corp_id: header.corp_id.clone().or_else(|| fields.text(&["corpid"])),
            occurred_at,
            operator_userid: fields.text(&["optstaffid"]).filter(|id| is_userid(id)),
            userids: fields
                .texts(&["userid", "userids", "useridlist", "user_id"])
                .into_iter()
                .filter(|id| is_userid(id))
                .collect(),
            dept_ids,
            label_ids: fields.integers(&["labelidlist", "labelid", "roleid", "role_id"]),
            event_type,
            message,
        })
    }

    /// One of the messages by which DingTalk checks a URL: answered, never stored (`events.md §2.2`).
    pub fn is_handshake(&self) -> bool {
        matches!(self.event_type.as_str(), "check_url" | "check_create_suite_url" | "check_update_suite_url")
    }
}

/// An id that every database keeps apart from every other one, as it is: some change control characters, some compare
/// without the spaces at the end.
fn is_usable_id(id: &str) -> bool {
    id.len() <= LONGEST_EVENT_ID && id.trim() == id && !id.contains(char::is_control)
}

/// Whether somebody could have this id. Of another one only the message keeps a trace.
fn is_userid(id: &str) -> bool {
    id.chars().count() <= LONGEST_USERID && !id.contains('\0')
}

/// The top-level fields by their lower-case names.
struct Fields<'message>(Vec<(String, &'message Value)>);

impl<'message> Fields<'message> {
    fn of(object: &'message Map<String, Value>) -> Self {
        Self(object.iter().map(|(key, value)| (key.to_ascii_lowercase(), value)).collect())
    }

    fn get(&self, names: &[&str]) -> impl Iterator<Item = &'message Value> {
        names.iter().filter_map(|name| self.0.iter().find(|(key, _)| key == name).map(|(_, value)| *value))
    }

    fn text(&self, names: &[&str]) -> Option<String> {
        self.get(names).find_map(scalar_text)
    }

    /// All ids under the given names, each once.
    fn texts(&self, names: &[&str]) -> Vec<String> {
        let mut ids: Vec<String> = Vec::new();
        let mut seen = HashSet::new();
        for value in self.get(names) {
            let found: Vec<String> = match value {
                Value::Array(items) => items.iter().filter_map(scalar_text).collect(),
                // Some samples print an array as the text of one.
                Value::String(text) if text.trim_start().starts_with('[') => {
                    match serde_json::from_str::<Vec<Value>>(text) {
                        Ok(items) => items.iter().filter_map(scalar_text).collect(),
                        Err(_) => vec![text.clone()],
                    }
                }
                other => scalar_text(other).into_iter().collect(),
            };
            for id in found {
                if seen.insert(id.clone()) {
                    ids.push(id);
                }
            }
        }
        ids
    }

    fn integers(&self, names: &[&str]) -> Vec<i64> {
        self.texts(names).iter().filter_map(|id| id.trim().parse().ok()).collect()
    }
}

fn scalar_text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) if !text.is_empty() => Some(text.clone()),
        Value::Number(number) => match number.as_f64() {
            Some(float) if number.is_f64() && float.fract() == 0.0 => Some((float as i64).to_string()),
            _ => Some(number.to_string()),
        },
        _ => None,
    }
}

/// Ten digits are seconds, thirteen milliseconds.
fn instant(text: &str) -> Option<Timestamp> {
    let number: i64 = text.trim().parse().ok()?;
    match number {
        0..100_000_000_000 => Timestamp::from_second(number).ok(),
        _ => Timestamp::from_millisecond(number).ok(),
    }
}

/// The time of the event and half of a hash. Keys of events that come together lie together in the index, which writes
/// few pages where random keys would write one each; among those of one millisecond, 128 bits are plenty.
fn hash_of(message: &str, occurred_at: Option<Timestamp>) -> String {
    let millisecond = occurred_at.map_or(0, Timestamp::as_millisecond);
    let hash = Sha256::digest(message.as_bytes());
    format!("{millisecond:013}:{}", hex::encode(&hash[..16]))
}

fn truncate(text: &mut String, length: usize) {
    if let Some((end, _)) = text.char_indices().nth(length) {
        text.truncate(end);
    }
}
