//! `dingsync subscription`: which events are pushed, by what is registered and by what has come. Changes nothing: what is
//! registered, others may use.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use serde::Serialize;

use super::exit::{Exit, Failure};
use super::session::take_unless_served;
use super::{App, output};
use crate::config::Needs;
use crate::dingtalk::{ApiError, Class, Subscription};
use crate::lane::Lane;
use crate::lifecycle::Tasks;
use crate::store::{Store, StoreError, rfc3339};
use crate::sync::{Context, Engine};
use crate::telemetry::Metrics;

const PAGE: &str = "console → the application → 事件订阅 (Event subscription)";

/// The events that the mirror lives by, as the console lists them (`events.md §4.2`).
pub(super) const CONTACTS_EVENTS: [(&str, &str); 15] = [
    ("user_add_org", "通讯录用户增加"),
    ("user_modify_org", "通讯录用户更改"),
    ("user_leave_org", "通讯录用户离职"),
    ("user_active_org", "加入企业后用户激活"),
    ("org_admin_add", "通讯录用户被设为管理员"),
    ("org_admin_remove", "通讯录用户被取消设置管理员"),
    ("org_dept_create", "通讯录企业部门创建"),
    ("org_dept_modify", "通讯录企业部门修改"),
    ("org_dept_remove", "通讯录企业部门删除"),
    ("org_change", "企业信息发生变更"),
    ("org_remove", "企业被解散"),
    ("label_user_change", "员工角色信息发生变更"),
    ("label_conf_add", "增加角色或者角色组"),
    ("label_conf_modify", "修改角色或者角色组"),
    ("label_conf_del", "删除角色或者角色组"),
];

#[derive(Serialize)]
struct Report {
    corp: String,
    /// What the older API shows: registered for the whole organisation, whoever did it.
    registered: Registered,
    events: Vec<EventReport>,
}

#[derive(Serialize)]
#[serde(tag = "state", rename_all = "snake_case")]
enum Registered {
    /// Nothing is.
    None,
    /// Something is.
    Some { url: Option<String>, event_types: Vec<String> },
    /// This server or this application does not show it.
    NotShown { reason: String },
    /// It could not be asked for now.
    Failed { reason: String },
}

#[derive(Serialize)]
struct EventReport {
    event_type: String,
    /// The console's name of it; `null` for one that the mirror does not need.
    name: Option<&'static str>,
    /// It is registered by the older API.
    is_registered: bool,
    last_at: Option<String>,
}

pub(super) async fn subscription(app: App) -> Result<Exit, Failure> {
    let config = app.config(Needs::Credentials)?;
    let (store, writer) = config.database_url.with(Store::open)?;
    let mut tasks = Tasks::new(tokio_util::sync::CancellationToken::new());
    tasks.spawn("database writer", writer);
    // The call is counted in the database, which has to be there for it.
    store.expect_mirror().await?;
    let alone = take_unless_served(&store, "subscription").await?;
    if let Some(alone) = &alone {
        store.migrate(alone, app.clock.now()).await?;
        crate::sync::prepare(&store, &config, app.clock.now()).await?;
    }
    let engine = Engine::new(&config, &store, &app.clock, &app.random, &Metrics::new())?;
    let contexts: Vec<Arc<Context>> = engine.contexts().cloned().collect();
    let mut reports = Vec::new();
    for context in &contexts {
        reports.push(report_on(&store, context).await?);
    }
    if app.global.json {
        output::json(&reports)?;
    } else {
        let kept = match config.retention.inbox_days {
            0 => String::new(),
            days => format!(" within the {days} days for which they are kept"),
        };
        reports.iter().try_for_each(|report| print(report, &kept))?;
    }
    let has_failed = |report: &Report| matches!(report.registered, Registered::Failed { .. });
    Ok(if reports.iter().any(has_failed) { Exit::TryLater } else { Exit::Done })
}

async fn report_on(store: &Store, context: &Context) -> Result<Report, StoreError> {
    let registered = match context.client.subscription(Lane::Live).await {
        Ok(None) => Registered::None,
        Ok(Some(Subscription { event_types, url })) => {
            Registered::Some { url: url.map(without_query), event_types: event_types.unwrap_or_default() }
        }
        Err(error) => not_shown(&error),
    };
    let last = store.reader().await?.last_events(&context.corp_id).await?;
    let events = event_reports(&registered, &last.into_iter().collect());
    Ok(Report { corp: context.name.clone(), registered, events })
}

fn not_shown(error: &ApiError) -> Registered {
    let reason = error.to_string();
    match error.class {
        Class::UnknownMethod | Class::Denied(_) | Class::BadRequest => Registered::NotShown { reason },
        _ => Registered::Failed { reason },
    }
}

/// A query may hold somebody's key.
fn without_query(url: String) -> String {
    match url.split_once('?') {
        Some((place, _)) => format!("{place}?…"),
        None => url,
    }
}

/// The contacts events first, then whatever else is registered or has come.
fn event_reports(registered: &Registered, last: &BTreeMap<String, Timestamp>) -> Vec<EventReport> {
    let registered: &[String] = match registered {
        Registered::Some { event_types, .. } => event_types,
        _ => &[],
    };
    let report = |event_type: &str, name: Option<&'static str>| EventReport {
        event_type: event_type.to_owned(),
        name,
        is_registered: registered.iter().any(|known| known == event_type),
        last_at: last.get(event_type).map(|at| rfc3339(*at)),
    };
    let mut reports: Vec<EventReport> =
        CONTACTS_EVENTS.iter().map(|(event_type, name)| report(event_type, Some(name))).collect();
    let mut others: Vec<&String> = registered.iter().chain(last.keys()).collect();
    others.sort();
    others.dedup();
    let is_other = |event_type: &&String| CONTACTS_EVENTS.iter().all(|(known, _)| known != event_type);
    reports.extend(others.into_iter().filter(is_other).map(|event_type| report(event_type, None)));
    reports
}

fn print(report: &Report, kept: &str) -> Result<(), Failure> {
    let corp = &report.corp;
    output::line(match &report.registered {
        Registered::None => format!(
            "{corp}: nothing is registered by the older API (call_back/*), which is right where the console's event \
             subscription is used"
        ),
        Registered::Some { url, event_types } => format!(
            "{corp}: {} event types are registered by the older API (call_back/*), for {}; others may use that, so it \
             is left as it is",
            event_types.len(),
            url.as_deref().unwrap_or("no URL"),
        ),
        Registered::NotShown { reason } | Registered::Failed { reason } => {
            format!("{corp}: what is registered by the older API is not known: {reason}")
        }
    })?;
    let mut rows = vec![["event", "in the console", "last one", "note"].map(str::to_owned)];
    rows.extend(report.events.iter().map(|event| {
        [
            event.event_type.clone(),
            event.name.unwrap_or("not needed").to_owned(),
            event.last_at.clone().unwrap_or_else(|| "never".to_owned()),
            if event.is_registered { "registered by the older API" } else { "" }.to_owned(),
        ]
    }));
    output::table(&rows)?;
    let silent: Vec<&str> = report
        .events
        .iter()
        .filter(|event| event.name.is_some() && event.last_at.is_none() && !event.is_registered)
        .map(|event| event.event_type.as_str())
        .collect();
    if silent.is_empty() {
        return output::line(format!("{corp}: every event that the mirror needs has come or is registered"));
    }
    output::line(format!(
        "{corp}: make sure that these are ticked, of which none has come{kept}: {}\n      → {PAGE}; DingTalk shows what is \
         ticked there to nobody but its console",
        silent.join(", ")
    ))
}
