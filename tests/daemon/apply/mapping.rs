//! A mapping that does not fit, and the looks that show it before it does harm.

use serde_json::{Value, json};

use super::{Oa, agrees, applied, daemon_and_oa, follow, run, text, told, toml_of};
use crate::support::{Daemon, UNBOUNDED, is_at_rest, simulator};

fn replaced(mapping: &Value, entity: &str, statement: &str, from: &str, to: &str) -> Value {
    let mut mapping = mapping.clone();
    let before = mapping[entity][statement].as_str().expect("a statement");
    assert!(before.contains(from), "{before}");
    mapping[entity][statement] = json!(before.replace(from, to));
    mapping
}

#[tokio::test(flavor = "multi_thread")]
async fn a_parameter_that_there_is_not_is_named() {
    let sim = simulator(60, 8, 14).await;
    let oa = Oa::apart();
    let daemon = Daemon::new(&[&sim], UNBOUNDED);
    let bare = daemon.configuration();
    run(&daemon, &["migrate"], 0).await;
    let wrong = [
        ("employee", "upsert", ":mobile", ":moblie", "apply.oa.employee.upsert", "mobile"),
        ("employee", "find", ":job_number", ":jobnumber", "apply.oa.employee.find", "job_number"),
        ("department", "delete", ":oa_id", ":oaid", "apply.oa.department.delete", "oa_id"),
        ("department", "upsert", ":full_name", ":old_fullname", "apply.oa.department.upsert", "full_name"),
        // What another entity has, and what is not known yet.
        ("role", "upsert", ":group_name", ":mobile", "apply.oa.role.upsert", "mobile"),
        ("employee", "find", ":job_number", ":oa_id", "apply.oa.employee.find", "oa_id"),
        (
            "employee_role",
            "delete",
            ":role_oa_id",
            ":role_oaid",
            "apply.oa.employee_role.delete",
            "role_oa_id",
        ),
    ];
    for (entity, statement, from, to, key, known) in wrong {
        daemon.configure(&format!(
            "{bare}\n{}",
            toml_of(&replaced(&oa.mapping(), entity, statement, from, to))
        ));
        for command in [&["apply", "status"][..], &["apply", "check"], &["serve"]] {
            let output = run(&daemon, command, 64).await;
            let said = text(&output.stderr);
            for part in [key, to.trim_start_matches(':'), known] {
                assert!(said.contains(part), "{command:?} with {to} does not say {part}: {said}");
            }
        }
    }
    for (entity, key, value) in [
        ("employee", "upserts", json!("SELECT 1")),
        ("employee", "when", json!({ "is_activatd": true })),
        ("employee", "values", json!({ "is_activatd": { "true": 1 } })),
        ("person", "upsert", json!("SELECT 1")),
    ] {
        let mut mapping = oa.mapping();
        mapping[entity][key] = value;
        daemon.configure(&format!("{bare}\n{}", toml_of(&mapping)));
        let said = text(&run(&daemon, &["apply", "status"], 64).await.stderr);
        let named = if entity == "person" {
            "apply.oa.person".to_owned()
        } else {
            format!("apply.oa.{entity}.{key}")
        };
        assert!(said.contains(&named), "{named}: {said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mapping_that_does_not_fit_the_tables_is_named_and_goes_on_by_itself_once_it_does() {
    let sim = simulator(60, 8, 15).await;
    let oa = Oa::apart();
    let mut daemon = Daemon::new(&[&sim], UNBOUNDED);
    let wrong = oa.mapping();
    let wrong = replaced(&wrong, "employee", "upsert", "nick_name", "nickname");
    daemon.configure_more(&toml_of(&wrong));
    daemon.start().await;
    sim.set_callback(Some(daemon.callback_url("main")));
    let mismatch = |status: &Value| is_at_rest(status) && status["apply"]["trouble"]["kind"] == "mismatch";
    let status = daemon.wait("main", "trouble called mismatch", mismatch).await;
    let said = status["apply"]["trouble"]["text"].as_str().unwrap_or_default().to_owned();
    assert!(said.contains("nickname") && said.contains("employee.upsert"), "{said}");
    assert_eq!(status["apply"]["parked"], 0, "it is nobody's own fault: {status:#}");
    let check = run(&daemon, &["apply", "check"], 1).await;
    let said = text(&check.stdout) + &text(&check.stderr);
    assert!(said.contains("nickname") && said.contains("employee.upsert"), "{said}");
    assert_eq!(told(&daemon).await["trouble"]["kind"], "mismatch");
    assert_eq!(oa.number("SELECT count(*) FROM sys_user"), 0);

    oa.script("ALTER TABLE sys_user ADD COLUMN nickname VARCHAR(100)");
    applied(&daemon).await;
    let named = oa.number("SELECT count(*) FROM sys_user WHERE nickname IS NOT NULL AND nick_name IS NULL");
    assert_eq!(named, 60);
    run(&daemon, &["apply", "check"], 0).await;
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn check_shows_what_it_would_write_and_leaves_nothing_behind() {
    let sim = simulator(60, 8, 16).await;
    let (mut daemon, oa) = daemon_and_oa(&sim);
    run(&daemon, &["bootstrap"], 0).await;
    let check = run(&daemon, &["apply", "check"], 0).await;
    let said = text(&check.stdout);
    let name = sim.status().organisation;
    let first = format!(":name = {name}");
    for part in ["department.upsert", "role.upsert", "employee.upsert", "employee_role.upsert", &first] {
        assert!(said.contains(part), "nothing of {part}: {said}");
    }
    for table in ["sys_dept", "sys_user", "sys_role", "sys_user_role"] {
        assert_eq!(oa.number(&format!("SELECT count(*) FROM {table}")), 0, "check has written into {table}");
    }
    assert_eq!(daemon.database().number("SELECT count(*) FROM ding_link"), 0, "check has linked somebody");
    follow(&mut daemon, &sim).await;
    agrees(&daemon, &oa, &sim).await;
    let before = oa.rows("SELECT user_id, nick_name FROM sys_user ORDER BY user_id");
    run(&daemon, &["apply", "check"], 0).await;
    assert_eq!(oa.rows("SELECT user_id, nick_name FROM sys_user ORDER BY user_id"), before);
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_used_although_it_is_left_out_of_the_mirror_is_named() {
    let sim = simulator(30, 4, 16).await;
    let (mut daemon, oa) = daemon_and_oa(&sim);
    let mut mapping = oa.mapping();
    mapping["employee"]["when"] = json!({ "mobile": ["13800000000", "null"] });
    let bare = daemon.configuration();
    let bare = bare.split("[apply").next().expect("what stands before it").to_owned();
    daemon.configure(&format!(
        "{bare}\n[mirror]\nexclude_fields = [\"mobile\", \"job_number\"]\n{}",
        toml_of(&mapping)
    ));
    run(&daemon, &["bootstrap"], 0).await;
    let said = text(&run(&daemon, &["apply", "check"], 0).await.stdout);
    for named in [
        "NOTE employee.upsert uses :mobile, which is always NULL: `mirror.exclude_fields` leaves `mobile` out",
        "NOTE employee.find uses :job_number,",
        "NOTE employee.when uses `mobile`,",
        "NOTE department.upsert uses :manager_mobile,",
    ] {
        assert!(said.contains(named), "nothing of `{named}`: {said}");
    }
    assert!(!said.contains(":name, which") && !said.contains(":email, which"), "{said}");
    let check = text(&run(&daemon, &["check"], 0).await.stdout);
    assert!(check.contains("note  OA tables: employee.find uses :job_number"), "{check}");
    daemon.start().await;
    daemon.says("apply.oa: employee.find uses :job_number, which is always NULL").await;
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_draft_can_be_had_before_there_is_a_statement() {
    let sim = simulator(30, 4, 16).await;
    let oa = Oa::apart();
    let daemon = Daemon::new(&[&sim], UNBOUNDED);
    let bare = daemon.configuration();
    daemon.configure_more(&format!("[apply.oa]\nurl = \"{}\"", oa.database.url()));
    let draft = text(&run(&daemon, &["apply", "init", "--from-table", "sys_user"], 0).await.stdout);
    assert!(draft.contains("[apply.oa.employee]") && draft.contains(":userid"), "{draft}");
    for command in [&["apply", "status"][..], &["apply", "check"], &["verify"], &["serve"]] {
        let refused = text(&run(&daemon, command, 64).await.stderr);
        assert!(
            refused.contains("`apply.oa`") && refused.contains("dingsync apply init"),
            "{command:?}: {refused}"
        );
    }
    // Without the URL it looks into the mirror's database.
    daemon.configure(&bare);
    run(&daemon, &["migrate"], 0).await;
    let missing = run(&daemon, &["apply", "init", "--from-table", "sys_user"], 1).await;
    let (out, err) = (text(&missing.stdout), text(&missing.stderr));
    assert!(out.contains("# There is no table sys_user"), "{out}");
    assert!(err.contains("sys_user") && err.contains("--url") && err.contains("[apply.NAME]"), "{err}");
}
