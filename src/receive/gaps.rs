//! What this process knows to have missed. Noting it costs no more than a lock, however often it happens; it is kept in
//! memory until the database can be written.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::keys::CallbackEndpoint;
use crate::clock::SharedClock;
use crate::lifecycle::Pulse;
use crate::store::{Conn, Gap, GapReason, Operation, Store, StoreError};

/// Gaps are written together, this often at most; so long a database that is away is waited for, too.
const TOGETHER: Duration = Duration::from_secs(1);
/// How often a process that takes callbacks shows that it lives.
const BEAT: Duration = Duration::from_secs(30);
/// DingTalk repeats what it could not deliver for about 40 s (`events.md §5`); where nobody took callbacks for longer than
/// this, some may be lost.
const SILENCE: SignedDuration = SignedDuration::from_secs(45);
/// How long the last words may take when the process stops.
const LAST_WORDS: Duration = Duration::from_secs(2);

type Noted = BTreeMap<(String, &'static str), Gap>;

/// Where gaps are noted. Clones are the same.
#[derive(Debug, Clone, Default)]
pub struct Gaps {
    noted: Arc<Mutex<Noted>>,
    wake: Arc<Notify>,
}

impl Gaps {
    fn lock(&self) -> MutexGuard<'_, Noted> {
        // Every change leaves the map whole, so a panic elsewhere does not spoil it.
        self.noted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Something of `corp_id` may have been missed just now.
    pub fn note(&self, corp_id: &str, reason: GapReason, now: Timestamp) {
        self.merge(corp_id, Gap { reason, since: now, until: now });
        self.wake.notify_one();
    }

    fn merge(&self, corp_id: &str, gap: Gap) {
        let mut noted = self.lock();
        let kept = noted.entry((corp_id.to_owned(), gap.reason.label())).or_insert(gap);
        kept.since = kept.since.min(gap.since);
        kept.until = kept.until.max(gap.until);
    }

    /// Writes what was noted. What cannot be written is kept.
    async fn write(&self, store: &Store) -> Result<(), StoreError> {
        let noted: Vec<(String, Gap)> =
            std::mem::take(&mut *self.lock()).into_iter().map(|((corp_id, _), gap)| (corp_id, gap)).collect();
        if noted.is_empty() {
            return Ok(());
        }
        let written = store.write(NoteGaps(noted.clone())).await;
        if written.is_err() {
            for (corp_id, gap) in noted {
                self.merge(&corp_id, gap);
            }
        }
        written.map(drop)
    }
}

/// Writes what is noted in `gaps`, and shows that this process takes callbacks, as it does since `ready_at`, until
/// `shutdown`.
pub async fn watch_gaps(
    gaps: Gaps,
    endpoints: Vec<CallbackEndpoint>,
    store: Store,
    (clock, ready_at): (SharedClock, Timestamp),
    shutdown: CancellationToken,
    pulse: Pulse,
) {
    let mut shown: Option<Instant> = None;
    let mut marks: HashMap<String, String> = HashMap::new();
    loop {
        let work = async {
            gaps.write(&store).await?;
            let now_marks = endpoints.iter().map(|end| (end.corp_id.clone(), end.key_mark())).collect();
            if shown.is_none_or(|at| at.elapsed() >= BEAT) || marks != now_marks {
                let ready_at = shown.is_none().then_some(ready_at);
                let show = Show { marks: now_marks.clone(), ready_at, now: clock.now() };
                store.write(show).await?;
                shown = Some(Instant::now());
                marks = now_marks;
            }
            Ok::<(), StoreError>(())
        };
        let worked = tokio::select! {
            worked = work => worked,
            never = pulse.keep_beating() => match never {},
            () = shutdown.cancelled() => break,
        };
        if let Err(error) = worked
            && error.outage().is_none()
        {
            warn!(%error, "what may have been missed cannot be noted yet");
        }
        tokio::select! {
            () = tokio::time::sleep(TOGETHER) => {}
            () = shutdown.cancelled() => break,
        }
        // The keys may stand in files that change.
        tokio::select! {
            () = gaps.wake.notified() => {}
            () = tokio::time::sleep(TOGETHER) => {}
            () = shutdown.cancelled() => break,
        }
    }
    // The database's own log lines tell of what is in their way.
    drop(tokio::time::timeout(LAST_WORDS, gaps.write(&store)).await);
}

struct NoteGaps(Vec<(String, Gap)>);

impl Operation for NoteGaps {
    type Output = ();

    async fn run(&self, conn: &mut Conn) -> Result<(), StoreError> {
        for (corp_id, gap) in &self.0 {
            conn.note_gap(corp_id, *gap).await?;
        }
        Ok(())
    }
}

/// Shows that a process takes callbacks, under these keys. Finds that nobody did for a while, and that others were in use.
struct Show {
    /// By the organisation.
    marks: HashMap<String, String>,
    /// For the first time: since when it takes them.
    ready_at: Option<Timestamp>,
    now: Timestamp,
}

impl Operation for Show {
    type Output = ();

    async fn run(&self, conn: &mut Conn) -> Result<(), StoreError> {
        let mut marks: Vec<(&String, &String)> = self.marks.iter().collect();
        // In the same order in every process, so that two never wait for each other in a circle.
        marks.sort();
        for (corp_id, mark) in marks {
            let known = conn.catch_up(corp_id).await?;
            let has_changed = conn.note_keys(corp_id, mark).await?;
            // What was asked for since this process takes callbacks looks for all that came before.
            let is_looked_for = self.ready_at.is_some() && known.reconciled_at >= self.ready_at;
            let gap = |reason, since| Gap { reason, since, until: self.now };
            if has_changed && !is_looked_for {
                conn.note_gap(corp_id, gap(GapReason::KeyChanged, self.now)).await?;
            }
            if self.ready_at.is_some()
                && !is_looked_for
                && let Some(since) = known.received_at
                && self.now.duration_since(since) > SILENCE
            {
                conn.note_gap(corp_id, gap(GapReason::Down, since)).await?;
            }
            conn.note_receiver(corp_id, self.now).await?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_one_gap_from_its_begin_to_its_end() {
        let gaps = Gaps::default();
        let at = |second| Timestamp::from_second(second).unwrap();
        for second in 0..1_000 {
            gaps.note("c", GapReason::Refused, at(second));
            gaps.note("c", GapReason::Undecryptable, at(second));
        }
        gaps.note("d", GapReason::Refused, at(7));
        let noted = gaps.lock();
        assert_eq!(noted.len(), 3);
        let gap = noted[&("c".to_owned(), "refused")];
        assert_eq!((gap.since, gap.until), (at(0), at(999)));
    }
}
