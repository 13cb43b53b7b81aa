//! The OA's own tables, filled by statements that its people write.

mod company;
mod dependents;
mod expected;
mod leaving;
mod links;
mod mapping;
mod names;
mod outage;
mod places;
mod rebuild;

use std::process::Output;
use std::sync::Arc;

use dingsync::sim::{Change, Sim};
use serde_json::{Value, json};
use tempfile::TempDir;

use self::expected::differences;
use crate::support::database::{Database, Row};
use crate::support::{Daemon, PATIENCE, UNBOUNDED, is_at_rest};

/// The OA's tables, as a common Chinese back office has them, in a database of their own or in the daemon's.
struct Oa {
    database: Arc<Database>,
    is_apart: bool,
    /// Where an embedded file lies.
    folder: TempDir,
}

impl Oa {
    /// In a database of its own, on the engine that the tests run on.
    fn apart() -> Self {
        let folder = TempDir::new().expect("a folder");
        let database = Arc::new(Database::create(folder.path()));
        Self { database, is_apart: true, folder }.with_tables()
    }

    /// In the daemon's database.
    async fn beside(daemon: &Daemon) -> Self {
        run(daemon, &["migrate"], 0).await;
        let folder = TempDir::new().expect("a folder");
        Self { database: daemon.shared_database(), is_apart: false, folder }.with_tables()
    }

    fn with_tables(self) -> Self {
        self.script(&self.tables());
        self
    }

    fn script(&self, script: &str) {
        self.database.script(script);
    }

    fn rows(&self, sql: &str) -> Vec<Row> {
        self.database.rows(sql, "")
    }

    fn number(&self, sql: &str) -> i64 {
        self.database.number(sql)
    }

    /// The only row of a query.
    fn row(&self, sql: &str) -> Row {
        let mut rows = self.rows(sql);
        assert_eq!(rows.len(), 1, "{sql}: {rows:?}");
        rows.remove(0)
    }

    /// The row of somebody whom DingTalk knows by this userid.
    fn user(&self, userid: &str) -> Row {
        self.row(&format!("SELECT {USER} FROM sys_user WHERE ding_userid = '{userid}'"))
    }

    /// The keys of all rows that stand or stood for a userid, with their marks of deletion.
    fn rows_of(&self, userid: &str) -> Vec<(i64, String)> {
        let sql =
            format!("SELECT user_id, del_flag FROM sys_user WHERE ding_userid = '{userid}' ORDER BY user_id");
        let mark = |row: &Row| row["del_flag"].as_str().unwrap_or_default().to_owned();
        self.rows(&sql).iter().map(|row| (expected::integer(&row["user_id"]), mark(row))).collect()
    }

    /// The row of a department by its name.
    fn department(&self, name: &str) -> Row {
        self.row(&format!("SELECT * FROM sys_dept WHERE dept_name = '{name}'"))
    }

    fn tables(&self) -> String {
        // A key that was given once is never given again, whatever is deleted.
        let (key, instant, end) = match *self.database {
            Database::Sqlite(_) => ("INTEGER PRIMARY KEY AUTOINCREMENT", "TEXT", ""),
            Database::Postgres(_) => ("BIGSERIAL PRIMARY KEY", "TIMESTAMP", ""),
            Database::Mysql(_) => (
                "BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY",
                "DATETIME",
                " DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin",
            ),
        };
        format!(
            "CREATE TABLE sys_dept (dept_id {key}, parent_id BIGINT NOT NULL DEFAULT 0, ancestors VARCHAR(500), \
             dept_name VARCHAR(100), order_num BIGINT, leader VARCHAR(100), leader_id BIGINT, phone VARCHAR(30), \
             full_name VARCHAR(1000), visible VARCHAR(1), ding_dept_id BIGINT, remark VARCHAR(100), \
             del_flag VARCHAR(1) NOT NULL DEFAULT '0'){end};
             CREATE TABLE sys_user (user_id {key}, dept_id BIGINT, user_name VARCHAR(100) NOT NULL, \
             password VARCHAR(100) NOT NULL, nick_name VARCHAR(100), phonenumber VARCHAR(30), email VARCHAR(100), \
             job_no VARCHAR(64), status VARCHAR(1), is_senior INTEGER, manager_id BIGINT, \
             dept_full_name VARCHAR(1000), hired DATE, joined VARCHAR(30), create_time {instant}, \
             gone_at VARCHAR(30), ding_userid VARCHAR(64), ding_unionid VARCHAR(64), remark VARCHAR(100), \
             del_flag VARCHAR(1) NOT NULL DEFAULT '0'){end};
             CREATE TABLE sys_role (role_id {key}, role_name VARCHAR(100), role_key VARCHAR(100), \
             ding_role_id BIGINT, del_flag VARCHAR(1) NOT NULL DEFAULT '0'){end};
             CREATE TABLE sys_user_role (user_id BIGINT NOT NULL, role_id BIGINT NOT NULL, \
             PRIMARY KEY (user_id, role_id)){end};"
        )
    }

