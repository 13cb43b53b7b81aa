//! What is kept, for how long, and what is erased where.

mod excluded;
mod forget;
mod leavers;
mod sweep;

use dingsync::sim::{Change, Field, Sim, Subject};
use serde_json::{Value, json};

use crate::support::database::{Database, Row};

/// Everything that is stored of people, as one text for each table.
fn everything(database: &Database) -> Vec<(&'static str, String)> {
    [
        ("ding_employee", "SELECT * FROM ding_employee"),
        ("ding_employee_department", "SELECT title, work_place FROM ding_employee_department"),
        ("ding_change", "SELECT old_values, new_values FROM ding_change"),
        ("dingsync_run_item", "SELECT fields FROM dingsync_run_item"),
        ("dingsync_inbox", "SELECT message FROM dingsync_inbox"),
        ("dingsync_audit", "SELECT who, action, subject FROM dingsync_audit"),
    ]
    .into_iter()
    .map(|(table, sql)| {
        let rows = database.rows(sql, "").into_iter().map(Value::Object);
        // A text in a text, quotes and all.
        let text: String = rows.map(|row| row.to_string().replace('\\', "")).collect();
        (table, text)
    })
    .collect()
}

/// The tables that hold one of the texts.
fn tables_with(database: &Database, texts: &[String]) -> Vec<String> {
    let mut found = Vec::new();
    for (table, content) in everything(database) {
        found.extend(
            texts
                .iter()
                .filter(|text| content.contains(text.as_str()))
                .map(|text| format!("{table}: {text}")),
        );
    }
    found
}

/// A person as the simulator knows him.
fn truth(sim: &Sim, userid: &str) -> Value {
    sim.truth(Subject::Users).find(|person| person["userid"] == userid).expect("a person")
}

/// Gives a person values that nobody else has, by events that tell them.
fn mark(sim: &Sim, userid: &str) -> Vec<String> {
    let values = [
        (Field::Email, "secret-mail@example.com"),
        (Field::Title, "SecretTitle"),
        (Field::WorkPlace, "SecretPlace"),
        (Field::Remark, "SecretRemark"),
        (Field::Mobile, "13912345678"),
        (Field::JobNumber, "SECRET-JOB"),
    ];
    for (field, value) in values {
        let edit = Change::PersonEdit { userid: userid.to_owned(), field, value: value.to_owned() };
        sim.change(&edit).expect("a change");
    }
    sim.change(&Change::PersonRename { userid: userid.to_owned(), name: "秘密之名".to_owned() })
        .expect("a change");
    let unionid = truth(sim, userid)["unionid"].as_str().expect("a unionid").to_owned();
    values.into_iter().map(|(_, value)| value.to_owned()).chain(["秘密之名".to_owned(), unionid]).collect()
}

/// Lets messages carry what they tell of people.
fn tell_differences(sim: &Sim) {
    sim.merge_push_settings(&json!({ "diff_info": "array" })).expect("known settings");
}

fn row_of(database: &Database, userid: &str) -> Row {
    let sql = "SELECT * FROM ding_employee WHERE userid = ?";
    database.rows(sql, userid).into_iter().next().expect("a row")
}

/// A day long ago, as a column of the public tables holds it.
fn long_ago(database: &Database) -> &'static str {
    match database {
        Database::Sqlite(_) => "'2020-01-02T00:00:00.000Z'",
        Database::Postgres(_) => "'2020-01-02T00:00:00Z'",
        Database::Mysql(_) => "'2020-01-02 00:00:00'",
    }
}
