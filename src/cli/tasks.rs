//! `dingsync tasks`: the queue, and what is set aside.

use clap::{Args, Subcommand};

use super::desk::Desk;
use super::exit::{Exit, Failure};
use super::{App, output};
use crate::answers::{self, TaskLine};
use crate::config::Needs;
use crate::store::{Kind, TaskState};

#[derive(Debug, Subcommand)]
pub(super) enum TasksCommand {
    /// List what waits to be read, is being read, or is set aside
    List {
        /// Only in these states, with commas between them: `parked` and `held` (somebody has to decide), `running`,
        /// `pending` (read next), `waiting` (read again later), `confirming` (read once more), `hidden` (out of the
        /// application's scope)
        #[arg(long, value_name = "STATE", value_delimiter = ',')]
        state: Vec<String>,
        /// What follows this place, which an earlier list named
        #[arg(long, value_name = "PLACE")]
        after: Option<String>,
        /// How many at most
        #[arg(long, value_name = "COUNT", default_value_t = 50)]
        limit: usize,
    },
    /// Show one object's task
    Show(Object),
    /// Read objects again now, parked ones too
    Retry(Chosen),
    /// Give up what waits for parked objects: their rows stay as they are until something else marks them
    Discard(Chosen),
}

#[derive(Debug, Args)]
pub(super) struct Object {
    /// employee, department, walk (a department's members), roles (the list of them), `role_members`
    kind: String,
    /// Its id; `*` for the list of roles
    id: String,
}

#[derive(Debug, Args)]
pub(super) struct Chosen {
    /// employee, department, walk (a department's members), roles (the list of them), `role_members`
    #[arg(required_unless_present = "parked", requires = "ids")]
    kind: Option<String>,
    /// Their ids
    ids: Vec<String>,
    /// All that are parked
    #[arg(long, conflicts_with = "kind")]
    parked: bool,
    /// Of these, only those whose reason begins so, such as `bad_request`
    #[arg(long, value_name = "WORD", requires = "parked")]
    reason: Option<String>,
}

/// Parked objects that are taken at once.
const TOGETHER: usize = 500;

pub(super) async fn tasks(app: App, command: TasksCommand) -> Result<Exit, Failure> {
    let desk = Desk::open(&app, Needs::CallbacksAlone).await?;
    let done = carry_out(&app, &desk, command).await;
    desk.close().await;
    done
}

async fn carry_out(app: &App, desk: &Desk, command: TasksCommand) -> Result<Exit, Failure> {
    let (store, corp_id) = (&desk.store, desk.corp.corp_id.as_str());
    let now = app.clock.now();
    match command {
        TasksCommand::List { state, after, limit } => {
            let states = state.iter().map(|word| answers::state(word)).collect::<Result<Vec<_>, _>>()?;
            let page = answers::tasks(store, corp_id, &states, after.as_deref(), Some(limit), now).await?;
            if app.global.json {
                output::json(&page)?;
                return Ok(Exit::Done);
            }
            let rows: Vec<[String; 5]> = page.tasks.iter().map(line).collect();
            output::table(&rows)?;
            if rows.is_empty() {
                output::line("nothing waits, and nothing is set aside")?;
            }
            if let Some(next) = &page.next {
                output::line(format!("more: --after {next}"))?;
            }
            Ok(Exit::Done)
        }
        TasksCommand::Show(object) => {
            let kind = answers::kind(&object.kind)?;
            let task = answers::task(store, corp_id, kind, &object.id, now).await?;
            if app.global.json {
                output::json(&task)?;
            } else {
                print(&task)?;
            }
            Ok(Exit::Done)
        }
        TasksCommand::Retry(chosen) => {
            let mut retried = 0;
            for objects in chosen.objects(app, desk).await? {
                retried += answers::retry(store, corp_id, &objects, &desk.requester(app)).await?;
            }
            if app.global.json {
                output::json(&serde_json::json!({ "retried": retried }))?;
            } else {
                output::line(format!(
                    "{} marked; a running daemon reads what is marked now, else the next start does",
                    output::counted(retried, "object")
                ))?;
            }
            Ok(Exit::Done)
        }
        TasksCommand::Discard(chosen) => {
            let (mut wanted, mut discarded) = (0, Vec::new());
            for objects in chosen.objects(app, desk).await? {
                wanted += objects.len();
                let done = answers::discard(store, corp_id, &objects, &desk.requester(app)).await?;
                discarded.extend(done.discarded);
            }
            if app.global.json {
                output::json(&serde_json::json!({ "discarded": discarded }))?;
            } else {
                output::line(format!("{} of {wanted} were parked, and are given up", discarded.len()))?;
            }
            Ok(if discarded.len() == wanted { Exit::Done } else { Exit::Failed })
        }
    }
}

