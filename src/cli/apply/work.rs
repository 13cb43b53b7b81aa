//! `dingsync apply retry`, `approve` and `rebuild`: beside a daemon they are noted, and the daemon does them; alone the
//! command does.

use std::time::Duration;

use clap::Args;
use serde::Serialize;
use tokio::time::Instant;

use super::super::exit::{Exit, Failure};
use super::super::progress::{Bar, LOOK, PATIENCE, unless_interrupted};
use super::super::session::Session;
use super::super::subject::{What, only_corp};
use super::super::{App, output};
use super::filled_corps;
use super::status::{held_text, objects_table};
use crate::answers::{self, ApplyLine, Filling, Requester};
use crate::apply::{Applier, ApplyError, Step};
use crate::config::Needs;
use crate::store::{
    ApplyObject, ApplyPhase, ApplyRecord, ApplyState, BootstrapState, Entity, Store, StoreError,
};

/// A trouble is believed when it has lasted for so long: the daemon tries again every ten seconds at least.
const TROUBLED: Duration = Duration::from_secs(15);
/// Parked objects that are named.
const SHOWN: usize = 20;

#[derive(Debug, Args)]
pub(in crate::cli) struct WhichArgs {
    /// What it is [default: everything that waits for this command]
    #[arg(requires = "id", value_name = "ENTITY")]
    what: Option<What>,
    /// Its id in DingTalk, or `name:…`; a person also by `mobile:…`, `job:…` or `unionid:…`
    id: Option<String>,
}

/// What a command asks for.
#[derive(Debug, Clone)]
enum Wish {
    Retry(Option<(Entity, String)>),
    Approve(Option<(Entity, String)>),
    Rebuild,
}

impl Wish {
    fn word(&self) -> &'static str {
        match self {
            Self::Retry(_) => "retry",
            Self::Approve(_) => "approve",
            Self::Rebuild => "rebuild",
        }
    }
}

/// What is waited for.
#[derive(Debug, Clone, Default)]
struct Goal {
    /// The walk with this number is over.
    walk: Option<i64>,
    /// This object had its turn; without one all had.
    object: Option<(Entity, String)>,
}

/// How waiting ended.
#[derive(Debug, Clone, PartialEq, Eq)]
enum End {
    /// Everything had its turn.
    Done,
    /// The first pull is not complete.
    Waiting,
    /// The OA's database cannot be used.
    Trouble { kind: String, text: String },
    /// Whoever is to do it gets on with nothing.
    Stuck,
    /// Somebody interrupted this command.
    Interrupted,
}

impl End {
    fn word(&self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Waiting => "waiting",
            Self::Trouble { .. } => "trouble",
            Self::Stuck => "stuck",
            Self::Interrupted => "interrupted",
        }
    }
}

/// What a command came to.
#[derive(Debug, Serialize)]
struct Carried {
    corp: String,
    name: String,
    action: &'static str,
    /// Objects that were marked; `null` for all.
    marked: Option<u64>,
    end: &'static str,
    trouble: Option<Trouble>,
    /// Of what was asked for, so many are parked.
    parked: i64,
    /// And so many are held by the deletion guard.
    held: i64,
    objects: Vec<ApplyLine>,
}

#[derive(Debug, Serialize)]
struct Trouble {
    kind: String,
    text: String,
}

impl WhichArgs {
    fn object(self) -> Option<(Entity, String)> {
        self.what.zip(self.id).map(|(what, id)| (what.entity(), id))
    }
}

pub(super) async fn retry(app: App, args: WhichArgs) -> Result<Exit, Failure> {
    carry_out(app, Wish::Retry(args.object())).await
}

pub(super) async fn approve(app: App, args: WhichArgs) -> Result<Exit, Failure> {
    carry_out(app, Wish::Approve(args.object())).await
}

pub(super) async fn rebuild(app: App) -> Result<Exit, Failure> {
    carry_out(app, Wish::Rebuild).await
}

