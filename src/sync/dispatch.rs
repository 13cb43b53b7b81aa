//! Hands ready objects of one organisation to workers: live ones first, no more than there are slots, and none whose
//! API is out of order.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, info, warn};

use super::context::Context;
use super::worker::work;
use crate::dingtalk::breaker::Blocked;
use crate::dingtalk::endpoint::{self, Endpoint};
use crate::lane::Lane;
use crate::lifecycle::Pulse;
use crate::store::{Claim, Kind, StoreError};

/// Objects that one organisation works on at once.
const SLOTS: usize = 80;
/// Of these, at most so many live ones of a kind: while one API is slow, the others are not.
const LIVE_SLOTS_A_KIND: usize = 32;
/// Of these, at most so many for background work: live work never waits for all of it.
const BACKGROUND_SLOTS: usize = 64;
/// Details that are read while not everybody is visible yet: enough to use up a limit of their own API.
const DETAILS_BESIDE: usize = 16;
/// Another process may have marked something: look at least this often.
const IDLE: Duration = Duration::from_millis(500);
const STORE_PAUSE: Duration = Duration::from_millis(500);
/// How long what is under way may take when the daemon stops.
const DRAIN: Duration = Duration::from_secs(6);

/// Background work that is leased ahead while it goes fast, so that a commit serves many claims.
const MOST_AHEAD: usize = 64;
/// What was leased ahead is to be begun within this time.
const AHEAD_FOR: Duration = Duration::from_millis(250);

/// Objects that are leased, so that their leases can be renewed.
type Held = Arc<Mutex<HashMap<(Kind, String), Claim>>>;

struct Dispatcher {
    context: Arc<Context>,
    tasks: JoinSet<()>,
    running: HashMap<tokio::task::Id, Claim>,
    /// Leased background work that waits for a slot.
    ahead: VecDeque<Claim>,
    /// How many to lease ahead next time, and when that was done last.
    batch: usize,
    leased_at: Instant,
    held: Held,
}

/// Runs until `shutdown`, then lets what is under way end.
pub(super) async fn dispatch(context: Arc<Context>, shutdown: CancellationToken, pulse: Pulse) {
    let mut dispatcher = Dispatcher {
        context: Arc::clone(&context),
        tasks: JoinSet::new(),
        running: HashMap::new(),
        ahead: VecDeque::new(),
        batch: 0,
        leased_at: Instant::now(),
        held: Held::default(),
    };
    let mut renewing = tokio::spawn(renew(context, Arc::clone(&dispatcher.held)));
    while !shutdown.is_cancelled() {
        pulse.beat();
        let wake_at = match dispatcher.fill().await {
            Ok(wake_at) => wake_at,
            Err(error) => {
                if error.outage().is_none() {
                    let corp = &dispatcher.context.name;
                    warn!(corp, %error, "the queue cannot be read");
                }
                Instant::now() + STORE_PAUSE
            }
        };
        tokio::select! {
            () = dispatcher.context.wake.notified() => {}
            Some(ended) = dispatcher.tasks.join_next_with_id() => dispatcher.ended(ended),
            () = tokio::time::sleep_until(wake_at) => {}
            () = shutdown.cancelled() => {}
            // It ends only by a defect; without it every lease would run out.
            _ = &mut renewing => return,
        }
        while let Some(ended) = dispatcher.tasks.try_join_next_with_id() {
            dispatcher.ended(ended);
        }
    }
    dispatcher.drain().await;
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
        if let Err(error) = context.renew(claims).await
            && error.outage().is_none()
        {
            warn!(corp = context.name, %error, "leases could not be renewed");
        }
    }
}

