//! Erasing what is personal of somebody who is gone.

use super::AnswerError;
use crate::sync::{Context, Erased, Forget};

/// Erases what is personal of one who is gone; whoever is there is refused.
pub async fn forget(context: &Context, userid: &str, who: &str) -> Result<Erased, AnswerError> {
    let stored = context.store.reader().await?.employee(&context.corp_id, userid).await?;
    let Some(stored) = stored else {
        return Err(AnswerError::Unknown(format!("the mirror has nobody with the userid {userid}")));
    };
    if stored.deleted_at.is_none() {
        let remedy = if stored.row.row.gone_at.is_some() {
            "the deletion guard holds the row: decide on it first"
        } else {
            "remove the person in DingTalk first, or keep columns of everybody out with `mirror.exclude_fields`"
        };
        let text = format!("{userid} is not gone, and would be stored again: {remedy}");
        return Err(AnswerError::Refused(text));
    }
    Ok(context.forget(userid.to_owned(), Forget { who: who.to_owned() }).await?)
}
