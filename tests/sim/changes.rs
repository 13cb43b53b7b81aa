//! What changes do to the organisation, which events tell them, and random life.

use std::collections::{BTreeMap, BTreeSet};

use dingsync::sim::{
    Change, ChangeError, Field, Happening, Kind, Options, Plan, PushSettings, Shape, Subject,
};
use serde_json::{Value, json};

use crate::api::{Api, items, number, small, start, text};
use crate::receiver::Receiver;

/// A simulator whose events are looked at in the documented form.
struct Told {
    api: Api,
    receiver: Receiver,
}

impl Told {
    async fn start() -> Self {
        let push = PushSettings { shape: Shape::Documented, ..PushSettings::default() };
        let api = start(Options { users: 200, push, ..small() }).await;
        let receiver = Receiver::start(&api.sim.credentials()).await;
        api.sim.set_callback(Some(receiver.url.clone()));
        Self { api, receiver }
    }

    /// Makes a change and gives the bodies of its events by type, in the order of the happening.
    async fn change(&self, change: &Change) -> (Happening, Vec<(String, Value)>) {
        let happening = self.api.sim.change(change).expect("possible");
        self.api.sim.settled().await;
        let mut pushes: Vec<(String, Value)> =
            self.receiver.taken().into_iter().map(|push| (push.topic().to_owned(), push.message)).collect();
        // Deliveries run side by side: sort them back.
        let place = |topic: &str| happening.events.iter().position(|name| *name == topic);
        pushes.sort_by_key(|(topic, _)| place(topic));
        assert_eq!(pushes.len(), happening.events.len());
        (happening, pushes)
    }

    async fn topics(&self, change: &Change) -> Vec<String> {
        self.change(change).await.1.into_iter().map(|(topic, _)| topic).collect()
    }

    fn truth(&self, subject: Subject, key: &str, id: &Value) -> Option<Value> {
        self.api.sim.truth(subject).find(|line| line[key] == *id)
    }

    fn user(&self, userid: &str) -> Option<Value> {
        self.truth(Subject::Users, "userid", &json!(userid))
    }

    fn department(&self, dept_id: i64) -> Option<Value> {
        self.truth(Subject::Departments, "dept_id", &json!(dept_id))
    }
}

#[tokio::test]
async fn people_come_and_go() {
    let told = Told::start().await;
    let join =
        Change::PersonJoin { userid: Some("neu".into()), name: Some("钱七".into()), departments: vec![1] };
    let (happening, events) = told.change(&join).await;
    assert_eq!((happening.kind, &*happening.name), (Kind::PersonJoin, "钱七"));
    assert_eq!(happening.events, ["user_add_org", "user_modify_org"]);
    assert!(events.iter().all(|(_, body)| body["userId"] == json!(["neu"])));
    let unionid = told.user("neu").expect("there")["unionid"].clone();
    assert_eq!(told.api.sim.change(&join), Err(ChangeError::Refused("the userid is taken")));

    assert_eq!(told.topics(&Change::PersonLeave { userid: "neu".into() }).await, ["user_leave_org"]);
    assert!(told.user("neu").is_none());
    let topics = told.topics(&Change::PersonReturn { userid: "neu".into() }).await;
    assert_eq!(topics, ["user_add_org", "user_modify_org"]);
    assert_eq!(told.user("neu").expect("back")["unionid"], unionid);

    let (happening, _) =
        told.change(&Change::PersonRecycle { userid: "neu".into(), name: Some("孙八".into()) }).await;
    assert_eq!(happening.events, ["user_leave_org", "user_add_org", "user_modify_org"]);
    assert_eq!(happening.former_name.as_deref(), Some("钱七"));
    let successor = told.user("neu").expect("another one");
    assert_eq!(successor["name"], json!("孙八"));
    assert_ne!(successor["unionid"], unionid);
    let again = Change::PersonReturn { userid: "neu".into() };
    assert_eq!(told.api.sim.change(&again), Err(ChangeError::NoLeaver("neu".into())));

    let (happening, events) = told.change(&Change::PeopleImport { count: 7, departments: vec![1] }).await;
    assert_eq!(happening.people.len(), 7);
    assert_eq!(events[0].1["userId"], json!(happening.people), "one event names them all");
    let main = Change::PersonLeave { userid: "manager0001".into() };
    assert!(matches!(told.api.sim.change(&main), Err(ChangeError::Refused(_))));
}

