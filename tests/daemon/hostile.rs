//! What comes to the callback's URL from others than DingTalk.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use dingsync::dingtalk::crypto::{AesKey, encrypt};
use futures_util::StreamExt as _;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use serde_json::json;

use crate::support::callback::{Caller, Push};
use crate::support::{Daemon, PATIENCE, UNBOUNDED, simulator};

const MESSAGE: &str = r#"{"EventType":"user_leave_org","eventId":"hostile","userId":["00017"]}"#;

/// A push that must not be taken.
fn hostile(number: u64, caller: &Caller, owner: &Caller) -> Push {
    let mut random = StdRng::seed_from_u64(number);
    let good = caller.message(MESSAGE);
    let with_body = |body: Vec<u8>| Push { body, ..good.clone() };
    match number % 16 {
        // Forged: nobody who knows the token signed it.
        0 => Push {
            query: vec![("signature", "0".repeat(40)), good.query[1].clone(), good.query[2].clone()],
            ..good
        },
        1 => Push { query: Vec::new(), ..good },
        2 => Push { query: good.query[..1].to_vec(), ..good },
        // The signature of another moment, of another nonce.
        3 => Push {
            query: vec![good.query[0].clone(), ("timestamp", number.to_string()), good.query[2].clone()],
            ..good
        },
        4 => Push {
            query: vec![good.query[0].clone(), good.query[1].clone(), ("nonce", number.to_string())],
            ..good
        },
        // Two signatures, of which one is right.
        5 => {
            let mut query = good.query.clone();
            query.push(("msg_signature", "f".repeat(40)));
            Push { query, ..good }
        }
        // Truncated, empty, not JSON, not the field, not a text.
        6 => with_body(good.body[..random.random_range(0..good.body.len())].to_vec()),
        7 => with_body(Vec::new()),
        8 => with_body(json!({ "encrypted": "x" }).to_string().into_bytes()),
        9 => with_body(json!({ "encrypt": number }).to_string().into_bytes()),
        10 => with_body(b"[".repeat(random.random_range(1..50_000))),
        // Signed by somebody who knows the token and not the key.
        11 => caller.signed(&random_base64(&mut random)),
        12 => {
            let key = AesKey::parse(&"w".repeat(43)).expect("a key");
            caller.signed(&encrypt(&key, [3; 16], MESSAGE, b"ding5imappkey000001"))
        }
        // For somebody else.
        13 => owner.message(MESSAGE),
        // Authentic, but no event: nested absurdly deep, or no object.
        14 => caller.message(&format!("{{\"EventType\":{}1{}}}", "[".repeat(5_000), "]".repeat(5_000))),
        _ => caller.message("\"user_leave_org\""),
    }
}

