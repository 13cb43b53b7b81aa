//! The first look: everything is read once.

use std::collections::VecDeque;

use futures_util::StreamExt as _;

use super::{BATCH, Comparison, TOGETHER};
use crate::dingtalk::{ApiError, Class};
use crate::lane::Lane;
use crate::store::{Kind, ListedPerson};
use crate::sync::context::WorkError;
use crate::sync::convert;
use crate::sync::difference::Compared;
use crate::sync::seen::Seen;

impl Comparison<'_> {
    /// Goes down from the visible roots.
    pub(super) async fn tree(&mut self) -> Result<(), WorkError> {
        let context = self.context;
        let (roots, people) = context.patiently(self.run, self.patience, || context.roots()).await?;
        for userid in people {
            self.listed.note(&userid);
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
        let unreliable = context.unreliable_columns();
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
                self.unlisted_members(dept_id, &seen).await?;
            }
            return Ok(children.into_iter().filter_map(|child| child.dept_id).collect());
        }
    }

    /// A cursor over a live list can skip people, whom only the list without pages shows then.
    async fn unlisted_members(&mut self, dept_id: i64, seen: &Seen) -> Result<(), WorkError> {
        let context = self.context;
        let ids = context
            .patiently(self.run, self.patience, || async {
                Ok(context.client.member_ids(Lane::Background, dept_id).await?)
            })
            .await;
        match ids {
            Ok(ids) => self.people.extend(ids.into_iter().filter(|userid| !seen.has(userid))),
            Err(WorkError::Api(error)) if error.class == Class::UnknownMethod => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }

    async fn compare_department(&mut self, dept_id: i64) -> Result<(), WorkError> {
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
                    for (userid, difference) in differing {
                        if difference.is_some() {
                            self.scopes.insert(role_id);
                        }
                        self.people.insert(userid);
                    }
                }
                Err(WorkError::Api(error)) if matches!(error.class, Class::Gone | Class::Hidden) => {}
                Err(error @ WorkError::Api(ApiError { class: Class::UnknownMethod, .. })) => {
                    return self.unreadable("the members of roles", error);
                }
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
        looked: Result<Compared, WorkError>,
    ) -> Result<(), WorkError> {
        match looked {
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
        let mut after = String::new();
        loop {
            let ids = {
                let mut reader = context.store.reader().await?;
                reader.employee_ids_after(&context.corp_id, &after, BATCH).await?
            };
            let Some(last) = ids.last() else { return Ok(()) };
            after.clone_from(last);
            let due = ids
                .into_iter()
                .filter(|userid| !self.people.contains(userid) && (!run.quick || !self.listed.has(userid)));
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
}
