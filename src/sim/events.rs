//! Events and the shapes in which they travel (`events.md §4.2`, `§5.1`).

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::model::{Person, Role, RoleGroup, Userid};

/// What an event says happened; the names are those of the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Topic {
    UserAdd,
    UserModify,
    UserLeave,
    UserActive,
    AdminAdd,
    AdminRemove,
    DepartmentCreate,
    DepartmentModify,
    DepartmentRemove,
    OrganisationChange,
    LabelUserChange,
    LabelAdd,
    LabelModify,
    LabelDelete,
    LabelScopeChange,
}

impl Topic {
    /// Every topic: what an application can subscribe to.
    pub(crate) const ALL: [Self; 15] = [
        Self::UserAdd,
        Self::UserModify,
        Self::UserLeave,
        Self::UserActive,
        Self::AdminAdd,
        Self::AdminRemove,
        Self::DepartmentCreate,
        Self::DepartmentModify,
        Self::DepartmentRemove,
        Self::OrganisationChange,
        Self::LabelUserChange,
        Self::LabelAdd,
        Self::LabelModify,
        Self::LabelDelete,
        Self::LabelScopeChange,
    ];

    /// The `EventType`, also called tag.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::UserAdd => "user_add_org",
            Self::UserModify => "user_modify_org",
            Self::UserLeave => "user_leave_org",
            Self::UserActive => "user_active_org",
            Self::AdminAdd => "org_admin_add",
            Self::AdminRemove => "org_admin_remove",
            Self::DepartmentCreate => "org_dept_create",
            Self::DepartmentModify => "org_dept_modify",
            Self::DepartmentRemove => "org_dept_remove",
            Self::OrganisationChange => "org_change",
            Self::LabelUserChange => "label_user_change",
            Self::LabelAdd => "label_conf_add",
            Self::LabelModify => "label_conf_modify",
            Self::LabelDelete => "label_conf_del",
            Self::LabelScopeChange => "label_user_scope_change",
        }
    }
}

/// Whom or what an event names.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Subject {
    People {
        userids: Vec<Userid>,
        /// One entry for `diffInfo`, where one person's known fields changed.
        diff: Option<Value>,
    },
    Departments(Vec<i64>),
    Organisation,
    Membership {
        userids: Vec<Userid>,
        labels: Vec<i64>,
        /// The documents show `add` alone; `remove` for the opposite is a guess.
        action: &'static str,
    },
    Labels {
        ids: Vec<i64>,
        /// JSON texts of the labels before and after; for a modification alone.
        change: Option<(Vec<String>, Vec<String>)>,
    },
}

/// An event before it has a shape.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Event {
    pub(crate) topic: Topic,
    /// When it happened, milliseconds UTC by DingTalk's clock.
    pub(crate) at: i64,
    /// Who did it; missing when a system did.
    pub(crate) operator: Option<Userid>,
    pub(crate) subject: Subject,
}

/// The two forms of a decrypted callback that are documented for internal applications (`events.md §4.1`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Shape {
    /// Shape A, as captured on the wire: keys in `PascalCase`, `TimeStamp` as text, no event id.
    #[serde(alias = "a")]
    Wire,
    /// Shape B, as in today's documents: header with `EventTime`, `BizId` and `eventId`, keys of the body in `lowerCamel`.
    #[serde(alias = "b")]
    Documented,
    /// Either, drawn for each event.
    Mixed,
}

/// Whether and how `user_modify_org` carries `diffInfo` (`events.md §4.2`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DiffInfo {
    /// Left out.
    Absent,
    /// As captured: an array.
    Array,
    /// As drawn in the documents: an object.
    Object,
}

/// How one event is written down.
#[derive(Debug, Clone)]
pub(crate) struct Rendering<'a> {
    pub(crate) documented: bool,
    /// A single id as itself in place of a list of one.
    pub(crate) scalar: bool,
    pub(crate) diff_info: DiffInfo,
    pub(crate) corp_id: &'a str,
    /// For the documented shape.
    pub(crate) event_id: &'a str,
}

