//! Limits and faults of the simulated API.

use std::time::Instant;

use crate::api::{faults, items, nested, number, small, start, text};
use dingsync::sim::{AppSettings, Change, Options, Subject};
use serde_json::{Value, json};

const GET_USER: &str = "/topapi/v2/user/get";
const GET_DEPARTMENT: &str = "/topapi/v2/department/get";
const LIST: &str = "/topapi/v2/user/list";

#[tokio::test]
async fn too_many_calls_are_refused_in_three_shapes() {
    let api = start(Options { rate: 3, ..small() }).await;
    let mut codes = Vec::new();
    for _ in 0..8 {
        codes.push(api.post(GET_USER, json!({"userid": "00017"})).await);
    }
    let refused =
        codes.iter().find(|answer| answer["errcode"] == json!(88)).expect("more than three at once");
    assert_eq!(refused["sub_code"], json!("90018"));
    assert!(text(&refused["sub_msg"]).contains("qps流控"), "{refused}");
    assert_eq!(api.code(GET_DEPARTMENT, json!({"dept_id": 1})).await, "0", "each path has its own");
    let mut classic = Vec::new();
    for _ in 0..8 {
        classic.push(api.classic("/auth/scopes", "").await["errcode"].clone());
    }
    assert!(classic.contains(&json!(90018)), "{classic:?}");
    let mut modern = Vec::new();
    for _ in 0..8 {
        let (status, answer) = api.modern("/v1.0/contact/empLeaveRecords").await;
        modern.push((status, answer["code"].as_str().unwrap_or_default().to_owned()));
    }
    let limited = (403, "Forbidden.AccessDenied.QpsLimitForAppkeyAndApi".to_owned());
    assert!(modern.contains(&limited), "{modern:?}");
    let counted = &api.sim.counters().calls[GET_USER];
    assert_eq!(counted.total, 8);
    assert!(counted.results["90018"] >= 1 && counted.results["ok"] >= 3, "{counted:?}");
    assert_eq!(counted.most_in_a_second, 8);

    // Another application has an allowance of its own.
    api.sim.add_app("dingother", "secret", AppSettings::default());
    let other = api.get("/gettoken?appkey=dingother&appsecret=secret").await;
    let mut api = api;
    api.token = text(&other["access_token"]).to_owned();
    assert_eq!(api.code(GET_USER, json!({"userid": "00017"})).await, "0");
}

#[tokio::test]
async fn overload_quota_and_bans_look_as_they_do_in_the_field() {
    let api = start(small()).await;
    faults(
        &api,
        &json!({"overload": {"paths": ["/topapi/v2/department/listsub"], "spell": {"for_ms": 2500}}}),
    );
    let answer = api.post("/topapi/v2/department/listsub", json!({"dept_id": 1})).await;
    assert_eq!(answer["sub_code"], json!("90002"));
    let message = text(&answer["sub_msg"]);
    assert!(message.contains("apiPath(dingtalk.oapi.v2.department.listsub)"), "{message}");
    // It started at 2026-01-01 00:00:00 UTC, eight in the morning in Shanghai.
    assert!(message.ends_with("限制将在 2026-01-01 08:00:03 结束."), "{message}");
    assert_eq!(api.code(GET_USER, json!({"userid": "00017"})).await, "0");
    api.clock.advance(2500);
    assert_eq!(api.code("/topapi/v2/department/listsub", json!({"dept_id": 1})).await, "0");

    faults(&api, &json!({"month_quota_used": true}));
    assert_eq!(api.code(GET_USER, json!({"userid": "00017"})).await, "0", "contacts are not metered");
    let answer = api.classic("/auth/scopes", "").await;
    assert_eq!(answer["errcode"], json!(90020));
    assert!(text(&answer["errmsg"]).contains("额度:5000次"), "{answer}");

    faults(&api, &json!({"ban": {"form": "html"}}));
    let response = api.send(GET_USER, json!({"userid": "00017"})).await.unwrap();
    assert!(response.headers()["content-type"].to_str().unwrap().starts_with("text/html"));
    faults(&api, &json!({"ban": {"form": "json", "spell": {"for_ms": 1000}}}));
    let answer = api.post(GET_USER, json!({"userid": "00017"})).await;
    assert_eq!((&answer["status"], &answer["punish"]), (&json!(1111), &json!("deny")));
    assert!(answer.get("errcode").is_none());
    api.clock.advance(1000);
    assert_eq!(api.code(GET_USER, json!({"userid": "00017"})).await, "0");
}

