//! Who named somebody that has gone.
//!
//! DingTalk's answers name nobody who is gone, and name him again when he is back; no event tells of that.

use super::Kind;
use crate::store::conn::Conn;
use crate::store::error::StoreError;
use crate::store::insert::Insert;
use crate::store::sql::args;

impl Conn {
    /// Remembers the objects that named `userid` when he went.
    pub async fn remember_references(
        &mut self,
        corp_id: &str,
        userid: &str,
        objects: &[(Kind, String)],
    ) -> Result<(), StoreError> {
        let corp = self.corp_number(corp_id).await?;
        let ending = self.dialect().keep("corp, userid, kind, object_id");
        let columns = &["corp", "userid", "kind", "object_id"];
        let row = |(kind, id): &(Kind, String)| [corp.into(), userid.into(), kind.label().into(), id.into()];
        let insert = Insert { table: "dingsync_reference", columns, ending: &ending };
        self.insert_rows(&insert, objects.iter().flat_map(row).collect()).await
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
