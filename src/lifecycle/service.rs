//! What systemd is told: that the daemon is ready, that it moves, that it stops. Elsewhere nobody listens.

use std::time::Duration;

use sd_notify::NotifyState;
use tokio_util::sync::CancellationToken;
use tracing::debug;

use super::Pulses;

/// Half of the shortest time in which a unit can ask for a sign of life.
const USUAL_BEAT: Duration = Duration::from_secs(15);

/// Says that the listeners are open, then gives signs of life while every task moves, and says when the stop begins.
pub async fn tell_service_manager(pulses: Pulses, shutdown: CancellationToken) {
    tell(&[NotifyState::Ready]);
    let asked = sd_notify::watchdog_enabled();
    let beat = asked.map_or(USUAL_BEAT, |limit| (limit / 2).min(USUAL_BEAT));
    while !shutdown.is_cancelled() {
        // A task that hangs is a reason to be restarted.
        if asked.is_some() && pulses.still().is_empty() {
            tell(&[NotifyState::Watchdog]);
        }
        tokio::select! {
            () = tokio::time::sleep(beat) => {}
            () = shutdown.cancelled() => {}
        }
    }
    tell(&[NotifyState::Stopping]);
}

fn tell(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        debug!(%error, "the service manager cannot be told how the daemon is");
    }
}
