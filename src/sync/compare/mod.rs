//! Compares the whole mirror with DingTalk, without a lease and without writing a row: what differs is looked at once
//! more, then reported, and for a reconcile marked, so that workers repair it like any event.

mod first_look;
mod second_look;

use std::collections::{BTreeSet, HashSet};
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::Instant;
use tracing::warn;

use super::context::{Context, WorkError};
use super::runs::{End, Patience};
use super::seen::Seen;
use crate::dingtalk::Class;
use crate::lane::Lane;
use crate::store::{
    CATALOGUE, Cause, Conn, Entity, Hint, Kind, Operation, Run, RunItem, RunState, StoreError,
};

/// Objects looked at together.
/// How often the log says again what is waited for.
const REMINDER: Duration = Duration::from_secs(30);
const TOGETHER: usize = 8;
const BATCH: usize = 200;
const USUAL_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(15);
/// How long a second look waits for work that is under way on the same object.
const UNDER_WAY: Duration = Duration::from_secs(10);
const LOOK: Duration = Duration::from_millis(100);
const REPORT: Duration = Duration::from_millis(500);
/// What could not be read is named so often, then counted.
const NAMED: usize = 20;

/// What a comparison found.
struct Findings {
    items: Vec<RunItem>,
    /// Roles whose managed departments differ.
    scopes: BTreeSet<i64>,
    /// What is out of sight.
    hidden: HashSet<(Kind, String)>,
    unreadable: Unreadable,
}

impl Findings {
    fn end(&self) -> End {
        match self.unreadable.sentence() {
            None => End::of(RunState::Complete, None),
            Some(sentence) => End::of(RunState::Partial, Some(sentence)),
        }
    }
}

/// What could not be read because of itself.
#[derive(Debug, Default)]
struct Unreadable {
    named: Vec<String>,
    more: usize,
}

impl Unreadable {
    fn note(&mut self, part: String) {
        if self.named.len() < NAMED {
            self.named.push(part);
        } else {
            self.more += 1;
        }
    }

    /// In the operator's words; `None` if everything could be read.
    fn sentence(&self) -> Option<String> {
        let more = match self.more {
            0 => String::new(),
            more => format!("; and {more} more"),
        };
        (!self.named.is_empty()).then(|| format!("could not be read: {}{more}", self.named.join("; ")))
    }
}

impl Context {
    /// Compares and reports.
    pub(super) async fn verify(&self, run: &Run, patience: Patience) -> Result<End, WorkError> {
        Ok(Comparison::new(self, run, patience).go().await?.end())
    }

    /// Compares, marks what differs, and waits until it is repaired.
    pub(super) async fn reconcile(&self, run: &Run, patience: Patience) -> Result<End, WorkError> {
        let findings = Comparison::new(self, run, patience).go().await?;
        let hint = |kind, id: String| Hint {
            run_id: run.id,
            ..Hint::of(kind, id, Lane::Background, Cause::Reconcile)
        };
        let mut hints = Vec::new();
        for item in &findings.items {
            hints.push(match item.entity {
                Entity::Department => hint(Kind::Department, item.entity_id.clone()),
                Entity::Employee => hint(Kind::Employee, item.entity_id.clone()),
                Entity::RoleGroup | Entity::Role => hint(Kind::RoleCatalogue, CATALOGUE.to_owned()),
            });
        }
        hints.extend(findings.scopes.iter().map(|role_id| hint(Kind::RoleMembers, role_id.to_string())));
        // No row tells that something went out of sight or came back, or that what is held is admitted now.
        let apart: HashSet<(Kind, String)> =
            self.store.reader().await?.apart(&self.corp_id).await?.into_iter().collect();
        let moved = findings.hidden.symmetric_difference(&apart);
        hints.extend(moved.map(|(kind, id)| hint(*kind, id.clone())));
        self.mark(hints).await?;
        let parked = self.until_worked_off(run, &Kind::ALL, patience).await?;
        Ok(match parked {
            Some(0) => findings.end(),
            Some(parked) => {
                let error = format!("{parked} objects are parked: DingTalk refuses to show them");
                End::of(RunState::Partial, Some(error))
            }
            None => End {
                state: RunState::Partial,
                error: Some("what differs is marked, but DingTalk does not answer".to_owned()),
                try_later: true,
            },
        })
    }

