//! How objects are named: by their id, or by what people know of them.

use super::AnswerError;
use super::lookup::refuse_excluded;
use crate::dingtalk::event::LONGEST_USERID;
use crate::store::{CATALOGUE, Entity, FindBy, Kind, Store};

/// How many are named where a name means several.
const NAMED: usize = 20;

/// The entity of a word.
pub fn entity(word: &str) -> Result<Entity, AnswerError> {
    Entity::of_label(word).ok_or_else(|| {
        let known: Vec<&str> = Entity::ALL.into_iter().map(Entity::label).collect();
        AnswerError::Unusable(format!("`{word}` is none of {}", known.join(", ")))
    })
}

/// What has to be read for an object: the first one is the object itself.
pub fn reads(entity: Entity, id: &str) -> Vec<(Kind, String)> {
    let catalogue = (Kind::RoleCatalogue, CATALOGUE.to_owned());
    match entity {
        Entity::Employee => vec![(Kind::Employee, id.to_owned())],
        Entity::Department => vec![(Kind::Department, id.to_owned()), (Kind::Walk, id.to_owned())],
        Entity::Role => vec![catalogue, (Kind::RoleMembers, id.to_owned())],
        Entity::RoleGroup => vec![catalogue],
    }
}

/// The id that is meant, by itself or by `mobile:…`, `job:…`, `unionid:…` or `name:…`.
pub async fn resolve(
    store: &Store,
    corp_id: &str,
    entity: Entity,
    text: &str,
) -> Result<String, AnswerError> {
    let found = text.split_once(':').and_then(|(form, value)| Some((form_of(form, entity)?, value)));
    let Some((by, value)) = found else { return parse_id(entity, text) };
    refuse_excluded(store, by)?;
    let ids = store.reader().await?.find_ids(corp_id, entity, by, value, NAMED).await?;
    match ids.as_slice() {
        [id] => Ok(id.clone()),
        [] => Err(AnswerError::Unusable(format!("nothing in the mirror has {text}"))),
        ids => Err(AnswerError::Unusable(format!("several have {text}: {}", ids.join(", ")))),
    }
}

/// An id as it has to look.
pub fn parse_id(entity: Entity, text: &str) -> Result<String, AnswerError> {
    let id = match entity {
        // What no userid looks like, not every database would keep apart from the others.
        Entity::Employee => {
            let is_one = !text.is_empty()
                && text.chars().count() <= LONGEST_USERID
                && text.trim() == text
                && !text.contains(char::is_control);
            is_one.then(|| text.to_owned())
        }
        Entity::Department | Entity::Role | Entity::RoleGroup => {
            text.parse().ok().map(|id: i64| id.to_string())
        }
    };
    if let Some(id) = id {
        return Ok(id);
    }
    let forms = match entity {
        Entity::Employee => "a userid, or mobile:…, job:…, unionid:… or name:…",
        Entity::Department | Entity::Role | Entity::RoleGroup => "a number, or name:…",
    };
    Err(AnswerError::Unusable(format!("`{text}` is no id of a {}: it must be {forms}", entity.label())))
}

fn form_of(form: &str, entity: Entity) -> Option<FindBy> {
    let by = match form {
        "mobile" => FindBy::Mobile,
        "job" => FindBy::JobNumber,
        "unionid" => FindBy::Unionid,
        "name" => FindBy::Name,
        _ => return None,
    };
    by.finds(entity).then_some(by)
}
