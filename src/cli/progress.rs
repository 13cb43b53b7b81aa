//! How far work is that a command waits for.

use std::cell::Cell;
use std::io::IsTerminal as _;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::Instant;
use tracing::info;

use crate::store::{Kind, Run, RunState, Store, StoreError};
use crate::sync::Context;

pub(super) const LOOK: Duration = Duration::from_millis(200);
const REPORT: Duration = Duration::from_secs(10);
/// What does not get on for this long waits for somebody else, which may take hours.
pub(super) const PATIENCE: Duration = Duration::from_mins(1);

/// Works until it is done, or until somebody interrupts this process (`None`).
pub(super) async fn unless_interrupted<T>(work: impl Future<Output = T>) -> Option<T> {
    let terminated = async {
        match signal(SignalKind::terminate()) {
            Ok(mut signals) => drop(signals.recv().await),
            // Then it is killed as processes are that watch for no signal.
            Err(_) => std::future::pending().await,
        }
    };
    tokio::select! {
        done = work => Some(done),
        Ok(()) = tokio::signal::ctrl_c() => None,
        () = terminated => None,
    }
}

/// Shows how far a run is until it is over.
pub(super) async fn follow(store: &Store, corp: &str, run_id: i64) -> Result<Run, StoreError> {
    let bar = Bar::new(corp);
    loop {
        let run = look_at(store, run_id).await?;
        if run.state.is_over() {
            return Ok(run);
        }
        bar.show_run(&run);
        tokio::time::sleep(LOOK).await;
    }
}

/// The same beside a daemon. Comes back earlier, with a run that is not over, when the daemon gets on with nothing: then
/// DingTalk does not answer it, and that may take hours.
pub(super) async fn follow_daemon(store: &Store, context: &Context, run_id: i64) -> Result<Run, StoreError> {
    let bar = Bar::new(&context.name);
    let mut seen = None;
    let mut moved = Instant::now();
    loop {
        let run = look_at(store, run_id).await?;
        if run.state.is_over() {
            return Ok(run);
        }
        let (open, counts) = {
            let mut reader = store.reader().await?;
            (reader.open_runs(&context.corp_id).await?, reader.counts(&context.corp_id).await?)
        };
        let runs: Vec<_> = open.iter().map(|run| (run.id, run.state, run.progress)).collect();
        let now = Some((runs, counts.live.pending + counts.background.pending, counts.confirming));
        if seen != now {
            seen = now;
            moved = Instant::now();
        }
        if moved.elapsed() > PATIENCE {
            return Ok(run);
        }
        bar.show_run(&run);
        tokio::time::sleep(LOOK).await;
    }
}

async fn look_at(store: &Store, run_id: i64) -> Result<Run, StoreError> {
    let run = store.reader().await?.run(run_id).await?;
    run.ok_or_else(|| StoreError::Schema("a run has vanished from the list of runs".to_owned()))
}

/// How reading everybody's details ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Details {
    /// All have been read, but for so many objects that are parked.
    Read {
        /// DingTalk refuses to show these.
        parked: i64,
    },
    /// So many wait, and do not get on.
    Waiting {
        /// Still to be read.
        left: i64,
    },
}

/// Waits until everybody's details have been read.
pub(super) async fn follow_details(store: &Store, context: &Context) -> Result<Details, StoreError> {
    let bar = Bar::new(&context.name);
    let (mut most, mut least) = (0, i64::MAX);
    let mut moved = Instant::now();
    loop {
        let counts = store.reader().await?.counts(&context.corp_id).await?;
        let left = counts.live.pending + counts.background.pending + counts.running;
        most = most.max(left);
        if left < least {
            least = left;
            moved = Instant::now();
        }
        if left == 0 || moved.elapsed() > PATIENCE {
            return Ok(match left {
                0 => Details::Read { parked: counts.parked },
                left => Details::Waiting { left },
            });
        }
        bar.show(most - left, Some(most), "details");
        tokio::time::sleep(LOOK).await;
    }
}

/// Waits until nothing waits any more that a request has marked. Brings how many still do, when those do not get on.
pub(super) async fn follow_request(
    store: &Store,
    context: &Context,
    request: i64,
) -> Result<i64, StoreError> {
    let bar = Bar::new(&context.name);
    let (mut most, mut least) = (0, i64::MAX);
    let mut moved = Instant::now();
    loop {
        let (left, _) = store.reader().await?.run_remains(&context.corp_id, request, &Kind::ALL).await?;
        most = most.max(left);
        if left < least {
            least = left;
            moved = Instant::now();
        }
        if left == 0 || moved.elapsed() > PATIENCE {
            return Ok(left);
        }
        bar.show(most - left, Some(most), "reading once more");
        tokio::time::sleep(LOOK).await;
    }
}

/// A progress bar on a terminal, a line now and then elsewhere.
pub(super) struct Bar {
    corp: String,
    drawn: Option<ProgressBar>,
    reported: Cell<Instant>,
}

impl Bar {
    pub(super) fn new(corp: &str) -> Self {
        let drawn = std::io::stderr().is_terminal().then(ProgressBar::new_spinner);
        Self { corp: corp.to_owned(), drawn, reported: Cell::new(Instant::now()) }
    }

    fn show_run(&self, run: &Run) {
        let phase = match run.state {
            RunState::Queued => "waiting for its turn",
            _ => run.phase.as_deref().unwrap_or("starting"),
        };
        self.show(run.progress, run.total, phase);
    }

    /// Shows what is being done where nobody knows how much that is.
    pub(super) fn show_phase(&self, phase: &str) {
        if let Some(bar) = &self.drawn {
            if let Ok(style) = ProgressStyle::with_template("{prefix} {spinner} {msg} ({elapsed})") {
                bar.set_style(style);
            }
            bar.set_prefix(self.corp.clone());
            bar.set_message(phase.to_owned());
            bar.tick();
        } else if self.reported.get().elapsed() >= REPORT {
            self.reported.set(Instant::now());
            info!(corp = self.corp, phase, "under way");
        }
    }

    fn show(&self, position: i64, total: Option<i64>, phase: &str) {
        let position = u64::try_from(position).unwrap_or_default();
        let total = total.and_then(|total| u64::try_from(total).ok());
        if let Some(bar) = &self.drawn {
            let template = match total {
                Some(_) => "{prefix} {msg} [{wide_bar}] {pos}/{len} ({eta} left)",
                None => "{prefix} {spinner} {msg}: {human_pos} in {elapsed} ({per_sec})",
            };
            if let Ok(style) = ProgressStyle::with_template(template) {
                bar.set_style(style);
            }
            bar.set_prefix(self.corp.clone());
            bar.set_message(phase.to_owned());
            if let Some(total) = total {
                bar.set_length(total);
            }
            bar.set_position(position);
        } else if self.reported.get().elapsed() >= REPORT {
            self.reported.set(Instant::now());
            info!(corp = self.corp, phase, done = position, total, "under way");
        }
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        if let Some(bar) = &self.drawn {
            bar.finish_and_clear();
        }
    }
}
