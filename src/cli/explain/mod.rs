//! `dingsync explain`: why an object stands in the mirror as it does.

mod print;

use clap::Args;

use super::App;
use super::desk::Desk;
use super::exit::{Exit, Failure};
use super::output;
use super::subject::Subject;
use crate::answers;
use crate::config::Needs;
use crate::sync::Engine;
use crate::telemetry::Metrics;

#[derive(Debug, Args)]
pub(super) struct ExplainArgs {
    #[command(flatten)]
    subject: Subject,
    /// Do not ask DingTalk
    #[arg(long)]
    offline: bool,
}

pub(super) async fn explain(app: App, args: ExplainArgs) -> Result<Exit, Failure> {
    let needs = if args.offline { Needs::CallbacksAlone } else { Needs::Credentials };
    let desk = Desk::open(&app, needs).await?;
    let done = answer(&app, &args, &desk).await;
    desk.close().await;
    done
}

async fn answer(app: &App, args: &ExplainArgs, desk: &Desk) -> Result<Exit, Failure> {
    let (entity, corp) = (args.subject.what.entity(), &desk.corp);
    let id = args.subject.resolve(&desk.store, &corp.corp_id).await?;
    let engine = if args.offline {
        None
    } else {
        Some(Engine::new(&desk.config, &desk.store, &app.clock, &app.random, &Metrics::new())?)
    };
    let context = engine.as_ref().and_then(|engine| engine.context(&corp.name)).map(AsRef::as_ref);
    let place = (corp.name.as_str(), corp.corp_id.as_str());
    let explanation = answers::explain(&desk.store, place, entity, &id, context, app.clock.now()).await?;
    if app.global.json {
        output::json(&explanation)?;
    } else {
        print::print(&explanation)?;
    }
    // Somebody who asks about an object that is known nowhere here wants DingTalk's word, and did not get it.
    let is_known = explanation.stored.is_some() || !explanation.tasks.is_empty();
    let is_unanswered = explanation.dingtalk.as_ref().is_some_and(|now| now.state == "unknown");
    Ok(if !is_known && is_unanswered { Exit::TryLater } else { Exit::Done })
}
