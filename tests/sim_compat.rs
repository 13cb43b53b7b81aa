//! Other people's clients against the simulator: the crate `dingtalk-sdk`, and the Python package of that name.

#[path = "compat/mod.rs"]
mod compat;
#[path = "sim/receiver.rs"]
mod receiver;

use std::collections::BTreeSet;
use std::sync::Arc;

use compat::{Python, with_keys};
use dingsync::clock::SystemClock;
use dingsync::dingtalk::crypto::{AesKey, decrypt, signature};
use dingsync::sim::{
    Change, Credentials, Options, Plan, PushSettings, Shape, SignatureParameter, Sim, Subject,
    TimestampParameter,
};
use dingtalk_sdk::{
    Client, ContactGetDepartmentRequest, ContactGetUserRequest, ContactListSubDepartmentIdsRequest,
    ContactListUsersRequest,
};
use receiver::{Manner, Receiver};
use serde_json::{Value, json};

async fn sim(push: PushSettings) -> Sim {
    let options = Options { users: 300, departments: 20, rate: 0, push, ..Options::default() };
    Sim::start(options, Arc::new(SystemClock)).await.expect("the simulator starts")
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(work).await.expect("no panic")
}

#[tokio::test]
async fn the_crate_reads_departments_and_people() {
    let sim = sim(PushSettings::default()).await;
    let client = Client::builder()
        .webhook_base_url(sim.url())
        .enterprise_base_url(sim.url())
        .no_system_proxy(true)
        .build()
        .expect("a client");
    let keys = sim.credentials();
    let service = client.enterprise(&keys.app_key, &keys.app_secret, "robot");

    // Its listing of whole children expects an object where DingTalk sends an array, so the tree is read by ids.
    let (mut waiting, mut names, mut people) = (vec![1_i64], BTreeSet::new(), BTreeSet::new());
    while let Some(dept_id) = waiting.pop() {
        let children = ContactListSubDepartmentIdsRequest::new(dept_id);
        let children = service.contact_list_sub_department_ids(children).await.expect("children");
        waiting.extend(children.dept_id_list);
        let department = ContactGetDepartmentRequest::new(dept_id);
        let department = service.contact_get_department(department).await.expect("a department");
        names.insert((department.dept_id, department.name, department.parent_id));
        let mut cursor = Some(0);
        while let Some(from) = cursor {
            let page = ContactListUsersRequest::new(dept_id, from, 50).contain_access_limit(true);
            let page = service.contact_list_users(page).await.expect("a page");
            people.extend(page.list.into_iter().map(|user| (user.userid, user.name, user.mobile)));
            cursor = page.next_cursor;
        }
    }
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let expected: BTreeSet<_> = sim
        .truth(Subject::Departments)
        .map(|line| (line["dept_id"].as_i64(), text(&line["name"]), line["parent_id"].as_i64()))
        .collect();
    assert_eq!(names, expected);
    let expected: BTreeSet<_> = sim
        .truth(Subject::Users)
        .map(|line| (text(&line["userid"]), text(&line["name"]), text(&line["mobile"])))
        .collect();
    assert_eq!(people, expected);

    let user = service.contact_get_user(ContactGetUserRequest::new("00017")).await.expect("a person");
    assert!(user.extra.contains_key("dept_order_list"));
    let gone = service.contact_get_user(ContactGetUserRequest::new("nobody")).await.expect_err("nobody");
    assert_eq!(gone.kind(), dingtalk_sdk::ErrorKind::Api);
    assert!(gone.to_string().contains("60121"), "{gone}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_package_decrypts_what_the_simulator_pushes() {
    let python = blocking(Python::prepare).await;
    let sim = sim(PushSettings {
        shape: Shape::Mixed,
        signature: SignatureParameter::Mixed,
        timestamp: TimestampParameter::Mixed,
        ..PushSettings::default()
    })
    .await;
    let receiver = Receiver::start(&sim.credentials()).await;
    sim.set_callback(Some(receiver.url.clone()));
    sim.live(&Plan { count: 200, interval_ms: 0.0, ..Plan::default() });
    sim.life_ended().await;
    sim.settled().await;
    let pushes = receiver.taken();
    assert!(pushes.len() >= 200);
    let lines: Vec<Value> = pushes
        .iter()
        .map(|push| {
            let signed = push.query.get("msg_signature").or_else(|| push.query.get("signature"));
            json!({"signature": signed, "timestamp": push.time(), "nonce": push.query["nonce"], "encrypt": push.encrypt})
        })
        .collect();
    let credentials = sim.credentials();
    let decrypted = blocking(move || python.filter(&with_keys("decrypt", &credentials), &lines)).await;
    assert_eq!(decrypted.len(), pushes.len());
    for (theirs, push) in decrypted.iter().zip(&pushes) {
        let message: Value = serde_json::from_str(theirs["message"].as_str().expect("text")).expect("JSON");
        assert_eq!(message, push.message);
        assert_eq!(push.topic(), message["EventType"]);
        assert_eq!(
            (push.content_type.as_deref(), &push.owner),
            (Some("application/json"), &sim.credentials().app_key)
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_package_encrypts_can_be_read() {
    let python = blocking(Python::prepare).await;
    let credentials = Credentials::default();
    let messages = ["success", "{\"EventType\":\"check_url\"}", "中文，以及 emoji 😀", ""];
    let lines: Vec<Value> = messages.iter().map(|message| json!({ "message": message })).collect();
    let sealed = blocking({
        let credentials = credentials.clone();
        move || python.filter(&with_keys("encrypt", &credentials), &lines)
    })
    .await;
    let key = AesKey::parse(&credentials.callback_aes_key).expect("a key");
    for (message, line) in messages.iter().zip(sealed) {
        let text = |name: &str| line[name].as_str().expect("text").to_owned();
        let encrypted = text("encrypt");
        let signed = signature(&credentials.callback_token, &text("timestamp"), &text("nonce"), &encrypted);
        assert_eq!(signed, text("signature"));
        let frame = decrypt(&key, &encrypted).expect("readable");
        assert_eq!((&*frame.message, &*frame.owner_key), (*message, credentials.app_key.as_bytes()));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_package_reads_the_tree_and_the_failed_list() {
    let python = blocking(Python::prepare).await;
    let sim =
        sim(PushSettings { retry_after_ms: vec![5], failed_list_delay_ms: 0, ..PushSettings::default() })
            .await;
    let receiver = Receiver::start(&sim.credentials()).await;
    sim.set_callback(Some(receiver.url.clone()));
    for manner in [Manner::Failing, Manner::Misspelt, Manner::ForSomebodyElse] {
        receiver.answer(manner);
        sim.change(&Change::PersonRename { userid: "00017".into(), name: "改".into() }).expect("possible");
        sim.settled().await;
    }
    receiver.answer(Manner::Late(std::time::Duration::ZERO));
    sim.change(&Change::PersonRename { userid: "00018".into(), name: "改".into() }).expect("possible");
    sim.settled().await;
    receiver.answer(Manner::Right);
    let (url, credentials) = (sim.url(), sim.credentials());
    let read = blocking(move || {
        let Credentials { corp_id, app_key, app_secret, .. } = &credentials;
        let arguments =
            ["read", "--url", &url, "--corp-id", corp_id, "--app-key", app_key, "--app-secret", app_secret];
        python.filter(&arguments.map(str::to_owned), &[])
    })
    .await;
    let ids =
        |lines: &[Value], key: &str| lines.iter().map(|line| line[key].as_i64()).collect::<BTreeSet<_>>();
    let departments = read[0]["departments"].as_array().expect("a list");
    let truth: Vec<Value> = sim.truth(Subject::Departments).collect();
    assert_eq!(ids(departments, "id"), ids(&truth, "dept_id"));
    let failed = read[1]["failed"]["failed_list"].as_array().expect("a list");
    assert_eq!(failed.len(), 3);
    assert_eq!(failed[0]["user_modify_org"]["userid"], json!(["00017"]));
}
