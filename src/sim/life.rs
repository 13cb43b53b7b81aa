//! Random changes: what happens in an organisation while nobody plans it.

use rand::RngExt as _;
use rand::seq::IndexedRandom as _;
use serde::{Deserialize, Serialize};

use super::apply::World;
use super::change::{Change, Field, Kind};
use super::model::{Person, ROOT};
use super::names::{self, Random};

/// A run of random changes.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Plan {
    /// How many changes; 0 goes on until it is stopped.
    pub count: u64,
    /// From one change to the next, milliseconds; 0 makes them as fast as they can be made.
    pub interval_ms: f64,
    /// The part of the changes, 0 to 1, that falls on a few objects.
    pub focus_share: f64,
    /// How many people, and a quarter as many departments and roles, those few are.
    pub focus_objects: usize,
    /// What happens; everything, if empty.
    pub kinds: Vec<Kind>,
}

impl Default for Plan {
    fn default() -> Self {
        Self { count: 100, interval_ms: 10.0, focus_share: 0.0, focus_objects: 10, kinds: Vec::new() }
    }
}

/// Every kind with its weight: people are edited more often than organisations are renamed.
const WEIGHTS: [(Kind, u32); 32] = [
    (Kind::PersonJoin, 60),
    (Kind::PeopleImport, 6),
    (Kind::PersonRename, 40),
    (Kind::PersonEdit, 200),
    (Kind::PersonClear, 40),
    (Kind::PeopleEdit, 20),
    (Kind::PersonMove, 120),
    (Kind::PersonReorder, 20),
    (Kind::PersonManager, 50),
    (Kind::PersonActivate, 20),
    (Kind::PersonLeave, 50),
    (Kind::PeopleLeave, 4),
    (Kind::PersonReturn, 15),
    (Kind::PersonRecycle, 4),
    (Kind::AdminOn, 10),
    (Kind::AdminOff, 10),
    (Kind::DepartmentCreate, 20),
    (Kind::DepartmentRename, 30),
    (Kind::DepartmentReorder, 10),
    (Kind::DepartmentMove, 20),
    (Kind::DepartmentRemove, 10),
    (Kind::DepartmentManagers, 40),
    (Kind::RoleGroupCreate, 2),
    (Kind::RoleGroupRename, 4),
    (Kind::RoleGroupDelete, 1),
    (Kind::RoleCreate, 6),
    (Kind::RoleRename, 8),
    (Kind::RoleDelete, 3),
    (Kind::RoleGive, 50),
    (Kind::RoleTake, 40),
    (Kind::RoleScope, 10),
    (Kind::OrganisationRename, 1),
];

/// Invents changes that fit the organisation.
#[derive(Debug)]
pub(crate) struct Life {
    kinds: Vec<(Kind, u32)>,
    focus_share: f64,
    people: Vec<String>,
    departments: Vec<i64>,
    roles: Vec<i64>,
    random: Random,
    /// Makes invented names differ from each other.
    turn: u64,
}

impl Life {
    /// Chooses what the run concentrates on.
    pub(crate) fn new(plan: &Plan, world: &World, random: Random) -> Self {
        let kinds = WEIGHTS
            .into_iter()
            .filter(|(kind, _)| plan.kinds.is_empty() || plan.kinds.contains(kind))
            .collect();
        let mut life = Self {
            kinds,
            focus_share: 0.0,
            people: Vec::new(),
            departments: Vec::new(),
            roles: Vec::new(),
            random,
            turn: 0,
        };
        if plan.focus_share > 0.0 {
            for _ in 0..plan.focus_objects {
                let chosen = life.random_person(world).map(|person| person.userid.to_string());
                life.people.extend(chosen);
            }
            for _ in 0..plan.focus_objects.div_ceil(4) {
                let department = life.random_department(world);
                life.departments.extend(department);
                let role = life.random_role(world);
                life.roles.extend(role);
            }
            life.focus_share = plan.focus_share.clamp(0.0, 1.0);
        }
        life
    }

