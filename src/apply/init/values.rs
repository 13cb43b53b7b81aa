//! What is written into the columns.

use super::super::mapping::Part;
use super::TableColumn;
use super::codes;
use super::draft::{Draft, Field, Turn};
use super::sql::{Kind, empty_key, is_id, length};
use super::words::Meaning as M;
use crate::store::Dialect;

impl<'c> Draft<'c> {
    /// A key for a new row, made of DingTalk's ids, where the database makes none.
    pub(super) fn key(&self, column: &TableColumn) -> String {
        if column.is_generated {
            return if self.is_postgres() {
                let table = self.table.replace('\'', "''");
                let name = column.name.replace('\'', "''");
                format!("COALESCE(:oa_id, nextval(pg_get_serial_sequence('{table}', '{name}')))")
            } else {
                ":oa_id".to_owned()
            };
        }
        match Kind::of(column) {
            Kind::ShortNumber => ":oa_id".to_owned(),
            Kind::Number | Kind::Flag => format!("COALESCE(:oa_id, {})", self.number_digest()),
            Kind::Uuid => "COALESCE(:oa_id, gen_random_uuid())".to_owned(),
            Kind::Text | Kind::Other => format!("COALESCE(:oa_id, {})", self.text_digest(column)),
        }
    }

    pub(super) fn number_digest(&self) -> String {
        // 52 bits: what JavaScript can hold.
        match self.engine {
            Dialect::Mysql => format!("CONV(LEFT(SHA2({}, 256), 13), 16, 10)", self.ids()),
            Dialect::Postgres => {
                format!("CAST(CAST('x' || LEFT(MD5({}), 13) AS BIT(52)) AS BIGINT)", self.ids())
            }
            Dialect::Sqlite => "(random() & 4503599627370495)".to_owned(),
        }
    }

    pub(super) fn text_digest(&self, column: &TableColumn) -> String {
        let length = length(&column.type_text).map_or(32, |length| length.min(32));
        match self.engine {
            Dialect::Mysql => format!("LEFT(SHA2({}, 256), {length})", self.ids()),
            Dialect::Postgres => format!("LEFT(MD5({}), {length})", self.ids()),
            Dialect::Sqlite => format!("substr(lower(hex(randomblob(16))), 1, {length})"),
        }
    }

    /// DingTalk's ids of an object in one text; a userid that goes to another person is another one.
    pub(super) fn ids(&self) -> String {
        let ids: &[&str] = match self.part {
            Part::Department => &["dept_id"],
            Part::Role => &["role_id"],
            Part::Employee => &["userid", "unionid"],
            Part::DepartmentMember => &["employee_oa_id", "department_oa_id"],
            Part::RoleMember => &["employee_oa_id", "role_oa_id"],
        };
        let ids: Vec<String> = ["corp_id"].iter().chain(ids).map(|id| format!(":{id}")).collect();
        match self.engine {
            Dialect::Mysql => format!("CONCAT_WS(':', {})", ids.join(", ")),
            Dialect::Sqlite | Dialect::Postgres => {
                let texts: Vec<String> =
                    ids.iter().map(|id| format!("COALESCE(CAST({id} AS TEXT), '')")).collect();
                texts.join(" || ':' || ")
            }
        }
    }

    /// Whether the row's key tells whose it is, so that `find` can know it again.
    pub(super) fn has_digest(&self, key: &TableColumn) -> bool {
        self.engine == Dialect::Mysql && !key.is_generated && !matches!(Kind::of(key), Kind::ShortNumber)
    }

