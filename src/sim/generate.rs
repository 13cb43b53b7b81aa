//! An organisation out of a seed, of the kind that grows over thirty years of mergers and moves.
//!
//! The same sizes and the same seed give the same organisation, byte for byte.

use std::collections::{BTreeMap, HashSet};

use jiff::civil::{Date, date};
use rand::seq::IndexedRandom as _;
use rand::{RngExt as _, SeedableRng as _};

use super::model::{
    Admin, BuiltIn, Dedicated, Department, Membership, Person, ROOT, Role, RoleGrant, RoleGroup, Userid,
};
use super::names::{self, Random};
use super::organisation::Organisation;

/// The first id after the root's.
const FIRST_DEPARTMENT: i64 = 910_010_001;
/// Role ids exceed 2^31 (`contacts-api.md §1`).
const FIRST_ROLE: i64 = 3_100_000_000;
/// Orders exceed 2^53 (`contacts-api.md §1`).
const LARGE_ORDER: i64 = 176_300_000_000_000_512;
/// 2020-01-01 in UTC, milliseconds: around which people came.
const ENTRIES_FROM: i64 = 1_577_836_800_000;
/// Levels below the root in which departments are placed.
const LEVELS: usize = 10;
/// Direct members of the largest department, if there are people enough.
const LARGEST: usize = 340;

/// How large the organisation is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Size {
    pub(crate) users: usize,
    /// With the root.
    pub(crate) departments: usize,
}

/// Makes an organisation.
pub(crate) fn organisation(size: Size, seed: u64, name: &str) -> Organisation {
    let mut random = Random::seed_from_u64(seed);
    let mut departments = departments(&mut random, size.departments.max(1), name);
    let mut people = people(&mut random, size.users, &departments);
    appoint(&mut random, &mut departments, &mut people);
    let (groups, roles) = roles();
    grant(&mut random, &roles, &departments, &mut people);
    let mut organisation = Organisation::default();
    for department in departments {
        organisation.put_department(department);
    }
    for group in groups {
        organisation.put_group(group);
    }
    for role in roles {
        organisation.put_role(role);
    }
    for person in people {
        organisation.put_person(person);
    }
    organisation
}

fn departments(random: &mut Random, count: usize, name: &str) -> Vec<Department> {
    let mut departments = vec![Department::new(ROOT, None, name.to_owned())];
    departments[0].order = 0;
    let mut depths = vec![0_usize];
    let mut names: HashSet<(i64, String)> = HashSet::new();
    let mut next_id = FIRST_DEPARTMENT;
    while departments.len() < count {
        // The first ones form a line, so that the tree is deep somewhere however small it is.
        let parent = if departments.len() <= LEVELS - 2 {
            departments.len() - 1
        } else {
            loop {
                // The smaller of two makes the upper levels broader.
                let candidate =
                    random.random_range(0..departments.len()).min(random.random_range(0..departments.len()));
                if depths[candidate] < LEVELS {
                    break candidate;
                }
            }
        };
        let parent_id = departments[parent].dept_id;
        let depth = depths[parent] + 1;
        let mut name = names::department(random, depth);
        let mut copies = 1;
        while !names.insert((parent_id, name.clone())) {
            copies += 1;
            name = format!("{}{copies}", names::department(random, depth));
        }
        next_id += random.random_range(1..9);
        let mut department = Department::new(next_id, Some(parent_id), name);
        furnish_department(random, &mut department);
        departments.push(department);
        depths.push(depth);
    }
    departments
}

