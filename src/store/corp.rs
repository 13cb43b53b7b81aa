//! `ding_corp`: what is known of an organisation as a whole.

use jiff::Timestamp;

use super::catch_up::CatchUp;
use super::error::StoreError;
use super::held::HeldGroup;
use super::ledger::Counts;
use super::run::Run;
use super::run_note::RunNote;
use super::sql::args;
use crate::store::conn::Conn;

/// How far the first pull is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum BootstrapState {
    /// It has not begun.
    Pending,
    /// Pages are being stored.
    Running,
    /// Every page has been stored.
    Complete,
    /// Some pages cannot be read because of themselves.
    Failed,
}

impl BootstrapState {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Pending, Self::Running, Self::Complete, Self::Failed];

    /// The word in `ding_corp.bootstrap_state` and in the status.
    pub fn label(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Running => "running",
            Self::Complete => "complete",
            Self::Failed => "failed",
        }
    }

    fn of_label(label: &str) -> Self {
        Self::ALL.into_iter().find(|state| state.label() == label).unwrap_or(Self::Pending)
    }
}

/// An organisation as a whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CorpRecord {
    /// Its name, as the root department carries it.
    pub org_name: Option<String>,
    /// How far the first pull is.
    pub bootstrap: BootstrapState,
    /// The run that the ledger's rows carry.
    pub bootstrap_run: i64,
    /// When it began.
    pub bootstrap_started_at: Option<Timestamp>,
    /// When the last page was stored.
    pub bootstrap_complete_at: Option<Timestamp>,
    /// What is in its way.
    pub bootstrap_error: Option<String>,
    /// When everything was last found, or made, equal.
    pub last_reconcile_at: Option<Timestamp>,
    /// When the last event came.
    pub last_event_at: Option<Timestamp>,
}

/// An organisation and its queue, at one moment.
#[derive(Debug, Clone)]
pub struct Snapshot {
    /// What is known of it; `None` before it is registered.
    pub corp: Option<CorpRecord>,
    /// What the queue holds.
    pub counts: Counts,
    /// Current people and departments.
    pub populations: (i64, i64),
    /// The run that is queued or under way.
    pub run: Option<Run>,
    /// What the deletion guard holds.
    pub held: Vec<HeldGroup>,
    /// The last reconcile that is over, with what it had to say.
    pub last_reconcile: Option<(Run, Vec<RunNote>)>,
    /// What may have been missed.
    pub catch_up: CatchUp,
}

impl Conn {
    /// Looks at everything at once: nothing changes between one number and the next.
    pub async fn snapshot(&mut self, corp_id: &str) -> Result<Snapshot, StoreError> {
        self.begin_look().await?;
        let snapshot = self.look(corp_id).await;
        self.roll_back().await?;
        snapshot
    }

    async fn look(&mut self, corp_id: &str) -> Result<Snapshot, StoreError> {
        let corp = self.corp(corp_id).await?;
        let counts = if corp.is_some() { self.counts(corp_id).await? } else { Counts::default() };
        Ok(Snapshot {
            corp,
            counts,
            populations: self.populations(corp_id).await?,
            run: self.open_runs(corp_id).await?.into_iter().next(),
            held: self.held_groups(corp_id).await?,
            last_reconcile: self.last_reconcile(corp_id).await?,
            catch_up: self.catch_up(corp_id).await?,
        })
    }

    /// Makes an organisation known, under the name that the configuration gives it.
    pub async fn register_corp(
        &mut self,
        corp_id: &str,
        config_name: &str,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let keep = self.dialect().keep("corp_id");
        let sql = format!(
            "INSERT INTO ding_corp (corp_id, config_name, created_at, updated_at) VALUES (?, ?, ?, ?) {keep}"
        );
        self.execute(sql, args![corp_id, config_name, now, now]).await?;
        let sql =
            "UPDATE ding_corp SET config_name = ?, updated_at = ? WHERE corp_id = ? AND config_name <> ?";
        self.execute(sql, args![config_name, now, corp_id, config_name]).await?;
        let sql = format!("INSERT INTO dingsync_corp (corp_id) VALUES (?) {keep}");
        self.execute(sql, args![corp_id]).await?;
        self.lay_out_catch_up(corp_id).await
    }

    /// The short number that stands for an organisation in the daemon's own tables.
    pub(super) async fn corp_number(&mut self, corp_id: &str) -> Result<i64, StoreError> {
        if let Some(number) = self.corp_numbers.get(corp_id) {
            return Ok(*number);
        }
        let sql = "SELECT corp FROM dingsync_corp WHERE corp_id = ?";
        let row = self.row(sql, args![corp_id]).await?;
        let number = row.map(|row| row.integer(0)).transpose()?.flatten().ok_or_else(|| {
            StoreError::Schema(
                "an organisation is not registered in it: start `dingsync serve` once".to_owned(),
            )
        })?;
        self.corp_numbers.insert(corp_id.to_owned(), number);
        Ok(number)
    }

