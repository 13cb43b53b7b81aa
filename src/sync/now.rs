//! What DingTalk says of one object now: without a lease, and without writing anything.

use std::time::Duration;

use serde::Serialize;
use serde_json::Value;

use super::catalogue::Catalogue;
use super::context::{Context, WorkError};
use super::settle::settle;
use super::{department, employee};
use crate::lane::Lane;
use crate::store::{Difference, Entity, Fate, LeaveOut as _, Stored, rfc3339};

/// How long somebody who asks is kept waiting.
const PATIENCE: Duration = Duration::from_secs(10);
/// Members of a role who are named at most.
const NAMED: usize = 50;

/// A field in which DingTalk and the mirror differ.
#[derive(Debug, Clone, Serialize)]
pub struct FieldNow {
    /// The column, or the name under which memberships stand in the change log.
    pub field: &'static str,
    /// What the mirror has.
    pub stored: Value,
    /// What DingTalk says.
    pub actual: Value,
}

/// What DingTalk says of an object.
#[derive(Debug, Clone, Serialize)]
pub struct Now {
    /// `present`, `gone`, `hidden`, or `unknown` where DingTalk did not answer.
    pub state: &'static str,
    /// When it was asked.
    pub asked_at: String,
    /// Where its answer differs from what the mirror has. Nothing, where only one of the two has the object.
    pub differences: Vec<FieldNow>,
    /// Another person has the userid than the one whom the mirror has.
    pub is_another: bool,
    /// Why it did not answer.
    pub error: Option<String>,
}

/// What an answer says, before it is put into words.
enum Said {
    Present {
        differences: Vec<FieldNow>,
        is_another: bool,
    },
    Gone,
    Hidden,
    /// A list does not name it, which alone proves nothing of what the mirror has.
    Unlisted,
}

impl Said {
    fn of(differences: &[Difference]) -> Self {
        Self::Present { differences: fields(differences), is_another: false }
    }
}

fn fields(differences: &[Difference]) -> Vec<FieldNow> {
    let value = |text: &str| serde_json::from_str(text).unwrap_or_else(|_| text.into());
    let field = |difference: &Difference| FieldNow {
        field: difference.field,
        stored: value(&difference.stored),
        actual: value(&difference.actual),
    };
    differences.iter().map(field).collect()
}

impl Context {
    /// Asks DingTalk for an object and compares its answer with the mirror, by the same reasoning that a worker applies.
    pub async fn state_now(&self, entity: Entity, id: &str) -> Now {
        let asked_at = rfc3339(self.clock.now());
        let said = tokio::time::timeout(PATIENCE, self.say_now(entity, id)).await;
        let (state, differences, is_another, error) = match said {
            Ok(Ok(Said::Present { differences, is_another })) => ("present", differences, is_another, None),
            Ok(Ok(Said::Gone)) => ("gone", Vec::new(), false, None),
            Ok(Ok(Said::Hidden)) => ("hidden", Vec::new(), false, None),
            Ok(Ok(Said::Unlisted)) => {
                let error = "its list does not name it, and does not show either that it is gone".to_owned();
                ("unknown", Vec::new(), false, Some(error))
            }
            Ok(Err(error)) => {
                let error = match error {
                    WorkError::Api(error) => error.to_string(),
                    WorkError::Store(error) => error.to_string(),
                };
                ("unknown", Vec::new(), false, Some(error))
            }
            Err(_) => {
                let error = format!("DingTalk did not answer within {} s", PATIENCE.as_secs());
                ("unknown", Vec::new(), false, Some(error))
            }
        };
        Now { state, asked_at, differences, is_another, error }
    }

    async fn say_now(&self, entity: Entity, id: &str) -> Result<Said, WorkError> {
        let number = id.parse().unwrap_or_default();
        match entity {
            Entity::Employee => self.person_now(id).await,
            Entity::Department => self.department_now(number).await,
            Entity::Role | Entity::RoleGroup => self.role_now(entity, number).await,
        }
    }

    async fn person_now(&self, userid: &str) -> Result<Said, WorkError> {
        let look = self.look_at_person(Lane::Live, userid).await?;
        let mut reader = self.store.reader().await?;
        let mut before = reader.employee(&self.corp_id, userid).await?.filter(lives);
        if let Some(before) = &mut before {
            before.row.leave_out(self.store.excluded());
        }
        Ok(match look {
            employee::Look::Gone => Said::Gone,
            employee::Look::Hidden => Said::Hidden,
            employee::Look::Present(answer) => {
                let role_ids: Vec<i64> = answer.person.roles.iter().map(|role| role.role_id).collect();
                let scopes = reader.role_scopes_of(&self.corp_id, userid, &role_ids).await?;
                let (after, fate) = settle(before.as_ref(), &answer, &scopes, self.clock.now());
                let differences = before.map(|before| before.row.differences(&after)).unwrap_or_default();
                Said::Present { differences: fields(&differences), is_another: fate == Fate::Replaced }
            }
        })
    }

    async fn department_now(&self, dept_id: i64) -> Result<Said, WorkError> {
        let look = self.look_at_department(Lane::Live, dept_id).await?;
        let before = self.store.reader().await?.department(&self.corp_id, dept_id).await?.filter(lives);
        Ok(match look {
            department::Look::Gone => Said::Gone,
            department::Look::Hidden => Said::Hidden,
            department::Look::Present(actual) => {
                Said::of(&before.map(|before| before.row.differences(&actual)).unwrap_or_default())
            }
        })
    }

    async fn role_now(&self, entity: Entity, id: i64) -> Result<Said, WorkError> {
        let Catalogue { groups, roles, gone_groups, gone_roles } = self.look_at_catalogue(Lane::Live).await?;
        let (stored_role, stored_group) = {
            let mut reader = self.store.reader().await?;
            let role = reader.role(&self.corp_id, id).await?.filter(lives);
            (role, reader.role_group(&self.corp_id, id).await?.filter(lives))
        };
        if entity == Entity::RoleGroup {
            let Some((_, actual)) = groups.iter().find(|(known, _)| *known == id) else {
                return Ok(missing(stored_group.is_some(), gone_groups.contains(&id)));
            };
            return Ok(Said::of(
                &stored_group.map(|stored| stored.row.differences(actual)).unwrap_or_default(),
            ));
        }
        let Some((_, actual)) = roles.iter().find(|(known, _)| *known == id) else {
            return Ok(missing(stored_role.is_some(), gone_roles.contains(&id)));
        };
        let mut differences =
            fields(&stored_role.map(|stored| stored.row.differences(actual)).unwrap_or_default());
        let members = self.role_member_differences(id).await?;
        if !members.is_empty() {
            let named: Vec<Value> =
                members.iter().take(NAMED).map(|member| member.userid.as_str().into()).collect();
            let count = Value::from(format!("{} members differ", members.len()));
            differences.push(FieldNow { field: "members", stored: count, actual: named.into() });
        }
        Ok(Said::Present { differences, is_another: false })
    }
}

fn missing(is_stored: bool, is_gone: bool) -> Said {
    if is_stored && !is_gone { Said::Unlisted } else { Said::Gone }
}

fn lives<R>(stored: &Stored<R>) -> bool {
    stored.deleted_at.is_none()
}
