//! Whatever stands in a callback: every spelling of an event means the same, and nothing makes the parser panic.

use std::sync::Arc;

use dingsync::config::CallbackKeys;
use dingsync::dingtalk::event::Event;
use dingsync::dingtalk::lenient;
use dingsync::dingtalk::model::{Department, Page, Person, RoleGroup};
use dingsync::receive::{CallbackEndpoint, Envelope, KeyPair};
use dingsync::secret::Secret;
use proptest::prelude::*;
use serde_json::{Map, Value, json};

/// Ways to write the name of a field.
fn spelt(name: &str, style: u8) -> String {
    match style % 4 {
        0 => name.to_owned(),
        1 => name[..1].to_uppercase() + &name[1..],
        2 => name.to_lowercase(),
        _ => name.to_uppercase(),
    }
}

/// Ways to write a list of ids.
fn listed(ids: &[String], style: u8) -> Value {
    let number = |id: &String| id.parse::<i64>().ok().filter(|number| number.to_string() == *id);
    match (style % 4, ids) {
        (0, [one]) => json!(one),
        (1, [one]) => number(one).map_or_else(|| json!(one), |number| json!(number)),
        (2, ids) => {
            ids.iter().map(|id| number(id).map_or_else(|| json!(id), |number| json!(number))).collect()
        }
        (3, ids) => json!(json!(ids).to_string()),
        (_, ids) => json!(ids),
    }
}

/// A time in milliseconds, as text or number, or in whole seconds.
fn timed(milliseconds: i64, style: u8) -> Value {
    match style % 4 {
        0 => json!(milliseconds),
        1 => json!(milliseconds.to_string()),
        2 => json!(milliseconds / 1000),
        _ => json!((milliseconds / 1000).to_string()),
    }
}

fn unique(ids: &[String]) -> Vec<String> {
    let mut seen: Vec<String> = Vec::new();
    for id in ids {
        if !seen.contains(id) {
            seen.push(id.clone());
        }
    }
    seen
}

/// Any JSON value, not too deep.
fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,20}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 40, 6, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            proptest::collection::vec((field_name(), inner), 0..6)
                .prop_map(|fields| Value::from(fields.into_iter().collect::<Map<String, Value>>())),
        ]
    })
}

fn field_name() -> impl Strategy<Value = String> {
    prop_oneof![
        proptest::sample::select(vec![
            "EventType",
            "userId",
            "UserId",
            "deptId",
            "labelIdList",
            "eventId",
            "TimeStamp",
            "optStaffId",
            "userid",
            "dept_id_list",
            "role_list",
            "dept_position_list",
            "list",
            "has_more",
            "extension",
        ])
        .prop_map(str::to_owned),
        ".{0,10}",
    ]
}

proptest! {
    #[test]
    fn every_spelling_names_the_same_objects(
        userids in proptest::collection::vec("[A-Za-z0-9_.@-]{1,20}|0[0-9]{1,8}", 1..5),
        departments in proptest::collection::vec(1..i64::MAX, 1..5),
        milliseconds in 1_000_000_000_000_i64..2_000_000_000_000,
        styles in any::<[u8; 8]>(),
    ) {
        let departments: Vec<String> = departments.iter().map(i64::to_string).collect();
        let mut fields = Map::new();
        fields.insert(spelt("eventType", styles[0]), json!("user_modify_org"));
        fields.insert(spelt("userId", styles[1]), listed(&userids, styles[2]));
        fields.insert(spelt("deptId", styles[3]), listed(&departments, styles[4]));
        fields.insert(spelt("timeStamp", styles[5]), timed(milliseconds, styles[6]));
        fields.insert(spelt("optStaffId", styles[7]), json!("manager0001"));
        let event = Event::parse(Value::from(fields).to_string()).expect("an event");
        prop_assert_eq!(&event.event_type, "user_modify_org");
        prop_assert_eq!(event.userids, unique(&userids));
        let found: Vec<String> = event.dept_ids.iter().map(i64::to_string).collect();
        prop_assert_eq!(found, unique(&departments));
        prop_assert_eq!(event.occurred_at.map(jiff::Timestamp::as_second), Some(milliseconds / 1000));
        prop_assert_eq!(event.operator_userid.as_deref(), Some("manager0001"));
    }

    #[test]
    fn any_json_is_an_event_or_refused(value in any_json()) {
        let parsed = Event::parse(value.to_string());
        prop_assert_eq!(parsed.is_ok(), value.is_object());
    }

    #[test]
    fn any_text_is_an_event_or_refused(text in ".{0,200}") {
        let _event_or_error = Event::parse(text);
    }

    #[test]
    fn any_json_in_place_of_a_value_fails_no_whole_answer(value in any_json(), field in field_name()) {
        let answer = json!({ "a": 1, field.clone(): value }).to_string();
        prop_assert!(lenient::from_slice::<Person>(answer.as_bytes()).is_ok(), "{}", answer);
        prop_assert!(lenient::from_slice::<Department>(answer.as_bytes()).is_ok(), "{}", answer);
        prop_assert!(lenient::from_slice::<Page<RoleGroup>>(answer.as_bytes()).is_ok(), "{}", answer);
    }

    #[test]
    fn any_bytes_are_an_answer_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _person_or_error = lenient::from_slice::<Person>(&bytes);
        let _envelope_or_rejection = Envelope::read("signature=a&timestamp=1&nonce=n", &bytes);
    }

    #[test]
    fn nobody_without_the_token_gets_in(query in "[a-zA-Z0-9_=&%.-]{0,200}", encrypt in "[A-Za-z0-9+/=]{0,200}") {
        let keys = CallbackKeys { token: Secret::fixed("token"), aes_key: Secret::fixed("k".repeat(43)) };
        let endpoint = CallbackEndpoint {
            corp_id: "corp".to_owned(),
            name: "main".to_owned(),
            pairs: vec![KeyPair::from(&keys)],
            owner_keys: vec!["owner".to_owned()],
            stats: Arc::default(),
        };
        let body = json!({ "encrypt": encrypt }).to_string();
        let opened = Envelope::read(&query, body.as_bytes()).and_then(|envelope| endpoint.open(&envelope));
        prop_assert!(opened.is_err());
    }
}

#[test]
fn an_id_that_a_database_would_change_or_confuse_is_no_key() {
    let key = |id: &str| {
        let message = serde_json::json!({ "EventType": "user_modify_org", "eventId": id }).to_string();
        Event::parse(message).expect("an event").key
    };
    assert_eq!(key("3f1c0e5a7b9d42"), "id:3f1c0e5a7b9d42");
    for id in ["sp ", " sp", "nul\u{0}", "tab\t"] {
        assert!(!key(id).starts_with("id:"), "{id:?}");
    }
}

#[test]
fn an_id_that_nobody_can_have_marks_nobody() {
    let longest = "u".repeat(191);
    let message = serde_json::json!({
        "EventType": "user_modify_org",
        "UserId": [longest, "u".repeat(192), "nul\u{0}", "工号 7"],
        "OptStaffId": "o".repeat(300),
    });
    let event = Event::parse(message.to_string()).expect("an event");
    assert_eq!(event.userids, [longest, "工号 7".to_owned()]);
    assert_eq!(event.operator_userid, None);
}
