//! Compares the whole mirror with DingTalk, without a lease and without writing a row: what differs is looked at once
//! more, then reported, and for a reconcile marked, so that workers repair it like any event.

use std::collections::{BTreeMap, BTreeSet, HashSet, VecDeque};
use std::time::Duration;

use futures_util::StreamExt as _;
use tokio::time::Instant;
use tracing::warn;

use super::context::{Context, WorkError};
use super::convert;
use super::runs::{End, Patience};
use crate::dingtalk::Class;
use crate::lane::Lane;
use crate::store::{
    CATALOGUE, Cause, Conn, Difference, Disagreement, Entity, Hint, Kind, ListedPerson, Operation, Run,
    RunItem, RunState, StoreError,
};

/// Objects looked at together.
const TOGETHER: usize = 8;
const BATCH: usize = 200;
const USUAL_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(15);
/// How long a second look waits for work that is under way on the same object.
const UNDER_WAY: Duration = Duration::from_secs(10);
const LOOK: Duration = Duration::from_millis(100);
const REPORT: Duration = Duration::from_millis(500);

/// What a comparison found.
struct Findings {
    items: Vec<RunItem>,
    /// Roles whose managed departments differ.
    scopes: BTreeSet<i64>,
    /// What could not be read, in the operator's words.
    unreadable: Vec<String>,
}

