//! What operators and programs are told, by the command line and by the admin API, and who may ask.

mod access;
mod applied;
mod commands;
mod decisions;
mod feed;
mod lookups;

use std::process::Output;

use dingsync::sim::{Change, Sim};
use reqwest::{Method, RequestBuilder};
use serde_json::Value;

use crate::support::{Daemon, UNBOUNDED, simulator};

const TOKENS: &str = "[ops.tokens.reader]\ntoken = \"r-secret\"\n\
                      [ops.tokens.hand]\ntoken = \"o-secret\"\nscopes = [\"read\", \"operate\"]\n\
                      [ops.tokens.judge]\ntoken = \"a-secret\"\nscopes = [\"approve\"]\n";

/// A daemon with tokens that mirrors a small company and takes its events.
async fn running(users: usize, departments: usize) -> (Sim, Daemon) {
    let sim = simulator(users, departments, 1).await;
    let mut daemon = Daemon::new(&[&sim], UNBOUNDED);
    daemon.configure_more(TOKENS);
    daemon.follow(&sim).await;
    (sim, daemon)
}

fn rename(sim: &Sim, userid: &str, name: &str) {
    sim.change(&Change::PersonRename { userid: userid.to_owned(), name: name.to_owned() }).expect("possible");
}

fn request(daemon: &Daemon, method: Method, path: &str) -> RequestBuilder {
    let http = reqwest::Client::builder().no_proxy().build().expect("a client");
    http.request(method, daemon.ops_url(path))
}

/// Sends a request; brings the status and the JSON that every answer is.
async fn sent(request: RequestBuilder) -> (u16, Value) {
    let response = request.send().await.expect("an answer");
    let status = response.status().as_u16();
    let text = response.text().await.expect("a body");
    (status, serde_json::from_str(&text).expect(&text))
}

/// Asks as anybody on this machine may.
async fn asked(daemon: &Daemon, path: &str) -> (u16, Value) {
    sent(request(daemon, Method::GET, path)).await
}

/// Asks what has an answer.
async fn answer(daemon: &Daemon, path: &str) -> Value {
    let (status, answer) = asked(daemon, path).await;
    assert_eq!(status, 200, "{path}: {answer}");
    answer
}

/// Writes as an operator.
async fn told(daemon: &Daemon, path: &str, body: &Value) -> (u16, Value) {
    sent(request(daemon, Method::POST, path).bearer_auth("o-secret").json(body)).await
}

/// Runs a command that must end with `code`; brings what it printed.
async fn run(daemon: &Daemon, code: i32, arguments: &[&str]) -> String {
    let Output { status, stdout, stderr } = daemon.run(arguments).await;
    let out = String::from_utf8_lossy(&stdout).into_owned();
    assert_eq!(status.code(), Some(code), "{arguments:?}\n{out}\n{}", String::from_utf8_lossy(&stderr));
    out
}

/// The same with `--json`.
async fn run_json(daemon: &Daemon, code: i32, arguments: &[&str]) -> Value {
    let out = run(daemon, code, &[arguments, &["--json"]].concat()).await;
    serde_json::from_str(&out).expect(&out)
}
