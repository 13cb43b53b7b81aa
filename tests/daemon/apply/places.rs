//! Where the OA's tables are, who comes into them, and how values are written there.

use std::collections::BTreeSet;

use dingsync::sim::{Change, Field, Sim};
use jiff::Timestamp;
use jiff::tz::{Offset, TimeZone};
use serde_json::{Value, json};

use super::{Oa, agrees, applied, change, follow, link, rename, run, toml_of};
use crate::support::{Daemon, UNBOUNDED, simulator};

#[tokio::test(flavor = "multi_thread")]
async fn the_same_database_and_another_one_hold_the_same() {
    let sim = simulator(120, 12, 20).await;
    let mut daemon = Daemon::new(&[&sim], UNBOUNDED);
    let beside = Oa::beside(&daemon).await;
    daemon.configure_more(&toml_of(&beside.mapping()));
    follow(&mut daemon, &sim).await;
    change(&sim, &daemon, &rename("00020", "同库之名")).await;
    agrees(&daemon, &beside, &sim).await;
    daemon.stop().await;

    sim.set_callback(None);
    let apart = Oa::apart();
    let mut other = Daemon::new(&[&sim], UNBOUNDED);
    other.configure_more(&toml_of(&apart.mapping()));
    follow(&mut other, &sim).await;
    agrees(&other, &apart, &sim).await;
    let names = |oa: &Oa| {
        oa.rows("SELECT nick_name, phonenumber, status, dept_full_name, ding_userid FROM sys_user ORDER BY ding_userid")
    };
    assert_eq!(names(&apart), names(&beside));
    other.stop().await;
}

/// A daemon whose mapping is the usual one with something added.
async fn with(sim: &Sim, add: impl FnOnce(&mut Value)) -> (Daemon, Oa) {
    let mut daemon = Daemon::new(&[sim], UNBOUNDED);
    let oa = Oa::beside(&daemon).await;
    let mut mapping = oa.mapping();
    add(&mut mapping);
    daemon.configure_more(&toml_of(&mapping));
    follow(&mut daemon, sim).await;
    (daemon, oa)
}