impl Findings {
    fn end(&self) -> End {
        match self.unreadable.as_slice() {
            [] => End::of(RunState::Complete, None),
            parts => End::of(RunState::Partial, Some(format!("could not be read: {}", parts.join("; ")))),
        }
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
            self.metrics.unannounced(&self.name, item.entity.label());
            hints.push(match item.entity {
                Entity::Department => hint(Kind::Department, item.entity_id.clone()),
                Entity::Employee => hint(Kind::Employee, item.entity_id.clone()),
                Entity::RoleGroup | Entity::Role => hint(Kind::RoleCatalogue, CATALOGUE.to_owned()),
            });
        }
        hints.extend(findings.scopes.iter().map(|role_id| hint(Kind::RoleMembers, role_id.to_string())));
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
            warn!(corp = self.name, run = run.id, %error, "a comparison waits for DingTalk");
            let pause = error.retry_after.unwrap_or(USUAL_PAUSE).clamp(USUAL_PAUSE, LONGEST_PAUSE);
            tokio::time::sleep(self.random.jittered(pause)).await;
        }
    }

    /// Waits, for a while, until nobody works on an object any more and nothing is pending for it.
    async fn at_rest(&self, kind: Kind, object_id: &str) -> Result<(), StoreError> {
        let deadline = Instant::now() + UNDER_WAY;
        while Instant::now() < deadline {
            let state = self.store.reader().await?.object_state(&self.corp_id, kind, object_id).await?;
            if !state.is_some_and(|state| state.is_busy()) {
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
    listed: HashSet<String>,
    departments: BTreeSet<i64>,
    people: BTreeSet<String>,
    catalogue: bool,
    scopes: BTreeSet<i64>,
    unreadable: Vec<String>,
    compared: i64,
    reported: Instant,
}

impl<'run> Comparison<'run> {
    fn new(context: &'run Context, run: &'run Run, patience: Patience) -> Self {
        Self {
            context,
            run,
            patience,
            visited: HashSet::new(),
            listed: HashSet::new(),
            departments: BTreeSet::new(),
            people: BTreeSet::new(),
            catalogue: false,
            scopes: BTreeSet::new(),
            unreadable: Vec::new(),
            compared: 0,
            reported: Instant::now(),
        }
    }

    async fn go(mut self) -> Result<Findings, WorkError> {
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
        Ok(Findings { items, scopes: self.scopes, unreadable: self.unreadable })
    }

    /// Notes that an object could not be read because of itself; whatever else is wrong ends the comparison.
    fn unreadable(&mut self, what: &str, error: WorkError) -> Result<(), WorkError> {
        match error {
            WorkError::Api(error) if !error.class.is_trouble() => {
                self.unreadable.push(format!("{what}: {error}"));
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
        let (run_id, phase, compared) = (self.run.id, phase.to_owned(), self.compared);
        self.context.write(NoteProgress { run_id, phase, compared }).await?;
        Ok(())
    }

    /// Goes down from the visible roots.
    async fn tree(&mut self) -> Result<(), WorkError> {
        let context = self.context;
        let (roots, people) = context.patiently(self.run, self.patience, || context.roots()).await?;
        for userid in people {
            self.listed.insert(userid.clone());
            self.compare_person(userid).await?;
        }
        let mut queue: VecDeque<i64> = roots.into();
        while let Some(dept_id) = queue.pop_front() {
            if !self.visited.insert(dept_id) {
                continue;
            }
            self.compare_department(dept_id).await?;
            match self.members(dept_id).await {
                Ok(children) => queue.extend(children),
                // It went away or out of sight meanwhile, which its own comparison has found out.
                Err(WorkError::Api(error)) if matches!(error.class, Class::Gone | Class::Hidden) => {}
                Err(error) => self.unreadable(&format!("the members of department {dept_id}"), error)?,
            }
        }
        Ok(())
    }

    /// Compares the members of a department by its pages; brings its children.
    async fn members(&mut self, dept_id: i64) -> Result<Vec<i64>, WorkError> {
        let context = self.context;
        let children = context
            .patiently(self.run, self.patience, || async {
                Ok(context.client.child_departments(Lane::Background, dept_id).await?)
            })
            .await?;
        let unreliable = context.permissions.unreliable_columns();
        let mut cursor = 0;
        loop {
            let (page, next) = context
                .patiently(self.run, self.patience, || async {
                    Ok(context.client.members(Lane::Background, dept_id, cursor).await?)
                })
                .await?;
            let people: Vec<ListedPerson> =
                page.into_iter().filter_map(|item| convert::listed(dept_id, item)).collect();
            let mut reader = context.store.reader().await?;
            let differing = reader.differing_listed(&context.corp_id, dept_id, &people, &unreliable).await?;
            drop(reader);
            self.people.extend(differing);
            self.progress("departments and their members", people.len() as i64).await?;
            self.listed.extend(people.into_iter().map(|person| person.userid));
            match next {
                Some(next) => cursor = next,
                None => return Ok(children.into_iter().filter_map(|child| child.dept_id).collect()),
            }
        }
    }

    async fn compare_department(&mut self, dept_id: i64) -> Result<(), WorkError> {
        let context = self.context;
        match context.patiently(self.run, self.patience, || context.department_difference(dept_id)).await {
            Ok(None) => {}
            Ok(Some(_)) => drop(self.departments.insert(dept_id)),
            Err(error) => self.unreadable(&format!("department {dept_id}"), error)?,
        }
        self.progress("departments and their members", 1).await
    }

    /// Departments that are stored and were not met: gone, moved out of sight, or missed.
    async fn unvisited_departments(&mut self) -> Result<(), WorkError> {
        let mut after = i64::MIN;
        loop {
            let ids = {
                let mut reader = self.context.store.reader().await?;
                reader.department_ids_after(&self.context.corp_id, after, BATCH).await?
            };
            let Some(&last) = ids.last() else { return Ok(()) };
            after = last;
            for dept_id in ids {
                if !self.visited.contains(&dept_id) {
                    self.compare_department(dept_id).await?;
                }
            }
        }
    }

    async fn roles(&mut self) -> Result<(), WorkError> {
        let context = self.context;
        match context.patiently(self.run, self.patience, || context.catalogue_differences()).await {
            Ok(items) => self.catalogue = !items.is_empty(),
            Err(WorkError::Api(error)) if error.class == Class::UnknownMethod => return Ok(()),
            Err(error) => self.unreadable("the list of roles", error)?,
        }
        let roles = context.store.reader().await?.roles(&context.corp_id).await?;
        for (role_id, _) in roles.into_iter().filter(|(_, stored)| stored.deleted_at.is_none()) {
            match context
                .patiently(self.run, self.patience, || context.role_member_differences(role_id))
                .await
            {
                Ok(differing) => {
                    self.progress("roles", 1).await?;
                    for (userid, difference) in differing {
                        if difference.is_some() {
                            self.scopes.insert(role_id);
                        }
                        self.people.insert(userid);
                    }
                }
                Err(WorkError::Api(error)) if error.class == Class::UnknownMethod => return Ok(()),
                Err(WorkError::Api(error)) if matches!(error.class, Class::Gone | Class::Hidden) => {}
                Err(error) => self.unreadable(&format!("the members of role {role_id}"), error)?,
            }
        }
        Ok(())
    }

    async fn compare_person(&mut self, userid: String) -> Result<(), WorkError> {
        let context = self.context;
        let looked = context.patiently(self.run, self.patience, || context.person_difference(&userid)).await;
        self.take_person(userid, looked).await
    }

    async fn take_person(
        &mut self,
        userid: String,
        looked: Result<Option<RunItem>, WorkError>,
    ) -> Result<(), WorkError> {
        match looked {
            Ok(None) => {}
            Ok(Some(_)) => drop(self.people.insert(userid)),
            Err(error) => self.unreadable("a person", error)?,
        }
        self.progress("people", 1).await
    }

    /// Everybody's own read; for a quick comparison only of those whom no page showed.
    async fn stored_people(&mut self) -> Result<(), WorkError> {
        let (context, run, patience) = (self.context, self.run, self.patience);
        let mut after = String::new();
        loop {
            let ids = {
                let mut reader = context.store.reader().await?;
                reader.employee_ids_after(&context.corp_id, &after, BATCH).await?
            };
            let Some(last) = ids.last() else { return Ok(()) };
            after.clone_from(last);
            let due = ids.into_iter().filter(|userid| {
                !self.people.contains(userid) && (!run.quick || !self.listed.contains(userid))
            });
            let due: Vec<String> = due.collect();
            let mut looks = futures_util::stream::iter(due)
                .map(|userid| async move {
                    let looked =
                        context.patiently(run, patience, || context.person_difference(&userid)).await;
                    (userid, looked)
                })
                .buffer_unordered(TOGETHER);
            while let Some((userid, looked)) = looks.next().await {
                self.take_person(userid, looked).await?;
            }
        }
    }

    /// What seems to differ is looked at again, once nobody works on it: the organisation lives on meanwhile.
    async fn second_look(&mut self) -> Result<Vec<RunItem>, WorkError> {
        let context = self.context;
        let mut items = Vec::new();
        for dept_id in std::mem::take(&mut self.departments) {
            context.at_rest(Kind::Department, &dept_id.to_string()).await?;
            match context.patiently(self.run, self.patience, || context.department_difference(dept_id)).await
            {
                Ok(item) => items.extend(item),
                Err(error) => self.unreadable(&format!("department {dept_id}"), error)?,
            }
            self.progress("a second look", 1).await?;
        }
        if self.catalogue {
            context.at_rest(Kind::RoleCatalogue, CATALOGUE).await?;
            items.extend(
                context.patiently(self.run, self.patience, || context.catalogue_differences()).await?,
            );
        }
        let mut people = BTreeMap::new();
        let (run, patience) = (self.run, self.patience);
        let mut looks = futures_util::stream::iter(std::mem::take(&mut self.people))
            .map(|userid| async move {
                context.at_rest(Kind::Employee, &userid).await?;
                let item = context.patiently(run, patience, || context.person_difference(&userid)).await;
                Ok::<_, WorkError>((userid, item))
            })
            .buffer_unordered(TOGETHER);
        while let Some(looked) = looks.next().await {
            let (userid, item) = looked?;
            match item {
                Ok(Some(item)) => drop(people.insert(userid, item)),
                Ok(None) => {}
                Err(error) => self.unreadable("a person", error)?,
            }
            self.progress("a second look", 1).await?;
        }
        self.second_look_at_scopes(&mut people).await?;
        items.extend(people.into_values());
        Ok(items)
    }

    async fn second_look_at_scopes(
        &mut self,
        people: &mut BTreeMap<String, RunItem>,
    ) -> Result<(), WorkError> {
        let context = self.context;
        for role_id in std::mem::take(&mut self.scopes) {
            context.at_rest(Kind::RoleMembers, &role_id.to_string()).await?;
            let differing = context
                .patiently(self.run, self.patience, || context.role_member_differences(role_id))
                .await?;
            for (userid, difference) in differing {
                let Some(difference) = difference else { continue };
                self.scopes.insert(role_id);
                people.entry(userid).or_insert_with_key(|userid| changed(userid, difference));
            }
        }
        Ok(())
    }
}

fn changed(userid: &str, difference: Difference) -> RunItem {
    RunItem::new(Entity::Employee, userid, Disagreement::Changed, &[difference])
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
}

impl Operation for NoteProgress {
    type Output = ();

    async fn run(&self, conn: &mut Conn) -> Result<(), StoreError> {
        conn.note_run_progress(self.run_id, &self.phase, self.compared, None).await
    }
}
