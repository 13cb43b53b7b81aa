//! How a comparison waits: for DingTalk, and for whoever works on what it looks at.

use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::Instant;
use tracing::warn;

use crate::dingtalk::Class;
use crate::dingtalk::error::Denied;
use crate::lane::Lane;
use crate::store::{Kind, Run, StoreError};
use crate::sync::context::{Context, WorkError};
use crate::sync::runs::Patience;

/// How often the log says again what is waited for.
const REMINDER: Duration = Duration::from_secs(30);
const USUAL_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(15);
/// How long a second look waits for work that is under way on the same object.
const UNDER_WAY: Duration = Duration::from_secs(10);
const LOOK: Duration = Duration::from_millis(100);

impl Context {
    /// Makes a call that no object is waiting for: trouble is waited out. A missing permission point is not: nobody knows
    /// when somebody will grant it, and what needs it is left out till then.
    pub(super) async fn patiently<T, F>(
        &self,
        run: &Run,
        patience: Patience,
        mut call: impl FnMut() -> F,
    ) -> Result<T, WorkError>
    where
        F: Future<Output = Result<T, WorkError>>,
    {
        let started = Instant::now();
        let mut told: Option<Instant> = None;
        loop {
            let error = match call().await {
                Err(WorkError::Api(error)) if error.class.is_trouble() => error,
                result => return result,
            };
            if matches!(error.class, Class::UnknownMethod | Class::Denied(Denied::PermissionPoint)) {
                return Err(error.into());
            }
            let needs_a_person = matches!(error.class, Class::Credentials | Class::Denied(_));
            if patience == Patience::Limited && (needs_a_person || started.elapsed() > Patience::LIMIT) {
                return Err(error.into());
            }
            if told.is_none_or(|told| told.elapsed() > REMINDER) {
                told = Some(Instant::now());
                warn!(corp = self.name, run = run.id, %error, "a comparison waits for DingTalk");
            }
            let pause = error.retry_after.unwrap_or(USUAL_PAUSE).clamp(USUAL_PAUSE, LONGEST_PAUSE);
            tokio::time::sleep(self.random.jittered(pause)).await;
        }
    }

    /// Waits, for a while, until nobody works on an object any more and no event is waiting for it. What waits in the
    /// background differs until it is read, and is said to.
    pub(super) async fn at_rest(&self, kind: Kind, object_id: &str) -> Result<(), StoreError> {
        let deadline = Instant::now() + UNDER_WAY;
        while self.has_workers.load(Ordering::Relaxed) && Instant::now() < deadline {
            let state = self.store.reader().await?.object_state(&self.corp_id, kind, object_id).await?;
            if !state.is_some_and(|state| state.is_leased || (state.is_busy() && state.lane == Lane::Live)) {
                break;
            }
            tokio::time::sleep(LOOK).await;
        }
        Ok(())
    }
}
