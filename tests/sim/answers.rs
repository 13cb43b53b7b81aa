//! Envelopes, errors, tokens, permissions, limits and faults of the simulated API.

use crate::api::{faults, items, nested, settings, small, start, text};
use dingsync::sim::{Change, Field, Options, Subject};
use serde_json::{Value, json};

const GET_USER: &str = "/topapi/v2/user/get";
const GET_DEPARTMENT: &str = "/topapi/v2/department/get";
const LIST: &str = "/topapi/v2/user/list";

#[tokio::test]
async fn answers_have_the_envelope_of_their_family() {
    let api = start(small()).await;
    let answer = api.post(GET_USER, json!({"userid": "00017"})).await;
    assert_eq!((&answer["errcode"], &answer["errmsg"]), (&json!(0), &json!("ok")));
    let request_id = answer["request_id"].as_str().expect("an id");
    assert!((12..=13).contains(&request_id.len()), "{request_id}");
    assert!(request_id.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit()));

    let scopes = api.classic("/auth/scopes", "").await;
    assert_eq!(scopes["errcode"], json!(0));
    assert!(scopes.get("request_id").is_none(), "classic answers have none");
    assert_eq!(scopes["auth_org_scopes"], json!({"authed_dept": [1], "authed_user": []}));

    let role_group = api.sim.truth(Subject::RoleGroups).next().expect("a group");
    let answer = api.post("/topapi/role/getrolegroup", json!({"group_id": role_group["group_id"]})).await;
    assert!(answer["role_group"].is_object() && answer.get("result").is_none(), "next to errcode");
}

#[tokio::test]
async fn what_does_not_exist_is_told_as_each_family_does() {
    let api = start(small()).await;
    let answer = api.post("/topapi/v2/user/frobnicate", json!({})).await;
    assert_eq!(answer["errcode"], json!(22));
    assert_eq!(answer["sub_msg"], json!("不合法ApiName，ApiName = dingtalk.oapi.v2.user.frobnicate"));
    assert!(text(&answer["errmsg"]).starts_with("Invalid method[submsg="));
    assert!(answer["request_id"].is_string());
    let answer = api.classic("/user/frobnicate", "").await;
    assert_eq!(answer, json!({"errcode": 404, "errmsg": "请求的URI地址不存在"}));
    let (status, answer) = api.modern("/v1.0/contact/frobnicate").await;
    assert_eq!((status, &answer["code"]), (404, &json!("InvalidAction.NotFound")));
    faults(&api, &json!({"unknown_methods": [GET_USER]}));
    assert_eq!(api.code(GET_USER, json!({"userid": "00017"})).await, "22");
}

#[tokio::test]
async fn tokens_are_taken_where_dingtalk_takes_them() {
    let api = start(small()).await;
    let url = format!("{}{GET_USER}", api.sim.url());
    let body = json!({"userid": "00017"});
    let as_header = api.client.post(&url).header("x-acs-dingtalk-access-token", &api.token).json(&body);
    let answer: Value = as_header.send().await.unwrap().json().await.unwrap();
    assert_eq!(answer["sub_code"], json!("40000"));
    assert_eq!(answer["sub_msg"], json!("access_token is blank"));
    let form = format!("userid=00017&access_token={}", api.token);
    let as_form =
        api.client.post(&url).header("content-type", "application/x-www-form-urlencoded").body(form);
    let answer: Value = as_form.send().await.unwrap().json().await.unwrap();
    assert_eq!(answer["result"]["userid"], json!("00017"));

    let records = "/v1.0/contact/empLeaveRecords?startTime=2025-12-01T00:00:00Z&endTime=2026-02-01T00:00:00Z";
    let bare = api.client.get(format!("{}{records}&access_token={}", api.sim.url(), api.token));
    let response = bare.send().await.unwrap();
    assert_eq!(response.status().as_u16(), 400);
    let answer: Value = response.json().await.unwrap();
    assert_eq!(answer["code"], json!("AuthenticationFailed.MissingParameter"));
    assert_eq!(api.modern(records).await, (200, json!({"records": []})));

    api.sim.kill_tokens();
    let answer = api.post(GET_USER, body).await;
    assert_eq!(
        (&answer["errcode"], &answer["sub_code"], &answer["sub_msg"]),
        (&json!(88), &json!("40014"), &json!("不合法的access_token"))
    );
    assert_eq!(answer["errmsg"], json!("ding talk error[subcode=40014,submsg=不合法的access_token]"));
    assert_eq!(api.classic("/auth/scopes", "").await["errcode"], json!(40014), "classic errors are flat");
    let (status, answer) = api.modern(records).await;
    assert_eq!((status, &answer["code"]), (400, &json!("InvalidAuthentication")));
    assert!(answer["requestid"].is_string());
}

