//! Tasks and signals: every background task has a name and is watched, one that dies stops the process, and a stop ends
//! in time.

mod service;

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use thiserror::Error;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

pub use self::service::tell_service_manager;

/// From the signal to the end of the process; after that it leaves what is unfinished to its next start.
const STOP_DEADLINE: Duration = Duration::from_secs(9);
/// How often a task that waits gives a sign of life.
const BEAT: Duration = Duration::from_secs(5);
/// A task that has not moved for this long hangs.
const STILL: Duration = Duration::from_mins(1);

/// A sign of life that a task gives while it moves.
#[derive(Debug, Clone)]
pub struct Pulse {
    started: Instant,
    beat_at: Arc<AtomicU64>,
}

impl Pulse {
    fn new() -> Self {
        Self { started: Instant::now(), beat_at: Arc::new(AtomicU64::new(0)) }
    }

    /// The task moves.
    pub fn beat(&self) {
        self.beat_at.store(self.started.elapsed().as_millis() as u64, Ordering::Relaxed);
    }

    /// Gives signs of life for as long as it is polled: for a task that waits, and moves whatever it waits for.
    pub async fn keep_beating(&self) -> Infallible {
        loop {
            self.beat();
            tokio::time::sleep(BEAT).await;
        }
    }

    fn silence(&self) -> Duration {
        let beat_at = Duration::from_millis(self.beat_at.load(Ordering::Relaxed));
        self.started.elapsed().saturating_sub(beat_at)
    }
}

/// The pulses of all tasks that have one.
#[derive(Debug, Clone, Default)]
pub struct Pulses(Arc<Mutex<BTreeMap<String, Pulse>>>);

impl Pulses {
    fn add(&self, name: &str) -> Pulse {
        let pulse = Pulse::new();
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(name.to_owned(), pulse.clone());
        pulse
    }

    /// The tasks that hang.
    pub fn still(&self) -> Vec<String> {
        let pulses = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        pulses.iter().filter(|(_, pulse)| pulse.silence() > STILL).map(|(name, _)| name.clone()).collect()
    }
}

/// How the process came to its end.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum EndError {
    /// A task that runs as long as the process ended by itself.
    #[error("the task `{0}` ended unexpectedly; its last log line says why")]
    TaskDied(String),
    /// Some tasks did not end in time.
    #[error("these tasks did not end in time: {}", .0.join(", "))]
    Late(Vec<String>),
}

/// The tasks of a process.
#[derive(Debug)]
pub struct Tasks {
    shutdown: CancellationToken,
    running: JoinSet<()>,
    names: BTreeMap<tokio::task::Id, String>,
    pulses: Pulses,
}

impl Tasks {
    /// No tasks yet; they stop when `shutdown` is cancelled.
    pub fn new(shutdown: CancellationToken) -> Self {
        Self { shutdown, running: JoinSet::new(), names: BTreeMap::new(), pulses: Pulses::default() }
    }

    /// What a task watches to learn that it has to end.
    pub fn shutdown(&self) -> CancellationToken {
        self.shutdown.clone()
    }

    /// A pulse for a task that is about to be spawned under the same name.
    pub fn pulse(&self, name: &str) -> Pulse {
        self.pulses.add(name)
    }

    /// All pulses.
    pub fn pulses(&self) -> Pulses {
        self.pulses.clone()
    }

    /// Runs a task. It must not end before the shutdown.
    pub fn spawn(&mut self, name: impl Into<String>, task: impl Future<Output = ()> + Send + 'static) {
        let handle = self.running.spawn(task);
        self.names.insert(handle.id(), name.into());
    }

    /// Waits for the shutdown, or for a task that dies, which is the shutdown of all; then for the end of every task.
    pub async fn wait(mut self) -> Result<(), EndError> {
        let died = tokio::select! {
            // A task that has seen the shutdown already did not die.
            biased;
            () = self.shutdown.cancelled() => None,
            Some(ended) = self.running.join_next_with_id() => Some(self.name_of(&ended)),
        };
        if let Some(name) = &died {
            error!(task = name, "a task ended unexpectedly; the process stops");
            self.shutdown.cancel();
        }
        let all = async {
            while let Some(ended) = self.running.join_next_with_id().await {
                self.name_of(&ended);
            }
        };
        let in_time = tokio::time::timeout(STOP_DEADLINE, all).await.is_ok();
        let late: Vec<String> = self.names.into_values().collect();
        match (died, in_time) {
            (Some(name), _) => Err(EndError::TaskDied(name)),
            (None, true) => Ok(()),
            (None, false) => {
                warn!(tasks = ?late, "these tasks did not end in time");
                Err(EndError::Late(late))
            }
        }
    }

    fn name_of(&mut self, ended: &Result<(tokio::task::Id, ()), tokio::task::JoinError>) -> String {
        let id = match ended {
            Ok((id, ())) => *id,
            Err(error) => error.id(),
        };
        self.names.remove(&id).unwrap_or_default()
    }
}

/// Cancels `shutdown` at the first SIGTERM or SIGINT, and leaves at once, with `leave`, at the second.
pub async fn stop_on_signals(shutdown: CancellationToken, leave: fn()) -> std::io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut next = async || {
        tokio::select! {
            _ = terminate.recv() => "SIGTERM",
            _ = interrupt.recv() => "SIGINT",
        }
    };
    let name = next().await;
    info!(signal = name, "stopping; a second signal leaves at once");
    shutdown.cancel();
    let name = next().await;
    warn!(signal = name, "leaving at once");
    leave();
    Ok(())
}