#[tokio::test]
async fn whoever_leaves_leaves_his_offices_too() {
    let told = Told::start().await;
    let dept_id = told.user("00017").expect("there")["departments"][0]["dept_id"].as_i64().unwrap();
    let managers = |userids: &[&str]| Change::DepartmentManagers {
        dept_id,
        userids: userids.iter().map(ToString::to_string).collect(),
    };
    told.change(&managers(&[])).await;
    let (_, events) = told.change(&managers(&["00017"])).await;
    let topics: Vec<&str> = events.iter().map(|(topic, _)| &**topic).collect();
    assert_eq!(topics, ["org_dept_modify", "user_modify_org", "label_user_change"]);
    assert_eq!((&events[0].1["deptId"], &events[1].1["userId"]), (&json!([dept_id]), &json!(["00017"])));
    assert_eq!(events[2].1["action"], json!("add"));
    let duty = told.truth(Subject::Roles, "name", &json!("主管")).expect("built in");
    assert_eq!(events[2].1["labelIdList"], json!([duty["role_id"]]));
    let users = told.user("00017").expect("there");
    assert_eq!(users["departments"][0]["leader"], json!(true));
    assert!(items(&users["roles"]).iter().any(|role| role["role_id"] == duty["role_id"]));

    told.change(&Change::PersonManager { userid: "00018".into(), manager: Some("00017".into()) }).await;
    let (happening, _) = told.change(&Change::PersonLeave { userid: "00017".into() }).await;
    assert_eq!(happening.events, ["user_leave_org", "org_dept_modify", "user_modify_org"]);
    assert_eq!(told.department(dept_id).expect("there")["managers"], json!([]));
    assert_eq!(told.user("00018").expect("there")["manager"], Value::Null);
}

#[tokio::test]
async fn people_are_edited_one_by_one_and_together() {
    let told = Told::start().await;
    let edit = |field, value: &str| Change::PersonEdit { userid: "00017".into(), field, value: value.into() };
    assert_eq!(told.topics(&edit(Field::Title, "班长")).await, ["user_modify_org"]);
    assert_eq!(
        told.topics(&edit(Field::Avatar, "https://example.com/a.jpg")).await,
        [""; 0],
        "pictures are silent"
    );
    assert_eq!(told.topics(&edit(Field::HiredDate, "1988-07-15")).await, ["user_modify_org"]);
    let user = told.user("00017").expect("there");
    assert_eq!((&user["title"], &user["hired_on"]), (&json!("班长"), &json!("1988-07-15")));
    assert_eq!(user["hired_ms"], json!(584_895_600_000_i64), "midnight of summer time");
    let clear = |field| Change::PersonClear { userid: "00017".into(), field };
    assert_eq!(told.topics(&clear(Field::Title)).await, ["user_modify_org"]);
    assert_eq!(told.user("00017").expect("there")["title"], Value::Null);
    assert!(told.api.sim.change(&clear(Field::HiredDate)).is_err());
    let mobile = told.user("00018").expect("there")["mobile"].as_str().unwrap().to_owned();
    assert!(told.api.sim.change(&edit(Field::Mobile, &mobile)).is_err(), "a mobile is unique");

    let all = ["00017", "00018", "00019"].map(str::to_owned).to_vec();
    let together =
        Change::PeopleEdit { userids: all.clone(), field: Field::WorkPlace, value: "新楼".into() };
    let (_, events) = told.change(&together).await;
    assert_eq!(events.len(), 1);
    assert_eq!(events[0].1["userId"], json!(all));

    let departments: Vec<i64> =
        told.api.sim.truth(Subject::Departments).map(|line| number(&line["dept_id"])).take(3).collect();
    let moved = Change::PersonMove { userid: "00018".into(), departments: departments.clone() };
    assert!(told.topics(&moved).await.contains(&"user_modify_org".to_owned()));
    let places = told.user("00018").expect("there")["departments"].clone();
    let places: Vec<i64> = places.as_array().unwrap().iter().map(|place| number(&place["dept_id"])).collect();
    assert_eq!(places, departments);
    let nowhere = Change::PersonMove { userid: "00018".into(), departments: vec![] };
    assert!(told.api.sim.change(&nowhere).is_err());

    let asleep =
        told.api.sim.truth(Subject::Users).find(|user| user["active"] == json!(false)).expect("somebody");
    let wake = Change::PersonActivate { userid: text(&asleep["userid"]).into() };
    assert_eq!(told.topics(&wake).await, ["user_active_org"]);
    assert!(told.api.sim.change(&wake).is_err());

    let on = Change::AdminOn { userid: "00019".into() };
    assert_eq!(told.topics(&on).await, ["org_admin_add", "label_user_change"]);
    let off = Change::AdminOff { userid: "00019".into() };
    assert_eq!(told.topics(&off).await, ["org_admin_remove", "label_user_change"]);
}

