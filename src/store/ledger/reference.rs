//! Who named somebody that has gone.
//!
//! DingTalk's answers name nobody who is gone, and name him again when he is back; no event tells of that.

use super::Kind;
use crate::store::conn::Conn;
use crate::store::error::StoreError;
use crate::store::sql::{Value, args, placeholders, row_batches};

impl Conn {
    /// Remembers the objects that named `userid` when he went.
    pub async fn remember_references(
        &mut self,
        corp_id: &str,
        userid: &str,
        objects: &[(Kind, String)],
    ) -> Result<(), StoreError> {
        let corp = self.corp_number(corp_id).await?;
        for batch in row_batches(objects) {
            let sql = format!(
                "INSERT INTO dingsync_reference (corp, userid, kind, object_id) VALUES {} {}",
                vec![format!("({})", placeholders(4)); batch.len()].join(", "),
                self.dialect().keep("corp, userid, kind, object_id"),
            );
            let args: Vec<Value> =
                batch.iter().flat_map(|(kind, id)| args![corp, userid, kind.label(), id].to_vec()).collect();
            self.execute(sql, &args).await?;
        }
        Ok(())
    }

    /// Takes the objects that named `userid` when he went: he is back.
    pub async fn take_references(
        &mut self,
        corp_id: &str,
        userid: &str,
    ) -> Result<Vec<(Kind, String)>, StoreError> {
        let corp = self.corp_number(corp_id).await?;
        let sql = "SELECT kind, object_id FROM dingsync_reference WHERE corp = ? AND userid = ?";
        let mut objects = Vec::new();
        for row in self.rows(sql, args![corp, userid]).await? {
            let kind = row.text(0)?.as_deref().and_then(Kind::of_label);
            objects.extend(kind.zip(row.text(1)?));
        }
        let sql = "DELETE FROM dingsync_reference WHERE corp = ? AND userid = ?";
        self.execute(sql, args![corp, userid]).await?;
        Ok(objects)
    }
}
