//! Takes the values of personal columns out of what was written about them: the change log, and what runs found. The
//! names of the columns stay, their values become null.

use std::collections::{BTreeMap, HashSet};

use serde_json::Value as Document;
use serde_json::value::RawValue;

use super::super::change::Entity;
use super::super::error::StoreError;
use super::super::sql::{Row, Value, args};
use super::FieldSet;
use crate::store::conn::Conn;

/// How much was looked at, and how much of it was changed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Scrubbed {
    /// The last one that was looked at; `None` where there was none.
    pub last: Option<i64>,
    /// Changed.
    pub changed: i64,
}

impl Conn {
    /// Takes the columns out of up to `limit` changes after the number `after`.
    pub async fn scrub_changes(
        &mut self,
        corp_id: &str,
        fields: &FieldSet,
        after: i64,
        limit: usize,
    ) -> Result<Scrubbed, StoreError> {
        let sql = "SELECT seq, old_values, new_values, entity FROM ding_change \
                   WHERE corp_id = ? AND seq > ? ORDER BY seq LIMIT ?";
        let rows = self.rows(sql, args![corp_id, after, limit]).await?;
        let last = rows.last().map(|row| row.integer(0)).transpose()?.flatten();
        let mut changed = 0;
        for row in &rows {
            if row.text(3)?.as_deref() == Some(Entity::Employee.label()) {
                changed += i64::from(self.scrub_change(corp_id, row, fields).await?);
            }
        }
        Ok(Scrubbed { last, changed })
    }

    /// Takes the columns out of all changes of one person; brings how many that were.
    pub async fn scrub_changes_of(
        &mut self,
        corp_id: &str,
        userid: &str,
        fields: &FieldSet,
    ) -> Result<i64, StoreError> {
        let sql = "SELECT seq, old_values, new_values FROM ding_change \
                   WHERE corp_id = ? AND entity = ? AND entity_id = ? ORDER BY seq";
        let mut changed = 0;
        for row in &self.rows(sql, args![corp_id, Entity::Employee.label(), userid]).await? {
            changed += i64::from(self.scrub_change(corp_id, row, fields).await?);
        }
        Ok(changed)
    }

    async fn scrub_change(
        &mut self,
        corp_id: &str,
        row: &Row,
        fields: &FieldSet,
    ) -> Result<bool, StoreError> {
        let (old, new) = (row.text(1)?, row.text(2)?);
        let scrubbed = |text: &Option<String>| text.as_deref().and_then(|text| without_values(text, fields));
        let (old_scrubbed, new_scrubbed) = (scrubbed(&old), scrubbed(&new));
        if old_scrubbed.is_none() && new_scrubbed.is_none() {
            return Ok(false);
        }
        let sql = "UPDATE ding_change SET old_values = ?, new_values = ? WHERE corp_id = ? AND seq = ?";
        let old: Value = old_scrubbed.or(old).map(Value::Json).into();
        let new: Value = new_scrubbed.or(new).map(Value::Json).into();
        let seq = row.integer(0)?.unwrap_or_default();
        self.execute(sql, &[old, new, corp_id.into(), seq.into()]).await?;
        Ok(true)
    }

    /// Takes the columns out of what runs found, of up to `limit` findings after the number `after`; only of `people`, if
    /// some are named.
    pub async fn scrub_run_items(
        &mut self,
        corp_id: &str,
        fields: &FieldSet,
        people: Option<&HashSet<String>>,
        after: i64,
        limit: usize,
    ) -> Result<Scrubbed, StoreError> {
        let sql = "SELECT item.id, item.entity_id, item.fields, item.entity, run.corp_id \
                   FROM dingsync_run_item AS item JOIN dingsync_run AS run ON run.id = item.run_id \
                   WHERE item.id > ? ORDER BY item.id LIMIT ?";
        let rows = self.rows(sql, args![after, limit]).await?;
        let last = rows.last().map(|row| row.integer(0)).transpose()?.flatten();
        let mut changed = 0;
        for row in &rows {
            let is_meant = row.text(3)?.as_deref() == Some(Entity::Employee.label())
                && row.text(4)?.as_deref() == Some(corp_id)
                && people.is_none_or(|people| {
                    row.text(1).ok().flatten().is_some_and(|userid| people.contains(&userid))
                });
            let found = row.text(2)?.filter(|_| is_meant);
            let Some(scrubbed) = found.and_then(|found| without_findings(&found, fields)) else { continue };
            let id = row.integer(0)?.unwrap_or_default();
            self.execute("UPDATE dingsync_run_item SET fields = ? WHERE id = ?", args![scrubbed, id]).await?;
            changed += 1;
        }
        Ok(Scrubbed { last, changed })
    }
}

