//! `ding_role_group`, `ding_role`, and what role lists say of their members.

use std::collections::BTreeMap;

use super::super::change::{Action, Entity};
use super::super::error::StoreError;
use super::super::sql::{Value, args, key_lists, placeholders};
use super::{Beside, Difference, Fate, MirrorRow, Stamp, Stored, mirror_row};
use crate::store::conn::Conn;

mirror_row! {
    /// A role group's columns.
    RoleGroup, Entity::RoleGroup, "ding_role_group", "group_id",
    {
        /// Its name.
        name: String,
    }
}

mirror_row! {
    /// A role's columns.
    Role, Entity::Role, "ding_role", "role_id",
    {
        /// The group that it belongs to.
        group_id: i64,
        /// Its name.
        name: String,
    }
}

/// What a role's member list says of one member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoleScope {
    /// The member.
    pub userid: String,
    /// The departments that the member manages in the role, a JSON array; `None` where the list says nothing of it.
    pub manage_dept_ids: Option<String>,
}

/// Somebody of whom a role's member list and the mirror do not say the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DifferingMember {
    /// Who it is.
    pub userid: String,
    /// Whether the mirror shows the role.
    pub has_role: bool,
    /// How the managed departments differ, if they do.
    pub scope: Option<Difference>,
}

/// Who has which role.
const MEMBERSHIPS: &str = "ding_employee_role";
/// What role lists last said, of members and of others.
const KEPT: &str = "dingsync_role_scope";

impl Conn {
    /// All role groups that were ever seen, by id.
    pub async fn role_groups(&mut self, corp_id: &str) -> Result<Vec<(i64, Stored<RoleGroup>)>, StoreError> {
        self.all_rows(corp_id).await
    }

    /// All roles that were ever seen, by id.
    pub async fn roles(&mut self, corp_id: &str) -> Result<Vec<(i64, Stored<Role>)>, StoreError> {
        self.all_rows(corp_id).await
    }

    async fn all_rows<R: MirrorRow>(&mut self, corp_id: &str) -> Result<Vec<(i64, Stored<R>)>, StoreError> {
        let columns = R::COLUMNS.join(", ");
        let sql = format!(
            "SELECT {key}, deleted_at, {columns} FROM {table} WHERE corp_id = ? ORDER BY {key}",
            key = R::KEY,
            table = R::TABLE,
        );
        let rows = self.rows(sql, args![corp_id]).await?;
        rows.iter()
            .map(|row| {
                let stored = Stored { row: R::read(row, 2)?, deleted_at: row.instant(1)? };
                Ok((row.integer(0)?.unwrap_or_default(), stored))
            })
            .collect()
    }

    /// Makes a role group's row what a read said.
    pub async fn write_role_group(
        &mut self,
        group_id: i64,
        before: Option<&Stored<RoleGroup>>,
        after: &RoleGroup,
        fate: Fate,
        stamp: &Stamp,
    ) -> Result<Option<Action>, StoreError> {
        self.write_row(&Value::Integer(group_id), before, after, fate, Beside::default(), stamp).await
    }

    /// Makes a role's row what a read said.
    pub async fn write_role(
        &mut self,
        role_id: i64,
        before: Option<&Stored<Role>>,
        after: &Role,
        fate: Fate,
        stamp: &Stamp,
    ) -> Result<Option<Action>, StoreError> {
        self.write_row(&Value::Integer(role_id), before, after, fate, Beside::default(), stamp).await
    }

    /// Of `role_ids`, those that the mirror knows, each with whether it is a current one.
    pub async fn role_lives(
        &mut self,
        corp_id: &str,
        role_ids: &[i64],
    ) -> Result<Vec<(i64, bool)>, StoreError> {
        let keys: Vec<Value> = role_ids.iter().map(|&id| Value::Integer(id)).collect();
        let mut known = Vec::new();
        for list in key_lists(&keys) {
            let sql = format!(
                "SELECT role_id, deleted_at IS NULL FROM ding_role WHERE role_id IN ({}) AND corp_id = ?",
                placeholders(list.len()),
            );
            let args: Vec<Value> = list.into_iter().chain([corp_id.into()]).collect();
            for row in self.rows(sql, &args).await? {
                known.extend(row.integer(0)?.zip(row.flag(1)?));
            }
        }
        Ok(known)
    }