fn random_base64(random: &mut StdRng) -> String {
    const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let length = random.random_range(0..400);
    (0..length).map(|_| char::from(ALPHABET[random.random_range(0..ALPHABET.len())])).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_hostile_pushes_change_nothing() {
    const PUSHES: u64 = 10_000;
    let sim = simulator(60, 8, 1).await;
    let mut daemon = Daemon::new(&[&sim], UNBOUNDED);
    daemon.start().await;
    daemon.at_rest("main").await;
    let changes = daemon.database().number("SELECT count(*) FROM ding_change");
    let credentials = sim.credentials();
    let caller = Caller::new(daemon.callback_url("main"), &credentials);
    let stranger = Caller::new(daemon.callback_url("main"), &credentials).owned_by("dingsomebodyelse");
    let (caller_ref, stranger_ref) = (&caller, &stranger);
    let mut answers =
        futures_util::stream::iter(0..PUSHES)
            .map(|number| async move {
                (number, caller_ref.send(&hostile(number, caller_ref, stranger_ref)).await)
            })
            .buffer_unordered(32);
    while let Some((number, (status, body))) = answers.next().await {
        assert!((400..500).contains(&status), "push {number} was answered {status}");
        assert_eq!(body, "", "no detail for whoever it was");
    }
    drop(answers);
    // 5 MB each: refused before they are read; the connection may break while they are sent.
    let large = Push { body: vec![b'a'; 5 << 20], ..caller.message(MESSAGE) };
    for _ in 0..20 {
        if let Ok((status, _)) = caller.try_send(&large).await {
            assert_eq!(status, 413);
        }
    }
    assert_eq!(daemon.database().number("SELECT count(*) FROM dingsync_inbox"), 0);
    assert_eq!(daemon.database().number("SELECT count(*) FROM ding_change"), changes);
    let inbox = daemon.status("main").await.unwrap()["inbox"].clone();
    assert!(inbox["rejected"].as_u64().unwrap() > PUSHES, "{inbox}");
    assert_eq!(inbox["received"], 0);
    let (_, metrics) = daemon.get("/metrics").await.unwrap();
    for reason in ["signature", "shape", "decrypt", "owner", "too_large"] {
        let counted = format!("dingsync_callbacks_total{{corp=\"main\",result=\"{reason}\"}} 0\n");
        assert!(!metrics.contains(&counted), "nothing was counted as {reason}");
    }
    // Unharmed: what DingTalk sends is taken as before, and the log names nobody.
    caller.push(r#"{"EventType":"user_modify_org","eventId":"good","userId":["00017"]}"#).await;
    daemon.agrees_with(&sim, "main").await;
    let log = daemon.log();
    assert!(log.lines().count() < 200, "{} lines", log.lines().count());
    // A time may hold the same digits.
    let said: String = log.lines().filter_map(|line| line.split_once(' ')).map(|(_, said)| said).collect();
    assert!(!said.contains(&credentials.callback_token) && !said.contains("00017"), "{log}");
    daemon.stop().await;
}

/// Reads until the other side closes the connection.
fn closed(mut stream: TcpStream) -> Vec<u8> {
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    let mut answer = Vec::new();
    // A reset closes it as well.
    let _reset_or_end = stream.read_to_end(&mut answer);
    answer
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_that_dawdle_are_closed_and_hold_nobody_up() {
    let sim = simulator(60, 8, 1).await;
    let mut daemon = Daemon::new(&[&sim], UNBOUNDED);
    daemon.start().await;
    let url = daemon.callback_url("main");
    let address = format!("127.0.0.1:{}", url.port().unwrap());
    let mut waiting = Vec::new();
    for bytes in [
        "",
        "POST /dingtalk/main/callback HTTP/1.1\r\nHost: x\r\nX-Half",
        "POST /dingtalk/main/callback HTTP/1.1\r\nHost: x\r\nContent-Length: 500\r\n\r\n{\"encrypt\":\"",
    ] {
        let mut stream = TcpStream::connect(&address).unwrap();
        stream.write_all(bytes.as_bytes()).unwrap();
        waiting.push(tokio::task::spawn_blocking(move || closed(stream)));
    }
    let caller = Caller::new(url, &sim.credentials());
    caller.push(r#"{"EventType":"org_change","eventId":"between"}"#).await;
    let mut answers = Vec::new();
    for one in waiting {
        answers.push(String::from_utf8_lossy(&one.await.unwrap()).into_owned());
    }
    assert!(answers[2].starts_with("HTTP/1.1 408"), "{answers:?}");
    // A stop does not wait for connections that say nothing.
    let _silent = TcpStream::connect(&address).unwrap();
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn more_connections_than_allowed_wait_and_are_served() {
    let sim = simulator(60, 8, 1).await;
    let mut daemon = Daemon::new(&[&sim], UNBOUNDED);
    let config = daemon.configuration();
    daemon.configure(&config.replace("[server]\n", "[server]\nconnections = 4\n"));
    daemon.start().await;
    let address = format!("127.0.0.1:{}", daemon.callback_url("main").port().unwrap());
    let idle: Vec<TcpStream> = (0..4).map(|_| TcpStream::connect(&address).unwrap()).collect();
    let caller = Caller::new(daemon.callback_url("main"), &sim.credentials());
    // It is taken when the idle ones have used up their time.
    caller.push(r#"{"EventType":"org_change","eventId":"patient"}"#).await;
    drop(idle);
}