    /// What is written into a column of this meaning.
    pub(super) fn field(&self, column: &'c TableColumn, meaning: M) -> Option<Field<'c>> {
        let is_text = matches!(Kind::of(column), Kind::Text | Kind::Other);
        let must = !column.is_nullable && !column.has_default;
        let given = |value: &str| {
            let value = if column.is_nullable { value.to_owned() } else { format!("COALESCE({value}, '')") };
            (value, Turn::Given)
        };
        let always = |value: &str| (value.to_owned(), Turn::Always);
        let filled = |value: &str, empty: &str| {
            let value =
                if column.is_nullable { value.to_owned() } else { format!("COALESCE({value}, {empty})") };
            (value, Turn::Always)
        };
        let number = |parameter: &str| {
            let value = self.typed(parameter, "BIGINT");
            let value = if column.is_nullable { value } else { format!("COALESCE({value}, 0)") };
            match (Kind::of(column), self.engine) {
                (Kind::ShortNumber, Dialect::Mysql | Dialect::Postgres) => {
                    format!("LEAST({value}, 2147483647)")
                }
                _ => value,
            }
        };
        let (value, turn) = match (self.part, meaning) {
            (_, M::CorpId) => always(":corp_id"),
            (_, M::CreatedAt) => (":created_at".to_owned(), Turn::Once),
            (_, M::UpdatedAt) => (":updated_at".to_owned(), Turn::Beside),
            (_, M::CreatedBy) if is_text => ("'dingsync'".to_owned(), Turn::Once),
            (_, M::UpdatedBy) if is_text => ("'dingsync'".to_owned(), Turn::Beside),
            (_, M::Deleted | M::DeletedAt | M::Status) => return self.state_field(column),
            (Part::Employee, M::DingId) => always(":userid"),
            (Part::Department, M::DingId) => always(&self.ding_number(column, "dept_id")),
            (Part::Role, M::DingId) => always(&self.ding_number(column, "role_id")),
            (Part::Employee, M::UnionId) => always(":unionid"),
            (Part::Employee, M::Login) if is_text => (":userid".to_owned(), Turn::Once),
            (Part::Employee, M::Name) => filled(":name", ":userid"),
            (_, M::Name) => filled(":name", "''"),
            (Part::Employee, M::Password) if must => ("''".to_owned(), Turn::Once),
            (Part::Employee, M::Mobile) if is_text => given(":mobile"),
            (Part::Employee, M::Telephone) if is_text => given(":telephone"),
            (Part::Employee, M::Email) if is_text => {
                let email =
                    if column.is_nullable { "COALESCE(:org_email, :email)" } else { ":org_email, :email" };
                given(email)
            }
            (Part::Employee, M::JobNumber) if is_text => given(":job_number"),
            (Part::Employee, M::Title) if is_text && !is_id(column) && !column.comment.contains("字典") => {
                filled(":title", "''")
            }
            (Part::Employee, M::HiredDate) if column.is_nullable => always(":hired_date"),
            (Part::Employee, M::GoneAt) if column.is_nullable => always(":gone_at"),
            (Part::Employee, M::MainDept) if is_text && !is_id(column) => filled(":main_dept_name", "''"),
            (Part::Employee, M::MainDept) if column.is_nullable => always(":main_dept_oa_id"),
            (Part::Employee, M::MainDept) => {
                filled(&self.typed_key("main_dept_oa_id", is_text), empty_key(is_text))
            }
            (Part::Employee, M::MainDeptName) if is_text => filled(":main_dept_full_name", "''"),
            (Part::Employee | Part::Department, M::Manager) if is_text && !is_id(column) => {
                filled(":manager_name", "''")
            }
            (Part::Employee | Part::Department, M::Manager) if column.is_nullable => always(":manager_oa_id"),
            (Part::Employee, M::WorkPlace) if is_text => filled(":work_place", "''"),
            (Part::Employee, M::Avatar) if length(&column.type_text).is_none_or(|length| length >= 255) => {
                given(":avatar")
            }
            (Part::Department, M::Parent) => {
                if column.is_nullable && !column.has_default {
                    always(":parent_oa_id")
                } else {
                    let parent = self.typed_key("parent_oa_id", is_text);
                    always(&format!("COALESCE({parent}, {})", empty_key(is_text)))
                }
            }
            (Part::Department, M::FullName) if is_text => always(":full_name"),
            (Part::Department, M::Ancestors) if column.name.eq_ignore_ascii_case("ancestors") => {
                let below = self.joined(&["'0,'".to_owned(), ":ancestor_oa_ids".to_owned()]);
                always(&format!("CASE WHEN :ancestor_oa_ids = '' THEN '0' ELSE {below} END"))
            }
            (Part::Department, M::Ancestors) if is_text => always(":ancestor_oa_ids"),
            (Part::Department, M::Level) => always(":level"),
            (Part::Department, M::Order) => always(&number("dept_order")),
            (Part::Department, M::Code) if must => always(":dept_id"),
            (Part::Department, M::Code) if is_text => (":code".to_owned(), Turn::Given),
            (Part::Department, M::Mobile) if is_text => filled(":manager_mobile", "''"),
            (Part::Department, M::Email) if is_text => filled(":manager_email", "''"),
            (Part::Role, M::Code) if is_text => (self.role_code(), Turn::Once),
            (Part::Role, M::GroupName) if is_text => filled(":group_name", "''"),
            (Part::DepartmentMember | Part::RoleMember, M::Employee) => always(":employee_oa_id"),
            (Part::DepartmentMember, M::Department) => always(":department_oa_id"),
            (Part::RoleMember, M::Role) => always(":role_oa_id"),
            (Part::DepartmentMember, M::IsLeader) => always(&self.flag(column, "is_leader")),
            (Part::DepartmentMember, M::IsMain) => always(&self.flag(column, "is_main")),
            (Part::DepartmentMember, M::Order) => always(&number("member_order")),
            (Part::DepartmentMember, M::Title) if is_text => filled(":title", "''"),
            _ => return None,
        };
        Some(Field { column, value, turn })
    }

    /// A number of DingTalk's; MySQL is to compare a text with it as a text.
    pub(super) fn ding_number(&self, column: &TableColumn, parameter: &str) -> String {
        if self.engine == Dialect::Mysql && Kind::of(column) == Kind::Text {
            format!("CONCAT(:{parameter}, '')")
        } else {
            format!(":{parameter}")
        }
    }

    pub(super) fn typed_key(&self, parameter: &str, is_text: bool) -> String {
        if is_text { format!(":{parameter}") } else { self.typed(parameter, "BIGINT") }
    }

    pub(super) fn flag(&self, column: &TableColumn, parameter: &str) -> String {
        if column.is_nullable {
            return format!(":{parameter}");
        }
        format!("COALESCE(:{parameter}, {})", self.constant(column, "0"))
    }

    pub(super) fn role_code(&self) -> String {
        let id = if self.engine == Dialect::Mysql { ":role_id" } else { "CAST(:role_id AS BIGINT)" };
        self.joined(&["'ding_'".to_owned(), id.to_owned()])
    }

    /// What is written into the column that tells who is there, or into another one of that kind that must have a value.
    pub(super) fn state_field(&self, column: &'c TableColumn) -> Option<Field<'c>> {
        if let Some(absence) = self.absence().filter(|absence| absence.column == self.name(column)) {
            let value = match (self.part, absence.is_instant) {
                (Part::Employee, true) => ":gone_at".to_owned(),
                (Part::Employee, false) => {
                    let gone_at = self.typed("gone_at", "TIMESTAMP");
                    format!("CASE WHEN {gone_at} IS NULL THEN {} ELSE {} END", absence.here, absence.gone)
                }
                _ => absence.here,
            };
            return Some(Field { column, value, turn: Turn::Always });
        }
        let (here, _) = codes::of_comment(&column.comment).or_else(|| codes::of_name(&column.name))?;
        let value = self.constant(column, &here);
        (!column.has_default).then_some(Field { column, value, turn: Turn::Once })
    }
}
