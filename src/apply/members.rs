//! Who is in which department, and who has which role: rows without a key of their own. Those that were put there are on
//! record, and only those are ever taken out again.

use super::effects::Effects;
use super::fault::Fault;
use super::mapping::Part;
use super::object::{Member, Named, Object, entity_of};
use super::one::Turn;
use crate::store::{Link, MemberOf};

impl Turn<'_> {
    pub(super) async fn write_members(
        &mut self,
        object: &Object,
        of: MemberOf,
        effects: &mut Effects,
    ) -> Result<(), Fault> {
        let (part, holder) = parts_of(of);
        let Some(part) = self.mapping.part(part) else { return Ok(()) };
        let holder_is_written = self.mapping.part(holder).is_some();
        let wanted: Vec<(&Member, Named)> = object
            .members(of)
            .iter()
            .filter(|member| !holder_is_written || member.other.as_ref().is_some_and(Link::is_current))
            .map(|member| (member, member.named(of, object)))
            .filter(|(_, named)| part.admits(|column| named.get(column)))
            .collect();
        let is_wanted = |id: i64| wanted.iter().any(|(member, _)| member.other_id == id);
        self.remove_members(object, of, effects, |id| !is_wanted(id)).await?;
        for (member, named) in wanted {
            let mut written = 0;
            for statement in &part.upsert {
                written += self.run(statement, part, &named).await?.affected;
            }
            // What was there already is somebody else's, and stays when the membership ends.
            let is_new = object.applied(of).iter().all(|applied| applied.other_id != member.other_id);
            if is_new && written > 0 {
                effects.members.push((of, member.other_id, true));
            }
        }
        Ok(())
    }

    pub(super) async fn remove_members(
        &mut self,
        object: &Object,
        of: MemberOf,
        effects: &mut Effects,
        goes: impl Fn(i64) -> bool,
    ) -> Result<(), Fault> {
        let Some(part) = self.mapping.part(parts_of(of).0) else { return Ok(()) };
        for member in object.applied(of).iter().filter(|member| goes(member.other_id)) {
            let named = member.named(of, object);
            for statement in &part.delete {
                self.run(statement, part, &named).await?;
            }
            effects.members.push((of, member.other_id, false));
        }
        Ok(())
    }
}

/// The part that has the memberships, and the one that has what they are in.
fn parts_of(of: MemberOf) -> (Part, Part) {
    let part = match of {
        MemberOf::Departments => Part::DepartmentMember,
        MemberOf::Roles => Part::RoleMember,
    };
    (part, Part::of(entity_of(of)).unwrap_or(part))
}