    /// The next change. `None` where the dice asked for something that this organisation has nothing for; the
    /// change may still be refused.
    pub(crate) fn next(&mut self, world: &World) -> Option<Change> {
        self.turn += 1;
        let kind = self.kinds.choose_weighted(&mut self.random, |(_, weight)| *weight).ok()?.0;
        match kind {
            Kind::PersonJoin | Kind::PeopleImport | Kind::PersonReturn | Kind::PersonRecycle => {
                self.coming(kind, world)
            }
            Kind::PersonLeave | Kind::PeopleLeave => self.leaving(kind, world),
            Kind::DepartmentCreate
            | Kind::DepartmentRename
            | Kind::DepartmentReorder
            | Kind::DepartmentMove
            | Kind::DepartmentRemove
            | Kind::DepartmentManagers
            | Kind::OrganisationRename => self.department_change(kind, world),
            Kind::RoleGroupCreate
            | Kind::RoleGroupRename
            | Kind::RoleGroupDelete
            | Kind::RoleCreate
            | Kind::RoleRename
            | Kind::RoleDelete
            | Kind::RoleGive
            | Kind::RoleTake
            | Kind::RoleScope => self.role_change(kind, world),
            _ => self.person_change(kind, world),
        }
    }

    fn coming(&mut self, kind: Kind, world: &World) -> Option<Change> {
        Some(match kind {
            Kind::PersonJoin => {
                Change::PersonJoin { userid: None, name: None, departments: vec![self.department(world)?] }
            }
            Kind::PeopleImport => Change::PeopleImport {
                count: self.random.random_range(2..12),
                departments: vec![self.department(world)?],
            },
            Kind::PersonRecycle if self.random.random_bool(0.5) => {
                Change::PersonRecycle { userid: self.person(world)?, name: None }
            }
            _ => {
                let userid = self.former(world)?;
                if kind == Kind::PersonReturn {
                    Change::PersonReturn { userid }
                } else {
                    Change::PersonRecycle { userid, name: None }
                }
            }
        })
    }

    /// Somebody who left; of those on whom the run concentrates, if one did.
    fn former(&mut self, world: &World) -> Option<String> {
        let former = world.former();
        if self.in_focus()
            && let Some(userid) = self.people.iter().find(|userid| former.contains_key(userid.as_str()))
        {
            return Some(userid.clone());
        }
        let nth = self.random.random_range(0..former.len().max(1));
        former.keys().nth(nth).map(ToString::to_string)
    }

    fn leaving(&mut self, kind: Kind, world: &World) -> Option<Change> {
        if kind == Kind::PersonLeave {
            return Some(Change::PersonLeave { userid: self.person(world)? });
        }
        let userids = self.several_people(world, 5);
        Some(Change::PeopleLeave { userids })
    }

