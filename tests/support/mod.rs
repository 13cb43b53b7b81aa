//! What the tests of the daemon share: a daemon as a process of its own, and a comparison of its database with the
//! simulator's truth that uses none of the daemon's code.

pub(crate) mod callback;
pub(crate) mod database;
pub(crate) mod mirror;

use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use dingsync::clock::SystemClock;
use dingsync::sim::{Options, Sim};
use serde_json::{Value, json};
use tempfile::TempDir;

use self::database::Database;

/// A condition that does not come true within this time never will: confirming reads end a minute after the last event,
/// those of what they lead to a minute later.
pub(crate) const PATIENCE: Duration = Duration::from_mins(10);
const LOOK: Duration = Duration::from_millis(50);

/// A port that nobody uses: below those that the system hands out by itself, and each only once in this process.
pub(crate) fn free_port() -> u16 {
    const FIRST: u32 = 10_000;
    const COUNT: u32 = 20_000;
    static NEXT: AtomicU32 = AtomicU32::new(0);
    loop {
        let next = NEXT.fetch_add(1, Ordering::Relaxed).wrapping_add(std::process::id().wrapping_mul(97));
        let port = u16::try_from(FIRST + next % COUNT).expect("a port");
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

/// A simulator without limits of its own, in this process.
pub(crate) async fn simulator(users: usize, departments: usize, seed: u64) -> Sim {
    simulator_of(Options { users, departments, seed, ..Options::default() }).await
}

/// The same with more options. It waits for the answer to a push as long as a test does for anything: how soon an answer
/// comes is measured by the benchmarks, and says nothing on a machine that runs several tests at a time.
pub(crate) async fn simulator_of(options: Options) -> Sim {
    let options = Options { rate: 0, ..options };
    let sim = Sim::start(options, Arc::new(SystemClock)).await.expect("the simulator starts");
    let patience = u64::try_from(PATIENCE.as_millis()).expect("minutes");
    sim.merge_push_settings(&json!({ "answer_deadline_ms": patience })).expect("known settings");
    sim
}

/// A daemon's configuration and database, and the daemon while it runs.
pub(crate) struct Daemon {
    // In this order they go.
    database: Arc<Database>,
    folder: TempDir,
    ops_port: u16,
    callback_port: u16,
    child: Option<Child>,
    http: reqwest::Client,
}

impl Daemon {
    /// A daemon for the given simulators, named `main`, `second`, …, that has not been started. `more` is appended to
    /// each organisation's table.
    pub(crate) fn new(sims: &[&Sim], more: &str) -> Self {
        let folder = TempDir::new().expect("a folder");
        let database = Arc::new(Database::create(folder.path()));
        Self::with(database, folder, sims, more)
    }

    /// The same on a server's engine.
    pub(crate) fn on(engine: &str, sims: &[&Sim], more: &str) -> Self {
        let folder = TempDir::new().expect("a folder");
        let database = Arc::new(Database::create_on(engine, folder.path()));
        Self::with(database, folder, sims, more)
    }

    /// The same on a server of the test's own.
    pub(crate) fn at(engine: &str, server: &str, sims: &[&Sim], more: &str) -> Self {
        let folder = TempDir::new().expect("a folder");
        let database = Arc::new(Database::create_at(engine, server));
        Self::with(database, folder, sims, more)
    }

    /// Another daemon on this one's database.
    pub(crate) fn beside(&self, sims: &[&Sim], more: &str) -> Self {
        let folder = TempDir::new().expect("a folder");
        Self::with(Arc::clone(&self.database), folder, sims, more)
    }

    fn with(database: Arc<Database>, folder: TempDir, sims: &[&Sim], more: &str) -> Self {
        let daemon = Self {
            database,
            folder,
            ops_port: free_port(),
            callback_port: free_port(),
            child: None,
            http: reqwest::Client::builder().no_proxy().build().expect("a client"),
        };
        let mut config = format!(
            "[database]\nurl = \"{}\"\n[server]\nlisten = \"127.0.0.1:{}\"\n[ops]\nlisten = \"127.0.0.1:{}\"\n\
             [dingtalk]\naddress_calls_per_20s = 0\n",
            daemon.database.url(),
            daemon.callback_port,
            daemon.ops_port,
        );
        for (sim, name) in sims.iter().zip(["main", "second", "third"]) {
            config.push_str(&corp_table(sim, name, more));
        }
        daemon.configure(&config);
        daemon
    }

    /// Replaces the whole configuration.
    pub(crate) fn configure(&self, config: &str) {
        fs::write(self.folder.path().join("dingsync.toml"), config).expect("a writable folder");
    }

    pub(crate) fn configuration(&self) -> String {
        fs::read_to_string(self.folder.path().join("dingsync.toml")).expect("a configuration")
    }

    /// Adds to the configuration.
    pub(crate) fn configure_more(&self, more: &str) {
        self.configure(&format!("{}\n{more}", self.configuration()));
    }

    /// Takes out of the configuration whatever starts with `prefix`.
    pub(crate) fn configure_without(&self, prefix: &str) {
        let config = self.configuration();
        let kept = config.lines().filter(|line| !line.starts_with(prefix));
        self.configure(&kept.flat_map(|line| [line, "\n"]).collect::<String>());
    }

    pub(crate) fn database(&self) -> &Database {
        &self.database
    }

    /// The database, for looking at it while the daemon is started and stopped.
    pub(crate) fn shared_database(&self) -> Arc<Database> {
        Arc::clone(&self.database)
    }

    /// Adds to one organisation's table.
    pub(crate) fn configure_corp(&self, corp: &str, more: &str) {
        let (config, table) = (self.configuration(), format!("[corps.{corp}]\n"));
        assert!(config.contains(&table), "no table of {corp}");
        self.configure(&config.replace(&table, &format!("{table}{more}\n")));
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn callback_url(&self, corp: &str) -> url::Url {
        format!("http://127.0.0.1:{}/dingtalk/{corp}/callback", self.callback_port).parse().expect("a URL")
    }

    pub(crate) fn ops_url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.ops_port)
    }

    /// The log of all runs so far.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    /// Waits until the log says `text`.
    pub(crate) async fn says(&self, text: &str) {
        until(&format!("the log says `{text}`"), || self.log().contains(text)).await;
    }

    /// A command of the program, in the daemon's folder, with nothing of this process's settings.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_dingsync"));
        command.args(arguments).current_dir(self.folder.path());
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("DINGSYNC_")) {
            command.env_remove(name);
        }
        command
    }

    /// Runs a command to its end. One that does not end is killed, and fails the test.
    pub(crate) async fn run(&self, arguments: &[&str]) -> Output {
        let mut command = tokio::process::Command::from(self.command(arguments));
        let output = command.kill_on_drop(true).output();
        let ended = tokio::time::timeout(2 * PATIENCE, output).await;
        assert!(ended.is_ok(), "{arguments:?} does not end");
        ended.expect("an end").expect("the command starts")
    }

    /// Starts the daemon without waiting for anything.
    pub(crate) fn spawn(&mut self, arguments: &[&str]) {
        assert!(self.child.is_none(), "the daemon runs already");
        let log = fs::File::options().create(true).append(true).open(self.folder.path().join("log"));
        let mut command = self.command(&[&["serve"], arguments].concat());
        command.stderr(log.expect("a log")).stdout(Stdio::null());
        self.child = Some(command.spawn().expect("the daemon starts"));
    }

    /// Starts the daemon and waits until it takes callbacks.
    pub(crate) async fn start(&mut self) {
        self.spawn(&[]);
        self.ready().await;
    }

    /// Starts the daemon, lets it pull the whole organisation, and then sends it the events.
    pub(crate) async fn follow(&mut self, sim: &Sim) {
        self.start().await;
        self.at_rest("main").await;
        sim.set_callback(Some(self.callback_url("main")));
    }

    pub(crate) async fn ready(&mut self) {
        let deadline = Instant::now() + PATIENCE;
        while self.get("/readyz").await.map(|(status, _)| status) != Some(200) {
            assert!(Instant::now() < deadline, "the daemon does not become ready:\n{}", self.log());
            let ended = self.child.as_mut().and_then(|child| child.try_wait().expect("a child"));
            assert!(ended.is_none(), "the daemon ended with {ended:?}:\n{}", self.log());
            tokio::time::sleep(LOOK).await;
        }
    }

    /// What `readyz` answers, if anything.
    pub(crate) async fn ready_status(&self) -> Option<u16> {
        self.get("/readyz").await.map(|(status, _)| status)
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.as_ref().expect("the daemon runs").id()
    }

    /// Kills it without a word.
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().expect("the daemon can be killed");
            child.wait().expect("a child");
        }
    }

    pub(crate) fn signal(&self, signal: &str) {
        let killed = Command::new("kill").args(["-s", signal, &self.pid().to_string()]).status();
        assert!(killed.expect("kill runs").success());
    }

    /// Waits for its end and brings the exit code.
    pub(crate) async fn ended(&mut self) -> Option<i32> {
        let mut child = self.child.take().expect("the daemon runs");
        tokio::task::spawn_blocking(move || child.wait().expect("a child").code()).await.expect("no panic")
    }

    pub(crate) async fn stop(&mut self) {
        self.signal("TERM");
        assert_eq!(self.ended().await, Some(0), "{}", self.log());
    }

    pub(crate) async fn get(&self, path: &str) -> Option<(u16, String)> {
        let response = self.http.get(self.ops_url(path)).timeout(Duration::from_mins(1)).send().await.ok()?;
        let status = response.status().as_u16();
        Some((status, response.text().await.ok()?))
    }

    /// The status of one organisation, if the daemon answers.
    pub(crate) async fn status(&self, corp: &str) -> Option<Value> {
        let (200, text) = self.get("/api/v1/status").await? else { return None };
        let status: Value = serde_json::from_str(&text).expect("JSON");
        Some(status["corps"][corp].clone())
    }

    /// Waits until `condition` holds of the status.
    pub(crate) async fn wait(&self, corp: &str, what: &str, condition: impl Fn(&Value) -> bool) -> Value {
        self.wait_for(corp, what, PATIENCE, condition).await
    }

    pub(crate) async fn wait_for(
        &self,
        corp: &str,
        what: &str,
        patience: Duration,
        condition: impl Fn(&Value) -> bool,
    ) -> Value {
        let deadline = Instant::now() + patience;
        loop {
            let status = self.status(corp).await;
            if let Some(status) = status.as_ref().filter(|status| condition(status)) {
                return status.clone();
            }
            assert!(Instant::now() < deadline, "no {what}: {status:#?}\n{}", self.log());
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Waits until everything that is known of has been read, confirming reads included.
    pub(crate) async fn at_rest(&self, corp: &str) -> Value {
        self.wait(corp, "rest", |status| is_at_rest(status) && status["queue"]["confirming"] == 0).await
    }

    /// Waits until the mirror is what the simulator says, and fails with what differs.
    pub(crate) async fn agrees_with(&self, sim: &Sim, corp: &str) {
        self.at_rest(corp).await;
        let differences = mirror::differences(&self.database, sim);
        assert!(
            differences.is_empty(),
            "{} differences:\n{}\n{}",
            differences.len(),
            differences.iter().take(40).cloned().collect::<Vec<_>>().join("\n"),
            self.log()
        );
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().ok();
            child.wait().ok();
        }
    }
}

