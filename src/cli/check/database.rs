//! The database: whether it is there, and can be written or made.

use jiff::Timestamp;

use super::{Finding, Verdict};
use crate::cli::session::take_unless_served;
use crate::config::Config;
use crate::store::{Conn, Operation, Outage, Store, StoreError};
use crate::sync::prepare;

/// Whether the database can be written, or could be made.
pub(super) async fn check(store: &Store, config: &Config, now: Timestamp) -> Finding {
    let place = store.place();
    let found = match store.expect_mirror().await {
        Ok(()) => write(store, config, now).await.map(|()| format!("{place} can be written")),
        Err(StoreError::NoMirror(_)) => {
            let text = format!(
                "{place} holds no mirror yet, and may be given one: the first `dingsync serve` makes it"
            );
            store.probe_making().await.map(|()| text)
        }
        Err(error) => Err(error),
    };
    match found {
        Ok(text) => Finding::new("database", Verdict::Ok, text),
        Err(error) => {
            let verdict = match error.outage() {
                Some(Outage::Unreachable | Outage::Busy) => Verdict::Later,
                _ => Verdict::Wrong,
            };
            Finding::new("database", verdict, error.to_string()).remedy(remedy(store, &error))
        }
    }
}

async fn write(store: &Store, config: &Config, now: Timestamp) -> Result<(), StoreError> {
    match take_unless_served(store, "check").await? {
        Some(alone) => {
            store.migrate(&alone, now).await?;
            // So that metered calls can be counted.
            prepare(store, config, now).await?;
        }
        None => drop(store.missing_migrations().await?),
    }
    store.write(Probe).await.map(drop)
}

struct Probe;

impl Operation for Probe {
    type Output = ();

    async fn run(&self, conn: &mut Conn) -> Result<(), StoreError> {
        conn.probe_write().await
    }
}

fn remedy(store: &Store, error: &StoreError) -> String {
    let place = store.place();
    match (error, error.outage()) {
        (StoreError::Denied(_), _) => {
            "grant it; or have the DBA run what `dingsync migrate --print` prints, and start \
                                       `dingsync serve --no-migrate`"
                .to_owned()
        }
        (_, Some(Outage::Busy)) => "try again when the other work on it has ended".to_owned(),
        (_, Some(_)) if store.is_shared() => format!(
            "make sure that the server of {place} runs, is reached from this machine, lets the user of `database.url` \
             in, and may be written"
        ),
        (_, Some(_)) => {
            format!("make sure that the folder of {place} exists, and that this user may write there")
        }
        (StoreError::InUse { .. }, _) => "stop that one, or try again when it has ended".to_owned(),
        _ => "use a database that this version of dingsync made".to_owned(),
    }
}
