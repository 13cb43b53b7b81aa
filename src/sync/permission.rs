//! Field permissions: a field that DingTalk stops showing looks like a field that was cleared (`contacts-api.md §3`).
//!
//! When everything that one permission unlocks vanishes from a person who had some of it, a few others who have it are
//! read after that. Only if one of them still shows it was the person's really cleared.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use tracing::warn;

use super::context::{Context, WorkError};
use super::convert;
use crate::dingtalk::Class;
use crate::lane::Lane;
use crate::store::Employee;

/// How long "it is gone" is believed without another look.
const VERDICT_HOLDS: Duration = Duration::from_mins(1);
const OTHERS: usize = 3;

/// A permission of the console that unlocks fields of people.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FieldPermission {
    /// 企业员工手机号信息
    Mobile,
    /// 邮箱等个人信息
    Personal,
}

impl FieldPermission {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Mobile, Self::Personal];

    /// Its name in the console, and what it unlocks.
    pub fn meaning(self) -> &'static str {
        match self {
            Self::Mobile => "employees' mobile numbers (企业员工手机号信息)",
            Self::Personal => "e-mail and other personal information (邮箱等个人信息)",
        }
    }

    /// The word in the status.
    pub fn label(self) -> &'static str {
        match self {
            Self::Mobile => "mobile",
            Self::Personal => "personal_information",
        }
    }

    /// The columns that it unlocks.
    pub(super) fn columns(self) -> &'static [&'static str] {
        match self {
            Self::Mobile => &["mobile", "state_code"],
            Self::Personal => &["email", "org_email", "work_place", "remark", "extension"],
        }
    }

    fn shows_in(self, row: &Employee) -> bool {
        match self {
            Self::Mobile => row.mobile.is_some() || row.state_code.is_some(),
            Self::Personal => {
                row.email.is_some()
                    || row.org_email.is_some()
                    || row.work_place.is_some()
                    || row.remark.is_some()
                    || row.extension.is_some()
            }
        }
    }

    /// True where `after` shows nothing of what `before` had some of.
    pub(super) fn vanished(self, before: &Employee, after: &Employee) -> bool {
        self.shows_in(before) && !self.shows_in(after)
    }

    /// Puts what `before` had into `after`.
    pub(super) fn keep(self, before: &Employee, after: &mut Employee) {
        match self {
            Self::Mobile => {
                after.mobile.clone_from(&before.mobile);
                after.state_code.clone_from(&before.state_code);
            }
            Self::Personal => {
                after.email.clone_from(&before.email);
                after.org_email.clone_from(&before.org_email);
                after.work_place.clone_from(&before.work_place);
                after.remark.clone_from(&before.remark);
                after.extension.clone_from(&before.extension);
            }
        }
    }
}

/// Permissions that seemed to be gone when somebody looked last, each with the time until when that is believed without
/// another look.
#[derive(Debug, Default)]
pub struct FieldPermissions(Mutex<HashMap<FieldPermission, Instant>>);

impl FieldPermissions {
    fn is_lost(&self, permission: FieldPermission) -> bool {
        let verdicts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        verdicts.get(&permission).is_some_and(|until| *until > Instant::now())
    }

    /// Those that seemed to be gone at the last look.
    pub fn lost(&self) -> Vec<FieldPermission> {
        let verdicts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        FieldPermission::ALL.into_iter().filter(|permission| verdicts.contains_key(permission)).collect()
    }

    /// Notes the verdict; true if it is news.
    fn note_lost(&self, permission: FieldPermission) -> bool {
        let mut verdicts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        verdicts.insert(permission, Instant::now() + VERDICT_HOLDS).is_none()
    }

    /// Notes whose fields an answer shows: they are permitted.
    pub(super) fn note_shown(&self, shown: &Employee) {
        let mut verdicts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        verdicts.retain(|permission, _| !permission.shows_in(shown));
    }
}