#[tokio::test]
async fn connections_break_answers_are_late_or_never_come() {
    let api = start(small()).await;
    let body = json!({"userid": "00017"});
    let only = |fault: Value| json!({"paths": {(GET_USER): fault}});

    faults(&api, &only(json!({"reset": 1.0})));
    let error = api.send(GET_USER, body.clone()).await.expect_err("no answer");
    assert!(error.is_request() && !error.is_timeout(), "{error:?}");
    assert_eq!(api.code(GET_DEPARTMENT, json!({"dept_id": 1})).await, "0", "other paths are whole");

    faults(&api, &only(json!({"reset": 0.0, "busy": 1.0})));
    assert_eq!(api.code(GET_USER, body.clone()).await, "-1");

    faults(&api, &only(json!({"busy": 0.0, "http": 1.0})));
    let mut seen = std::collections::BTreeSet::new();
    for _ in 0..60 {
        let response = api.send(GET_USER, body.clone()).await.unwrap();
        let status = response.status().as_u16();
        seen.insert((status, response.text().await.unwrap().is_empty()));
    }
    assert_eq!(seen.len(), 6, "three statuses, with a page and without: {seen:?}");

    faults(&api, &only(json!({"http": 0.0, "slow": 1.0, "slow_ms": [120, 130]})));
    let before = Instant::now();
    assert_eq!(api.code(GET_USER, body.clone()).await, "0");
    assert!(before.elapsed().as_millis() >= 120);

    faults(&api, &only(json!({"slow": 0.0, "hang": 1.0})));
    let url = format!("{}{GET_USER}?access_token={}", api.sim.url(), api.token);
    let patience = std::time::Duration::from_millis(150);
    let error = api.client.post(url).json(&body).timeout(patience).send().await.expect_err("no answer");
    assert!(error.is_timeout(), "{error:?}");

    faults(&api, &json!({"paths": null, "away": {}}));
    api.send("/gettoken", json!({})).await.expect_err("away altogether");
    api.clock.advance(3_600_000);
    api.send(GET_USER, body.clone()).await.expect_err("until it is switched back");
    faults(&api, &json!({"away": {"for_ms": 500}}));
    api.send(GET_USER, body.clone()).await.expect_err("for a while");
    api.clock.advance(500);
    assert_eq!(api.code(GET_USER, body).await, "0");
    let results = &api.sim.counters().calls[GET_USER].results;
    assert_eq!((results["reset"], results["hang"], results["http"], results["away"]), (1, 1, 60, 2));
}

#[tokio::test]
async fn tokens_die_early_when_told_to() {
    let api = start(small()).await;
    faults(&api, &json!({"token_life_ms": 300}));
    assert_eq!(api.code(GET_USER, json!({"userid": "00017"})).await, "0");
    api.clock.advance(300);
    assert_eq!(api.code(GET_USER, json!({"userid": "00017"})).await, "40014");
    let fresh = api.fresh_token().await;
    assert_ne!(fresh, api.token);
    assert_eq!(api.sim.counters().tokens_issued, 2);
}

