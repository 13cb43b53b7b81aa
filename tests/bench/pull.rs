//! The first pull of organisations of several sizes: how long until everybody is visible, until everybody's details are
//! there, and how much memory that takes.
//!
//! `cargo bench --bench pull [-- PEOPLE…]` runs a simulator and a daemon as processes of their own and prints one row
//! for each size. Its measure is a loop that reads the same pages from the same simulator and throws them away.

#![expect(clippy::print_stdout, reason = "the table is the result")]

use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use serde_json::{Value, json};
use tempfile::TempDir;

type Error = Box<dyn std::error::Error>;

const PROGRAM: &str = env!("CARGO_BIN_EXE_dingsync");
const LOOK: Duration = Duration::from_millis(20);

/// A process that ends with the value.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself; then there is nothing to end.
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

impl Process {
    fn start(folder: &Path, arguments: &[&str]) -> Result<Self, Error> {
        let mut command = Command::new(PROGRAM);
        command.args(arguments).current_dir(folder).stdout(Stdio::null()).stderr(Stdio::null());
        Ok(Self(command.spawn()?))
    }

    /// The most memory that it ever held, in MiB.
    fn peak(&self) -> Result<f64, Error> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.0.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).ok_or("no VmHWM")?;
        let kibibytes: f64 = line.trim().trim_end_matches("kB").trim().parse()?;
        Ok(kibibytes / 1024.0)
    }
}

fn free_port() -> Result<u16, Error> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

async fn get(http: &reqwest::Client, url: &str) -> Result<Value, Error> {
    Ok(serde_json::from_str(&http.get(url).send().await?.text().await?)?)
}

async fn post(http: &reqwest::Client, url: &str, body: Value) -> Result<Value, Error> {
    Ok(serde_json::from_str(&http.post(url).json(&body).send().await?.text().await?)?)
}

/// Polls until `look` finds something.
async fn until<T>(mut look: impl AsyncFnMut() -> Option<T>) -> T {
    loop {
        if let Some(found) = look().await {
            return found;
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// Reads the children and pages of every department, sixteen at a time as the daemon does, and throws them away.
async fn bare_loop(http: &reqwest::Client, sim: &str, token: &str) -> Result<Duration, Error> {
    let started = Instant::now();
    let department = |dept_id: i64| async move {
        let url = |path: &str| format!("{sim}/topapi/v2/{path}?access_token={token}");
        let children = post(http, &url("department/listsub"), json!({ "dept_id": dept_id })).await?;
        let mut cursor = json!(0);
        while !cursor.is_null() {
            let wanted =
                json!({ "dept_id": dept_id, "cursor": cursor, "size": 100, "contain_access_limit": true });
            let page = post(http, &url("user/list"), wanted).await?;
            cursor = page["result"]["next_cursor"].clone();
        }
        let ids = children["result"].as_array().cloned().unwrap_or_default();
        Ok::<Vec<i64>, Error>(ids.iter().filter_map(|child| child["dept_id"].as_i64()).collect())
    };
    let mut waiting = vec![1];
    let mut reading = FuturesUnordered::new();
    loop {
        while reading.len() < 16
            && let Some(dept_id) = waiting.pop()
        {
            reading.push(department(dept_id));
        }
        match reading.next().await {
            Some(children) => waiting.extend(children?),
            None => return Ok(started.elapsed()),
        }
    }
}

async fn measure(people: usize) -> Result<(), Error> {
    let departments = (people / 20).max(10);
    let http = reqwest::Client::builder().no_proxy().build()?;
    let folder = TempDir::new()?;
    let (sim_port, ops_port, callback_port) = (free_port()?, free_port()?, free_port()?);
    let sim = format!("http://127.0.0.1:{sim_port}");
    let _sim_process = Process::start(
        folder.path(),
        &[
            "sim",
            "--users",
            &people.to_string(),
            "--departments",
            &departments.to_string(),
            "--rate",
            "0",
            "--listen",
            &format!("127.0.0.1:{sim_port}"),
        ],
    )?;
    let keys = dingsync::sim::Credentials::default();
    let token_url = format!("{sim}/gettoken?appkey={}&appsecret={}", keys.app_key, keys.app_secret);
    let token =
        until(async || get(&http, &token_url).await.ok()?["access_token"].as_str().map(str::to_owned)).await;
    let bare = bare_loop(&http, &sim, &token).await?;
    http.delete(format!("{sim}/sim/counters")).send().await?;
    fs::write(
        folder.path().join("dingsync.toml"),
        format!(
            "[server]\nlisten = \"127.0.0.1:{callback_port}\"\n[ops]\nlisten = \"127.0.0.1:{ops_port}\"\n\
             [dingtalk]\naddress_calls_per_20s = 0\n[corps.main]\ncorp_id = \"{}\"\napp_key = \"{}\"\n\
             app_secret = \"{}\"\noapi_url = \"{sim}\"\napi_url = \"{sim}\"\nrequests_per_second = 0\n",
            keys.corp_id, keys.app_key, keys.app_secret,
        ),
    )?;
    let started = Instant::now();
    let daemon = Process::start(folder.path(), &["serve"])?;
    let status_url = format!("http://127.0.0.1:{ops_port}/api/v1/status");
    let status = async || Some(get(&http, &status_url).await.ok()?["corps"]["main"].clone());
    until(async || status().await.filter(|status| status["bootstrap"]["state"] == "complete")).await;
    let visible = started.elapsed();
    let peak_visible = daemon.peak()?;
    until(async || {
        status().await.filter(|status| status["queue"]["pending"] == 0 && status["queue"]["running"] == 0)
    })
    .await;
    let detailed = started.elapsed();
    let calls = get(&http, &format!("{sim}/sim")).await?;
    let calls: u64 = calls["counters"]["calls"]
        .as_object()
        .into_iter()
        .flatten()
        .filter_map(|(_, count)| count["total"].as_u64())
        .sum();
    println!(
        "{people:>8} {departments:>8} {:>9.2} {:>9.2} {:>7.2} {:>9.2} {:>10.0} {:>9.1} {:>9.1} {calls:>8}",
        bare.as_secs_f64(),
        visible.as_secs_f64(),
        visible.as_secs_f64() / bare.as_secs_f64(),
        detailed.as_secs_f64(),
        people as f64 / detailed.as_secs_f64(),
        peak_visible,
        daemon.peak()?,
    );
    Ok(())
}

#[tokio::main]
async fn main() -> Result<(), Error> {
    drop(rustls::crypto::ring::default_provider().install_default());
    // `cargo bench` adds --bench.
    let sizes: Vec<usize> = std::env::args().skip(1).filter_map(|argument| argument.parse().ok()).collect();
    let sizes = if sizes.is_empty() { vec![1_000, 10_000, 100_000] } else { sizes };
    println!(
        "{:>8} {:>8} {:>9} {:>9} {:>7} {:>9} {:>10} {:>9} {:>9} {:>8}",
        "people",
        "depts",
        "bare s",
        "visible s",
        "ratio",
        "details s",
        "people/s",
        "MiB then",
        "MiB peak",
        "calls"
    );
    for people in sizes {
        measure(people).await?;
    }
    Ok(())
}
