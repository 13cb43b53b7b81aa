//! The way in which operations reach the database: waiting together, committed together.

mod tasks;
mod thread;

use futures_util::future::BoxFuture;
use tokio::sync::oneshot;

use super::change::Logged;
use super::conn::Conn;
use super::engine::address::Target;
use super::error::StoreError;
use super::{Operation, Written};

/// How an operation shares commits with others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// Somebody on the wire waits for it: it goes before the others.
    Urgent,
    /// It takes rows that nobody must wait for while others of the group go on: on a server it has its own transaction.
    Alone,
    /// With whatever else waits.
    Grouped,
}

/// An operation that waits for its turn.
trait Job: Send {
    /// Runs inside of a transaction; again, if that transaction was taken back.
    fn run<'c>(&'c mut self, conn: &'c mut Conn) -> BoxFuture<'c, Result<(), StoreError>>;
    /// Tells its caller how its transaction ended.
    fn settle(self: Box<Self>, fate: Result<(), StoreError>);
}

/// The way to whatever commits. Dropping it ends that.
pub(super) enum Writer {
    /// An embedded file has one writer, a thread.
    Thread(thread::Writer),
    /// A server has a connection for each [`Turn`].
    Tasks(tasks::Writer),
}

impl std::fmt::Debug for Writer {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Writer")
    }
}

impl Writer {
    /// A writer, and the task that has to run for it. The task ends when the writer is dropped.
    pub(super) fn start(target: &Target) -> (Self, BoxFuture<'static, ()>) {
        match target {
            Target::Sqlite(path) => {
                let (writer, task) = thread::Writer::start(path.clone());
                (Self::Thread(writer), Box::pin(task))
            }
            Target::Postgres(_) | Target::Mysql(_) => {
                let (writer, task) = tasks::Writer::start(target);
                (Self::Tasks(writer), Box::pin(task))
            }
        }
    }

    /// Runs an operation and waits for its commit.
    pub(super) async fn run<O: Operation>(&self, operation: O) -> Result<Written<O::Output>, StoreError> {
        let (reply, outcome) = oneshot::channel();
        let job = Box::new(Waiting { operation, outcome: None, reply });
        match self {
            Self::Thread(writer) => writer.submit(O::TURN, job),
            Self::Tasks(writer) => writer.submit(O::TURN, job),
        }
        // The writer drops an operation only when it dies itself.
        outcome.await.unwrap_or(Err(StoreError::Closed("its writer has ended")))
    }
}

/// An operation with somebody who waits for it.
struct Waiting<O: Operation> {
    operation: O,
    outcome: Option<(O::Output, Vec<Logged>)>,
    reply: oneshot::Sender<Result<Written<O::Output>, StoreError>>,
}

impl<O: Operation> Job for Waiting<O> {
    fn run<'c>(&'c mut self, conn: &'c mut Conn) -> BoxFuture<'c, Result<(), StoreError>> {
        Box::pin(async move {
            let before = conn.changes.len();
            let output = self.operation.run(conn).await?;
            self.outcome = Some((output, conn.logged_from(before)));
            Ok(())
        })
    }

    fn settle(self: Box<Self>, fate: Result<(), StoreError>) {
        let Self { reply, outcome, .. } = *self;
        let result = fate.and_then(|()| outcome.ok_or(StoreError::Closed("an operation was not run")));
        // Whoever asked may have gone away; the commit stands all the same.
        drop(reply.send(result.map(|(output, logged)| Written { output, logged })));
    }
}
