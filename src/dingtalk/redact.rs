//! Takes what is personal out of decrypted messages. Events of internal applications carry it in `diffInfo`, those of
//! third-party applications as a whole person (`events.md §4.2`, `§4.3`).
//!
//! Keys are compared without regard to case and underscores, wherever they stand; a text that is JSON is looked into. The
//! keys stay, their values become null. A message in which there is nothing to take away stays as it came, to the byte.

use std::collections::HashSet;

use serde_json::{Map, Value};

use super::lenient;

/// What a person's fields are called in messages, by the columns of the mirror that hold them.
const NAMES: [(&str, &[&str]); 15] = [
    ("unionid", &["unionid"]),
    ("name", &["name", "nick", "nickname"]),
    ("mobile", &["mobile", "mobilephone", "exclusivemobile"]),
    ("state_code", &["statecode"]),
    ("telephone", &["telephone", "tel"]),
    ("email", &["email"]),
    ("org_email", &["orgemail"]),
    ("job_number", &["jobnumber"]),
    ("title", &["title", "position"]),
    ("work_place", &["workplace"]),
    ("remark", &["remark"]),
    ("avatar", &["avatar"]),
    ("extension", &["extension", "extfields", "extattr"]),
    ("hired_date", &["hireddate"]),
    ("is_mobile_hidden", &["hidemobile", "ishide"]),
];

/// Keys under which an object names the people that it is about.
const IDS: [&str; 4] = ["userid", "userids", "useridlist", "staffid"];

/// The message without the values of these columns; `None` where it has none.
pub fn without_fields(message: &str, columns: &[&str]) -> Option<String> {
    if columns.is_empty() {
        return None;
    }
    let names: HashSet<&str> = NAMES
        .iter()
        .filter(|(column, _)| columns.contains(column))
        .flat_map(|(_, names)| names.iter().copied())
        .collect();
    rewritten(message, |document| take_fields(document, &names))
}

/// The message without whatever is personal of these people; `None` where it has nothing.
pub fn without_people(message: &str, userids: &[String]) -> Option<String> {
    if !userids.iter().any(|userid| message.contains(userid.as_str())) {
        return None;
    }
    let names: HashSet<&str> = NAMES.iter().flat_map(|(_, names)| names.iter().copied()).collect();
    rewritten(message, |document| take_people(document, &names, userids, false))
}

fn rewritten(message: &str, take: impl FnOnce(&mut Value) -> bool) -> Option<String> {
    let object: Map<String, Value> = lenient::from_slice(message.as_bytes()).ok()?;
    let mut document = Value::Object(object);
    take(&mut document).then(|| document.to_string())
}

fn plain(key: &str) -> String {
    key.chars().filter(|character| *character != '_').flat_map(char::to_lowercase).collect()
}

/// Looks into a text that is a document; true if that changed it.
fn within_text(text: &mut String, take: impl FnOnce(&mut Value) -> bool) -> bool {
    if !text.trim_start().starts_with(['{', '[']) {
        return false;
    }
    let Ok(mut document) = serde_json::from_str::<Value>(text) else { return false };
    let changed = take(&mut document);
    if changed {
        *text = document.to_string();
    }
    changed
}

fn clear(value: &mut Value) -> bool {
    let was_given = !value.is_null();
    *value = Value::Null;
    was_given
}

fn take_fields(value: &mut Value, names: &HashSet<&str>) -> bool {
    let mut changed = false;
    match value {
        Value::Object(fields) => {
            for (key, value) in fields {
                changed |= if names.contains(plain(key).as_str()) {
                    clear(value)
                } else {
                    take_fields(value, names)
                };
            }
        }
        Value::Array(items) => {
            for item in items {
                changed |= take_fields(item, names);
            }
        }
        Value::String(text) => changed = within_text(text, |document| take_fields(document, names)),
        _ => {}
    }
    changed
}