    /// Writes a row with the key `:oa_id`, or a new one where that is NULL. The columns `once` are the OA's own after that.
    fn upsert(&self, table: &str, key: &str, once: &[(&str, &str)], columns: &[(&str, &str)]) -> String {
        let mut key_value = ":oa_id".to_owned();
        let (incoming, conflict, end): (fn(&str) -> String, _, _) = match *self.database {
            Database::Sqlite(_) => (
                |column| format!("excluded.{column}"),
                format!("ON CONFLICT ({key}) DO UPDATE SET"),
                String::new(),
            ),
            Database::Postgres(_) => {
                key_value = format!("COALESCE(:oa_id, nextval('{table}_{key}_seq'))");
                (
                    |column| format!("excluded.{column}"),
                    format!("ON CONFLICT ({key}) DO UPDATE SET"),
                    format!(" RETURNING {key}"),
                )
            }
            Database::Mysql(_) => {
                (|column| format!("VALUES({column})"), "ON DUPLICATE KEY UPDATE".to_owned(), String::new())
            }
        };
        let all = || once.iter().chain(columns);
        let names: Vec<&str> = all().map(|(name, _)| *name).collect();
        let values: Vec<&str> = all().map(|(_, value)| *value).collect();
        let assignments: Vec<String> =
            columns.iter().map(|(name, _)| format!("{name} = {}", incoming(name))).collect();
        format!(
            "INSERT INTO {table} ({key}, {})\nVALUES ({key_value}, {})\n{conflict} {}{end}",
            names.join(", "),
            values.join(", "),
            assignments.join(", "),
        )
    }

    /// Writes a row of two keys that may be there already.
    fn put(&self, table: &str, columns: [(&str, &str); 2]) -> String {
        let [(first, first_value), (second, second_value)] = columns;
        let end = match *self.database {
            Database::Sqlite(_) | Database::Postgres(_) => "ON CONFLICT DO NOTHING".to_owned(),
            Database::Mysql(_) => format!("ON DUPLICATE KEY UPDATE {first} = VALUES({first})"),
        };
        format!("INSERT INTO {table} ({first}, {second}) VALUES ({first_value}, {second_value}) {end}")
    }