impl Event {
    /// The decrypted message.
    pub(crate) fn render(&self, rendering: &Rendering<'_>) -> String {
        let documented = rendering.documented;
        let mut message = Map::new();
        let time = self.at.to_string();
        message.insert("EventType".into(), self.topic.name().into());
        message.insert("CorpId".into(), rendering.corp_id.into());
        if documented {
            message.insert("EventTime".into(), self.at.into());
            message.insert("BizId".into(), time.clone().into());
            message.insert("eventId".into(), rendering.event_id.into());
        } else {
            message.insert("TimeStamp".into(), time.clone().into());
        }
        let key = |name: &str| {
            if documented { name.to_owned() } else { capitalised(name) }
        };
        if documented && self.has_time_in_body() {
            message.insert("timeStamp".into(), time.into());
        }
        if let Some(operator) = &self.operator {
            message.insert(key("optStaffId"), (&**operator).into());
        }
        match &self.subject {
            Subject::People { userids, diff } => {
                message.insert(key("userId"), ids(userids.iter().map(|id| &**id), rendering.scalar));
                if let Some(diff) = diff {
                    match rendering.diff_info {
                        DiffInfo::Absent => {}
                        DiffInfo::Array => {
                            message.insert(key("diffInfo"), json!([diff]));
                        }
                        DiffInfo::Object => {
                            message.insert(key("diffInfo"), diff.clone());
                        }
                    }
                }
            }
            Subject::Departments(departments) => {
                message.insert(key("deptId"), ids(departments.iter().copied(), rendering.scalar));
            }
            Subject::Organisation => {}
            Subject::Membership { userids, labels, action } => {
                let users = userids.iter().map(|id| &**id);
                message.insert(key("userIdList"), ids(users, rendering.scalar));
                message.insert(key("labelIdList"), ids(labels.iter().copied(), rendering.scalar));
                message.insert("action".into(), (*action).into());
            }
            Subject::Labels { ids: labels, change } => {
                message.insert(key("labelIdList"), ids(labels.iter().copied(), rendering.scalar));
                // The documents show no scope for deletions; captures do.
                if self.topic != Topic::LabelDelete || !documented {
                    message.insert(key("scope"), "1".into());
                }
                if let Some((before, after)) = change {
                    message.insert(key("preLabelList"), json!(before));
                    message.insert(key("postLabelList"), json!(after));
                }
            }
        }
        Value::Object(message).to_string()
    }

    /// The documented shape repeats the time in the body of some events only.
    fn has_time_in_body(&self) -> bool {
        matches!(
            self.topic,
            Topic::UserAdd | Topic::UserModify | Topic::UserLeave | Topic::AdminAdd | Topic::AdminRemove
        )
    }

    /// The event in the list of failed ones.
    pub(crate) fn render_failed(&self, shape: FailedShape, corp_id: &str) -> Value {
        let mut detail = match &self.subject {
            Subject::People { userids, .. } => json!({ "userid": userids }),
            Subject::Departments(departments) => json!({ "deptid": departments }),
            Subject::Organisation => json!({}),
            Subject::Membership { userids, labels, action } => {
                json!({ "userIdList": userids, "labelIdList": labels, "action": action })
            }
            Subject::Labels { ids, .. } => json!({ "labelIdList": ids, "scope": "1" }),
        };
        if shape == FailedShape::Nameless {
            detail = json!({});
        }
        let tag = self.topic.name();
        let mut item = json!({ "call_back_tag": tag, "event_time": self.at });
        if shape == FailedShape::Flat {
            if let (Value::Object(item), Value::Object(detail)) = (&mut item, detail) {
                item.extend(detail);
                item.insert("corpid".into(), corp_id.into());
            }
            return item;
        }
        let holder = match &self.subject {
            Subject::People { .. } => None,
            Subject::Membership { .. } | Subject::Labels { .. } => Some("roleLabelChange"),
            Subject::Departments(_) if shape == FailedShape::NestedDirect => None,
            Subject::Departments(_) | Subject::Organisation => Some("callbackData"),
        };
        if let Some(holder) = holder {
            if shape == FailedShape::NestedText {
                detail = Value::String(detail.to_string());
            }
            detail = json!({ holder: detail });
        }
        detail["corpid"] = corp_id.into();
        item[tag] = detail;
        item
    }
}

/// The forms of the list of failed events (`events.md §5.1`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailedShape {
    /// The detail under a key named after the tag, `callbackData` and `roleLabelChange` as objects.
    Nested,
    /// The same with departments' ids next to the corp id.
    NestedDirect,
    /// The same with `callbackData` and `roleLabelChange` as JSON texts.
    NestedText,
    /// The form of 2016, with everything on one level.
    Flat,
    /// As the documents draw most of them: the holder is there, and nothing in it.
    Nameless,
}

fn ids<T: Into<Value>>(mut values: impl ExactSizeIterator<Item = T>, scalar: bool) -> Value {
    if scalar
        && values.len() == 1
        && let Some(only) = values.next()
    {
        return only.into();
    }
    Value::Array(values.map(Into::into).collect())
}

fn capitalised(name: &str) -> String {
    let mut characters = name.chars();
    characters.next().map_or_else(String::new, |first| first.to_uppercase().chain(characters).collect())
}

/// A label as `preLabelList` and `postLabelList` carry it: a JSON text. `parentId` tells a role from a group.
pub(crate) fn role_label(role: &Role, full: bool) -> String {
    label(role.role_id, &role.name, Some(role.group_id), full)
}

/// The same for a role group.
pub(crate) fn group_label(group: &RoleGroup, full: bool) -> String {
    label(group.group_id, &group.name, None, full)
}

fn label(id: i64, name: &str, parent: Option<i64>, full: bool) -> String {
    let mut label = json!({ "id": id, "name": name, "hidden": false, "extraInfo": {} });
    if full {
        label["deleted"] = false.into();
        label["color"] = 0.into();
        label["level"] = i64::from(parent.is_some()).into();
        label["scope"] = 1.into();
    }
    if let Some(parent) = parent {
        label["parentId"] = parent.into();
    }
    label.to_string()
}