#[tokio::test]
async fn three_endpoints_give_one_token_and_refuse_each_in_its_way() {
    let api = start(small()).await;
    let keys = api.sim.credentials();
    let modern = json!({"appKey": keys.app_key, "appSecret": keys.app_secret});
    let (_, answer) = api.bare("/v1.0/oauth2/accessToken", modern).await;
    assert_eq!(answer, json!({"accessToken": api.token, "expireIn": 7200}));
    let path = format!("/v1.0/oauth2/{}/token", keys.corp_id);
    let unified = json!({"client_id": keys.app_key, "client_secret": keys.app_secret, "grant_type": "client_credentials"});
    let (_, answer) = api.bare(&path, unified.clone()).await;
    assert_eq!(answer, json!({"access_token": api.token, "expires_in": 7200}));

    let answer = api.get("/gettoken?appkey=x&appsecret=y").await;
    assert_eq!(answer, json!({"errcode": 40096, "errmsg": "不合法的appKey或appSecret"}));
    assert_eq!(api.get("/gettoken?appkey=x").await["errcode"], json!(40035));
    assert_eq!(api.get("/gettoken?corpid=x&corpsecret=y").await["errcode"], json!(40089));
    let (status, answer) =
        api.bare("/v1.0/oauth2/accessToken", json!({"appKey": "x", "appSecret": "y"})).await;
    assert_eq!((status, &answer["code"]), (400, &json!("invalidClientIdOrSecret")));
    let (status, answer) = api.bare("/v1.0/oauth2/dingother/token", unified.clone()).await;
    assert_eq!((status, &answer["code"]), (500, &json!("unknownError")));
    let mut wrong = unified.clone();
    wrong["grant_type"] = json!("password");
    assert_eq!(api.bare(&path, wrong).await.1["code"], json!("unsupported.grant.type"));
    let mut wrong = unified;
    wrong["client_secret"] = json!("y");
    assert_eq!(api.bare(&path, wrong).await.1["code"], json!("invalid.client"));

    // While it is good, asking extends it; after that there is a new one.
    api.clock.advance(7_000_000);
    assert_eq!(api.fresh_token().await, api.token);
    api.clock.advance(7_000_000);
    assert_eq!(api.code(GET_USER, json!({"userid": "00017"})).await, "0");
    api.clock.advance(201_000);
    assert_eq!(api.code(GET_USER, json!({"userid": "00017"})).await, "40014");
    assert_ne!(api.fresh_token().await, api.token);
}

