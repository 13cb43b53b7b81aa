//! `ding_change`: what changed, why and when, in an order that a reader can rely on.

use jiff::Timestamp;
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

use super::error::StoreError;
use super::insert::Insert;
use super::sql::{Value, args, rfc3339};
use crate::store::conn::Conn;

/// What kind of thing a change is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Entity {
    /// `ding_department`
    Department,
    /// `ding_employee` with its two membership tables
    Employee,
    /// `ding_role_group`
    RoleGroup,
    /// `ding_role`
    Role,
}

impl Entity {
    /// The one of this word.
    pub fn of_label(label: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|entity| entity.label() == label)
    }

    /// All of them.
    pub const ALL: [Self; 4] = [Self::Department, Self::Employee, Self::RoleGroup, Self::Role];

    /// The word in `ding_change.entity`.
    pub fn label(self) -> &'static str {
        match self {
            Self::Department => "department",
            Self::Employee => "employee",
            Self::RoleGroup => "role_group",
            Self::Role => "role",
        }
    }
}

/// As its word, also as the key of a map.
impl Serialize for Entity {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.label())
    }
}

/// What happened to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Action {
    /// It is new here; the whole row is logged.
    Insert,
    /// It changed.
    Update,
    /// It is gone.
    Delete,
    /// It is back, the same as before it went.
    Restore,
}

impl Action {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Insert, Self::Update, Self::Delete, Self::Restore];

    /// The word in `ding_change.action`.
    pub fn label(self) -> &'static str {
        match self {
            Self::Insert => "insert",
            Self::Update => "update",
            Self::Delete => "delete",
            Self::Restore => "restore",
        }
    }
}

/// Who made us look. When several did, the strongest counts; the order is theirs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Cause {
    /// The first pull.
    Bootstrap,
    /// A comparison with DingTalk.
    Reconcile,
    /// An operator.
    Manual,
    /// The other direction: a change of ours in DingTalk.
    Push,
    /// An event.
    Event,
}

impl Cause {
    const ALL: [Self; 5] = [Self::Bootstrap, Self::Reconcile, Self::Manual, Self::Push, Self::Event];

    /// The word in `ding_change.cause`.
    pub fn label(self) -> &'static str {
        match self {
            Self::Bootstrap => "bootstrap",
            Self::Reconcile => "reconcile",
            Self::Manual => "manual",
            Self::Push => "push",
            Self::Event => "event",
        }
    }

    pub(super) fn rank(self) -> i64 {
        Self::ALL.iter().position(|cause| *cause == self).map_or(0, |rank| rank as i64)
    }

    pub(super) fn of_rank(rank: i64) -> Self {
        usize::try_from(rank).ok().and_then(|rank| Self::ALL.get(rank)).copied().unwrap_or(Self::Bootstrap)
    }
}

/// Why an object is being read, carried from the hint to the change log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Provenance {
    /// Who made us look.
    pub cause: Cause,
    /// The event's `eventId`, where it had one.
    pub event_id: Option<String>,
    /// Who made the change in DingTalk, where the event says so.
    pub operator_userid: Option<String>,
}

impl Provenance {
    /// Without an event.
    pub fn of(cause: Cause) -> Self {
        Self { cause, event_id: None, operator_userid: None }
    }
}

/// A change that waits for its number.
#[derive(Debug)]
pub(super) struct PendingChange {
    pub(super) corp_id: String,
    pub(super) entity: Entity,
    pub(super) entity_id: String,
    pub(super) action: Action,
    pub(super) old_values: Option<String>,
    pub(super) new_values: Option<String>,
    pub(super) provenance: Provenance,
    pub(super) is_unannounced: bool,
    pub(super) changed_at: Timestamp,
}

impl PendingChange {
    pub(super) fn logged(&self) -> Logged {
        let Self { entity, action, is_unannounced, .. } = *self;
        Logged { entity, action, cause: self.provenance.cause, is_unannounced }
    }
}

