//! The pull of a whole organisation. It only marks where to begin; walks mark the rest, so a kill at any point loses
//! nothing, and events that come meanwhile are answered first.

use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;
use tracing::{info, warn};

use super::context::{Context, WorkError};
use super::hints::ROOT;
use super::runs::{End, Patience};
use crate::dingtalk::Class;
use crate::dingtalk::error::Throttle;
use crate::lane::Lane;
use crate::store::{
    BootstrapState, CATALOGUE, Cause, Conn, Hint, Kind, Operation, Run, RunState, StoreError,
};

/// What has to be read before everybody is visible. People's details come behind it.
const PAGES: [Kind; 4] = [Kind::RoleCatalogue, Kind::Department, Kind::Walk, Kind::RoleMembers];
const LOOK: Duration = Duration::from_millis(100);
const NOTE: Duration = Duration::from_secs(1);
const REPORT: Duration = Duration::from_secs(10);
/// A pull that has not got on for this long waits for something that others need not wait for.
const STUCK: Duration = Duration::from_secs(30);
const USUAL_PAUSE: Duration = Duration::from_secs(2);

impl Context {
    /// Pulls everything: comes back when every page has been stored, or is known not to be had.
    pub(super) async fn bootstrap(&self, run: &Run, patience: Patience) -> Result<End, WorkError> {
        self.let_details_wait(true).await?;
        let result = self.pull(run, patience).await;
        self.let_details_wait(false).await?;
        result
    }

    async fn pull(&self, run: &Run, patience: Patience) -> Result<End, WorkError> {
        let corp = self.store.reader().await?.corp(&self.corp_id).await?;
        if corp.is_none_or(|corp| corp.bootstrap_run != run.id) {
            let hints = self.seeds(run.id, patience).await?;
            info!(corp = self.name, roots = hints.len(), "pulling the whole organisation");
            self.write(Seed { corp_id: self.corp_id.clone(), run_id: run.id, hints, now: self.now() })
                .await?;
            self.wake.notify_one();
        }
        let parked = tokio::select! {
            parked = self.until_worked_off(run, &PAGES, patience) => parked?,
            failed = self.report_progress(run.id) => return Err(failed.into()),
            failed = self.hold_details_back(run.id) => return Err(failed.into()),
        };
        let Some(parked) = parked else {
            return Ok(End {
                state: RunState::Failed,
                error: Some("DingTalk does not answer".to_owned()),
                try_later: true,
            });
        };
        let seen = self.note_progress(run.id).await?;
        if parked == 0 {
            info!(
                corp = self.name,
                employees = seen.people,
                departments = seen.departments,
                "everybody is visible; details follow in the background"
            );
            return Ok(End::of(RunState::Complete, None));
        }
        warn!(corp = self.name, parked, "parts of the organisation cannot be read: some objects are parked");
        Ok(End::of(RunState::Partial, Some(unreadable(parked))))
    }

    /// Lets details be read once every department has shown its members, or when that does not get on: one department
    /// that DingTalk cannot show must not keep everybody's details back. Brings only a failure.
    async fn hold_details_back(&self, run_id: i64) -> StoreError {
        let mut standstill = Standstill::new(Instant::now());
        loop {
            let remains = async {
                let mut reader = self.store.reader().await?;
                reader.run_remains(&self.corp_id, run_id, &[Kind::Department, Kind::Walk]).await
            };
            let is_over = match remains.await {
                Err(error) => return error,
                Ok((waiting, _)) => waiting == 0 || standstill.lasts(waiting, Instant::now()) > STUCK,
            };
            if is_over {
                return match self.let_details_wait(false).await {
                    Ok(()) => std::future::pending().await,
                    Err(error) => error,
                };
            }
            tokio::time::sleep(NOTE).await;
        }
    }

    async fn let_details_wait(&self, wait: bool) -> Result<(), StoreError> {
        self.write(LetDetailsWait { corp_id: self.corp_id.clone(), wait }).await?;
        self.wake.notify_one();
        Ok(())
    }

