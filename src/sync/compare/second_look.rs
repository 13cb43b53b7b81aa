//! The second look at what seems to differ: the organisation lives on while the first one goes through it.

use std::collections::BTreeMap;

use futures_util::StreamExt as _;

use super::{Comparison, TOGETHER};
use crate::dingtalk::Class;
use crate::store::{CATALOGUE, Difference, DifferingMember, Disagreement, Entity, Kind, RunItem};
use crate::sync::context::WorkError;
use crate::sync::difference::Compared;

impl Comparison<'_> {
    /// What seems to differ is looked at again, once nobody works on it.
    pub(super) async fn second_look(&mut self) -> Result<Vec<RunItem>, WorkError> {
        let context = self.context;
        let mut items = Vec::new();
        for dept_id in std::mem::take(&mut self.departments) {
            context.at_rest(Kind::Department, &dept_id.to_string()).await?;
            match context.patiently(self.run, self.patience, || context.department_difference(dept_id)).await
            {
                Ok(Compared::Same) => {}
                Ok(Compared::Hidden) => self.note_hidden(Kind::Department, dept_id.to_string()),
                Ok(Compared::Differs(item)) => items.push(item),
                Err(error) => self.unreadable(&format!("department {dept_id}"), error)?,
            }
            self.progress("a second look", 1).await?;
        }
        if self.catalogue {
            context.at_rest(Kind::RoleCatalogue, CATALOGUE).await?;
            match context.patiently(self.run, self.patience, || context.catalogue_differences()).await {
                Ok(differing) => items.extend(differing),
                Err(error) => self.unreadable("the list of roles", error)?,
            }
        }
        self.doubt_members_of_gone(&items).await?;
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
            let (userid, looked) = looked?;
            match looked.map(|looked| self.note_person(&userid, looked)) {
                Ok(Compared::Same) => {}
                Ok(Compared::Hidden) => self.note_hidden(Kind::Employee, userid),
                Ok(Compared::Differs(item)) => drop(people.insert(userid, item)),
                Err(error) => self.unreadable("a person", error)?,
            }
            self.progress("a second look", 1).await?;
        }
        self.drop_contradicted(&mut items).await?;
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
            let looked =
                context.patiently(self.run, self.patience, || context.role_member_differences(role_id)).await;
            let differing = match looked {
                Ok(differing) => differing,
                // It went away meanwhile, which the catalogue tells.
                Err(WorkError::Api(error)) if matches!(error.class, Class::Gone | Class::Hidden) => continue,
                Err(error) => {
                    self.unreadable(&format!("the members of role {role_id}"), error)?;
                    continue;
                }
            };
            for DifferingMember { userid, has_role, scope } in differing {
                let Some(scope) = scope else { continue };
                self.scopes.insert(role_id);
                // Whether somebody has the role is for his own answer to say.
                if has_role {
                    people.entry(userid).or_insert_with_key(|userid| changed(userid, scope));
                }
            }
        }
        Ok(())
    }
}

fn changed(userid: &str, difference: Difference) -> RunItem {
    RunItem::new(Entity::Employee, userid, Disagreement::Changed, &[difference])
}