impl Context {
    /// The columns whose absence from an answer means nothing: those of permissions that seem to be gone, and those that
    /// are not stored.
    pub(super) fn unreliable_columns(&self) -> Vec<&'static str> {
        let lost =
            FieldPermission::ALL.into_iter().filter(|permission| self.permissions.is_lost(*permission));
        let lost = lost.flat_map(FieldPermission::columns).copied();
        lost.chain(self.store.excluded().names().iter().copied()).collect()
    }

    /// The permissions whose fields `after` lacks because they are not permitted any more, not because they were cleared.
    pub(super) async fn lost_permissions(
        &self,
        lane: Lane,
        userid: &str,
        before: &Employee,
        after: &Employee,
    ) -> Result<Vec<FieldPermission>, WorkError> {
        let mut lost = Vec::new();
        for permission in FieldPermission::ALL {
            if !permission.vanished(before, after) {
                continue;
            }
            if self.permissions.is_lost(permission) || !self.still_permitted(lane, userid, permission).await?
            {
                lost.push(permission);
            }
        }
        Ok(lost)
    }

    /// Whether others who have fields of `permission` still show them; if not, the verdict is noted.
    async fn still_permitted(
        &self,
        lane: Lane,
        userid: &str,
        permission: FieldPermission,
    ) -> Result<bool, WorkError> {
        let shown = self.shown_by_others(lane, userid, permission).await?.unwrap_or(false);
        if !shown {
            self.tell_lost(permission);
        }
        Ok(shown)
    }

    /// The permissions that are gone by the look of a few who have fields of them: before everybody is compared.
    pub(super) async fn probe_permissions(&self, lane: Lane) -> Result<Vec<FieldPermission>, WorkError> {
        let mut lost = Vec::new();
        for permission in FieldPermission::ALL {
            if self.shown_by_others(lane, "", permission).await? == Some(false) {
                self.tell_lost(permission);
                lost.push(permission);
            }
        }
        Ok(lost)
    }

    /// Reads a few others than `userid` who have fields of `permission`, until one shows them. `None` where nobody has
    /// any, or nobody who has is to be seen.
    async fn shown_by_others(
        &self,
        lane: Lane,
        userid: &str,
        permission: FieldPermission,
    ) -> Result<Option<bool>, WorkError> {
        let others = {
            let mut reader = self.store.reader().await?;
            let random = self.random.number();
            reader.others_with(&self.corp_id, userid, permission.columns(), random, OTHERS).await?
        };
        let mut shown = None;
        for other in others {
            match self.client.person(lane, &other).await {
                Ok(answer) => {
                    let row = convert::person(answer).row;
                    self.permissions.note_shown(&row);
                    if permission.shows_in(&row) {
                        return Ok(Some(true));
                    }
                    shown = Some(false);
                }
                Err(error) if matches!(error.class, Class::Gone | Class::Hidden) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(shown)
    }

    fn tell_lost(&self, permission: FieldPermission) {
        if self.permissions.note_lost(permission) {
            warn!(
                corp = self.name,
                permission = permission.label(),
                "DingTalk shows nobody's {} any more; stored values are kept. If that is not intended, grant the permission again in the console (权限管理)",
                permission.meaning()
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_is_lost_is_believed_for_a_minute_and_told_until_somebody_shows_it() {
        let permissions = FieldPermissions::default();
        assert!(permissions.note_lost(FieldPermission::Mobile), "news");
        assert!(permissions.is_lost(FieldPermission::Mobile));
        tokio::time::advance(VERDICT_HOLDS).await;
        assert!(!permissions.is_lost(FieldPermission::Mobile), "another look is due");
        assert_eq!(permissions.lost(), [FieldPermission::Mobile]);
        assert!(!permissions.note_lost(FieldPermission::Mobile), "no news");
        permissions.note_shown(&Employee { email: Some("a@b".to_owned()), ..Employee::default() });
        assert_eq!(permissions.lost(), [FieldPermission::Mobile]);
        permissions.note_shown(&Employee { mobile: Some("1".to_owned()), ..Employee::default() });
        assert_eq!(permissions.lost(), []);
    }
}
