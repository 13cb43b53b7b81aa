//! The two listeners: for operators from the first moment, for callbacks with a gate that opens when the database is in place.

use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tower::Service;
use tracing::info;

use super::Daemon;
use crate::answers::Filling;
use crate::cli::exit::Failure;
use crate::http::{self, Limits};
use crate::ops;

/// The callbacks' routes, once there is a database behind them.
pub(super) type Gate = Arc<OnceLock<Router>>;

impl Daemon<'_> {
    pub(super) async fn listen_for_operators(&mut self) -> Result<SocketAddr, Failure> {
        let (listener, address) = bind(&self.config.ops.listen, "ops.listen").await?;
        info!(%address, "health, metrics and status");
        let corps = self.config.corps.iter().map(|corp| ops::Corp {
            name: corp.name.clone(),
            corp_id: corp.corp_id.clone(),
            context: self.engine.as_ref().and_then(|engine| engine.context(&corp.name)).cloned(),
            metered_calls_per_month: corp.metered_calls_per_month,
            inbox: self.inboxes.get(&corp.name).cloned().unwrap_or_default(),
            filling: self.appliers.iter().find(|applier| applier.corp == corp.name).map(Filling::from),
        });
        let router = ops::router(ops::Ops {
            corps: corps.collect(),
            store: self.store.clone(),
            in_place: Arc::clone(&self.in_place),
            pulses: self.tasks.pulses(),
            metrics: self.metrics.clone(),
            tokens: self.config.ops.tokens.clone(),
            listen: self.config.ops.listen.clone(),
            hosts: self.config.ops.hosts.clone(),
            stopping: self.tasks.shutdown(),
            clock: Arc::clone(&self.clock),
        });
        let limits = Limits { drain: Duration::from_secs(1), ..Limits::default() };
        let serving = http::serve(listener, router, limits, self.closing.clone());
        self.tasks.spawn("operators' listener", serving);
        Ok(address)
    }

    /// Opens the public listener. Until the database is in place, callbacks are told to come again.
    pub(super) async fn listen_for_callbacks(&mut self) -> Result<SocketAddr, Failure> {
        let (listener, address) = bind(&self.config.server.listen, "server.listen").await?;
        for corp in &self.config.corps {
            let path = format!("/dingtalk/{}/callback", corp.name);
            match corp.callback {
                Some(_) => info!(corp = corp.name, %address, path, "callbacks"),
                None => info!(corp = corp.name, "takes no callbacks: no callback_token is configured"),
            }
        }
        let router = Router::new().fallback(through_gate).with_state(Arc::clone(&self.gate));
        let limits = Limits { connections: self.config.server.connections, ..Limits::default() };
        let serving = http::serve(listener, router, limits, self.closing.clone());
        self.tasks.spawn("callback listener", serving);
        Ok(address)
    }
}

/// Closes the listeners some time after the stop has begun.
pub(super) async fn close_later(shutdown: CancellationToken, delay: Duration, closing: CancellationToken) {
    shutdown.cancelled().await;
    tokio::time::sleep(delay).await;
    closing.cancel();
}

async fn bind(address: &str, key: &str) -> Result<(TcpListener, SocketAddr), Failure> {
    let bound = async {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        Ok((listener, address))
    };
    bound.await.map_err(|error: std::io::Error| {
        Failure::failed(anyhow::Error::new(error).context(format!("`{key}`: cannot listen on {address}")))
    })
}

async fn through_gate(State(gate): State<Gate>, request: Request) -> Response {
    match gate.get() {
        Some(router) => router.clone().call(request).await.into_response(),
        None => StatusCode::SERVICE_UNAVAILABLE.into_response(),
    }
}
