//! Takes personal columns out of rows that are there: those that are not to be stored any more, and those of people who
//! have been gone for long enough.
//!
//! The change log tells of it with an `update` that names the columns and no values, so that whoever has copied them
//! learns that they are gone; what it held of them before is taken out by [`super::scrub`].

use jiff::Timestamp;

use super::super::change::{Action, JsonObject};
use super::super::error::StoreError;
use super::super::sql::{Value, args};
use super::employee::departments_json;
use super::fields::LeaveOut as _;
use super::{Employee, FieldSet, MirrorRow as _, Stamp};
use crate::store::conn::Conn;

/// Whose columns are erased.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whose {
    /// Of whoever has them.
    Anybody,
    /// Only of people who are gone.
    Leaver,
}

impl Conn {
    /// Erases columns of a person, memberships included. False where there was nothing to erase.
    pub async fn erase_fields(
        &mut self,
        userid: &str,
        fields: &FieldSet,
        whose: Whose,
        stamp: &Stamp,
    ) -> Result<bool, StoreError> {
        let corp_id = stamp.corp_id.as_str();
        let assignments: Vec<String> =
            fields.names().iter().map(|column| format!("{column} = NULL")).collect();
        let only = if whose == Whose::Leaver { "AND deleted_at IS NOT NULL" } else { "" };
        let Some(before) = self.employee(corp_id, userid).await? else { return Ok(false) };
        let mut after = before.row.clone();
        after.leave_out(fields);
        if after == before.row {
            return Ok(false);
        }
        // From here on nobody else writes him until the commit: the columns that stay are not touched.
        let sql = format!(
            "UPDATE ding_employee SET {}, updated_at = ? WHERE corp_id = ? AND userid = ? {only}",
            assignments.join(", "),
        );
        if self.count(sql, args![stamp.now, corp_id, userid]).await? == 0 {
            return Ok(false);
        }
        let (mut old, mut new) = (JsonObject::default(), JsonObject::default());
        let values = before.row.row.values().into_iter().zip(after.row.values());
        for (column, (was, is)) in Employee::COLUMNS.iter().zip(values) {
            if was != is {
                old.field(column, &Value::Null);
                new.field(column, &Value::Null);
            }
        }
        if after.departments != before.row.departments {
            for column in ["title", "work_place"].into_iter().filter(|column| fields.contains(column)) {
                let sql = format!(
                    "UPDATE ding_employee_department SET {column} = NULL WHERE corp_id = ? AND userid = ?"
                );
                self.execute(sql, args![corp_id, userid]).await?;
            }
            let mut now = self.employee(corp_id, userid).await?.map(|person| person.row).unwrap_or_default();
            now.leave_out(fields);
            let departments = departments_json(&now.departments);
            old.raw("departments", &departments);
            new.raw("departments", &departments);
        }
        self.log::<Employee>(&userid.into(), Action::Update, old.finish(), new.finish(), stamp);
        Ok(true)
    }

    /// Up to `limit` people after `after` who have a value in one of the columns, in the order of their ids.
    pub async fn employees_with(
        &mut self,
        corp_id: &str,
        fields: &FieldSet,
        after: &str,
        limit: usize,
    ) -> Result<Vec<String>, StoreError> {
        let given: Vec<String> =
            fields.names().iter().map(|column| format!("{column} IS NOT NULL")).collect();
        let sql = format!(
            "SELECT userid FROM ding_employee WHERE corp_id = ? AND userid > ? AND ({}) \
             ORDER BY userid LIMIT ?",
            given.join(" OR "),
        );
        let mut found = self.userids(&sql, args![corp_id, after, limit]).await?;
        let places: Vec<String> = ["title", "work_place"]
            .into_iter()
            .filter(|column| fields.contains(column))
            .map(|column| format!("{column} IS NOT NULL"))
            .collect();
        if !places.is_empty() {
            let sql = format!(
                "SELECT DISTINCT userid FROM ding_employee_department WHERE corp_id = ? AND userid > ? AND ({}) \
                 ORDER BY userid LIMIT ?",
                places.join(" OR "),
            );
            found.extend(self.userids(&sql, args![corp_id, after, limit]).await?);
            found.sort();
            found.dedup();
            found.truncate(limit);
        }
        Ok(found)
    }

    /// Up to `limit` people who were gone at `before` and still have personal columns.
    pub async fn leavers_before(
        &mut self,
        corp_id: &str,
        before: Timestamp,
        limit: usize,
    ) -> Result<Vec<String>, StoreError> {
        let given: Vec<String> =
            FieldSet::personal().names().iter().map(|column| format!("{column} IS NOT NULL")).collect();
        let sql = format!(
            "SELECT userid FROM ding_employee WHERE corp_id = ? AND deleted_at < ? AND ({}) \
             ORDER BY userid LIMIT ?",
            given.join(" OR "),
        );
        self.userids(&sql, args![corp_id, before, limit]).await
    }

    /// The people who are gone and whose `column` (`name`, `mobile` or `job`) was `value`; `None` for another column.
    pub async fn find_leavers(
        &mut self,
        corp_id: &str,
        column: &str,
        value: &str,
    ) -> Result<Option<Vec<String>>, StoreError> {
        let column = match column {
            "mobile" => "mobile",
            "job" => "job_number",
            "name" => "name",
            _ => return Ok(None),
        };
        let sql = format!(
            "SELECT userid FROM ding_employee WHERE {column} = ? AND corp_id = ? AND deleted_at IS NOT NULL"
        );
        self.userids(&sql, args![value, corp_id]).await.map(Some)
    }

    async fn userids(&mut self, sql: &str, args: &[Value]) -> Result<Vec<String>, StoreError> {
        let mut userids = Vec::new();
        for row in &self.rows(sql, args).await? {
            userids.extend(row.text(0)?);
        }
        Ok(userids)
    }
}
