//! The mirror's rows as named values, for whoever writes them somewhere else.

use jiff::Timestamp;

use super::apply::MemberOf;
use super::change::{Entity, JsonObject, json_array};
use super::conn::Conn;
use super::error::StoreError;
use super::sql::{Row, Value, args, texts_of};

/// What a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FactKind {
    /// True or false.
    Flag,
    /// A whole number.
    Number,
    /// A text.
    Text,
    /// An instant.
    Instant,
    /// A day.
    Day,
    /// A JSON document.
    Json,
}

impl FactKind {
    /// The value as what it is: an embedded file keeps flags as numbers, and times as texts.
    fn read(self, row: &Row, column: usize) -> Result<Value, StoreError> {
        Ok(match self {
            Self::Flag => row.flag(column)?.into(),
            Self::Number => row.integer(column)?.into(),
            Self::Text => row.text(column)?.into(),
            Self::Instant => row.instant(column)?.into(),
            Self::Day => row.day(column)?.into(),
            Self::Json => row.text(column)?.map(Value::Json).into(),
        })
    }

    /// A value of the change log.
    pub(crate) fn of_json(self, value: &serde_json::Value) -> Value {
        use serde_json::Value as Document;
        match (self, value) {
            (_, Document::Null) => Value::Null,
            (Self::Json, document) => Value::Json(document.to_string()),
            (_, Document::Bool(flag)) => Value::Flag(*flag),
            (_, Document::Number(number)) => match number.as_i64() {
                Some(number) => Value::Integer(number),
                None => Value::Text(number.to_string()),
            },
            (Self::Number, Document::String(text)) => match text.parse::<i64>() {
                Ok(number) => Value::Integer(number),
                Err(_) => Value::Text(text.clone()),
            },
            (Self::Instant, Document::String(text)) => text.parse::<Timestamp>().ok().into(),
            (Self::Day, Document::String(text)) => text.parse::<jiff::civil::Date>().ok().into(),
            (_, Document::String(text)) => Value::Text(text.clone()),
            (_, document) => Value::Text(document.to_string()),
        }
    }
}

/// A column and what it holds.
pub(crate) type FactColumn = (&'static str, FactKind);

use FactKind::{Day, Flag, Instant, Json, Number, Text};

/// `ding_department`
const DEPARTMENT: &[FactColumn] = &[
    ("dept_id", Number),
    ("parent_id", Number),
    ("name", Text),
    ("dept_order", Number),
    ("manager_userids", Json),
    ("source_identifier", Text),
    ("is_hidden", Flag),
    ("is_outer", Flag),
    ("brief", Text),
    ("code", Text),
    ("owner_userid", Text),
    ("deleted_at", Instant),
    ("created_at", Instant),
    ("updated_at", Instant),
];

/// `ding_employee`
const EMPLOYEE: &[FactColumn] = &[
    ("userid", Text),
    ("unionid", Text),
    ("name", Text),
    ("mobile", Text),
    ("state_code", Text),
    ("telephone", Text),
    ("email", Text),
    ("org_email", Text),
    ("job_number", Text),
    ("title", Text),
    ("work_place", Text),
    ("remark", Text),
    ("avatar", Text),
    ("extension", Json),
    ("hired_date", Day),
    ("manager_userid", Text),
    ("main_dept_id", Number),
    ("is_activated", Flag),
    ("is_admin", Flag),
    ("is_boss", Flag),
    ("is_senior", Flag),
    ("is_mobile_hidden", Flag),
    ("is_disabled", Flag),
    ("detail_read_at", Instant),
    ("gone_at", Instant),
    ("deleted_at", Instant),
    ("created_at", Instant),
    ("updated_at", Instant),
];

/// `ding_role`
const ROLE: &[FactColumn] = &[
    ("role_id", Number),
    ("group_id", Number),
    ("name", Text),
    ("deleted_at", Instant),
    ("created_at", Instant),
    ("updated_at", Instant),
];

/// `ding_employee_department`
const DEPARTMENT_MEMBER: &[FactColumn] = &[
    ("dept_id", Number),
    ("is_leader", Flag),
    ("is_main", Flag),
    ("member_order", Number),
    ("title", Text),
    ("work_place", Text),
];

/// `ding_employee_role`
const ROLE_MEMBER: &[FactColumn] = &[("role_id", Number), ("manage_dept_ids", Json)];

/// The columns of an entity's table; none for role groups, which stand in their roles.
pub(crate) fn columns_of(entity: Entity) -> &'static [FactColumn] {
    match entity {
        Entity::Department => DEPARTMENT,
        Entity::Employee => EMPLOYEE,
        Entity::Role => ROLE,
        Entity::RoleGroup => &[],
    }
}

