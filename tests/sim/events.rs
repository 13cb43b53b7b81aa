//! Delivery of events: forms, acknowledgements, retries, the failed list, registration.

use std::collections::BTreeSet;
use std::time::Duration;

use dingsync::sim::{
    Change, DiffInfo, FailedShape, Options, Owner, PushSettings, Shape, SignatureParameter,
    TimestampParameter,
};
use serde_json::{Value, json};

use crate::api::{Api, ManualClock, items, number, small, start};
use crate::receiver::{Manner, Push, Receiver};

async fn started(push: PushSettings) -> (Api, Receiver) {
    let api = start(Options { push, ..small() }).await;
    let receiver = Receiver::start(&api.sim.credentials()).await;
    api.sim.set_callback(Some(receiver.url.clone()));
    (api, receiver)
}

/// Retries that a test has the time for.
fn impatient() -> PushSettings {
    PushSettings { retry_after_ms: vec![10, 30], ..PushSettings::default() }
}

fn rename(name: &str) -> Change {
    Change::PersonRename { userid: "00017".into(), name: name.into() }
}

async fn pushes_of(api: &Api, receiver: &Receiver, changes: usize) -> Vec<Push> {
    for turn in 0..changes {
        api.sim.change(&rename(&turn.to_string())).expect("possible");
    }
    api.sim.settled().await;
    receiver.taken()
}

#[tokio::test]
async fn a_change_arrives_encrypted_and_signed() {
    let (api, receiver) = started(PushSettings::default()).await;
    let [push] = &pushes_of(&api, &receiver, 1).await[..] else { panic!("one event") };
    assert_eq!(push.message["EventType"], json!("user_modify_org"));
    assert_eq!(push.message["UserId"], json!(["00017"]));
    assert_eq!(push.message["CorpId"], json!(api.sim.credentials().corp_id));
    assert_eq!(push.message["TimeStamp"], json!(ManualClock::START.to_string()));
    assert_eq!(push.owner, api.sim.credentials().app_key);
    assert_eq!(push.content_type.as_deref(), Some("application/json"));
    assert_eq!(push.time(), ManualClock::START.to_string());
    assert_eq!(push.query["own"], "1", "the URL's own parameters stay");
    assert_eq!(push.query["signature"], push.query["msg_signature"]);
    let count = api.sim.counters().push;
    assert_eq!((count.events, count.attempts, count.accepted, count.pending), (1, 1, 1, 0));
    assert!(count.ack_p50_ms > 0.0 && count.ack_p99_ms >= count.ack_p50_ms);
}