    /// What role lists said of the departments that `userid` manages, for the given roles.
    pub async fn role_scopes_of(
        &mut self,
        corp_id: &str,
        userid: &str,
        role_ids: &[i64],
    ) -> Result<Vec<(i64, String)>, StoreError> {
        let keys: Vec<Value> = role_ids.iter().map(|&id| Value::Integer(id)).collect();
        let mut scopes = Vec::new();
        for list in key_lists(&keys) {
            let sql = format!(
                "SELECT role_id, manage_dept_ids FROM dingsync_role_scope \
                 WHERE role_id IN ({}) AND corp_id = ? AND userid = ?",
                placeholders(list.len()),
            );
            let args: Vec<Value> = list.into_iter().chain([corp_id.into(), userid.into()]).collect();
            for row in self.rows(sql, &args).await? {
                scopes.extend(row.integer(0)?.zip(row.text(1)?));
            }
        }
        scopes.sort_unstable();
        scopes.dedup();
        Ok(scopes)
    }

    /// The roles in which somebody manages `dept_id`.
    pub async fn roles_reaching(&mut self, corp_id: &str, dept_id: i64) -> Result<Vec<i64>, StoreError> {
        let sql = "SELECT DISTINCT role_id FROM dingsync_role_scope WHERE corp_id = ? \
                   AND REPLACE(REPLACE(manage_dept_ids, '[', ','), ']', ',') LIKE ?";
        // Ids beyond 2^53 stand in quotes.
        let mut roles = Vec::new();
        for pattern in [format!("%,{dept_id},%"), format!("%,\"{dept_id}\",%")] {
            for row in self.rows(sql, args![corp_id, pattern]).await? {
                roles.extend(row.integer(0)?);
            }
        }
        Ok(roles)
    }

    /// Keeps what a page of a role's member list says. `reading` tells this read of the list from the one before.
    pub async fn keep_role_scopes(
        &mut self,
        corp_id: &str,
        role_id: i64,
        page: &[RoleScope],
        reading: i64,
    ) -> Result<(), StoreError> {
        let sql = format!(
            "INSERT INTO dingsync_role_scope \
             (corp_id, role_id, userid, manage_dept_ids, seen_in) VALUES (?, ?, ?, ?, ?) {}",
            self.dialect().overwrite("corp_id, role_id, userid", &["manage_dept_ids", "seen_in"]),
        );
        let mut without = Vec::new();
        for listed in page {
            let Some(departments) = &listed.manage_dept_ids else {
                without.push(Value::from(&listed.userid));
                continue;
            };
            self.execute(&sql, args![corp_id, role_id, &listed.userid, departments, reading]).await?;
        }
        for list in key_lists(&without) {
            let sql = format!(
                "DELETE FROM dingsync_role_scope WHERE userid IN ({}) AND corp_id = ? AND role_id = ?",
                placeholders(list.len()),
            );
            let args: Vec<Value> = list.into_iter().chain([corp_id.into(), role_id.into()]).collect();
            self.execute(sql, &args).await?;
        }
        Ok(())
    }

    /// Of some people, those who have a role with other managed departments than its list last said, each with what it
    /// said.
    pub async fn outdated_role_scopes(
        &mut self,
        corp_id: &str,
        role_id: i64,
        userids: &[String],
    ) -> Result<Vec<RoleScope>, StoreError> {
        let keys: Vec<Value> = userids.iter().map(Value::from).collect();
        let said = self.managed_among(KEPT, corp_id, role_id, &keys).await?;
        let members = self.managed_among(MEMBERSHIPS, corp_id, role_id, &keys).await?;
        let outdated = members.into_iter().filter_map(|(userid, stored)| {
            let manage_dept_ids = said.get(&userid).cloned().flatten();
            (manage_dept_ids != stored).then_some(RoleScope { userid, manage_dept_ids })
        });
        Ok(outdated.collect())
    }

    /// Makes the memberships of some people say what their role's list last said, and brings whether that changed any.
    pub async fn spread_role_scopes(
        &mut self,
        role_id: i64,
        userids: &[String],
        stamp: &Stamp,
    ) -> Result<bool, StoreError> {
        let outdated = self.outdated_role_scopes(&stamp.corp_id, role_id, userids).await?;
        for scope in &outdated {
            self.write_role_scope(role_id, scope, stamp).await?;
        }
        Ok(!outdated.is_empty())
    }

