//! Finding rows of the mirror by what people know of them.

use jiff::Timestamp;

use super::super::change::Entity;
use super::super::error::StoreError;
use super::super::sql::{Row, Value, args};
use super::{Role, RoleGroup, Stored};
use crate::store::conn::Conn;

/// What an object may be found by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FindBy {
    /// A person's mobile, without country prefix.
    Mobile,
    /// A person's job number, which is not unique in DingTalk.
    JobNumber,
    /// A person's unionid.
    Unionid,
    /// The name.
    Name,
}

impl FindBy {
    /// The column.
    pub fn column(self) -> &'static str {
        match self {
            Self::Mobile => "mobile",
            Self::JobNumber => "job_number",
            Self::Unionid => "unionid",
            Self::Name => "name",
        }
    }

    /// Whether objects of this kind can be found by it.
    pub fn finds(self, entity: Entity) -> bool {
        entity == Entity::Employee || self == Self::Name
    }
}

/// The table of an entity and its key.
fn table(entity: Entity) -> (&'static str, &'static str) {
    match entity {
        Entity::Department => ("ding_department", "dept_id"),
        Entity::Employee => ("ding_employee", "userid"),
        Entity::RoleGroup => ("ding_role_group", "group_id"),
        Entity::Role => ("ding_role", "role_id"),
    }
}

/// The key of an object as its table holds it; `None` where it cannot be one.
fn key(entity: Entity, id: &str) -> Option<Value> {
    match entity {
        Entity::Employee => Some(id.into()),
        Entity::Department | Entity::RoleGroup | Entity::Role => id.parse::<i64>().ok().map(Value::from),
    }
}

impl Conn {
    /// The ids of up to `limit` current rows whose column is `value`, byte by byte, in their order.
    pub async fn find_ids(
        &mut self,
        corp_id: &str,
        entity: Entity,
        by: FindBy,
        value: &str,
        limit: usize,
    ) -> Result<Vec<String>, StoreError> {
        let ((table, key), column) = (table(entity), by.column());
        let sql = format!(
            "SELECT {key}, {column} FROM {table} WHERE {column} = ? AND corp_id = ? AND deleted_at IS NULL \
             ORDER BY {key} LIMIT ?"
        );
        let mut ids = Vec::new();
        for row in self.rows(sql, args![value, corp_id, limit]).await? {
            // A collation may take a text with spaces at its end for the same.
            if row.text(1)?.as_deref() == Some(value) {
                ids.extend(row.text(0)?);
            }
        }
        Ok(ids)
    }

    /// Ids of current rows after `after`, in the order of their keys; from the first one without it.
    pub async fn ids_after(
        &mut self,
        corp_id: &str,
        entity: Entity,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<String>, StoreError> {
        let (table, key_column) = table(entity);
        let after = match (after.and_then(|after| key(entity, after)), entity) {
            (Some(after), _) => after,
            (None, Entity::Employee) => "".into(),
            (None, _) => i64::MIN.into(),
        };
        let sql = format!(
            "SELECT {key_column} FROM {table} WHERE corp_id = ? AND {key_column} > ? AND deleted_at IS NULL \
             ORDER BY {key_column} LIMIT ?"
        );
        let rows = self.rows(sql, &[corp_id.into(), after, limit.into()]).await?;
        let mut ids = Vec::new();
        for row in &rows {
            ids.extend(row.text(0)?);
        }
        Ok(ids)
    }

    /// A role's row.
    pub async fn role(&mut self, corp_id: &str, role_id: i64) -> Result<Option<Stored<Role>>, StoreError> {
        self.stored(corp_id, &Value::Integer(role_id)).await
    }

    /// A role group's row.
    pub async fn role_group(
        &mut self,
        corp_id: &str,
        group_id: i64,
    ) -> Result<Option<Stored<RoleGroup>>, StoreError> {
        self.stored(corp_id, &Value::Integer(group_id)).await
    }

    /// When a row was made, and when a value of it changed last.
    pub async fn row_times(
        &mut self,
        corp_id: &str,
        entity: Entity,
        id: &str,
    ) -> Result<Option<(Timestamp, Timestamp)>, StoreError> {
        let (table, key_column) = table(entity);
        let Some(key) = key(entity, id) else { return Ok(None) };
        let sql =
            format!("SELECT created_at, updated_at FROM {table} WHERE corp_id = ? AND {key_column} = ?");
        let row = self.row(sql, &[corp_id.into(), key]).await?;
        let times = |row: &Row| -> Result<_, StoreError> {
            Ok((row.instant(0)?.unwrap_or_default(), row.instant(1)?.unwrap_or_default()))
        };
        row.as_ref().map(times).transpose()
    }

    /// The names of departments and roles, by id, for those that the mirror knows.
    pub async fn names(
        &mut self,
        corp_id: &str,
        entity: Entity,
        ids: &[i64],
    ) -> Result<Vec<(i64, String)>, StoreError> {
        let (table, key_column) = table(entity);
        let mut names = Vec::new();
        for id in ids {
            let sql = format!("SELECT name FROM {table} WHERE corp_id = ? AND {key_column} = ?");
            let row = self.row(sql, args![corp_id, *id]).await?;
            names.extend(row.map(|row| row.text(0)).transpose()?.flatten().map(|name| (*id, name)));
        }
        Ok(names)
    }
}
