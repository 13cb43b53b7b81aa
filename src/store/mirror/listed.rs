//! Pages of a department's members: they make visible whom nobody has read yet, and otherwise only compare.

use std::collections::{HashMap, HashSet};

use super::super::change::Action;
use super::super::dialect::Dialect;
use super::super::error::StoreError;
use super::super::insert::Insert;
use super::super::ledger::{Kind, of_kind};
use super::super::sql::Value;
use super::employee::{MEMBERSHIP_COLUMNS, departments_json, membership_values};
use super::{Employee, Fit, Membership, MirrorRow, Person, Stamp, inserted, whole_row};
use crate::store::conn::Conn;

/// A person as a page of one department shows him.
#[derive(Debug, Clone)]
pub struct ListedPerson {
    /// Whom.
    pub userid: String,
    /// The columns that a page gives; the others are empty.
    pub row: Employee,
    /// All departments; empty where the page does not say.
    pub departments: Vec<i64>,
    /// The membership in the department that was asked for.
    pub here: Membership,
}

impl Fit for ListedPerson {
    fn fit(&mut self, dialect: Dialect) {
        self.row.fit(dialect);
        self.here.fit(dialect);
    }
}

/// What became of a page.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ListedOutcome {
    /// Whom it made visible.
    pub inserted: Vec<String>,
    /// Whose own read, made earlier, says something else.
    pub differing: Vec<String>,
    /// Whose own read, made earlier, says the same, with the run that marked them for it.
    pub agreeing: Vec<(String, i64)>,
}

/// Columns that a page gives beside the userid.
const LISTED: &[&str] = &[
    "unionid",
    "name",
    "mobile",
    "state_code",
    "telephone",
    "email",
    "org_email",
    "job_number",
    "title",
    "work_place",
    "remark",
    "avatar",
    "extension",
    "hired_date",
    "is_activated",
    "is_admin",
    "is_boss",
    "is_mobile_hidden",
    "is_disabled",
];

/// What the ledger and the mirror know of a listed person.
#[derive(Default)]
struct Known {
    was_read: bool,
    is_gone: bool,
    run_id: i64,
    row: Option<(Employee, bool)>,
    departments: Vec<Membership>,
}

impl Conn {
    /// Stores a page of the members of `dept_id`. `unreliable` names columns that are missing from pages at the moment
    /// although they have values, because a field permission was taken away.
    pub async fn store_listed(
        &mut self,
        dept_id: i64,
        page: &[ListedPerson],
        unreliable: &[&str],
        stamp: &Stamp,
    ) -> Result<ListedOutcome, StoreError> {
        let known = self.known_of(&stamp.corp_id, page).await?;
        let nothing = Known::default();
        let mut outcome = ListedOutcome::default();
        let mut new: Vec<&ListedPerson> = Vec::new();
        let mut met = HashSet::new();
        // A page can name one person twice, when people move while it is put together.
        for listed in page.iter().filter(|listed| met.insert(listed.userid.as_str())) {
            let known = known.get(&listed.userid).unwrap_or(&nothing);
            match &known.row {
                None if !known.was_read => new.push(listed),
                Some(_) if !known.was_read => {
                    self.complete_membership(dept_id, listed, &known.departments, stamp).await?;
                }
                Some((row, deleted)) if !known.is_gone && !deleted => {
                    let userid = listed.userid.clone();
                    if differs(row, &known.departments, dept_id, listed, unreliable) {
                        outcome.differing.push(userid);
                    } else {
                        outcome.agreeing.push((userid, known.run_id));
                    }
                }
                _ => outcome.differing.push(listed.userid.clone()),
            }
        }
        self.insert_listed(&new, stamp).await?;
        outcome.inserted = new.iter().map(|listed| listed.userid.clone()).collect();
        Ok(outcome)
    }

    /// Of a page's people, those whom the mirror shows otherwise, or not at all. Changes nothing.
    pub async fn differing_listed(
        &mut self,
        corp_id: &str,
        dept_id: i64,
        page: &[ListedPerson],
        unreliable: &[&str],
    ) -> Result<Vec<String>, StoreError> {
        let known = self.known_of(corp_id, page).await?;
        let as_stored = |listed: &&ListedPerson| match known.get(&listed.userid) {
            Some(Known { row: Some((row, false)), departments, .. }) => {
                !differs(row, departments, dept_id, listed, unreliable)
            }
            _ => false,
        };
        Ok(page.iter().filter(|listed| !as_stored(listed)).map(|listed| listed.userid.clone()).collect())
    }

    async fn known_of(
        &mut self,
        corp_id: &str,
        page: &[ListedPerson],
    ) -> Result<HashMap<String, Known>, StoreError> {
        let mut known = self.ledger_knows(corp_id, page).await?;
        let keys: Vec<Value> = page.iter().map(|listed| Value::from(&listed.userid)).collect();
        let same = [("corp_id", corp_id.into())];
        let columns = format!("userid, deleted_at, {}", Employee::COLUMNS.join(", "));
        for row in self.rows_listed(&columns, "ding_employee", &same, "userid", &keys).await? {
            let entry = known.entry(row.text(0)?.unwrap_or_default()).or_default();
            entry.row = Some((Employee::read(&row, 2)?, row.is_given(1)));
        }
        let (table, columns) = ("ding_employee_department", "userid, dept_id, is_leader, member_order");
        for row in self.rows_listed(columns, table, &same, "userid", &keys).await? {
            let membership = Membership {
                is_leader: row.flag(2)?,
                member_order: row.integer(3)?,
                ..Membership::of(row.integer(1)?.unwrap_or_default())
            };
            known.entry(row.text(0)?.unwrap_or_default()).or_default().departments.push(membership);
        }
        known.values_mut().for_each(|known| known.departments.sort());
        Ok(known)
    }

