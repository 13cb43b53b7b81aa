//! What hangs together with a person: the departments, roles and manager that his answer names, and those whose answers
//! name him.

use crate::store::{ANSWER_LAG, CATALOGUE, Claim, Conn, Hint, Kind, Person, Stamp, Standing, StoreError};

/// Whether an answer names people of whom an event came shortly before it was asked for, or since: it may be older than
/// what has happened to them, and then names somebody who has gone or is another one by now.
pub(super) async fn names_somebody_who_changes(
    conn: &mut Conn,
    claim: &Claim,
    userids: &[String],
    stamp: &Stamp,
) -> Result<bool, StoreError> {
    conn.have_events_since(&stamp.corp_id, userids, claim.claimed_at - ANSWER_LAG).await
}

/// Whatever a person refers to and nobody has heard of is read as well; nothing waits for it. True if he refers to
/// something that is known to be gone, or may have changed meanwhile: then his answer, or that one's, is outdated.
pub(super) async fn follow_references(
    conn: &mut Conn,
    claim: &Claim,
    person: &Person,
    stamp: &Stamp,
) -> Result<bool, StoreError> {
    let departments: Vec<String> =
        person.departments.iter().map(|membership| membership.dept_id.to_string()).collect();
    let manager: Vec<String> = person.row.manager_userid.iter().cloned().collect();
    let mut refers_to_gone = names_somebody_who_changes(conn, claim, &manager, stamp).await?;
    for (kind, ids) in [(Kind::Department, departments), (Kind::Employee, manager)] {
        let known = conn.standings(&stamp.corp_id, kind, &ids).await?;
        let unknown: Vec<Hint> = ids
            .into_iter()
            .filter(|id| known.iter().all(|(known_id, ..)| known_id != id))
            .map(|id| claim.found(kind, id))
            .collect();
        // Somebody else may have met it since: once is enough.
        conn.hint_unknown(&stamp.corp_id, &unknown, stamp.now).await?;
        let gone = known.into_iter().filter(|(_, standing, _)| *standing == Standing::Gone);
        let gone: Vec<Hint> = gone.map(|(id, ..)| claim.found(kind, id)).collect();
        refers_to_gone |= !gone.is_empty();
        if !claim.hinted {
            // He still names it after a while: it may be back, and nobody has said so.
            conn.hint(&stamp.corp_id, &gone, stamp.now).await?;
        }
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
        conn.hint_unknown(&stamp.corp_id, &new, stamp.now).await?;
    }
    Ok(refers_to_gone)
}

/// Departments whose memberships are kept because they are out of sight: the ledger learns it from their own reads.
pub(super) async fn mark_hidden(
    conn: &mut Conn,
    claim: &Claim,
    dept_ids: &[i64],
    stamp: &Stamp,
) -> Result<(), StoreError> {
    let ids: Vec<String> = dept_ids.iter().map(i64::to_string).collect();
    let known = conn.standings(&stamp.corp_id, Kind::Department, &ids).await?;
    let is_known = |id: &String| known.iter().any(|known| (&known.0, known.1) == (id, Standing::Hidden));
    let hints: Vec<Hint> =
        ids.into_iter().filter(|id| !is_known(id)).map(|id| claim.found(Kind::Department, id)).collect();
    conn.hint(&stamp.corp_id, &hints, stamp.now).await
}

fn led(person: &Person) -> impl Iterator<Item = i64> {
    person.departments.iter().filter(|place| place.is_leader == Some(true)).map(|place| place.dept_id)
}

fn is_in(person: &Person, dept_id: i64) -> bool {
    person.departments.iter().any(|place| place.dept_id == dept_id)
}

/// A department names its managers and its owner: those that the person has begun or ceased to lead, and those of his
/// own that he has left, have changed as well.
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
    let leads = |person: &Person, dept_id: i64| led(person).any(|id| id == dept_id);
    let mut changed: Vec<i64> = led(after).filter(|&dept_id| !leads(before, dept_id)).collect();
    changed.extend(led(before).filter(|&dept_id| !leads(after, dept_id)));
    if before.departments.iter().any(|place| !is_in(after, place.dept_id)) {
        let owned = conn.departments_owned_by(&stamp.corp_id, &claim.object_id).await?;
        changed.extend(owned.into_iter().filter(|&dept_id| !is_in(after, dept_id)));
    }
    let hints: Vec<Hint> =
        changed.into_iter().map(|id| claim.affected(Kind::Department, id.to_string())).collect();
    conn.hint(&stamp.corp_id, &hints, stamp.now).await
}

/// Those who name a person: whose manager he is, and the departments that he leads or owns.
async fn naming(
    conn: &mut Conn,
    userid: &str,
    person: &Person,
    stamp: &Stamp,
) -> Result<Vec<(Kind, String)>, StoreError> {
    let reports = conn.reports_of(&stamp.corp_id, userid).await?;
    let owned = conn.departments_owned_by(&stamp.corp_id, userid).await?;
    let departments = led(person).chain(owned).map(|id| (Kind::Department, id.to_string()));
    Ok(reports.into_iter().map(|report| (Kind::Employee, report)).chain(departments).collect())
}

async fn mark_affected(
    conn: &mut Conn,
    claim: &Claim,
    objects: Vec<(Kind, String)>,
    stamp: &Stamp,
) -> Result<(), StoreError> {
    let hints: Vec<Hint> = objects.into_iter().map(|(kind, id)| claim.affected(kind, id)).collect();
    conn.hint(&stamp.corp_id, &hints, stamp.now).await
}

/// Somebody is gone: those who name him do so no more, and will again if he comes back.
pub(super) async fn mark_bereaved(
    conn: &mut Conn,
    claim: &Claim,
    before: &Person,
    stamp: &Stamp,
) -> Result<(), StoreError> {
    let naming = naming(conn, &claim.object_id, before, stamp).await?;
    conn.remember_references(&stamp.corp_id, &claim.object_id, &naming).await?;
    mark_affected(conn, claim, naming, stamp).await
}

/// Somebody is back: those who named him when he went may name him again.
pub(super) async fn mark_reunited(conn: &mut Conn, claim: &Claim, stamp: &Stamp) -> Result<(), StoreError> {
    let naming = conn.take_references(&stamp.corp_id, &claim.object_id).await?;
    mark_affected(conn, claim, naming, stamp).await
}

/// Another person has the userid now: those who named the former one do so no more.
pub(super) async fn mark_of_the_former(
    conn: &mut Conn,
    claim: &Claim,
    before: &Person,
    stamp: &Stamp,
) -> Result<(), StoreError> {
    let naming = naming(conn, &claim.object_id, before, stamp).await?;
    mark_affected(conn, claim, naming, stamp).await
}
