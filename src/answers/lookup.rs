//! Rows of the mirror for programs: one by its id, or those that have a value.

use serde::Serialize;
use serde_json::{Map, Value, json};

use super::{AnswerError, bounded, document, parse_id};
use crate::store::{Entity, FindBy, Reader, Store, StoreError, Stored, rfc3339};

/// Rows in one answer, where nothing else is asked for.
const USUAL: usize = 100;

/// A row with whatever belongs to it.
pub type Finding = Map<String, Value>;

/// What rows are wanted.
#[derive(Debug, Default)]
pub struct LookupWish {
    /// Values that they must have; the first is looked for, the others compared.
    pub values: Vec<(FindBy, String)>,
    /// Without values: those after this id.
    pub after: Option<String>,
    /// How many.
    pub limit: Option<usize>,
}

/// A list of rows.
#[derive(Debug, Serialize)]
pub struct LookupPage {
    /// Current ones, in the order of their ids.
    pub items: Vec<Finding>,
    /// What to ask for next: `after=…`; `null` at the end.
    pub next: Option<String>,
}

/// One row; also of something that is gone.
pub async fn one(store: &Store, corp_id: &str, entity: Entity, id: &str) -> Result<Finding, AnswerError> {
    let id = parse_id(entity, id)?;
    let found = row(&mut store.reader().await?, corp_id, entity, &id).await?;
    found.ok_or_else(|| AnswerError::Unknown(format!("the mirror has no {} {id}", entity.label())))
}

/// Current rows.
pub async fn lookup(
    store: &Store,
    corp_id: &str,
    entity: Entity,
    wish: &LookupWish,
) -> Result<LookupPage, AnswerError> {
    let limit = bounded(wish.limit, USUAL);
    let mut reader = store.reader().await?;
    let Some(((by, value), others)) = wish.values.split_first() else {
        if let Some(after) = &wish.after {
            parse_id(entity, after)?;
        }
        let ids = reader.ids_after(corp_id, entity, wish.after.as_deref(), limit).await?;
        let next = ids.last().filter(|_| ids.len() >= limit).cloned();
        return Ok(LookupPage { items: rows(&mut reader, corp_id, entity, &ids).await?, next });
    };
    let unknown = wish.values.iter().find(|(by, _)| !by.finds(entity));
    if let Some((by, _)) = unknown {
        let text = format!("a {} has no {}", entity.label(), by.column());
        return Err(AnswerError::Unusable(text));
    }
    for (by, _) in &wish.values {
        refuse_excluded(store, *by)?;
    }
    let ids = reader.find_ids(corp_id, entity, *by, value, limit).await?;
    let mut items = rows(&mut reader, corp_id, entity, &ids).await?;
    items.retain(|item| others.iter().all(|(by, value)| item[by.column()] == value.as_str()));
    Ok(LookupPage { items, next: None })
}

/// Nobody is found by what is never stored: an empty list would say that there is nobody.
pub(super) fn refuse_excluded(store: &Store, by: FindBy) -> Result<(), AnswerError> {
    let column = by.column();
    if store.excluded().contains(column) {
        let text =
            format!("nobody is found by {column}: `mirror.exclude_fields` leaves it out of the mirror");
        return Err(AnswerError::Unusable(text));
    }
    Ok(())
}

async fn rows(
    reader: &mut Reader,
    corp_id: &str,
    entity: Entity,
    ids: &[String],
) -> Result<Vec<Finding>, StoreError> {
    let mut rows = Vec::with_capacity(ids.len());
    for id in ids {
        rows.extend(row(reader, corp_id, entity, id).await?);
    }
    Ok(rows)
}

/// One object's row as JSON: the columns of its table under their names, a person's memberships beside them.
pub(super) async fn row(
    reader: &mut Reader,
    corp_id: &str,
    entity: Entity,
    id: &str,
) -> Result<Option<Finding>, StoreError> {
    let number = id.parse().unwrap_or_default();
    let found = match entity {
        Entity::Employee => reader.employee(corp_id, id).await?.map(|stored| {
            let mut columns = columns(("userid", id.into()), stored.row.row.to_json(), &stored);
            let departments = stored.row.departments.iter().map(|place| {
                json!({
                    "dept_id": large(place.dept_id),
                    "is_leader": place.is_leader,
                    "is_main": place.is_main,
                    "member_order": place.member_order.map(large),
                    "title": place.title,
                    "work_place": place.work_place,
                })
            });
            columns.insert("departments".to_owned(), departments.collect());
            let roles = stored.row.roles.iter().map(|role| {
                json!({
                    "role_id": large(role.role_id),
                    "manage_dept_ids": document(role.manage_dept_ids.as_deref()),
                })
            });
            columns.insert("roles".to_owned(), roles.collect());
            columns
        }),
        Entity::Department => reader
            .department(corp_id, number)
            .await?
            .map(|stored| columns(("dept_id", large(number)), stored.row.to_json(), &stored)),
        Entity::Role => reader
            .role(corp_id, number)
            .await?
            .map(|stored| columns(("role_id", large(number)), stored.row.to_json(), &stored)),
        Entity::RoleGroup => reader
            .role_group(corp_id, number)
            .await?
            .map(|stored| columns(("group_id", large(number)), stored.row.to_json(), &stored)),
    };
    let Some(mut found) = found else { return Ok(None) };
    if let Some((created_at, updated_at)) = reader.row_times(corp_id, entity, id).await? {
        found.insert("created_at".to_owned(), rfc3339(created_at).into());
        found.insert("updated_at".to_owned(), rfc3339(updated_at).into());
    }
    Ok(Some(found))
}

fn columns<R>(key: (&str, Value), row: Finding, stored: &Stored<R>) -> Finding {
    let mut columns = Map::new();
    columns.insert(key.0.to_owned(), key.1);
    columns.extend(row);
    columns.insert("deleted_at".to_owned(), stored.deleted_at.map(rfc3339).into());
    columns
}

/// A number that readers which hold numbers as doubles do not lose digits of.
fn large(number: i64) -> Value {
    if number.unsigned_abs() > 1 << 53 { number.to_string().into() } else { number.into() }
}
