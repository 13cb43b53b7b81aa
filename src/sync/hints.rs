//! Which objects an event marks (`events.md §4.2`, and the names of third-party applications in `§4.3`).

use tracing::error;

use crate::dingtalk::event::Event;
use crate::lane::Lane;
use crate::store::{CATALOGUE, Cause, Doubt, Expectations, Hint, Kind, Provenance};

/// The root department carries the organisation's name.
pub(super) const ROOT: i64 = 1;

/// The hints of an event. An unknown event marks nothing; it is stored all the same.
pub fn classify(event: &Event) -> Vec<Hint> {
    // A role can be taken from a person by its deletion, of which another event tells: what a read then shows of roles
    // cannot be said to be this event's doing.
    let doubt = if event.event_type.starts_with("label_user_") { Doubt::Several } else { Doubt::OneEvent };
    let hint = |kind: Kind, object_id: String, expects: Expectations| Hint {
        kind,
        object_id,
        lane: Lane::Live,
        expects,
        doubt,
        provenance: Provenance {
            cause: Cause::Event,
            event_id: event.event_id.clone(),
            operator_userid: event.operator_userid.clone(),
        },
        run_id: 0,
    };
    let people = |expects: Expectations| -> Vec<Hint> {
        event.userids.iter().map(|userid| hint(Kind::Employee, userid.clone(), expects)).collect()
    };
    let departments = |expects: Expectations| -> Vec<Hint> {
        event.dept_ids.iter().map(|id| hint(Kind::Department, id.to_string(), expects)).collect()
    };
    let catalogue = || hint(Kind::RoleCatalogue, CATALOGUE.to_owned(), Expectations::CHANGED);
    let role_members = || {
        let labels = event.label_ids.iter();
        labels.map(|id| hint(Kind::RoleMembers, id.to_string(), Expectations::CHANGED))
    };
    match event.event_type.as_str() {
        "user_add_org" => people(Expectations::PRESENT),
        "user_modify_org" | "user_active_org" | "org_admin_add" | "org_admin_remove" | "user_dept_change"
        | "user_role_change" => people(Expectations::CHANGED),
        "user_leave_org" => people(Expectations::GONE),
        "org_dept_create" => departments(Expectations::PRESENT),
        "org_dept_modify" => departments(Expectations::CHANGED),
        "org_dept_remove" => departments(Expectations::GONE),
        "org_change" | "org_update" | "org_remove" => {
            if event.event_type == "org_remove" {
                tell_dissolved(event);
            }
            vec![hint(Kind::Department, ROOT.to_string(), Expectations::CHANGED)]
        }
        "label_user_change" | "label_user_scope_change" => {
            people(Expectations::CHANGED).into_iter().chain(role_members()).collect()
        }
        "label_conf_add" | "label_conf_modify" | "label_conf_del" | "org_role_add" | "org_role_modify"
        | "org_role_remove" => vec![catalogue()],
        _ => Vec::new(),
    }
}

/// A dissolved organisation answers nothing any more; that is no reason to delete it here.
fn tell_dissolved(event: &Event) {
    error!(
        corp_id = event.corp_id,
        "DingTalk says that the organisation is dissolved (org_remove). Nothing is deleted for that: all rows stay as \
         they are. If it is true, set `enabled = false` for it; if not, ask DingTalk at once"
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    fn marked(message: &str) -> Vec<(Kind, String)> {
        let event = Event::parse(message.to_owned()).unwrap();
        classify(&event).into_iter().map(|hint| (hint.kind, hint.object_id)).collect()
    }

    #[test]
    fn every_shape_of_an_event_marks_the_same_people() {
        let expected = [(Kind::Employee, "0017".to_owned()), (Kind::Employee, "b".to_owned())];
        assert_eq!(
            marked(r#"{"EventType":"user_modify_org","UserId":["0017","b"],"TimeStamp":"1767225600123"}"#),
            expected
        );
        assert_eq!(
            marked(
                r#"{"EventType":"user_modify_org","eventId":"e","userId":["0017","b"],"timeStamp":1767225600}"#
            ),
            expected
        );
        assert_eq!(marked(r#"{"EventType":"user_modify_org","userId":"0017"}"#), expected[..1]);
    }

    #[test]
    fn departments_come_as_numbers_texts_and_scalars() {
        let expected = [(Kind::Department, "42".to_owned())];
        for ids in ["[42]", "[\"42\"]", "42", "\"42\""] {
            assert_eq!(
                marked(&format!(r#"{{"EventType":"org_dept_modify","DeptId":{ids}}}"#)),
                expected,
                "{ids}"
            );
        }
    }

    #[test]
    fn a_role_given_marks_the_person_and_the_role_s_members() {
        let message = r#"{"EventType":"label_user_change","UserIdList":["u1"],"LabelIdList":[3100000001],"action":"add"}"#;
        let expected = [(Kind::Employee, "u1".to_owned()), (Kind::RoleMembers, "3100000001".to_owned())];
        assert_eq!(marked(message), expected);
    }

    #[test]
    fn an_organisation_s_change_marks_the_root_and_an_unknown_event_nothing() {
        assert_eq!(marked(r#"{"EventType":"org_change"}"#), [(Kind::Department, "1".to_owned())]);
        assert_eq!(marked(r#"{"EventType":"brand_new_event","userId":["u1"]}"#), []);
    }
}