/// Waits until something is so.
pub(crate) async fn until(what: &str, condition: impl Fn() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < deadline, "it never happens that {what}");
        tokio::time::sleep(LOOK).await;
    }
}

/// Pushes what was refused again and again until all of it is acknowledged; brings how many pushes that took.
pub(crate) async fn resend_all(sim: &Sim) -> u64 {
    let mut resent = 0;
    loop {
        sim.settled().await;
        match sim.resend() {
            0 => return resent,
            failed => resent += failed as u64,
        }
    }
}

/// True when nothing waits but confirming reads.
pub(crate) fn is_at_rest(status: &Value) -> bool {
    let queue = &status["queue"];
    status["bootstrap"]["state"] == "complete"
        && ["pending", "running", "parked", "held"].iter().all(|count| queue[count] == 0)
}

/// The table of one organisation.
pub(crate) fn corp_table(sim: &Sim, name: &str, more: &str) -> String {
    let credentials = sim.credentials();
    let url = sim.url();
    format!(
        "[corps.{name}]\ncorp_id = \"{}\"\napp_key = \"{}\"\napp_secret = \"{}\"\ncallback_token = \"{}\"\n\
         callback_aes_key = \"{}\"\noapi_url = \"{url}\"\napi_url = \"{url}\"\n{more}\n",
        credentials.corp_id,
        credentials.app_key,
        credentials.app_secret,
        credentials.callback_token,
        credentials.callback_aes_key,
    )
}

/// No bound on calls but the simulator's.
pub(crate) const UNBOUNDED: &str = "requests_per_second = 0";
