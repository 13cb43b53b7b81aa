//! The change log as a feed.

use serde_json::{Value, json};

use super::{answer, asked, rename, running};

fn numbers(feed: &Value) -> Vec<i64> {
    let changes = feed["changes"].as_array().expect("a list");
    let seq = |change: &Value| change["seq"].as_str().expect("a text").parse().expect("a number");
    changes.iter().map(seq).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_feed_brings_every_change_once_and_in_order() {
    let (sim, mut daemon) = running(60, 8).await;
    rename(&sim, "00017", "新名");
    sim.settled().await;
    daemon.at_rest("main").await;
    let last = daemon.database().number("SELECT max(seq) FROM ding_change");
    let (mut seen, mut after) = (Vec::new(), "0".to_owned());
    let change = loop {
        let feed = answer(&daemon, &format!("/api/v1/changes?corp=main&after={after}&limit=37")).await;
        assert_eq!(feed["last"], last.to_string());
        seen.extend(numbers(&feed));
        after = feed["next"].as_str().unwrap().to_owned();
        if feed["has_more"] == false {
            break feed["changes"].as_array().unwrap().last().unwrap().clone();
        }
    };
    assert_eq!(seen, (1..=last).collect::<Vec<i64>>());
    assert_eq!(
        (&change["entity"], &change["entity_id"], &change["action"], &change["cause"]),
        (&json!("employee"), &json!("00017"), &json!("update"), &json!("event"))
    );
    assert_eq!(change["new_values"]["name"], "新名");
    assert!(change["old_values"]["name"].is_string() && change["changed_at"].is_string(), "{change}");
    let end = answer(&daemon, &format!("/api/v1/changes?after={last}")).await;
    assert_eq!((&end["changes"], &end["has_more"], &end["next"]), (&json!([]), &json!(false), &json!(after)));

    // Whoever waits hears of a change when it is there, and is not sent away with nothing again and again.
    rename(&sim, "00018", "另名");
    let mut asked_in_vain = 0;
    let heard = loop {
        let feed = answer(&daemon, &format!("/api/v1/changes?corp=main&after={last}&wait=25")).await;
        if feed["changes"] != json!([]) {
            break feed;
        }
        asked_in_vain += 1;
        assert!(asked_in_vain < 10, "nothing is heard of a change");
    };
    assert_eq!(numbers(&heard), [last + 1]);
    daemon.at_rest("main").await;

    // What is not kept any more is not passed over in silence.
    daemon.database().script("DELETE FROM ding_change WHERE seq <= 10");
    let (status, refusal) = asked(&daemon, "/api/v1/changes?corp=main&after=9").await;
    assert_eq!(
        (status, &refusal["oldest"], &refusal["last"]),
        (410, &json!("11"), &json!((last + 1).to_string()))
    );
    assert!(refusal["error"].as_str().unwrap().contains(&format!("after={}", last + 1)), "{refusal}");
    let rest = answer(&daemon, "/api/v1/changes?corp=main&after=10&limit=2").await;
    assert_eq!(numbers(&rest), [11, 12]);
    let beyond = format!("/api/v1/changes?corp=main&after={}", last + 2);
    assert_eq!(asked(&daemon, &beyond).await.0, 410, "a database that was set back");
    daemon.database().script("DELETE FROM ding_change");
    assert_eq!(asked(&daemon, &format!("/api/v1/changes?corp=main&after={last}")).await.0, 410);
    let end = answer(&daemon, &format!("/api/v1/changes?corp=main&after={}", last + 1)).await;
    assert_eq!(end["changes"], json!([]));
    daemon.stop().await;
}