    fn person_change(&mut self, kind: Kind, world: &World) -> Option<Change> {
        let userid = self.person(world)?;
        let person = world.organisation.person(&userid)?;
        let field = self.field();
        Some(match kind {
            Kind::PersonRename => Change::PersonRename { userid, name: names::person(&mut self.random).0 },
            Kind::PersonEdit => Change::PersonEdit { userid, field, value: self.value(field) },
            Kind::PersonClear => Change::PersonClear {
                userid,
                field: if field == Field::HiredDate { Field::Remark } else { field },
            },
            Kind::PeopleEdit => Change::PeopleEdit {
                userids: self.several_people(world, 8),
                field: Field::WorkPlace,
                value: self.value(Field::WorkPlace),
            },
            Kind::PersonMove => {
                let mut departments: Vec<i64> =
                    person.memberships.iter().map(|place| place.dept_id).collect();
                let target = self.department(world)?;
                if departments.contains(&target) {
                    departments.retain(|dept_id| *dept_id != target);
                } else if self.random.random_bool(0.6) {
                    let replaced = self.random.random_range(0..departments.len());
                    departments[replaced] = target;
                } else {
                    departments.push(target);
                }
                Change::PersonMove { userid, departments }
            }
            Kind::PersonReorder => Change::PersonReorder {
                dept_id: person.memberships.choose(&mut self.random)?.dept_id,
                order: self.random.random_range(0..1_i64 << 58),
                userid,
            },
            Kind::PersonManager => Change::PersonManager {
                manager: self
                    .random
                    .random_bool(0.8)
                    .then(|| self.random_person(world))
                    .flatten()
                    .map(|manager| manager.userid.to_string())
                    .filter(|manager| *manager != userid),
                userid,
            },
            Kind::PersonActivate => Change::PersonActivate { userid },
            Kind::AdminOn => Change::AdminOn { userid },
            _ => {
                let officers = world.organisation.officers();
                let nth = self.random.random_range(0..officers.len().max(1));
                Change::AdminOff { userid: officers.iter().nth(nth)?.to_string() }
            }
        })
    }

    fn department_change(&mut self, kind: Kind, world: &World) -> Option<Change> {
        if kind == Kind::OrganisationRename {
            let name = format!("云帆集团{}", self.turn);
            return Some(Change::OrganisationRename { name });
        }
        let dept_id = self.department(world)?;
        let depth = world.view().ancestry(dept_id).len();
        Some(match kind {
            Kind::DepartmentCreate => Change::DepartmentCreate {
                name: format!("{}{}", names::department(&mut self.random, depth), self.turn),
                parent_id: dept_id,
            },
            Kind::DepartmentRename => Change::DepartmentRename {
                dept_id,
                name: format!("{}{}", names::department(&mut self.random, depth), self.turn),
            },
            Kind::DepartmentReorder => {
                Change::DepartmentReorder { dept_id, order: self.random.random_range(0..1_i64 << 58) }
            }
            Kind::DepartmentMove => {
                Change::DepartmentMove { dept_id, parent_id: self.random_department(world)? }
            }
            Kind::DepartmentManagers => {
                let members: Vec<String> =
                    world.organisation.members(dept_id).map(|person| person.userid.to_string()).collect();
                let count = self.random.random_range(0..3);
                Change::DepartmentManagers {
                    dept_id,
                    userids: members.sample(&mut self.random, count).cloned().collect(),
                }
            }
            _ => {
                // A branch of the first level would take half of the organisation with it.
                if world.organisation.subtree(dept_id).len() > 5 {
                    return None;
                }
                Change::DepartmentRemove { dept_id, evacuate: true }
            }
        })
    }

    fn role_change(&mut self, kind: Kind, world: &World) -> Option<Change> {
        let groups = world.organisation.groups();
        let group = groups.keys().nth(self.random.random_range(0..groups.len().max(1)));
        let name = format!("{}{}", names::role(&mut self.random), self.turn);
        Some(match kind {
            Kind::RoleGroupCreate => Change::RoleGroupCreate { name },
            Kind::RoleGroupRename => Change::RoleGroupRename { group_id: *group?, name },
            Kind::RoleGroupDelete => Change::RoleGroupDelete { group_id: *group? },
            Kind::RoleCreate => Change::RoleCreate { group_id: *group?, name },
            Kind::RoleRename => Change::RoleRename { role_id: self.role(world)?, name },
            Kind::RoleDelete => Change::RoleDelete {
                role_id: self.random_role(world)?,
                silently: self.random.random_bool(0.3),
            },
            Kind::RoleGive => {
                Change::RoleGive { role_id: self.role(world)?, userids: self.several_people(world, 4) }
            }
            _ => {
                let role_id = self.role(world)?;
                let members: Vec<String> =
                    world.organisation.role_members(role_id).map(ToString::to_string).collect();
                let chosen = members.choose(&mut self.random)?.clone();
                if kind == Kind::RoleTake {
                    Change::RoleTake { role_id, userids: vec![chosen] }
                } else {
                    Change::RoleScope {
                        userid: chosen,
                        role_id,
                        departments: self.random_department(world).into_iter().collect(),
                    }
                }
            }
        })
    }

