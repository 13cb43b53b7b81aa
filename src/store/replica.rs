//! The processes that share a database: which of them live, and which one leads.

use jiff::Timestamp;

use super::conn::Conn;
use super::dialect::Dialect;
use super::error::StoreError;
use super::sql::args;

/// What a process says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replica {
    /// A number that no other process has.
    pub id: i64,
    /// How it calls itself, for people: `serve, process 4711 on oa-2`.
    pub holder: String,
    /// It has workers.
    pub works: bool,
}

impl Conn {
    /// The time on the database's clock, which all processes share.
    pub async fn database_now(&mut self) -> Result<Timestamp, StoreError> {
        let sql = match self.dialect() {
            Dialect::Sqlite => "SELECT CAST(unixepoch('subsec') * 1000 AS INTEGER)",
            Dialect::Postgres => "SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint",
            Dialect::Mysql => "SELECT CAST(UNIX_TIMESTAMP(SYSDATE(3)) * 1000 AS SIGNED)",
        };
        let milliseconds = self.number(sql, &[]).await?;
        Timestamp::from_millisecond(milliseconds)
            .map_err(|_| StoreError::Schema("its clock shows no time".to_owned()))
    }

    /// Notes that a process lives, and forgets those of which nothing was heard since `forgotten`.
    pub async fn hear(
        &mut self,
        replica: &Replica,
        now: Timestamp,
        forgotten: Timestamp,
    ) -> Result<(), StoreError> {
        let sql = format!(
            "INSERT INTO dingsync_replica (id, holder, works, heard_at) VALUES (?, ?, ?, ?) {}",
            self.dialect().overwrite("id", &["holder", "works", "heard_at"]),
        );
        let works = i64::from(replica.works);
        self.execute(sql, args![replica.id, &replica.holder, works, now.as_millisecond()]).await?;
        let sql = "DELETE FROM dingsync_replica WHERE heard_at < ?";
        self.execute(sql, args![forgotten.as_millisecond()]).await?;
        Ok(())
    }

    /// The processes that were heard of since `since`, each with when that was.
    pub async fn replicas(&mut self, since: Timestamp) -> Result<Vec<(Replica, Timestamp)>, StoreError> {
        let sql = "SELECT id, holder, works, heard_at FROM dingsync_replica WHERE heard_at >= ? ORDER BY id";
        let rows = self.rows(sql, args![since.as_millisecond()]).await?;
        rows.iter()
            .map(|row| {
                let replica = Replica {
                    id: row.integer(0)?.unwrap_or_default(),
                    holder: row.text(1)?.unwrap_or_default(),
                    works: row.flag(2)?.unwrap_or_default(),
                };
                Ok((replica, row.millisecond(3)?.unwrap_or(since)))
            })
            .collect()
    }

    /// Notes that nobody was there for a while: whoever leads next has to find what happened.
    pub async fn note_absence(&mut self) -> Result<(), StoreError> {
        self.lay_out_lead().await?;
        self.execute("UPDATE dingsync_lead SET catch_up = 1 WHERE name = 'leader'", &[]).await?;
        Ok(())
    }

    /// Whether there was such an absence.
    pub async fn was_absent(&mut self) -> Result<bool, StoreError> {
        Ok(self.number("SELECT catch_up FROM dingsync_lead WHERE name = 'leader'", &[]).await? != 0)
    }

    /// Notes that what happened in the absence has been asked for.
    pub async fn forget_absence(&mut self) -> Result<(), StoreError> {
        self.execute("UPDATE dingsync_lead SET catch_up = 0 WHERE name = 'leader'", &[]).await?;
        Ok(())
    }

    async fn lay_out_lead(&mut self) -> Result<(), StoreError> {
        if self.row("SELECT name FROM dingsync_lead WHERE name = 'leader'", &[]).await?.is_some() {
            return Ok(());
        }
        let sql = format!(
            "INSERT INTO dingsync_lead (name, replica, holder, until) VALUES ('leader', 0, '', 0) {}",
            self.dialect().keep("name"),
        );
        self.execute(sql, &[]).await?;
        Ok(())
    }

    /// Writes without changing anything, to find out whether writing is possible. The row is one that nobody locks beside
    /// others, so that a look is in nobody's way.
    pub async fn probe_write(&mut self) -> Result<(), StoreError> {
        self.lay_out_lead().await?;
        self.execute("UPDATE dingsync_lead SET until = until WHERE name = 'leader'", &[]).await
    }

    /// Takes or keeps the lead until `until`; brings who has it then.
    pub async fn take_lead(
        &mut self,
        replica: &Replica,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<Replica, StoreError> {
        self.lay_out_lead().await?;
        let sql = "UPDATE dingsync_lead SET replica = ?, holder = ?, until = ? \
                   WHERE name = 'leader' AND (replica = ? OR until < ?)";
        let args =
            args![replica.id, &replica.holder, until.as_millisecond(), replica.id, now.as_millisecond()];
        if self.count(sql, args).await? == 1 {
            return Ok(replica.clone());
        }
        let row = self.row("SELECT replica, holder FROM dingsync_lead WHERE name = 'leader'", &[]).await?;
        let (id, holder) = match row {
            Some(row) => (row.integer(0)?.unwrap_or_default(), row.text(1)?.unwrap_or_default()),
            None => (0, String::new()),
        };
        Ok(Replica { id, holder, works: true })
    }

    /// A process goes: it is not waited for, and leads no more.
    pub async fn leave(&mut self, replica_id: i64) -> Result<(), StoreError> {
        self.execute("DELETE FROM dingsync_replica WHERE id = ?", args![replica_id]).await?;
        self.execute("UPDATE dingsync_lead SET until = 0 WHERE replica = ?", args![replica_id]).await?;
        Ok(())
    }
}
