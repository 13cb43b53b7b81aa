//! Where operators' questions are answered from: the database alone, beside whatever daemon runs on it.

use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::App;
use super::exit::{Exit, Failure};
use super::subject::only_corp;
use crate::answers::Requester;
use crate::config::{Config, Corp, Needs};
use crate::lifecycle::Tasks;
use crate::store::{Store, StoreError};

/// An open database, and the organisation that is asked about.
pub(super) struct Desk {
    pub(super) store: Store,
    pub(super) config: Config,
    pub(super) corp: Corp,
    who: String,
    tasks: Tasks,
    shutdown: CancellationToken,
}

impl Desk {
    /// Opens the database, which must have its schema.
    pub(super) async fn open(app: &App, needs: Needs) -> Result<Self, Failure> {
        Self::open_for(app, needs, |config| only_corp(config).cloned()).await
    }

    /// The same, about the organisation that `choose` brings.
    pub(super) async fn open_for(
        app: &App,
        needs: Needs,
        choose: impl Fn(&Config) -> Result<Corp, Failure>,
    ) -> Result<Self, Failure> {
        let config = app.config(needs)?;
        let corp = choose(&config)?;
        let (store, writer) = config.database_url.with(Store::open)?;
        let store = store.excluding(config.exclude_fields.clone());
        let shutdown = CancellationToken::new();
        let mut tasks = Tasks::new(shutdown.clone());
        tasks.spawn("database writer", writer);
        let missing = store.missing_migrations().await?;
        if missing > 0 {
            let text = format!(
                "{missing} migrations are missing: run `dingsync migrate`, or start the daemon with this version"
            );
            return Err(StoreError::Schema(text).into());
        }
        if store.reader().await?.corp(&corp.corp_id).await?.is_none() {
            let text = format!("{} is not in the database yet: start `dingsync serve` once", corp.name);
            return Err(Failure::new(Exit::Failed, anyhow::Error::msg(text)));
        }
        Ok(Self { store, config, corp, who: app.who(), tasks, shutdown })
    }

    /// Whoever types the command, for the audit trail.
    pub(super) fn requester(&self, app: &App) -> Requester<'_> {
        Requester { who: &self.who, now: app.clock.now() }
    }

    /// Closes the database.
    pub(super) async fn close(self) {
        let Self { store, tasks, shutdown, .. } = self;
        shutdown.cancel();
        drop(store);
        if let Err(error) = tasks.wait().await {
            warn!(%error, "the command did not stop cleanly");
        }
    }
}