/// What an operation logged, for metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Logged {
    /// What changed.
    pub entity: Entity,
    /// How.
    pub action: Action,
    /// Why.
    pub cause: Cause,
    /// A comparison found it, and no event had told.
    pub is_unannounced: bool,
}

const COLUMNS: [&str; 11] = [
    "corp_id",
    "seq",
    "entity",
    "entity_id",
    "action",
    "old_values",
    "new_values",
    "cause",
    "event_id",
    "operator_userid",
    "changed_at",
];

impl Conn {
    /// Numbers and writes the changes of an operation. The counter is taken last, so that whoever holds it commits next
    /// and a reader never sees a smaller number appear later.
    pub(super) async fn flush_changes(&mut self) -> Result<(), StoreError> {
        let mut changes = std::mem::take(&mut self.changes);
        // Counters of several organisations are taken in one order by everybody.
        changes.sort_by(|left, right| left.corp_id.cmp(&right.corp_id));
        for same_corp in changes.chunk_by(|left, right| left.corp_id == right.corp_id) {
            self.write_changes(&same_corp[0].corp_id, same_corp).await?;
        }
        Ok(())
    }

    async fn write_changes(&mut self, corp_id: &str, changes: &[PendingChange]) -> Result<(), StoreError> {
        let sql = "UPDATE dingsync_corp SET change_seq = change_seq + ? WHERE corp_id = ?";
        self.execute(sql, args![changes.len(), corp_id]).await?;
        let last = self.last_change(corp_id).await?;
        let mut seq = last - changes.len() as i64;
        let mut values = Vec::with_capacity(changes.len() * COLUMNS.len());
        for change in changes {
            seq += 1;
            values.extend([
                corp_id.into(),
                seq.into(),
                change.entity.label().into(),
                change.entity_id.as_str().into(),
                change.action.label().into(),
                change.old_values.clone().map(Value::Json).into(),
                change.new_values.clone().map(Value::Json).into(),
                change.provenance.cause.label().into(),
                change.provenance.event_id.clone().into(),
                change.provenance.operator_userid.clone().into(),
                Value::Instant(change.changed_at),
            ]);
        }
        self.insert_rows(&Insert { table: "ding_change", columns: &COLUMNS, ending: "" }, values).await
    }
}

/// Which object a change was about, and when it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangeHead {
    /// Its number.
    pub seq: i64,
    /// The word in `ding_change.entity`.
    pub entity: String,
    /// The object's id.
    pub entity_id: String,
    /// When.
    pub changed_at: Option<Timestamp>,
}

impl Conn {
    /// The number of the organisation's last change.
    pub async fn last_change(&mut self, corp_id: &str) -> Result<i64, StoreError> {
        self.number("SELECT change_seq FROM dingsync_corp WHERE corp_id = ?", args![corp_id]).await
    }

    /// Which objects changed after the number `after`, in order.
    pub async fn changes_after(
        &mut self,
        corp_id: &str,
        after: i64,
        limit: usize,
    ) -> Result<Vec<ChangeHead>, StoreError> {
        let sql = "SELECT seq, entity, entity_id, changed_at FROM ding_change \
                   WHERE corp_id = ? AND seq > ? ORDER BY seq LIMIT ?";
        let rows = self.rows(sql, args![corp_id, after, limit]).await?;
        rows.iter()
            .map(|row| {
                Ok(ChangeHead {
                    seq: row.integer(0)?.unwrap_or_default(),
                    entity: row.text(1)?.unwrap_or_default(),
                    entity_id: row.text(2)?.unwrap_or_default(),
                    changed_at: row.instant(3)?,
                })
            })
            .collect()
    }

    /// How many changes an operator's request has brought after the number `after`.
    pub async fn manual_changes_after(&mut self, corp_id: &str, after: i64) -> Result<i64, StoreError> {
        let sql = "SELECT count(*) FROM ding_change WHERE corp_id = ? AND seq > ? AND cause = 'manual'";
        self.number(sql, args![corp_id, after]).await
    }
}

