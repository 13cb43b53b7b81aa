//! Callbacks from many connections at once, each sending its next one as soon as the last is acknowledged.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use dingsync::sim::Credentials;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::{Request, StatusCode, header};
use hyper_util::rt::TokioIo;
use serde_json::json;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use url::Url;

use crate::support::callback::{Caller, Push};
use crate::table::percentile;

const CONNECTIONS: usize = 64;

/// How a receiver bore it.
pub(crate) struct Outcome {
    /// From the first push to the last acknowledgement.
    pub(crate) time: Duration,
    /// How many were acknowledged.
    pub(crate) count: usize,
    /// From a push to its acknowledgement, sorted.
    pub(crate) latencies: Vec<Duration>,
}

impl Outcome {
    pub(crate) fn per_second(&self) -> f64 {
        self.count as f64 / self.time.as_secs_f64()
    }

    pub(crate) fn percentile(&self, hundredths: usize) -> Duration {
        percentile(&self.latencies, hundredths)
    }
}

/// Signed and encrypted changes of people, no two alike; they name `people` in turn. Those of another `series` differ.
pub(crate) fn pushes(
    url: &Url,
    keys: &Credentials,
    people: &[String],
    series: usize,
    count: usize,
) -> Vec<Push> {
    let caller = Caller::new(url.clone(), keys);
    let message = |at: usize| {
        json!({
            "CorpId": keys.corp_id,
            "EventType": "user_modify_org",
            "UserId": [people[at % people.len()]],
            "TimeStamp": (1_767_225_600_000 + series * 1_000_000 + at).to_string(),
        })
    };
    (0..count).map(|at| caller.message(&message(at).to_string())).collect()
}

/// Sends them all, and fails unless every one is acknowledged.
pub(crate) async fn send(url: &Url, pushes: Vec<Push>) -> Outcome {
    let count = pushes.len();
    let pushes: Arc<Vec<Request<Full<Bytes>>>> =
        Arc::new(pushes.into_iter().map(|push| request(url, push)).collect());
    let next = Arc::new(AtomicUsize::new(0));
    let address = url.socket_addrs(|| None).expect("an address")[0];
    let mut connections = JoinSet::new();
    let started = Instant::now();
    for _ in 0..CONNECTIONS {
        let (pushes, next) = (Arc::clone(&pushes), Arc::clone(&next));
        connections.spawn(async move {
            let stream = TcpStream::connect(address).await.expect("the receiver listens");
            stream.set_nodelay(true).expect("a socket");
            let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.expect("HTTP");
            tokio::spawn(connection);
            let mut latencies = Vec::new();
            while let Some(push) = pushes.get(next.fetch_add(1, Ordering::Relaxed)) {
                let sent = Instant::now();
                let response = sender.send_request(push.clone()).await.expect("an answer");
                assert_eq!(response.status(), StatusCode::OK);
                let body = response.into_body().collect().await.expect("a whole answer").to_bytes();
                assert!(body.starts_with(b"{\""), "{body:?}");
                latencies.push(sent.elapsed());
            }
            latencies
        });
    }
    let mut latencies: Vec<Duration> = connections.join_all().await.into_iter().flatten().collect();
    let time = started.elapsed();
    latencies.sort_unstable();
    assert_eq!(latencies.len(), count);
    Outcome { time, count, latencies }
}

fn request(url: &Url, push: Push) -> Request<Full<Bytes>> {
    let mut target = url.clone();
    target.query_pairs_mut().extend_pairs(&push.query);
    let path = &target[url::Position::BeforePath..];
    Request::post(path)
        .header(header::HOST, url.authority())
        .header(header::CONTENT_TYPE, "application/json")
        .body(Full::new(push.body.into()))
        .expect("a request")
}