#[tokio::test]
async fn parameters_may_be_texts_and_errors_of_methods_are_flat() {
    let api = start(small()).await;
    let strings = json!({"dept_id": "1", "cursor": "0", "size": "2", "contain_access_limit": "true"});
    let page = api.result(LIST, strings).await;
    assert_eq!(items(&page["list"]).len(), 2);
    assert_eq!(page["next_cursor"], json!(2));

    let cases = [
        (GET_USER, json!({"userid": "nobody"}), 60121),
        (GET_USER, json!({}), 40035),
        (GET_USER, json!({"userid": "x".repeat(65)}), 33012),
        (GET_DEPARTMENT, json!({"dept_id": 999}), 60003),
        (GET_DEPARTMENT, json!({"dept_id": -7}), 40009),
        (GET_DEPARTMENT, json!({"dept_id": "x"}), 400_002),
        (LIST, json!({"dept_id": 1, "cursor": 0, "size": 101}), 400_002),
        (LIST, json!({"dept_id": 1, "cursor": 100_001, "size": 10}), 400_002),
        (LIST, json!({"dept_id": 1, "cursor": 0, "size": 10, "order_field": "age"}), 40070),
        (LIST, json!({"dept_id": 1}), 40035),
        (LIST, json!({"dept_id": 999, "cursor": 0, "size": 10}), 60003),
        ("/topapi/user/listsimple", json!({"dept_id": 1, "cursor": -1, "size": 10}), 40068),
        ("/topapi/user/listsimple", json!({"dept_id": 1, "cursor": 0, "size": 0}), 40069),
        ("/topapi/user/listid", json!({"dept_id": 999}), 60003),
        ("/topapi/user/count", json!({}), 40035),
        ("/topapi/v2/user/getbymobile", json!({"mobile": "1"}), 60121),
        ("/topapi/v2/user/getbymobile", json!({"mobile": "1".repeat(16)}), 40104),
        ("/topapi/user/getbyunionid", json!({"unionid": "x"}), 60121),
        ("/topapi/v2/department/listsub", json!({"dept_id": 999}), 60003),
        ("/topapi/v2/department/listsubid", json!({}), 40035),
        ("/topapi/role/list", json!({"offset": 0}), 40035),
        ("/topapi/role/list", json!({"offset": 0, "size": 201}), 40069),
        ("/topapi/role/simplelist", json!({"role_id": 5}), 33011),
        ("/topapi/role/getrole", json!({"roleId": 5}), 33011),
        ("/topapi/role/getrolegroup", json!({"group_id": 5}), 34020),
    ];
    for (path, body, code) in cases {
        let answer = api.post(path, body.clone()).await;
        assert_eq!(answer["errcode"], json!(code), "{path} {body}: {answer}");
        assert!(answer.get("sub_code").is_none() && answer["request_id"].is_string(), "{answer}");
    }
    let answer = api.get(&format!("{GET_USER}?access_token={}&userid=00017", api.token)).await;
    assert_eq!(answer["errcode"], json!(43002), "reads are POSTs");
}

#[tokio::test]
async fn a_permission_that_is_missing_is_named() {
    let api = start(small()).await;
    settings(&api, &json!({"permissions": ["qyapi_base", "qyapi_get_department_list"]}));
    let answer = api.post(GET_USER, json!({"userid": "00017"})).await;
    assert_eq!((&answer["errcode"], &answer["sub_code"]), (&json!(88), &json!("60011")));
    let message = text(&answer["sub_msg"]);
    assert!(
        message.starts_with("应用尚未开通所需的权限：[qyapi_get_member]，点击链接申请并开通即可："),
        "{message}"
    );
    assert!(message.ends_with("{requiredScopes=[qyapi_get_member]}"), "{message}");
    assert_eq!(api.code(LIST, json!({"dept_id": 1, "cursor": 0, "size": 1})).await, "60011");
    assert_eq!(api.code(GET_DEPARTMENT, json!({"dept_id": 1})).await, "0");
    let (status, answer) = api.modern("/v1.0/contact/empLeaveRecords").await;
    assert_eq!(status, 403);
    assert_eq!(answer["code"], json!("Forbidden.AccessDenied.AccessTokenPermissionDenied"));
    assert_eq!(answer["accessdenieddetail"], json!({"requiredScopes": ["Contact.Common.Read"]}));

    // A grant can take a new token.
    faults(&api, &json!({"tokens_keep_rights": true}));
    api.sim.kill_tokens();
    let mut api = api;
    api.token = api.fresh_token().await;
    settings(&api, &json!({"permissions": ["qyapi_base", "qyapi_get_member"]}));
    assert_eq!(api.code(GET_USER, json!({"userid": "00017"})).await, "60011");
    api.sim.kill_tokens();
    api.token = api.fresh_token().await;
    assert_eq!(api.code(GET_USER, json!({"userid": "00017"})).await, "0");

    settings(&api, &json!({"allowed_addresses": ["203.0.113.9"]}));
    let answer = api.post(GET_USER, json!({"userid": "00017"})).await;
    assert_eq!(answer["sub_code"], json!("60020"));
    let message = text(&answer["sub_msg"]);
    assert!(message.contains("访问ip不在白名单之中,request ip=127.0.0.1 appKey(ding"), "{message}");
}

