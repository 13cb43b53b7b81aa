//! The invented organisation, and that the API tells the truth about all of it.

use std::collections::{BTreeMap, BTreeSet};

use crate::api::{Api, items, number, small, start, text};
use dingsync::sim::{Options, Plan, Subject};
use serde_json::{Value, json};

fn truth(api: &Api, subject: Subject) -> Vec<Value> {
    api.sim.truth(subject).collect()
}

#[tokio::test]
async fn the_same_seed_gives_the_same_organisation_byte_for_byte() {
    let everything = async |seed: u64| {
        let api = start(Options { seed, ..small() }).await;
        [Subject::Departments, Subject::Users, Subject::Roles, Subject::RoleGroups]
            .into_iter()
            .flat_map(|subject| truth(&api, subject))
            .map(|line| line.to_string())
            .collect::<Vec<String>>()
    };
    let first = everything(7).await;
    assert_eq!(first, everything(7).await);
    assert_ne!(first, everything(8).await);
}

#[tokio::test]
async fn it_may_be_tiny() {
    for (users, departments) in [(0, 1), (1, 1), (3, 2), (0, 30), (60, 1)] {
        let api = start(Options { users, departments, rate: 0, ..Options::default() }).await;
        assert_eq!(truth(&api, Subject::Users).len(), users);
        assert_eq!(truth(&api, Subject::Departments).len(), departments);
        api.sim.live(&Plan { count: 50, interval_ms: 0.0, ..Plan::default() });
        api.sim.life_ended().await;
        assert_eq!(api.sim.life().made, 50, "{users} people, {departments} departments");
    }
}

#[tokio::test]
async fn it_has_everything_that_trips_up_programs() {
    let api = start(Options { users: 3000, departments: 200, rate: 0, ..Options::default() }).await;
    let departments = truth(&api, Subject::Departments);
    let users = truth(&api, Subject::Users);
    let roles = truth(&api, Subject::Roles);
    assert_eq!((departments.len(), users.len()), (200, 3000));

    let parents: BTreeMap<i64, Option<i64>> =
        departments.iter().map(|line| (number(&line["dept_id"]), line["parent_id"].as_i64())).collect();
    let depth = |mut id: i64| {
        let mut levels = 0;
        while let Some(parent) = parents[&id] {
            (id, levels) = (parent, levels + 1);
        }
        levels
    };
    assert!(parents.keys().map(|id| depth(*id)).max().unwrap() >= 8, "a deep tree");
    let siblings: BTreeSet<_> =
        departments.iter().map(|line| (line["parent_id"].to_string(), line["name"].to_string())).collect();
    assert_eq!(siblings.len(), departments.len(), "siblings have different names");

    let mut direct: BTreeMap<i64, usize> = BTreeMap::new();
    for place in users.iter().flat_map(|user| items(&user["departments"])) {
        *direct.entry(number(&place["dept_id"])).or_default() += 1;
    }
    assert!(direct.values().any(|count| *count > 300), "a department of several pages");
    assert!(parents.keys().any(|id| !direct.contains_key(id)), "empty departments");

    let beyond = |value: &Value| value.as_i64().unwrap() > 1 << 53;
    assert!(departments.iter().any(|line| beyond(&line["order"])));
    let places = || users.iter().flat_map(|user| items(&user["departments"]));
    assert!(places().any(|place| beyond(&place["order"])));
    assert!(roles.iter().all(|role| number(&role["role_id"]) > 1 << 31));

    let any = |test: &dyn Fn(&Value) -> bool| users.iter().any(test);
    assert!(any(&|user| user["userid"] == "00017"), "leading zeros");
    assert!(any(&|user| user["userid"] == "Pair207") && any(&|user| user["userid"] == "pair207"));
    assert!(any(&|user| items(&user["departments"]).len() >= 3));
    assert!(any(&|user| !user["active"].as_bool().unwrap()));
    assert!(any(&|user| user["hide_mobile"].as_bool().unwrap()));
    assert!(any(&|user| user["access_restricted"].as_bool().unwrap()));
    assert!(any(&|user| user["dedicated"]["disabled"] == json!(true)));
    assert!(any(&|user| user["title"] == json!("")), "present and empty");
    assert!(any(&|user| user["job_number"].is_null()), "absent");
    assert!(any(&|user| user["manager"].is_string()));
    assert!(any(&|user| {
        let hired = user["hired_on"].as_str().unwrap_or_default();
        ("1986".."1992").contains(&hired) && number(&user["hired_ms"]).rem_euclid(86_400_000) == 54_000_000
    }));
    assert!(any(&|user| {
        let extension = user["extension"].as_str();
        extension.is_some_and(|text| {
            serde_json::from_str::<Value>(text).is_ok_and(|value| value["工位"].is_string())
        })
    }));
    assert!(users.iter().any(|user| text(&user["name"]).chars().any(|c| u32::from(c) > 0xffff)));

    let managers = departments.iter().flat_map(|line| items(&line["managers"]));
    assert!(managers.count() > 20);
    let scoped = |role: &Value| {
        let mut members = items(&role["members"]).iter();
        members.any(|member| !items(&member["manages"]).is_empty())
    };
    assert!(roles.iter().any(scoped), "manageScopes");
    assert!(roles.iter().any(|role| items(&role["members"]).len() > 100), "several pages");
    assert!(roles.iter().any(|role| items(&role["members"]).is_empty()));
    let built_in: BTreeSet<&str> = (roles.iter())
        .filter(|role| role["built_in"] == json!(true))
        .map(|role| text(&role["name"]))
        .collect();
    assert_eq!(built_in, BTreeSet::from(["负责人", "主管", "主管理员", "子管理员"]));
}