fn furnish_department(random: &mut Random, department: &mut Department) {
    department.order = match random.random_range(0..20) {
        0 => LARGE_ORDER + random.random_range(0..1_i64 << 30),
        1 => 0,
        _ => random.random_range(1..200),
    };
    department.source_identifier =
        random.random_ratio(1, 5).then(|| format!("oa{}", department.dept_id % 100_000));
    department.brief = sometimes(random, 0.1, |random| format!("{}办公", names::place(random)));
    department.telephone =
        sometimes(random, 0.05, |random| format!("0571{}", random.random_range(20_000_000..90_000_000)));
    department.code = random.random_ratio(1, 4).then(|| format!("D{:05}", department.dept_id % 100_000));
    department.group_chat_id =
        random.random_ratio(1, 3).then(|| format!("chat{}", names::alphanumeric(random, 28)));
    department.hidden = random.random_ratio(1, 40);
    department.outer = random.random_ratio(1, 60);
    department.auto_approve_apply = random.random_ratio(1, 10);
}

/// A value with the given likelihood; otherwise nothing, or an empty text now and then.
fn sometimes(
    random: &mut Random,
    likelihood: f64,
    value: impl FnOnce(&mut Random) -> String,
) -> Option<String> {
    if random.random_bool(likelihood) {
        Some(value(random))
    } else {
        random.random_ratio(1, 20).then(String::new)
    }
}

fn people(random: &mut Random, count: usize, departments: &[Department]) -> Vec<Person> {
    // The root and one in twelve departments stay without members of their own, if there is another.
    let mut homes: Vec<i64> = departments
        .iter()
        .skip(1)
        .map(|department| department.dept_id)
        .filter(|_| !random.random_ratio(1, 12))
        .collect();
    if homes.is_empty() {
        homes.push(ROOT);
    }
    let largest = homes[homes.len() / 2];
    (0..count)
        .map(|number| {
            let home = if number < 3 {
                ROOT
            } else if number < LARGEST && count > LARGEST * 3 / 2 {
                largest
            } else {
                *homes.choose(random).unwrap_or(&ROOT)
            };
            person(random, number, home, &homes)
        })
        .collect()
}

fn person(random: &mut Random, number: usize, home: i64, homes: &[i64]) -> Person {
    let (name, latin) = names::person(random);
    let userid: Userid = match number {
        0 => "manager0001".into(),
        // Leading zeros: an id is a text, never a number.
        1..60 => format!("{:05}", number + 16).into(),
        _ => names::userid(random, number, &latin).into(),
    };
    let dedicated = (number > 3 && random.random_ratio(1, 90)).then(|| Dedicated {
        kind: if random.random_ratio(1, 2) { "sso" } else { "dingtalk" },
        login_id: format!("{latin}{number}@corp"),
        nickname: random.random_ratio(1, 2).then(|| latin.clone()),
        disabled: random.random_ratio(1, 3),
    });
    let abroad = random.random_ratio(1, 70);
    let mobile = dedicated
        .is_none()
        .then(|| if abroad { format!("6{:07}", number + 1) } else { names::mobile(number) });
    let memberships = memberships(random, home, homes);
    let main_dept = random.random_ratio(9, 10).then_some(home);
    let entered_at = ENTRIES_FROM + random.random_range(0..150_000_000_000_i64);
    Person {
        unionid: names::unionid(random),
        avatar: sometimes(random, 0.3, |random| {
            format!("https://static-legacy.dingtalk.com/media/{}.jpg", names::mixed_case(random, 22))
        }),
        state_code: mobile.as_ref().map(|_| if abroad { "852" } else { "86" }.to_owned()),
        mobile,
        hide_mobile: random.random_ratio(1, 10),
        telephone: sometimes(random, 0.16, |random| format!("8{:04}", random.random_range(0..10_000))),
        job_number: job_number(random, number),
        title: sometimes(random, 0.95, |random| names::title(random).to_owned()),
        email: sometimes(random, 0.5, |_| format!("{latin}{number}@example.com")),
        org_email: sometimes(random, 0.25, |_| format!("{latin}.{number}@corp.example.com")),
        work_place: sometimes(random, 0.5, |random| names::place(random).to_owned()),
        remark: sometimes(random, 0.07, |random| format!("{}\n见档案 #{number}", names::place(random))),
        extension: extension(random, number),
        memberships,
        main_dept,
        hired_on: hired_on(random),
        manager: None,
        roles: Vec::new(),
        active: number < 3 || !random.random_ratio(1, 18),
        admin: match number {
            0 => Admin::Main,
            1 | 2 => Admin::Sub,
            _ if random.random_ratio(1, 400) => Admin::Sub,
            _ => Admin::No,
        },
        boss: number == 0 || number == 2,
        senior: random.random_ratio(1, 50),
        real_authed: !random.random_ratio(1, 12),
        dedicated,
        access_restricted: number > 3 && random.random_ratio(1, 80),
        entered_at,
        modified_at: entered_at,
        name,
        userid,
    }
}