    /// `[apply.oa]`: what stands in the OA's tables of a person, a department, a role. Linked is who has the same job
    /// number, whatever has the same name in the same place.
    fn mapping(&self) -> Value {
        let mut mapping = json!({
            "department": {
                "find": "SELECT dept_id FROM sys_dept WHERE ding_dept_id = :dept_id OR (ding_dept_id IS NULL \
                         AND dept_name = :name AND parent_id = COALESCE(:parent_oa_id, 0) AND del_flag = '0')",
                "upsert": self.upsert("sys_dept", "dept_id", &[], &DEPARTMENT),
                "delete": "UPDATE sys_dept SET del_flag = '2' WHERE dept_id = :oa_id",
                "values": { "is_hidden": { "true": "1", "false": "0" } },
            },
            "employee": {
                "find": "SELECT user_id FROM sys_user WHERE ding_unionid = :unionid OR (ding_unionid IS NULL \
                         AND job_no = :job_number AND del_flag = '0')",
                "upsert": self.upsert("sys_user", "user_id", &EMPLOYEE_ONCE, &EMPLOYEE),
                "delete": "UPDATE sys_user SET del_flag = '2' WHERE user_id = :oa_id",
                "values": { "is_activated": { "true": "0", "false": "1" } },
            },
            "role": {
                "find": "SELECT role_id FROM sys_role WHERE ding_role_id = :role_id OR (ding_role_id IS NULL \
                         AND role_name = :name AND del_flag = '0')",
                "upsert": self.upsert("sys_role", "role_id", &[], &ROLE),
                "delete": "UPDATE sys_role SET del_flag = '2' WHERE role_id = :oa_id",
            },
            "employee_role": {
                "upsert":
                    self.put("sys_user_role", [("user_id", ":employee_oa_id"), ("role_id", ":role_oa_id")]),
                "delete":
                    "DELETE FROM sys_user_role WHERE user_id = :employee_oa_id AND role_id = :role_oa_id",
            },
        });
        if self.is_apart {
            mapping["url"] = json!(self.database.url());
        }
        mapping
    }
}

const DEPARTMENT: [(&str, &str); 11] = [
    ("parent_id", "COALESCE(:parent_oa_id, 0)"),
    ("ancestors", ":ancestor_oa_ids"),
    ("dept_name", ":name"),
    ("order_num", ":dept_order"),
    ("leader", ":manager_name"),
    ("leader_id", ":manager_oa_id"),
    ("phone", ":manager_mobile"),
    ("full_name", ":full_name"),
    ("visible", ":is_hidden"),
    ("ding_dept_id", ":dept_id"),
    ("del_flag", "'0'"),
];

const EMPLOYEE_ONCE: [(&str, &str); 2] = [("user_name", ":userid"), ("password", "''")];

const EMPLOYEE: [(&str, &str); 16] = [
    ("dept_id", ":main_dept_oa_id"),
    ("nick_name", ":name"),
    ("phonenumber", ":mobile"),
    ("email", ":email"),
    ("job_no", ":job_number"),
    ("status", ":is_activated"),
    ("is_senior", ":is_senior"),
    ("manager_id", ":manager_oa_id"),
    ("dept_full_name", ":main_dept_full_name"),
    ("hired", ":hired_date"),
    ("joined", ":created_at"),
    ("create_time", ":created_at"),
    ("gone_at", ":gone_at"),
    ("ding_userid", ":userid"),
    ("ding_unionid", ":unionid"),
    ("del_flag", "'0'"),
];

const ROLE: [(&str, &str); 4] =
    [("role_name", ":name"), ("role_key", ":group_name"), ("ding_role_id", ":role_id"), ("del_flag", "'0'")];

/// What tests look at of a person.
const USER: &str = "user_id, dept_id, user_name, password, nick_name, phonenumber, email, job_no, status, manager_id, \
    dept_full_name, joined, gone_at, ding_userid, ding_unionid, remark, del_flag";

/// The configuration's text.
fn toml_of(mapping: &Value) -> String {
    toml::to_string(&json!({ "apply": { "oa": mapping } })).expect("TOML")
}

/// A daemon that has not been started, and the OA's tables in a database of their own.
fn daemon_and_oa(sim: &Sim) -> (Daemon, Oa) {
    let oa = Oa::apart();
    let daemon = Daemon::new(&[sim], UNBOUNDED);
    daemon.configure_more(&toml_of(&oa.mapping()));
    (daemon, oa)
}

/// Starts the daemon, waits until all is in the OA's tables, and lets the events come.
async fn follow(daemon: &mut Daemon, sim: &Sim) {
    daemon.start().await;
    applied(daemon).await;
    sim.set_callback(Some(daemon.callback_url("main")));
}

