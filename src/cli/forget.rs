//! `dingsync forget`: erases what is personal of somebody who is gone, everywhere, at once.

use clap::{Args, ValueEnum};
use serde_json::json;

use super::exit::{Exit, Failure};
use super::session::Session;
use super::{App, output};
use crate::answers::{self, AnswerError};
use crate::config::Needs;
use crate::store::Entity;
use crate::sync::Context;

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum What {
    /// A person who is gone
    Employee,
}

#[derive(Debug, Args)]
pub(super) struct ForgetArgs {
    /// What to forget
    what: What,
    /// The userid, or what the person had: `mobile:…`, `job:…` or `name:…`
    id: String,
}

pub(super) async fn forget(app: App, args: ForgetArgs) -> Result<Exit, Failure> {
    let ForgetArgs { what: What::Employee, id } = args;
    let config = app.config(Needs::Credentials)?;
    let session = Session::open(&app, &config, "forget").await?;
    let result = match session.only_context() {
        Ok(context) => erase(&app, &session, &context, &id).await,
        Err(failure) => Err(failure),
    };
    session.close().await;
    result
}

async fn erase(app: &App, session: &Session, context: &Context, id: &str) -> Result<Exit, Failure> {
    let userid = resolve(session, context, id).await?;
    let erased = match answers::forget(context, &userid, &app.who()).await {
        Err(AnswerError::Unknown(text) | AnswerError::Refused(text)) => return Err(Failure::usage(text)),
        erased => erased?,
    };
    let link = session.store.reader().await?.link(&context.corp_id, Entity::Employee, &userid).await?;
    let oa_id = link.map(|link| link.oa_id);
    if app.global.json {
        output::json(&json!({ "corp": context.name, "userid": userid, "erased": erased, "oa_id": oa_id }))?;
    } else {
        let row = if erased.people > 0 { "the row's personal fields" } else { "nothing in the row any more" };
        output::line(format!(
            "{userid}: erased {row}, in {} changes, {} findings of runs and {} received events",
            erased.changes, erased.findings, erased.messages
        ))?;
        if let Some(oa_id) = oa_id {
            output::line(format!("{userid}: row {oa_id} of the OA keeps what was written into it"))?;
        }
    }
    Ok(Exit::Done)
}

async fn resolve(session: &Session, context: &Context, id: &str) -> Result<String, Failure> {
    let found = match id.split_once(':') {
        None => None,
        Some((column, value)) => {
            session.store.reader().await?.find_leavers(&context.corp_id, column, value).await?
        }
    };
    match found.as_deref() {
        None => Ok(id.to_owned()),
        Some([userid]) => Ok(userid.clone()),
        Some([]) => Err(Failure::usage(format!("nobody who is gone had {id}"))),
        Some(userids) => Err(Failure::usage(format!("several had {id}: {}", userids.join(", ")))),
    }
}