#[tokio::test]
async fn field_permissions_take_fields_away() {
    let api = start(small()).await;
    let set = |field, value: &str| Change::PersonEdit { userid: "00017".into(), field, value: value.into() };
    api.sim.change(&set(Field::Email, "a@example.com")).unwrap();
    api.sim.change(&set(Field::Remark, "r")).unwrap();
    let fields = async || {
        let user = api.result(GET_USER, json!({"userid": "00017"})).await;
        ["mobile", "state_code", "email", "remark"].map(|key| user.get(key).is_some())
    };
    assert_eq!(fields().await, [true, true, true, true]);
    settings(&api, &json!({"mobile_field": false}));
    assert_eq!(fields().await, [false, false, true, true]);
    settings(&api, &json!({"mobile_field": true, "personal_fields": false}));
    assert_eq!(fields().await, [true, true, false, false]);
    let scopes = api.classic("/auth/scopes", "").await;
    let fields = items(&scopes["auth_user_field"]);
    assert!(fields.contains(&json!("mobile")) && !fields.contains(&json!("email")), "{scopes}");
}

#[tokio::test]
async fn a_scope_hides_the_rest() {
    let api = start(Options { users: 400, ..small() }).await;
    let (child, parent) = nested(&api);
    let users: Vec<Value> = api.sim.truth(Subject::Users).collect();
    let is_in = |user: &Value, dept_id: i64| {
        items(&user["departments"]).iter().any(|place| place["dept_id"] == dept_id)
    };
    let inside = users.iter().find(|user| is_in(user, child)).expect("a member")["userid"].clone();
    settings(&api, &json!({"scope": {"departments": [child], "people": ["00017"]}}));
    let scopes = api.classic("/auth/scopes", "").await;
    assert_eq!(scopes["auth_org_scopes"], json!({"authed_dept": [child], "authed_user": ["00017"]}));

    assert_eq!(api.code(GET_DEPARTMENT, json!({"dept_id": child})).await, "0");
    assert_eq!(api.code(GET_USER, json!({"userid": inside})).await, "0");
    assert_eq!(api.code(GET_USER, json!({"userid": "00017"})).await, "0", "authorised one by one");
    for (path, body) in [
        (GET_DEPARTMENT, json!({"dept_id": parent})),
        ("/topapi/v2/department/listsub", json!({"dept_id": 1})),
        (LIST, json!({"dept_id": 1, "cursor": 0, "size": 10})),
    ] {
        let answer = api.post(path, body).await;
        assert_eq!(answer["errcode"], json!(50004), "{answer}");
        assert_eq!(answer["errmsg"], json!("请求的部门id不在授权范围内"));
    }
    let answer = api.post(GET_USER, json!({"userid": "manager0001"})).await;
    assert_eq!(
        (&answer["errcode"], &answer["errmsg"]),
        (&json!(50002), &json!("请求的员工userid不在授权范围内"))
    );
    // Gone is told apart from hidden.
    assert_eq!(api.code(GET_DEPARTMENT, json!({"dept_id": 999})).await, "60003");
    assert_eq!(api.code(GET_USER, json!({"userid": "nobody"})).await, "60121");
    // Not limited by the scope.
    assert_eq!(api.code("/topapi/v2/department/listsubid", json!({"dept_id": 1})).await, "0");
    assert_eq!(api.code("/topapi/user/listid", json!({"dept_id": 1})).await, "0");
    assert_eq!(api.code("/topapi/v2/department/listparentbydept", json!({"dept_id": parent})).await, "0");

    let role = api.sim.truth(Subject::Roles).find(|role| role["name"] == "主管理员").expect("built in");
    let members = api.result("/topapi/role/simplelist", json!({"role_id": role["role_id"]})).await;
    assert_eq!(members["list"], json!([]), "its member is hidden");

    faults(&api, &json!({"variants": {"listsub_filters": true}}));
    let listed = api.result("/topapi/v2/department/listsub", json!({"dept_id": parent})).await;
    let ids: Vec<&Value> = listed.as_array().unwrap().iter().map(|line| &line["dept_id"]).collect();
    assert_eq!(ids, [&json!(child)]);
}
