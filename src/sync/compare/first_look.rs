//! The first look: everything is read once.

use std::collections::{HashSet, VecDeque};

use futures_util::StreamExt as _;
use jiff::Timestamp;
use tracing::info;

use super::{BATCH, Comparison, TOGETHER};
use crate::dingtalk::error::Denied;
use crate::dingtalk::{ApiError, Class, endpoint};
use crate::lane::Lane;
use crate::store::{Conn, Kind, ListedPerson, Operation, RunPlace, Standing, StoreError};
use crate::sync::context::WorkError;
use crate::sync::convert;
use crate::sync::difference::{Compared, PersonCompared};
use crate::sync::seen::Seen;

impl Comparison<'_> {
    /// Goes down from the visible roots.
    pub(super) async fn tree(&mut self) -> Result<(), WorkError> {
        let context = self.context;
        let (roots, people) = context.patiently(self.run, self.patience, || context.roots()).await?;
        self.notes.scope(&roots, people.len());
        let counted_before = self.people_count().await?;
        for userid in people {
            self.listed.note(&userid);
            self.compare_person(userid).await?;
        }
        let mut queue: VecDeque<i64> = roots.iter().copied().collect();
        while let Some(dept_id) = queue.pop_front() {
            if !self.visited.insert(dept_id) {
                continue;
            }
            self.compare_department(dept_id).await?;
            match self.children(dept_id).await {
                Ok(children) => queue.extend(children),
                // It went away or out of sight meanwhile, which its own comparison has found out.
                Err(WorkError::Api(error)) if matches!(error.class, Class::Gone | Class::Hidden) => continue,
                Err(error) => self.unreadable(&format!("the children of department {dept_id}"), error)?,
            }
            if self.notes.is_refused(endpoint::MEMBERS.path) {
                continue;
            }
            match self.members(dept_id).await {
                Ok(()) => {}
                Err(WorkError::Api(error)) if matches!(error.class, Class::Gone | Class::Hidden) => {}
                Err(error) => self.unreadable(&format!("the members of department {dept_id}"), error)?,
            }
        }
        // A list that is known to be cut off explains why the numbers differ.
        if !self.notes.is_partial() {
            let counted_after = self.people_count().await?;
            self.check_count(&roots, counted_before, counted_after);
        }
        Ok(())
    }

    async fn children(&mut self, dept_id: i64) -> Result<Vec<i64>, WorkError> {
        let context = self.context;
        let children = context
            .patiently(self.run, self.patience, || async {
                Ok(context.client.child_departments(Lane::Background, dept_id).await?)
            })
            .await?;
        Ok(children.into_iter().filter_map(|child| child.dept_id).collect())
    }

    /// Compares the members of a department by its pages.
    async fn members(&mut self, dept_id: i64) -> Result<(), WorkError> {
        let context = self.context;
        let mut unreliable = context.unreliable_columns();
        unreliable.extend(&self.unreliable);
        let mut seen = Seen::default();
        let mut cursor = 0;
        loop {
            let (page, next) = context
                .patiently(self.run, self.patience, || async {
                    Ok(context.client.members(Lane::Background, dept_id, cursor).await?)
                })
                .await?;
            let people: Vec<ListedPerson> = page
                .into_iter()
                .filter_map(|item| convert::listed(dept_id, item))
                .map(|listed| context.store.fitted(listed))
                .collect();
            let mut reader = context.store.reader().await?;
            let differing = reader.differing_listed(&context.corp_id, dept_id, &people, &unreliable).await?;
            drop(reader);
            self.people.extend(differing);
            for person in &people {
                seen.note(&person.userid);
                self.listed.note(&person.userid);
            }
            self.progress("departments and their members", people.len() as i64).await?;
            if let Some(next) = next {
                cursor = next;
                continue;
            }
            if cursor > 0 {
                self.unlisted_members(dept_id, &mut seen).await?;
            }
            return self.doubt_unlisted(dept_id, &seen).await;
        }
    }

    /// A cursor over a live list can skip people, whom only the list without pages shows then.
    async fn unlisted_members(&mut self, dept_id: i64, seen: &mut Seen) -> Result<(), WorkError> {
        let context = self.context;
        let ids = context
            .patiently(self.run, self.patience, || async {
                Ok(context.client.member_ids(Lane::Background, dept_id).await?)
            })
            .await;
        match ids {
            Ok(ids) => {
                self.people.extend(ids.iter().filter(|userid| !seen.has(userid)).cloned());
                ids.iter().for_each(|userid| seen.note(userid));
            }
            Err(WorkError::Api(error)) if error.class == Class::UnknownMethod => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }

    async fn compare_department(&mut self, dept_id: i64) -> Result<(), WorkError> {
        if self.notes.is_refused(endpoint::DEPARTMENT.path) {
            return Ok(());
        }
        let context = self.context;
        match context.patiently(self.run, self.patience, || context.department_difference(dept_id)).await {
            Ok(Compared::Same) => {}
            Ok(Compared::Hidden) => self.note_hidden(Kind::Department, dept_id.to_string()),
            Ok(Compared::Differs(_)) => drop(self.departments.insert(dept_id)),
            Err(error) => self.unreadable(&format!("department {dept_id}"), error)?,
        }
        self.progress("departments and their members", 1).await
    }

    /// Departments that are stored and were not met: gone, moved out of sight, or missed.
    pub(super) async fn unvisited_departments(&mut self) -> Result<(), WorkError> {
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

    pub(super) async fn roles(&mut self) -> Result<(), WorkError> {
        let context = self.context;
        match context.patiently(self.run, self.patience, || context.catalogue_differences()).await {
            Ok(items) => self.catalogue = !items.is_empty(),
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
                    for member in differing {
                        if member.scope.is_some() {
                            self.scopes.insert(role_id);
                        }
                        self.people.insert(member.userid);
                    }
                }
                Err(WorkError::Api(error)) if matches!(error.class, Class::Gone | Class::Hidden) => {}
                Err(
                    error @ WorkError::Api(ApiError {
                        class: Class::UnknownMethod | Class::Denied(Denied::PermissionPoint),
                        ..
                    }),
                ) => return self.unreadable("the members of roles", error),
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
        looked: Result<PersonCompared, WorkError>,
    ) -> Result<(), WorkError> {
        match looked.map(|looked| self.note_person(&userid, looked)) {
            Ok(Compared::Same) => {}
            Ok(Compared::Hidden) => self.note_hidden(Kind::Employee, userid),
            Ok(Compared::Differs(_)) => drop(self.people.insert(userid)),
            Err(error) => self.unreadable("a person", error)?,
        }
        self.progress("people", 1).await
    }

    /// Everybody's own read; for a quick comparison only of those whom no page showed.
    pub(super) async fn stored_people(&mut self) -> Result<(), WorkError> {
        let (context, run, patience) = (self.context, self.run, self.patience);
        if run.quick && self.notes.is_refused(endpoint::MEMBERS.path) {
            return Ok(());
        }
        let mut after = self.go_on().await?;
        let said = self.notes.said();
        loop {
            let ids = {
                let mut reader = context.store.reader().await?;
                reader.employee_ids_after(&context.corp_id, &after, BATCH).await?
            };
            let Some(last) = ids.last() else { return Ok(()) };
            after.clone_from(last);
            let due: Vec<String> = ids
                .into_iter()
                .filter(|userid| !self.people.contains(userid) && (!run.quick || !self.listed.has(userid)))
                .collect();
            let due = if run.quick { self.without_hidden(due).await? } else { due };
            let mut looks = futures_util::stream::iter(due.clone())
                .map(|userid| async move {
                    let looked =
                        context.patiently(run, patience, || context.person_difference(&userid)).await;
                    (userid, looked)
                })
                .buffer_unordered(TOGETHER);
            while let Some((userid, looked)) = looks.next().await {
                self.take_person(userid, looked).await?;
                if self.notes.is_refused(endpoint::PERSON.path) {
                    return Ok(());
                }
            }
            // What could not be read is tried again by whoever goes on.
            if !run.quick && self.notes.said() == said {
                self.keep_place(due, &after).await?;
            }
        }
    }

    /// Takes what an interrupted attempt found among the people, and brings where it ended.
    async fn go_on(&mut self) -> Result<String, WorkError> {
        let (context, run) = (self.context, self.run);
        let places = context.store.reader().await?.run_places(run.id).await?;
        let Some(last) = places.last() else { return Ok(String::new()) };
        let after = last.last_userid.clone();
        info!(corp = context.name, run = run.id, "a run goes on where it was interrupted among the people");
        for RunPlace { differing, hidden, .. } in places {
            self.people.extend(differing);
            hidden.into_iter().for_each(|userid| self.note_hidden(Kind::Employee, userid));
        }
        Ok(after)
    }

    async fn keep_place(&self, batch: Vec<String>, last_userid: &str) -> Result<(), WorkError> {
        let (differing, rest): (Vec<String>, Vec<String>) =
            batch.into_iter().partition(|userid| self.people.contains(userid));
        let mut hidden = rest;
        hidden.retain(|userid| self.hidden.contains(&(Kind::Employee, userid.clone())));
        let place = RunPlace { last_userid: last_userid.to_owned(), differing, hidden };
        self.context.write(KeepPlace { run_id: self.run.id, place, now: self.context.now() }).await?;
        Ok(())
    }

    /// Who was out of sight and is on no page still is: after a smaller scope that is nearly everybody.
    async fn without_hidden(&mut self, userids: Vec<String>) -> Result<Vec<String>, WorkError> {
        let standings = {
            let mut reader = self.context.store.reader().await?;
            reader.standings(&self.context.corp_id, Kind::Employee, &userids).await?
        };
        let hidden: HashSet<String> = standings
            .into_iter()
            .filter(|(_, standing, _)| *standing == Standing::Hidden)
            .map(|(userid, ..)| userid)
            .collect();
        let seen = userids.into_iter().filter(|userid| !hidden.contains(userid)).collect();
        hidden.into_iter().for_each(|userid| self.note_hidden(Kind::Employee, userid));
        Ok(seen)
    }
}

struct KeepPlace {
    run_id: i64,
    place: RunPlace,
    now: Timestamp,
}

impl Operation for KeepPlace {
    type Output = ();

    async fn run(&self, conn: &mut Conn) -> Result<(), StoreError> {
        conn.keep_run_place(self.run_id, &self.place, self.now).await
    }
}