/// The columns of a membership; the first one is the id of what it is in.
pub(crate) fn member_columns_of(of: MemberOf) -> &'static [FactColumn] {
    match of {
        MemberOf::Departments => DEPARTMENT_MEMBER,
        MemberOf::Roles => ROLE_MEMBER,
    }
}

/// Named values.
pub(crate) type Facts = Vec<(&'static str, Value)>;

/// Rows as a JSON array, as the change log has it.
pub(crate) fn json_of(rows: &[Facts]) -> String {
    json_array(rows.iter().map(|row| {
        let mut object = JsonObject::default();
        row.iter().for_each(|(name, value)| object.field(name, value));
        object
    }))
}

/// A current department's place in the tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TreeNode {
    pub(crate) dept_id: i64,
    pub(crate) parent_id: Option<i64>,
    pub(crate) name: String,
    /// JSON array of userids.
    pub(crate) manager_userids: Option<String>,
}

/// What a page shows of a manager.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct ManagerFacts {
    pub(crate) name: Option<String>,
    pub(crate) mobile: Option<String>,
    pub(crate) email: Option<String>,
}

fn names(columns: &[FactColumn]) -> String {
    columns.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ")
}

fn facts(columns: &'static [FactColumn], row: &Row) -> Result<Facts, StoreError> {
    columns.iter().enumerate().map(|(at, (name, kind))| Ok((*name, kind.read(row, at)?))).collect()
}

fn table_of(entity: Entity) -> (&'static str, &'static str) {
    match entity {
        Entity::Department => ("ding_department", "dept_id"),
        Entity::Employee => ("ding_employee", "userid"),
        Entity::RoleGroup => ("ding_role_group", "group_id"),
        Entity::Role => ("ding_role", "role_id"),
    }
}

/// An id as the key column holds it.
fn key(entity: Entity, id: &str) -> Value {
    match entity {
        Entity::Employee => id.into(),
        _ => id.parse::<i64>().unwrap_or_default().into(),
    }
}

impl Conn {
    /// An object's row, gone or not.
    pub(crate) async fn facts(
        &mut self,
        corp_id: &str,
        entity: Entity,
        id: &str,
    ) -> Result<Option<Facts>, StoreError> {
        let (table, column) = table_of(entity);
        let columns = columns_of(entity);
        if columns.is_empty() {
            return Ok(None);
        }
        let sql = format!("SELECT {} FROM {table} WHERE corp_id = ? AND {column} = ?", names(columns));
        let row = self.row(sql, args![corp_id, key(entity, id)]).await?;
        row.as_ref().map(|row| facts(columns, row)).transpose()
    }

    /// Somebody's memberships, in the order of their ids.
    pub(crate) async fn member_facts(
        &mut self,
        corp_id: &str,
        of: MemberOf,
        userid: &str,
    ) -> Result<Vec<Facts>, StoreError> {
        let columns = member_columns_of(of);
        let sql = format!(
            "SELECT {} FROM ding_{} WHERE corp_id = ? AND userid = ? ORDER BY {}",
            names(columns),
            of.label(),
            columns[0].0
        );
        let rows = self.rows(sql, args![corp_id, userid]).await?;
        rows.iter().map(|row| facts(columns, row)).collect()
    }

