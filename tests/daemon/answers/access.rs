//! Who may use the admin API, and from where.

use reqwest::Method;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HOST, ORIGIN};
use serde_json::json;

use super::{answer, asked, request, run, running, sent, told};

#[tokio::test(flavor = "multi_thread")]
async fn reading_needs_nothing_on_this_machine_but_its_own_name() {
    let (_sim, mut daemon) = running(40, 5).await;
    let get = |path: &str| request(&daemon, Method::GET, path);
    for path in ["/api/v1/status", "/api/v1/main/employees/00017", "/api/v1/changes?corp=main&limit=1"] {
        assert_eq!(sent(get(path)).await.0, 200, "{path}");
        for host in ["localhost:8081", "[::1]:8081", "127.0.0.1"] {
            assert_eq!(sent(get(path).header(HOST, host)).await.0, 200, "{path} as {host}");
        }
        for host in ["evil.example", "evil.example:8081", "127.0.0.1.evil.example", "10.1.2.3:8081"] {
            let (status, body) = sent(get(path).header(HOST, host)).await;
            assert_eq!(status, 403, "{path} as {host}");
            assert!(body["error"].as_str().unwrap().contains("ops.hosts"), "{body}");
            let with_token = get(path).header(HOST, host).bearer_auth("r-secret");
            assert_eq!(sent(with_token).await.0, 403, "{path} as {host}");
        }
        for token in ["r-secret", "o-secret", "a-secret"] {
            assert_eq!(sent(get(path).bearer_auth(token)).await.0, 200, "{path}: {token}");
        }
        for passed_on in ["X-Forwarded-For", "X-Real-IP", "Forwarded"] {
            let from_elsewhere = || get(path).header(passed_on, "203.0.113.7");
            assert_eq!(sent(from_elsewhere()).await.0, 401, "{path} with {passed_on}");
            assert_eq!(
                sent(from_elsewhere().bearer_auth("r-secret")).await.0,
                200,
                "{path} with {passed_on}"
            );
        }
        let wrong = [get(path).bearer_auth("guess"), get(path).header(AUTHORIZATION, "Basic ci1zZWNyZXQ=")];
        for wrong in wrong {
            assert_eq!(sent(wrong).await.0, 401, "{path}: whoever sends a token means it");
        }
    }
    // Probes and Prometheus ask under any name.
    for path in ["/healthz", "/readyz", "/metrics"] {
        assert_eq!(get(path).header(HOST, "pod.cluster").send().await.unwrap().status(), 200, "{path}");
    }
    daemon.stop().await;
    daemon.configure(&daemon.configuration().replace("[ops]\n", "[ops]\nhosts = [\"OA.example\"]\n"));
    daemon.start().await;
    // Behind a proxy everybody seems to be on this machine.
    let proxied = || request(&daemon, Method::GET, "/api/v1/main/tasks").header(HOST, "oa.example");
    assert_eq!(sent(proxied()).await.0, 401);
    assert_eq!(sent(proxied().bearer_auth("r-secret")).await.0, 200);
    assert_eq!(sent(proxied().bearer_auth("a-secret")).await.0, 403);
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn writing_needs_a_token_with_the_scope_and_json_and_no_browser() {
    let (_sim, mut daemon) = running(40, 5).await;
    let path = "/api/v1/main/sync";
    let body = json!({ "entity": "employee", "id": "00017" });
    let post = || request(&daemon, Method::POST, path).json(&body);
    assert_eq!(sent(post()).await.0, 401, "no token");
    assert_eq!(sent(post().bearer_auth("guess")).await.0, 401);
    let (status, refusal) = sent(post().bearer_auth("r-secret")).await;
    assert_eq!(status, 403);
    assert!(refusal["error"].as_str().unwrap().contains("ops.tokens.reader.scopes"), "{refusal}");
    assert_eq!(sent(post().bearer_auth("a-secret")).await.0, 403, "another scope");
    let allowed = || post().bearer_auth("o-secret");
    for origin in ["https://evil.example", "http://127.0.0.1:8081", "null"] {
        assert_eq!(sent(allowed().header(ORIGIN, origin)).await.0, 403, "{origin}");
    }
    assert_eq!(sent(allowed().header(HOST, "evil.example")).await.0, 403);
    for content_type in ["text/plain", "application/x-www-form-urlencoded", "application/jsonp"] {
        let plain = request(&daemon, Method::POST, path).bearer_auth("o-secret").body(body.to_string());
        assert_eq!(sent(plain.header(CONTENT_TYPE, content_type)).await.0, 415, "{content_type}");
    }
    let none = request(&daemon, Method::POST, path).bearer_auth("o-secret").body(body.to_string());
    assert_eq!(sent(none).await.0, 415, "without a content type");
    let (status, refusal) = told(&daemon, path, &json!({ "entity": "employee", "id": "x", "more": 1 })).await;
    assert_eq!(status, 400, "{refusal}");
    assert_eq!(told(&daemon, path, &json!(["employee", "00017"])).await.0, 400, "fields without their names");
    for id in ["x".repeat(192), "00017 ".to_owned(), "\0".to_owned(), String::new()] {
        let nobody = json!({ "entity": "employee", "id": id });
        assert_eq!(told(&daemon, path, &nobody).await.0, 400, "no userid looks like that: {id:?}");
    }
    for query in ["until=9999-12-30T22:00:00Z", "since=-009999-01-02T02:00:30Z"] {
        assert_eq!(asked(&daemon, &format!("/api/v1/main/events?{query}")).await.0, 200, "{query}");
    }
    let large = json!({ "entity": "employee", "id": "x".repeat(70_000) });
    assert_eq!(told(&daemon, path, &large).await.0, 413);
    assert_eq!(asked(&daemon, path).await.0, 405, "another method");
    for path in
        ["/api/v1/nothing/here/at/all", "/nothing", "/api/v1/nobody/employees/1", "/api/v1/main/runs/9"]
    {
        let (status, body) = asked(&daemon, path).await;
        assert!(status == 404 && body["error"].is_string(), "{path}: {status} {body}");
    }
    for path in [
        "/api/v1/main/tasks?limits=1",
        "/api/v1/main/tasks?state=odd",
        "/api/v1/main/events?since=yesterday",
        "/api/v1/changes?after=x",
        "/api/v1/main/runs/x",
        "/api/v1/main/explain/person/1",
        "/api/v1/main/departments?mobile=1",
    ] {
        let (status, body) = asked(&daemon, path).await;
        assert!(status == 400 && body["error"].is_string(), "{path}: {status} {body}");
    }
    let refused = answer(&daemon, "/api/v1/main/audit").await;
    assert_eq!(refused["entries"], json!([]), "what was refused was not done");
    let charset = request(&daemon, Method::POST, path).bearer_auth("o-secret").body(body.to_string());
    let charset = charset.header(CONTENT_TYPE, "application/json; charset=utf-8");
    assert_eq!(sent(charset).await.0, 202);
    let audit = answer(&daemon, "/api/v1/main/audit").await;
    assert_eq!(audit["entries"][0]["who"], "token hand");
    assert_eq!(audit["entries"][0]["action"], "sync");
    assert_eq!(audit["entries"][0]["subject"], body);
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_write_is_on_record_with_whoever_asked_for_it() {
    let (sim, mut daemon) = running(40, 5).await;
    super::rename(&sim, "00017", "新名");
    sim.settled().await;
    daemon.at_rest("main").await;
    let event = answer(&daemon, "/api/v1/main/events?limit=1").await["events"][0]["id"].to_string();
    for (path, body) in [
        ("/api/v1/main/reconcile".to_owned(), json!({ "quick": true })),
        ("/api/v1/main/reconcile".to_owned(), json!({ "dry_run": true })),
        ("/api/v1/main/bootstrap".to_owned(), json!({})),
        (format!("/api/v1/main/events/{event}/replay"), json!({})),
        ("/api/v1/main/events/replay".to_owned(), json!({ "type": "user_modify_org" })),
        ("/api/v1/main/tasks/employee/00018/retry".to_owned(), json!({})),
    ] {
        let (status, answer) = told(&daemon, &path, &body).await;
        assert_eq!(status, 202, "{path}: {answer}");
    }
    assert_eq!(told(&daemon, "/api/v1/main/tasks/employee/00018/discard", &json!({})).await.0, 409);
    daemon.at_rest("main").await;
    for command in [
        &["verify"][..],
        &["reconcile", "--quick"],
        &["bootstrap"],
        &["sync", "employee", "00017"],
        &["events", "replay", &event],
        &["tasks", "retry", "employee", "00018"],
    ] {
        run(&daemon, 0, command).await;
    }
    let audit = answer(&daemon, "/api/v1/main/audit?limit=1000").await;
    let actions = |who: &str| -> Vec<String> {
        let entries = audit["entries"].as_array().unwrap().iter().rev();
        let mine = entries.filter(|entry| entry["who"].as_str().unwrap().starts_with(who));
        mine.map(|entry| entry["action"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(
        actions("token hand"),
        ["reconcile", "verify", "bootstrap", "events.replay", "events.replay", "tasks.retry"]
    );
    assert_eq!(
        actions("command line: "),
        ["verify", "reconcile", "bootstrap", "sync", "events.replay", "tasks.retry"]
    );
    daemon.stop().await;
}