/// What a person looks like in `user/get`, made from the truth.
fn expected(user: &Value, roles: &BTreeMap<i64, (String, String)>) -> Value {
    let mut answer = json!({
        "userid": user["userid"], "unionid": user["unionid"], "name": user["name"],
        "hide_mobile": user["hide_mobile"], "active": user["active"], "boss": user["boss"],
        "senior": user["senior"], "real_authed": user["real_authed"],
        "admin": user["admin"] != json!(0), "exclusive_account": user["dedicated"].is_object(),
    });
    let mut set = |key: &str, value: &Value| {
        if !value.is_null() {
            answer[key] = value.clone();
        }
    };
    for key in [
        "avatar",
        "state_code",
        "mobile",
        "telephone",
        "job_number",
        "title",
        "email",
        "org_email",
        "work_place",
        "remark",
        "extension",
    ] {
        set(key, &user[key]);
    }
    set("hired_date", &user["hired_ms"]);
    set("manager_userid", &user["manager"]);
    if user["dedicated"].is_object() {
        set("exclusive_account_type", &user["dedicated"]["kind"]);
        set("login_id", &user["dedicated"]["login_id"]);
        set("nickname", &user["dedicated"]["nickname"]);
        set("disable_status", &user["dedicated"]["disabled"]);
        if user["org_email"].is_string() {
            set("org_email_type", &json!("profession"));
        }
    }
    let each = |shape: &dyn Fn(&Value) -> Value| -> Value {
        items(&user["departments"]).iter().map(shape).collect()
    };
    answer["dept_id_list"] = each(&|place| place["dept_id"].clone());
    answer["dept_order_list"] = each(&|place| json!({"dept_id": place["dept_id"], "order": place["order"]}));
    answer["leader_in_dept"] = each(&|place| json!({"dept_id": place["dept_id"], "leader": place["leader"]}));
    answer["dept_position_list"] = each(&|place| {
        let mut position = json!({"dept_id": place["dept_id"], "is_main": place["main"]});
        for key in ["title", "work_place"] {
            if !place[key].is_null() {
                position[key] = place[key].clone();
            }
        }
        position
    });
    let held = items(&user["roles"]);
    if !held.is_empty() {
        answer["role_list"] = held
            .iter()
            .map(|role| {
                let (name, group) = &roles[&number(&role["role_id"])];
                json!({"id": role["role_id"], "name": name, "group_name": group})
            })
            .collect();
    }
    answer
}