fn edit(userid: &str, field: Field, value: &str) -> Change {
    Change::PersonEdit { userid: userid.to_owned(), field, value: value.to_owned() }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_does_not_match_is_left_out() {
    let sim = simulator(60, 8, 23).await;
    for userid in ["00020", "00021", "00022"] {
        sim.change(&edit(userid, Field::Remark, "inside")).expect("a change");
    }
    sim.change(&edit("00023", Field::Remark, "contractor")).expect("a change");
    sim.change(&Change::PersonClear { userid: "00024".to_owned(), field: Field::Remark }).expect("a change");
    let (mut daemon, oa) = with(&sim, |mapping| {
        mapping["employee"]["when"] = json!({ "is_admin": false, "remark": ["inside", "guest", "null"] });
        mapping["employee"]["values"] = json!({
            "is_activated": { "true": "1", "false": "2", "null": "3" },
            "work_place": { "somewhere": "null", "null": "nowhere" },
            "remark": { "inside": "I" },
        });
        mapping["employee"]["upsert"] = json!([
            mapping["employee"]["upsert"],
            "UPDATE sys_user SET remark = :remark, email = :work_place WHERE ding_userid = :userid",
        ]);
    })
    .await;
    let inside = || -> BTreeSet<String> {
        let rows = oa.rows("SELECT ding_userid FROM sys_user WHERE del_flag = '0'");
        rows.iter().filter_map(|row| row["ding_userid"].as_str().map(str::to_owned)).collect()
    };
    let wanted = || -> BTreeSet<String> {
        let rows = daemon.database().rows(
            "SELECT userid, is_admin, remark FROM ding_employee WHERE corp_id = ? AND deleted_at IS NULL",
            &sim.credentials().corp_id,
        );
        rows.iter()
            .filter(|row| row["is_admin"] == 0 && (row["remark"].is_null() || row["remark"] == "inside"))
            .filter_map(|row| row["userid"].as_str().map(str::to_owned))
            .collect()
    };
    assert_eq!(inside(), wanted());
    assert!(inside().contains("00024") && !inside().contains("00023") && inside().len() > 20);
    assert_eq!(oa.user("00020")["remark"], "I", "a listed value is written as it is mapped");
    assert_eq!(link(&daemon, "employee", "00023"), None);
    let memberships =
        "SELECT count(*) FROM sys_user_role WHERE user_id NOT IN (SELECT user_id FROM sys_user)";
    assert_eq!(oa.number(memberships), 0, "who is left out has no roles there");

    // Who stops matching is treated as gone, who matches again comes back to his row.
    let (key, _) = oa.rows_of("00020").remove(0);
    change(&sim, &daemon, &edit("00020", Field::Remark, "contractor")).await;
    assert_eq!(oa.rows_of("00020"), [(key, "2".to_owned())]);
    assert_eq!(link(&daemon, "employee", "00020"), Some((key, true)));
    change(&sim, &daemon, &rename("00020", "场外之名")).await;
    assert_eq!(oa.rows_of("00020"), [(key, "2".to_owned())]);
    change(&sim, &daemon, &edit("00020", Field::Remark, "guest")).await;
    assert_eq!(oa.rows_of("00020"), [(key, "0".to_owned())]);
    let row = oa.user("00020");
    assert_eq!((&row["nick_name"], &row["remark"]), (&json!("场外之名"), &json!("guest")));
    change(&sim, &daemon, &edit("00023", Field::Remark, "inside")).await;
    assert_eq!(oa.user("00023")["remark"], "I");
    change(&sim, &daemon, &Change::AdminOn { userid: "00023".to_owned() }).await;
    assert_eq!(oa.user("00023")["del_flag"], "2");
    assert_eq!(inside(), wanted().into_iter().chain(["00020".to_owned()]).collect());

    // Value maps: to NULL and from NULL.
    change(&sim, &daemon, &edit("00021", Field::WorkPlace, "somewhere")).await;
    assert_eq!(oa.user("00021")["email"], json!(null));
    change(&sim, &daemon, &edit("00021", Field::WorkPlace, "elsewhere")).await;
    assert_eq!(oa.user("00021")["email"], "elsewhere");
    let clear = Change::PersonClear { userid: "00021".to_owned(), field: Field::WorkPlace };
    change(&sim, &daemon, &clear).await;
    assert_eq!(oa.user("00021")["email"], "nowhere");
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn instants_are_written_as_the_oa_counts_its_hours() {
    let sim = simulator(20, 4, 25).await;
    for (zone, hours) in [("+00:00", 0), ("-03:00", -3)] {
        let (mut daemon, oa) = with(&sim, |mapping| mapping["time_zone"] = json!(zone)).await;
        let sql = "SELECT created_at FROM ding_employee WHERE corp_id = ? AND userid = '00020'";
        let row = daemon.database().rows(sql, &sim.credentials().corp_id).remove(0);
        let created: Timestamp =
            row["created_at"].as_str().and_then(|at| at.parse().ok()).expect("an instant");
        let shown = created.to_zoned(TimeZone::fixed(Offset::constant(hours))).strftime("%Y-%m-%d %H:%M:%S");
        assert_eq!(oa.user("00020")["joined"], shown.to_string());
        daemon.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_are_written_as_documents_and_memberships_as_rows() {
    let sim = simulator(60, 8, 24).await;
    let mut daemon = Daemon::new(&[&sim], UNBOUNDED);
    let oa = Oa::beside(&daemon).await;
    oa.script(
        "CREATE TABLE sys_user_dept (user_id BIGINT NOT NULL, dept_id BIGINT NOT NULL, PRIMARY KEY (user_id, dept_id));
         ALTER TABLE sys_user ADD COLUMN depts VARCHAR(2000);
         ALTER TABLE sys_user ADD COLUMN roles VARCHAR(2000);
         INSERT INTO sys_user_dept (user_id, dept_id) VALUES (1, 777);",
    );
    let mut mapping = oa.mapping();
    mapping["employee"]["upsert"] = json!([
        mapping["employee"]["upsert"],
        "UPDATE sys_user SET depts = :departments, roles = :roles WHERE ding_userid = :userid",
    ]);
    mapping["employee_department"] = json!({
        "upsert": oa.put("sys_user_dept", [("user_id", ":employee_oa_id"), ("dept_id", ":department_oa_id")]),
        "delete": "DELETE FROM sys_user_dept WHERE user_id = :employee_oa_id AND dept_id = :department_oa_id",
    });
    daemon.configure_more(&toml_of(&mapping));
    follow(&mut daemon, &sim).await;
    documents_agree(&daemon, &oa, &sim).await;

    let departments: Vec<i64> = sim
        .truth(dingsync::sim::Subject::Departments)
        .filter_map(|department| department["dept_id"].as_i64())
        .collect();
    let moved = Change::PersonMove {
        userid: "00020".to_owned(),
        departments: vec![departments[1], departments[2], departments[3]],
    };
    change(&sim, &daemon, &moved).await;
    documents_agree(&daemon, &oa, &sim).await;
    let key = oa.user("00020")["user_id"].clone();
    assert_eq!(
        oa.number(&format!("SELECT count(*) FROM sys_user_dept WHERE user_id = {key} AND dept_id <> 777")),
        3
    );
    let moved = Change::PersonMove { userid: "00020".to_owned(), departments: vec![departments[4]] };
    change(&sim, &daemon, &moved).await;
    documents_agree(&daemon, &oa, &sim).await;
    change(&sim, &daemon, &Change::PersonLeave { userid: "00020".to_owned() }).await;
    documents_agree(&daemon, &oa, &sim).await;
    run(&daemon, &["apply", "rebuild"], 0).await;
    documents_agree(&daemon, &oa, &sim).await;
    let by_hand = "SELECT count(*) FROM sys_user_dept WHERE user_id = 1 AND dept_id = 777";
    assert_eq!(oa.number(by_hand), 1, "what was there before is nobody's but the OA's");
    daemon.stop().await;
}

/// Compares the documents of everybody, and the rows of memberships, with the mirror's.
async fn documents_agree(daemon: &Daemon, oa: &Oa, sim: &Sim) {
    applied(daemon).await;
    agrees(daemon, oa, sim).await;
    let corp_id = sim.credentials().corp_id;
    let mirror = |sql: &str| daemon.database().rows(sql, &corp_id);
    let places = mirror(
        "SELECT place.userid, place.dept_id, place.is_leader, place.member_order FROM ding_employee_department AS place \
         JOIN ding_employee AS employee ON employee.corp_id = place.corp_id AND employee.userid = place.userid \
         WHERE place.corp_id = ? AND employee.deleted_at IS NULL",
    );
    let roles = mirror("SELECT userid, role_id FROM ding_employee_role WHERE corp_id = ?");
    let plain = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    for user in oa.rows("SELECT ding_userid, depts, roles FROM sys_user WHERE del_flag = '0'") {
        let document = |column: &str| -> Vec<Value> {
            let text = user[column].as_str().expect("a document");
            serde_json::from_str(text).expect("a list")
        };
        let written: BTreeSet<String> = document("depts")
            .iter()
            .map(|place| {
                let leads = place["is_leader"] == true;
                format!("{} {leads} {}", plain(&place["dept_id"]), plain(&place["member_order"]))
            })
            .collect();
        let expected: BTreeSet<String> = places
            .iter()
            .filter(|place| place["userid"] == user["ding_userid"])
            .map(|place| {
                format!("{} {} {}", place["dept_id"], place["is_leader"] == 1, place["member_order"])
            })
            .collect();
        assert_eq!(written, expected, "departments of {}", user["ding_userid"]);
        let written: BTreeSet<String> = document("roles").iter().map(plain).collect();
        let mine = roles.iter().filter(|role| role["userid"] == user["ding_userid"]);
        let expected: BTreeSet<String> = mine.map(|role| plain(&role["role_id"])).collect();
        assert_eq!(written, expected, "roles of {}", user["ding_userid"]);
    }
    let pairs = |rows: Vec<crate::support::database::Row>| -> BTreeSet<(String, String)> {
        rows.iter().map(|row| (plain(&row["userid"]), plain(&row["dept_id"]))).collect()
    };
    let stored = pairs(oa.rows(
        "SELECT sys_user.ding_userid AS userid, sys_dept.ding_dept_id AS dept_id FROM sys_user_dept \
         JOIN sys_user ON sys_user.user_id = sys_user_dept.user_id \
         JOIN sys_dept ON sys_dept.dept_id = sys_user_dept.dept_id",
    ));
    assert_eq!(stored, pairs(places), "memberships in departments");
}
