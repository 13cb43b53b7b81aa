//! The command `dingsync sim`.

use std::io::Write as _;
use std::net::SocketAddr;
use std::sync::Arc;

use clap::Args as ClapArgs;
use tokio_util::sync::CancellationToken;
use url::Url;

use super::handle::Sim;
use super::life::Plan;
use super::options::{Credentials, Options};
use crate::clock::SystemClock;

const LONG_HELP: &str = "\
Steer it while it runs, with plain JSON and no token:

  GET    /sim                        status: sizes, counters, deliveries
  GET    /sim/faults                 what goes wrong
  POST   /sim/faults                 merge into it: {\"paths\":{\"*\":{\"busy\":0.1}}}, {\"away\":{\"for_ms\":5000}}, …
  DELETE /sim/faults                 everything works again
  GET    /sim/push                   how events are pushed: shapes, names, owner key, retries
  POST   /sim/push                   merge into it: {\"shape\":\"mixed\",\"retry_after_ms\":[100,300]}
  POST   /sim/rate                   {\"rate\":20} calls a second for each application and path; 0: no limit
  POST   /sim/callback               {\"url\":\"http://…\",\"check\":true}: where events go
  GET    /sim/apps/{key}             permissions, fields and scope of an application
  POST   /sim/apps/{key}             merge into it: {\"mobile_field\":false}
  POST   /sim/tokens/kill            every access token dies
  POST   /sim/changes                one change, or a list of them:
                                     {\"kind\":\"person_rename\",\"userid\":\"00017\",\"name\":\"李四\"}
  POST   /sim/life                   random changes: {\"count\":1000,\"interval_ms\":3}
  DELETE /sim/life                   ends them
  POST   /sim/life/wait              waits for their end: {\"timeout_ms\":60000}
  GET    /sim/robot                  the group robot's webhook and secret, and what it was sent
  POST   /sim/resend                 pushes once more what failed
  POST   /sim/settle                 waits until every event is acknowledged or given up
  DELETE /sim/counters               counts anew
  GET    /sim/truth/departments      the truth, one JSON object a line; also users, roles, role_groups

Faults of a path are shares of its calls, 0 to 1: reset, hang, slow (by slow_ms: [least, most]), ban_page, http, busy.
The path * stands for all that have none of their own. GET /sim/faults shows the other switches.";

/// Runs a DingTalk on this machine: an invented organisation, its API, its events, and faults on demand
///
/// The organisation is made from the seed: the same numbers give the same people. It answers the contacts API of
/// both hosts on one address, sends encrypted callbacks for every change, and prints the configuration that a daemon
/// needs for it. Nothing is stored; Ctrl-C ends it.
#[derive(Debug, Clone, ClapArgs)]
#[command(after_long_help = LONG_HELP)]
pub struct Args {
    /// How many people the organisation has
    #[arg(long, value_name = "N", default_value_t = 500)]
    pub users: usize,
    /// How many departments it has, the root included
    #[arg(long, value_name = "N", default_value_t = 60)]
    pub departments: usize,
    /// Decides on everything that is invented
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seed: u64,
    /// Where to listen; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:7080")]
    pub listen: SocketAddr,
    /// Where events go.
    #[arg(
        long,
        value_name = "URL",
        help = "Where events go, such as http://127.0.0.1:8080/dingtalk/main/callback"
    )]
    pub callback: Option<Url>,
    /// The organisation's id
    #[arg(long, value_name = "ID", default_value_t = Credentials::default().corp_id)]
    pub corp_id: String,
    /// The application's key (Client ID)
    #[arg(long, value_name = "KEY", default_value_t = Credentials::default().app_key)]
    pub app_key: String,
    /// The application's secret (Client Secret)
    #[arg(long, value_name = "SECRET", default_value_t = Credentials::default().app_secret)]
    pub app_secret: String,
    /// Signs callbacks (Token)
    #[arg(long, value_name = "TOKEN", default_value_t = Credentials::default().callback_token)]
    pub token: String,
    /// Encrypts callbacks: 43 characters (`EncodingAESKey`)
    #[arg(long, value_name = "KEY", default_value_t = Credentials::default().callback_aes_key)]
    pub aes_key: String,
    /// Calls a second for each application and API path; 0 for no limit
    #[arg(long, value_name = "N", default_value_t = 20)]
    pub rate: u32,
    /// Random changes a second, from the start and for ever; 0 for none
    #[arg(long, value_name = "X", default_value_t = 0.0)]
    pub changes_per_second: f64,
}

/// Runs a simulator until `shutdown`, or until Ctrl-C.
pub async fn run(args: Args, shutdown: CancellationToken) -> anyhow::Result<()> {
    let options = Options {
        users: args.users,
        departments: args.departments,
        seed: args.seed,
        listen: args.listen,
        callback: args.callback,
        rate: args.rate,
        credentials: Credentials {
            corp_id: args.corp_id,
            app_key: args.app_key,
            app_secret: args.app_secret,
            callback_token: args.token,
            callback_aes_key: args.aes_key,
        },
        ..Options::default()
    };
    let sim = Sim::start(options, Arc::new(SystemClock)).await?;
    writeln!(std::io::stdout().lock(), "{}", announcement(&sim))?;
    if args.changes_per_second > 0.0 {
        sim.live(&Plan { count: 0, interval_ms: 1000.0 / args.changes_per_second, ..Plan::default() });
    }
    let interrupted = tokio::select! {
        () = shutdown.cancelled() => Ok(()),
        interrupted = tokio::signal::ctrl_c() => interrupted,
    };
    sim.stop().await;
    Ok(interrupted?)
}

/// What is printed once it listens.
fn announcement(sim: &Sim) -> String {
    let status = sim.status();
    let callbacks = status.callback.map_or_else(
        || {
            format!(
                "none yet: start with --callback, or POST {{\"url\":\"…\"}} to {}/sim/callback",
                sim.url()
            )
        },
        |url| format!("to {url}"),
    );
    format!(
        "DingTalk simulator: {}, {} people in {} departments\n\
         API        {}\n\
         control    {}/sim (see `dingsync sim --help`)\n\
         callbacks  {callbacks}\n\
         \n\
         # for dingsync.toml\n\
         {}",
        status.organisation,
        status.people,
        status.departments,
        sim.url(),
        sim.url(),
        sim.daemon_toml(),
    )
}
