//! `ding_department`.

use super::super::change::Entity;
use super::super::error::StoreError;
use super::super::sql::{Value, args};
use super::{Beside, Fate, Json, Stamp, Stored, mirror_row};
use crate::store::change::Action;
use crate::store::conn::Conn;

mirror_row! {
    /// A department's columns.
    Department, Entity::Department, "ding_department", "dept_id",
    {
        /// `None` for the root.
        parent_id: i64,
        /// The root carries the organisation's.
        name: String,
        /// Small first.
        dept_order: i64,
        /// A JSON array.
        manager_userids: Json,
        /// The key that another system gave it.
        source_identifier: String,
        /// Hidden from those outside of it.
        is_hidden: bool,
        /// Its members see only themselves.
        is_outer: bool,
        /// A description.
        brief: String,
        /// Set only through DingTalk's update call.
        code: String,
        /// The owner of its chat group.
        owner_userid: String,
    }
}

impl Conn {
    /// A department's row.
    pub async fn department(
        &mut self,
        corp_id: &str,
        dept_id: i64,
    ) -> Result<Option<Stored<Department>>, StoreError> {
        self.stored(corp_id, &Value::Integer(dept_id)).await
    }

    /// Makes a department's row what a read said.
    pub async fn write_department(
        &mut self,
        dept_id: i64,
        before: Option<&Stored<Department>>,
        after: &Department,
        fate: Fate,
        stamp: &Stamp,
    ) -> Result<Option<Action>, StoreError> {
        let key = Value::Integer(dept_id);
        self.write_row(&key, before, after, fate, Beside::default(), stamp).await
    }

    /// The current children of a department, with the name and parent that `listsub` shows as well.
    pub async fn child_departments(
        &mut self,
        corp_id: &str,
        parent_id: i64,
    ) -> Result<Vec<(i64, Option<String>)>, StoreError> {
        let sql = "SELECT dept_id, name FROM ding_department \
                   WHERE parent_id = ? AND corp_id = ? AND deleted_at IS NULL";
        let rows = self.rows(sql, args![parent_id, corp_id]).await?;
        rows.iter().map(|row| Ok((row.integer(0)?.unwrap_or_default(), row.text(1)?))).collect()
    }

    /// The current departments whose owner `userid` is.
    pub async fn departments_owned_by(
        &mut self,
        corp_id: &str,
        userid: &str,
    ) -> Result<Vec<i64>, StoreError> {
        let sql = "SELECT dept_id FROM ding_department \
                   WHERE corp_id = ? AND owner_userid = ? AND deleted_at IS NULL";
        let rows = self.rows(sql, args![corp_id, userid]).await?;
        rows.iter().map(|row| Ok(row.integer(0)?.unwrap_or_default())).collect()
    }

    /// The people whose direct department this is.
    pub async fn department_members(
        &mut self,
        corp_id: &str,
        dept_id: i64,
    ) -> Result<Vec<String>, StoreError> {
        let sql = "SELECT userid FROM ding_employee_department WHERE dept_id = ? AND corp_id = ?";
        let rows = self.rows(sql, args![dept_id, corp_id]).await?;
        rows.iter().map(|row| Ok(row.text(0)?.unwrap_or_default())).collect()
    }

    /// Ids of current departments after `after`, in their order.
    pub async fn department_ids_after(
        &mut self,
        corp_id: &str,
        after: i64,
        limit: usize,
    ) -> Result<Vec<i64>, StoreError> {
        let sql = "SELECT dept_id FROM ding_department \
                   WHERE corp_id = ? AND dept_id > ? AND deleted_at IS NULL ORDER BY dept_id LIMIT ?";
        let rows = self.rows(sql, args![corp_id, after, limit]).await?;
        rows.iter().map(|row| Ok(row.integer(0)?.unwrap_or_default())).collect()
    }

    /// Current departments whose parent is none: the tops of what is visible, as far as the mirror knows.
    pub async fn top_department_ids(&mut self, corp_id: &str) -> Result<Vec<i64>, StoreError> {
        let sql = "SELECT dept_id FROM ding_department AS top WHERE corp_id = ? AND deleted_at IS NULL \
                   AND NOT EXISTS (SELECT 1 FROM ding_department AS parent WHERE parent.corp_id = top.corp_id \
                   AND parent.dept_id = top.parent_id AND parent.deleted_at IS NULL) ORDER BY dept_id";
        let rows = self.rows(sql, args![corp_id]).await?;
        rows.iter().map(|row| Ok(row.integer(0)?.unwrap_or_default())).collect()
    }
}