/// Values of the change log without those of the columns; `None` where there are none. Other values stay as they are, to
/// the digit.
fn without_values(text: &str, fields: &FieldSet) -> Option<String> {
    let mut object: BTreeMap<String, Box<RawValue>> = serde_json::from_str(text).ok()?;
    let mut changed = false;
    for (name, value) in &mut object {
        let replacement = if fields.contains(name) && value.get() != "null" {
            Some("null".to_owned())
        } else if name == "departments" {
            without_places(value.get(), fields)
        } else {
            None
        };
        if let Some(raw) = replacement.and_then(|text| RawValue::from_string(text).ok()) {
            (*value, changed) = (raw, true);
        }
    }
    changed.then(|| serde_json::to_string(&object).ok()).flatten()
}

/// A list of memberships without what they say of the columns; `None` where they say nothing.
fn without_places(text: &str, fields: &FieldSet) -> Option<String> {
    let mut places: Vec<BTreeMap<String, Box<RawValue>>> = serde_json::from_str(text).ok()?;
    let mut changed = false;
    for (name, value) in places.iter_mut().flatten() {
        if fields.contains(name) && value.get() != "null" {
            (*value, changed) = (RawValue::NULL.to_owned(), true);
        }
    }
    changed.then(|| serde_json::to_string(&places).ok()).flatten()
}

/// `[{"field":…,"stored":…,"actual":…}]` without the values of the columns; `None` where there are none.
fn without_findings(text: &str, fields: &FieldSet) -> Option<String> {
    let mut found: Vec<BTreeMap<String, Box<RawValue>>> = serde_json::from_str(text).ok()?;
    let mut changed = false;
    for difference in &mut found {
        let field = difference.get("field").map(|raw| serde_json::from_str::<Document>(raw.get()));
        let Some(Ok(Document::String(field))) = field else { continue };
        for side in ["stored", "actual"] {
            let Some(value) = difference.get_mut(side) else { continue };
            let replacement = if fields.contains(&field) && value.get() != "null" {
                Some("null".to_owned())
            } else if field == "departments" {
                without_places(value.get(), fields)
            } else {
                None
            };
            if let Some(raw) = replacement.and_then(|text| RawValue::from_string(text).ok()) {
                (*value, changed) = (raw, true);
            }
        }
    }
    changed.then(|| serde_json::to_string(&found).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_become_null_and_the_others_stay_to_the_digit() {
        let fields = FieldSet::of(&["mobile", "title"]).unwrap();
        let text = r#"{"mobile":"139","extension":{"a":1.50},"departments":[{"dept_id":7,"title":"CTO","member_order":"176300000000000512"}]}"#;
        assert_eq!(
            without_values(text, &fields).unwrap(),
            r#"{"departments":[{"dept_id":7,"member_order":"176300000000000512","title":null}],"extension":{"a":1.50},"mobile":null}"#
        );
        assert_eq!(without_values(r#"{"mobile":null,"name":"x"}"#, &fields), None);
        assert_eq!(without_values("no document", &fields), None);
    }

    #[test]
    fn findings_keep_the_names_of_their_fields() {
        let fields = FieldSet::of(&["mobile"]).unwrap();
        let text =
            r#"[{"field":"mobile","stored":"1","actual":null},{"field":"name","stored":"a","actual":"b"}]"#;
        assert_eq!(
            without_findings(text, &fields).unwrap(),
            r#"[{"actual":null,"field":"mobile","stored":null},{"actual":"b","field":"name","stored":"a"}]"#
        );
        assert_eq!(without_findings("[]", &fields), None);
    }
}