#[tokio::test]
async fn lists_can_be_empty_or_break_on_a_page() {
    let api = start(Options { users: 900, departments: 12, rate: 0, ..Options::default() }).await;
    let mut sizes = std::collections::BTreeMap::<i64, usize>::new();
    for user in api.sim.truth(Subject::Users) {
        for place in items(&user["departments"]) {
            *sizes.entry(number(&place["dept_id"])).or_default() += 1;
        }
    }
    let (&largest, _) = sizes.iter().max_by_key(|(_, size)| **size).unwrap();
    let page = |number: i64| json!({"dept_id": largest, "cursor": (number - 1) * 100, "size": 100, "contain_access_limit": true});
    faults(&api, &json!({"failing_pages": [{"dept_id": largest, "page": 2, "errcode": 60019}]}));
    assert_eq!(api.code(LIST, page(1)).await, "0");
    assert_eq!(api.code(LIST, page(2)).await, "60019");
    assert_eq!(api.code(LIST, page(3)).await, "0");
    faults(&api, &json!({"empty_departments": [largest]}));
    assert_eq!(api.result(LIST, page(1)).await, json!({"has_more": false, "list": []}));
    assert_eq!(
        api.result("/topapi/user/listid", json!({"dept_id": largest})).await,
        json!({"userid_list": []})
    );
}

#[tokio::test]
async fn answers_can_be_older_than_the_change() {
    let api = start(small()).await;
    let (child, _) = nested(&api);
    faults(&api, &json!({"answer_lag_ms": [1000, 1000]}));
    let before = api.result(GET_USER, json!({"userid": "00017"})).await;
    let listed = async |dept_id: i64| {
        let ids = api.result("/topapi/user/listid", json!({"dept_id": dept_id})).await;
        items(&ids["userid_list"]).contains(&json!("00017"))
    };
    let home = number(&before["dept_id_list"][0]);
    assert_ne!(home, child);
    let count = api.result("/topapi/user/count", json!({"only_active": false})).await;

    let rename = |name: &str| Change::PersonRename { userid: "00017".into(), name: name.into() };
    api.sim.change(&rename("一")).unwrap();
    api.clock.advance(300);
    api.sim.change(&rename("二")).unwrap();
    api.sim.change(&Change::PersonMove { userid: "00017".into(), departments: vec![child] }).unwrap();
    api.sim
        .change(&Change::PersonJoin { userid: Some("neu".into()), name: None, departments: vec![child] })
        .unwrap();
    api.sim.change(&Change::PersonLeave { userid: "00018".into() }).unwrap();
    let created =
        api.sim.change(&Change::DepartmentCreate { name: "新部门".into(), parent_id: child }).unwrap();

    assert_eq!(api.result(GET_USER, json!({"userid": "00017"})).await, before);
    assert!(listed(home).await && !listed(child).await);
    assert_eq!(api.code(GET_USER, json!({"userid": "neu"})).await, "60121");
    assert_eq!(api.code(GET_USER, json!({"userid": "00018"})).await, "0");
    assert_eq!(api.code(GET_DEPARTMENT, json!({"dept_id": created.departments[0]})).await, "60003");
    assert_eq!(api.result("/topapi/user/count", json!({"only_active": false})).await, count);

    api.clock.advance(700);
    let between = api.result(GET_USER, json!({"userid": "00017"})).await;
    assert_eq!((&between["name"], &between["dept_id_list"]), (&json!("一"), &before["dept_id_list"]));
    api.clock.advance(300);
    let after = api.result(GET_USER, json!({"userid": "00017"})).await;
    assert_eq!((&after["name"], &after["dept_id_list"]), (&json!("二"), &json!([child])));
    assert!(!listed(home).await && listed(child).await);
    assert_eq!(api.code(GET_USER, json!({"userid": "neu"})).await, "0");
    assert_eq!(api.code(GET_USER, json!({"userid": "00018"})).await, "60121");
    let children = api.result("/topapi/v2/department/listsubid", json!({"dept_id": child})).await;
    assert!(items(&children["dept_id_list"]).contains(&json!(created.departments[0])));
}

