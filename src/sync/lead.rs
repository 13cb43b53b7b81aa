//! What only one of the processes on a database does, while it is this one.

use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::engine::Engine;
use crate::config;
use crate::lifecycle::Pulse;
use crate::replicas::Membership;
use crate::store::StoreError;
use crate::telemetry::Metrics;

const STORE_PAUSE: Duration = Duration::from_secs(1);

/// Carries out runs and schedules whenever `leads` says so, until `shutdown`. Without a membership this process is the
/// only one there is, and nobody was there before it.
pub async fn lead(
    engine: Engine,
    reconcile: config::Reconcile,
    membership: Option<Membership>,
    mut leads: watch::Receiver<bool>,
    metrics: Metrics,
    shutdown: CancellationToken,
    pulse: Pulse,
) {
    while until(&mut leads, true, &shutdown, &pulse).await {
        metrics.leads(true);
        let term = shutdown.child_token();
        let mut tasks = engine.lead(reconcile, &term, &pulse);
        while !shutdown.is_cancelled() {
            match ask_for_first_runs(&engine, membership.as_ref()).await {
                Ok(()) => break,
                Err(error) => {
                    warn!(%error, "what comes first cannot be asked for; waiting for the database");
                    tokio::time::sleep(STORE_PAUSE).await;
                }
            }
        }
        tokio::select! {
            // Tasks that have seen the shutdown did not end by a defect.
            biased;
            _ = until(&mut leads, false, &shutdown, &pulse) => {}
            // They end only by a defect, which the log names.
            _ = tasks.join_next() => return,
        }
        term.cancel();
        while tasks.join_next().await.is_some() {}
        metrics.leads(false);
    }
}

/// After an absence of all processes everything is compared; else nothing was missed.
async fn ask_for_first_runs(engine: &Engine, membership: Option<&Membership>) -> Result<(), StoreError> {
    let follows_absence = match membership {
        Some(membership) => membership.follows_absence().await?,
        None => true,
    };
    for context in engine.contexts() {
        if follows_absence {
            context.request_first_runs().await?;
        } else {
            context.request_first_pull().await?;
        }
    }
    match membership {
        Some(membership) => membership.forget_absence().await,
        None => Ok(()),
    }
}

/// Waits until `leads` is `wanted`; false at the shutdown.
async fn until(
    leads: &mut watch::Receiver<bool>,
    wanted: bool,
    shutdown: &CancellationToken,
    pulse: &Pulse,
) -> bool {
    let change = async {
        // Whoever is alone leads for ever: nobody is left to say otherwise.
        if leads.wait_for(|leads| *leads == wanted).await.is_err() {
            std::future::pending::<()>().await;
        }
    };
    tokio::select! {
        () = shutdown.cancelled() => false,
        never = pulse.keep_beating() => match never {},
        () = change => true,
    }
}
