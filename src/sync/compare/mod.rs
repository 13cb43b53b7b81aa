//! Compares the whole mirror with DingTalk, without a lease and without writing a row: what differs is looked at once
//! more, then reported, and for a reconcile marked, so that workers repair it like any event.
//!
//! Nothing is concluded from absence alone: whatever a list does not show is asked for by itself, and only DingTalk's own
//! "not found" says that it is gone. What could not be read makes the run partial.

mod first_look;
mod notes;
mod patience;
mod repair;
mod second_look;
mod trust;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::time::Duration;

use tokio::time::Instant;

use self::notes::Notes;
use super::context::{Context, WorkError};
use super::difference::{Compared, PersonCompared};
use super::guard::{self, Gone, Verdict};
use super::runs::{End, Patience};
use super::seen::Seen;
use crate::dingtalk::Class;
use crate::dingtalk::error::Denied;
use crate::store::{
    Conn, Disagreement, Entity, Kind, Operation, Run, RunItem, RunNote, RunState, StoreError,
};

/// Objects looked at together.
const TOGETHER: usize = 8;
const BATCH: usize = 200;
const REPORT: Duration = Duration::from_millis(500);

/// What a comparison found.
struct Findings {
    items: Vec<RunItem>,
    /// Roles whose managed departments differ.
    scopes: BTreeSet<i64>,
    /// What is out of sight.
    hidden: HashSet<(Kind, String)>,
    /// What is gone, as far as the guard has to do with it.
    gone: Gone,
    notes: Notes,
}

impl Findings {
    fn end(&self) -> End {
        match self.notes.sentence() {
            None => End::of(RunState::Complete, None),
            Some(sentence) => End::of(RunState::Partial, Some(sentence)),
        }
    }

    /// What the guard holds is not simply gone.
    fn mark_held(&mut self, verdict: &Verdict) {
        for item in &mut self.items {
            if verdict.holds(item.entity, &item.entity_id) {
                item.disagreement = Disagreement::Held;
            }
        }
    }
}

impl Context {
    /// Compares and reports.
    pub(super) async fn verify(&self, run: &Run, patience: Patience) -> Result<End, WorkError> {
        let mut findings = Comparison::new(self, run, patience).go().await?;
        let end = findings.end();
        let verdict = {
            let mut reader = self.store.reader().await?;
            guard::judge(&mut reader, self.guard, &self.corp_id, &findings.gone, self.now()).await?
        };
        findings.mark_held(&verdict);
        self.record(run, findings, Vec::new()).await?;
        Ok(end)
    }

    /// Stores what a run has found and has to say.
    async fn record(&self, run: &Run, findings: Findings, more: Vec<RunNote>) -> Result<(), StoreError> {
        let Findings { mut items, hidden, notes, .. } = findings;
        let mut out_of_sight: Vec<&(Kind, String)> = hidden.iter().collect();
        out_of_sight.sort();
        items.extend(out_of_sight.into_iter().filter_map(|(kind, id)| {
            let entity = match kind {
                Kind::Department => Entity::Department,
                Kind::Employee => Entity::Employee,
                Kind::RoleCatalogue | Kind::Walk | Kind::RoleMembers => return None,
            };
            Some(RunItem::new(entity, id.clone(), Disagreement::Hidden, &[]))
        }));
        for batch in items.chunks(BATCH) {
            self.write(AddItems { run_id: run.id, items: batch.to_vec() }).await?;
        }
        let mut notes = notes.into_notes(&items, &hidden);
        notes.extend(more);
        self.write(AddNotes { run_id: run.id, notes }).await
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
    /// Userids that another person has now: whoever had one before is gone.
    others: HashSet<String>,
    /// Columns whose absence means nothing, because their field permission is gone.
    unreliable: Vec<&'static str>,
    /// People who are stored in departments whose lists do not show them, or that DingTalk says are gone.
    doubted: HashMap<String, Vec<i64>>,
    /// Those departments that the people's own answers name all the same.
    named: BTreeMap<i64, Vec<String>>,
    notes: Notes,
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
            others: HashSet::new(),
            unreliable: Vec::new(),
            doubted: HashMap::new(),
            named: BTreeMap::new(),
            notes: Notes::default(),
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
        self.probe_permissions().await?;
        self.tree().await?;
        self.unvisited_departments().await?;
        self.roles().await?;
        self.stored_people().await?;
        let items = self.second_look().await?;
        let gone = self.gone(&items).await?;
        self.report("done").await?;
        Ok(Findings { items, scopes: self.scopes, hidden: self.hidden, gone, notes: self.notes })
    }

    fn note_hidden(&mut self, kind: Kind, object_id: String) {
        self.hidden.insert((kind, object_id));
    }

    /// Takes what a person's own answer says beside his row.
    fn note_person(&mut self, userid: &str, looked: PersonCompared) -> Compared {
        if looked.is_another {
            self.others.insert(userid.to_owned());
        } else {
            self.others.remove(userid);
        }
        for permission in looked.lost {
            self.notes.lost(permission);
        }
        for dept_id in self.doubted.get(userid).into_iter().flatten() {
            if looked.departments.contains(dept_id) {
                self.named.entry(*dept_id).or_default().push(userid.to_owned());
            }
        }
        looked.compared
    }

    /// Notes that an object could not be read because of itself, or for want of a permission; whatever else is wrong ends
    /// the comparison.
    fn unreadable(&mut self, what: &str, error: WorkError) -> Result<(), WorkError> {
        match error {
            WorkError::Api(error) if error.class == Class::Denied(Denied::PermissionPoint) => {
                self.notes.refused(&error);
                Ok(())
            }
            WorkError::Api(error) if !error.class.is_trouble() || error.class == Class::UnknownMethod => {
                self.notes.unread(format!("{what}: {error}"));
                Ok(())
            }
            error => Err(error),
        }
    }

    /// What was found gone, by kind. Losing a department with nobody in it or below would harm nobody.
    async fn gone(&self, items: &[RunItem]) -> Result<Gone, WorkError> {
        let mut gone = Gone::new();
        let mut reader = self.context.store.reader().await?;
        let is_gone = |item: &&RunItem| {
            item.disagreement == Disagreement::Gone
                || (item.entity == Entity::Employee && self.others.contains(&item.entity_id))
        };
        for item in items.iter().filter(is_gone) {
            if item.entity == Entity::Department {
                let dept_id = item.entity_id.parse().unwrap_or_default();
                if guard::are_empty(&mut reader, &self.context.corp_id, vec![dept_id]).await? {
                    continue;
                }
            }
            gone.entry(item.entity).or_default().push(item.entity_id.clone());
        }
        Ok(gone)
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

struct AddNotes {
    run_id: i64,
    notes: Vec<RunNote>,
}

impl Operation for AddNotes {
    type Output = ();

    async fn run(&self, conn: &mut Conn) -> Result<(), StoreError> {
        conn.add_run_notes(self.run_id, &self.notes).await
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
