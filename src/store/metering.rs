//! Calls that DingTalk counts by the month, of all processes together.

use super::error::StoreError;
use super::sql::args;
use crate::store::conn::Conn;

impl Conn {
    /// Counts a call that DingTalk meters by the month, unless that would pass `limit`; `None` is no bound. True if it may
    /// be made.
    pub async fn begin_metered_call(
        &mut self,
        corp_id: &str,
        month: &str,
        limit: Option<u32>,
    ) -> Result<bool, StoreError> {
        let sql = "UPDATE dingsync_corp SET \
                   metered_calls = CASE WHEN metered_month = ? THEN metered_calls + 1 ELSE 1 END, \
                   metered_month = ? \
                   WHERE corp_id = ? AND (metered_month IS NULL OR metered_month <> ? OR metered_calls < ?)";
        let limit = limit.map_or(i64::MAX, i64::from);
        if self.count(sql, args![month, month, corp_id, month, limit]).await? == 1 {
            return Ok(true);
        }
        // An error where there is no such organisation.
        self.corp_number(corp_id).await.map(|_| false)
    }

    /// Takes a call of `month` back that was not carried out.
    pub async fn take_back_metered_call(&mut self, corp_id: &str, month: &str) -> Result<(), StoreError> {
        let sql = "UPDATE dingsync_corp SET metered_calls = metered_calls - 1 \
                   WHERE corp_id = ? AND metered_month = ? AND metered_calls > 0";
        self.execute(sql, args![corp_id, month]).await
    }

    /// How many calls of `month` count against the organisation's quota.
    pub async fn metered_calls(&mut self, corp_id: &str, month: &str) -> Result<i64, StoreError> {
        let sql = "SELECT metered_calls FROM dingsync_corp WHERE corp_id = ? AND metered_month = ?";
        self.number(sql, args![corp_id, month]).await
    }
}
