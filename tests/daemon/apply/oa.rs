//! The OA's tables, and the mapping that its people have written for them.

use std::sync::Arc;

use serde_json::{Value, json};
use tempfile::TempDir;

use super::{expected, run};
use crate::support::Daemon;
use crate::support::database::{Database, Row};

/// The OA's tables, as a common Chinese back office has them, in a database of their own or in the daemon's.
pub(super) struct Oa {
    pub(super) database: Arc<Database>,
    is_apart: bool,
    /// Where an embedded file lies.
    pub(super) folder: TempDir,
}

impl Oa {
    /// In a database of its own, on the engine that the tests run on.
    pub(super) fn apart() -> Self {
        let folder = TempDir::new().expect("a folder");
        let database = Arc::new(Database::create(folder.path()));
        Self { database, is_apart: true, folder }.with_tables()
    }

    /// In the daemon's database.
    pub(super) async fn beside(daemon: &Daemon) -> Self {
        run(daemon, &["migrate"], 0).await;
        let folder = TempDir::new().expect("a folder");
        Self { database: daemon.shared_database(), is_apart: false, folder }.with_tables()
    }

    fn with_tables(self) -> Self {
        self.script(&self.tables());
        self
    }

    pub(super) fn script(&self, script: &str) {
        self.database.script(script);
    }

    pub(super) fn rows(&self, sql: &str) -> Vec<Row> {
        self.database.rows(sql, "")
    }

    pub(super) fn number(&self, sql: &str) -> i64 {
        self.database.number(sql)
    }

    /// The only row of a query.
    pub(super) fn row(&self, sql: &str) -> Row {
        let mut rows = self.rows(sql);
        assert_eq!(rows.len(), 1, "{sql}: {rows:?}");
        rows.remove(0)
    }

    /// The row of somebody whom DingTalk knows by this userid.
    pub(super) fn user(&self, userid: &str) -> Row {
        self.row(&format!("SELECT {USER} FROM sys_user WHERE ding_userid = '{userid}'"))
    }

    /// The keys of all rows that stand or stood for a userid, with their marks of deletion.
    pub(super) fn rows_of(&self, userid: &str) -> Vec<(i64, String)> {
        let sql =
            format!("SELECT user_id, del_flag FROM sys_user WHERE ding_userid = '{userid}' ORDER BY user_id");
        let mark = |row: &Row| row["del_flag"].as_str().unwrap_or_default().to_owned();
        self.rows(&sql).iter().map(|row| (expected::integer(&row["user_id"]), mark(row))).collect()
    }

    /// The row of a department by its name.
    pub(super) fn department(&self, name: &str) -> Row {
        self.row(&format!("SELECT * FROM sys_dept WHERE dept_name = '{name}'"))
    }

    pub(super) fn tables(&self) -> String {
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
    pub(super) fn upsert(
        &self,
        table: &str,
        key: &str,
        once: &[(&str, &str)],
        columns: &[(&str, &str)],
    ) -> String {
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
    pub(super) fn put(&self, table: &str, columns: [(&str, &str); 2]) -> String {
        let [(first, first_value), (second, second_value)] = columns;
        let end = match *self.database {
            Database::Sqlite(_) | Database::Postgres(_) => "ON CONFLICT DO NOTHING".to_owned(),
            Database::Mysql(_) => format!("ON DUPLICATE KEY UPDATE {first} = VALUES({first})"),
        };
        format!("INSERT INTO {table} ({first}, {second}) VALUES ({first_value}, {second_value}) {end}")
    }

    /// `[apply.oa]`: what stands in the OA's tables of a person, a department, a role. Linked is who has the same job
    /// number, whatever has the same name in the same place.
    pub(super) fn mapping(&self) -> Value {
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
