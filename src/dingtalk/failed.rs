//! The list of events that could not be delivered (`events.md §5.1`), brought to the form in which events are pushed.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use super::client::{Client, Parameters};
use super::endpoint;
use super::envelope::Payload;
use super::error::ApiError;
use super::event::Event;
use super::lenient;
use crate::hex;
use crate::lane::Lane;

/// How deep the detail of an entry is looked into: under its tag, and in there under `callbackData` and its like.
const DEEPEST: usize = 3;

/// One answer: at most 200 events, which the next call clears.
#[derive(Debug, Clone, Default)]
pub struct FailedList {
    /// In the order of the answer.
    pub events: Vec<Event>,
    /// Further ones wait.
    pub has_more: bool,
}

/// What an event is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Subject {
    /// People.
    People,
    /// Departments.
    Departments,
    /// Roles and their members.
    Roles,
}

impl Subject {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::People, Self::Departments, Self::Roles];

    /// What an event of this type is about (`events.md §4.2`): nothing that is mirrored, where the type says so; perhaps
    /// anything, where there is no type.
    pub fn of(event_type: &str) -> BTreeSet<Self> {
        let begins = |prefixes: &[&str]| prefixes.iter().any(|prefix| event_type.starts_with(prefix));
        match event_type {
            "" => Self::ALL.into(),
            _ if begins(&["label_user_"]) => [Self::People, Self::Roles].into(),
            _ if begins(&["label_", "org_role_"]) => [Self::Roles].into(),
            _ if begins(&["org_dept_"]) => [Self::Departments].into(),
            _ if begins(&["user_", "org_admin_"]) => [Self::People].into(),
            _ => BTreeSet::new(),
        }
    }
}

#[derive(Deserialize)]
struct Answer {
    #[serde(default)]
    failed_list: Value,
    #[serde(default, deserialize_with = "lenient::flag")]
    has_more: Option<bool>,
}

impl From<Answer> for FailedList {
    fn from(answer: Answer) -> Self {
        let entries = match answer.failed_list {
            Value::Null => Vec::new(),
            Value::Array(entries) => entries,
            entry => vec![entry],
        };
        Self { events: entries.into_iter().map(event_of).collect(), has_more: answer.has_more == Some(true) }
    }
}

impl Client {
    /// Takes events out of the failed list. Metered, and destructive: what the answer shows is in no later one.
    pub async fn failed_list(&self, lane: Lane) -> Result<FailedList, ApiError> {
        let answer: Answer =
            self.call(endpoint::FAILED_LIST, Payload::TopLevel, lane, Parameters::None).await?;
        Ok(answer.into())
    }
}

/// An entry in either shape: the detail under a key named after the tag, with an object or its text inside, or
/// everything on one level.
fn event_of(entry: Value) -> Event {
    let mut fields = Map::new();
    let (mut tag, mut time) = (Value::Null, Value::Null);
    match entry {
        Value::Object(object) => {
            for (key, value) in object {
                match key.to_ascii_lowercase().as_str() {
                    "call_back_tag" => tag = value,
                    "event_time" => time = value,
                    _ => drop(fields.insert(key, value)),
                }
            }
        }
        other => drop(fields.insert("entry".to_owned(), other)),
    }
    let detail = tag.as_str().and_then(|tag| fields.remove(tag));
    if let Some(detail) = detail.and_then(opened) {
        absorb(&mut fields, detail, 1);
    }
    let mut message = Map::from_iter([("EventType".to_owned(), tag), ("TimeStamp".to_owned(), time)]);
    message.extend(fields);
    let text = Value::Object(message).to_string();
    match Event::parse(text.clone()) {
        Ok(event) => Event { key: key_of(&event), ..event },
        Err(_) => nameless(text),
    }
}

/// An object, or a text that holds one.
fn opened(value: Value) -> Option<Map<String, Value>> {
    match value {
        Value::Object(object) => Some(object),
        Value::String(text) => lenient::from_slice(text.as_bytes()).ok(),
        _ => None,
    }
}

/// Lifts the detail's fields up beside the others, and those of `callbackData`, `roleLabelChange` and their like with
/// them.
fn absorb(fields: &mut Map<String, Value>, detail: Map<String, Value>, depth: usize) {
    for (key, value) in detail {
        let name = key.to_ascii_lowercase();
        let is_holder = name.ends_with("data") || name.ends_with("change");
        if is_holder
            && depth < DEEPEST
            && let Some(inner) = opened(value.clone())
        {
            absorb(fields, inner, depth + 1);
        } else if name != "eventtype" {
            fields.entry(key).or_insert(value);
        }
    }
}

