//! Hands ready objects of one organisation to workers: live ones first, no more than there are slots, and none whose
//! API is out of order.

use std::collections::HashMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use super::context::Context;
use super::worker::work;
use crate::dingtalk::breaker::Blocked;
use crate::dingtalk::endpoint::{self, Endpoint};
use crate::lane::Lane;
use crate::lifecycle::Pulse;
use crate::store::{Claim, Kind, StoreError};

/// Objects that one organisation works on at once.
const SLOTS: usize = 24;
/// Of these, at most so many for background work: live work never waits for all of it.
const BACKGROUND_SLOTS: usize = 16;
/// Another process may have marked something: look at least this often.
const IDLE: Duration = Duration::from_millis(500);
const STORE_PAUSE: Duration = Duration::from_millis(500);
/// How long what is under way may take when the daemon stops.
const DRAIN: Duration = Duration::from_secs(6);

/// Objects that are being worked on, so that their leases can be renewed.
type Held = Arc<Mutex<HashMap<tokio::task::Id, Claim>>>;

struct Dispatcher {
    context: Arc<Context>,
    tasks: JoinSet<()>,
    held: Held,
}

/// Runs until `shutdown`, then lets what is under way end.
pub(super) async fn dispatch(context: Arc<Context>, shutdown: CancellationToken, pulse: Pulse) {
    let mut dispatcher =
        Dispatcher { context: Arc::clone(&context), tasks: JoinSet::new(), held: Held::default() };
    let renewing = tokio::spawn(renew(context, Arc::clone(&dispatcher.held)));
    while !shutdown.is_cancelled() {
        pulse.beat();
        let wake_at = match dispatcher.fill().await {
            Ok(wake_at) => wake_at,
            Err(error) => {
                warn!(corp = dispatcher.context.name, %error, "the queue cannot be read; waiting for the database");
                Instant::now() + STORE_PAUSE
            }
        };
        tokio::select! {
            () = dispatcher.context.wake.notified() => {}
            Some(ended) = dispatcher.tasks.join_next_with_id() => dispatcher.ended(ended),
            () = tokio::time::sleep_until(wake_at) => {}
            () = shutdown.cancelled() => {}
        }
    }
    let drained = tokio::time::timeout(DRAIN, async {
        while let Some(ended) = dispatcher.tasks.join_next_with_id().await {
            dispatcher.ended(ended);
        }
    });
    if drained.await.is_err() {
        info!(
            corp = dispatcher.context.name,
            objects = dispatcher.tasks.len(),
            "stopping in the middle of some reads; they are made again after the next start"
        );
    }
    renewing.abort();
}

async fn renew(context: Arc<Context>, held: Held) {
    let mut ticks = tokio::time::interval(super::LEASE / 4);
    loop {
        ticks.tick().await;
        let claims: Vec<Claim> =
            held.lock().unwrap_or_else(PoisonError::into_inner).values().cloned().collect();
        if claims.is_empty() {
            continue;
        }
        if let Err(error) = context.renew(claims).await {
            warn!(corp = context.name, %error, "leases could not be renewed");
        }
    }
}

impl Dispatcher {
    fn held(&self) -> std::sync::MutexGuard<'_, HashMap<tokio::task::Id, Claim>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives work to free slots. Brings the moment at which there may be more.
    async fn fill(&mut self) -> Result<Instant, StoreError> {
        let mut wake_at = Instant::now() + IDLE;
        if self.tasks.len() >= SLOTS {
            return Ok(wake_at);
        }
        let ready = {
            let mut reader = self.context.store.reader().await?;
            reader.next_ready(&self.context.corp_id).await?
        };
        for (lane, kind, ready_at) in ready {
            let now = self.context.now();
            if ready_at > now {
                let wait = Duration::try_from(ready_at.duration_since(now)).unwrap_or(IDLE);
                wake_at = wake_at.min(Instant::now() + wait);
                continue;
            }
            match self.quota(lane, kind) {
                Ok(0) => {}
                Ok(quota) => {
                    let claims = self.context.claim(kind, lane, quota).await?;
                    claims.into_iter().for_each(|claim| self.start(claim));
                }
                Err(blocked) => wake_at = wake_at.min(blocked.until),
            }
        }
        Ok(wake_at)
    }

    /// How many objects of a kind may be begun now.
    fn quota(&self, lane: Lane, kind: Kind) -> Result<usize, Blocked> {
        let held = self.held();
        let free = SLOTS.saturating_sub(held.len());
        let free = match lane {
            Lane::Live => free,
            // Everybody becomes visible before anybody's details are read.
            Lane::Background if kind == Kind::Employee && self.context.pulling.load(Ordering::Relaxed) => 0,
            Lane::Background => {
                let taken = held.values().filter(|claim| claim.lane == Lane::Background).count();
                free.min(BACKGROUND_SLOTS.saturating_sub(taken))
            }
        };
        let mut quota = free;
        for endpoint in endpoints(kind) {
            if let Some(probes) = self.context.client.admits(*endpoint)? {
                let running = held.values().filter(|claim| claim.kind == kind).count();
                quota = quota.min(probes.saturating_sub(running));
            }
        }
        Ok(quota)
    }

    fn start(&mut self, claim: Claim) {
        let task = self.tasks.spawn(work(Arc::clone(&self.context), claim.clone()));
        self.held().insert(task.id(), claim);
    }

    fn ended(&mut self, ended: Result<(tokio::task::Id, ()), tokio::task::JoinError>) {
        let id = match &ended {
            Ok((id, ())) => *id,
            Err(error) => error.id(),
        };
        let claim = self.held().remove(&id);
        if let (Err(error), Some(claim)) = (ended, claim)
            && error.is_panic()
        {
            // The lease runs out and the object is read again; the others go on.
            error!(
                corp = self.context.name,
                kind = claim.kind.label(),
                "a defect interrupted the work on an object"
            );
        }
    }
}

/// The APIs that work on a kind cannot do without.
fn endpoints(kind: Kind) -> &'static [Endpoint] {
    match kind {
        Kind::RoleCatalogue => &[endpoint::ROLES],
        Kind::Department => &[endpoint::DEPARTMENT],
        Kind::Walk => &[endpoint::DEPARTMENT_CHILDREN, endpoint::MEMBERS],
        Kind::RoleMembers => &[endpoint::ROLE_MEMBERS],
        Kind::Employee => &[endpoint::PERSON],
    }
}
