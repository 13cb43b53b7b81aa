//! `dingsync link` and `dingsync unlink`: which row of the OA's is which object of DingTalk's.

use clap::Args;
use serde_json::json;

use super::desk::Desk;
use super::exit::{Exit, Failure};
use super::subject::What;
use super::{App, output};
use crate::answers::{self, LinkLine, LinkWish};
use crate::config::Needs;

#[derive(Debug, Args)]
pub(super) struct LinkArgs {
    /// What it is
    #[arg(value_name = "ENTITY")]
    what: What,
    /// The key of the OA's row
    oa_id: String,
    /// The id in DingTalk, or `name:…`; of a person also `mobile:…`, `job:…` or `unionid:…`
    ding_id: String,
    /// Forget links that are in the way: of the object with another row, and of the row with another object
    #[arg(long)]
    replace: bool,
}

#[derive(Debug, Args)]
#[command(override_usage = "dingsync unlink [OPTIONS] <ENTITY> [OA_ID] <DING_ID>")]
pub(super) struct UnlinkArgs {
    /// What it is
    #[arg(value_name = "ENTITY")]
    what: What,
    /// The id in DingTalk, or `name:…`; of a person also `mobile:…`, `job:…` or `unionid:…`. Before it may stand the key
    /// of the OA's row: then another link than that one is refused
    #[arg(value_name = "ID", num_args = 1..=2, required = true)]
    ids: Vec<String>,
}

pub(super) async fn link(app: App, args: LinkArgs) -> Result<Exit, Failure> {
    let desk = Desk::open(&app, Needs::CallbacksAlone).await?;
    let done = join(&app, &desk, args).await;
    desk.close().await;
    done
}

pub(super) async fn unlink(app: App, args: UnlinkArgs) -> Result<Exit, Failure> {
    let desk = Desk::open(&app, Needs::CallbacksAlone).await?;
    let done = part(&app, &desk, &args).await;
    desk.close().await;
    done
}

async fn join(app: &App, desk: &Desk, args: LinkArgs) -> Result<Exit, Failure> {
    let (store, corp_id, entity) = (&desk.store, desk.corp.corp_id.as_str(), args.what.entity());
    let ding_id = answers::resolve(store, corp_id, entity, &args.ding_id).await?;
    let wish = LinkWish { entity, ding_id, oa_id: args.oa_id, replaces: args.replace };
    let is_filled = desk.corp.apply.is_some();
    let link = answers::link(store, corp_id, wish, is_filled, &desk.requester(app)).await?;
    let LinkLine { entity, ding_id, oa_id, .. } = &link;
    tell(
        app,
        desk,
        &link,
        &format!(
            "{entity} {ding_id} is linked with the row {oa_id}; whether the OA has such a row was not looked up"
        ),
    )
}

async fn part(app: &App, desk: &Desk, args: &UnlinkArgs) -> Result<Exit, Failure> {
    let (store, corp_id, entity) = (&desk.store, desk.corp.corp_id.as_str(), args.what.entity());
    let (oa_id, id) = match args.ids.as_slice() {
        [oa_id, id, ..] => (Some(oa_id.as_str()), id),
        [id] => (None, id),
        [] => return Err(Failure::usage("the id is missing")),
    };
    let ding_id = answers::resolve(store, corp_id, entity, id).await?;
    let is_filled = desk.corp.apply.is_some();
    let requester = desk.requester(app);
    let link = answers::unlink(store, corp_id, (entity, &ding_id), oa_id, is_filled, &requester).await?;
    let LinkLine { entity, ding_id, oa_id, .. } = &link;
    let has_find =
        desk.corp.apply.as_ref().and_then(|apply| apply.entities.get(entity)?.find.as_ref()).is_some();
    let again = if has_find {
        "; `find` looks for a row anew and links what it brings, this one again unless the row or `find` is changed"
    } else {
        ""
    };
    tell(app, desk, &link, &format!("{entity} {ding_id} is not linked with the row {oa_id} any more{again}"))
}

fn tell(app: &App, desk: &Desk, link: &LinkLine, what: &str) -> Result<Exit, Failure> {
    if app.global.json {
        output::json(&json!({ "corp": desk.corp.name, "link": link }))?;
        return Ok(Exit::Done);
    }
    let follows = if desk.corp.apply.is_some() {
        "a running daemon applies it now, else the next start or `dingsync apply retry` does"
    } else {
        "no [apply] is configured: nothing is written into the OA's tables"
    };
    output::line(format!("{what}; {follows}"))?;
    Ok(Exit::Done)
}