    fn field(&mut self) -> Field {
        const FIELDS: [Field; 10] = [
            Field::Title,
            Field::JobNumber,
            Field::Email,
            Field::OrgEmail,
            Field::WorkPlace,
            Field::Remark,
            Field::Telephone,
            Field::Mobile,
            Field::Extension,
            Field::HiredDate,
        ];
        *FIELDS.choose(&mut self.random).unwrap_or(&Field::Title)
    }

    fn value(&mut self, field: Field) -> String {
        let turn = self.turn;
        let random = &mut self.random;
        match field {
            Field::Title => format!("{}{turn}", names::title(random)),
            Field::JobNumber => format!("{turn:06}"),
            Field::Email | Field::OrgEmail => format!("{}.{turn}@example.com", names::person(random).1),
            Field::WorkPlace | Field::Remark => format!("{} {turn}", names::place(random)),
            Field::Telephone => format!("8{turn:05}"),
            Field::Mobile => format!("19{:09}", random.random_range(0..1_000_000_000)),
            Field::Avatar => format!("https://static-legacy.dingtalk.com/media/{turn}.jpg"),
            Field::Extension => serde_json::json!({ "轮次": turn.to_string() }).to_string(),
            Field::HiredDate => format!(
                "{}-{:02}-{:02}",
                random.random_range(2000..2026),
                random.random_range(1..13),
                random.random_range(1..29)
            ),
        }
    }

    fn in_focus(&mut self) -> bool {
        self.random.random_bool(self.focus_share)
    }

    fn person(&mut self, world: &World) -> Option<String> {
        if self.in_focus() {
            let chosen = self.people.choose(&mut self.random).cloned();
            if chosen.is_some() {
                return chosen;
            }
        }
        self.random_person(world).map(|person| person.userid.to_string())
    }

    fn several_people(&mut self, world: &World, most: usize) -> Vec<String> {
        let count = self.random.random_range(1..=most);
        (0..count).filter_map(|_| self.person(world)).collect()
    }

    fn department(&mut self, world: &World) -> Option<i64> {
        if self.in_focus() {
            let chosen = self.departments.choose(&mut self.random).copied();
            if chosen.is_some() {
                return chosen;
            }
        }
        self.random_department(world)
    }

    fn role(&mut self, world: &World) -> Option<i64> {
        if self.in_focus() {
            let chosen = self.roles.choose(&mut self.random).copied();
            if chosen.is_some() {
                return chosen;
            }
        }
        self.random_role(world)
    }

    fn random_department(&mut self, world: &World) -> Option<i64> {
        let departments = world.organisation.departments();
        let nth = self.random.random_range(0..departments.len().max(1));
        departments.keys().nth(nth).copied().filter(|dept_id| *dept_id != ROOT)
    }

    fn random_role(&mut self, world: &World) -> Option<i64> {
        let roles = world.organisation.roles();
        let nth = self.random.random_range(0..roles.len().max(1));
        let role = roles.values().nth(nth)?;
        role.built_in.is_none().then_some(role.role_id)
    }

    /// A member of a random department: no index of all people has to be kept for it.
    fn random_person<'w>(&mut self, world: &'w World) -> Option<&'w Person> {
        for _ in 0..20 {
            let departments = world.organisation.departments();
            let nth = self.random.random_range(0..departments.len());
            let dept_id = *departments.keys().nth(nth)?;
            let count = world.organisation.member_count(dept_id);
            if count > 0 {
                let nth = self.random.random_range(0..count);
                return world.organisation.members(dept_id).nth(nth).map(|person| &**person);
            }
        }
        None
    }
}
