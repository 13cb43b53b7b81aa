//! `dingsync forget`: erases what is personal of somebody who is gone, everywhere, at once.

use std::sync::Arc;

use clap::{Args, ValueEnum};
use serde_json::json;

use super::exit::{Exit, Failure};
use super::session::Session;
use super::{App, output};
use crate::config::Needs;
use crate::sync::{Context, Forget};

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
    let mut contexts: Vec<Arc<Context>> = session.engine.contexts().cloned().collect();
    let result = match (contexts.pop(), contexts.is_empty()) {
        (Some(context), true) => erase(&app, &session, &context, &id).await,
        _ => Err(Failure::usage("there are several organisations: say which one with --corp NAME")),
    };
    drop(contexts);
    session.close().await;
    result
}

async fn erase(app: &App, session: &Session, context: &Context, id: &str) -> Result<Exit, Failure> {
    let userid = resolve(session, context, id).await?;
    let stored = session.store.reader().await?.employee(&context.corp_id, &userid).await?;
    let Some(stored) = stored else {
        return Err(Failure::usage(format!("the mirror has nobody with the userid {userid}")));
    };
    if stored.deleted_at.is_none() {
        let remedy = if stored.row.row.gone_at.is_some() {
            "the deletion guard holds the row: decide on it first"
        } else {
            "remove the person in DingTalk first, or keep columns of everybody out with `mirror.exclude_fields`"
        };
        return Err(Failure::usage(format!("{userid} is not gone, and would be stored again: {remedy}")));
    }
    let erased = context.forget(userid.clone(), Forget { who: app.who() }).await?;
    if app.global.json {
        output::json(&json!({ "corp": context.name, "userid": userid, "erased": erased }))?;
    } else {
        let row = if erased.people > 0 { "the row's personal fields" } else { "nothing in the row any more" };
        output::line(format!(
            "{userid}: erased {row}, in {} changes, {} findings of runs and {} received events",
            erased.changes, erased.findings, erased.messages
        ))?;
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