    async fn ledger_knows(
        &mut self,
        corp_id: &str,
        page: &[ListedPerson],
    ) -> Result<HashMap<String, Known>, StoreError> {
        let corp = self.corp_number(corp_id).await?;
        let keys: Vec<Value> = page.iter().map(|listed| listed.userid.as_str().into()).collect();
        let mut known: HashMap<String, Known> = HashMap::new();
        let (same, columns) = (of_kind(corp, Kind::Employee), "object_id, read_at, standing, run_id");
        for row in self.rows_listed(columns, "dingsync_object", &same, "object_id", &keys).await? {
            let entry = known.entry(row.text(0)?.unwrap_or_default()).or_default();
            entry.was_read = row.integer(1)?.is_some();
            entry.is_gone = matches!(row.integer(2)?, Some(2 | 4));
            entry.run_id = row.integer(3)?.unwrap_or_default();
        }
        Ok(known)
    }

    /// Somebody whom the page of another department made visible: this page knows his place in this one.
    async fn complete_membership(
        &mut self,
        dept_id: i64,
        listed: &ListedPerson,
        known: &[Membership],
        stamp: &Stamp,
    ) -> Result<(), StoreError> {
        let here = known.iter().find(|membership| membership.dept_id == dept_id);
        if here.is_some_and(|here| here.is_leader.is_some() || here.member_order.is_some()) {
            return Ok(());
        }
        if here == Some(&listed.here) {
            return Ok(());
        }
        // Nobody has read him, so these lists are all that is stored of his memberships.
        let before = Person { departments: known.to_vec(), ..Person::default() };
        let mut after = before.clone();
        after.departments.retain(|membership| membership.dept_id != dept_id);
        after.departments.push(listed.here.clone());
        after.departments.sort();
        self.put_membership(&stamp.corp_id, &listed.userid, &listed.here).await?;
        self.log_memberships(&listed.userid, &before, &after, stamp).await
    }

    async fn insert_listed(&mut self, new: &[&ListedPerson], stamp: &Stamp) -> Result<(), StoreError> {
        let corp_id = stamp.corp_id.as_str();
        let rows = new.iter().flat_map(|listed| inserted(&listed.userid.as_str().into(), &listed.row, stamp));
        self.insert_mirror_rows::<Employee>(rows.collect()).await?;
        let memberships = new.iter().flat_map(|listed| {
            memberships_of(listed).into_iter().map(|membership| (listed.userid.as_str(), membership))
        });
        let values =
            memberships.flat_map(|(userid, membership)| membership_values(corp_id, userid, &membership));
        let insert = Insert { table: "ding_employee_department", columns: &MEMBERSHIP_COLUMNS, ending: "" };
        self.insert_rows(&insert, values.collect()).await?;
        for listed in new {
            let mut values = whole_row(&listed.userid.as_str().into(), &listed.row);
            values.raw("departments", &departments_json(&memberships_of(listed)));
            values.raw("roles", "[]");
            let key = Value::from(&listed.userid);
            self.log::<Employee>(&key, Action::Insert, None, values.finish(), stamp);
        }
        Ok(())
    }
}

fn memberships_of(listed: &ListedPerson) -> Vec<Membership> {
    let elsewhere = listed.departments.iter().filter(|&&dept_id| dept_id != listed.here.dept_id);
    let mut memberships: Vec<Membership> = elsewhere.map(|&dept_id| Membership::of(dept_id)).collect();
    memberships.push(listed.here.clone());
    memberships.sort();
    memberships.dedup_by_key(|membership| membership.dept_id);
    memberships
}

/// Whether a page contradicts what the person's own read left.
fn differs(
    row: &Employee,
    departments: &[Membership],
    dept_id: i64,
    listed: &ListedPerson,
    unreliable: &[&str],
) -> bool {
    let compared = Employee::COLUMNS.iter().zip(row.values().into_iter().zip(listed.row.values()));
    let column_differs =
        compared.filter(|(column, _)| LISTED.contains(column)).any(|(column, (stored, shown))| {
            stored != shown && !(shown == Value::Null && unreliable.contains(column))
        });
    let here = departments.iter().find(|membership| membership.dept_id == dept_id);
    let here_differs = here.is_none_or(|here| {
        here.is_leader != listed.here.is_leader || here.member_order != listed.here.member_order
    });
    let others_differ = !listed.departments.is_empty()
        && (departments.len() != listed.departments.len()
            || departments.iter().any(|membership| !listed.departments.contains(&membership.dept_id)));
    column_differs || here_differs || others_differ
}