/// `is_theirs` says whether what stands around the value is about one of the people.
fn take_people(value: &mut Value, names: &HashSet<&str>, userids: &[String], is_theirs: bool) -> bool {
    let mut changed = false;
    match value {
        Value::Object(fields) => {
            let named: Vec<String> = fields
                .iter()
                .filter(|(key, _)| IDS.contains(&plain(key).as_str()))
                .flat_map(|(_, ids)| texts(ids))
                .collect();
            let is_theirs =
                if named.is_empty() { is_theirs } else { named.iter().any(|id| userids.contains(id)) };
            for (key, value) in fields {
                let key = plain(key);
                changed |= if is_theirs && names.contains(key.as_str()) {
                    clear(value)
                } else if is_theirs && matches!(key.as_str(), "prev" | "curr") {
                    take_everything(value)
                } else {
                    take_people(value, names, userids, is_theirs)
                };
            }
        }
        Value::Array(items) => {
            for item in items {
                changed |= take_people(item, names, userids, is_theirs);
            }
        }
        Value::String(text) => {
            changed = within_text(text, |document| take_people(document, names, userids, is_theirs));
        }
        _ => {}
    }
    changed
}

/// Every value of a difference: all of them are the person's.
fn take_everything(value: &mut Value) -> bool {
    match value {
        Value::Object(fields) => fields.iter_mut().fold(false, |changed, (_, value)| clear(value) || changed),
        value => clear(value),
    }
}

fn texts(ids: &Value) -> Vec<String> {
    match ids {
        Value::String(id) => vec![id.clone()],
        Value::Number(id) => vec![id.to_string()],
        Value::Array(items) => items.iter().flat_map(texts).collect(),
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ARRAY: &str = r#"{"EventType":"user_modify_org","UserId":["a","b"],"diffInfo":[{"userid":"a","prev":{"email":"a@x","workPlace":"杭州"},"curr":{"email":"b@x"}},{"userid":"b","prev":{"email":"c@x"},"curr":{}}]}"#;

    fn people(ids: &[&str]) -> Vec<String> {
        ids.iter().map(|&id| id.to_owned()).collect()
    }

    #[test]
    fn fields_go_wherever_they_stand_and_everything_else_stays() {
        let redacted = without_fields(ARRAY, &["email"]).unwrap();
        assert!(!redacted.contains("@x"), "{redacted}");
        assert!(redacted.contains("杭州") && redacted.contains(r#""email":null"#), "{redacted}");
        let text = r#"{"diffInfo":"{\"prev\":{\"jobNumber\":\"J-1\"},\"userid\":\"a\"}"}"#;
        assert!(!without_fields(text, &["job_number"]).unwrap().contains("J-1"));
        let whole = r#"{"syncAction":"user_modify_org","userid":"a","jobnumber":"J-1","position":"CTO"}"#;
        let redacted = without_fields(whole, &["job_number", "title"]).unwrap();
        assert_eq!(
            redacted,
            r#"{"jobnumber":null,"position":null,"syncAction":"user_modify_org","userid":"a"}"#
        );
    }

    #[test]
    fn a_message_without_them_stays_as_it_came() {
        assert_eq!(without_fields(ARRAY, &["mobile"]), None);
        assert_eq!(without_fields(ARRAY, &[]), None);
        assert_eq!(without_fields("no JSON", &["mobile"]), None);
        assert_eq!(without_people(ARRAY, &people(&["c"])), None);
    }

    #[test]
    fn only_what_is_about_a_person_goes_with_him() {
        let redacted = without_people(ARRAY, &people(&["a"])).unwrap();
        assert!(
            !redacted.contains("a@x") && !redacted.contains("b@x") && !redacted.contains("杭州"),
            "{redacted}"
        );
        assert!(redacted.contains("c@x"), "{redacted}");
        let object =
            r#"{"userId":["a"],"optStaffId":"c","diffInfo":{"prev":{"name":"张三"},"curr":{"name":"李四"}}}"#;
        let redacted = without_people(object, &people(&["a"])).unwrap();
        assert_eq!(
            redacted,
            r#"{"diffInfo":{"curr":{"name":null},"prev":{"name":null}},"optStaffId":"c","userId":["a"]}"#
        );
        let operator = r#"{"userId":["b"],"optStaffId":"a","diffInfo":{"prev":{"name":"张三"}}}"#;
        assert_eq!(without_people(operator, &people(&["a"])), None);
    }
}
