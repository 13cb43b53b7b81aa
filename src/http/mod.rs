//! The HTTP server loop: axum's router behind deadlines and bounds that a public listener needs.
//!
//! `axum::serve` 0.8 sets no header deadline, and a client that sends half a header outlives a shutdown. This loop
//! drives hyper's HTTP/1 connection itself: one deadline from the accept (or the end of the previous exchange) to
//! the last header byte, one for the body (see [`read_body`]), a bound on connections, and a drain that ends.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::ConnectInfo;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use thiserror::Error;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tower::Service;
use tracing::{debug, warn};

/// What one listener allows its clients.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Connections open at once; further ones wait in the kernel's backlog.
    pub connections: usize,
    /// From the accept, or from the end of the previous exchange, to the last byte of the next header.
    pub header: Duration,
    /// From the stop of the listener to the end of the last exchange.
    pub drain: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { connections: 1024, header: Duration::from_secs(10), drain: Duration::from_secs(5) }
    }
}

/// How long to pause after a failed accept: a process that is out of file descriptors must not spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Serves `router` on `listener` until `shutdown`, then finishes what is under way within `limits.drain`.
pub async fn serve(listener: TcpListener, router: Router, limits: Limits, shutdown: CancellationToken) {
    let graceful = GracefulShutdown::new();
    let permits = Arc::new(Semaphore::new(limits.connections));
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(limits.header).pipeline_flush(true);
    loop {
        let accept = async {
            let permit = Arc::clone(&permits).acquire_owned().await;
            (permit, listener.accept().await)
        };
        let (permit, accepted) = tokio::select! {
            accepted = accept => accepted,
            () = shutdown.cancelled() => break,
        };
        let (stream, peer) = match accepted {
            Ok(connection) => connection,
            Err(error) => {
                warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        // Replies are one small segment; without this they wait for the peer's delayed acknowledgement.
        stream.set_nodelay(true).ok();
        let router = router.clone();
        let service = service_fn(move |mut request: hyper::Request<Incoming>| {
            request.extensions_mut().insert(ConnectInfo(peer));
            router.clone().call(request)
        });
        let connection = graceful.watch(http.serve_connection(TokioIo::new(stream), service));
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                debug!(%error, "a connection ended early");
            }
            drop(permit);
        });
    }
    drop(listener);
    if tokio::time::timeout(limits.drain, graceful.shutdown()).await.is_err() {
        warn!("connections were still open when the time to drain was over");
    }
}

/// Why a request's body was not taken.
#[derive(Debug, Error, Clone, Copy, PartialEq, Eq)]
pub enum BodyError {
    /// More bytes than allowed: answer 413.
    #[error("the body is larger than allowed")]
    TooLarge,
    /// The deadline passed: answer 408.
    #[error("the body did not arrive in time")]
    TooSlow,
    /// The connection broke or the framing is wrong: answer 400.
    #[error("the body could not be read")]
    Broken,
}

/// Reads a whole body of at most `limit` bytes that has to arrive within `deadline`.
pub async fn read_body(body: Body, limit: usize, deadline: Duration) -> Result<Bytes, BodyError> {
    match tokio::time::timeout(deadline, Limited::new(body, limit).collect()).await {
        Err(_) => Err(BodyError::TooSlow),
        Ok(Ok(collected)) => Ok(collected.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(BodyError::TooLarge),
        Ok(Err(_)) => Err(BodyError::Broken),
    }
}