async fn carry_out(app: App, wish: Wish) -> Result<Exit, Failure> {
    let config = app.config(Needs::Credentials)?;
    let corps = filled_corps(&config)?;
    if matches!(wish, Wish::Retry(Some(_)) | Wish::Approve(Some(_))) {
        only_corp(&config)?;
    }
    let session = Session::open(&app, &config, "apply").await?;
    let mut exit = Exit::Done;
    let mut results = Vec::new();
    for corp in corps {
        let clock = session.engine.context(&corp.name).map_or(&app.clock, |context| &context.clock);
        let Some(applier) = Applier::of(corp, config.guard, &session.store, clock)? else { continue };
        let (marked, goal) = note(&app, &session.store, &applier, &wish).await?;
        let end = wait(&session, &applier, &goal).await?;
        let left = Left::of(&session.store, &applier.corp_id, &goal).await?;
        let outdated = match end {
            End::Done if goal.walk.is_some() => has_other_statements(&session.store, &applier).await?,
            _ => false,
        };
        exit = exit.max(match end {
            End::Done if left.is_nothing() && !outdated => Exit::Done,
            End::Done => Exit::Failed,
            _ => Exit::TryLater,
        });
        if !app.global.json {
            tell(&applier, &wish, marked, &end, &left, session.is_alone())?;
            if outdated {
                output::line(format!(
                    "{}: the running daemon was started with other statements: restart it, then `dingsync apply rebuild`",
                    applier.corp
                ))?;
            }
        }
        let trouble = match &end {
            End::Trouble { kind, text } => Some(Trouble { kind: kind.clone(), text: text.clone() }),
            _ => None,
        };
        results.push(Carried {
            corp: applier.corp.clone(),
            name: applier.mapping.name.clone(),
            action: wish.word(),
            marked,
            end: end.word(),
            trouble,
            parked: left.parked,
            held: left.held,
            objects: left.objects,
        });
        if end == End::Interrupted {
            break;
        }
    }
    if app.global.json {
        output::json(&results)?;
    }
    session.close().await;
    Ok(exit)
}

/// Puts on record what is wanted. Brings how many objects that are, where it is known, and what to wait for.
async fn note(
    app: &App,
    store: &Store,
    applier: &Applier,
    wish: &Wish,
) -> Result<(Option<u64>, Goal), Failure> {
    let who = app.who();
    let requester = Requester { who: &who, now: app.clock.now() };
    let corp_id = applier.corp_id.as_str();
    let object = match wish {
        Wish::Retry(Some((entity, id))) | Wish::Approve(Some((entity, id))) => {
            Some((*entity, answers::resolve(store, corp_id, *entity, id).await?))
        }
        _ => None,
    };
    let marked = match wish {
        Wish::Retry(_) => answers::apply_retry(store, corp_id, object.clone(), &requester).await?,
        Wish::Approve(_) => answers::apply_approve(store, corp_id, object.clone(), &requester).await?,
        Wish::Rebuild => {
            let filling = Filling::from(applier);
            let walk = answers::apply_rebuild(store, corp_id, &filling, &requester).await?;
            return Ok((None, Goal { walk: Some(walk), object: None }));
        }
    };
    Ok((Some(marked), Goal { object, walk: None }))
}

/// Waits until what was asked for is done, whoever does it.
async fn wait(session: &Session, applier: &Applier, goal: &Goal) -> Result<End, Failure> {
    let (store, corp, corp_id) = (&session.store, &applier.corp, &applier.corp_id);
    let waited = async {
        if !session.is_alone() {
            return Ok(follow(store, corp, corp_id, goal).await?);
        }
        tokio::select! {
            end = settle(applier) => end,
            shown = show(store, corp, corp_id) => match shown? {},
        }
    };
    unless_interrupted(waited).await.unwrap_or(Ok(End::Interrupted))
}