#[tokio::test]
async fn a_full_pull_gives_the_truth() {
    let api = start(Options { users: 700, departments: 40, rate: 0, ..Options::default() }).await;
    let departments = truth(&api, Subject::Departments);
    let users: BTreeMap<String, Value> = truth(&api, Subject::Users)
        .into_iter()
        .map(|user| (text(&user["userid"]).to_owned(), user))
        .collect();

    // Roles first: their names are in people's answers.
    let groups = api.result("/topapi/role/list", json!({"offset": 0, "size": 200})).await;
    let mut roles = BTreeMap::new();
    for group in items(&groups["list"]) {
        for role in items(&group["roles"]) {
            let names = [&role["name"], &group["name"]].map(|name| name.as_str().unwrap().to_owned());
            roles.insert(number(&role["id"]), (names[0].clone(), names[1].clone()));
        }
    }
    assert_eq!(roles.len(), truth(&api, Subject::Roles).len());

    // The tree, from the root down, with every department's members by pages.
    let (mut waiting, mut seen, mut listed) = (vec![1_i64], Vec::new(), BTreeSet::new());
    while let Some(dept_id) = waiting.pop() {
        seen.push(dept_id);
        let children = api.result("/topapi/v2/department/listsub", json!({"dept_id": dept_id})).await;
        let ids: Vec<i64> =
            children.as_array().unwrap().iter().map(|child| number(&child["dept_id"])).collect();
        let by_id = api.result("/topapi/v2/department/listsubid", json!({"dept_id": dept_id})).await;
        assert_eq!(by_id["dept_id_list"], json!(ids));
        waiting.extend(ids);
        let mut cursor = json!(0);
        let mut order = i64::MAX;
        let mut here = Vec::new();
        loop {
            let body =
                json!({"dept_id": dept_id, "cursor": cursor, "size": 100, "contain_access_limit": true});
            let page = api.result("/topapi/v2/user/list", body).await;
            for person in items(&page["list"]) {
                let next = number(&person["dept_order"]);
                assert!(next <= order, "large orders come first");
                order = next;
                let userid = text(&person["userid"]);
                let truth = &users[userid];
                let place = items(&truth["departments"]).iter().find(|place| place["dept_id"] == dept_id);
                let place = place.expect("a member");
                let mut whole = expected(truth, &roles);
                for only_single in [
                    "dept_order_list",
                    "leader_in_dept",
                    "real_authed",
                    "senior",
                    "org_email_type",
                    "manager_userid",
                    "role_list",
                ] {
                    whole.as_object_mut().unwrap().remove(only_single);
                }
                whole["dept_order"] = place["order"].clone();
                whole["leader"] = place["leader"].clone();
                assert_eq!(person, &whole);
                listed.insert(userid.to_owned());
                here.push(userid.to_owned());
            }
            if page["has_more"] == json!(false) {
                assert!(page.get("next_cursor").is_none(), "left out on the last page");
                break;
            }
            cursor = page["next_cursor"].clone();
        }
        let by_id = api.result("/topapi/user/listid", json!({"dept_id": dept_id})).await;
        assert_eq!(by_id["userid_list"], json!(here));
    }
    seen.sort_unstable();
    let ids: Vec<i64> = departments.iter().map(|line| number(&line["dept_id"])).collect();
    assert_eq!(seen, ids);
    assert_eq!(listed, users.keys().cloned().collect());

    for (userid, user) in &users {
        let got = api.result("/topapi/v2/user/get", json!({"userid": userid})).await;
        assert_eq!(got, expected(user, &roles));
    }
    for line in &departments {
        let got = api.result("/topapi/v2/department/get", json!({"dept_id": line["dept_id"]})).await;
        assert_eq!(got["dept_manager_userid_list"], line["managers"]);
        for (theirs, ours) in [
            ("parent_id", "parent_id"),
            ("name", "name"),
            ("order", "order"),
            ("code", "code"),
            ("brief", "brief"),
            ("source_identifier", "source_identifier"),
            ("org_dept_owner", "owner"),
            ("hide_dept", "hidden"),
        ] {
            assert_eq!(got.get(theirs).unwrap_or(&Value::Null), &line[ours], "{theirs}");
        }
    }
    let count = api.result("/topapi/user/count", json!({"only_active": false})).await;
    assert_eq!(count["count"], json!(700));
    let active = users.values().filter(|user| user["active"] == json!(true)).count();
    let count = api.result("/topapi/user/count", json!({"only_active": "true"})).await;
    assert_eq!(count["count"], json!(active));
}

