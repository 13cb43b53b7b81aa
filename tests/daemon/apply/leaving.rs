//! Who leaves, who comes back, and whose userid goes to somebody else.

use dingsync::sim::{Change, Field};
use serde_json::{Value, json};

use super::{
    Oa, agrees, applied, change, daemon_and_oa, follow, is_applied, link, object, parked, rename, run, text,
    told, toml_of,
};
use crate::reconcile::{leave, leavers};
use crate::support::{Daemon, UNBOUNDED, is_at_rest, simulator};

fn left(userid: &str) -> Change {
    Change::PersonLeave { userid: userid.to_owned() }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_leaves_is_deleted_only_where_a_link_is() {
    let sim = simulator(60, 8, 8).await;
    let (mut daemon, oa) = daemon_and_oa(&sim);
    let edit =
        Change::PersonEdit { userid: "00021".to_owned(), field: Field::JobNumber, value: "TWICE".to_owned() };
    sim.change(&edit).expect("a change");
    oa.script(
        "INSERT INTO sys_user (user_name, password, nick_name, job_no) VALUES \
         ('one', 'x', '其一', 'TWICE'), ('two', 'x', '其二', 'TWICE'), ('three', 'x', '其三', 'OTHER')",
    );
    daemon.start().await;
    sim.set_callback(Some(daemon.callback_url("main")));
    parked(&daemon, 1).await;
    object(&told(&daemon).await, "employee", "00021");
    let own =
        || oa.rows("SELECT user_name, nick_name, job_no, del_flag FROM sys_user WHERE ding_userid IS NULL");
    let before = own();
    assert_eq!(before.len(), 3);

    let user_id = oa.rows_of("00020")[0].0;
    sim.change(&left("00020")).expect("a change");
    sim.change(&left("00021")).expect("a change");
    sim.settled().await;
    // Who has gone is nobody's question any more.
    applied(&daemon).await;
    assert_eq!(oa.rows_of("00020"), [(user_id, "2".to_owned())]);
    assert_eq!(own(), before, "of the two rows that might be his, none is touched");
    assert_eq!(link(&daemon, "employee", "00021"), None);
    assert_eq!(oa.number("SELECT count(*) FROM sys_user WHERE del_flag = '2'"), 1);
    assert_eq!(oa.number(&format!("SELECT count(*) FROM sys_user_role WHERE user_id = {user_id}")), 0);
    agrees(&daemon, &oa, &sim).await;
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_comes_back_gets_his_row_back() {
    let sim = simulator(60, 8, 9).await;
    let (mut daemon, oa) = daemon_and_oa(&sim);
    follow(&mut daemon, &sim).await;
    let (user_id, mark) = oa.rows_of("00020").remove(0);
    assert_eq!((mark.as_str(), link(&daemon, "employee", "00020")), ("0", Some((user_id, false))));
    oa.script(
        "UPDATE sys_user SET user_name = 'his login', password = 'his password' WHERE ding_userid = '00020'",
    );
    change(&sim, &daemon, &left("00020")).await;
    assert_eq!(oa.rows_of("00020"), [(user_id, "2".to_owned())]);
    assert_eq!(
        link(&daemon, "employee", "00020"),
        Some((user_id, true)),
        "it is remembered whose row it was"
    );
    change(&sim, &daemon, &Change::PersonReturn { userid: "00020".to_owned() }).await;
    agrees(&daemon, &oa, &sim).await;
    assert_eq!(oa.rows_of("00020"), [(user_id, "0".to_owned())]);
    assert_eq!(link(&daemon, "employee", "00020"), Some((user_id, false)));
    let row = oa.user("00020");
    assert_eq!((&row["user_name"], &row["password"]), (&json!("his login"), &json!("his password")));

    // The same for a department.
    change(&sim, &daemon, &Change::DepartmentCreate { name: "短命部".to_owned(), parent_id: 1 }).await;
    let dept = oa.department("短命部");
    let dept_id = dept["ding_dept_id"].as_i64().expect("a number");
    change(&sim, &daemon, &Change::DepartmentRemove { dept_id, evacuate: false }).await;
    assert_eq!(oa.department("短命部")["del_flag"], "2");
    agrees(&daemon, &oa, &sim).await;
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recycled_userid_gets_a_row_of_its_own() {
    let sim = simulator(60, 8, 10).await;
    let (mut daemon, oa) = daemon_and_oa(&sim);
    follow(&mut daemon, &sim).await;
    let recycle =
        |name: &str| Change::PersonRecycle { userid: "00020".to_owned(), name: Some(name.to_owned()) };
    let (first, _) = oa.rows_of("00020").remove(0);
    let former = oa.user("00020");
    change(&sim, &daemon, &recycle("后来者")).await;
    agrees(&daemon, &oa, &sim).await;
    let rows = oa.rows_of("00020");
    let (second, _) = rows[rows.len() - 1];
    assert_eq!(rows, [(first, "2".to_owned()), (second, "0".to_owned())]);
    assert_eq!(link(&daemon, "employee", "00020"), Some((second, false)));
    let kept = oa.row(&format!("SELECT nick_name, ding_unionid FROM sys_user WHERE user_id = {first}"));
    assert_eq!((&kept["nick_name"], &kept["ding_unionid"]), (&former["nick_name"], &former["ding_unionid"]));
    let current = oa.row(&format!("SELECT nick_name FROM sys_user WHERE user_id = {second}"));
    assert_eq!(current["nick_name"], "后来者");

    // Also when the first one had left before.
    change(&sim, &daemon, &left("00020")).await;
    change(&sim, &daemon, &recycle("第三人")).await;
    agrees(&daemon, &oa, &sim).await;
    let rows = oa.rows_of("00020");
    assert_eq!(rows.len(), 3, "{rows:?}");
    assert_eq!(rows.iter().map(|(_, mark)| mark.as_str()).collect::<Vec<_>>(), ["2", "2", "0"]);
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_deleted_in_the_oa_before_it_is_approved() {
    let sim = simulator(120, 12, 11).await;
    let (mut daemon, oa) = daemon_and_oa(&sim);
    daemon.configure_more("[guard]\nmax_deletions = 5\nmax_share = 0.04\nwindow = \"1h\"");
    follow(&mut daemon, &sim).await;
    sim.set_callback(None);
    let gone = leavers(&sim, 30);
    leave(&sim, &gone);
    run(&daemon, &["reconcile", "--quick"], 2).await;
    let count = |condition: &str| oa.number(&format!("SELECT count(*) FROM sys_user WHERE {condition}"));
    let held = |status: &Value| {
        let apply = &status["apply"];
        status["queue"]["held"] == 30 && apply["behind"] == 0 && apply["due"] == 0
    };
    daemon.wait("main", "held deletions that are applied", held).await;
    assert_eq!(count("del_flag = '2'"), 0, "nothing is deleted");
    assert_eq!(count("gone_at IS NOT NULL"), 30, "and it is known who has gone");
    run(&daemon, &["reconcile", "approve"], 0).await;
    daemon.wait("main", "approved deletions", |status| is_at_rest(status) && is_applied(status)).await;
    assert_eq!(count("del_flag = '2'"), 30);
    agrees(&daemon, &oa, &sim).await;
    daemon.stop().await;
}

/// Waits until `count` objects are held and everything else has been applied.
async fn held(daemon: &Daemon, count: u64) {
    let is_it = |status: &Value| is_applied(status) && status["apply"]["held"] == count;
    daemon.wait("main", "held objects", is_it).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn more_than_the_guard_allows_are_left_out_only_when_a_person_says_so() {
    let sim = simulator(120, 12, 12).await;
    let oa = Oa::apart();
    let mut daemon = Daemon::new(&[&sim], UNBOUNDED);
    daemon.configure_more("[guard]\nmax_deletions = 5\nmax_share = 0.04\nwindow = \"1h\"");
    let without = daemon.configuration();
    daemon.configure_more(&toml_of(&oa.mapping()));
    follow(&mut daemon, &sim).await;
    daemon.stop().await;

    let everybody: Vec<String> = daemon
        .database()
        .rows(
            "SELECT userid FROM ding_employee WHERE corp_id = ? ORDER BY userid",
            &sim.credentials().corp_id,
        )
        .iter()
        .filter_map(|row| row["userid"].as_str().map(str::to_owned))
        .collect();
    let mut narrow = oa.mapping();
    narrow["employee"]["when"] = json!({ "userid": everybody[20..] });
    daemon.configure(&format!("{without}\n{}", toml_of(&narrow)));
    daemon.start().await;
    let checked = text(&run(&daemon, &["apply", "check"], 0).await.stdout);
    assert!(checked.contains("employee.when leaves out 20 of "), "{checked}");
    assert!(checked.contains("20 of them have a row in the OA: more than `[guard]` allows"), "{checked}");
    let told_so = text(&run(&daemon, &["apply", "rebuild"], 1).await.stdout);
    assert!(told_so.contains("20 objects") && told_so.contains("`dingsync apply approve`"), "{told_so}");
    let locked = || oa.number("SELECT count(*) FROM sys_user WHERE del_flag = '2'");
    held(&daemon, 20).await;
    assert_eq!(locked(), 0, "of one wave all are held or none");
    let status = told(&daemon).await;
    let one = object(&status, "employee", &everybody[19]);
    assert_eq!((&one["state"], &one["statement"]), (&json!("held"), &json!("employee.when")));
    let warnings = daemon.log().lines().filter(|line| line.contains("`when` leaves out more")).count();
    assert_eq!(warnings, 1, "{}", daemon.log());

    // Neither a change of one of them nor another try lets anybody go.
    sim.change(&rename(&everybody[19], "还在的人")).expect("a change");
    sim.settled().await;
    held(&daemon, 20).await;
    run(&daemon, &["apply", "retry"], 1).await;
    run(&daemon, &["apply", "retry", "employee", &everybody[19]], 1).await;
    run(&daemon, &["apply", "rebuild"], 1).await;
    assert_eq!(locked(), 0);

    run(&daemon, &["apply", "approve", "employee", &everybody[50]], 1).await;
    run(&daemon, &["apply", "approve", "employee", &everybody[19]], 0).await;
    assert_eq!((locked(), oa.rows_of(&everybody[19])[0].1.as_str()), (1, "2"));
    run(&daemon, &["apply", "approve"], 0).await;
    applied(&daemon).await;
    assert_eq!(locked(), 20);
    assert_eq!(daemon.database().number("SELECT count(*) FROM dingsync_apply_let_go"), 0);

    // A mistake is put right by putting it right.
    daemon.stop().await;
    daemon.configure(&format!("{without}\n{}", toml_of(&oa.mapping())));
    daemon.start().await;
    run(&daemon, &["apply", "rebuild"], 0).await;
    assert_eq!(locked(), 0);

    // Within the limits they are let go at once, one by one as well until these are reached.
    daemon.stop().await;
    narrow["employee"]["when"] = json!({ "userid": everybody[4..] });
    daemon.configure(&format!("{without}\n{}", toml_of(&narrow)));
    daemon.start().await;
    run(&daemon, &["apply", "rebuild"], 0).await;
    assert_eq!(locked(), 4);
    // A daemon that runs has the statements with which it was started.
    daemon.configure(&format!("{without}\n{}", toml_of(&oa.mapping())));
    let outdated = text(&run(&daemon, &["apply", "rebuild"], 1).await.stdout);
    assert!(outdated.contains("restart it"), "{outdated}");
    assert_eq!(locked(), 4);
    daemon.stop().await;
}