    /// All current departments.
    pub(crate) async fn department_tree(&mut self, corp_id: &str) -> Result<Vec<TreeNode>, StoreError> {
        let sql = "SELECT dept_id, parent_id, name, manager_userids FROM ding_department \
                   WHERE corp_id = ? AND deleted_at IS NULL ORDER BY dept_id";
        let rows = self.rows(sql, args![corp_id]).await?;
        rows.iter()
            .map(|row| {
                Ok(TreeNode {
                    dept_id: row.integer(0)?.unwrap_or_default(),
                    parent_id: row.integer(1)?,
                    name: row.text(2)?.unwrap_or_default(),
                    manager_userids: row.text(3)?,
                })
            })
            .collect()
    }

    /// What a page shows of a manager who is there.
    pub(crate) async fn manager_facts(
        &mut self,
        corp_id: &str,
        userid: &str,
    ) -> Result<Option<ManagerFacts>, StoreError> {
        let sql = "SELECT name, mobile, email FROM ding_employee \
                   WHERE corp_id = ? AND userid = ? AND deleted_at IS NULL";
        let row = self.row(sql, args![corp_id, userid]).await?;
        row.map(|row| Ok(ManagerFacts { name: row.text(0)?, mobile: row.text(1)?, email: row.text(2)? }))
            .transpose()
    }

    /// The name of a role group that is there.
    pub(crate) async fn role_group_name(
        &mut self,
        corp_id: &str,
        group_id: i64,
    ) -> Result<Option<String>, StoreError> {
        let sql =
            "SELECT name FROM ding_role_group WHERE corp_id = ? AND group_id = ? AND deleted_at IS NULL";
        let row = self.row(sql, args![corp_id, group_id]).await?;
        Ok(row.map(|row| row.text(0)).transpose()?.flatten())
    }

    /// The ids of an entity's objects after `after`, gone ones too, in order.
    pub(crate) async fn object_ids_after(
        &mut self,
        corp_id: &str,
        entity: Entity,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<String>, StoreError> {
        let (table, column) = table_of(entity);
        let sql = match after {
            Some(_) => format!(
                "SELECT {column} FROM {table} WHERE corp_id = ? AND {column} > ? ORDER BY {column} LIMIT ?"
            ),
            None => format!("SELECT {column} FROM {table} WHERE corp_id = ? ORDER BY {column} LIMIT ?"),
        };
        let mut args = vec![Value::from(corp_id)];
        args.extend(after.map(|after| key(entity, after)));
        args.push(limit.into());
        self.texts(&sql, &args).await
    }

    /// The people in a department.
    pub(crate) async fn members_of(
        &mut self,
        corp_id: &str,
        dept_id: i64,
    ) -> Result<Vec<String>, StoreError> {
        let sql = "SELECT userid FROM ding_employee_department WHERE corp_id = ? AND dept_id = ?";
        self.texts(sql, args![corp_id, dept_id]).await
    }

    /// The people in a role.
    pub(crate) async fn holders_of(
        &mut self,
        corp_id: &str,
        role_id: i64,
    ) -> Result<Vec<String>, StoreError> {
        let sql = "SELECT userid FROM ding_employee_role WHERE corp_id = ? AND role_id = ?";
        self.texts(sql, args![corp_id, role_id]).await
    }

    /// The people whose manager is this one.
    pub(crate) async fn subordinates_of(
        &mut self,
        corp_id: &str,
        userid: &str,
    ) -> Result<Vec<String>, StoreError> {
        let sql = "SELECT userid FROM ding_employee \
                   WHERE corp_id = ? AND manager_userid = ? AND deleted_at IS NULL";
        self.texts(sql, args![corp_id, userid]).await
    }

    /// The roles of a group.
    pub(crate) async fn roles_of_group(
        &mut self,
        corp_id: &str,
        group_id: i64,
    ) -> Result<Vec<String>, StoreError> {
        let sql = "SELECT role_id FROM ding_role WHERE corp_id = ? AND group_id = ? AND deleted_at IS NULL";
        self.texts(sql, args![corp_id, group_id]).await
    }

    async fn texts(&mut self, sql: &str, args: &[Value]) -> Result<Vec<String>, StoreError> {
        texts_of(&self.rows(sql, args).await?)
    }
}
