//! Going through everything again.

use super::{Oa, agrees, applied, daemon_and_oa, follow, run};
use crate::support::database::{Database, Row};
use crate::support::simulator;

/// Tables and those of their columns in which a change is one.
const WATCHED: [(&str, &[&str]); 4] = [
    (
        "sys_dept",
        &[
            "parent_id",
            "ancestors",
            "dept_name",
            "order_num",
            "leader",
            "full_name",
            "ding_dept_id",
            "del_flag",
        ],
    ),
    ("sys_user", &["dept_id", "nick_name", "phonenumber", "status", "manager_id", "ding_userid", "del_flag"]),
    ("sys_role", &["role_name", "role_key", "ding_role_id", "del_flag"]),
    ("sys_user_role", &["user_id", "role_id"]),
];

/// Notes every row that comes, goes, or gets another value.
fn watch(oa: &Oa) {
    oa.script("CREATE TABLE oa_audit (entry VARCHAR(100))");
    for (table, columns) in WATCHED {
        let differ = |sign: &str| -> String {
            let each: Vec<String> =
                columns.iter().map(|column| format!("OLD.{column} {sign} NEW.{column}")).collect();
            each.join(" OR ")
        };
        for event in ["INSERT", "UPDATE", "DELETE"] {
            let entry = format!("'{event} {table}'");
            oa.script(&match &*oa.database {
                Database::Sqlite(_) => {
                    let when =
                        if event == "UPDATE" { format!("WHEN {}", differ("IS NOT")) } else { String::new() };
                    format!(
                        "CREATE TRIGGER oa_{table}_{event} AFTER {event} ON {table} FOR EACH ROW {when} \
                         BEGIN INSERT INTO oa_audit VALUES ({entry}); END;"
                    )
                }
                Database::Postgres(_) => {
                    let when = if event == "UPDATE" {
                        format!("WHEN ({})", differ("IS DISTINCT FROM"))
                    } else {
                        String::new()
                    };
                    format!(
                        "CREATE OR REPLACE FUNCTION oa_note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
                         INSERT INTO oa_audit VALUES (TG_OP || ' ' || TG_TABLE_NAME); RETURN NULL; END $$;
                         CREATE TRIGGER oa_{table}_{event} AFTER {event} ON {table} FOR EACH ROW {when} \
                         EXECUTE FUNCTION oa_note();"
                    )
                }
                Database::Mysql(_) => {
                    let same: Vec<String> =
                        columns.iter().map(|column| format!("OLD.{column} <=> NEW.{column}")).collect();
                    let only = if event == "UPDATE" {
                        format!("WHERE NOT ({})", same.join(" AND "))
                    } else {
                        String::new()
                    };
                    format!(
                        "CREATE TRIGGER oa_{table}_{event} AFTER {event} ON {table} FOR EACH ROW \
                         INSERT INTO oa_audit SELECT {entry} FROM DUAL {only}"
                    )
                }
            });
        }
    }
}

fn noted(oa: &Oa) -> Vec<Row> {
    oa.rows("SELECT entry, count(*) AS times FROM oa_audit GROUP BY entry ORDER BY entry")
}

#[tokio::test(flavor = "multi_thread")]
async fn rebuild_changes_no_row_of_an_unchanged_mirror() {
    let sim = simulator(200, 20, 6).await;
    let (mut daemon, oa) = daemon_and_oa(&sim);
    follow(&mut daemon, &sim).await;
    agrees(&daemon, &oa, &sim).await;
    daemon.at_rest("main").await;
    applied(&daemon).await;
    watch(&oa);
    run(&daemon, &["apply", "rebuild"], 0).await;
    agrees(&daemon, &oa, &sim).await;
    assert_eq!(noted(&oa), Vec::<Row>::new(), "nothing is touched");

    // What somebody has spoilt is mended by it, and nothing else is touched.
    oa.script(
        "UPDATE sys_user SET nick_name = 'spoilt', dept_id = 999 WHERE ding_userid = '00020';
         UPDATE sys_user SET del_flag = '2' WHERE ding_userid = '00021';
         UPDATE sys_user SET remark = 'by hand' WHERE ding_userid = '00022';",
    );
    let dept = oa.row("SELECT max(dept_id) AS dept_id FROM sys_dept")["dept_id"].clone();
    oa.script(&format!("UPDATE sys_dept SET full_name = 'spoilt' WHERE dept_id = {dept}"));
    let given = oa.row("SELECT min(user_id) AS user_id FROM sys_user_role")["user_id"].clone();
    let count = oa.number(&format!("SELECT count(*) FROM sys_user_role WHERE user_id = {given}"));
    oa.script(&format!("DELETE FROM sys_user_role WHERE user_id = {given}; DELETE FROM oa_audit;"));
    run(&daemon, &["apply", "rebuild"], 0).await;
    agrees(&daemon, &oa, &sim).await;
    let times: Vec<(String, i64)> = noted(&oa)
        .iter()
        .map(|row| (row["entry"].as_str().unwrap_or_default().to_owned(), row["times"].as_i64().unwrap_or(0)))
        .collect();
    let expected = [("INSERT sys_user_role", count), ("UPDATE sys_dept", 1), ("UPDATE sys_user", 2)];
    assert_eq!(times, expected.map(|(entry, times)| (entry.to_owned(), times)), "what was spoilt is mended");
    assert_eq!(oa.user("00022")["remark"], "by hand", "what is the OA's own stays");
    daemon.stop().await;
}
