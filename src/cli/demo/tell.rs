//! One line for people about one change.

use std::time::Duration;

use super::super::output::padded;
use crate::sim::{Happening, Kind};

const WHAT: usize = 37;
const WHOM: usize = 46;

pub(super) fn line(happening: &Happening, took: Duration) -> String {
    let what = padded(what(happening.kind), WHAT);
    format!("  {what}{}{:>6} ms", padded(&whom(happening), WHOM), took.as_millis())
}

fn whom(happening: &Happening) -> String {
    let several = happening.people.len().max(happening.departments.len());
    let name = match &happening.former_name {
        Some(former) => format!("{former} → {}", happening.name),
        None => happening.name.clone(),
    };
    if several > 1 { format!("{name} and {} more", several - 1) } else { name }
}

fn what(kind: Kind) -> &'static str {
    match kind {
        Kind::PersonJoin => "somebody joins",
        Kind::PeopleImport => "several are imported at once",
        Kind::PersonRename => "somebody changes his name",
        Kind::PersonEdit => "a field of a person is changed",
        Kind::PersonClear => "a field of a person is cleared",
        Kind::PeopleEdit => "a field of several is changed",
        Kind::PersonMove => "somebody moves to a department",
        Kind::PersonReorder => "somebody's place in a list changes",
        Kind::PersonManager => "somebody gets another manager",
        Kind::PersonActivate => "somebody activates DingTalk",
        Kind::PersonLeave => "somebody leaves",
        Kind::PeopleLeave => "several leave at once",
        Kind::PersonReturn => "somebody comes back",
        Kind::PersonRecycle => "a userid goes to another person",
        Kind::AdminOn => "somebody becomes administrator",
        Kind::AdminOff => "somebody ceases to administer",
        Kind::DepartmentCreate => "a department is created",
        Kind::DepartmentRename => "a department is renamed",
        Kind::DepartmentReorder => "a department's place changes",
        Kind::DepartmentMove => "a department moves, with all below",
        Kind::DepartmentRemove => "a department is removed",
        Kind::DepartmentManagers => "a department gets other managers",
        Kind::RoleGroupCreate => "a role group is created",
        Kind::RoleGroupRename => "a role group is renamed",
        Kind::RoleGroupDelete => "a role group is deleted",
        Kind::RoleCreate => "a role is created",
        Kind::RoleRename => "a role is renamed",
        Kind::RoleDelete => "a role is deleted",
        Kind::RoleGive => "a role is given",
        Kind::RoleTake => "a role is taken away",
        Kind::RoleScope => "a role reaches other departments",
        Kind::OrganisationRename => "the company changes its name",
    }
}