/// Unlike the userid, not unique (`contacts-api.md §5.1`).
fn job_number(random: &mut Random, number: usize) -> Option<String> {
    match random.random_range(0..20) {
        0 => None,
        1 => Some(String::new()),
        2 => Some("000001".to_owned()),
        3..10 => Some(format!("{number:06}")),
        _ => Some(format!("A-{number}")),
    }
}

fn extension(random: &mut Random, number: usize) -> Option<String> {
    match random.random_range(0..10) {
        0..6 => None,
        6 => Some("{}".to_owned()),
        7 => Some(serde_json::json!({ "工位": format!("{}-{number}", names::place(random)) }).to_string()),
        8 => Some(r#"{"badge colour":"blue","爱好":"围棋, 登山"}"#.to_owned()),
        _ => Some(
            serde_json::json!({ "紧急联系人": names::person(random).0, "说明": "引号\"与\\斜杠", "序号": number.to_string() })
                .to_string(),
        ),
    }
}

/// Some hire dates fall into the summer times of 1986 to 1991, whose midnights lie an hour earlier.
fn hired_on(random: &mut Random) -> Option<Date> {
    match random.random_range(0..20) {
        0 => None,
        1 => Some(date(
            random.random_range(1986..=1991),
            random.random_range(6..=8),
            random.random_range(1..=30),
        )),
        2 => Some(date(
            random.random_range(1986..=1991),
            random.random_range(1..=2),
            random.random_range(1..=28),
        )),
        _ => Some(date(
            random.random_range(1995..=2025),
            random.random_range(1..=12),
            random.random_range(1..=28),
        )),
    }
}

fn memberships(random: &mut Random, home: i64, homes: &[i64]) -> Vec<Membership> {
    let further = match random.random_range(0..1000) {
        0..860 => 0,
        860..980 => 1,
        980..998 => random.random_range(2..5),
        _ => 12,
    };
    let mut memberships = vec![membership(random, home)];
    for _ in 0..further {
        let dept_id = *homes.choose(random).unwrap_or(&home);
        if memberships.iter().all(|known| known.dept_id != dept_id) {
            memberships.push(membership(random, dept_id));
        }
    }
    memberships
}

fn membership(random: &mut Random, dept_id: i64) -> Membership {
    Membership {
        dept_id,
        order: if random.random_ratio(2, 3) {
            LARGE_ORDER + random.random_range(0..1_i64 << 40)
        } else {
            random.random_range(0..1000)
        },
        title: sometimes(random, 0.12, |random| names::title(random).to_owned()),
        work_place: sometimes(random, 0.08, |random| names::place(random).to_owned()),
    }
}

/// Managers of departments, and everybody's direct manager.
fn appoint(random: &mut Random, departments: &mut [Department], people: &mut [Person]) {
    let mut members: BTreeMap<i64, Vec<usize>> = BTreeMap::new();
    for (index, person) in people.iter().enumerate() {
        for membership in &person.memberships {
            members.entry(membership.dept_id).or_default().push(index);
        }
    }
    let mut heads: BTreeMap<i64, Userid> = BTreeMap::new();
    for department in departments {
        let Some(members) = members.get(&department.dept_id) else {
            continue;
        };
        let wanted = match random.random_range(0..10) {
            0..3 => 0,
            3..8 => 1,
            _ => 2,
        };
        for _ in 0..wanted {
            if let Some(&index) = members.choose(random) {
                let userid = &people[index].userid;
                if !department.is_managed_by(userid) {
                    department.managers.push(Userid::clone(userid));
                }
            }
        }
        if let Some(head) = department.managers.first() {
            heads.insert(department.dept_id, Userid::clone(head));
            department.owner = random.random_ratio(1, 2).then(|| Userid::clone(head));
        }
    }
    let top = people.first().map(|person| Userid::clone(&person.userid));
    for person in people.iter_mut().skip(1) {
        if random.random_ratio(1, 8) {
            continue;
        }
        let head = person.memberships.first().and_then(|home| heads.get(&home.dept_id));
        person.manager = match head {
            Some(head) if *head != person.userid => Some(Userid::clone(head)),
            Some(_) => top.clone(),
            None => None,
        };
    }
}

const GROUPS: [(&str, &[&str]); 6] = [
    ("职务", &["财务", "人事", "出纳", "会计", "行政", "销售", "客服", "研发", "店长", "采购"]),
    ("安全", &["消防员", "安全员", "急救员", "夜班值守"]),
    ("项目", &["项目经理", "项目成员", "评审专家"]),
    ("工会与党群", &["员工代表", "党支部书记", "工会小组长"]),
    ("信息系统", &["系统管理员", "OA 审批人", "报表查看者"]),
    ("临时", &[]),
];

fn roles() -> (Vec<RoleGroup>, Vec<Role>) {
    let built_in = [
        ("负责人", BuiltIn::Boss),
        ("主管", BuiltIn::Manager),
        ("主管理员", BuiltIn::MainAdmin),
        ("子管理员", BuiltIn::SubAdmin),
    ];
    let mut next = FIRST_ROLE;
    let mut id = || {
        next += 1;
        next
    };
    let default_group = id();
    let mut groups = vec![RoleGroup { group_id: default_group, name: "默认".to_owned(), built_in: true }];
    let mut roles: Vec<Role> = built_in
        .into_iter()
        .map(|(name, duty)| Role {
            role_id: id(),
            group_id: default_group,
            name: name.to_owned(),
            built_in: Some(duty),
        })
        .collect();
    for (group, names) in GROUPS {
        let group_id = id();
        groups.push(RoleGroup { group_id, name: group.to_owned(), built_in: false });
        roles.extend(names.iter().map(|name| Role {
            role_id: id(),
            group_id,
            name: (*name).to_owned(),
            built_in: None,
        }));
    }
    (groups, roles)
}

fn grant(random: &mut Random, roles: &[Role], departments: &[Department], people: &mut [Person]) {
    let editable: Vec<&Role> = roles.iter().filter(|role| role.built_in.is_none()).collect();
    // The last one is held by nobody, and 员工代表 by so many that its list has several pages.
    let (Some((_, given)), Some(popular)) =
        (editable.split_last(), editable.iter().find(|role| role.name == "员工代表"))
    else {
        return;
    };
    for person in people {
        let count = match random.random_range(0..100) {
            0..75 => 0,
            75..92 => 1,
            92..98 => 2,
            _ => 3,
        };
        for _ in 0..count {
            let role = if random.random_ratio(1, 4) { Some(popular) } else { given.choose(random) };
            let Some(role) = role.filter(|role| !person.has_role(role.role_id)) else {
                continue;
            };
            let mut manages: Vec<i64> = Vec::new();
            if random.random_ratio(1, 5) {
                for _ in 0..random.random_range(1..4) {
                    if let Some(department) = departments.choose(random)
                        && !manages.contains(&department.dept_id)
                    {
                        manages.push(department.dept_id);
                    }
                }
            }
            person.roles.push(RoleGrant { role_id: role.role_id, manages });
        }
    }
}