/// Whether all that the mirror holds has been carried into the OA's tables, what is parked excepted.
fn is_applied(status: &Value) -> bool {
    let apply = &status["apply"];
    is_at_rest(status) && apply["state"] == "following" && apply["behind"] == 0 && apply["due"] == 0
}

/// Waits for that, with nothing parked.
async fn applied(daemon: &Daemon) -> Value {
    let status = daemon
        .wait("main", "rest of what is applied", |status| {
            is_applied(status) && status["apply"]["parked"] == 0 && status["apply"]["trouble"].is_null()
        })
        .await;
    status["apply"].clone()
}

/// Waits until `count` objects are parked and everything else has been applied.
async fn parked(daemon: &Daemon, count: u64) -> Value {
    let is_it = |status: &Value| {
        let apply = &status["apply"];
        is_at_rest(status)
            && apply["state"] == "following"
            && apply["behind"] == 0
            && apply["parked"] == count
    };
    let status = daemon.wait("main", "parked objects", is_it).await;
    status["apply"].clone()
}

/// Makes a change, and waits until it has arrived.
async fn change(sim: &Sim, daemon: &Daemon, change: &Change) {
    sim.change(change).expect("a possible change");
    sim.settled().await;
    applied(daemon).await;
}

fn rename(userid: &str, name: &str) -> Change {
    Change::PersonRename { userid: userid.to_owned(), name: name.to_owned() }
}

/// Waits until the OA's tables are what the mapping says of the mirror, and fails with what differs.
async fn agrees(daemon: &Daemon, oa: &Oa, sim: &Sim) {
    let corp_id = sim.credentials().corp_id;
    let deadline = std::time::Instant::now() + PATIENCE;
    loop {
        let apply = applied(daemon).await;
        let found = differences(daemon.database(), oa, &corp_id);
        // A confirming read may have found something new meanwhile: then what was compared were two moments.
        let last = daemon.database().number("SELECT COALESCE(max(seq), 0) FROM ding_change");
        if apply["cursor"] == json!(last.to_string()) {
            assert!(
                found.is_empty(),
                "{} differences:\n{}\n{}",
                found.len(),
                found.iter().take(40).cloned().collect::<Vec<_>>().join("\n"),
                daemon.log()
            );
            return;
        }
        assert!(std::time::Instant::now() < deadline, "the mirror does not come to rest: {apply}");
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Runs a command that must end with this code.
async fn run(daemon: &Daemon, arguments: &[&str], code: i32) -> Output {
    let output = daemon.run(arguments).await;
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(code), "{arguments:?}\nstdout:\n{out}\nstderr:\n{err}");
    output
}

/// What `apply status` says of the first organisation.
async fn told(daemon: &Daemon) -> Value {
    let output = run(daemon, &["apply", "status", "--json"], 0).await;
    let printed: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    printed[0].clone()
}

/// What `apply status` says of an object that is not applied.
fn object<'status>(status: &'status Value, entity: &str, id: &str) -> &'status Value {
    let objects = status["objects"].as_array().expect("objects");
    let found = objects.iter().find(|object| object["entity"] == entity && object["id"] == id);
    assert!(found.is_some(), "{entity} {id} is not among {status:#}");
    found.unwrap_or(&Value::Null)
}

/// The link of an object, if there is one: the OA's key, and whether its row is marked as gone.
fn link(daemon: &Daemon, entity: &str, ding_id: &str) -> Option<(i64, bool)> {
    let sql = format!(
        "SELECT oa_id, removed_at FROM ding_link WHERE entity = '{entity}' AND ding_id = '{ding_id}' ORDER BY id"
    );
    let rows = daemon.database().rows(&sql, "");
    assert!(rows.len() < 2, "{rows:?}");
    rows.first().map(|row| (expected::integer(&row["oa_id"]), !row["removed_at"].is_null()))
}
