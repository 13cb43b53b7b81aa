//! How far DingTalk's lists can be believed: what they leave out, whether they show everybody, and which fields they are
//! allowed to show.

use std::collections::BTreeMap;

use super::Comparison;
use crate::dingtalk::Class;
use crate::lane::Lane;
use crate::store::{Disagreement, Entity, Kind, RunItem};
use crate::sync::context::WorkError;
use crate::sync::hints::ROOT;
use crate::sync::permission::FieldPermission;
use crate::sync::seen::Seen;

/// People join and leave while lists are read. In the minutes of a run that is far less than one in a thousand; a list
/// that is cut off, or a part of the organisation that is not shown, is more.
const TOLERATED: i64 = 1000;

/// How many people DingTalk may count beyond those it showed.
fn tolerance(counted: i64) -> i64 {
    1 + counted / TOLERATED
}

impl Comparison<'_> {
    /// A field permission that is gone shows before everybody seems to differ.
    pub(super) async fn probe_permissions(&mut self) -> Result<(), WorkError> {
        let context = self.context;
        let probe = || context.probe_permissions(Lane::Background);
        match context.patiently(self.run, self.patience, probe).await {
            Ok(lost) => {
                self.unreliable = lost.iter().copied().flat_map(FieldPermission::columns).copied().collect();
                lost.into_iter().for_each(|permission| self.notes.lost(permission));
                Ok(())
            }
            Err(error) => self.unreadable("whether fields of people are shown", error),
        }
    }

    /// How many people the organisation has, where DingTalk tells.
    pub(super) async fn people_count(&mut self) -> Result<Option<i64>, WorkError> {
        let context = self.context;
        let count = || async { Ok(context.client.people_count(Lane::Background).await?) };
        match context.patiently(self.run, self.patience, count).await {
            Ok(count) => Ok(count),
            Err(WorkError::Api(error)) if error.class == Class::UnknownMethod => Ok(None),
            Err(error) => self.unreadable("the number of people", error).map(|()| None),
        }
    }

    /// Compares the number of people whom lists showed with DingTalk's own, before and after. That one does not depend on
    /// the scope (`contacts-api.md §5`), so it says something only where the scope is the whole organisation.
    pub(super) fn check_count(&mut self, roots: &[i64], before: Option<i64>, after: Option<i64>) {
        let sees_all = roots.contains(&ROOT) && !self.hidden.contains(&(Kind::Department, ROOT.to_string()));
        let Some(counted) = before.zip(after).map(|(before, after)| before.min(after)) else { return };
        let seen = self.listed.len();
        if sees_all && i64::try_from(seen).unwrap_or(i64::MAX) + tolerance(counted) < counted {
            self.notes.too_few_shown(counted, seen);
        }
    }

    /// People who are stored in a department and not on its list: their own answers say where they are.
    pub(super) async fn doubt_unlisted(&mut self, dept_id: i64, seen: &Seen) -> Result<(), WorkError> {
        let stored = {
            let mut reader = self.context.store.reader().await?;
            reader.department_members(&self.context.corp_id, dept_id).await?
        };
        for userid in stored.into_iter().filter(|userid| !seen.has(userid)) {
            self.doubt(dept_id, userid);
        }
        Ok(())
    }

    fn doubt(&mut self, dept_id: i64, userid: String) {
        self.doubted.entry(userid.clone()).or_default().push(dept_id);
        self.people.insert(userid);
    }

    /// The members of departments that DingTalk says are gone: their own answers must not name them.
    pub(super) async fn doubt_members_of_gone(&mut self, items: &[RunItem]) -> Result<(), WorkError> {
        for item in items {
            if (item.entity, item.disagreement) == (Entity::Department, Disagreement::Gone)
                && let Ok(dept_id) = item.entity_id.parse()
            {
                self.doubt_unlisted(dept_id, &Seen::default()).await?;
            }
        }
        Ok(())
    }

    /// What people's own answers contradict was answered wrong: a department that is gone with people in it, a list that
    /// leaves out people who are in the department. Nothing is concluded from those.
    pub(super) async fn drop_contradicted(&mut self, items: &mut Vec<RunItem>) -> Result<(), WorkError> {
        let mut named: BTreeMap<i64, Vec<String>> = std::mem::take(&mut self.named);
        items.retain(|item| {
            if (item.entity, item.disagreement) != (Entity::Department, Disagreement::Gone) {
                return true;
            }
            let people = item.entity_id.parse().ok().and_then(|dept_id: i64| named.remove(&dept_id));
            let Some(people) = people else { return true };
            self.notes.unread(format!(
                "department {}: DingTalk says that it is gone, and the own answers of {} people that they are in it",
                item.entity_id,
                people.len()
            ));
            false
        });
        for (dept_id, people) in named {
            // Whoever joined while the list was read is on it by now.
            let Some(seen) = self.list_again(dept_id).await? else { continue };
            let left_out = people.iter().filter(|userid| !seen.has(userid)).count();
            if left_out > 0 {
                self.notes.unread(format!(
                    "the members of department {dept_id}: the list leaves out {left_out} people who are in it by their \
                     own answers"
                ));
            }
        }
        Ok(())
    }

    async fn list_again(&mut self, dept_id: i64) -> Result<Option<Seen>, WorkError> {
        let context = self.context;
        let mut seen = Seen::default();
        let mut cursor = 0;
        loop {
            let page = || async { Ok(context.client.members(Lane::Background, dept_id, cursor).await?) };
            match context.patiently(self.run, self.patience, page).await {
                Ok((page, next)) => {
                    page.iter().filter_map(|person| person.userid.as_deref()).for_each(|id| seen.note(id));
                    match next {
                        Some(next) => cursor = next,
                        None => return Ok(Some(seen)),
                    }
                }
                // Its own comparison tells what became of it.
                Err(WorkError::Api(error)) if matches!(error.class, Class::Gone | Class::Hidden) => {
                    return Ok(None);
                }
                Err(error) => {
                    self.unreadable(&format!("the members of department {dept_id}"), error)?;
                    return Ok(None);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_few_may_come_and_go_while_lists_are_read() {
        assert_eq!(tolerance(0), 1);
        assert_eq!(tolerance(999), 1);
        assert_eq!(tolerance(100_000), 101);
    }
}
