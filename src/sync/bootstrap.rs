//! The pull of a whole organisation. It only marks where to begin; walks mark the rest, so a kill at any point loses
//! nothing, and events that come meanwhile are answered first.

use std::sync::atomic::Ordering;
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;
use tracing::{info, warn};

use super::context::{Context, WorkError};
use super::convert::SHANGHAI;
use super::hints::ROOT;
use crate::dingtalk::Class;
use crate::lane::Lane;
use crate::store::{BootstrapState, CATALOGUE, Cause, Conn, Hint, Kind, Operation, Run, StoreError};

/// What has to be read before everybody is visible. People's details come behind it.
const PAGES: [Kind; 4] = [Kind::RoleCatalogue, Kind::Department, Kind::Walk, Kind::RoleMembers];
const LOOK: Duration = Duration::from_millis(100);
const NOTE: Duration = Duration::from_secs(1);
const REPORT: Duration = Duration::from_secs(10);
const USUAL_PAUSE: Duration = Duration::from_secs(2);

impl Context {
    /// Pulls everything: comes back when every page has been stored.
    pub(super) async fn bootstrap(&self, run: &Run) -> Result<(), WorkError> {
        self.pulling.store(true, Ordering::Relaxed);
        let result = self.pull(run).await;
        self.pulling.store(false, Ordering::Relaxed);
        self.wake.notify_one();
        result
    }

    async fn pull(&self, run: &Run) -> Result<(), WorkError> {
        let corp = self.store.reader().await?.corp(&self.corp_id).await?;
        if corp.is_none_or(|corp| corp.bootstrap_run != run.id) {
            let hints = self.seeds(run.id).await?;
            info!(corp = self.name, roots = hints.len(), "pulling the whole organisation");
            self.write(Seed { corp_id: self.corp_id.clone(), run_id: run.id, hints, now: self.now() })
                .await?;
            self.wake.notify_one();
        }
        let mut reported = Instant::now();
        let mut noted: Option<Instant> = None;
        loop {
            tokio::time::sleep(LOOK).await;
            let (waiting, _) = {
                let mut reader = self.store.reader().await?;
                reader.run_remains(&self.corp_id, run.id, &PAGES).await?
            };
            if waiting > 0 && noted.is_some_and(|noted| noted.elapsed() < NOTE) {
                continue;
            }
            noted = Some(Instant::now());
            let progress = Progress { corp_id: self.corp_id.clone(), run_id: run.id, now: self.now() };
            let seen = self.write(progress).await?;
            if seen.state == BootstrapState::Complete {
                info!(
                    corp = self.name,
                    employees = seen.people,
                    departments = seen.departments,
                    "everybody is visible; details follow in the background"
                );
                return Ok(());
            }
            if reported.elapsed() >= REPORT {
                reported = Instant::now();
                info!(
                    corp = self.name,
                    employees = seen.people,
                    departments = seen.departments,
                    waiting = seen.waiting,
                    dingtalk = self.client.health().condition.label(),
                    "pulling"
                );
                if seen.state == BootstrapState::Failed {
                    warn!(
                        corp = self.name,
                        parked = seen.parked,
                        "parts of the organisation cannot be read: some objects are parked"
                    );
                }
            }
        }
    }

    /// Where the visible part of the organisation begins (`contacts-api.md §3`): not always at the root.
    pub(super) async fn roots(&self) -> Result<(Vec<i64>, Vec<String>), WorkError> {
        self.note_metered_call().await?;
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
            Err(error) if error.class == Class::UnknownMethod => Ok((vec![ROOT], Vec::new())),
            Err(error) => Err(error.into()),
        }
    }

    async fn seeds(&self, run_id: i64) -> Result<Vec<Hint>, WorkError> {
        let mut complained = false;
        let (departments, people) = loop {
            match self.roots().await {
                Err(WorkError::Api(error)) => {
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

    async fn note_metered_call(&self) -> Result<(), StoreError> {
        self.write(NoteMeteredCall { corp_id: self.corp_id.clone(), now: self.now() }).await
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
    state: BootstrapState,
    people: i64,
    departments: i64,
    waiting: i64,
    parked: i64,
}

impl Operation for Progress {
    type Output = Seen;

    async fn run(&self, conn: &mut Conn) -> Result<Seen, StoreError> {
        let (waiting, parked) = conn.run_remains(&self.corp_id, self.run_id, &PAGES).await?;
        let state = match (waiting, parked) {
            (0, 0) => BootstrapState::Complete,
            (0, _) => BootstrapState::Failed,
            _ => BootstrapState::Running,
        };
        let (people, departments) = conn.populations(&self.corp_id).await?;
        conn.note_run_progress(self.run_id, "pages", people, None).await?;
        let known = conn.corp(&self.corp_id).await?.map(|corp| corp.bootstrap);
        if known != Some(state) {
            let error = (state == BootstrapState::Failed).then(|| {
                format!("{parked} departments or roles cannot be read: DingTalk refuses to show them")
            });
            conn.set_bootstrap(&self.corp_id, state, error.as_deref(), self.now).await?;
            conn.end_filling().await?;
        }
        Ok(Seen { state, people, departments, waiting, parked })
    }
}

struct NoteMeteredCall {
    corp_id: String,
    now: Timestamp,
}

impl Operation for NoteMeteredCall {
    type Output = ();

    async fn run(&self, conn: &mut Conn) -> Result<(), StoreError> {
        conn.note_metered_call(&self.corp_id, &metering_month(self.now)).await
    }
}

/// The month, in Shanghai, against whose quota a call counts: `2026-11`.
pub fn metering_month(now: Timestamp) -> String {
    now.to_zoned(SHANGHAI.clone()).strftime("%Y-%m").to_string()
}