/// Integers beyond this lose digits in readers that hold numbers as doubles; they are written as strings.
const LARGEST_EXACT: u64 = 1 << 53;

/// Puts a JSON object together, field by field.
#[derive(Debug, Default)]
pub(super) struct JsonObject(String);

impl JsonObject {
    fn key(&mut self, key: &str) {
        self.0.push(if self.0.is_empty() { '{' } else { ',' });
        push_text(&mut self.0, key);
        self.0.push(':');
    }

    pub(super) fn field(&mut self, key: &str, value: &Value) {
        self.key(key);
        push_value(&mut self.0, value);
    }

    /// A field whose value is JSON already.
    pub(super) fn raw(&mut self, key: &str, json: &str) {
        self.key(key);
        self.0.push_str(json);
    }

    /// Several of those.
    pub(super) fn raws(&mut self, fields: &[(&'static str, String)]) {
        for (key, json) in fields {
            self.raw(key, json);
        }
    }

    /// `None` for an object without fields.
    pub(super) fn finish(mut self) -> Option<String> {
        if self.0.is_empty() {
            return None;
        }
        self.0.push('}');
        Some(self.0)
    }
}

/// A JSON array of objects.
pub(super) fn json_array(objects: impl Iterator<Item = JsonObject>) -> String {
    let objects: Vec<String> =
        objects.map(|object| object.finish().unwrap_or_else(|| "{}".to_owned())).collect();
    format!("[{}]", objects.join(","))
}

/// A JSON array of ids, large ones as strings.
pub fn json_ids(ids: &[i64]) -> String {
    json_numbers(ids.iter().copied())
}

pub(super) fn json_numbers(numbers: impl Iterator<Item = i64>) -> String {
    let mut json = String::from("[");
    for number in numbers {
        if json.len() > 1 {
            json.push(',');
        }
        push_value(&mut json, &Value::Integer(number));
    }
    json.push(']');
    json
}

/// A value as JSON.
pub(super) fn json_text(value: &Value) -> String {
    let mut json = String::new();
    push_value(&mut json, value);
    json
}

fn push_value(json: &mut String, value: &Value) {
    match value {
        Value::Null => json.push_str("null"),
        Value::Integer(number) if number.unsigned_abs() > LARGEST_EXACT => {
            push_text(json, &number.to_string());
        }
        Value::Integer(number) => json.push_str(&number.to_string()),
        Value::Flag(flag) => json.push_str(if *flag { "true" } else { "false" }),
        Value::Text(text) => push_text(json, text),
        Value::Instant(instant) => push_text(json, &rfc3339(*instant)),
        Value::Day(day) => push_text(json, &day.to_string()),
        Value::Json(text) => match serde_json::from_str::<&RawValue>(text) {
            Ok(document) => json.push_str(document.get()),
            Err(_) => push_text(json, text),
        },
    }
}

fn push_text(json: &mut String, text: &str) {
    json.push_str(&serde_json::to_string(text).expect("a text can always be written as JSON"));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_numbers_become_strings_and_documents_stay_documents() {
        let mut object = JsonObject::default();
        object.field("small", &Value::Integer(1 << 53));
        object.field("large", &Value::Integer(176_300_000_000_000_512));
        object.field("document", &Value::Json("{\"徽章\": \"蓝\"}".to_owned()));
        object.field("not_json", &Value::Json("{oops".to_owned()));
        object.field("absent", &Value::Null);
        assert_eq!(
            object.finish().unwrap(),
            r#"{"small":9007199254740992,"large":"176300000000000512","document":{"徽章": "蓝"},"not_json":"{oops","absent":null}"#
        );
    }

    #[test]
    fn an_object_without_fields_is_nothing() {
        assert_eq!(JsonObject::default().finish(), None);
    }
}