    /// Notes and reports how far the pull is, until that fails.
    async fn report_progress(&self, run_id: i64) -> StoreError {
        let mut reported = Instant::now();
        loop {
            match self.note_progress(run_id).await {
                Ok(seen) if reported.elapsed() >= REPORT => {
                    reported = Instant::now();
                    info!(
                        corp = self.name,
                        employees = seen.people,
                        departments = seen.departments,
                        waiting = seen.waiting,
                        dingtalk = self.client.health().condition.label(),
                        "pulling"
                    );
                }
                Ok(_) => {}
                Err(error) => return error,
            }
            tokio::time::sleep(NOTE).await;
        }
    }

    async fn note_progress(&self, run_id: i64) -> Result<Seen, StoreError> {
        self.write(Progress { corp_id: self.corp_id.clone(), run_id, now: self.now() }).await
    }

    /// A pull that lacked something is complete once that has been read after all.
    pub(super) async fn complete_late(&self) -> Result<(), StoreError> {
        let corp = self.store.reader().await?.corp(&self.corp_id).await?;
        let is_open = |state| matches!(state, BootstrapState::Failed | BootstrapState::Running);
        let Some(corp) = corp.filter(|corp| is_open(corp.bootstrap)) else { return Ok(()) };
        let (waiting, parked) = {
            let mut reader = self.store.reader().await?;
            reader.run_remains(&self.corp_id, corp.bootstrap_run, &PAGES).await?
        };
        if pull_state(waiting, parked) != corp.bootstrap {
            self.note_progress(corp.bootstrap_run).await?;
        }
        Ok(())
    }

    /// Where the visible part of the organisation begins (`contacts-api.md §3`): not always at the root.
    pub(super) async fn roots(&self) -> Result<(Vec<i64>, Vec<String>), WorkError> {
        match self.client.scopes(Lane::Live).await {
            Ok(scopes) => {
                let scopes = scopes.auth_org_scopes;
                let departments = scopes.authed_dept.unwrap_or_else(|| vec![ROOT]);
                let people = scopes.authed_user.unwrap_or_default();
                if departments.is_empty() && people.is_empty() {
                    warn!(
                        corp = self.name,
                        "the application's contact scope (通讯录授权范围) is empty: nobody is visible to it"
                    );
                }
                Ok((departments, people))
            }
            // The call is metered. Without it what is known to be on top is read, at first the whole organisation, which most
            // applications may see.
            Err(error)
                if matches!(
                    error.class,
                    Class::UnknownMethod | Class::Throttle(Throttle::MonthlyQuota | Throttle::Budget)
                ) =>
            {
                warn!(corp = self.name, %error, "the contact scope cannot be asked for; the last one known is taken");
                let known = self.store.reader().await?.top_department_ids(&self.corp_id).await?;
                Ok((if known.is_empty() { vec![ROOT] } else { known }, Vec::new()))
            }
            Err(error) => Err(error.into()),
        }
    }

    async fn seeds(&self, run_id: i64, patience: Patience) -> Result<Vec<Hint>, WorkError> {
        let started = Instant::now();
        let mut complained = false;
        let (departments, people) = loop {
            match self.roots().await {
                Err(WorkError::Api(error)) => {
                    let needs_a_person = matches!(error.class, Class::Credentials | Class::Denied(_));
                    if patience == Patience::Limited
                        && (needs_a_person || started.elapsed() > Patience::LIMIT)
                    {
                        return Err(error.into());
                    }
                    if !complained {
                        warn!(corp = self.name, %error, "the pull waits for DingTalk");
                        complained = true;
                    }
                    let pause = error.retry_after.unwrap_or(USUAL_PAUSE).min(Duration::from_secs(10));
                    tokio::time::sleep(self.random.jittered(pause.max(LOOK))).await;
                }
                result => break result?,
            }
        };
        let hint = |kind: Kind, id: String, lane: Lane| Hint {
            run_id,
            ..Hint::of(kind, id, lane, Cause::Bootstrap)
        };
        let mut hints = vec![hint(Kind::RoleCatalogue, CATALOGUE.to_owned(), Lane::Background)];
        for dept_id in departments {
            hints.push(hint(Kind::Department, dept_id.to_string(), Lane::Background));
            hints.push(hint(Kind::Walk, dept_id.to_string(), Lane::Background));
        }
        // No page shows them: their own read is what makes them visible.
        hints.extend(people.into_iter().map(|userid| hint(Kind::Employee, userid, Lane::Live)));
        Ok(hints)
    }
}

