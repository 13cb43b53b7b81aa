//! Works on one claimed object, and decides what becomes of it when no answer came.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tracing::{debug, info, warn};

use super::context::{Context, WorkError};
use crate::dingtalk::{ApiError, Class};
use crate::lane::Lane;
use crate::store::{
    Cause, Claim, ClaimWish, Conn, Finish, Hint, Kind, Operation, Standing, StoreError, Turn,
};

/// After so many failures that are the object's own, it is parked.
const ATTEMPTS: i64 = 3;
/// The same, where the answers make no sense: that may pass.
const ATTEMPTS_AT_NONSENSE: i64 = 4;
const FIRST_BACK_OFF: Duration = Duration::from_secs(2);
/// An object that waits for DingTalk to recover looks again after at most this long.
const LONGEST_RELEASE: Duration = Duration::from_secs(30);
const USUAL_RELEASE: Duration = Duration::from_secs(1);

/// Works on `claim` until it is answered, given back or parked.
pub(super) async fn work(context: Arc<Context>, claim: Claim) {
    let result = match claim.kind {
        Kind::RoleCatalogue => context.work_on_catalogue(&claim).await,
        Kind::Department => context.work_on_department(&claim).await,
        Kind::Walk => context.work_on_walk(&claim).await,
        Kind::RoleMembers => context.work_on_role_members(&claim).await,
        Kind::Employee => context.work_on_employee(&claim).await,
    };
    let outcome = match result {
        Ok(()) => Ok(()),
        Err(WorkError::Store(StoreError::LeaseLost)) => {
            info!(
                corp = context.name,
                kind = claim.kind.label(),
                "a lease ran out; the object is read again"
            );
            Ok(())
        }
        Err(WorkError::Store(error)) => Err(error),
        Err(WorkError::Api(error)) => context.give_back(&claim, &error).await,
    };
    if let Err(error) = outcome {
        // The lease stays; when it runs out, the object is read again. Of an outage the database's own log lines tell.
        if !matches!(error, StoreError::Unavailable { .. } | StoreError::Closed(_)) {
            warn!(corp = context.name, kind = claim.kind.label(), %error, "what was read could not be stored");
        }
    }
}

impl Context {
    /// An event's effect is in the mirror.
    pub(super) fn note_done(&self, claim: &Claim, finish: Finish) {
        // Of what a run finds, the run says it.
        if finish.standing == Standing::Held && claim.standing != Standing::Held && !claim.is_of_run() {
            self.tell_held_read();
        }
        debug!(
            corp = self.name,
            kind = claim.kind.label(),
            changed = finish.changed,
            confirm = ?finish.confirm,
            "an object was read"
        );
        if finish.changed
            && claim.provenance.cause == Cause::Event
            && let Some(since) = claim.pending_since
        {
            let took = Duration::try_from(self.now().duration_since(since)).unwrap_or_default();
            self.metrics.event_mirrored(&self.name, took);
        }
    }

    /// Marks objects and wakes the workers.
    pub(super) async fn mark(&self, hints: Vec<Hint>) -> Result<(), StoreError> {
        self.write(Mark { corp_id: self.corp_id.clone(), hints, now: self.now() }).await?;
        self.wake.notify_one();
        Ok(())
    }

    /// DingTalk gave no answer. What is its own trouble is never counted against the object.
    async fn give_back(&self, claim: &Claim, error: &ApiError) -> Result<(), StoreError> {
        if error.class.is_trouble() || self.is_nonsense_to_all(claim, error) {
            let pause = error.retry_after.unwrap_or(USUAL_RELEASE).clamp(USUAL_RELEASE, LONGEST_RELEASE);
            let ready_at = self.now() + self.random.jittered(pause);
            return self.write(Release { claims: vec![claim.clone()], ready_at }).await;
        }
        let exponent = u32::try_from(claim.attempts).unwrap_or_default().min(8);
        let attempts = if error.class == Class::Unexpected { ATTEMPTS_AT_NONSENSE } else { ATTEMPTS };
        let again = claim.attempts + 1 < attempts;
        let ready_at = again.then(|| self.now() + self.random.jittered(FIRST_BACK_OFF * 4u32.pow(exponent)));
        if !again {
            warn!(
                corp = self.name,
                kind = claim.kind.label(),
                %error,
                "an object is parked: DingTalk refuses to show it. `dingsync sync` tries again"
            );
        }
        let text = error.refusal.as_ref().map(|refusal| refusal.text.as_str()).unwrap_or_default();
        let reason = format!("{}: {error} {text}", error.class.label());
        let fail = Fail { claim: claim.clone(), ready_at, reason, now: self.now() };
        self.write(fail).await
    }