impl Dispatcher {
    fn held(&self) -> MutexGuard<'_, HashMap<(Kind, String), Claim>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives work to free slots. Brings the moment at which there may be more.
    async fn fill(&mut self) -> Result<Instant, StoreError> {
        self.start_ahead();
        let mut wake_at = Instant::now() + IDLE;
        if self.running.len() >= SLOTS {
            return Ok(wake_at);
        }
        // Everybody becomes visible before details are read; confirming reads are due at their time. Where calls are
        // spaced, the details' own API would stand idle meanwhile: then a few are read beside the pages.
        let beside = self.context.client.is_bounded(endpoint::PERSON);
        let (details_wait, ready) = {
            let mut reader = self.context.store.reader().await?;
            reader.next_ready(&self.context.corp_id, beside).await?
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
                    let waits = details_wait && (lane, kind) == (Lane::Background, Kind::Employee);
                    let only_confirming = waits && !beside;
                    let limit = if waits && beside {
                        quota.min(DETAILS_BESIDE.saturating_sub(self.details_under_way()))
                    } else {
                        quota + self.more_ahead(lane, quota)
                    };
                    if limit == 0 {
                        continue;
                    }
                    let claims = self.context.claim(kind, lane, limit, only_confirming).await?;
                    for claim in claims {
                        self.held().insert((claim.kind, claim.object_id.clone()), claim.clone());
                        match lane {
                            Lane::Live => self.start(claim),
                            Lane::Background => self.ahead.push_back(claim),
                        }
                    }
                    self.start_ahead();
                }
                Err(blocked) => wake_at = wake_at.min(blocked.until),
            }
        }
        Ok(wake_at)
    }

    /// How many objects of a kind may be begun now.
    fn quota(&self, lane: Lane, kind: Kind) -> Result<usize, Blocked> {
        let mut quota = match lane {
            Lane::Live => {
                let alike = |claim: &&Claim| claim.lane == Lane::Live && claim.kind == kind;
                let taken = self.running.values().filter(alike).count();
                let free = SLOTS.saturating_sub(self.running.len());
                free.min(LIVE_SLOTS_A_KIND.saturating_sub(taken))
            }
            Lane::Background => self.background_slots().saturating_sub(self.ahead.len()),
        };
        for endpoint in endpoints(kind) {
            if let Some(probes) = self.context.client.admits(*endpoint)? {
                let running = self.running.values().filter(|claim| claim.kind == kind).count();
                quota = quota.min(probes.saturating_sub(running));
            }
        }
        Ok(quota)
    }

    fn details_under_way(&self) -> usize {
        let details = |claim: &&Claim| (claim.lane, claim.kind) == (Lane::Background, Kind::Employee);
        self.running.values().filter(details).count() + self.ahead.iter().filter(details).count()
    }

    fn background_slots(&self) -> usize {
        let taken = self.running.values().filter(|claim| claim.lane == Lane::Background).count();
        let free = SLOTS.saturating_sub(self.running.len());
        free.min(BACKGROUND_SLOTS.saturating_sub(taken))
    }

    /// How many objects to lease beyond those that begin at once: more while they go fast, none while they wait.
    fn more_ahead(&mut self, lane: Lane, quota: usize) -> usize {
        if lane == Lane::Live || quota <= 1 {
            return 0;
        }
        self.batch = if self.leased_at.elapsed() < AHEAD_FOR {
            (self.batch * 2).clamp(quota, MOST_AHEAD)
        } else {
            self.batch / 4
        };
        self.leased_at = Instant::now();
        self.batch
    }

    fn start_ahead(&mut self) {
        while self.background_slots() > 0 {
            let Some(claim) = self.ahead.pop_front() else { return };
            self.start(claim);
        }
    }

    fn start(&mut self, claim: Claim) {
        let task = self.tasks.spawn(work(Arc::clone(&self.context), claim.clone()));
        self.running.insert(task.id(), claim);
    }

    fn ended(&mut self, ended: Result<(tokio::task::Id, ()), tokio::task::JoinError>) {
        let id = match &ended {
            Ok((id, ())) => *id,
            Err(error) => error.id(),
        };
        let Some(Claim { kind, object_id, lease, .. }) = self.running.remove(&id) else { return };
        let key = (kind, object_id);
        let mut held = self.held();
        if held.get(&key).is_some_and(|claim| claim.lease == lease) {
            held.remove(&key);
        }
        drop(held);
        if ended.is_err_and(|error| error.is_panic()) {
            // The lease runs out and the object is read again; the others go on.
            let corp = &self.context.name;
            error!(corp, kind = kind.label(), "a defect interrupted the work on an object");
        }
    }

    /// Lets what is under way end, and gives back what is not.
    async fn drain(&mut self) {
        let drained = tokio::time::timeout(DRAIN, async {
            let ahead = std::mem::take(&mut self.ahead).into();
            if let Err(error) = self.context.release(ahead).await {
                debug!(%error, "leases are left to run out");
            }
            while let Some(ended) = self.tasks.join_next_with_id().await {
                self.ended(ended);
            }
        });
        if drained.await.is_err() {
            let corp = &self.context.name;
            let objects = self.tasks.len();
            info!(
                corp,
                objects, "stopping in the middle of some reads; they are made again after the next start"
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