#[tokio::test]
async fn roles_and_their_members_are_told_in_pages() {
    let api = start(Options { users: 700, departments: 40, rate: 0, ..Options::default() }).await;
    let mut groups = Vec::new();
    let mut offset = 0;
    loop {
        let page = api.result("/topapi/role/list", json!({"offset": offset, "size": 2})).await;
        groups.extend_from_slice(items(&page["list"]));
        if page["hasMore"] == json!(false) {
            assert!(page.get("nextCursor").is_none());
            break;
        }
        assert_eq!(page["nextCursor"], json!(offset + 2));
        offset += 2;
    }
    assert_eq!(groups.len(), truth(&api, Subject::RoleGroups).len());
    assert_eq!(groups[0]["name"], json!("默认"));
    assert!(groups.iter().any(|group| items(&group["roles"]).is_empty()), "a group without roles");

    for role in truth(&api, Subject::Roles) {
        let mut members = Vec::new();
        let mut offset = 0;
        loop {
            let body = json!({"role_id": role["role_id"], "offset": offset, "size": 20});
            let page = api.result("/topapi/role/simplelist", body).await;
            for member in items(&page["list"]) {
                let scopes = member["manageScopes"].as_array().cloned().unwrap_or_default();
                let manages: Vec<&Value> = scopes.iter().map(|scope| &scope["dept_id"]).collect();
                members.push(json!({"userid": member["userid"], "manages": manages}));
            }
            if page["hasMore"] == json!(false) {
                break;
            }
            offset = number(&page["nextCursor"]);
        }
        assert_eq!(json!(members), role["members"], "{}", role["name"]);
        let got = api.post("/topapi/role/getrole", json!({"roleId": role["role_id"]})).await;
        assert_eq!(got["role"], json!({"name": role["name"], "groupId": role["group_id"]}));
        let group = api.post("/topapi/role/getrolegroup", json!({"group_id": role["group_id"]})).await;
        let listed = items(&group["role_group"]["roles"]);
        assert!(listed.contains(&json!({"role_id": role["role_id"], "role_name": role["name"]})));
    }
    let admins = api.result("/topapi/user/listadmin", json!({})).await;
    assert!(admins.as_array().unwrap().contains(&json!({"userid": "manager0001", "sys_level": 1})));
}

#[tokio::test]
async fn look_ups_and_lines_of_parents() {
    let api = start(small()).await;
    let user = truth(&api, Subject::Users)
        .into_iter()
        .find(|user| user["mobile"].is_string() && items(&user["departments"]).len() > 1)
        .expect("somebody in two departments");
    let found = api.result("/topapi/v2/user/getbymobile", json!({"mobile": user["mobile"]})).await;
    assert_eq!(found, json!({"userid": user["userid"]}));
    let found = api.result("/topapi/user/getbyunionid", json!({"unionid": user["unionid"]})).await;
    assert_eq!(found, json!({"userid": user["userid"], "contact_type": 0}));
    let lines = api.result("/topapi/v2/department/listparentbyuser", json!({"userid": user["userid"]})).await;
    let lines = items(&lines["parent_list"]);
    for (line, place) in lines.iter().zip(items(&user["departments"])) {
        let line = items(&line["parent_dept_id_list"]);
        assert_eq!((&line[0], line.last().unwrap()), (&place["dept_id"], &json!(1)));
        let same =
            api.result("/topapi/v2/department/listparentbydept", json!({"dept_id": place["dept_id"]})).await;
        assert_eq!(same["parent_id_list"], json!(line));
    }
    let tree = api.classic("/department/list", "fetch_child=true&id=1").await;
    assert_eq!(items(&tree["department"]).len(), 25, "{tree}");
}

#[tokio::test]
async fn members_are_ordered_as_asked_and_restricted_ones_shown_on_request() {
    let api = start(Options { users: 900, departments: 12, rate: 0, ..Options::default() }).await;
    let users = truth(&api, Subject::Users);
    let restricted = users.iter().find(|user| user["access_restricted"] == json!(true)).expect("somebody");
    let dept_id = &restricted["departments"][0]["dept_id"];
    let userids = async |extra: Value| {
        let mut found = Vec::new();
        let mut cursor = json!(0);
        loop {
            let mut body = json!({"dept_id": dept_id, "cursor": cursor, "size": 100});
            body.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
            let page = api.result("/topapi/user/listsimple", body).await;
            found.extend(items(&page["list"]).iter().map(|item| item["userid"].clone()));
            if page["has_more"] == json!(false) {
                return found;
            }
            cursor = page["next_cursor"].clone();
        }
    };
    assert!(!userids(json!({})).await.contains(&restricted["userid"]));
    let shown = userids(json!({"contain_access_limit": "true"})).await;
    assert!(shown.contains(&restricted["userid"]));
    let mut reversed = userids(json!({"contain_access_limit": true, "order_field": "entry_desc"})).await;
    reversed.reverse();
    let forward = userids(json!({"contain_access_limit": true, "order_field": "entry_asc"})).await;
    assert_eq!(forward, reversed);
    assert_ne!(forward, shown);
}