    /// Makes a call that no object is waiting for: trouble is waited out.
    async fn patiently<T, F>(
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
            let needs_a_person = matches!(error.class, Class::Credentials | Class::Denied(_));
            let enough =
                patience == Patience::Limited && (needs_a_person || started.elapsed() > Patience::LIMIT);
            if enough || error.class == Class::UnknownMethod {
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
    async fn at_rest(&self, kind: Kind, object_id: &str) -> Result<(), StoreError> {
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

/// A comparison under way: first everything is looked at once, then what seems to differ once more.
struct Comparison<'run> {
    context: &'run Context,
    run: &'run Run,
    patience: Patience,
    visited: HashSet<i64>,
    listed: Seen,
    departments: BTreeSet<i64>,
    people: BTreeSet<String>,
    catalogue: bool,
    scopes: BTreeSet<i64>,
    hidden: HashSet<(Kind, String)>,
    unreadable: Unreadable,
    compared: i64,
    /// What there is to compare, as far as the mirror knows.
    total: i64,
    reported: Instant,
}

impl<'run> Comparison<'run> {
    fn new(context: &'run Context, run: &'run Run, patience: Patience) -> Self {
        Self {
            context,
            run,
            patience,
            visited: HashSet::new(),
            listed: Seen::default(),
            departments: BTreeSet::new(),
            people: BTreeSet::new(),
            catalogue: false,
            scopes: BTreeSet::new(),
            hidden: HashSet::new(),
            unreadable: Unreadable::default(),
            compared: 0,
            total: 0,
            reported: Instant::now(),
        }
    }

    async fn go(mut self) -> Result<Findings, WorkError> {
        let (people, departments) = {
            let mut reader = self.context.store.reader().await?;
            reader.populations(&self.context.corp_id).await?
        };
        // Everybody is met on a page, and unless in a hurry read himself.
        self.total = departments + if self.run.quick { people } else { 2 * people };
        self.tree().await?;
        self.unvisited_departments().await?;
        self.roles().await?;
        self.stored_people().await?;
        let items = self.second_look().await?;
        self.report("done").await?;
        let context = self.context;
        for batch in items.chunks(BATCH) {
            context.write(AddItems { run_id: self.run.id, items: batch.to_vec() }).await?;
        }
        Ok(Findings { items, scopes: self.scopes, hidden: self.hidden, unreadable: self.unreadable })
    }

    fn note_hidden(&mut self, kind: Kind, object_id: String) {
        self.hidden.insert((kind, object_id));
    }

    /// Notes that an object could not be read because of itself; whatever else is wrong ends the comparison.
    fn unreadable(&mut self, what: &str, error: WorkError) -> Result<(), WorkError> {
        match error {
            WorkError::Api(error) if !error.class.is_trouble() || error.class == Class::UnknownMethod => {
                self.unreadable.note(format!("{what}: {error}"));
                Ok(())
            }
            error => Err(error),
        }
    }

    async fn progress(&mut self, phase: &str, compared: i64) -> Result<(), WorkError> {
        self.compared += compared;
        if self.reported.elapsed() < REPORT {
            return Ok(());
        }
        self.report(phase).await
    }

    async fn report(&mut self, phase: &str) -> Result<(), WorkError> {
        self.reported = Instant::now();
        let (compared, total) = (self.compared, self.total.max(self.compared));
        self.context
            .write(NoteProgress { run_id: self.run.id, phase: phase.to_owned(), compared, total })
            .await?;
        Ok(())
    }
}

struct AddItems {
    run_id: i64,
    items: Vec<RunItem>,
}

impl Operation for AddItems {
    type Output = ();

    async fn run(&self, conn: &mut Conn) -> Result<(), StoreError> {
        conn.add_run_items(self.run_id, &self.items).await
    }
}

struct NoteProgress {
    run_id: i64,
    phase: String,
    compared: i64,
    total: i64,
}

impl Operation for NoteProgress {
    type Output = ();

    async fn run(&self, conn: &mut Conn) -> Result<(), StoreError> {
        conn.note_run_progress(self.run_id, &self.phase, self.compared, Some(self.total)).await
    }
}
