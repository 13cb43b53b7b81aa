//! `dingsync events`: the inbox.

use clap::{Args, Subcommand};
use jiff::{SignedDuration, Timestamp};

use super::desk::Desk;
use super::exit::{Exit, Failure};
use super::subscription::CONTACTS_EVENTS;
use super::{App, output};
use crate::answers::{self, EventFilter, EventHead, EventPage, Replayed};
use crate::config::Needs;

#[derive(Debug, Subcommand)]
pub(super) enum EventsCommand {
    /// List events, the newest first, without what is personal in them
    List {
        #[command(flatten)]
        filter: Filter,
    },
    /// Show one event with its decrypted message
    Show {
        /// Its number in the list
        id: i64,
    },
    /// Mark again what events marked: it is read again now
    Replay {
        /// Their numbers in the list; without any, those that the options choose
        ids: Vec<i64>,
        #[command(flatten)]
        filter: Filter,
    },
}

#[derive(Debug, Args)]
pub(super) struct Filter {
    /// Those that came at this time or later: such as `2026-11-28T08:00:00Z`, or how long ago, such as `90s`,
    /// `30m` or `48h`
    #[arg(long, value_name = "TIME", value_parser = time)]
    since: Option<When>,
    /// Those that came before this time, likewise
    #[arg(long, value_name = "TIME", value_parser = time)]
    until: Option<When>,
    /// Those of one type, such as `user_leave_org`
    #[arg(long = "type", value_name = "TYPE")]
    event_type: Option<String>,
    /// Those that name an object: `employee:ID`, `department:ID` or `role:ID`; the ID also as `name:…` and the like
    #[arg(long, value_name = "OBJECT")]
    object: Option<String>,
    /// Those before the one with this number
    #[arg(long, value_name = "NUMBER")]
    before: Option<i64>,
    /// How many at most
    #[arg(long, value_name = "COUNT", default_value_t = 50)]
    limit: usize,
}

#[derive(Debug, Clone, Copy)]
enum When {
    At(Timestamp),
    Ago(SignedDuration),
}

fn time(text: &str) -> Result<When, String> {
    if let Ok(at) = text.parse() {
        return Ok(When::At(at));
    }
    let ago = text.parse::<SignedDuration>();
    ago.map(When::Ago).map_err(|_| "it must be such as 2026-11-28T08:00:00Z, or 2h".to_owned())
}

impl When {
    fn before(self, now: Timestamp) -> Timestamp {
        match self {
            Self::At(at) => at,
            Self::Ago(ago) => now.checked_sub(ago).unwrap_or(Timestamp::MIN),
        }
    }
}

impl Filter {
    async fn resolve(&self, desk: &Desk, now: Timestamp) -> Result<EventFilter, Failure> {
        let object = match &self.object {
            None => None,
            Some(object) => {
                let (word, id) = object.split_once(':').ok_or_else(|| {
                    Failure::usage(format!("--object {object}: it must be such as employee:ID"))
                })?;
                let entity = answers::entity(word)?;
                let id = answers::resolve(&desk.store, &desk.corp.corp_id, entity, id).await?;
                Some((entity, id))
            }
        };
        Ok(EventFilter {
            since: self.since.map(|when| when.before(now)),
            until: self.until.map(|when| when.before(now)),
            event_type: self.event_type.clone(),
            object,
            before: self.before,
        })
    }
}

pub(super) async fn events(app: App, command: EventsCommand) -> Result<Exit, Failure> {
    let desk = Desk::open(&app, Needs::CallbacksAlone).await?;
    let done = carry_out(&app, &desk, command).await;
    desk.close().await;
    done.map(|()| Exit::Done)
}

async fn carry_out(app: &App, desk: &Desk, command: EventsCommand) -> Result<(), Failure> {
    let (store, corp_id) = (&desk.store, desk.corp.corp_id.as_str());
    let now = app.clock.now();
    match command {
        EventsCommand::List { filter } => {
            let wanted = filter.resolve(desk, now).await?;
            let page = answers::events(store, corp_id, &wanted, Some(filter.limit)).await?;
            if app.global.json {
                return output::json(&page);
            }
            print(&page)?;
            match wanted.event_type.filter(|_| page.events.is_empty()) {
                Some(event_type) => tell_known_types(&event_type),
                None => Ok(()),
            }
        }
        EventsCommand::Show { id } => {
            let event = answers::event(store, corp_id, id).await?;
            if app.global.json {
                return output::json(&event);
            }
            output::table(&[line(&event.head)])?;
            for (kind, id) in &event.marks {
                output::line(format!("marks {kind} {id}"))?;
            }
            output::json(&event.message)
        }
        EventsCommand::Replay { ids, filter } => {
            let requester = desk.requester(app);
            let mut replayed = Replayed::default();
            if ids.is_empty() {
                let wanted = filter.resolve(desk, now).await?;
                let limit = Some(filter.limit);
                replayed = answers::replay_many(store, corp_id, &wanted, limit, &requester).await?;
            }
            for id in ids {
                let one = answers::replay(store, corp_id, id, &requester).await?;
                replayed.events += one.events;
                replayed.marks += one.marks;
            }
            if app.global.json {
                return output::json(&replayed);
            }
            output::line(format!(
                "{} marked {}; a running daemon reads what is marked now, else the next start does",
                output::counted(replayed.events, "event"),
                output::counted(replayed.marks, "object")
            ))?;
            match replayed.next {
                Some(next) => output::line(format!("older ones remain: go on with --before {next}")),
                None => Ok(()),
            }
        }
    }
}

/// Of a type that the mirror does not need, something may have come all the same; where nothing has, it may be a typing
/// error.
fn tell_known_types(event_type: &str) -> Result<(), Failure> {
    let known = CONTACTS_EVENTS.map(|(known, _)| known);
    if known.contains(&event_type) {
        return Ok(());
    }
    output::line(format!(
        "no event of the type `{event_type}` is among those, and the mirror needs none of it; it needs {}",
        known.join(", ")
    ))
}

fn print(page: &EventPage) -> Result<(), Failure> {
    let rows: Vec<[String; 5]> = page.events.iter().map(line).collect();
    output::table(&rows)?;
    if let Some(to) = &page.looked_back_to {
        output::line(format!("looked back to {to}"))?;
    }
    match &page.next {
        Some(next) => output::line(format!("older ones: --before {next}")),
        None => Ok(()),
    }
}

/// One event in the columns of a list.
pub(super) fn line(event: &EventHead) -> [String; 5] {
    let named = |what: &str, ids: &[String]| match ids {
        [] => None,
        [id] => Some(format!("{what} {id}")),
        [id, rest @ ..] => Some(format!("{what} {id} and {} more", rest.len())),
    };
    let named: Vec<String> = [
        named("employee", &event.employees),
        named("department", &event.departments),
        named("role", &event.roles),
    ]
    .into_iter()
    .flatten()
    .collect();
    let by = event.operator_userid.as_ref().map(|userid| format!("by {userid}"));
    [
        event.id.to_string(),
        event.received_at.clone(),
        event.event_type.clone(),
        named.join(", "),
        by.unwrap_or_default(),
    ]
}
