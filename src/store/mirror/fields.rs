//! Columns of people that hold what is personal: which are left out, and which are erased.

use super::{Employee, ListedPerson, Membership, Person};

/// Columns that may be left out.
const EXCLUDABLE: [&str; 13] = [
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
    "is_mobile_hidden",
];

/// Columns that are personal as well, and cannot be left out: people could not be told apart without them.
const TELLING_APART: [&str; 2] = ["unionid", "name"];

/// Some columns of `ding_employee`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FieldSet(Vec<&'static str>);

impl FieldSet {
    /// Columns without which people cannot be told apart.
    pub const IDENTIFYING: [&'static str; 3] = ["userid", "unionid", "name"];

    /// The columns with these names; `None` if one of them is none that may be left out.
    pub fn of(names: &[&str]) -> Option<Self> {
        let known = |name: &&str| EXCLUDABLE.contains(name);
        let fields = EXCLUDABLE.into_iter().filter(|known| names.contains(known)).collect();
        names.iter().all(known).then_some(Self(fields))
    }

    /// All that may be left out.
    pub fn excludable() -> Self {
        Self(EXCLUDABLE.to_vec())
    }

    /// Whatever tells something of a person beside the place in the organisation.
    pub fn personal() -> Self {
        Self(TELLING_APART.into_iter().chain(EXCLUDABLE).collect())
    }

    /// Their names.
    pub fn names(&self) -> &[&'static str] {
        &self.0
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether `name` is one of them.
    pub fn contains(&self, name: &str) -> bool {
        self.0.contains(&name)
    }
}

impl Employee {
    fn clear(&mut self, column: &str) {
        match column {
            "unionid" => self.unionid = None,
            "name" => self.name = None,
            "mobile" => self.mobile = None,
            "state_code" => self.state_code = None,
            "telephone" => self.telephone = None,
            "email" => self.email = None,
            "org_email" => self.org_email = None,
            "job_number" => self.job_number = None,
            "title" => self.title = None,
            "work_place" => self.work_place = None,
            "remark" => self.remark = None,
            "avatar" => self.avatar = None,
            "extension" => self.extension = None,
            "hired_date" => self.hired_date = None,
            "is_mobile_hidden" => self.is_mobile_hidden = None,
            _ => {}
        }
    }
}

/// What can be stored without some columns.
pub trait LeaveOut {
    /// Takes the values of these columns away.
    fn leave_out(&mut self, fields: &FieldSet);
}

impl LeaveOut for Employee {
    fn leave_out(&mut self, fields: &FieldSet) {
        fields.names().iter().for_each(|column| self.clear(column));
    }
}

impl LeaveOut for Membership {
    fn leave_out(&mut self, fields: &FieldSet) {
        if fields.contains("title") {
            self.title = None;
        }
        if fields.contains("work_place") {
            self.work_place = None;
        }
    }
}

impl LeaveOut for Person {
    fn leave_out(&mut self, fields: &FieldSet) {
        self.row.leave_out(fields);
        self.departments.iter_mut().for_each(|membership| membership.leave_out(fields));
    }
}

impl LeaveOut for ListedPerson {
    fn leave_out(&mut self, fields: &FieldSet) {
        self.row.leave_out(fields);
        self.here.leave_out(fields);
    }
}

/// Departments hold nothing of people.
impl LeaveOut for super::Department {
    fn leave_out(&mut self, _: &FieldSet) {}
}

impl LeaveOut for super::Role {
    fn leave_out(&mut self, _: &FieldSet) {}
}

impl LeaveOut for super::RoleGroup {
    fn leave_out(&mut self, _: &FieldSet) {}
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::mirror::{Json, MirrorRow as _};

    #[test]
    fn every_personal_column_is_cleared() {
        let text = Some("x".to_owned());
        let mut row = Employee {
            unionid: text.clone(),
            name: text.clone(),
            mobile: text.clone(),
            state_code: text.clone(),
            telephone: text.clone(),
            email: text.clone(),
            org_email: text.clone(),
            job_number: text.clone(),
            title: text.clone(),
            work_place: text.clone(),
            remark: text.clone(),
            avatar: text,
            extension: Some(Json("{}".to_owned())),
            hired_date: Some(jiff::civil::date(2026, 1, 2)),
            is_mobile_hidden: Some(true),
            ..Employee::default()
        };
        row.leave_out(&FieldSet::personal());
        assert_eq!(row, Employee::default());
        assert!(FieldSet::personal().names().iter().all(|column| Employee::COLUMNS.contains(column)));
    }

    #[test]
    fn only_columns_that_may_be_left_out_are_taken() {
        assert_eq!(FieldSet::of(&["remark", "mobile"]).unwrap().names(), ["mobile", "remark"]);
        assert_eq!(FieldSet::of(&["mobile", "name"]), None);
        assert_eq!(FieldSet::of(&["mobil"]), None);
        assert!(EXCLUDABLE.iter().all(|column| FieldSet::personal().contains(column)));
    }
}