#[tokio::test]
async fn departments_come_move_and_go() {
    let told = Told::start().await;
    let create = |name: &str, parent_id| Change::DepartmentCreate { name: name.into(), parent_id };
    let (happening, events) = told.change(&create("上层", 1)).await;
    let top = happening.departments[0];
    assert_eq!((&*events[0].0, &events[0].1["deptId"]), ("org_dept_create", &json!([top])));
    let middle = told.change(&create("中层", top)).await.0.departments[0];
    let bottom = told.change(&create("下层", middle)).await.0.departments[0];
    for refused in [create("上层", 1), create("a-b", 1), create("a，b", 1), create("", 1), create("x", 999)]
    {
        assert!(told.api.sim.change(&refused).is_err(), "{refused:?}");
    }
    let rename = Change::DepartmentRename { dept_id: middle, name: "改名".into() };
    assert_eq!(told.topics(&rename).await, ["org_dept_modify"]);

    let target = told.change(&create("去处", 1)).await.0.departments[0];
    let (_, events) = told.change(&Change::DepartmentMove { dept_id: middle, parent_id: target }).await;
    assert_eq!(events.len(), 1, "only the moved one is told");
    assert_eq!((&*events[0].0, &events[0].1["deptId"]), ("org_dept_modify", &json!([middle])));
    assert_eq!(told.department(middle).expect("there")["parent_id"], json!(target));
    assert!(told.api.sim.change(&Change::DepartmentMove { dept_id: middle, parent_id: bottom }).is_err());

    told.change(&Change::PersonMove { userid: "00017".into(), departments: vec![bottom] }).await;
    told.change(&Change::PersonMove { userid: "00018".into(), departments: vec![bottom, target] }).await;
    told.change(&Change::DepartmentManagers { dept_id: bottom, userids: vec!["00017".into()] }).await;
    let remove = |evacuate| Change::DepartmentRemove { dept_id: middle, evacuate };
    assert!(told.api.sim.change(&remove(false)).is_err(), "it has members");
    let (_, events) = told.change(&remove(true)).await;
    let topics: Vec<&str> = events.iter().map(|(topic, _)| &**topic).collect();
    assert_eq!(topics, ["user_modify_org", "label_user_change", "org_dept_remove"]);
    assert_eq!(events[2].1["deptId"], json!([middle, bottom]), "with the cascaded children");
    assert!(told.department(bottom).is_none());
    for userid in ["00017", "00018"] {
        let places = told.user(userid).expect("there")["departments"].clone();
        assert_eq!((places.as_array().unwrap().len(), &places[0]["dept_id"]), (1, &json!(target)));
    }
    for root in [
        Change::DepartmentRemove { dept_id: 1, evacuate: true },
        Change::DepartmentRename { dept_id: 1, name: "x".into() },
    ] {
        assert!(told.api.sim.change(&root).is_err());
    }
    let topics = told.topics(&Change::OrganisationRename { name: "新集团".into() }).await;
    assert_eq!(topics, ["org_change", "org_dept_modify"]);
    assert_eq!(told.department(1).expect("the root")["name"], json!("新集团"));
}

