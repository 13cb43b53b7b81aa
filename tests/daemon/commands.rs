//! The commands, alone and beside a running daemon, with their exit codes.

use std::fs;
use std::process::Output;

use dingsync::sim::{Change, Field, Sim, Subject};
use rusqlite::Connection;
use serde_json::{Value, json};

use crate::support::{Daemon, UNBOUNDED, free_port, mirror, simulator};

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn assert_exit(output: &Output, code: i32) {
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(code), "stdout:\n{out}\nstderr:\n{err}");
}

fn as_json(output: &Output) -> Value {
    let parsed = serde_json::from_slice(&output.stdout);
    assert!(parsed.is_ok(), "no JSON: {}", text(&output.stdout));
    parsed.unwrap_or_default()
}

fn rename(sim: &Sim, userid: &str, name: &str) {
    sim.change(&Change::PersonRename { userid: userid.to_owned(), name: name.to_owned() }).expect("possible");
}

fn tamper(daemon: &Daemon, sql: &str) {
    Connection::open(daemon.database().file()).expect("a database").execute_batch(sql).expect(sql);
}

#[tokio::test(flavor = "multi_thread")]
async fn alone_the_commands_do_the_work_themselves() {
    let sim = simulator(200, 20, 1).await;
    let daemon = Daemon::new(&[&sim], UNBOUNDED);
    let output = daemon.run(&["bootstrap"]).await;
    assert_exit(&output, 0);
    assert!(text(&output.stdout).contains("200 employees and 20 departments"), "{}", text(&output.stdout));
    assert_eq!(mirror::differences(daemon.database(), &sim), Vec::<String>::new());

    assert_exit(&daemon.run(&["verify"]).await, 0);
    rename(&sim, "00017", "新名");
    let output = daemon.run(&["verify"]).await;
    assert_exit(&output, 2);
    assert!(text(&output.stdout).contains("00017") && text(&output.stdout).contains("新名"));
    let output = daemon.run(&["reconcile", "--dry-run", "--json"]).await;
    assert_exit(&output, 2);
    let found = &as_json(&output)[0];
    assert_eq!(found["differences"][0]["id"], "00017");
    assert_eq!(found["differences"][0]["fields"][0]["field"], "name");
    assert_exit(&daemon.run(&["verify"]).await, 2);

    let output = daemon.run(&["sync", "employee", "00017"]).await;
    assert_exit(&output, 0);
    assert!(text(&output.stdout).contains("新名"), "{}", text(&output.stdout));
    assert_exit(&daemon.run(&["verify"]).await, 0);

    rename(&sim, "00018", "另名");
    assert_exit(&daemon.run(&["reconcile"]).await, 0);
    assert_eq!(mirror::differences(daemon.database(), &sim), Vec::<String>::new());
    let cause = "SELECT count(*) FROM ding_change WHERE entity_id = '00018' AND cause = 'reconcile'";
    assert_eq!(daemon.database().number(cause), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn beside_a_daemon_the_commands_let_it_do_the_work() {
    let sim = simulator(200, 20, 1).await;
    let mut daemon = Daemon::new(&[&sim], UNBOUNDED);
    daemon.start().await;
    daemon.at_rest("main").await;
    rename(&sim, "00017", "新名");
    rename(&sim, "00018", "另名");
    assert_exit(&daemon.run(&["verify"]).await, 2);
    let output = daemon.run(&["sync", "employee", "00017", "--json"]).await;
    assert_exit(&output, 0);
    assert_eq!(as_json(&output)["changes"][0]["new"]["name"], "新名");
    assert_exit(&daemon.run(&["verify"]).await, 2);
    assert_exit(&daemon.run(&["reconcile", "--quick"]).await, 0);
    assert_exit(&daemon.run(&["verify"]).await, 0);
    assert_exit(&daemon.run(&["bootstrap"]).await, 0);
    assert_exit(&daemon.run(&["migrate"]).await, 0);
    daemon.agrees_with(&sim, "main").await;
    let (_, metrics) = daemon.get("/metrics").await.unwrap();
    assert!(
        metrics.contains("dingsync_unannounced_changes_total{corp=\"main\",entity=\"employee\"} 1"),
        "{metrics}"
    );
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reconcile_repairs_whatever_was_done_to_the_tables() {
    let sim = simulator(200, 20, 1).await;
    let daemon = Daemon::new(&[&sim], UNBOUNDED);
    assert_exit(&daemon.run(&["bootstrap"]).await, 0);
    tamper(
        &daemon,
        "UPDATE ding_employee SET title = 'x', manager_userid = 'nobody' WHERE userid = '00017';
         UPDATE ding_employee SET deleted_at = '2026-01-01T00:00:00.000Z' WHERE userid = '00018';
         DELETE FROM ding_employee_department WHERE userid = '00019';
         INSERT INTO ding_employee_role (corp_id, userid, role_id)
             SELECT corp_id, '00020', max(role_id) FROM ding_role WHERE role_id NOT IN
             (SELECT role_id FROM ding_employee_role WHERE userid = '00020');
         UPDATE ding_department SET name = 'y' WHERE dept_id = (SELECT max(dept_id) FROM ding_department);
         UPDATE ding_role SET name = 'z' WHERE role_id = (SELECT max(role_id) FROM ding_role);",
    );
    let output = daemon.run(&["verify", "--json"]).await;
    assert_exit(&output, 2);
    let differences = as_json(&output)[0]["differences"].as_array().unwrap().len();
    assert_eq!(differences, 6, "{}", text(&output.stdout));
    assert_exit(&daemon.run(&["reconcile"]).await, 0);
    assert_exit(&daemon.run(&["verify"]).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn objects_are_found_by_what_people_know_of_them() {
    let sim = simulator(100, 12, 1).await;
    let daemon = Daemon::new(&[&sim], UNBOUNDED);
    assert_exit(&daemon.run(&["bootstrap"]).await, 0);
    let person = sim
        .truth(Subject::Users)
        .find(|person| person["mobile"].is_string() && person["job_number"].is_string())
        .unwrap();
    let of = |field: &str| person[field].as_str().unwrap().to_owned();
    for name in [format!("mobile:{}", of("mobile")), format!("job:{}", of("job_number"))] {
        let output = daemon.run(&["sync", "employee", &name, "--json"]).await;
        assert_exit(&output, 0);
        assert_eq!(as_json(&output)["id"], person["userid"]);
    }
    let root = sim.status().organisation;
    let output = daemon.run(&["sync", "department", &format!("name:{root}"), "--json"]).await;
    assert_exit(&output, 0);
    assert_eq!(as_json(&output)["id"], "1");
    assert_exit(&daemon.run(&["sync", "employee", "mobile:10000000000"]).await, 64);
    let output = daemon.run(&["sync", "employee", "nobody-at-all"]).await;
    assert_exit(&output, 0);
    assert!(text(&output.stdout).contains("is gone"));
    let role = sim.truth(Subject::Roles).next().unwrap()["role_id"].to_string();
    assert_exit(&daemon.run(&["sync", "role", &role]).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_usage_and_configuration_end_with_64_and_name_the_key() {
    let sim = simulator(30, 4, 1).await;
    let daemon = Daemon::new(&[&sim], UNBOUNDED);
    assert_exit(&daemon.run(&["nonsense"]).await, 64);
    assert_exit(&daemon.run(&["--help"]).await, 0);
    assert_exit(&daemon.run(&["verify", "--corp", "nobody"]).await, 64);
    let good = daemon.configuration();
    for (from, to, named) in [
        ("[corps.main]", "[corps.main]\nap_key = \"x\"", "corps.main.ap_key"),
        ("corp_id = ", "# corp_id = ", "corps.main.corp_id"),
        ("callback_aes_key = \"", "callback_aes_key = \"short", "corps.main.callback_aes_key"),
        ("requests_per_second = 0", "requests_per_second = -1", "corps.main.requests_per_second"),
        ("requests_per_second = 0", "requests_per_second = 0.001", "corps.main.requests_per_second"),
        ("requests_per_second = 0", "calls_in_flight = 0", "corps.main.calls_in_flight"),
        ("[server]", "[guard]\nmax_share = 1.5\n[server]", "guard.max_share"),
        ("oapi_url = \"http://127.0.0.1", "oapi_url = \"http://192.0.2.1", "corps.main.oapi_url"),
    ] {
        let broken = good.replacen(from, to, 1);
        assert_ne!(broken, good, "{from}");
        daemon.configure(&broken);
        for command in ["check", "serve", "verify"] {
            let output = daemon.run(&[command]).await;
            assert_exit(&output, 64);
            let error = text(&output.stderr);
            assert!(error.contains(named) && error.contains("dingsync.toml"), "{command}: {error}");
        }
    }
    let error = text(&daemon.run(&["check"]).await.stderr);
    assert!(
        !error.contains(&sim.credentials().app_secret) && !error.contains(&sim.credentials().callback_token)
    );
    daemon.configure(&good);
    daemon.configure_without("app_");
    let output = daemon.run(&["serve", "--only", "receive"]).await;
    assert_exit(&output, 64);
    assert!(text(&output.stderr).contains("corps.main.app_key"), "{}", text(&output.stderr));
    fs::remove_file(daemon.folder().join("dingsync.toml")).unwrap();
    let output = daemon.run(&["serve"]).await;
    assert_exit(&output, 64);
    assert!(text(&output.stderr).contains("[corps.main]"), "{}", text(&output.stderr));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_effective_configuration_is_shown_without_secrets_and_with_every_origin() {
    let sim = simulator(30, 4, 1).await;
    let daemon = Daemon::new(&[&sim], UNBOUNDED);
    let mut command = daemon.command(&["config", "--json"]);
    command.env("DINGSYNC_LOG__LEVEL", "debug").env("DINGSYNC_CORPS__MAIN__OWNER_KEYS", "one, two");
    let output = command.output().unwrap();
    assert_exit(&output, 0);
    let values = as_json(&output);
    let find =
        |key: &str| values.as_array().unwrap().iter().find(|value| value["key"] == key).unwrap().clone();
    assert_eq!(find("log.level")["origin"], "variable DINGSYNC_LOG__LEVEL");
    assert_eq!(find("corps.main.owner_keys")["value"], "one,two");
    assert!(find("corps.main.corp_id")["origin"].as_str().unwrap().contains("dingsync.toml, line"));
    assert_eq!(find("guard.max_deletions")["origin"], "default");
    assert_eq!(find("corps.main.app_secret")["value"], "(hidden)");
    let whole = text(&output.stdout);
    let keys = sim.credentials();
    for secret in [keys.app_secret, keys.callback_token, keys.callback_aes_key] {
        assert!(!whole.contains(&secret));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_printed_schema_is_the_one_that_the_daemon_makes() {
    let sim = simulator(30, 4, 1).await;
    let mut daemon = Daemon::new(&[&sim], UNBOUNDED);
    let output = daemon.run(&["migrate", "--print"]).await;
    assert_exit(&output, 0);
    let refused = daemon.run(&["serve", "--no-migrate"]).await;
    assert_exit(&refused, 1);
    assert!(text(&refused.stderr).contains("dingsync migrate"), "{}", text(&refused.stderr));
    tamper(&daemon, &text(&output.stdout));
    daemon.spawn(&["--no-migrate"]);
    daemon.ready().await;
    daemon.agrees_with(&sim, "main").await;
    daemon.stop().await;
    assert_exit(&daemon.run(&["migrate"]).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_is_not_ours_or_not_there_is_refused_with_a_reason() {
    let sim = simulator(30, 4, 1).await;
    let daemon = Daemon::new(&[&sim], UNBOUNDED);
    Connection::open(daemon.database().file())
        .unwrap()
        .execute_batch("CREATE TABLE ding_employee (x)")
        .unwrap();
    for command in ["serve", "bootstrap", "verify"] {
        let output = daemon.run(&[command]).await;
        assert_exit(&output, 1);
        assert!(text(&output.stderr).contains("ding_employee"), "{}", text(&output.stderr));
    }
    let config = daemon.configuration();
    daemon.configure(&config.replace("dingsync.db", "no/such/folder/dingsync.db"));
    for command in ["bootstrap", "verify", "check"] {
        assert_exit(&daemon.run(&[command]).await, 75);
    }
    daemon.configure(&config.replace("sqlite://", "oracle://"));
    let output = daemon.run(&["verify"]).await;
    assert_exit(&output, 64);
    assert!(text(&output.stderr).contains("sqlite://"), "{}", text(&output.stderr));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_verify_that_cannot_read_something_says_so_and_is_no_success() {
    let sim = simulator(100, 12, 1).await;
    let daemon = Daemon::new(&[&sim], UNBOUNDED);
    assert_exit(&daemon.run(&["bootstrap"]).await, 0);
    sim.merge_faults(&json!({ "failing_pages": [{ "dept_id": 1, "page": 1, "errcode": 400_002 }] })).unwrap();
    let output = daemon.run(&["verify", "--json"]).await;
    assert_exit(&output, 1);
    let run = &as_json(&output)[0];
    assert_eq!(run["state"], "partial");
    assert!(run["error"].as_str().unwrap().contains("department 1"), "{run}");
}

async fn findings(daemon: &Daemon, arguments: &[&str], code: i32) -> Vec<Value> {
    let output = daemon.run(&[&["check", "--json"], arguments].concat()).await;
    assert_exit(&output, code);
    as_json(&output).as_array().expect("a list").clone()
}

fn wrong(findings: &[Value], topic: &str) -> Value {
    let found = findings.iter().find(|one| one["topic"] == topic && one["verdict"] != "ok");
    assert!(found.is_some(), "nothing is said of {topic}: {findings:#?}");
    found.cloned().unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread")]
async fn check_tells_one_trouble_from_the_other_and_what_to_change() {
    let sim = simulator(100, 12, 1).await;
    let key = sim.credentials().app_key;
    let daemon = Daemon::new(&[&sim], UNBOUNDED);
    let fine = findings(&daemon, &[], 0).await;
    assert!(fine.iter().all(|one| one["verdict"] == "ok"), "{fine:#?}");
    let url = fine.iter().find(|one| one["topic"] == "callback").unwrap();
    assert!(url["text"].as_str().unwrap().contains("/dingtalk/main/callback"), "{url}");

    let settings = sim.app_settings(&key).unwrap();
    let restore = serde_json::to_value(&settings).unwrap();
    sim.merge_app_settings(&key, &json!({ "permissions": ["qyapi_base", "qyapi_get_department_list"] }))
        .unwrap();
    let missing = wrong(&findings(&daemon, &[], 1).await, "permissions")["text"].as_str().unwrap().to_owned();
    assert!(
        missing.contains("qyapi_get_department_member") && missing.contains("qyapi_get_member"),
        "{missing}"
    );
    assert!(!missing.contains("qyapi_get_department_list"), "the least list: {missing}");
    sim.merge_app_settings(&key, &restore).unwrap();

    let part = sim.truth(Subject::Departments).find(|one| one["parent_id"] == 1).unwrap()["dept_id"].clone();
    sim.merge_app_settings(&key, &json!({ "scope": { "departments": [part] } })).unwrap();
    let smaller = wrong(&findings(&daemon, &[], 0).await, "scope");
    assert!(smaller["text"].as_str().unwrap().contains("smaller"), "{smaller}");
    sim.merge_app_settings(&key, &restore).unwrap();

    sim.merge_app_settings(&key, &json!({ "allowed_addresses": ["192.0.2.1"] })).unwrap();
    let address = wrong(&findings(&daemon, &[], 1).await, "permissions");
    assert!(address["remedy"].as_str().unwrap().contains("服务器出口IP"), "{address}");
    sim.merge_app_settings(&key, &json!({ "allowed_addresses": null })).unwrap();

    sim.merge_faults(&json!({ "clock_skew_ms": 600_000 })).unwrap();
    let clock = wrong(&findings(&daemon, &[], 1).await, "clock");
    assert!(clock["text"].as_str().unwrap().contains("behind"), "{clock}");
    sim.merge_faults(&json!({ "clock_skew_ms": 0 })).unwrap();

    let config = daemon.configuration();
    daemon.configure(&config.replace("corp_id = \"ding", "corp_id = \"dingx"));
    wrong(&findings(&daemon, &[], 1).await, "organisation");
    daemon.configure(&config.replace("app_secret = \"", "app_secret = \"x"));
    let credentials = wrong(&findings(&daemon, &[], 1).await, "credentials");
    assert!(credentials["remedy"].as_str().unwrap().contains("凭证与基础信息"), "{credentials}");
    daemon.configure(&config.replace(&sim.url(), &format!("http://127.0.0.1:{}", free_port())));
    wrong(&findings(&daemon, &[], 75).await, "credentials");
}

#[tokio::test(flavor = "multi_thread")]
async fn check_sends_itself_a_handshake_through_the_public_url() {
    let sim = simulator(60, 8, 1).await;
    let mut daemon = Daemon::new(&[&sim], UNBOUNDED);
    daemon.start().await;
    let url = daemon.callback_url("main");
    findings(&daemon, &["--callback-url", url.as_str()], 0).await;
    let wrong_path = url.as_str().replace("main", "other");
    let answer = wrong(&findings(&daemon, &["--callback-url", &wrong_path], 1).await, "callback");
    assert!(answer["remedy"].as_str().unwrap().contains("/dingtalk/NAME/callback"), "{answer}");
    // The configuration has changed, the daemon has not been started again.
    let config = daemon.configuration();
    daemon.configure(&config.replace("callback_token = \"", "callback_token = \"New"));
    let answer = wrong(&findings(&daemon, &["--callback-url", url.as_str()], 1).await, "callback");
    assert!(answer["remedy"].as_str().unwrap().contains("restart"), "{answer}");
    let nobody = format!("http://127.0.0.1:{}/dingtalk/main/callback", free_port());
    let answer = wrong(&findings(&daemon, &["--callback-url", &nobody], 1).await, "callback");
    assert!(answer["text"].as_str().unwrap().contains("no connection"), "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn values_that_fit_nowhere_are_stored_as_well_as_they_can_be() {
    let sim = simulator(60, 8, 1).await;
    let daemon = Daemon::new(&[&sim], UNBOUNDED);
    let long = "长".repeat(20_000);
    for (field, value) in [
        (Field::Remark, long.as_str()),
        (Field::Title, "'); DROP TABLE ding_employee; --"),
        (Field::Extension, "{not json"),
        (Field::WorkPlace, "a\u{0}b"),
        (Field::Telephone, "😀\u{202e}"),
    ] {
        let edit = Change::PersonEdit { userid: "00017".to_owned(), field, value: value.to_owned() };
        sim.change(&edit).unwrap();
    }
    assert_exit(&daemon.run(&["bootstrap"]).await, 0);
    assert_eq!(mirror::differences(daemon.database(), &sim), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn with_dingtalk_away_a_command_says_so_and_can_be_tried_later() {
    let sim = simulator(60, 8, 1).await;
    let daemon = Daemon::new(&[&sim], UNBOUNDED);
    assert_exit(&daemon.run(&["bootstrap"]).await, 0);
    let keys = sim.credentials();
    sim.stop().await;
    let (check, sync, verify) = tokio::join!(
        daemon.run(&["check"]),
        daemon.run(&["sync", "employee", "00017"]),
        daemon.run(&["verify"]),
    );
    for output in [&verify, &sync, &check] {
        assert_exit(output, 75);
        assert!(!text(&output.stderr).contains(&keys.app_secret));
    }
    // It is not forgotten: the next daemon reads it.
    let marked = "SELECT count(*) FROM dingsync_object WHERE object_id = '00017' AND wanted > done";
    assert_eq!(daemon.database().number(marked), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_database_s_address_may_stand_in_a_file() {
    let sim = simulator(60, 8, 1).await;
    let daemon = Daemon::new(&[&sim], UNBOUNDED);
    let file = daemon.folder().join("database-url");
    fs::write(&file, format!("{}\n", daemon.database().url())).unwrap();
    let of = |path: &str| {
        let inline = format!("url = \"{}\"", daemon.database().url());
        daemon.configuration().replace(&inline, &format!("url_file = \"{path}\""))
    };
    let (right, nowhere) = (of(&file.to_string_lossy()), of("/nowhere/at/all"));
    daemon.configure(&right);
    assert_exit(&daemon.run(&["bootstrap"]).await, 0);
    assert_eq!(mirror::differences(daemon.database(), &sim), Vec::<String>::new());
    daemon.configure(&nowhere);
    let refused = daemon.run(&["verify"]).await;
    assert_exit(&refused, 64);
    let told = text(&refused.stderr);
    assert!(told.contains("database.url_file") && told.contains("/nowhere/at/all"), "{told}");
}