/// Does the work.
async fn settle(applier: &Applier) -> Result<End, Failure> {
    let since = Instant::now();
    loop {
        match applier.settle().await {
            Ok(Step::Waits) => return Ok(End::Waiting),
            // Whoever led before may not have let go yet.
            Ok(Step::Elsewhere) if since.elapsed() < PATIENCE => tokio::time::sleep(LOOK).await,
            Ok(Step::Elsewhere) => return Ok(End::Stuck),
            Ok(Step::Rest | Step::More) => return Ok(End::Done),
            Err(ApplyError::Store(error)) => return Err(error.into()),
            Err(error) => {
                return Ok(End::Trouble { kind: error.kind().to_owned(), text: error.to_string() });
            }
        }
    }
}

/// Shows how far this process is.
async fn show(store: &Store, corp: &str, corp_id: &str) -> Result<std::convert::Infallible, StoreError> {
    let bar = Bar::new(corp);
    loop {
        bar.show_phase(&Look::at(store, corp_id, &Goal::default()).await?.phase());
        tokio::time::sleep(LOOK).await;
    }
}

/// Waits for the daemon, and shows how far it is.
async fn follow(store: &Store, corp: &str, corp_id: &str, goal: &Goal) -> Result<End, StoreError> {
    let bar = Bar::new(corp);
    let mut seen = None;
    let mut moved = Instant::now();
    let mut troubled: Option<Instant> = None;
    loop {
        let look = Look::at(store, corp_id, goal).await?;
        if look.is_over {
            return Ok(End::Done);
        }
        if look.waits {
            return Ok(End::Waiting);
        }
        match look.record.as_ref().and_then(|record| record.trouble.clone()) {
            Some(trouble) if troubled.get_or_insert_with(Instant::now).elapsed() > TROUBLED => {
                return Ok(End::Trouble { kind: trouble.kind, text: trouble.text });
            }
            Some(_) => {}
            None => troubled = None,
        }
        bar.show_phase(&look.phase());
        if seen.as_ref() != Some(&look) {
            seen = Some(look);
            moved = Instant::now();
        }
        if moved.elapsed() > PATIENCE {
            return Ok(End::Stuck);
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// How far it is.
#[derive(Debug, PartialEq, Eq)]
struct Look {
    record: Option<ApplyRecord>,
    due: i64,
    /// What is waited for has been done.
    is_over: bool,
    /// The first pull is not complete.
    waits: bool,
}

impl Look {
    async fn at(store: &Store, corp_id: &str, goal: &Goal) -> Result<Self, StoreError> {
        let mut reader = store.reader().await?;
        // Before what is due: what a walk applies marks what depends on it.
        let record = reader.apply_record(corp_id).await?;
        let is_walked = match (goal.walk, &record) {
            (Some(walk), Some(record)) => record.walks_begun >= walk && record.phase == ApplyPhase::Following,
            (Some(_), None) => false,
            (None, _) => true,
        };
        let due = reader.apply_counts(corp_id).await?.due;
        let is_applied = match &goal.object {
            Some((entity, id)) => {
                let object = reader.apply_object(corp_id, *entity, id).await?;
                object.is_none_or(|object| object.state != ApplyState::Due.label())
            }
            None => due == 0 && record.as_ref().is_none_or(|record| record.trouble.is_none()),
        };
        let waits = record.as_ref().is_none_or(|record| record.phase == ApplyPhase::Waiting) && {
            let corp = reader.corp(corp_id).await?;
            corp.is_none_or(|corp| corp.bootstrap != BootstrapState::Complete)
        };
        Ok(Self { record, due, is_over: is_walked && is_applied, waits })
    }

    fn phase(&self) -> String {
        let record = self.record.as_ref();
        if let Some(trouble) = record.and_then(|record| record.trouble.as_ref()) {
            return format!("waiting for the OA's database ({})", trouble.kind);
        }
        let walked = record.and_then(|record| record.walked.as_ref()).map(|(entity, _)| entity.as_str());
        match (record.map(|record| record.phase), walked) {
            (Some(ApplyPhase::Walking), Some(entity)) => {
                format!("applying every {entity}, {} others are due", self.due)
            }
            _ => format!("{} objects are due", self.due),
        }
    }
}

/// What is parked or held of what was asked for.
#[derive(Debug, Default)]
struct Left {
    parked: i64,
    held: i64,
    objects: Vec<ApplyLine>,
}

impl Left {
    async fn of(store: &Store, corp_id: &str, goal: &Goal) -> Result<Self, StoreError> {
        let mut reader = store.reader().await?;
        let is = |object: &ApplyObject, state: ApplyState| object.state == state.label();
        if let Some((entity, id)) = &goal.object {
            let object = reader.apply_object(corp_id, *entity, id).await?;
            let object = object.filter(|object| !is(object, ApplyState::Due));
            let held = object.iter().filter(|object| is(object, ApplyState::Held)).count() as i64;
            let objects: Vec<ApplyLine> = object.map(ApplyLine::from).into_iter().collect();
            return Ok(Self { parked: objects.len() as i64 - held, held, objects });
        }
        let counts = reader.apply_counts(corp_id).await?;
        let objects = reader.apply_objects(corp_id, ApplyState::Parked, SHOWN).await?;
        let objects = objects.into_iter().map(ApplyLine::from).collect();
        Ok(Self { parked: counts.parked, held: counts.held, objects })
    }

    fn is_nothing(&self) -> bool {
        self.parked + self.held == 0
    }
}

fn tell(
    applier: &Applier,
    wish: &Wish,
    marked: Option<u64>,
    end: &End,
    left: &Left,
    is_alone: bool,
) -> Result<(), Failure> {
    let corp = &applier.corp;
    let who = if is_alone { "`dingsync serve`, or this command again," } else { "the daemon" };
    let later = format!("what was asked for stays noted, and {who} goes on with it");
    match end {
        End::Done => output::line(match (wish, marked) {
            (Wish::Rebuild, _) => format!("{corp}: the whole mirror was gone through"),
            (Wish::Approve(_), Some(0)) => format!("{corp}: nothing was held"),
            (_, Some(0)) => format!("{corp}: nothing was parked"),
            (Wish::Approve(_), marked) => {
                format!("{corp}: {} let go", output::counted(marked.unwrap_or_default(), "object"))
            }
            (_, marked) => {
                format!("{corp}: {} tried again", output::counted(marked.unwrap_or_default(), "object"))
            }
        })?,
        End::Waiting => output::line(format!(
            "{corp}: the first pull is not complete, and half a mirror is applied to nothing; {later}"
        ))?,
        End::Trouble { kind, text } => {
            output::line(format!("{corp}: the OA's database cannot be used ({kind}): {text}"))?;
            output::line(format!("{corp}: {later} once that is put right"))?;
        }
        End::Stuck if is_alone => output::line(format!(
            "{corp}: another process fills this OA, and does not let go; what was asked for stays noted"
        ))?,
        End::Stuck => output::line(format!(
            "{corp}: the daemon gets on with nothing: its log says why. One that was started before [apply.{}] was \
             written has to be restarted; what was asked for stays noted",
            applier.mapping.name
        ))?,
        End::Interrupted => output::line(format!("{corp}: interrupted; {later}"))?,
    }
    let Left { parked, held, objects } = left;
    if *parked > 0 {
        let parked = output::counted(*parked, "object");
        output::line(format!("{corp}: parked, because the OA's database refuses it: {parked}"))?;
    }
    objects_table(objects)?;
    if parked + held > objects.len() as i64 {
        output::line("`dingsync apply status` lists more of them")?;
    }
    if *held > 0 {
        output::line(held_text(corp, *held))?;
    }
    Ok(())
}

/// Whether the last walk ran other statements than the configuration has: a daemon reads them at its start alone.
async fn has_other_statements(store: &Store, applier: &Applier) -> Result<bool, StoreError> {
    let record = store.reader().await?.apply_record(&applier.corp_id).await?;
    Ok(record.is_some_and(|record| record.walked_with_others(&applier.mapping.digest)))
}