#[tokio::test]
async fn roles_are_told_as_labels() {
    let told = Told::start().await;
    let (happening, events) = told.change(&Change::RoleGroupCreate { name: "新组".into() }).await;
    let group_id = happening.role_groups[0];
    assert_eq!((&*events[0].0, &events[0].1["labelIdList"]), ("label_conf_add", &json!([group_id])));
    assert_eq!(events[0].1["scope"], json!("1"));
    let create = Change::RoleCreate { group_id, name: "新角色".into() };
    let role_id = told.change(&create).await.0.roles[0];
    assert!(told.api.sim.change(&create).is_err(), "the name is taken");

    let (_, events) = told.change(&Change::RoleRename { role_id, name: "旧角色".into() }).await;
    assert_eq!(events[0].0, "label_conf_modify");
    let label = |key: &str| -> Value {
        let text = events[0].1[key][0].as_str().expect("JSON as text");
        serde_json::from_str(text).expect("JSON")
    };
    assert_eq!(
        (&label("preLabelList")["name"], &label("postLabelList")["name"]),
        (&json!("新角色"), &json!("旧角色"))
    );
    assert_eq!(label("postLabelList")["parentId"], json!(group_id));

    let both = ["00017", "00018"].map(str::to_owned).to_vec();
    let give = Change::RoleGive { role_id, userids: both.clone() };
    let (_, events) = told.change(&give).await;
    assert_eq!(events[0].1["userIdList"], json!(both));
    assert_eq!((&events[0].1["labelIdList"], &events[0].1["action"]), (&json!([role_id]), &json!("add")));
    assert_eq!(told.topics(&give).await, [""; 0], "giving twice is harmless");
    let scope = Change::RoleScope { userid: "00017".into(), role_id, departments: vec![1] };
    assert_eq!(told.topics(&scope).await, ["label_user_scope_change"]);
    let take = Change::RoleTake { role_id, userids: vec!["00018".into()] };
    assert_eq!(told.topics(&take).await, ["label_user_change"]);
    assert_eq!(
        told.truth(Subject::Roles, "role_id", &json!(role_id)).expect("there")["members"],
        json!([{"userid": "00017", "manages": [1]}])
    );
    assert!(told.api.sim.change(&Change::RoleGroupDelete { group_id }).is_err(), "it has a role");
    let (_, events) = told.change(&Change::RoleDelete { role_id, silently: false }).await;
    let topics: Vec<&str> = events.iter().map(|(topic, _)| &**topic).collect();
    assert_eq!(topics, ["label_user_change", "label_conf_del"]);
    assert_eq!(told.topics(&Change::RoleGroupDelete { group_id }).await, ["label_conf_del"]);

    let duty = told.truth(Subject::Roles, "name", &json!("负责人")).expect("built in");
    let role_id = number(&duty["role_id"]);
    assert!(told.api.sim.change(&Change::RoleRename { role_id, name: "x".into() }).is_err());
    assert!(told.api.sim.change(&Change::RoleGive { role_id, userids: both }).is_err());
}

/// The rules that hold whatever happens.
fn check_rules(api: &Api) {
    let departments: BTreeMap<i64, Value> =
        api.sim.truth(Subject::Departments).map(|line| (number(&line["dept_id"]), line)).collect();
    let users: BTreeMap<String, Value> =
        api.sim.truth(Subject::Users).map(|line| (text(&line["userid"]).to_owned(), line)).collect();
    let roles: BTreeMap<i64, Value> =
        api.sim.truth(Subject::Roles).map(|line| (number(&line["role_id"]), line)).collect();
    let groups: BTreeSet<i64> =
        api.sim.truth(Subject::RoleGroups).map(|line| number(&line["group_id"])).collect();
    let mut names = BTreeSet::new();
    for department in departments.values() {
        match department["parent_id"].as_i64() {
            None => assert_eq!(department["dept_id"], json!(1)),
            Some(parent) => assert!(departments.contains_key(&parent), "{department}"),
        }
        assert!(names.insert((department["parent_id"].to_string(), department["name"].to_string())));
        for manager in items(&department["managers"]) {
            let person = &users[text(manager)];
            let places = items(&person["departments"]);
            assert!(
                places
                    .iter()
                    .any(|place| place["dept_id"] == department["dept_id"] && place["leader"] == json!(true))
            );
        }
    }
    let (mut mobiles, mut unionids) = (BTreeSet::new(), BTreeSet::new());
    for user in users.values() {
        let places = items(&user["departments"]);
        assert!(
            !places.is_empty()
                && places.iter().all(|place| departments.contains_key(&number(&place["dept_id"])))
        );
        assert!(user["manager"].is_null() || users.contains_key(text(&user["manager"])), "{user}");
        assert!(user["mobile"].is_null() || mobiles.insert(user["mobile"].to_string()), "{user}");
        assert!(unionids.insert(user["unionid"].to_string()), "{user}");
        for role in items(&user["roles"]) {
            assert!(roles.contains_key(&number(&role["role_id"])), "{user}");
            let manages = items(&role["manages"]);
            assert!(manages.iter().all(|id| departments.contains_key(&number(id))), "{user}");
        }
    }
    assert!(roles.values().all(|role| groups.contains(&number(&role["group_id"]))));
}

