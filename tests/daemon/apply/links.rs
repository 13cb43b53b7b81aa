//! Which row of the OA is whose, where that is a question.

use dingsync::sim::{Change, Field};
use serde_json::json;

use super::{agrees, applied, change, daemon_and_oa, link, object, parked, rename, run, text, told};
use crate::support::simulator;

#[tokio::test(flavor = "multi_thread")]
async fn two_rows_for_one_person_are_reported_and_not_guessed() {
    let sim = simulator(60, 8, 12).await;
    let (mut daemon, oa) = daemon_and_oa(&sim);
    for (userid, job_number) in [("00020", "TWICE"), ("00021", "ONCE"), ("00022", "ONCE")] {
        let value = job_number.to_owned();
        sim.change(&Change::PersonEdit { userid: userid.to_owned(), field: Field::JobNumber, value })
            .expect("a change");
    }
    oa.script(
        "INSERT INTO sys_user (user_name, password, nick_name, job_no) VALUES \
         ('one', 'x', '其一', 'TWICE'), ('two', 'x', '其二', 'TWICE')",
    );
    let key = |login: &str| {
        let sql = format!("SELECT user_id FROM sys_user WHERE user_name = '{login}'");
        oa.row(&sql)["user_id"].as_i64().expect("a number")
    };
    let (one, two) = (key("one"), key("two"));
    daemon.start().await;
    sim.set_callback(Some(daemon.callback_url("main")));
    parked(&daemon, 1).await;
    let status = told(&daemon).await;
    let he = object(&status, "employee", "00020");
    assert_eq!((&he["state"], &he["statement"]), (&json!("parked"), &json!("employee.find")), "{status:#}");
    let message = he["message"].as_str().expect("a message");
    assert!(
        message.contains(&one.to_string()) && message.contains(&two.to_string()),
        "it says which rows: {message}"
    );
    let own = oa.number("SELECT count(*) FROM sys_user WHERE ding_userid IS NULL AND nick_name LIKE '其%'");
    assert_eq!(own, 2, "neither is touched");
    assert_eq!(link(&daemon, "employee", "00020"), None);

    // What is another's is not given away.
    let (taken, _) = link(&daemon, "employee", "00023").expect("a link");
    let refused = run(&daemon, &["link", "employee", &taken.to_string(), "00020"], 1).await;
    assert!(text(&refused.stderr).contains("00023"), "it says whose it is: {}", text(&refused.stderr));
    run(&daemon, &["link", "employee", &two.to_string(), "nobody-at-all"], 1).await;
    run(&daemon, &["link", "cupboard", &two.to_string(), "00020"], 64).await;

    run(&daemon, &["link", "employee", &two.to_string(), "00020"], 0).await;
    applied(&daemon).await;
    agrees(&daemon, &oa, &sim).await;
    assert_eq!(link(&daemon, "employee", "00020"), Some((two, false)));
    assert_eq!(oa.user("00020")["user_name"], "two");
    let first = oa.row(&format!("SELECT nick_name, ding_userid FROM sys_user WHERE user_id = {one}"));
    assert_eq!(
        (&first["nick_name"], &first["ding_userid"]),
        (&json!("其一"), &json!(null)),
        "the other one is free"
    );

    // A link is forgotten; the row stays as it is, and is found again by what is in it.
    oa.script("UPDATE sys_user SET job_no = 'tidied up' WHERE user_name = 'one'");
    daemon.stop().await;
    let before = oa.user("00020");
    let rows = oa.number("SELECT count(*) FROM sys_user");
    run(&daemon, &["unlink", "employee", "00020"], 0).await;
    assert_eq!(link(&daemon, "employee", "00020"), None);
    assert_eq!(oa.user("00020"), before, "nothing is deleted");
    daemon.start().await;
    change(&sim, &daemon, &rename("00020", "又一名")).await;
    agrees(&daemon, &oa, &sim).await;
    assert_eq!(link(&daemon, "employee", "00020"), Some((two, false)));
    assert_eq!(oa.number("SELECT count(*) FROM sys_user"), rows);
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_is_another_persons_is_not_taken() {
    let sim = simulator(60, 8, 13).await;
    let (mut daemon, oa) = daemon_and_oa(&sim);
    // A careless statement: job numbers are not unique, and it does not ask whether the row is somebody's.
    let careless =
        daemon.configuration().replace("ding_unionid = :unionid OR (ding_unionid IS NULL", "(1 = 1");
    daemon.configure(&careless);
    for (number, userid) in sim
        .truth(dingsync::sim::Subject::Users)
        .filter_map(|person| person["userid"].as_str().map(str::to_owned))
        .enumerate()
    {
        let value = if userid == "00021" { "SAME".to_owned() } else { format!("N-{number}") };
        sim.change(&Change::PersonEdit { userid, field: Field::JobNumber, value }).expect("a change");
    }
    daemon.start().await;
    applied(&daemon).await;
    sim.set_callback(Some(daemon.callback_url("main")));
    let before = oa.user("00021");
    sim.change(&Change::PersonJoin { userid: Some("double".to_owned()), name: None, departments: vec![1] })
        .expect("a newcomer");
    sim.settled().await;
    applied(&daemon).await;
    // Who is linked keeps his row whatever his number becomes.
    let same =
        Change::PersonEdit { userid: "double".to_owned(), field: Field::JobNumber, value: "SAME".to_owned() };
    change(&sim, &daemon, &same).await;
    assert_eq!(oa.user("00021"), before);
    // Who comes with the number of somebody else is a question.
    sim.set_callback(None);
    sim.change(&Change::PersonJoin { userid: Some("triple".to_owned()), name: None, departments: vec![1] })
        .expect("a newcomer");
    let same =
        Change::PersonEdit { userid: "triple".to_owned(), field: Field::JobNumber, value: "N-3".to_owned() };
    sim.change(&same).expect("a change");
    run(&daemon, &["sync", "employee", "triple"], 0).await;
    parked(&daemon, 1).await;
    let status = told(&daemon).await;
    let owner = oa.row("SELECT ding_userid FROM sys_user WHERE job_no = 'N-3'")["ding_userid"].clone();
    let message = object(&status, "employee", "triple")["message"].as_str().unwrap_or_default().to_owned();
    assert!(message.contains(owner.as_str().expect("a userid")), "it says whose row that is: {message}");
    assert_eq!(oa.rows_of("triple"), []);
    daemon.stop().await;
}