#[tokio::test]
async fn every_documented_form_can_be_had() {
    let (api, receiver) = started(PushSettings {
        shape: Shape::Mixed,
        scalar_share: 0.5,
        diff_info: DiffInfo::Array,
        signature: SignatureParameter::Mixed,
        timestamp: TimestampParameter::Mixed,
        content_types: ["application/json", "text/plain;charset=utf-8", ""].map(str::to_owned).to_vec(),
        owner: Owner::CorpId,
        ..PushSettings::default()
    })
    .await;
    let pushes = pushes_of(&api, &receiver, 150).await;
    assert_eq!(pushes.len(), 150);
    let forms = |form: &dyn Fn(&Push) -> String| pushes.iter().map(form).collect::<BTreeSet<_>>().len();
    assert_eq!(forms(&|push| push.message.get("eventId").is_some().to_string()), 2);
    assert_eq!(forms(&|push| format!("{:?}", push.content_type)), 3);
    assert_eq!(
        forms(&|push| ["signature", "msg_signature"]
            .map(|name| push.query.contains_key(name).to_string())
            .join(" ")),
        3
    );
    assert_eq!(forms(&|push| push.query.contains_key("timeStamp").to_string()), 2);
    for push in &pushes {
        let documented = push.message.get("eventId").is_some();
        let ids = &push.message[if documented { "userId" } else { "UserId" }];
        assert!(*ids == json!("00017") || *ids == json!(["00017"]), "{}", push.message);
        assert_eq!(push.owner, api.sim.credentials().corp_id);
        let diff = &push.message[if documented { "diffInfo" } else { "DiffInfo" }];
        assert_eq!(diff[0]["userid"], json!("00017"));
    }
    let scalar = |push: &&Push| push.message.to_string().contains(r#""00017","#);
    assert!((20..130).contains(&pushes.iter().filter(scalar).count()));
}

#[tokio::test]
async fn whatever_is_not_the_exact_answer_is_tried_three_times_and_listed() {
    let (api, receiver) = started(PushSettings { answer_deadline_ms: 100, ..impatient() }).await;
    let bad = [
        (Manner::Failing, "status"),
        (Manner::Misspelt, "key"),
        (Manner::ForSomebodyElse, "owner"),
        (Manner::Late(Duration::from_millis(400)), "late"),
    ];
    for (manner, reason) in bad {
        receiver.answer(manner);
        let pushes = pushes_of(&api, &receiver, 1).await;
        assert_eq!(pushes.len(), 3, "{manner:?}");
        assert!(
            pushes.iter().all(|push| push.message == pushes[0].message && push.time() == pushes[0].time())
        );
        let encryptions: BTreeSet<&str> = pushes.iter().map(|push| &*push.encrypt).collect();
        assert_eq!(encryptions.len(), 3, "encrypted anew each time");
        assert_eq!(api.sim.counters().push.failed[reason], 3);
    }
    assert_eq!(api.sim.status().failed_events, 4);
    assert_eq!(api.sim.counters().push.given_up, 4);

    let nothing = api.classic("/call_back/get_call_back_failed_result", "").await;
    assert_eq!(nothing, json!({"errcode": 0, "errmsg": "ok", "has_more": false, "failed_list": []}));
    api.clock.advance(180_000);
    let listed = api.classic("/call_back/get_call_back_failed_result", "").await;
    assert_eq!(items(&listed["failed_list"]).len(), 4);
    let corp_id = &api.sim.credentials().corp_id;
    assert_eq!(
        listed["failed_list"][0],
        json!({"call_back_tag": "user_modify_org", "event_time": ManualClock::START,
               "user_modify_org": {"userid": ["00017"], "corpid": corp_id}})
    );
    let emptied = api.classic("/call_back/get_call_back_failed_result", "").await;
    assert_eq!(emptied["failed_list"], json!([]), "reading clears");
}

#[tokio::test]
async fn the_failed_list_comes_in_portions_of_two_hundred() {
    let push = PushSettings { retry_after_ms: vec![], failed_list_delay_ms: 0, ..PushSettings::default() };
    let (api, receiver) = started(push).await;
    receiver.answer(Manner::Failing);
    pushes_of(&api, &receiver, 450).await;
    let mut sizes = Vec::new();
    loop {
        let portion = api.classic("/call_back/get_call_back_failed_result", "").await;
        sizes.push(items(&portion["failed_list"]).len());
        if portion["has_more"] == json!(false) {
            break;
        }
    }
    assert_eq!(sizes, [200, 200, 50]);

    // In each of its forms, departments and roles too.
    let role =
        api.sim.truth(dingsync::sim::Subject::Roles).find(|role| role["built_in"] == json!(false)).unwrap();
    let give = Change::RoleGive { role_id: number(&role["role_id"]), userids: vec!["00018".into()] };
    let take = Change::RoleTake { role_id: number(&role["role_id"]), userids: vec!["00018".into()] };
    let create = |name: &str| Change::DepartmentCreate { name: name.into(), parent_id: 1 };
    for (shape, turn) in
        [(FailedShape::Nested, "甲"), (FailedShape::NestedText, "乙"), (FailedShape::Flat, "丙")]
    {
        api.sim.set_push_settings(PushSettings { failed_shape: shape, ..api.sim.push_settings() });
        let created = api.sim.change(&create(turn)).unwrap().departments[0];
        if api.sim.change(&give).unwrap().events.is_empty() {
            api.sim.change(&take).unwrap();
        }
        api.sim.settled().await;
        let listed = api.classic("/call_back/get_call_back_failed_result", "").await;
        let find = |tag: &str| -> Value {
            let items = items(&listed["failed_list"]);
            items.iter().find(|item| item["call_back_tag"] == tag).cloned().expect(tag)
        };
        let (department, label) = (find("org_dept_create"), find("label_user_change"));
        match shape {
            FailedShape::Flat => assert_eq!(department["deptid"], json!([created])),
            FailedShape::NestedText => {
                let text = department["org_dept_create"]["callbackData"].as_str().expect("text");
                assert_eq!(serde_json::from_str::<Value>(text).unwrap(), json!({"deptid": [created]}));
                assert!(label["label_user_change"]["roleLabelChange"].is_string());
            }
            _ => {
                assert_eq!(department["org_dept_create"]["callbackData"], json!({"deptid": [created]}));
                assert_eq!(label["label_user_change"]["roleLabelChange"]["userIdList"], json!(["00018"]));
            }
        }
    }
}

#[tokio::test]
async fn a_receiver_that_comes_back_gets_what_it_missed() {
    let (api, receiver) = started(PushSettings { retry_after_ms: vec![], ..PushSettings::default() }).await;
    receiver.answer(Manner::Failing);
    pushes_of(&api, &receiver, 5).await;
    receiver.answer(Manner::Right);
    assert_eq!(api.sim.resend(), 5);
    api.sim.settled().await;
    assert_eq!(receiver.taken().len(), 5);
    assert_eq!(api.sim.status().failed_events, 0);

    let gone = "http://127.0.0.1:9/".parse().unwrap();
    api.sim.set_callback(Some(gone));
    pushes_of(&api, &receiver, 1).await;
    assert_eq!(api.sim.counters().push.failed["unreachable"], 1);
    api.sim.set_callback(None);
    pushes_of(&api, &receiver, 1).await;
    assert_eq!(api.sim.status().failed_events, 1, "without a URL nothing is sent");
}

#[tokio::test]
async fn events_come_twice_late_out_of_order_or_not_at_all() {
    let (api, receiver) = started(PushSettings { shape: Shape::Documented, ..PushSettings::default() }).await;
    api.sim.merge_faults(&json!({"events": {"duplicate_share": 1.0}})).unwrap();
    let pushes = pushes_of(&api, &receiver, 10).await;
    let ids: BTreeSet<String> = pushes.iter().map(|push| push.message["eventId"].to_string()).collect();
    assert_eq!((pushes.len(), ids.len()), (20, 10), "a duplicate has the same id");

    api.sim.merge_faults(&json!({"events": {"duplicate_share": 0.0, "loss_share": 0.5}})).unwrap();
    let arrived = pushes_of(&api, &receiver, 200).await.len();
    assert!((50..150).contains(&arrived), "{arrived}");
    assert_eq!(api.sim.counters().push.lost, 200 - arrived as u64);
    assert_eq!(api.sim.status().failed_events, 0, "what is lost is in no list");

    api.sim.merge_faults(&json!({"events": {"loss_share": 0.0, "delay_ms": [0, 120]}})).unwrap();
    for turn in 0..40 {
        api.clock.advance(1);
        api.sim.change(&rename(&turn.to_string())).unwrap();
    }
    api.sim.settled().await;
    let times: Vec<i64> = receiver.taken().iter().map(|push| number(&push.message["EventTime"])).collect();
    assert_eq!(times.len(), 40);
    assert!(!times.is_sorted(), "delays change the order");
}

#[tokio::test]
async fn many_events_are_on_their_way_at_once() {
    let (api, receiver) = started(PushSettings::default()).await;
    receiver.answer(Manner::Late(Duration::from_millis(200)));
    let started = std::time::Instant::now();
    assert_eq!(pushes_of(&api, &receiver, 100).await.len(), 100);
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
    assert!(api.sim.counters().push.ack_p50_ms >= 200.0);
}

#[tokio::test]
async fn callbacks_are_registered_only_where_the_answer_is_right() {
    let (api, receiver) = started(impatient()).await;
    api.sim.set_callback(None);
    let keys = api.sim.credentials();
    let subscription = |changed: Value| {
        let mut body = json!({"call_back_tag": ["user_modify_org", "org_dept_create"], "token": keys.callback_token,
                              "aes_key": keys.callback_aes_key, "url": receiver.url.as_str()});
        body.as_object_mut().unwrap().extend(changed.as_object().unwrap().clone());
        body
    };
    let register = "/call_back/register_call_back";
    assert_eq!(api.classic("/call_back/get_call_back", "").await["errcode"], json!(71007));
    for (changed, code) in [
        (json!({"call_back_tag": ["frobnicate"]}), 71008),
        (json!({"token": "x"}), 71010),
        (json!({"aes_key": "short"}), 71010),
        (json!({"url": "not a url"}), 71011),
        (json!({"url": "http://127.0.0.1:9/"}), 71012),
    ] {
        let answer = api.post(register, subscription(changed.clone())).await;
        assert_eq!(answer["errcode"], json!(code), "{changed}: {answer}");
    }
    receiver.answer(Manner::Failing);
    assert_eq!(api.post(register, subscription(json!({}))).await["errcode"], json!(71009));
    receiver.answer(Manner::Right);
    receiver.taken();
    assert_eq!(api.post(register, subscription(json!({}))).await, json!({"errcode": 0, "errmsg": "ok"}));
    let [check] = &receiver.taken()[..] else { panic!("one check") };
    assert_eq!(
        (check.topic(), &check.owner),
        ("check_url", &keys.corp_id),
        "registered ones are the organisation's"
    );
    assert_eq!(api.post(register, subscription(json!({}))).await["errcode"], json!(71006));
    let current = api.classic("/call_back/get_call_back", "").await;
    assert_eq!(current["url"], json!(receiver.url.as_str()));
    assert_eq!(current["call_back_tag"], json!(["org_dept_create", "user_modify_org"]));

    api.sim.change(&rename("订阅了")).unwrap();
    api.sim.change(&Change::PersonLeave { userid: "00019".into() }).unwrap();
    api.sim.settled().await;
    let topics: Vec<String> = receiver.taken().iter().map(|push| push.topic().to_owned()).collect();
    assert!(topics.contains(&"user_modify_org".to_owned()) && !topics.contains(&"user_leave_org".to_owned()));
    let update = subscription(json!({"call_back_tag": ["user_leave_org"]}));
    assert_eq!(api.post("/call_back/update_call_back", update).await["errcode"], json!(0));
    receiver.taken();
    api.sim.change(&rename("不再订阅")).unwrap();
    api.sim.settled().await;
    assert_eq!(receiver.taken().len(), 0);
    assert_eq!(api.classic("/call_back/delete_call_back", "").await["errcode"], json!(0));
    assert_eq!(api.classic("/call_back/delete_call_back", "").await["errcode"], json!(71007));
}

#[tokio::test]
async fn the_console_checks_a_url_too() {
    let (api, receiver) = started(PushSettings::default()).await;
    assert_eq!(api.sim.check_callback().await, Some(Ok(())));
    assert_eq!(receiver.taken()[0].message, json!({"EventType": "check_url"}));
    receiver.answer(Manner::Misspelt);
    assert!(api.sim.check_callback().await.expect("a URL").is_err());
    api.sim.set_callback(None);
    assert!(api.sim.check_callback().await.is_none());
}

#[tokio::test]
async fn what_the_application_does_not_see_fires_nothing() {
    let (api, receiver) = started(PushSettings::default()).await;
    let key = api.sim.credentials().app_key.clone();
    let scope = json!({"scope": {"departments": [], "people": ["00017"]}});
    api.sim.merge_app_settings(&key, &scope).unwrap();
    api.sim.change(&Change::PersonRename { userid: "00018".into(), name: "看不见".into() }).unwrap();
    let both = vec!["00017".to_owned(), "00018".to_owned()];
    api.sim.change(&Change::PeopleLeave { userids: both }).unwrap();
    api.sim.settled().await;
    let pushes = receiver.taken();
    let leave: Vec<&Push> = pushes.iter().filter(|push| push.topic() == "user_leave_org").collect();
    assert_eq!(leave.len(), 1, "{pushes:?}");
    assert_eq!(leave[0].message["UserId"], json!(["00017"]));
    assert!(pushes.iter().all(|push| !push.message.to_string().contains("00018")), "{pushes:?}");
}

#[tokio::test]
async fn keys_and_urls_change_while_events_are_on_their_way() {
    let (api, receiver) = started(PushSettings { retry_after_ms: vec![], ..PushSettings::default() }).await;
    receiver.answer(Manner::Failing);
    pushes_of(&api, &receiver, 2).await;
    let new_key = "b".repeat(43);
    assert!(api.sim.set_callback_keys("another", "too short").is_err());
    api.sim.set_callback_keys("another", &new_key).unwrap();
    assert_eq!(api.sim.credentials().callback_aes_key, new_key);
    let moved = Receiver::start(&api.sim.credentials()).await;
    api.sim.set_callback(Some(moved.url.clone()));
    assert_eq!(api.sim.resend(), 2);
    api.sim.settled().await;
    assert_eq!((moved.taken().len(), receiver.taken().len()), (2, 0), "to the new place, with the new keys");
    api.sim.set_callback(None);
    assert_eq!(api.sim.resend(), 0);
}

#[tokio::test]
async fn stopping_breaks_off_what_hangs() {
    let (api, receiver) = started(PushSettings::default()).await;
    receiver.answer(Manner::Failing);
    api.sim.change(&rename("等待重试")).unwrap();
    api.sim.merge_faults(&json!({"paths": {"*": {"hang": 1.0}}})).unwrap();
    let hanging = api.send("/topapi/v2/user/get", json!({"userid": "00017"}));
    let stopping = async {
        while !api.sim.counters().calls.contains_key("/topapi/v2/user/get") {
            tokio::task::yield_now().await;
        }
        api.sim.stop().await;
    };
    let (answer, ()) = tokio::join!(hanging, stopping);
    answer.expect_err("no answer");
    assert_eq!(api.sim.counters().push.pending, 0);
}
