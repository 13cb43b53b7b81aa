//! Departments outside of the application's contact scope: a person's answer may leave them out, which does not mean
//! that the person left them.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::context::{Context, WorkError};
use crate::dingtalk::Class;
use crate::lane::Lane;
use crate::store::{Kind, Membership, Standing};

/// How long a look at a department is believed.
const VERDICT_HOLDS: Duration = Duration::from_mins(1);

/// What the last look at a department said, and until when that is believed.
#[derive(Debug, Default)]
pub struct HiddenDepartments(Mutex<HashMap<i64, (Instant, bool)>>);

impl HiddenDepartments {
    fn verdict(&self, dept_id: i64) -> Option<bool> {
        let verdicts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        verdicts.get(&dept_id).filter(|(until, _)| *until > Instant::now()).map(|(_, hidden)| *hidden)
    }

    pub(super) fn note(&self, dept_id: i64, hidden: bool) {
        let now = Instant::now();
        let mut verdicts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        verdicts.retain(|_, (until, _)| *until > now);
        verdicts.insert(dept_id, (now + VERDICT_HOLDS, hidden));
    }
}

impl Context {
    /// Of the memberships that `after` lacks, those in departments that are hidden from us: they are kept.
    pub(super) async fn hidden_memberships(
        &self,
        lane: Lane,
        before: &[Membership],
        after: &[Membership],
    ) -> Result<Vec<i64>, WorkError> {
        let dropped: Vec<i64> = before
            .iter()
            .map(|membership| membership.dept_id)
            .filter(|id| after.iter().all(|membership| membership.dept_id != *id))
            .collect();
        if dropped.is_empty() {
            return Ok(Vec::new());
        }
        let ids: Vec<String> = dropped.iter().map(i64::to_string).collect();
        let standings = {
            let mut reader = self.store.reader().await?;
            reader.standings(&self.corp_id, Kind::Department, &ids).await?
        };
        let mut hidden = Vec::new();
        for dept_id in dropped {
            let id = dept_id.to_string();
            let standing = standings.iter().find(|known| known.0 == id).map(|known| known.1);
            // That it was hidden once is no proof: the scope may have grown since.
            let is_hidden = match standing {
                Some(Standing::Gone) => false,
                _ => self.is_hidden(lane, dept_id).await?,
            };
            if is_hidden {
                hidden.push(dept_id);
            }
        }
        Ok(hidden)
    }

    async fn is_hidden(&self, lane: Lane, dept_id: i64) -> Result<bool, WorkError> {
        if let Some(verdict) = self.hidden.verdict(dept_id) {
            return Ok(verdict);
        }
        let is_hidden = match self.client.department(lane, dept_id).await {
            Ok(_) => false,
            Err(error) if error.class == Class::Hidden => true,
            Err(error) if error.class == Class::Gone => false,
            Err(error) => return Err(error.into()),
        };
        self.hidden.note(dept_id, is_hidden);
        Ok(is_hidden)
    }
}
