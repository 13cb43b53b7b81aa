//! `dingsync check`: finds out before the first start what would not work, and which page of DingTalk's console to
//! change.

mod callback;
mod database;
mod dingtalk;
mod robot;

use clap::Args;
use serde::Serialize;
use url::Url;

use super::exit::{Exit, Failure};
use super::{App, output};
use crate::apply::{Applier, Part};
use crate::clock::SharedClock;
use crate::config::{Config, Corp, Guard, Needs, OpsToken};
use crate::lifecycle::Tasks;
use crate::store::Store;
use crate::sync::Engine;
use crate::telemetry::Metrics;

#[derive(Debug, Args)]
pub(super) struct CheckArgs {
    /// Send an encrypted `check_url` through this URL, as DingTalk does when the console page is saved; needs a running
    /// `dingsync serve` behind it
    #[arg(long, value_name = "URL")]
    callback_url: Option<Url>,
    /// Send a test message to the group robot
    #[arg(long)]
    robot: bool,
}

/// How one thing is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Verdict {
    /// As it should be.
    Ok,
    /// Worth knowing.
    Note,
    /// To be changed.
    Wrong,
    /// Could not be found out now.
    Later,
}

/// One thing that was looked at.
#[derive(Debug, Clone, Serialize)]
struct Finding {
    corp: Option<String>,
    topic: &'static str,
    verdict: Verdict,
    text: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    remedy: Option<String>,
}

impl Finding {
    fn new(topic: &'static str, verdict: Verdict, text: impl Into<String>) -> Self {
        Self { corp: None, topic, verdict, text: text.into(), remedy: None }
    }

    fn remedy(mut self, remedy: impl Into<String>) -> Self {
        self.remedy = Some(remedy.into());
        self
    }

    fn of(mut self, corp: &str) -> Self {
        self.corp = Some(corp.to_owned());
        self
    }
}

pub(super) async fn check(app: App, args: CheckArgs) -> Result<Exit, Failure> {
    let config = app.config(Needs::Credentials)?;
    let mut findings = vec![Finding::new("configuration", Verdict::Ok, "every key is known and has a value")];
    let (store, writer) = config.database_url.with(Store::open)?;
    let store = store.excluding(config.exclude_fields.clone());
    let mut tasks = Tasks::new(tokio_util::sync::CancellationToken::new());
    tasks.spawn("database writer", writer);
    findings.push(database::check(&store, &config, app.clock.now()).await);
    let concerns = config.ops.tokens.iter().flat_map(OpsToken::concerns);
    findings.extend(concerns.map(|text| Finding::new("API tokens", Verdict::Note, text)));
    let engine = Engine::for_preflight(&config, &store, &app.clock, &app.random, &Metrics::new())?;
    let corps: Vec<_> = config.corps.iter().collect();
    for corp in &corps {
        let Some(context) = engine.context(&corp.name) else { continue };
        let found = dingtalk::check(&context.client, corp, app.clock.now()).await;
        findings.extend(found.into_iter().map(|finding| finding.of(&corp.name)));
        findings.push(callback::describe(corp).of(&corp.name));
        findings.extend(
            mapping(corp, config.guard, &store, &app.clock).into_iter().map(|finding| finding.of(&corp.name)),
        );
        if args.robot {
            findings.push(robot::send_test(corp, &app.clock).await.of(&corp.name));
        }
    }
    if let Some(url) = &args.callback_url {
        let [corp] = corps.as_slice() else {
            return Err(Failure::usage("--callback-url: say whose URL it is with --corp NAME"));
        };
        findings.push(callback::send_check(corp, url, &app.clock, &app.random).await.of(&corp.name));
    }
    report(&app, &config, &findings)?;
    let has = |verdict| findings.iter().any(|finding| finding.verdict == verdict);
    Ok(if has(Verdict::Wrong) {
        Exit::Failed
    } else if has(Verdict::Later) {
        Exit::TryLater
    } else {
        Exit::Done
    })
}

/// Whether the statements that fill the OA can be read. The OA's database is not asked.
fn mapping(corp: &Corp, guard: Guard, store: &Store, clock: &SharedClock) -> Vec<Finding> {
    match Applier::of(corp, guard, store, clock) {
        Ok(None) => Vec::new(),
        Ok(Some(applier)) => {
            let parts: Vec<&str> = applier.parts().map(Part::label).collect();
            let text = format!(
                "apply.{} can be read: {}; `dingsync apply check` tries it on the OA's tables",
                applier.mapping.name,
                parts.join(", ")
            );
            let notes = applier.left_empty().into_iter();
            let notes = notes.map(|text| Finding::new("OA tables", Verdict::Note, text));
            std::iter::once(Finding::new("OA tables", Verdict::Ok, text)).chain(notes).collect()
        }
        Err(error) => {
            let remedy = "change these keys; until then `dingsync serve` does not start";
            vec![Finding::new("OA tables", Verdict::Wrong, error.to_string()).remedy(remedy)]
        }
    }
}

fn report(app: &App, config: &Config, findings: &[Finding]) -> Result<(), Failure> {
    if app.global.json {
        return output::json(&findings);
    }
    let several = config.corps.len() > 1;
    for finding in findings {
        let mark = match finding.verdict {
            Verdict::Ok => "ok   ",
            Verdict::Note => "note ",
            Verdict::Wrong => "WRONG",
            Verdict::Later => "later",
        };
        let corp = finding.corp.as_ref().filter(|_| several).map(|corp| format!("{corp}: "));
        output::line(format!("{mark} {}{}: {}", corp.unwrap_or_default(), finding.topic, finding.text))?;
        if let Some(remedy) = &finding.remedy {
            output::line(format!("      → {remedy}"))?;
        }
    }
    Ok(())
}