/// The entry of `diffInfo` for one person; `None` where none of its fields changed.
pub(crate) fn difference(before: &Person, after: &Person) -> Option<Value> {
    let (previous, current) = (diff_fields(before), diff_fields(after));
    (previous != current).then(|| json!({ "userid": after.userid, "prev": previous, "curr": current }))
}

fn diff_fields(person: &Person) -> Value {
    let hired = person.hired_on.map(|day| day.to_string());
    let fields = [
        ("name", Some(&person.name)),
        ("jobNumber", person.job_number.as_ref()),
        ("email", person.email.as_ref()),
        ("workPlace", person.work_place.as_ref()),
        ("telephone", person.telephone.as_ref()),
        ("remark", person.remark.as_ref()),
        ("hiredDate", hired.as_ref()),
        ("extFields", person.extension.as_ref()),
    ];
    let mut known: Map<String, Value> =
        fields.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?.clone().into()))).collect();
    if let Some(manager) = &person.manager {
        known.insert("managerUserid".into(), (&**manager).into());
    }
    Value::Object(known)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rendering(documented: bool, scalar: bool) -> Rendering<'static> {
        Rendering {
            documented,
            scalar,
            diff_info: DiffInfo::Absent,
            corp_id: "ding0a1b",
            event_id: "3f1c0e5a7b9d42",
        }
    }

    fn event(topic: Topic, subject: Subject) -> Event {
        Event { topic, at: 1_767_225_600_123, operator: Some("manager0001".into()), subject }
    }

    fn parsed(event: &Event, documented: bool, scalar: bool) -> Value {
        serde_json::from_str(&event.render(&rendering(documented, scalar))).unwrap()
    }

    #[test]
    fn a_captured_addition_is_reproduced() {
        let addition = event(
            Topic::UserAdd,
            Subject::People { userids: vec!["staff0001".into(), "staff0002".into()], diff: None },
        );
        assert_eq!(
            parsed(&addition, false, false),
            json!({"CorpId":"ding0a1b","EventType":"user_add_org","UserId":["staff0001","staff0002"],
                   "OptStaffId":"manager0001","TimeStamp":"1767225600123"})
        );
    }

    #[test]
    fn a_documented_addition_is_reproduced() {
        let mut addition =
            event(Topic::UserAdd, Subject::People { userids: vec!["staff0001".into()], diff: None });
        addition.operator = None;
        assert_eq!(
            parsed(&addition, true, false),
            json!({"EventType":"user_add_org","EventTime":1_767_225_600_123_i64,"CorpId":"ding0a1b",
                   "BizId":"1767225600123","eventId":"3f1c0e5a7b9d42","timeStamp":"1767225600123",
                   "userId":["staff0001"]})
        );
    }

    #[test]
    fn a_change_of_roles_keeps_its_lower_case_action() {
        let change = event(
            Topic::LabelUserChange,
            Subject::Membership { userids: vec!["00017".into()], labels: vec![3_100_000_001], action: "add" },
        );
        let wire = parsed(&change, false, true);
        assert_eq!(wire["UserIdList"], json!("00017"));
        assert_eq!(wire["LabelIdList"], json!(3_100_000_001_i64));
        assert_eq!(wire["action"], json!("add"));
        assert!(wire.get("Action").is_none());
    }

    #[test]
    fn departments_carry_their_time_on_the_wire_alone() {
        let removal = event(Topic::DepartmentRemove, Subject::Departments(vec![4, 5]));
        assert_eq!(parsed(&removal, false, false)["TimeStamp"], json!("1767225600123"));
        assert!(parsed(&removal, true, false).get("timeStamp").is_none());
        assert_eq!(parsed(&removal, true, false)["deptId"], json!([4, 5]));
    }

    #[test]
    fn failed_events_take_all_their_forms() {
        let removal = event(Topic::DepartmentRemove, Subject::Departments(vec![4]));
        let head = |extra: Value| {
            let mut item = json!({"call_back_tag":"org_dept_remove","event_time":1_767_225_600_123_i64});
            item["org_dept_remove"] = extra;
            item
        };
        assert_eq!(
            removal.render_failed(FailedShape::Nested, "c"),
            head(json!({"callbackData":{"deptid":[4]},"corpid":"c"}))
        );
        assert_eq!(
            removal.render_failed(FailedShape::NestedText, "c"),
            head(json!({"callbackData":"{\"deptid\":[4]}","corpid":"c"}))
        );
        assert_eq!(
            removal.render_failed(FailedShape::Nameless, "c"),
            head(json!({"callbackData":{},"corpid":"c"}))
        );
        assert_eq!(
            removal.render_failed(FailedShape::NestedDirect, "c"),
            head(json!({"deptid":[4],"corpid":"c"}))
        );
        assert_eq!(
            removal.render_failed(FailedShape::Flat, "c"),
            json!({"call_back_tag":"org_dept_remove","event_time":1_767_225_600_123_i64,"deptid":[4],"corpid":"c"})
        );
    }
}