/// An entry has no id: it is told from others by its type, the ids that it names, and its time. Where it names none, by
/// all of it.
fn key_of(event: &Event) -> String {
    let mut hash = Sha256::new();
    let ids: BTreeSet<String> = (event.userids.iter().map(|id| format!("user {id}")))
        .chain(event.dept_ids.iter().map(|id| format!("department {id}")))
        .chain(event.label_ids.iter().map(|id| format!("label {id}")))
        .collect();
    hash.update(&event.event_type);
    for id in &ids {
        hash.update([0]);
        hash.update(id);
    }
    if ids.is_empty() {
        hash.update(&event.message);
    }
    let millisecond = event.occurred_at.map_or(0, Timestamp::as_millisecond);
    format!("failed:{millisecond:013}:{}", hex::encode(&hash.finalize()[..16]))
}

/// What no parser takes is kept, as the text of something unknown.
fn nameless(message: String) -> Event {
    let event = Event {
        key: String::new(),
        event_id: None,
        event_type: String::new(),
        corp_id: None,
        occurred_at: None,
        operator_userid: None,
        userids: Vec::new(),
        dept_ids: Vec::new(),
        label_ids: Vec::new(),
        message,
    };
    Event { key: key_of(&event), ..event }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn events(list: &Value) -> Vec<Event> {
        let answer: Answer = serde_json::from_value(json!({ "failed_list": list })).unwrap();
        FailedList::from(answer).events
    }

    fn one(entry: &Value) -> Event {
        events(&json!([entry])).remove(0)
    }

    const TIME: i64 = 1_767_225_600_000;

    #[test]
    fn people_and_departments_are_found_in_every_shape() {
        let nested = one(&json!({"call_back_tag":"user_add_org","event_time":TIME,
            "user_add_org":{"userid":["0017","b"],"corpid":"c"}}));
        let flat = one(
            &json!({"call_back_tag":"user_add_org","event_time":TIME,"userid":["0017","b"],"corpid":"c"}),
        );
        for event in [&nested, &flat] {
            assert_eq!(event.event_type, "user_add_org");
            assert_eq!(event.userids, ["0017", "b"]);
            assert_eq!(event.occurred_at, Timestamp::from_millisecond(TIME).ok());
            assert_eq!(event.corp_id.as_deref(), Some("c"));
        }
        assert_eq!(nested.key, flat.key, "type, ids and time are the same");
        for detail in [
            json!({"callbackData":{"deptid":[4]},"corpid":"c"}),
            json!({"callbackData":"{\"deptId\":[4]}","corpid":"c"}),
            json!({"deptid":[4],"corpid":"c"}),
            json!("{\"callbackData\":{\"deptid\":4}}"),
        ] {
            let event =
                one(&json!({"call_back_tag":"org_dept_remove","event_time":TIME,"org_dept_remove":detail}));
            assert_eq!(event.dept_ids, [4], "{}", event.message);
        }
    }

    #[test]
    fn roles_are_found_under_their_own_holder() {
        let event = one(&json!({"call_back_tag":"label_user_change","event_time":TIME,"label_user_change":
            {"roleLabelChange":"{\"userIdList\":[\"u1\"],\"labelIdList\":[31],\"action\":\"add\"}","corpid":"c"}}));
        assert_eq!((event.userids, event.label_ids), (vec!["u1".to_owned()], vec![31]));
    }

    #[test]
    fn an_entry_that_names_nobody_says_what_it_is_about() {
        let event = one(&json!({"call_back_tag":"org_dept_create","event_time":TIME,
            "org_dept_create":{"callbackData":{},"corpid":"c"}}));
        assert!(event.dept_ids.is_empty());
        assert_eq!(Subject::of(&event.event_type), [Subject::Departments].into());
        assert_eq!(Subject::of("label_user_change"), [Subject::People, Subject::Roles].into());
        assert_eq!(Subject::of("bpms_instance_change"), BTreeSet::new());
        for odd in [json!(5), json!({}), json!({"call_back_tag":null})] {
            assert_eq!(Subject::of(&one(&odd).event_type).len(), 3);
        }
    }

    #[test]
    fn what_differs_in_type_ids_or_time_has_another_key() {
        let entry = |tag: &str, id: &str, time: i64| {
            one(&json!({"call_back_tag":tag,"event_time":time,"userid":[id]})).key
        };
        let keys: BTreeSet<String> = [
            entry("user_add_org", "a", TIME),
            entry("user_add_org", "b", TIME),
            entry("user_modify_org", "a", TIME),
            entry("user_add_org", "a", TIME + 1),
        ]
        .into();
        assert_eq!(keys.len(), 4);
    }

    #[test]
    fn an_answer_without_a_list_is_an_empty_one() {
        let answer: Answer = serde_json::from_value(json!({ "errcode": 0, "has_more": "true" })).unwrap();
        let list = FailedList::from(answer);
        assert!(list.events.is_empty() && list.has_more);
    }
}