    /// Forgets what earlier reads of a role's member list said and this one did not.
    pub async fn forget_role_scopes(
        &mut self,
        corp_id: &str,
        role_id: i64,
        reading: i64,
    ) -> Result<(), StoreError> {
        let sql = "DELETE FROM dingsync_role_scope WHERE corp_id = ? AND role_id = ? AND seen_in <> ?";
        self.execute(sql, args![corp_id, role_id, reading]).await?;
        Ok(())
    }

    /// Those on a page of a role's member list whom the mirror shows without the role, or with other managed departments.
    pub async fn differing_role_members(
        &mut self,
        corp_id: &str,
        role_id: i64,
        page: &[RoleScope],
    ) -> Result<Vec<DifferingMember>, StoreError> {
        let keys: Vec<Value> = page.iter().map(|listed| Value::from(&listed.userid)).collect();
        let members = self.managed_among(MEMBERSHIPS, corp_id, role_id, &keys).await?;
        let kept = self.managed_among(KEPT, corp_id, role_id, &keys).await?;
        let json = |departments: Option<String>| departments.unwrap_or_else(|| "null".to_owned());
        let differing = page.iter().filter_map(|listed| {
            let member = members.get(&listed.userid);
            let has_role = member.is_some();
            // Who is to get the role gets with it what was kept of the list.
            let stored = member.or_else(|| kept.get(&listed.userid)).cloned().flatten();
            let scope = (stored != listed.manage_dept_ids).then(|| Difference {
                field: "managed_departments",
                stored: json(stored),
                actual: json(listed.manage_dept_ids.clone()),
            });
            let differs = !has_role || scope.is_some();
            differs.then(|| DifferingMember { userid: listed.userid.clone(), has_role, scope })
        });
        Ok(differing.collect())
    }

    /// Those of some people who have a role in the mirror.
    pub async fn role_holders_among(
        &mut self,
        corp_id: &str,
        role_id: i64,
        userids: &[String],
    ) -> Result<Vec<String>, StoreError> {
        let keys: Vec<Value> = userids.iter().map(Value::from).collect();
        let same = [("corp_id", corp_id.into()), ("role_id", role_id.into())];
        let rows = self.rows_listed("userid", "ding_employee_role", &same, "userid", &keys).await?;
        rows.iter().map(|row| Ok(row.text(0)?.unwrap_or_default())).collect()
    }

    /// The departments that some people manage in a role, as a table has it of those whom it names.
    async fn managed_among(
        &mut self,
        table: &str,
        corp_id: &str,
        role_id: i64,
        userids: &[Value],
    ) -> Result<BTreeMap<String, Option<String>>, StoreError> {
        let same = [("corp_id", corp_id.into()), ("role_id", role_id.into())];
        let rows = self.rows_listed("userid, manage_dept_ids", table, &same, "userid", userids).await?;
        rows.iter().map(|row| Ok((row.text(0)?.unwrap_or_default(), row.text(1)?))).collect()
    }

    async fn write_role_scope(
        &mut self,
        role_id: i64,
        listed: &RoleScope,
        stamp: &Stamp,
    ) -> Result<(), StoreError> {
        let corp_id = &stamp.corp_id;
        let Some(before) = self.employee(corp_id, &listed.userid).await? else { return Ok(()) };
        let mut after = before.row.clone();
        for role in after.roles.iter_mut().filter(|role| role.role_id == role_id) {
            role.manage_dept_ids.clone_from(&listed.manage_dept_ids);
        }
        let sql = "UPDATE ding_employee_role SET manage_dept_ids = ? \
                   WHERE corp_id = ? AND userid = ? AND role_id = ?";
        let departments = listed.manage_dept_ids.clone().map(Value::Json);
        self.execute(sql, args![departments, corp_id, &listed.userid, role_id]).await?;
        self.log_memberships(&listed.userid, &before.row, &after, stamp).await
    }

    /// The current members of a role, after `after` in the order of their ids.
    pub async fn role_member_ids_after(
        &mut self,
        corp_id: &str,
        role_id: i64,
        after: &str,
        limit: usize,
    ) -> Result<Vec<String>, StoreError> {
        let sql = "SELECT userid FROM ding_employee_role \
                   WHERE role_id = ? AND corp_id = ? AND userid > ? ORDER BY userid LIMIT ?";
        let rows = self.rows(sql, args![role_id, corp_id, after, limit]).await?;
        rows.iter().map(|row| Ok(row.text(0)?.unwrap_or_default())).collect()
    }
}