    /// What is known of an organisation; `None` before it is registered.
    pub async fn corp(&mut self, corp_id: &str) -> Result<Option<CorpRecord>, StoreError> {
        let sql = "SELECT corp.org_name, corp.bootstrap_state, own.bootstrap_run, own.bootstrap_started_at, \
                   corp.bootstrap_complete_at, own.bootstrap_error, corp.last_reconcile_at, \
                   corp.last_event_at \
                   FROM ding_corp AS corp JOIN dingsync_corp AS own ON own.corp_id = corp.corp_id \
                   WHERE corp.corp_id = ?";
        let Some(row) = self.row(sql, args![corp_id]).await? else { return Ok(None) };
        Ok(Some(CorpRecord {
            org_name: row.text(0)?,
            bootstrap: BootstrapState::of_label(&row.text(1)?.unwrap_or_default()),
            bootstrap_run: row.integer(2)?.unwrap_or_default(),
            bootstrap_started_at: row.millisecond(3)?,
            bootstrap_complete_at: row.instant(4)?,
            bootstrap_error: row.text(5)?,
            last_reconcile_at: row.instant(6)?,
            last_event_at: row.instant(7)?,
        }))
    }

    /// Begins the pull that `run_id` asks for.
    pub async fn begin_bootstrap(
        &mut self,
        corp_id: &str,
        run_id: i64,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let sql = "UPDATE dingsync_corp SET bootstrap_run = ?, bootstrap_started_at = ?, \
                   bootstrap_error = NULL WHERE corp_id = ?";
        self.execute(sql, args![run_id, now.as_millisecond(), corp_id]).await?;
        let sql = "UPDATE ding_corp SET bootstrap_state = 'running', bootstrap_complete_at = NULL, \
                   updated_at = ? WHERE corp_id = ?";
        self.execute(sql, args![now, corp_id]).await?;
        Ok(())
    }

    /// Notes how a pull stands.
    pub async fn set_bootstrap(
        &mut self,
        corp_id: &str,
        state: BootstrapState,
        error: Option<&str>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let complete_at = (state == BootstrapState::Complete).then_some(now);
        let sql = "UPDATE ding_corp SET bootstrap_state = ?, bootstrap_complete_at = ?, updated_at = ? \
                   WHERE corp_id = ?";
        self.execute(sql, args![state.label(), complete_at, now, corp_id]).await?;
        let sql = "UPDATE dingsync_corp SET bootstrap_error = ? WHERE corp_id = ?";
        self.execute(sql, args![error, corp_id]).await?;
        Ok(())
    }

    /// Whether everybody has to be visible before anybody's details are read.
    pub async fn details_wait(&mut self, corp_id: &str) -> Result<bool, StoreError> {
        let sql = "SELECT details_wait FROM dingsync_corp WHERE corp_id = ?";
        Ok(self.number(sql, args![corp_id]).await? != 0)
    }

    /// Notes whether details have to wait.
    pub async fn set_details_wait(&mut self, corp_id: &str, wait: bool) -> Result<(), StoreError> {
        let sql = "UPDATE dingsync_corp SET details_wait = ? WHERE corp_id = ? AND details_wait <> ?";
        let wait = i64::from(wait);
        self.execute(sql, args![wait, corp_id, wait]).await?;
        Ok(())
    }

    /// Notes that nobody goes on with the pulls of organisations that are not configured any more.
    pub async fn give_up_other_pulls(
        &mut self,
        configured: &[&str],
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let sql = "SELECT corp_id FROM ding_corp WHERE bootstrap_state = 'running'";
        for row in self.rows(sql, &[]).await? {
            let corp_id = row.text(0)?.unwrap_or_default();
            if !configured.contains(&corp_id.as_str()) {
                let error = "the organisation was taken out of the configuration during the pull";
                self.set_bootstrap(&corp_id, BootstrapState::Failed, Some(error), now).await?;
            }
        }
        Ok(())
    }

    /// Notes the organisation's name.
    pub async fn set_org_name(
        &mut self,
        corp_id: &str,
        name: Option<&str>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let known = self.corp(corp_id).await?.and_then(|corp| corp.org_name);
        if known.as_deref() != name {
            let sql = "UPDATE ding_corp SET org_name = ?, updated_at = ? WHERE corp_id = ?";
            self.execute(sql, args![name, now, corp_id]).await?;
        }
        Ok(())
    }

    /// Notes that everything was compared.
    pub async fn set_reconciled(&mut self, corp_id: &str, now: Timestamp) -> Result<(), StoreError> {
        let sql = "UPDATE ding_corp SET last_reconcile_at = ?, updated_at = ? WHERE corp_id = ?";
        self.execute(sql, args![now, now, corp_id]).await?;
        Ok(())
    }

    /// How many current people and departments the mirror holds.
    pub async fn populations(&mut self, corp_id: &str) -> Result<(i64, i64), StoreError> {
        let people = self
            .number(
                "SELECT count(*) FROM ding_employee WHERE corp_id = ? AND deleted_at IS NULL",
                args![corp_id],
            )
            .await?;
        let departments = self
            .number(
                "SELECT count(*) FROM ding_department WHERE corp_id = ? AND deleted_at IS NULL",
                args![corp_id],
            )
            .await?;
        Ok((people, departments))
    }
}