/// For how long nothing has been done: what waits becomes more and less while departments show their children.
struct Standstill {
    waiting: Option<i64>,
    since: Instant,
}

impl Standstill {
    fn new(now: Instant) -> Self {
        Self { waiting: None, since: now }
    }

    fn lasts(&mut self, waiting: i64, now: Instant) -> Duration {
        if self.waiting.replace(waiting) != Some(waiting) {
            self.since = now;
        }
        now.duration_since(self.since)
    }
}

struct LetDetailsWait {
    corp_id: String,
    wait: bool,
}

impl Operation for LetDetailsWait {
    type Output = ();

    async fn run(&self, conn: &mut Conn) -> Result<(), StoreError> {
        conn.set_details_wait(&self.corp_id, self.wait).await
    }
}

/// Marks where a pull begins.
struct Seed {
    corp_id: String,
    run_id: i64,
    hints: Vec<Hint>,
    now: Timestamp,
}

impl Operation for Seed {
    type Output = ();

    async fn run(&self, conn: &mut Conn) -> Result<(), StoreError> {
        conn.begin_filling().await?;
        conn.begin_bootstrap(&self.corp_id, self.run_id, self.now).await?;
        conn.hint(&self.corp_id, &self.hints, self.now).await
    }
}

/// Looks at how far a pull is, and notes when it is complete.
struct Progress {
    corp_id: String,
    run_id: i64,
    now: Timestamp,
}

struct Seen {
    people: i64,
    departments: i64,
    waiting: i64,
}

fn pull_state(waiting: i64, parked: i64) -> BootstrapState {
    match (waiting, parked) {
        (0, 0) => BootstrapState::Complete,
        (0, _) => BootstrapState::Failed,
        _ => BootstrapState::Running,
    }
}

fn unreadable(parked: i64) -> String {
    format!("{parked} departments or roles cannot be read: DingTalk refuses to show them")
}

impl Operation for Progress {
    type Output = Seen;

    async fn run(&self, conn: &mut Conn) -> Result<Seen, StoreError> {
        let (waiting, parked) = conn.run_remains(&self.corp_id, self.run_id, &PAGES).await?;
        let state = pull_state(waiting, parked);
        let (people, departments) = conn.populations(&self.corp_id).await?;
        conn.note_run_progress(self.run_id, "pages", people, None).await?;
        let known = conn.corp(&self.corp_id).await?.map(|corp| corp.bootstrap);
        if known != Some(state) {
            let error = (state == BootstrapState::Failed).then(|| unreadable(parked));
            conn.set_bootstrap(&self.corp_id, state, error.as_deref(), self.now).await?;
            conn.end_filling().await?;
        }
        Ok(Seen { people, departments, waiting })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pull_that_finds_more_than_it_reads_gets_on_all_the_same() {
        let begun = Instant::now();
        let mut standstill = Standstill::new(begun);
        let mut at = begun;
        // A department has shown its children, all of them are there but one, and that one shows its own.
        for waiting in [6, 40, 41, 7, 80] {
            at += STUCK;
            assert_eq!(standstill.lasts(waiting, at), Duration::ZERO, "{waiting} wait");
        }
        assert_eq!(standstill.lasts(80, at + STUCK), STUCK);
        assert_eq!(standstill.lasts(79, at + STUCK), Duration::ZERO);
    }
}
