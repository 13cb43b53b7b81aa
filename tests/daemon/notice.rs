//! What people are told in their group: each thing once, signed, and nothing personal.

use dingsync::sim::{Change, Field, Sim, Subject};
use serde_json::json;

use crate::support::{Daemon, UNBOUNDED, simulator, until};

/// A daemon that tells the simulator's robot.
fn daemon(sim: &Sim) -> Daemon {
    let (webhook, secret) = sim.robot();
    let robot = format!("{UNBOUNDED}\nrobot_webhook = \"{webhook}\"\nrobot_secret = \"{secret}\"");
    Daemon::new(&[sim], &robot)
}

/// How many messages say this.
fn told(sim: &Sim, text: &str) -> usize {
    sim.robot_messages().iter().filter(|message| message.contains(text)).count()
}

/// People who are no administrators.
fn people(sim: &Sim, count: usize) -> Vec<String> {
    sim.truth(Subject::Users)
        .filter(|person| person["admin"] == 0 && person["boss"] == false)
        .filter_map(|person| person["userid"].as_str().map(str::to_owned))
        .take(count)
        .collect()
}

fn edit(sim: &Sim, userids: &[String], value: &str) {
    for userid in userids {
        let (userid, value) = (userid.clone(), value.to_owned());
        sim.change(&Change::PersonEdit { userid, field: Field::Title, value }).expect("a change");
    }
}

