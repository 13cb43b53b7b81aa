//! A department's walk: its children and members are listed. Whom nobody has read yet becomes visible; everything else
//! is compared, and what differs is marked.

use super::context::{Context, WorkError};
use super::convert;
use super::department::Look;
use super::outcome::{Reading, conclude};
use super::seen::Seen;
use crate::dingtalk::Class;
use crate::dingtalk::model::ChildDepartment;
use crate::lane::Lane;
use crate::store::{
    Cause, Claim, Conn, Finish, Hint, Kind, ListedPerson, Operation, Stamp, Standing, StoreError,
};

impl Context {
    pub(super) async fn work_on_walk(&self, claim: &Claim) -> Result<(), WorkError> {
        let Ok(dept_id) = claim.object_id.parse::<i64>() else { return self.end_walk(claim).await };
        match self.walk(claim, dept_id).await {
            Err(WorkError::Api(error)) if matches!(error.class, Class::Gone | Class::Hidden) => {
                self.end_lost_walk(claim).await
            }
            // DingTalk cannot read its members (60019): perhaps because it is gone.
            Err(WorkError::Api(error)) if error.class == Class::BadRequest => {
                match self.look_at_department(claim.lane, dept_id).await? {
                    Look::Present(_) => Err(error.into()),
                    Look::Gone | Look::Hidden => self.end_lost_walk(claim).await,
                }
            }
            result => result,
        }
    }

    /// The department went away or out of sight meanwhile: its own read says which.
    async fn end_lost_walk(&self, claim: &Claim) -> Result<(), WorkError> {
        let cause = claim.provenance.cause;
        self.mark(vec![Hint::of(Kind::Department, &claim.object_id, claim.lane, cause)]).await?;
        self.end_walk(claim).await
    }

    async fn end_walk(&self, claim: &Claim) -> Result<(), WorkError> {
        let step = Step { end: Some(End::default()), ..self.step(claim, 0) };
        let finish = self.write(step).await?;
        self.note_done(claim, finish);
        Ok(())
    }

    fn step(&self, claim: &Claim, dept_id: i64) -> Step {
        Step {
            claim: claim.clone(),
            dept_id,
            stamp: self.stamp(claim),
            unreliable: self.unreliable_columns(),
            children: None,
            page: Vec::new(),
            progress: None,
            end: None,
        }
    }

    async fn walk(&self, claim: &Claim, dept_id: i64) -> Result<(), WorkError> {
        let mut cursor: i64 = claim.progress.as_deref().and_then(|cursor| cursor.parse().ok()).unwrap_or(0);
        let resumed = cursor > 0;
        let mut children = None;
        if !resumed {
            children = Some(self.client.child_departments(claim.lane, dept_id).await?);
        }
        let mut seen = Seen::default();
        let mut pages = 0;
        loop {
            let (page, next) = self.client.members(claim.lane, dept_id, cursor).await?;
            pages += 1;
            let people: Vec<ListedPerson> = page
                .into_iter()
                .filter_map(|item| convert::listed(dept_id, item))
                .map(|listed| self.store.fitted(listed))
                .collect();
            people.iter().for_each(|person| seen.note(&person.userid));
            let mut step = Step { children: children.take(), page: people, ..self.step(claim, dept_id) };
            if let Some(next) = next {
                cursor = next;
                step.progress = Some(cursor.to_string());
                self.write(step).await?;
                continue;
            }
            step.end = Some(self.whole_membership(claim.lane, dept_id, seen, pages > 1 || resumed).await?);
            let finish = self.write(step).await?;
            self.note_done(claim, finish);
            return Ok(());
        }
    }

    /// A cursor over a live list can skip people: what took more than one page is compared with the list that takes one.
    async fn whole_membership(
        &self,
        lane: Lane,
        dept_id: i64,
        mut seen: Seen,
        in_pages: bool,
    ) -> Result<End, WorkError> {
        if !in_pages {
            return Ok(End { unlisted: Vec::new(), seen: Some(seen) });
        }
        let ids = match self.client.member_ids(lane, dept_id).await {
            Ok(ids) => ids,
            // Without that list nobody is missed on the strength of pages alone.
            Err(error) if error.class == Class::UnknownMethod => return Ok(End::default()),
            Err(error) => return Err(error.into()),
        };
        let unlisted: Vec<String> = ids.iter().filter(|userid| !seen.has(userid)).cloned().collect();
        ids.iter().for_each(|userid| seen.note(userid));
        Ok(End { unlisted, seen: Some(seen) })
    }
}

/// The last step of a walk.
#[derive(Debug, Default)]
struct End {
    /// Members whom no page showed.
    unlisted: Vec<String>,
    /// All members; `None` where they are not known completely.
    seen: Option<Seen>,
}

