//! Programs that take callbacks beside the daemon: its own HTTP stack without a database, and what people write today.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use dingsync::clock::SystemClock;
use dingsync::config::{Config, Needs};
use dingsync::http::{self, Limits};
use dingsync::random::Random;
use dingsync::receive::{CallbackEndpoint, Callbacks, Door, Gaps, router};
use dingsync::sim::Credentials;
use dingsync::store::Arrival;
use dingsync::sync::classify;
use dingsync::telemetry::Metrics;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use url::Url;

use crate::support::free_port;

/// The argument that makes this program a receiver that stores nothing.
pub(crate) const STORE_NOTHING: &str = "store-nothing";

/// A receiver as a process of its own, which ends with the value.
pub(crate) struct Receiver {
    child: Child,
    pub(crate) url: Url,
}

impl Drop for Receiver {
    fn drop(&mut self) {
        // It may have ended by itself; then there is nothing to end.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

impl Receiver {
    async fn start(mut command: Command, url: Url) -> Self {
        let child = command.stdout(Stdio::null()).spawn().expect("the receiver starts");
        let mut receiver = Self { child, url };
        let address = receiver.url.socket_addrs(|| None).expect("an address")[0];
        let deadline = Instant::now() + Duration::from_secs(30);
        while TcpStream::connect(address).await.is_err() {
            assert!(receiver.child.try_wait().expect("a child").is_none(), "{command:?} ended by itself");
            assert!(Instant::now() < deadline, "{command:?} does not listen");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        receiver
    }

    /// The daemon's stack under the daemon's configuration, with nothing behind it.
    pub(crate) async fn storing_nothing(configuration: &Path, url: Url) -> Self {
        let mut command = Command::new(std::env::current_exe().expect("this program"));
        command.arg(STORE_NOTHING).arg(configuration);
        Self::start(command, url).await
    }

    /// Express with `wx-ding-aes`, storing in `folder`.
    pub(crate) async fn express(peers: &Path, folder: &Path, keys: &Credentials) -> Self {
        let mut command = Command::new(peers.join("node_modules/.bin/node"));
        command.args(["--no-warnings", "express.js"]);
        Self::peer(command, peers, folder.join("express.db"), keys).await
    }

    /// `FastAPI` with `dingtalk-sdk`, storing in `folder`.
    pub(crate) async fn fastapi(peers: &Path, folder: &Path, keys: &Credentials) -> Self {
        let mut command = Command::new(peers.join("venv/bin/python"));
        command.arg("fastapi_receiver.py");
        Self::peer(command, peers, folder.join("fastapi.db"), keys).await
    }

    async fn peer(mut command: Command, peers: &Path, database: PathBuf, keys: &Credentials) -> Self {
        let port = free_port();
        command
            .current_dir(peers)
            .env("PORT", port.to_string())
            .env("DATABASE", database)
            .env("TOKEN", &keys.callback_token)
            .env("AES_KEY", &keys.callback_aes_key)
            .env("OWNER_KEY", &keys.app_key);
        let url = format!("http://127.0.0.1:{port}/callback").parse().expect("a URL");
        Self::start(command, url).await
    }
}

/// Serves callbacks as the daemon does and acknowledges each as soon as its event is read.
pub(crate) async fn store_nothing(configuration: &Path) {
    let config = Config::load(Some(configuration), &[], Needs::CallbacksAlone).expect("a configuration");
    let (door, mut arrivals) = Door::open();
    tokio::spawn(async move {
        while let Some(waiting) = arrivals.next().await {
            waiting.into_iter().for_each(|(_, reply)| drop(reply.send(Ok(Arrival::New))));
        }
    });
    let endpoint = |corp| Some((String::from("main"), CallbackEndpoint::of(corp, Arc::default())?));
    let callbacks = Callbacks {
        excluded: Arc::default(),
        endpoints: config.corps.iter().filter_map(endpoint).collect::<HashMap<_, _>>(),
        classify,
        door,
        gaps: Gaps::default(),
        clock: Arc::new(SystemClock),
        random: Random::from_system(),
        metrics: Metrics::new(),
    };
    let listener = TcpListener::bind(&config.server.listen).await.expect("a free port");
    http::serve(listener, router(callbacks), Limits::default(), CancellationToken::new()).await;
}
