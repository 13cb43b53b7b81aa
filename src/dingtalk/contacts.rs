//! The contacts and role reads, typed (`contacts-api.md §4`, `§5`, `§7`).

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::json;

use super::client::{Client, Parameters};
use super::endpoint;
use super::envelope::Payload;
use super::error::ApiError;
use super::model::{
    ChildDepartment, Department, MemberIds, Page, PeopleCount, Person, RoleGroup, RoleMember, Scopes,
};
use crate::lane::Lane;

/// The largest pages that DingTalk gives.
const MEMBER_PAGE: i64 = 100;
const ROLE_PAGE: i64 = 200;
const ROLE_MEMBER_PAGE: i64 = 100;

/// `department/listsub` answers an array; one object in its place and `null` occur.
#[derive(Deserialize)]
#[serde(transparent)]
struct Children(#[serde(deserialize_with = "super::lenient::objects")] Vec<ChildDepartment>);

impl Client {
    /// What the application may see. Metered: it counts against the organisation's month.
    pub async fn scopes(&self, lane: Lane) -> Result<Scopes, ApiError> {
        self.call(endpoint::SCOPES, Payload::TopLevel, lane, Parameters::None).await
    }

    /// The children of a department, one level.
    pub async fn child_departments(
        &self,
        lane: Lane,
        dept_id: i64,
    ) -> Result<Vec<ChildDepartment>, ApiError> {
        let body = Parameters::Body(json!({ "dept_id": dept_id }));
        let Children(children) =
            self.call(endpoint::DEPARTMENT_CHILDREN, Payload::Result, lane, body).await?;
        Ok(children)
    }

    /// A department, whole.
    pub async fn department(&self, lane: Lane, dept_id: i64) -> Result<Department, ApiError> {
        let body = Parameters::Body(json!({ "dept_id": dept_id }));
        let department: Department = self.call(endpoint::DEPARTMENT, Payload::Result, lane, body).await?;
        match department.dept_id {
            Some(answered) if answered == dept_id => Ok(department),
            _ => Err(ApiError::unexpected(endpoint::DEPARTMENT, "it is not about the department asked for")),
        }
    }

    /// A page of a department's direct members, access-restricted ones included, and where the next one starts.
    /// `cursor` starts at 0 and is an offset into a live list, so new joiners are asked to stand at its end.
    pub async fn members(
        &self,
        lane: Lane,
        dept_id: i64,
        cursor: i64,
    ) -> Result<(Vec<Person>, Option<i64>), ApiError> {
        let body = Parameters::Body(json!({
            "dept_id": dept_id,
            "cursor": cursor,
            "size": MEMBER_PAGE,
            "order_field": "entry_asc",
            "contain_access_limit": true,
        }));
        let page: Page<Person> = self.call(endpoint::MEMBERS, Payload::Result, lane, body).await?;
        let next = next_offset(cursor, MEMBER_PAGE, page.has_more, page.next_cursor);
        Ok((page.list, next))
    }

    /// The ids of all direct members of a department, in one answer.
    pub async fn member_ids(&self, lane: Lane, dept_id: i64) -> Result<Vec<String>, ApiError> {
        let body = Parameters::Body(json!({ "dept_id": dept_id }));
        let ids: MemberIds = self.call(endpoint::MEMBER_IDS, Payload::Result, lane, body).await?;
        Ok(ids.userid_list.unwrap_or_default())
    }

    /// A person, whole.
    pub async fn person(&self, lane: Lane, userid: &str) -> Result<Person, ApiError> {
        let body = Parameters::Body(json!({ "userid": userid }));
        let person: Person = self.call(endpoint::PERSON, Payload::Result, lane, body).await?;
        match &person.userid {
            Some(answered) if answered.eq_ignore_ascii_case(userid) => Ok(person),
            _ => Err(ApiError::unexpected(endpoint::PERSON, "it is not about the person asked for")),
        }
    }

    /// How many people the whole organisation has, visible or not.
    pub async fn people_count(&self, lane: Lane) -> Result<Option<i64>, ApiError> {
        let body = Parameters::Body(json!({ "only_active": false }));
        let count: PeopleCount = self.call(endpoint::PEOPLE_COUNT, Payload::Result, lane, body).await?;
        Ok(count.count)
    }

    /// All role groups with their roles. Whether a page counts groups or roles is not known, so a group may come in
    /// parts: they are joined.
    pub async fn roles(&self, lane: Lane) -> Result<Vec<RoleGroup>, ApiError> {
        let mut groups: Vec<RoleGroup> = Vec::new();
        let mut offset = 0;
        loop {
            let body = Parameters::Body(json!({ "offset": offset, "size": ROLE_PAGE }));
            let page: Page<RoleGroup> = self.call(endpoint::ROLES, Payload::Result, lane, body).await?;
            for group in page.list {
                let known = groups.iter_mut().find(|known| known.group_id == group.group_id);
                match known {
                    Some(known) => known.roles.extend(group.roles),
                    None => groups.push(group),
                }
            }
            match next_offset(offset, ROLE_PAGE, page.has_more, page.next_cursor) {
                Some(next) => offset = next,
                None => return Ok(groups),
            }
        }
    }

    /// A page of a role's members, and where the next one starts.
    pub async fn role_members(
        &self,
        lane: Lane,
        role_id: i64,
        offset: i64,
    ) -> Result<(Vec<RoleMember>, Option<i64>), ApiError> {
        let body =
            Parameters::Body(json!({ "role_id": role_id, "offset": offset, "size": ROLE_MEMBER_PAGE }));
        let page: Page<RoleMember> = self.call(endpoint::ROLE_MEMBERS, Payload::Result, lane, body).await?;
        let next = next_offset(offset, ROLE_MEMBER_PAGE, page.has_more, page.next_cursor);
        Ok((page.list, next))
    }

    /// Asks whether a role exists: an error of class [`Gone`](super::error::Class::Gone) where it does not.
    pub async fn prove_role(&self, lane: Lane, role_id: i64) -> Result<(), ApiError> {
        let body = Parameters::Body(json!({ "roleId": role_id }));
        let IgnoredAny = self.call(endpoint::ROLE, Payload::TopLevel, lane, body).await?;
        Ok(())
    }

    /// Asks whether a role group exists, likewise.
    pub async fn prove_role_group(&self, lane: Lane, group_id: i64) -> Result<(), ApiError> {
        let body = Parameters::Body(json!({ "group_id": group_id }));
        let IgnoredAny = self.call(endpoint::ROLE_GROUP, Payload::TopLevel, lane, body).await?;
        Ok(())
    }
}

/// Where the page after the one at `offset` starts. A cursor that does not move forward would never end.
fn next_offset(offset: i64, size: i64, has_more: Option<bool>, next_cursor: Option<i64>) -> Option<i64> {
    (has_more == Some(true)).then(|| next_cursor.filter(|&next| next > offset).unwrap_or(offset + size))
}
