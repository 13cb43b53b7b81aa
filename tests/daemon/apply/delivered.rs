//! The mappings that are delivered, on the tables that they are for.

use std::collections::BTreeMap;

use dingsync::sim::Plan;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{is_applied, run};
use crate::support::database::{Database, Row};
use crate::support::{Daemon, UNBOUNDED, simulator};

/// A mapping of `deploy/apply`, the OA's tables with rows of its own, and what is looked at in them.
struct Delivered {
    engine: &'static str,
    mapping: &'static str,
    tables: &'static str,
    /// People: their key as `id`, their name as `name`, and what is the OA's own.
    people: &'static str,
    /// Departments: their key as `id`, their name as `name`.
    departments: &'static str,
    /// Everything else that is written, so that it can be seen to stay.
    further: [&'static str; 2],
}

const RUOYI: Delivered = Delivered {
    engine: "mysql",
    mapping: include_str!("../../../deploy/apply/ruoyi.toml"),
    tables: include_str!("../../data/apply/ruoyi.sql"),
    people: "SELECT user_id AS id, nick_name AS name, user_name, dept_id, phonenumber, email, status, del_flag, password, \
             remark, update_time FROM sys_user ORDER BY user_id",
    departments: "SELECT dept_id AS id, dept_name AS name, parent_id, ancestors, del_flag, update_time FROM sys_dept \
                  ORDER BY dept_id",
    further: [
        "SELECT * FROM sys_user_role ORDER BY 1, 2",
        "SELECT role_id, role_name, role_key FROM sys_role ORDER BY 1",
    ],
};

const JEECGBOOT: Delivered = Delivered {
    engine: "mysql",
    mapping: include_str!("../../../deploy/apply/jeecgboot.toml"),
    tables: include_str!("../../data/apply/jeecgboot.sql"),
    people: "SELECT id, realname AS name, username, work_no, phone, email, status, del_flag, password, update_time \
             FROM sys_user ORDER BY id",
    departments: "SELECT id, depart_name AS name, parent_id, org_code, del_flag, update_time FROM sys_depart ORDER BY id",
    further: [
        "SELECT * FROM sys_user_depart ORDER BY 1, 2",
        "SELECT id, role_name, role_code FROM sys_role ORDER BY 1",
    ],
};

const HR: Delivered = Delivered {
    engine: "postgres",
    mapping: include_str!("../../../deploy/apply/hr.toml"),
    tables: include_str!("../../data/apply/hr.sql"),
    people: "SELECT id, full_name AS name, login_name, employee_no, mobile, department_id, manager_id, status, \
             password_hash, note, CAST(updated_at AS TEXT) AS updated_at FROM hr_employee ORDER BY id",
    departments: "SELECT id, name, parent_id, path, cost_center, CAST(updated_at AS TEXT) AS updated_at \
                  FROM hr_department ORDER BY id",
    further: [
        "SELECT * FROM hr_department_member ORDER BY 1, 2",
        "SELECT * FROM hr_employee_role ORDER BY 1, 2",
    ],
};

/// A key as `ding_link` has it.
fn key(row: &Row) -> String {
    match &row["id"] {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn by_key(database: &Database, sql: &str) -> BTreeMap<String, Row> {
    database.rows(sql, "").into_iter().map(|row| (key(&row), row)).collect()
}

impl Delivered {
    fn everything(&self, oa: &Database) -> Vec<Vec<Row>> {
        let [first, second] = self.further;
        [self.people, self.departments, first, second].iter().map(|sql| oa.rows(sql, "")).collect()
    }

    /// The mapping with the test's database in it.
    fn configured(&self, oa: &Database) -> String {
        let lines = self.mapping.lines().filter(|line| !line.starts_with("url "));
        let text: String = lines.flat_map(|line| [line, "\n"]).collect();
        text.replacen("[apply.oa]\n", &format!("[apply.oa]\nurl = \"{}\"\n", oa.url()), 1)
    }

    async fn fits(&self) {
        let folder = TempDir::new().expect("a folder");
        let oa = Database::create_on(self.engine, folder.path());
        oa.script(self.tables);
        let own = by_key(&oa, self.people);
        let sim = simulator(150, 20, 31).await;
        let mut daemon = Daemon::new(&[&sim], UNBOUNDED);
        daemon.configure_more(&self.configured(&oa));
        daemon.start().await;
        daemon.wait("main", "the OA's tables", is_applied).await;
        sim.set_callback(Some(daemon.callback_url("main")));
        sim.live(&Plan { count: 60, interval_ms: 10.0, ..Plan::default() });
        sim.life_ended().await;
        sim.settled().await;
        let status = daemon.wait("main", "the OA's tables", is_applied).await;
        // Somebody who is not to be told from another; numbers that two people have, characters that a column has not.
        let parked = status["apply"]["parked"].as_i64().expect("a number");
        let told = run(&daemon, &["apply", "status", "--json"], 0).await;
        let told = String::from_utf8_lossy(&told.stdout).into_owned();
        assert!(parked <= 7, "{told}");
        self.agrees(&daemon, &oa, &own, parked);
        let before = self.everything(&oa);
        run(&daemon, &["apply", "rebuild"], i32::from(parked > 0)).await;
        assert_eq!(before, self.everything(&oa), "nothing has changed");
        run(&daemon, &["apply", "check"], 0).await;
        daemon.stop().await;
    }

    /// Everybody of the mirror is there, under the name that he has; what no link names is as it was.
    fn agrees(&self, daemon: &Daemon, oa: &Database, own: &BTreeMap<String, Row>, parked: i64) {
        let mirror = daemon.database();
        let links = |entity: &str| -> BTreeMap<String, String> {
            let sql = format!("SELECT ding_id, oa_id FROM ding_link WHERE entity = '{entity}'");
            let text = |value: &Value| value.as_str().expect("a text").to_owned();
            mirror.rows(&sql, "").iter().map(|row| (text(&row["ding_id"]), text(&row["oa_id"]))).collect()
        };
        let mut missing = 0;
        for (entity, sql, table) in [
            (
                "employee",
                "SELECT userid AS id, name FROM ding_employee WHERE deleted_at IS NULL",
                self.people,
            ),
            (
                "department",
                "SELECT dept_id AS id, name FROM ding_department WHERE deleted_at IS NULL",
                self.departments,
            ),
        ] {
            let (links, rows) = (links(entity), by_key(oa, table));
            for object in mirror.rows(sql, "") {
                match links.get(&key(&object)) {
                    Some(oa_id) => assert_eq!(rows[oa_id]["name"], object["name"], "{entity} {object:?}"),
                    None => missing += 1,
                }
            }
            if entity == "employee" {
                let linked: Vec<&String> = links.values().collect();
                for (id, row) in own.iter().filter(|(id, _)| !linked.contains(id)) {
                    assert_eq!(rows.get(id), Some(row), "a row of the OA's own");
                }
                assert!(own.keys().any(|id| linked.contains(&id)), "nobody was found who is there already");
                for id in own.keys().filter(|id| linked.contains(id)) {
                    let kept = ["password", "password_hash", "remark", "note"];
                    for column in kept.iter().filter(|column| own[id].contains_key(**column)) {
                        assert_eq!(rows[id][*column], own[id][*column], "{column} of {id}");
                    }
                }
            }
        }
        assert!(missing <= parked, "{missing} are missing, {parked} are parked");
        assert_ne!(json!(links("department").len()), json!(0));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_mapping_for_ruoyi_fits() {
    RUOYI.fits().await;
    Delivered { engine: "mariadb", ..RUOYI }.fits().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_mapping_for_jeecgboot_fits() {
    JEECGBOOT.fits().await;
    Delivered { engine: "mariadb", ..JEECGBOOT }.fits().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_mapping_for_an_hr_schema_fits_postgresql_and_sqlite() {
    HR.fits().await;
    let tables = include_str!("../../data/apply/hr-sqlite.sql");
    Delivered { engine: "sqlite", tables, ..HR }.fits().await;
}