#[tokio::test]
async fn the_clock_can_be_wrong() {
    let api = start(small()).await;
    faults(&api, &json!({"clock_skew_ms": -86_400_000}));
    let response = api.send(GET_USER, json!({"userid": "00017"})).await.unwrap();
    assert_eq!(response.headers()["date"], "Wed, 31 Dec 2025 00:00:00 GMT");
    assert_eq!(response.json::<Value>().await.unwrap()["errcode"], json!(0), "tokens live by the right time");
}

#[tokio::test]
async fn leavers_are_on_record() {
    let api = start(small()).await;
    for userid in ["00017", "00018", "00019"] {
        api.sim.change(&Change::PersonLeave { userid: userid.into() }).unwrap();
        api.clock.advance(1000);
    }
    let path = "/v1.0/contact/empLeaveRecords?startTime=2026-01-01T00:00:00Z&endTime=2026-01-01T00:00:02Z&maxResults=1";
    let (_, first) = api.modern(path).await;
    assert_eq!(first["records"][0]["userId"], json!("00017"));
    assert_eq!(first["records"][0]["leaveTime"], json!("2026-01-01T00:00:00Z"));
    let token = first["nextToken"].as_str().expect("there is more");
    let (_, second) = api.modern(&format!("{path}&nextToken={token}")).await;
    assert_eq!(second["records"][0]["userId"], json!("00018"));
    assert!(second.get("nextToken").is_none(), "the third left after the window");
    let (status, refused) = api.modern("/v1.0/contact/empLeaveRecords?startTime=x&endTime=y").await;
    assert_eq!((status, &refused["code"]), (400, &json!("parameter.error")));
}

#[tokio::test]
async fn open_questions_can_be_answered_either_way() {
    let api = start(small()).await;
    api.sim.kill_tokens();
    faults(&api, &json!({"variants": {"gateway_errors": "unstructured"}}));
    let answer = api.post(GET_USER, json!({"userid": "00017"})).await;
    assert!(answer.get("sub_code").is_none() && answer["errcode"] == json!(88), "{answer}");
    assert!(text(&answer["errmsg"]).contains("subcode=40014,"), "{answer}");
    faults(&api, &json!({"variants": {"gateway_errors": "bare", "unknown_person_code": 33012}}));
    assert_eq!(api.code(GET_USER, json!({"userid": "00017"})).await, "40014");
    let mut api = api;
    api.token = api.fresh_token().await;
    assert_eq!(api.code(GET_USER, json!({"userid": "nobody"})).await, "33012");

    let groups = api.result("/topapi/role/list", json!({"offset": 0, "size": 200})).await;
    faults(&api, &json!({"variants": {"role_list_counts_roles": true}}));
    let (mut merged, mut offset) = (Vec::<Value>::new(), 0);
    loop {
        let page = api.result("/topapi/role/list", json!({"offset": offset, "size": 3})).await;
        for group in items(&page["list"]) {
            match merged.last_mut().filter(|last| last["groupId"] == group["groupId"]) {
                Some(last) => {
                    last["roles"].as_array_mut().expect("a list").extend_from_slice(items(&group["roles"]));
                }
                None => merged.push(group.clone()),
            }
        }
        if page["hasMore"] == json!(false) {
            break;
        }
        offset += 3;
    }
    assert_eq!(json!(merged), groups["list"]);
}

#[tokio::test]
async fn an_address_that_calls_too_often_is_banned_for_five_minutes() {
    let api = start(small()).await;
    faults(&api, &json!({"address_calls_per_20s": 5}));
    for _ in 0..5 {
        assert_eq!(api.code(GET_USER, json!({"userid": "00017"})).await, "0");
    }
    for _ in 0..2 {
        let response = api.send(GET_USER, json!({"userid": "00017"})).await.unwrap();
        assert_eq!(response.status().as_u16(), 405);
    }
    faults(&api, &json!({"address_calls_per_20s": null}));
    api.clock.advance(299_999);
    assert_eq!(api.send("/gettoken", json!({})).await.unwrap().status().as_u16(), 405);
    api.clock.advance(1);
    assert_eq!(api.code(GET_USER, json!({"userid": "00017"})).await, "0");
}