    /// Whether an answer makes no sense, and others' do not either. Of the role list there is only one.
    fn is_nonsense_to_all(&self, claim: &Claim, error: &ApiError) -> bool {
        let answers = |path| self.client.answers(path);
        let is_trouble = error.class == Class::Unexpected
            && (self.nonsense.is_trouble(error.endpoint.path, &claim.object_id, answers)
                || claim.kind == Kind::RoleCatalogue);
        if is_trouble {
            self.client.note_nonsense(error);
        }
        is_trouble
    }

    /// Gives objects back that nobody began to read.
    pub(super) async fn release(&self, claims: Vec<Claim>) -> Result<(), StoreError> {
        self.write(Release { claims, ready_at: self.now() }).await
    }

    /// Leases objects.
    pub(super) async fn claim(
        &self,
        kind: Kind,
        lane: Lane,
        limit: usize,
        only_confirming: bool,
    ) -> Result<Vec<Claim>, StoreError> {
        let now = self.now();
        let lease = (self.random.number() >> 1) as i64;
        let wish = ClaimWish { kind, lane, limit, only_confirming, lease, until: now + super::LEASE };
        self.write(TakeClaims { corp_id: self.corp_id.clone(), wish, now }).await
    }

    /// Keeps leases from running out.
    pub(super) async fn renew(&self, claims: Vec<Claim>) -> Result<(), StoreError> {
        let until = self.now() + super::LEASE;
        self.write(Renew { claims, until }).await
    }
}

struct Mark {
    corp_id: String,
    hints: Vec<Hint>,
    now: Timestamp,
}

impl Operation for Mark {
    type Output = ();

    async fn run(&self, conn: &mut Conn) -> Result<(), StoreError> {
        conn.hint(&self.corp_id, &self.hints, self.now).await
    }
}

struct Release {
    claims: Vec<Claim>,
    ready_at: Timestamp,
}

impl Operation for Release {
    type Output = ();

    async fn run(&self, conn: &mut Conn) -> Result<(), StoreError> {
        for claim in &self.claims {
            conn.release(claim, self.ready_at);
        }
        Ok(())
    }
}

struct Fail {
    claim: Claim,
    ready_at: Option<Timestamp>,
    reason: String,
    now: Timestamp,
}

impl Operation for Fail {
    type Output = ();

    async fn run(&self, conn: &mut Conn) -> Result<(), StoreError> {
        conn.fail(&self.claim, self.ready_at, &self.reason, self.now);
        Ok(())
    }
}

struct TakeClaims {
    corp_id: String,
    wish: ClaimWish,
    now: Timestamp,
}

impl Operation for TakeClaims {
    type Output = Vec<Claim>;
    const TURN: Turn = Turn::Alone;

    async fn run(&self, conn: &mut Conn) -> Result<Vec<Claim>, StoreError> {
        conn.claim(&self.corp_id, &self.wish, self.now).await
    }
}

struct Renew {
    claims: Vec<Claim>,
    until: Timestamp,
}

impl Operation for Renew {
    type Output = ();
    const TURN: Turn = Turn::Alone;

    async fn run(&self, conn: &mut Conn) -> Result<(), StoreError> {
        // A lease that is lost shows when its holder wants to finish.
        conn.renew(&self.claims, self.until).await
    }
}
