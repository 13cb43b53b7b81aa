//! Connections that see the last commit and hold nobody up.

use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Duration, Instant};

use super::conn::Conn;
use super::engine::address::Target;
use super::error::StoreError;

/// How many there are at most.
const READERS: usize = 4;
/// One that was idle for longer may have been closed by the server, whose own patience is longer than this.
const IDLE: Duration = Duration::from_secs(20);

#[derive(Debug)]
pub(super) struct Readers {
    target: Target,
    /// Those that nobody uses, with the time since when; the last one is the freshest.
    idle: Mutex<Vec<(Instant, Conn)>>,
    permits: Arc<Semaphore>,
}

/// A connection that only reads.
#[derive(Debug)]
pub struct Reader {
    /// `None` only while it is being given back.
    conn: Option<Conn>,
    readers: Arc<Readers>,
    _permit: OwnedSemaphorePermit,
}

impl Readers {
    pub(super) fn new(target: Target) -> Self {
        Self { target, idle: Mutex::default(), permits: Arc::new(Semaphore::new(READERS)) }
    }

    fn idle(&self) -> MutexGuard<'_, Vec<(Instant, Conn)>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) async fn acquire(self: &Arc<Self>) -> Result<Reader, StoreError> {
        let permit = Arc::clone(&self.permits).acquire_owned().await;
        let permit = permit.map_err(|_| StoreError::Closed("it is being closed"))?;
        let idle = self.idle().pop().filter(|(since, _)| since.elapsed() < IDLE);
        let conn = match idle {
            Some((_, conn)) => conn,
            None => Conn::open_reader(&self.target).await?,
        };
        Ok(Reader { conn: Some(conn), readers: Arc::clone(self), _permit: permit })
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        match self.conn.take() {
            Some(conn) if conn.is_reusable() => self.readers.idle().push((Instant::now(), conn)),
            // What broke this one has most likely broken those that lie idle, too.
            _ => self.readers.idle().clear(),
        }
    }
}

impl Deref for Reader {
    type Target = Conn;

    fn deref(&self) -> &Conn {
        self.conn.as_ref().expect("a reader has its connection until it is dropped")
    }
}

impl DerefMut for Reader {
    fn deref_mut(&mut self) -> &mut Conn {
        self.conn.as_mut().expect("a reader has its connection until it is dropped")
    }
}