impl Chosen {
    /// The objects that are meant, in portions.
    async fn objects(&self, app: &App, desk: &Desk) -> Result<Vec<Vec<(Kind, String)>>, Failure> {
        if let Some(kind) = &self.kind {
            let kind = answers::kind(kind)?;
            let objects: Vec<(Kind, String)> = self.ids.iter().map(|id| (kind, id.clone())).collect();
            return Ok(objects.chunks(TOGETHER).map(<[_]>::to_vec).collect());
        }
        let (mut portions, mut after) = (Vec::new(), None);
        loop {
            let page = answers::tasks(
                &desk.store,
                &desk.corp.corp_id,
                &[TaskState::Parked],
                after.as_deref(),
                Some(TOGETHER),
                app.clock.now(),
            )
            .await?;
            let mut objects = Vec::new();
            for task in page.tasks {
                let reason = task.parked_reason.unwrap_or_default();
                if self.reason.as_ref().is_none_or(|wanted| reason.starts_with(wanted.as_str())) {
                    objects.push((answers::kind(task.kind)?, task.id));
                }
            }
            portions.extend(Some(objects).filter(|objects| !objects.is_empty()));
            after = page.next;
            if after.is_none() {
                return Ok(portions);
            }
        }
    }
}

/// One task in the columns of a list.
fn line(task: &TaskLine) -> [String; 5] {
    let since = task.parked_at.as_ref().or(task.pending_since.as_ref()).or(task.read_at.as_ref());
    let more = match task.state {
        "parked" => task.parked_reason.clone().unwrap_or_default(),
        "waiting" | "confirming" => {
            format!("at {}, failures: {}", task.ready_at.as_deref().unwrap_or("any time"), task.attempts)
        }
        _ => task.lane.to_owned(),
    };
    [task.state.to_owned(), task.kind.to_owned(), task.id.clone(), since.cloned().unwrap_or_default(), more]
}

/// A task, one value a line.
pub(super) fn print(task: &TaskLine) -> Result<(), Failure> {
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    let rows = [
        ["object", &format!("{} {}", task.kind, task.id)],
        ["state", task.state],
        ["last read said", task.standing],
        ["last read", &text(&task.read_at)],
        ["because of", task.cause],
        ["event", &text(&task.event_id)],
        ["changed by", &text(&task.operator_userid)],
        ["last event came", &text(&task.event_at)],
        ["run", &task.run.map(|run| run.to_string()).unwrap_or_default()],
        ["unanswered hints", &task.unanswered.to_string()],
        ["waits since", &text(&task.pending_since)],
        ["may be read at", &text(&task.ready_at)],
        ["failures in a row", &task.attempts.to_string()],
        ["parked because", &text(&task.parked_reason)],
        ["parked since", &text(&task.parked_at)],
    ];
    let given: Vec<[String; 2]> =
        rows.iter().filter(|[_, value]| !value.is_empty()).map(|row| row.map(str::to_owned)).collect();
    output::table(&given)
}