/// Stores what a walk has read so far, and with `end` ends its claim.
struct Step {
    claim: Claim,
    dept_id: i64,
    stamp: Stamp,
    unreliable: Vec<&'static str>,
    children: Option<Vec<ChildDepartment>>,
    page: Vec<ListedPerson>,
    progress: Option<String>,
    end: Option<End>,
}

impl Operation for Step {
    type Output = Finish;

    async fn run(&self, conn: &mut Conn) -> Result<Finish, StoreError> {
        if let Some(children) = &self.children {
            self.compare_children(conn, children).await?;
        }
        self.store_page(conn).await?;
        if let Some(progress) = &self.progress {
            conn.keep_progress(&self.claim, progress);
        }
        let reading = Reading::of(Standing::Present, None);
        let finish = conclude(&self.claim, reading, self.stamp.now);
        if let Some(end) = &self.end {
            self.mark_missing(conn, end).await?;
            conn.finish(&self.claim, &finish, self.stamp.now);
        }
        Ok(finish)
    }
}

impl Step {
    /// What a walk marks is read in the background, and not as the event's doing.
    fn hint(&self, kind: Kind, object_id: impl Into<String>) -> Hint {
        Hint { lane: Lane::Background, ..self.claim.found(kind, object_id) }
    }

    async fn compare_children(
        &self,
        conn: &mut Conn,
        children: &[ChildDepartment],
    ) -> Result<(), StoreError> {
        let Stamp { corp_id, now, .. } = &self.stamp;
        let listed: Vec<(i64, &ChildDepartment)> =
            children.iter().filter_map(|child| Some((child.dept_id?, child))).collect();
        let ids: Vec<String> = listed.iter().map(|(id, _)| id.to_string()).collect();
        let walks = conn.standings(corp_id, Kind::Walk, &ids).await?;
        // Before the rows: whoever stores one between the two looks has shown it.
        let read = conn.standings(corp_id, Kind::Department, &ids).await?;
        let known = conn.child_departments(corp_id, self.dept_id).await?;
        let mut hints = Vec::new();
        for ((dept_id, child), id) in listed.iter().zip(&ids) {
            let as_known = known.iter().any(|(known_id, name)| known_id == dept_id && *name == child.name);
            let walk = walks.iter().find(|(walked_id, ..)| walked_id == id);
            // A pull goes down the whole tree, once.
            let is_due = match walk {
                None => true,
                Some((_, _, run_id)) => self.claim.is_of_run() && *run_id != self.claim.run_id,
            };
            if is_due {
                hints.push(self.hint(Kind::Walk, id));
            }
            let known_read = read.iter().find(|(read_id, ..)| read_id == id);
            // Somebody who was read early has named it: once is enough for a pull.
            let is_marked = self.claim.is_of_run()
                && known_read.is_some_and(|(_, _, run_id)| *run_id == self.claim.run_id);
            // A first read that is still to come shows it as it is.
            let comes = known_read.is_some_and(|(_, standing, _)| *standing == Standing::Unread);
            if (is_due && !is_marked) || !(as_known || comes) {
                hints.push(self.hint(Kind::Department, id));
            }
        }
        let vanished = known.iter().filter(|(id, _)| listed.iter().all(|(listed_id, _)| listed_id != id));
        hints.extend(vanished.map(|(id, _)| self.hint(Kind::Department, id.to_string())));
        conn.hint(corp_id, &hints, *now).await
    }

    async fn store_page(&self, conn: &mut Conn) -> Result<(), StoreError> {
        let outcome = conn.store_listed(self.dept_id, &self.page, &self.unreliable, &self.stamp).await?;
        // A pull reads everybody, once: what a page does not show may have changed as well.
        let is_pull = self.claim.is_of_run() && self.claim.provenance.cause == Cause::Bootstrap;
        let unread = outcome.agreeing.into_iter().filter(|(_, run)| is_pull && *run != self.claim.run_id);
        let unread = unread.map(|(userid, _)| userid);
        let dirty = outcome.inserted.into_iter().chain(outcome.differing).chain(unread);
        let hints: Vec<Hint> = dirty.map(|userid| self.hint(Kind::Employee, userid)).collect();
        conn.hint(&self.stamp.corp_id, &hints, self.stamp.now).await
    }

    /// Members who stand in one list only: his own read says where a person really is.
    async fn mark_missing(&self, conn: &mut Conn, end: &End) -> Result<(), StoreError> {
        let Stamp { corp_id, now, .. } = &self.stamp;
        let unlisted: Vec<Hint> =
            end.unlisted.iter().map(|userid| self.hint(Kind::Employee, userid)).collect();
        conn.hint(corp_id, &unlisted, *now).await?;
        let Some(seen) = &end.seen else { return Ok(()) };
        let stored = conn.department_members(corp_id, self.dept_id).await?;
        let missing: Vec<Hint> = stored
            .into_iter()
            .filter(|userid| !seen.has(userid))
            .map(|userid| self.hint(Kind::Employee, userid))
            .collect();
        conn.hint(corp_id, &missing, *now).await
    }
}
