//! The tables that the OA reads, and the one way in which their rows are written: row and change log together.

mod department;
mod employee;
mod erase;
mod fields;
mod listed;
mod lookup;
mod role;
mod scrub;

use jiff::Timestamp;
use jiff::civil::Date;

pub use self::department::Department;
pub use self::employee::{Employee, Membership, Person, RoleMembership};
pub use self::erase::Whose;
pub use self::fields::{FieldSet, LeaveOut};
pub use self::listed::{ListedOutcome, ListedPerson};
pub use self::lookup::FindBy;
pub use self::role::{DifferingMember, Role, RoleGroup, RoleScope};
pub use self::scrub::Scrubbed;

use super::change::{Action, Entity, JsonObject, PendingChange, Provenance, json_text};
use super::dialect::Dialect;
use super::error::StoreError;
use super::fit;
use super::insert::Insert;
use super::sql::{Row, Value, args};
use crate::store::conn::Conn;

/// A JSON document as its text, or a text that stands where a document should.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Json(pub String);

impl From<Json> for Value {
    fn from(json: Json) -> Self {
        Self::Json(json.0)
    }
}

/// What an engine may not be able to hold as it comes.
pub(crate) trait Fit {
    /// Brings it to what the engine can hold.
    fn fit(&mut self, dialect: Dialect);
}

/// A type that a column of the mirror can hold.
trait Column: Sized {
    fn read(row: &Row, column: usize) -> Result<Option<Self>, StoreError>;

    fn fit(&mut self, _dialect: Dialect, _column: &str) {}
}

macro_rules! column {
    ($($type:ty => $getter:ident),* $(,)?) => {
        $(impl Column for $type {
            fn read(row: &Row, column: usize) -> Result<Option<Self>, StoreError> {
                row.$getter(column)
            }
        })*
    };
}

column! {
    i64 => integer,
    bool => flag,
    Timestamp => instant,
    Date => day,
}

impl Column for String {
    fn read(row: &Row, column: usize) -> Result<Option<Self>, StoreError> {
        row.text(column)
    }

    fn fit(&mut self, dialect: Dialect, column: &str) {
        fit::text(dialect, column, self);
    }
}

impl Column for Json {
    fn read(row: &Row, column: usize) -> Result<Option<Self>, StoreError> {
        Ok(row.text(column)?.map(Self))
    }

    fn fit(&mut self, dialect: Dialect, _: &str) {
        fit::json(dialect, &mut self.0);
    }
}

/// One of the mirror's main tables.
pub(super) trait MirrorRow: Clone + PartialEq + Send + Sync {
    const ENTITY: Entity;
    const TABLE: &'static str;
    /// The column that is the key together with `corp_id`.
    const KEY: &'static str;
    const COLUMNS: &'static [&'static str];

    fn values(&self) -> Vec<Value>;
    fn read(row: &Row, first: usize) -> Result<Self, StoreError>;
}

