//! Rows of the mirror for the OA's programs.

use dingsync::sim::{Change, Subject};
use serde_json::{Value, json};

use super::{answer, asked, running};

#[tokio::test(flavor = "multi_thread")]
async fn people_are_found_by_what_is_known_of_them() {
    let (sim, mut daemon) = running(120, 12).await;
    let person = sim
        .truth(Subject::Users)
        .find(|person| person["mobile"].is_string() && person["job_number"].is_string())
        .unwrap();
    let userid = person["userid"].as_str().unwrap();
    let found = answer(&daemon, &format!("/api/v1/main/employees/{userid}")).await;
    for field in ["userid", "name", "mobile", "job_number", "unionid", "title"] {
        assert_eq!(found[field], person[field], "{field}");
    }
    assert_eq!(found["deleted_at"], Value::Null);
    assert!(found["created_at"].is_string() && found["updated_at"].is_string(), "{found}");
    let ids = |list: &Value, key: &str| -> Vec<Value> {
        let mut ids: Vec<Value> = list.as_array().unwrap().iter().map(|item| item[key].clone()).collect();
        ids.sort_by_key(ToString::to_string);
        ids
    };
    assert_eq!(ids(&found["departments"], "dept_id"), ids(&person["departments"], "dept_id"));
    assert_eq!(ids(&found["roles"], "role_id"), ids(&person["roles"], "role_id"));
    for field in ["mobile", "job_number", "unionid", "name"] {
        let url = format!("/api/v1/main/employees?{field}={}", person[field].as_str().unwrap());
        let list = answer(&daemon, &url).await;
        let items = list["items"].as_array().unwrap();
        assert!(items.iter().any(|item| item["userid"] == *userid), "{url}: {list}");
        assert!(items.iter().all(|item| item[field] == person[field]), "{url}: {list}");
    }
    let both = format!("/api/v1/main/employees?mobile={}&name=nobody", person["mobile"].as_str().unwrap());
    assert_eq!(answer(&daemon, &both).await, json!({ "items": [], "next": null }));
    assert_eq!(asked(&daemon, "/api/v1/main/employees/nobody").await.0, 404);

    // Everybody, one page after the other.
    let (mut everybody, mut after) = (Vec::new(), String::new());
    loop {
        let page = answer(&daemon, &format!("/api/v1/main/employees?limit=50{after}")).await;
        everybody.extend(ids(&page["items"], "userid"));
        let Some(next) = page["next"].as_str() else { break };
        after = format!("&after={next}");
    }
    let mut true_ids: Vec<Value> = sim.truth(Subject::Users).map(|person| person["userid"].clone()).collect();
    true_ids.sort_by_key(ToString::to_string);
    everybody.sort_by_key(ToString::to_string);
    assert_eq!(everybody, true_ids);

    // Who is gone is found by his id alone.
    sim.change(&Change::PersonLeave { userid: userid.to_owned() }).unwrap();
    sim.settled().await;
    daemon.at_rest("main").await;
    let gone = answer(&daemon, &format!("/api/v1/main/employees/{userid}")).await;
    assert!(gone["deleted_at"].is_string() && gone["gone_at"].is_string(), "{gone}");
    let by_unionid = format!("/api/v1/main/employees?unionid={}", person["unionid"].as_str().unwrap());
    assert_eq!(answer(&daemon, &by_unionid).await["items"], json!([]));
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn departments_and_roles_are_found_by_id_and_name() {
    let (sim, mut daemon) = running(60, 10).await;
    for (path, subject, key) in [
        ("departments", Subject::Departments, "dept_id"),
        ("roles", Subject::Roles, "role_id"),
        ("role_groups", Subject::RoleGroups, "group_id"),
    ] {
        let truth: Vec<Value> = sim.truth(subject).collect();
        let one = &truth[truth.len() / 2];
        let id = one[key].as_str().map_or_else(|| one[key].to_string(), str::to_owned);
        let found = answer(&daemon, &format!("/api/v1/main/{path}/{id}")).await;
        assert_eq!((&found["name"], found[key].to_string()), (&one["name"], one[key].to_string()), "{path}");
        let name = one["name"].as_str().unwrap();
        let list = answer(&daemon, &format!("/api/v1/main/{path}?name={name}")).await;
        assert!(list["items"].as_array().unwrap().contains(&found), "{path}: {list}");
        let all = answer(&daemon, &format!("/api/v1/main/{path}?limit=1000")).await;
        assert_eq!(all["items"].as_array().unwrap().len(), truth.len(), "{path}");
        assert_eq!(asked(&daemon, &format!("/api/v1/main/{path}/999999999")).await.0, 404);
        assert_eq!(asked(&daemon, &format!("/api/v1/main/{path}/x")).await.0, 400);
    }
    daemon.stop().await;
}