fn assert_nobody_is_named(sim: &Sim) {
    let text = sim.robot_messages().concat();
    for person in sim.truth(Subject::Users) {
        for field in ["userid", "name", "mobile", "email", "unionid", "job_number"] {
            let value = person[field].as_str().unwrap_or_default();
            assert!(value.chars().count() < 3 || !text.contains(value), "{field} is told in {text}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_needs_people_is_told_once_over_restarts_and_so_is_its_end() {
    let sim = simulator(60, 8, 1).await;
    let mut daemon = daemon(&sim);
    daemon.configure_more("[guard]\nmax_deletions = 2\nmax_share = 0.0\n");
    daemon.follow(&sim).await;
    let database = daemon.shared_database();
    let looked = "SELECT count(*) FROM dingsync_notice WHERE topic = 'recycled' AND position IS NOT NULL";
    until("the log was looked at", || database.number(looked) == 1).await;
    assert_eq!(sim.robot_messages(), Vec::<String>::new(), "there is nothing to tell");

    sim.change(&Change::PersonRecycle { userid: "00017".to_owned(), name: None }).unwrap();
    until("a recycled userid is told", || told(&sim, "1 个用过的 userid 以新人身份出现") == 1).await;
    sim.merge_faults(&json!({ "failing_pages": [{ "dept_id": 1, "page": 1, "errcode": 400_002 }] })).unwrap();
    assert_eq!(daemon.run(&["sync", "department", "1"]).await.status.code(), Some(1));
    until("parked work is told", || told(&sim, "1 个对象被搁置") == 1).await;
    assert_eq!(daemon.run(&["reconcile"]).await.status.code(), Some(1));
    until("a partial comparison is told", || told(&sim, "对账只完成一部分") == 1).await;
    sim.change(&Change::PeopleLeave { userids: people(&sim, 5) }).unwrap();
    until("held deletions are told", || told(&sim, "删除保护拦下") == 1).await;
    daemon.stop().await;

    sim.merge_faults(&json!({ "failing_pages": [] })).unwrap();
    daemon.start().await;
    drop(daemon.run(&["reconcile"]).await);
    assert_eq!(daemon.run(&["sync", "department", "1"]).await.status.code(), Some(0));
    until("the end is told", || told(&sim, "没有被搁置的对象") == 1 && told(&sim, "已全部完成") == 1).await;
    for text in ["以新人身份出现", "个对象被搁置", "对账只完成一部分", "删除保护拦下"]
    {
        assert_eq!(told(&sim, text), 1, "{text}: {:#?}", sim.robot_messages());
    }
    assert!(sim.robot_messages().iter().all(|message| message.starts_with("【dingsync】main")));
    assert_nobody_is_named(&sim);
    daemon.stop().await;
    assert!(!daemon.log().contains("access_token"), "{}", daemon.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn permissions_that_are_taken_away_are_told() {
    let sim = simulator(60, 8, 1).await;
    let key = sim.credentials().app_key;
    let mut daemon = daemon(&sim);
    daemon.follow(&sim).await;
    sim.merge_app_settings(&key, &json!({ "mobile_field": false })).unwrap();
    edit(&sim, &people(&sim, 5), "顾问");
    until("a lost field permission is told", || told(&sim, "字段权限似乎被收回") == 1).await;
    let all = sim.app_settings(&key).unwrap().permissions;
    let fewer: Vec<&String> = all.iter().filter(|point| *point != "qyapi_get_member").collect();
    sim.merge_app_settings(&key, &json!({ "permissions": fewer })).unwrap();
    edit(&sim, &people(&sim, 5), "专家");
    until("a refusal is told", || told(&sim, "钉钉拒绝本应用") == 1).await;
    sim.merge_app_settings(&key, &json!({ "permissions": all })).unwrap();
    until("its end is told", || told(&sim, "钉钉恢复应答") == 1).await;
    assert_eq!((told(&sim, "字段权限"), told(&sim, "钉钉拒绝本应用")), (1, 1), "{:#?}", sim.robot_messages());
    assert_nobody_is_named(&sim);
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_robot_that_does_not_answer_keeps_nothing_waiting() {
    let sim = simulator(60, 8, 1).await;
    sim.merge_faults(&json!({ "paths": { "/robot/send": { "hang": 1.0 } } })).unwrap();
    let mut daemon = daemon(&sim);
    daemon.configure_more("[guard]\nmax_deletions = 1\nmax_share = 0.0\n");
    daemon.follow(&sim).await;
    let leavers = people(&sim, 4);
    sim.change(&Change::PeopleLeave { userids: leavers.clone() }).unwrap();
    let sent = || sim.counters().calls.get("/robot/send").is_some_and(|count| count.total > 0);
    until("a message is on its way", sent).await;
    let others: Vec<String> =
        people(&sim, 6).into_iter().filter(|userid| !leavers.contains(userid)).collect();
    edit(&sim, &others, "顾问");
    sim.settled().await;
    let titled = "SELECT count(*) FROM ding_employee WHERE title = '顾问'";
    let database = daemon.shared_database();
    until("events are mirrored meanwhile", || database.number(titled) >= others.len() as i64).await;
    daemon.says("the group robot could not be told").await;
    let (_, metrics) = daemon.get("/metrics").await.unwrap();
    assert!(metrics.contains("dingsync_notices_total{corp=\"main\",result=\"failed\"} 1"), "{metrics}");
    assert!(!daemon.log().contains("access_token"), "{}", daemon.log());
    assert_eq!(sim.robot_messages(), Vec::<String>::new());
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_robot_can_be_tried_and_what_is_wrong_with_it_is_said() {
    let sim = simulator(20, 4, 1).await;
    let (webhook, secret) = sim.robot();
    let check = async |robot: &str| {
        let daemon = Daemon::new(&[&sim], &format!("{UNBOUNDED}\n{robot}"));
        let output = daemon.run(&["check", "--robot", "--json"]).await;
        let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        assert!(!text.contains("access_token=5im"), "the webhook is a secret: {text}");
        (output.status.code(), text)
    };
    let (code, text) = check(&format!("robot_webhook = \"{webhook}\"\nrobot_secret = \"{secret}\"")).await;
    assert_eq!(code, Some(0), "{text}");
    assert_eq!(told(&sim, "测试消息"), 1);
    let (code, text) = check(&format!("robot_webhook = \"{webhook}\"\nrobot_secret = \"SECother\"")).await;
    assert!(code == Some(1) && text.contains("310000") && text.contains("加签"), "{text}");
    let (code, text) = check(&format!("robot_webhook = \"{webhook}x\"")).await;
    assert!(code == Some(1) && text.contains("does not know the robot"), "{text}");
    let (code, text) = check("").await;
    assert!(code == Some(1) && text.contains("no robot_webhook"), "{text}");
    let (code, text) = check("robot_secret = \"SECx\"").await;
    assert!(code == Some(64) && text.contains("corps.main.robot_webhook"), "{text}");
    let (code, text) = check("robot_webhook = \"http://example.com/robot/send?access_token=5imx\"").await;
    assert!(code == Some(64) && text.contains("must start with https"), "{text}");
    assert_eq!(sim.robot_messages().len(), 1);
}

const APPLY: &str = r#"
[apply.oa.role]
upsert = "INSERT INTO sys_role (role_id, name) VALUES (:oa_id, :name) ON CONFLICT (role_id) DO UPDATE SET name = excluded.name"
[apply.oa.employee]
upsert = "INSERT INTO sys_user (user_id, name, title) VALUES (:oa_id, :name, :title) ON CONFLICT (user_id) DO UPDATE SET name = excluded.name, title = excluded.title"
"#;

#[tokio::test(flavor = "multi_thread")]
async fn what_keeps_the_oa_s_tables_from_being_written_is_told() {
    let sim = simulator(30, 5, 1).await;
    let mut daemon = daemon(&sim);
    daemon.configure_more(APPLY);
    assert_eq!(daemon.run(&["bootstrap"]).await.status.code(), Some(0));
    let database = daemon.shared_database();
    database.script(
        "CREATE TABLE sys_role (role_id INTEGER PRIMARY KEY, name TEXT);
         CREATE TABLE sys_user (user_id INTEGER PRIMARY KEY, name TEXT, title TEXT CHECK (title <> '顾问'))",
    );
    daemon.follow(&sim).await;
    let follows = "SELECT count(*) FROM dingsync_apply WHERE phase = 'following'";
    until("the tables follow", || database.number(follows) == 1).await;

    edit(&sim, &people(&sim, 2), "顾问");
    until("what is refused is told", || told(&sim, "个对象未能写入 OA 表") == 1).await;
    edit(&sim, &people(&sim, 2), "经理");
    until("its end is told", || told(&sim, "✔ 已恢复：没有未能写入 OA 表的对象") == 1).await;

    database.script("ALTER TABLE sys_user RENAME TO sys_person");
    edit(&sim, &people(&sim, 1), "助理");
    let stands = "SELECT count(*) FROM dingsync_apply WHERE trouble = 'mismatch'";
    until("the tables wait", || database.number(stands) == 1).await;
    assert_eq!(told(&sim, "OA 表的写入已停止"), 0, "it does not last yet");
    database.script("UPDATE dingsync_apply SET trouble_since = trouble_since - 301000");
    until("that they wait is told", || told(&sim, "OA 表的写入已停止") == 1).await;
    database.script("ALTER TABLE sys_person RENAME TO sys_user");
    until("that they are written is told", || told(&sim, "✔ 已恢复：OA 表恢复写入") == 1).await;
    assert_nobody_is_named(&sim);
}