macro_rules! mirror_row {
    (
        $(#[$meta:meta])*
        $name:ident, $entity:expr, $table:literal, $key:literal,
        { $($(#[$field_meta:meta])* $field:ident: $type:ty,)* }
    ) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Default, PartialEq)]
        pub struct $name {
            $($(#[$field_meta])* pub $field: Option<$type>,)*
        }

        impl $name {
            /// The columns in which another row differs from this, the stored one.
            pub fn differences(&self, actual: &Self) -> Vec<$crate::store::mirror::Difference> {
                $crate::store::mirror::differing_columns(self, actual)
            }

            /// The columns with their values as JSON.
            pub fn to_json(&self) -> serde_json::Map<String, serde_json::Value> {
                $crate::store::mirror::columns_json(self)
            }
        }

        impl $crate::store::mirror::Fit for $name {
            fn fit(&mut self, dialect: $crate::store::dialect::Dialect) {
                $(if let Some(value) = &mut self.$field {
                    $crate::store::mirror::Column::fit(value, dialect, stringify!($field));
                })*
            }
        }

        impl $crate::store::mirror::MirrorRow for $name {
            const ENTITY: $crate::store::change::Entity = $entity;
            const TABLE: &'static str = $table;
            const KEY: &'static str = $key;
            const COLUMNS: &'static [&'static str] = &[$(stringify!($field)),*];

            fn values(&self) -> Vec<$crate::store::sql::Value> {
                vec![$(self.$field.clone().into()),*]
            }

            fn read(
                row: &$crate::store::sql::Row,
                first: usize,
            ) -> Result<Self, $crate::store::error::StoreError> {
                let mut columns = first..;
                Ok(Self {
                    $($field: <$type as $crate::store::mirror::Column>::read(
                        row,
                        columns.next().unwrap_or_default(),
                    )?,)*
                })
            }
        }
    };
}
use mirror_row;

/// A row as it stands in the mirror.
#[derive(Debug, Clone, PartialEq)]
pub struct Stored<R> {
    /// Its values.
    pub row: R,
    /// Since when it is gone.
    pub deleted_at: Option<Timestamp>,
}

/// Whose mirror is written, and what the change log says of it.
#[derive(Debug, Clone)]
pub struct Stamp {
    /// The organisation.
    pub corp_id: String,
    /// Why.
    pub provenance: Provenance,
    /// A comparison found it, and no event had told.
    pub is_unannounced: bool,
    /// The object's own read is made for the first time: it completes what a page has shown.
    pub is_first_read: bool,
    /// When.
    pub now: Timestamp,
}

/// What becomes of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It is there.
    Lives,
    /// It is gone: the row stays, with `deleted_at`.
    Gone,
    /// It is there, but another one than before under the same key.
    Replaced,
}

/// Fields of the change log that stand in tables of their own: memberships.
#[derive(Debug, Default)]
pub(super) struct Beside {
    pub(super) old: Vec<(&'static str, String)>,
    pub(super) new: Vec<(&'static str, String)>,
}

impl Beside {
    fn is_empty(&self) -> bool {
        self.old.is_empty() && self.new.is_empty()
    }
}

impl Conn {
    pub(super) async fn stored<R: MirrorRow>(
        &mut self,
        corp_id: &str,
        key: &Value,
    ) -> Result<Option<Stored<R>>, StoreError> {
        let row = self.row(select_stored::<R>(), &[corp_id.into(), key.clone()]).await?;
        row.as_ref().map(stored).transpose()
    }

    /// Makes a row what a read said, and logs what that changed. The only writer of the main tables, pages aside.
    pub(super) async fn write_row<R: MirrorRow>(
        &mut self,
        key: &Value,
        before: Option<&Stored<R>>,
        after: &R,
        fate: Fate,
        beside: Beside,
        stamp: &Stamp,
    ) -> Result<Option<Action>, StoreError> {
        let lived = before.is_some_and(|before| before.deleted_at.is_none());
        let action = match (before, fate) {
            (None, Fate::Gone) => return Ok(None),
            (None, Fate::Lives | Fate::Replaced) => {
                self.insert_row(key, after, stamp).await?;
                Action::Insert
            }
            (Some(_), Fate::Replaced) => {
                if lived {
                    let mut gone = JsonObject::default();
                    gone.field("deleted_at", &Value::Instant(stamp.now));
                    self.log::<R>(key, Action::Delete, None, gone.finish(), stamp);
                }
                self.update_row(key, after, None, true, stamp).await?;
                Action::Insert
            }
            (Some(before), Fate::Lives | Fate::Gone) => {
                let lives = fate == Fate::Lives;
                let nothing_new = lived == lives && before.row == *after && beside.is_empty();
                // What is gone stays as it was; a value that changes on it concerns nobody.
                if nothing_new || (!lived && !lives) {
                    return Ok(None);
                }
                let deleted_at = if lives { None } else { before.deleted_at.or(Some(stamp.now)) };
                self.update_row(key, after, deleted_at, false, stamp).await?;
                match (lived, lives) {
                    (false, true) => Action::Restore,
                    (true, false) => Action::Delete,
                    _ => Action::Update,
                }
            }
        };
        let (mut old, mut new) = match action {
            Action::Insert => (JsonObject::default(), whole_row(key, after)),
            _ => differences(before.map(|before| &before.row), after),
        };
        if matches!(action, Action::Delete | Action::Restore) {
            let instant = |at: Option<Timestamp>| Value::from(at);
            old.field("deleted_at", &instant(before.and_then(|before| before.deleted_at)));
            new.field("deleted_at", &instant((action == Action::Delete).then_some(stamp.now)));
        }
        if action != Action::Insert {
            old.raws(&beside.old);
        }
        new.raws(&beside.new);
        self.log::<R>(key, action, old.finish(), new.finish(), stamp);
        Ok(Some(action))
    }

    async fn insert_row<R: MirrorRow>(
        &mut self,
        key: &Value,
        row: &R,
        stamp: &Stamp,
    ) -> Result<(), StoreError> {
        self.insert_mirror_rows::<R>(inserted(key, row, stamp)).await
    }

    /// Inserts rows as [`inserted`] makes them.
    async fn insert_mirror_rows<R: MirrorRow>(&mut self, values: Vec<Value>) -> Result<(), StoreError> {
        let columns = [&["corp_id", R::KEY], R::COLUMNS, &["created_at", "updated_at"]].concat();
        self.insert_rows(&Insert { table: R::TABLE, columns: &columns, ending: "" }, values).await
    }

    async fn update_row<R: MirrorRow>(
        &mut self,
        key: &Value,
        row: &R,
        deleted_at: Option<Timestamp>,
        is_new: bool,
        stamp: &Stamp,
    ) -> Result<(), StoreError> {
        let assignments: Vec<String> = R::COLUMNS.iter().map(|column| format!("{column} = ?")).collect();
        let sql = format!(
            "UPDATE {} SET {}, deleted_at = ?, updated_at = ?, \
             created_at = CASE WHEN ? = 1 THEN ? ELSE created_at END WHERE corp_id = ? AND {} = ?",
            R::TABLE,
            assignments.join(", "),
            R::KEY,
        );
        let mut args = row.values();
        args.extend_from_slice(args![deleted_at, stamp.now, is_new, stamp.now, &stamp.corp_id]);
        args.push(key.clone());
        self.execute(sql, &args).await?;
        Ok(())
    }

    fn log<R: MirrorRow>(
        &mut self,
        key: &Value,
        action: Action,
        old_values: Option<String>,
        new_values: Option<String>,
        stamp: &Stamp,
    ) {
        self.changes.push(PendingChange {
            corp_id: stamp.corp_id.clone(),
            entity: R::ENTITY,
            entity_id: match key {
                Value::Text(text) => text.clone(),
                Value::Integer(number) => number.to_string(),
                other => format!("{other:?}"),
            },
            action,
            old_values,
            new_values,
            provenance: stamp.provenance.clone(),
            is_unannounced: stamp.is_unannounced && !(stamp.is_first_read && action == Action::Update),
            changed_at: stamp.now,
        });
    }
}

/// The statement that reads one row, by organisation and key.
fn select_stored<R: MirrorRow>() -> String {
    let columns = R::COLUMNS.join(", ");
    format!("SELECT deleted_at, {columns} FROM {} WHERE corp_id = ? AND {} = ?", R::TABLE, R::KEY)
}

fn stored<R: MirrorRow>(row: &Row) -> Result<Stored<R>, StoreError> {
    Ok(Stored { row: R::read(row, 1)?, deleted_at: row.instant(0)? })
}

/// The values of a new row: key, columns, creation and last change.
fn inserted<R: MirrorRow>(key: &Value, row: &R, stamp: &Stamp) -> Vec<Value> {
    let mut values = vec![stamp.corp_id.as_str().into(), key.clone()];
    values.extend(row.values());
    values.extend([stamp.now.into(), stamp.now.into()]);
    values
}

fn whole_row<R: MirrorRow>(key: &Value, row: &R) -> JsonObject {
    let mut object = JsonObject::default();
    object.field(R::KEY, key);
    for (column, value) in R::COLUMNS.iter().zip(row.values()) {
        object.field(column, &value);
    }
    object
}

/// The columns in which two rows differ, with both values. Equality is decided here, byte by byte, and not by a
/// collation.
fn differences<R: MirrorRow>(before: Option<&R>, after: &R) -> (JsonObject, JsonObject) {
    let (mut old, mut new) = (JsonObject::default(), JsonObject::default());
    let Some(before) = before else { return (old, new) };
    for ((column, was), is) in R::COLUMNS.iter().zip(before.values()).zip(after.values()) {
        if was != is {
            old.field(column, &was);
            new.field(column, &is);
        }
    }
    (old, new)
}

/// A column in which two rows differ, with its values before and after as JSON texts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// The column, or the name under which memberships stand in the change log.
    pub field: &'static str,
    /// What the mirror has.
    pub stored: String,
    /// What DingTalk says.
    pub actual: String,
}

/// The columns in which two rows differ.
fn differing_columns<R: MirrorRow>(before: &R, after: &R) -> Vec<Difference> {
    let values = before.values().into_iter().zip(after.values());
    R::COLUMNS
        .iter()
        .zip(values)
        .filter(|(_, (was, is))| was != is)
        .map(|(field, (was, is))| Difference { field, stored: json_text(&was), actual: json_text(&is) })
        .collect()
}

/// The columns of a row with their values as JSON.
fn columns_json<R: MirrorRow>(row: &R) -> serde_json::Map<String, serde_json::Value> {
    let values = row.values();
    let json = values.iter().map(|value| serde_json::from_str(&json_text(value)).unwrap_or_default());
    R::COLUMNS.iter().map(|column| (*column).to_owned()).zip(json).collect()
}
