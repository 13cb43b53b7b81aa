//! What stands in a row of one object and belongs to another.

use dingsync::sim::{Change, Sim, Subject};
use serde_json::{Value, json};

use super::{agrees, applied, change, daemon_and_oa, follow, is_applied, object, parked, rename, run, told};
use crate::support::database::Database;
use crate::support::simulator;

/// A department that has departments and people below, two levels under the root.
fn deep(sim: &Sim) -> i64 {
    let departments: Vec<Value> = sim.truth(Subject::Departments).collect();
    let people: Vec<Value> = sim.truth(Subject::Users).collect();
    let has_people = |id: &Value| {
        people.iter().any(|person| {
            person["departments"]
                .as_array()
                .is_some_and(|places| places.iter().any(|place| place["dept_id"] == *id))
        })
    };
    let found = departments.iter().find(|one| {
        let children = || departments.iter().filter(|child| child["parent_id"] == one["dept_id"]);
        !one["parent_id"].is_null()
            && children().count() > 0
            && children().all(|child| has_people(&child["dept_id"]))
    });
    found.and_then(|one| one["dept_id"].as_i64()).expect("such a department")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_department_takes_along_all_that_stands_below_it() {
    let sim = simulator(200, 40, 17).await;
    let (mut daemon, oa) = daemon_and_oa(&sim);
    follow(&mut daemon, &sim).await;
    agrees(&daemon, &oa, &sim).await;
    let dept_id = deep(&sim);
    let below = |part: &str| {
        let users = format!("SELECT count(*) FROM sys_user WHERE dept_full_name LIKE '%{part}/%'");
        let departments = format!("SELECT count(*) FROM sys_dept WHERE full_name LIKE '%{part}/%'");
        (oa.number(&users), oa.number(&departments))
    };
    change(&sim, &daemon, &Change::DepartmentRename { dept_id, name: "改名之部".to_owned() }).await;
    agrees(&daemon, &oa, &sim).await;
    let (people, departments) = below("改名之部");
    assert!(people > 0 && departments > 0, "{people} people and {departments} departments below");

    change(&sim, &daemon, &Change::DepartmentCreate { name: "新上级".to_owned(), parent_id: 1 }).await;
    let parent = oa.department("新上级")["ding_dept_id"].as_i64().expect("a number");
    change(&sim, &daemon, &Change::DepartmentMove { dept_id, parent_id: parent }).await;
    agrees(&daemon, &oa, &sim).await;
    assert_eq!(below("新上级/改名之部"), (people, departments));
    let key = oa.department("新上级")["dept_id"].clone();
    let inside = format!("SELECT count(*) FROM sys_dept WHERE ancestors LIKE '%,{key},%'");
    assert_eq!(oa.number(&inside), departments, "ancestors of those below");

    change(&sim, &daemon, &Change::OrganisationRename { name: "改名集团".to_owned() }).await;
    agrees(&daemon, &oa, &sim).await;
    let all = oa.number("SELECT count(*) FROM sys_dept");
    assert_eq!(oa.number("SELECT count(*) FROM sys_dept WHERE full_name LIKE '改名集团%'"), all);

    // The manager's name and number stand beside the department.
    let member = sim
        .truth(Subject::Users)
        .find(|person| person["departments"].as_array().is_some_and(|places| places[0]["dept_id"] != 1))
        .expect("a member");
    let (userid, home) = (
        member["userid"].as_str().expect("a userid").to_owned(),
        member["departments"][0]["dept_id"].as_i64().expect("a department"),
    );
    change(&sim, &daemon, &Change::DepartmentManagers { dept_id: home, userids: vec![userid.clone()] }).await;
    change(&sim, &daemon, &rename(&userid, "改名主管")).await;
    agrees(&daemon, &oa, &sim).await;
    assert_eq!(
        oa.row(&format!("SELECT leader FROM sys_dept WHERE ding_dept_id = {home}"))["leader"],
        "改名主管"
    );
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_manager_who_comes_later_is_filled_in() {
    let sim = simulator(60, 8, 18).await;
    let (mut daemon, oa) = daemon_and_oa(&sim);
    // Whoever has no number yet is not in the OA.
    let mut mapping = oa.mapping();
    mapping["employee"]["when"] = json!({ "work_place": "here" });
    daemon.configure(daemon.configuration().split("[apply.oa]").next().expect("the rest"));
    daemon.configure_more(&super::toml_of(&mapping));
    let here = |userid: &str| Change::PersonEdit {
        userid: userid.to_owned(),
        field: dingsync::sim::Field::WorkPlace,
        value: "here".to_owned(),
    };
    let under = |manager: &str| Change::PersonManager {
        userid: "00020".to_owned(),
        manager: Some(manager.to_owned()),
    };
    sim.change(&here("00020")).expect("a change");
    sim.change(&under("00021")).expect("a change");
    follow(&mut daemon, &sim).await;
    let manager = || oa.user("00020")["manager_id"].clone();
    assert_eq!(manager(), json!(null), "he has a manager whom the OA does not know");
    change(&sim, &daemon, &here("00021")).await;
    assert_eq!(manager(), oa.user("00021")["user_id"]);

    change(&sim, &daemon, &under("00022")).await;
    assert_eq!(manager(), json!(null), "again one whom the OA does not know");
    change(&sim, &daemon, &here("00022")).await;
    assert_eq!(manager(), oa.user("00022")["user_id"]);
    assert_eq!(oa.number("SELECT count(*) FROM sys_user"), 3);
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_department_whose_parent_is_parked_waits_for_it() {
    let sim = simulator(60, 8, 19).await;
    let (mut daemon, oa) = daemon_and_oa(&sim);
    follow(&mut daemon, &sim).await;
    let long = "长".repeat(60);
    oa.script(&match &*oa.database {
        Database::Sqlite(_) => {
            "CREATE TRIGGER short BEFORE INSERT ON sys_dept WHEN length(NEW.dept_name) > 50 \
                                BEGIN SELECT RAISE(ABORT, 'dept_name is too long'); END;"
                .to_owned()
        }
        Database::Postgres(_) => "ALTER TABLE sys_dept ALTER COLUMN dept_name TYPE VARCHAR(50)".to_owned(),
        Database::Mysql(_) => "ALTER TABLE sys_dept MODIFY dept_name VARCHAR(50)".to_owned(),
    });
    sim.change(&Change::DepartmentCreate { name: long.clone(), parent_id: 1 }).expect("a department");
    sim.settled().await;
    parked(&daemon, 1).await;
    let truth =
        sim.truth(Subject::Departments).find(|one| one["name"] == long.as_str()).expect("a department");
    let parent_id = truth["dept_id"].as_i64().expect("a number");
    let child = Change::DepartmentCreate { name: "子部门".to_owned(), parent_id };
    sim.change(&child).expect("a department");
    sim.change(&Change::DepartmentCreate { name: "邻部门".to_owned(), parent_id: 1 }).expect("a department");
    sim.settled().await;
    let neighbour = "SELECT count(*) FROM sys_dept WHERE dept_name = '邻部门'";
    let passed = |status: &Value| status["apply"]["behind"] == 0 && oa.number(neighbour) == 1;
    daemon.wait("main", "the neighbour", passed).await;
    let mirrored = "SELECT count(*) FROM ding_department WHERE name = '子部门'";
    assert_eq!(daemon.database().number(mirrored), 1);
    let status = told(&daemon).await;
    let statement = object(&status, "department", &parent_id.to_string())["statement"].clone();
    assert_eq!(statement, "department.upsert");
    assert_eq!(oa.number("SELECT count(*) FROM sys_dept WHERE dept_name = '子部门'"), 0, "it waits");

    oa.script(&match &*oa.database {
        Database::Sqlite(_) => "DROP TRIGGER short".to_owned(),
        Database::Postgres(_) => "ALTER TABLE sys_dept ALTER COLUMN dept_name TYPE VARCHAR(100)".to_owned(),
        Database::Mysql(_) => "ALTER TABLE sys_dept MODIFY dept_name VARCHAR(100)".to_owned(),
    });
    run(&daemon, &["apply", "retry"], 0).await;
    daemon.wait("main", "rest of what is applied", is_applied).await;
    applied(&daemon).await;
    agrees(&daemon, &oa, &sim).await;
    let (parent, child) = (oa.department(&long), oa.department("子部门"));
    assert_eq!(child["parent_id"], parent["dept_id"]);
    daemon.stop().await;
}
