//! Names that are something else to a database.

use dingsync::sim::Change;
use serde_json::{Value, json};

use super::{agrees, applied, change, daemon_and_oa, follow, rename, toml_of};
use crate::support::database::Database;
use crate::support::simulator;

const NAMES: [&str; 22] = [
    "'); DROP TABLE sys_user; --",
    "\"; DROP TABLE sys_user; #",
    ":name",
    ":oa_id",
    ":old_name",
    "::text",
    "$1",
    "?",
    "??",
    "{name}",
    "%s %(name)s",
    "\\'",
    "\\",
    "''",
    "`nick_name`",
    "/* :name */ -- :name",
    "null",
    "NULL",
    "true",
    "😀👨‍👩‍👧‍👦𠮷",
    "\u{202e}反\u{200b}\u{feff}e\u{301}",
    "\u{1}\t a\r\nb \u{7f}",
];

#[tokio::test(flavor = "multi_thread")]
async fn names_arrive_as_names() {
    let sim = simulator(60, 8, 7).await;
    let (mut daemon, oa) = daemon_and_oa(&sim);
    oa.script(
        "CREATE TABLE sys_rename (ding_userid VARCHAR(64), old_name VARCHAR(100), new_name VARCHAR(100))",
    );
    if matches!(*oa.database, Database::Mysql(_)) {
        oa.script("ALTER TABLE sys_rename CONVERT TO CHARACTER SET utf8mb4 COLLATE utf8mb4_bin");
    }
    // To the server's own collation, `null` is `NULL`.
    let has_changed = match *oa.database {
        Database::Mysql(_) => "FROM DUAL WHERE BINARY :old_name <> BINARY :name",
        Database::Sqlite(_) | Database::Postgres(_) => "WHERE :old_name <> :name",
    };
    let mut mapping = oa.mapping();
    // What stands in a text or in a comment is no parameter.
    mapping["employee"]["upsert"] = json!([
        mapping["employee"]["upsert"],
        "UPDATE sys_user SET remark = ':name' /* not :this */ WHERE ding_userid = :userid -- nor :that",
        format!(
            "INSERT INTO sys_rename (ding_userid, old_name, new_name) SELECT :userid, :old_name, :name {has_changed}"
        ),
    ]);
    daemon.configure(daemon.configuration().split("[apply.oa]").next().expect("the rest"));
    daemon.configure_more(&toml_of(&mapping));

    // Half of them are there before the first walk, half of them come by events; then everybody gets another one.
    let person = |number: usize| format!("odd-{number}");
    let join = |number: usize| {
        let (userid, name) = (Some(person(number)), Some(NAMES[number].to_owned()));
        sim.change(&Change::PersonJoin { userid, name, departments: vec![1] }).expect("a newcomer");
    };
    let departments: Vec<&str> =
        NAMES.into_iter().filter(|name| !name.contains(['-', ',']) && !name.contains('/')).collect();
    let create = |name: &str| {
        sim.change(&Change::DepartmentCreate { name: name.to_owned(), parent_id: 1 }).expect("a department");
    };
    (0..NAMES.len() / 2).for_each(join);
    departments[..departments.len() / 2].iter().for_each(|name| create(name));
    follow(&mut daemon, &sim).await;
    (NAMES.len() / 2..NAMES.len()).for_each(join);
    departments[departments.len() / 2..].iter().for_each(|name| create(name));
    sim.settled().await;
    agrees(&daemon, &oa, &sim).await;
    let named = |userid: &str| oa.user(userid)["nick_name"].clone();
    for (number, name) in NAMES.iter().enumerate() {
        assert_eq!(named(&person(number)), *name);
        assert_eq!(oa.user(&person(number))["remark"], ":name");
    }
    let there: Vec<Value> = oa
        .rows("SELECT dept_name FROM sys_dept ORDER BY ding_dept_id")
        .iter()
        .map(|row| row["dept_name"].clone())
        .collect();
    for name in &departments {
        assert!(there.contains(&json!(name)), "{name:?} is not among {there:?}");
    }
    assert_eq!(oa.number("SELECT count(*) FROM sys_rename"), 0, "nobody has been called anything else");

    for number in 0..NAMES.len() {
        let next = NAMES[(number + 1) % NAMES.len()];
        sim.change(&rename(&person(number), next)).expect("a change");
    }
    sim.settled().await;
    applied(&daemon).await;
    agrees(&daemon, &oa, &sim).await;
    for (number, name) in NAMES.iter().enumerate() {
        let next = NAMES[(number + 1) % NAMES.len()];
        assert_eq!(named(&person(number)), next);
        let sql = format!("SELECT old_name, new_name FROM sys_rename WHERE ding_userid = 'odd-{number}'");
        let told = oa.row(&sql);
        assert_eq!((&told["old_name"], &told["new_name"]), (&json!(name), &json!(next)));
    }
    let before = NAMES[1];
    change(&sim, &daemon, &rename("odd-0", "寻常之名")).await;
    let last = oa.row("SELECT old_name FROM sys_rename WHERE new_name = '寻常之名'");
    assert_eq!(last["old_name"], before);
    daemon.stop().await;
}
