//! What hangs together with a person: the departments, roles and manager that his answer names, and those whose answers
//! name him.

use crate::store::{CATALOGUE, Claim, Conn, Hint, Kind, Membership, Person, Stamp, Standing, StoreError};

/// Whatever a person refers to and nobody has heard of is read as well; nothing waits for it. True if he refers to
/// something that is known to be gone: then his answer, or that one's, is outdated.
pub(super) async fn follow_references(
    conn: &mut Conn,
    claim: &Claim,
    person: &Person,
    stamp: &Stamp,
) -> Result<bool, StoreError> {
    let departments: Vec<String> =
        person.departments.iter().map(|membership| membership.dept_id.to_string()).collect();
    let manager: Vec<String> = person.row.manager_userid.iter().cloned().collect();
    let mut refers_to_gone = false;
    for (kind, ids) in [(Kind::Department, departments), (Kind::Employee, manager)] {
        let known = conn.standings(&stamp.corp_id, kind, &ids).await?;
        let unknown: Vec<Hint> = ids
            .into_iter()
            .filter(|id| known.iter().all(|(known_id, ..)| known_id != id))
            .map(|id| claim.found(kind, id))
            .collect();
        conn.hint(&stamp.corp_id, &unknown, stamp.now).await?;
        refers_to_gone |= known.iter().any(|(_, standing, _)| *standing == Standing::Gone);
    }
    Ok(follow_roles(conn, claim, person, stamp).await? || refers_to_gone)
}

async fn follow_roles(
    conn: &mut Conn,
    claim: &Claim,
    person: &Person,
    stamp: &Stamp,
) -> Result<bool, StoreError> {
    let role_ids: Vec<i64> = person.roles.iter().map(|role| role.role_id).collect();
    let known = conn.role_lives(&stamp.corp_id, &role_ids).await?;
    let refers_to_gone = known.iter().any(|(_, lives)| !lives);
    let unknown: Vec<String> = role_ids
        .into_iter()
        .filter(|id| known.iter().all(|(known_id, _)| known_id != id))
        .map(|id| id.to_string())
        .collect();
    if unknown.is_empty() {
        return Ok(refers_to_gone);
    }
    // The ledger remembers that a role was met, so that one which the catalogue never lists is looked for once.
    let met = conn.standings(&stamp.corp_id, Kind::RoleMembers, &unknown).await?;
    let new: Vec<Hint> = unknown
        .into_iter()
        .filter(|id| met.iter().all(|(met_id, ..)| met_id != id))
        .map(|id| claim.found(Kind::RoleMembers, id))
        .collect();
    if !new.is_empty() {
        conn.hint(&stamp.corp_id, &[claim.found(Kind::RoleCatalogue, CATALOGUE)], stamp.now).await?;
        conn.hint(&stamp.corp_id, &new, stamp.now).await?;
    }
    Ok(refers_to_gone)
}

fn led(person: &Person) -> impl Iterator<Item = i64> {
    person.departments.iter().filter(|place| place.is_leader == Some(true)).map(|place| place.dept_id)
}

/// A department names its managers: those that the person has begun or ceased to lead have changed as well.
pub(super) async fn mark_led_departments(
    conn: &mut Conn,
    claim: &Claim,
    before: &Person,
    after: &Person,
    stamp: &Stamp,
) -> Result<(), StoreError> {
    // What a page inserted has no leaders to compare with.
    if before.row.detail_read_at.is_none() {
        return Ok(());
    }
    let leads = |person: &Person, dept_id: i64| {
        let is_it = |place: &Membership| place.dept_id == dept_id && place.is_leader == Some(true);
        person.departments.iter().any(is_it)
    };
    let begun = led(after).filter(|&dept_id| !leads(before, dept_id));
    let ceased = led(before).filter(|&dept_id| !leads(after, dept_id));
    let hints: Vec<Hint> =
        begun.chain(ceased).map(|id| claim.affected(Kind::Department, id.to_string())).collect();
    conn.hint(&stamp.corp_id, &hints, stamp.now).await
}

/// Somebody is gone: those whose manager he was, and the departments that he led, do not name him any more.
pub(super) async fn mark_bereaved(
    conn: &mut Conn,
    claim: &Claim,
    before: &Person,
    stamp: &Stamp,
) -> Result<(), StoreError> {
    let reports = conn.reports_of(&stamp.corp_id, &claim.object_id).await?;
    let reports = reports.into_iter().map(|userid| claim.affected(Kind::Employee, userid));
    let departments = led(before).map(|id| claim.affected(Kind::Department, id.to_string()));
    let hints: Vec<Hint> = reports.chain(departments).collect();
    conn.hint(&stamp.corp_id, &hints, stamp.now).await
}
