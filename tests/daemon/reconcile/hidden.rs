//! What is out of sight, or not permitted to be seen, is not gone: it is named, its rows stay, and it is current again
//! once it can be seen.

use dingsync::sim::{Change, Field, Sim, Subject};
use serde_json::json;

use super::{CHANGES, DELETED, PEOPLE, notes, run, run_json};
use crate::support::{Daemon, UNBOUNDED, is_at_rest, simulator};

fn edit(sim: &Sim, userid: &str, field: Field, value: &str) {
    let change = Change::PersonEdit { userid: userid.to_owned(), field, value: value.to_owned() };
    sim.change(&change).expect("a possible change");
}

const MOBILES: &str = "SELECT count(*) FROM ding_employee WHERE mobile IS NOT NULL";
const PERSONAL: &str = "SELECT count(*) FROM ding_employee WHERE email IS NOT NULL OR org_email IS NOT NULL \
                        OR work_place IS NOT NULL OR remark IS NOT NULL OR extension IS NOT NULL";
const PLACES: &str = "SELECT count(*) FROM ding_employee_department";

#[tokio::test(flavor = "multi_thread")]
async fn a_smaller_scope_and_lost_field_permissions_change_no_row_and_are_named() {
    let sim = simulator(300, 30, 1).await;
    let key = sim.credentials().app_key;
    let mut daemon = Daemon::new(&[&sim], UNBOUNDED);
    daemon.follow(&sim).await;
    let rows = |daemon: &Daemon| [PEOPLE, MOBILES, PERSONAL, PLACES].map(|sql| daemon.database().number(sql));
    let before = rows(&daemon);
    let changes = daemon.database().number(CHANGES);
    let populated: Vec<i64> = sim
        .truth(Subject::Users)
        .filter_map(|person| person["departments"][0]["dept_id"].as_i64())
        .filter(|dept_id| *dept_id != 1)
        .collect();
    let dept_id = populated[0];
    sim.merge_app_settings(
        &key,
        &json!({ "scope": { "departments": [dept_id] }, "mobile_field": false, "personal_fields": false }),
    )
    .unwrap();

    let report = run_json(&daemon, &["reconcile"], 0).await;
    assert_eq!((rows(&daemon), daemon.database().number(CHANGES)), (before, changes), "{report:#}");
    assert_eq!(report["differences"], json!([]), "{report:#}");
    let hidden = report["hidden"].as_array().unwrap();
    assert!(hidden.len() > 200, "{report:#}");
    assert_eq!(report["found"]["hidden"], hidden.len());
    let scope = notes(&report, "scope").join("\n");
    assert!(scope.contains("通讯录授权范围") && scope.contains("1 departments with all below"), "{scope}");
    let permissions = notes(&report, "permission").join("\n");
    for named in ["企业员工手机号信息", "邮箱等个人信息", "权限管理"] {
        assert!(permissions.contains(named), "{report:#}");
    }

    // Events of a hundred people, in sight and out of it, with what may be seen and what may not.
    let people: Vec<String> = sim
        .truth(Subject::Users)
        .filter_map(|person| person["userid"].as_str().map(str::to_owned))
        .take(100)
        .collect();
    for (number, userid) in people.iter().enumerate() {
        edit(&sim, userid, Field::Title, "顾问");
        edit(&sim, userid, Field::Mobile, &format!("139{number:08}"));
    }
    sim.settled().await;
    daemon.wait("main", "rest", is_at_rest).await;
    assert_eq!(rows(&daemon), before, "no row deleted, no field blanked");
    assert_eq!(daemon.database().number(DELETED), 0);
    let status = daemon.status("main").await.unwrap();
    assert_eq!(status["reconcile"]["last"]["found"]["hidden"], hidden.len());

    sim.merge_app_settings(
        &key,
        &json!({ "scope": { "departments": [1] }, "mobile_field": true, "personal_fields": true }),
    )
    .unwrap();
    let report = run_json(&daemon, &["reconcile"], 0).await;
    assert_eq!(report["found"]["hidden"], 0, "{report:#}");
    daemon.agrees_with(&sim, "main").await;
    assert_eq!(daemon.status("main").await.unwrap()["queue"]["hidden"], 0);
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_permission_point_is_named_and_only_what_needs_it_is_left_out() {
    let sim = simulator(120, 12, 1).await;
    let key = sim.credentials().app_key;
    // Each command asks anew: a daemon would hold its calls back for up to a minute after a refusal.
    let daemon = Daemon::new(&[&sim], UNBOUNDED);
    run(&daemon, &["bootstrap"], 0).await;
    let changes = daemon.database().number(CHANGES);
    let all = sim.app_settings(&key).unwrap().permissions;
    for point in ["qyapi_get_department_member", "qyapi_get_member", "qyapi_get_department_list"] {
        let fewer: Vec<&String> = all.iter().filter(|known| *known != point).collect();
        sim.merge_app_settings(&key, &json!({ "permissions": fewer })).unwrap();
        for arguments in [&["verify"][..], &["reconcile"]] {
            let report = run_json(&daemon, arguments, 1).await;
            assert_eq!(report["state"], "partial", "{report:#}");
            let said = notes(&report, "permission").join("\n");
            assert!(said.contains(point) && said.contains("权限管理"), "{report:#}");
            assert_eq!(daemon.database().number(CHANGES), changes);
        }
        sim.merge_app_settings(&key, &json!({ "permissions": all })).unwrap();
        run(&daemon, &["reconcile"], 0).await;
    }
}