#[tokio::test]
async fn life_goes_on_within_the_rules_and_can_be_repeated() {
    let lived = async || {
        let api = start(small()).await;
        let mut told = api.sim.subscribe();
        let plan = Plan { count: 3000, interval_ms: 0.0, focus_share: 0.5, focus_objects: 12, kinds: vec![] };
        api.sim.live(&plan);
        api.sim.life_ended().await;
        assert_eq!(api.sim.life().made, 3000);
        check_rules(&api);
        let mut kinds = BTreeSet::new();
        while let Ok(happening) = told.try_recv() {
            kinds.insert(format!("{:?}", happening.kind));
        }
        assert_eq!(kinds.len(), 32, "everything happens: {kinds:?}");
        let subjects = [Subject::Departments, Subject::Users, Subject::Roles, Subject::RoleGroups];
        subjects
            .into_iter()
            .flat_map(|subject| api.sim.truth(subject))
            .map(|line| line.to_string())
            .collect::<Vec<_>>()
    };
    assert_eq!(lived().await, lived().await);
}

#[tokio::test]
async fn life_concentrates_on_a_few_and_does_what_it_is_asked() {
    let api = start(Options { users: 2000, departments: 100, rate: 0, ..Options::default() }).await;
    let mut told = api.sim.subscribe();
    let plan = Plan {
        count: 1000,
        interval_ms: 0.0,
        focus_share: 1.0,
        focus_objects: 5,
        kinds: vec![Kind::PersonRename, Kind::PersonEdit],
    };
    api.sim.live(&plan);
    api.sim.life_ended().await;
    let mut people = BTreeSet::new();
    while let Ok(happening) = told.try_recv() {
        assert!(matches!(happening.kind, Kind::PersonRename | Kind::PersonEdit));
        people.extend(happening.people);
    }
    assert!(people.len() <= 5, "{people:?}");

    let endless = Plan { count: 0, interval_ms: 1.0, ..Plan::default() };
    api.sim.live(&endless);
    told.recv().await.expect("something happens");
    api.sim.end_life();
    api.sim.life_ended().await;
    assert_eq!(api.sim.life().running, 0);
}

/// Answers of a moment ago are made of what changes replaced: whatever happened since, they are those of then.
#[tokio::test]
async fn the_past_is_shown_whole_after_any_changes() {
    let api = start(small()).await;
    let mut paths: Vec<(&str, Value)> = Vec::new();
    for line in api.sim.truth(Subject::Departments) {
        let dept_id = &line["dept_id"];
        paths.push(("/topapi/v2/department/get", json!({"dept_id": dept_id})));
        paths.push(("/topapi/v2/department/listsub", json!({"dept_id": dept_id})));
        paths.push((
            "/topapi/v2/user/list",
            json!({"dept_id": dept_id, "cursor": 0, "size": 100, "contain_access_limit": true}),
        ));
    }
    for line in api.sim.truth(Subject::Users) {
        paths.push(("/topapi/v2/user/get", json!({"userid": line["userid"]})));
        paths.push(("/topapi/user/getbyunionid", json!({"unionid": line["unionid"]})));
        if line["mobile"].is_string() {
            paths.push(("/topapi/v2/user/getbymobile", json!({"mobile": line["mobile"]})));
        }
    }
    for line in api.sim.truth(Subject::Roles) {
        paths
            .push(("/topapi/role/simplelist", json!({"role_id": line["role_id"], "offset": 0, "size": 100})));
    }
    paths.push(("/topapi/role/list", json!({"offset": 0, "size": 200})));
    paths.push(("/topapi/user/count", json!({"only_active": true})));
    paths.push(("/topapi/user/listadmin", json!({})));
    let all = async || {
        let mut answers = Vec::new();
        for (path, body) in &paths {
            answers.push(api.result(path, body.clone()).await);
        }
        answers
    };
    let before = all().await;
    api.clock.advance(10);
    api.sim.live(&Plan { count: 400, interval_ms: 0.0, ..Plan::default() });
    api.sim.life_ended().await;
    api.sim.merge_faults(&json!({"answer_lag_ms": [5, 5]})).unwrap();
    for ((path, body), (then, now)) in paths.iter().zip(before.iter().zip(all().await)) {
        assert_eq!(*then, now, "{path} {body}");
    }
}
