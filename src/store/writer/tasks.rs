//! The writers of a server: a connection for each [`Turn`], each committing what waits together.

use tokio::sync::mpsc;
use tokio::time::{Duration, sleep};
use tracing::{debug, error};

use super::{Job, Turn};
use crate::store::conn::Conn;
use crate::store::engine::address::Target;
use crate::store::error::StoreError;

/// Operations in one transaction at most. While one is committed, the next ones wait, and so make the next group.
const GROUP: usize = 64;
/// How often an operation is tried when others are in its way.
const ATTEMPTS: u32 = 10;
/// How long to wait before the second attempt; each further one waits longer.
const PAUSE: Duration = Duration::from_millis(3);

type Queue = mpsc::UnboundedSender<Box<dyn Job>>;

pub(in crate::store) struct Writer {
    urgent: Queue,
    alone: Queue,
    grouped: Queue,
}

impl Writer {
    pub(super) fn start(target: &Target) -> (Self, impl Future<Output = ()> + Send + use<>) {
        let (urgent, urgent_jobs) = mpsc::unbounded_channel();
        let (alone, alone_jobs) = mpsc::unbounded_channel();
        let (grouped, grouped_jobs) = mpsc::unbounded_channel();
        let line = |jobs, most| Line { target: target.clone(), jobs, most, conn: None };
        let lines =
            [line(urgent_jobs, GROUP), line(alone_jobs, 1), line(grouped_jobs, GROUP)].map(Line::commit_all);
        let task = async move {
            let lines = move || {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
                match runtime {
                    Ok(runtime) => {
                        let [urgent, alone, grouped] = lines;
                        runtime.block_on(async { tokio::join!(urgent, alone, grouped) });
                    }
                    Err(error) => error!(%error, "a thread for the database could not be set up"),
                }
            };
            if let Err(error) = tokio::task::spawn_blocking(lines).await {
                error!(%error, "a defect ended the thread of the database");
            }
        };
        (Self { urgent, alone, grouped }, task)
    }

    pub(super) fn submit(&self, turn: Turn, job: Box<dyn Job>) {
        let queue = match turn {
            Turn::Urgent => &self.urgent,
            Turn::Alone => &self.alone,
            Turn::Grouped => &self.grouped,
        };
        // It fails only when the task has died: the job is dropped, and its caller hears of that.
        drop(queue.send(job));
    }
}

/// Operations of one turn, and the connection that they go through.
struct Line {
    target: Target,
    jobs: mpsc::UnboundedReceiver<Box<dyn Job>>,
    /// In one transaction.
    most: usize,
    conn: Option<Conn>,
}

impl Line {
    async fn commit_all(mut self) {
        let mut group = Vec::with_capacity(self.most);
        while self.jobs.recv_many(&mut group, self.most).await > 0 {
            let fate = self.commit_together(&mut group).await;
            match fate {
                Ok(()) => group.drain(..).for_each(|job| job.settle(Ok(()))),
                Err(error) if !error.voids_connection() => {
                    // One of them cannot be done, or somebody is in the way of one: that must not refuse the others.
                    debug!(%error, operations = group.len(), "a transaction was taken back");
                    for job in std::mem::take(&mut group) {
                        self.commit_alone(job).await;
                    }
                }
                Err(error) => {
                    debug!(%error, operations = group.len(), "a commit failed");
                    group.drain(..).for_each(|job| job.settle(Err(error.clone())));
                }
            }
        }
    }

    async fn commit_alone(&mut self, job: Box<dyn Job>) {
        let mut single = vec![job];
        let mut fate = self.commit_together(&mut single).await;
        for attempt in 1..ATTEMPTS {
            if !matches!(fate, Err(StoreError::Conflict(_))) {
                break;
            }
            sleep(PAUSE * attempt * attempt).await;
            fate = self.commit_together(&mut single).await;
        }
        single.into_iter().for_each(|job| job.settle(fate.clone()));
    }

    /// Runs operations in one transaction. A connection on which anything went wrong but an operation is given up.
    async fn commit_together(&mut self, group: &mut [Box<dyn Job>]) -> Result<(), StoreError> {
        let mut conn = self.begun().await?;
        let fate = transact(&mut conn, group).await;
        let fit = match &fate {
            Ok(()) => true,
            Err(error) => !error.voids_connection() && conn.roll_back().await.is_ok(),
        };
        self.conn = Some(conn).filter(|_| fit);
        fate
    }

    /// A connection inside of a transaction. One that was idle may have died meanwhile: then a new one is made.
    async fn begun(&mut self) -> Result<Conn, StoreError> {
        if let Some(mut conn) = self.conn.take().filter(Conn::is_reusable)
            && conn.begin().await.is_ok()
        {
            return Ok(conn);
        }
        let mut conn = Conn::open_writer(&self.target).await?;
        conn.begin().await?;
        Ok(conn)
    }
}

async fn transact(conn: &mut Conn, group: &mut [Box<dyn Job>]) -> Result<(), StoreError> {
    for job in group {
        job.run(conn).await?;
    }
    conn.flush().await?;
    conn.commit().await
}
