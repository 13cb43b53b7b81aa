//! An OA's database that is away, that may not be written, or that does not take one person.

use std::fs;
use std::net::SocketAddr;

use dingsync::sim::{Change, Sim};
use rusqlite::Connection;
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use super::{Oa, agrees, applied, follow, object, parked, rename, run, told, toml_of};
use crate::support::database::Database;
use crate::support::{Daemon, UNBOUNDED, is_at_rest, simulator};

/// A way to a server that can be cut.
struct Gate {
    address: SocketAddr,
    is_open: watch::Sender<bool>,
}

impl Gate {
    async fn before(target: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let (is_open, seen) = watch::channel(true);
        tokio::spawn(async move {
            while let Ok((mut client, _)) = listener.accept().await {
                let mut seen = seen.clone();
                if !*seen.borrow() {
                    continue;
                }
                tokio::spawn(async move {
                    let Ok(mut server) = TcpStream::connect(target).await else { return };
                    tokio::select! {
                        _ = tokio::io::copy_bidirectional(&mut client, &mut server) => {}
                        _ = seen.wait_for(|is_open| !is_open) => {}
                    }
                });
            }
        });
        Self { address, is_open }
    }
}

/// The mapping with another URL for the OA's database.
fn configured(daemon: &Daemon, oa: &Oa, url: &str) {
    let mut mapping = oa.mapping();
    mapping["url"] = json!(url);
    daemon.configure_more(&toml_of(&mapping));
}

/// Renames somebody while the OA cannot be written: the mirror goes on, the OA is told of, and catches up in the end.
async fn waited_for(sim: &Sim, daemon: &Daemon, oa: &Oa, trouble: &str, name: &str) {
    sim.change(&rename("00020", name)).expect("a change");
    sim.settled().await;
    let in_trouble = |status: &Value| {
        is_at_rest(status) && status["apply"]["trouble"]["kind"] == trouble && status["apply"]["behind"] != 0
    };
    let status = daemon.wait("main", &format!("trouble called {trouble}"), in_trouble).await;
    let apply = &status["apply"];
    assert!(apply["trouble"]["since"].is_string(), "{apply:#}");
    assert!(apply["trouble"]["text"].as_str().is_some_and(|text| !text.is_empty()), "{apply:#}");
    assert_eq!(apply["parked"], 0, "an OA that is out of order parks nobody: {apply:#}");
    let same = told(daemon).await;
    assert_eq!(same["trouble"]["kind"], trouble, "the command line says the same: {same:#}");
    let mirrored = "SELECT count(*) FROM ding_employee WHERE userid = '00020' AND name = ";
    assert_eq!(daemon.database().number(&format!("{mirrored}'{name}'")), 1, "the mirror goes on");
    assert_ne!(oa.user("00020")["nick_name"], name);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_is_away_is_waited_for() {
    let sim = simulator(60, 8, 3).await;
    let oa = Oa::apart();
    let mut daemon = Daemon::new(&[&sim], UNBOUNDED);
    // It lets nobody through when it goes.
    let gate;
    if let Database::Sqlite(path) = &*oa.database {
        // Who has a file open does not notice that it is moved: it is away at a start.
        configured(&daemon, &oa, &oa.database.url());
        follow(&mut daemon, &sim).await;
        daemon.stop().await;
        let (folder, elsewhere) = (path.parent().expect("a folder"), oa.folder.path().with_extension("away"));
        fs::rename(folder, &elsewhere).expect("it can be moved");
        daemon.start().await;
        sim.change(&rename("00020", "离线之名")).expect("a change");
        sim.settled().await;
        let away = |status: &Value| is_at_rest(status) && status["apply"]["trouble"]["kind"] == "away";
        let status = daemon.wait("main", "trouble called away", away).await;
        assert_eq!(status["apply"]["parked"], 0);
        assert!(!path.exists(), "nobody makes an OA out of nothing");
        let mirrored = "SELECT count(*) FROM ding_employee WHERE userid = '00020' AND name = '离线之名'";
        assert_eq!(daemon.database().number(mirrored), 1, "the mirror goes on");
        fs::rename(&elsewhere, folder).expect("it can be moved");
    } else {
        let url: url::Url = oa.database.url().parse().expect("a URL");
        let port = url.port().expect("a port");
        gate = Gate::before(([127, 0, 0, 1], port).into()).await;
        let through = oa.database.url().replace(&format!(":{port}/"), &format!(":{}/", gate.address.port()));
        configured(&daemon, &oa, &through);
        follow(&mut daemon, &sim).await;
        gate.is_open.send_replace(false);
        waited_for(&sim, &daemon, &oa, "away", "离线之名").await;
        gate.is_open.send_replace(true);
    }
    agrees(&daemon, &oa, &sim).await;
    assert_eq!(oa.user("00020")["nick_name"], "离线之名");
    daemon.says("the OA's tables are followed again").await;
    daemon.stop().await;
}

/// A PostgreSQL that is as one that stands by: sessions may read, and are told so when they write.
async fn read_only(sim: &Sim, daemon: &mut Daemon, oa: &Oa, url: &str) {
    const NAME: &str = "只读之名";
    let database = url.rsplit_once('/').expect("a URL").1;
    let end_sessions = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
                        WHERE datname = current_database() AND pid <> pg_backend_pid();";
    configured(daemon, oa, url);
    follow(daemon, sim).await;
    oa.script(&format!("ALTER DATABASE {database} SET default_transaction_read_only = on; {end_sessions}"));
    waited_for(sim, daemon, oa, "read_only", NAME).await;
    oa.script(&format!(
        "BEGIN READ WRITE; ALTER DATABASE {database} RESET default_transaction_read_only; COMMIT; {end_sessions}"
    ));
    agrees(daemon, oa, sim).await;
}

/// A MySQL user who loses the right to write, and gets it back.
async fn denied(sim: &Sim, daemon: &mut Daemon, oa: &Oa, url: &str) {
    const NAME: &str = "无权之名";
    const TABLES: [&str; 4] = ["sys_dept", "sys_user", "sys_role", "sys_user_role"];
    let mut url: url::Url = url.parse().expect("a URL");
    let database = url.path().trim_start_matches('/').to_owned();
    let user = format!("{database}_oa");
    let each = |verb: &str, preposition: &str| -> String {
        let grants = TABLES.map(|table| {
            format!("{verb} INSERT, UPDATE, DELETE ON {database}.{table} {preposition} '{user}'@'%';")
        });
        grants.concat()
    };
    oa.script(&format!(
        "CREATE USER '{user}'@'%' IDENTIFIED BY 'Oa-0nly-here'; GRANT SELECT ON {database}.* TO '{user}'@'%'; {}",
        each("GRANT", "TO"),
    ));
    url.set_username(&user).expect("a URL with a user");
    url.set_password(Some("Oa-0nly-here")).expect("a URL with a password");
    configured(daemon, oa, url.as_str());
    follow(daemon, sim).await;
    oa.script(&each("REVOKE", "FROM"));
    waited_for(sim, daemon, oa, "denied", NAME).await;
    oa.script(&each("GRANT", "TO"));
    agrees(daemon, oa, sim).await;
    oa.script(&format!("DROP USER '{user}'@'%'"));
}

/// Somebody else's program that writes into a file and does not come to an end.
async fn busy(sim: &Sim, daemon: &mut Daemon, oa: &Oa, url: &str) {
    const NAME: &str = "忙碌之名";
    configured(daemon, oa, url);
    follow(daemon, sim).await;
    let other = Connection::open(oa.database.file()).expect("a file");
    other
        .execute_batch("BEGIN IMMEDIATE; UPDATE sys_user SET remark = 'x' WHERE user_id = 1;")
        .expect("a lock");
    waited_for(sim, daemon, oa, "busy", NAME).await;
    other.execute_batch("ROLLBACK").expect("no lock");
    agrees(daemon, oa, sim).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_may_not_be_written_is_waited_for() {
    let sim = simulator(60, 8, 4).await;
    let oa = Oa::apart();
    let mut daemon = Daemon::new(&[&sim], UNBOUNDED);
    let url = oa.database.url();
    match &*oa.database {
        Database::Sqlite(_) => busy(&sim, &mut daemon, &oa, &url).await,
        Database::Postgres(_) => read_only(&sim, &mut daemon, &oa, &url).await,
        Database::Mysql(_) => denied(&sim, &mut daemon, &oa, &url).await,
    }
    daemon.stop().await;
}

/// Makes the column for people's names as wide as this.
fn widen(oa: &Oa, width: usize) {
    oa.script(&match &*oa.database {
        // A check cannot be altered: the table is made again, as its manual says.
        Database::Sqlite(_) => {
            let tables = oa.tables();
            let start = tables.find("CREATE TABLE sys_user (").expect("the table");
            let end = start + tables[start..].find(';').expect("an end");
            let wider = tables[start..end]
                .replacen("sys_user", "sys_user_new", 1)
                .replace("nick_name VARCHAR(100)", &format!("nick_name VARCHAR CHECK (length(nick_name) <= {width})"));
            format!(
                "BEGIN IMMEDIATE; {wider}; INSERT INTO sys_user_new SELECT * FROM sys_user; DROP TABLE sys_user; \
                 ALTER TABLE sys_user_new RENAME TO sys_user; COMMIT;"
            )
        }
        Database::Postgres(_) => format!("ALTER TABLE sys_user ALTER COLUMN nick_name TYPE VARCHAR({width})"),
        Database::Mysql(_) => format!("ALTER TABLE sys_user MODIFY nick_name VARCHAR({width})"),
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn one_whom_the_tables_do_not_take_is_parked_alone() {
    let sim = simulator(120, 12, 5).await;
    let oa = Oa::apart();
    let mut daemon = Daemon::new(&[&sim], UNBOUNDED);
    configured(&daemon, &oa, &oa.database.url());
    widen(&oa, 40);
    let long = "长".repeat(60);
    sim.change(&rename("00020", &long)).expect("a change");
    daemon.start().await;
    sim.set_callback(Some(daemon.callback_url("main")));
    parked(&daemon, 1).await;
    let status = told(&daemon).await;
    assert_eq!(status["parked"], 1, "{status:#}");
    let he = object(&status, "employee", "00020").clone();
    assert_eq!((&he["state"], &he["statement"]), (&json!("parked"), &json!("employee.upsert")), "{status:#}");
    let message = he["message"].as_str().expect("a message");
    assert!(message.contains("nick_name") || message.contains("40"), "the database's own words: {message}");
    assert!(!message.contains('长'), "and nobody's name: {message}");
    assert!(he["attempts"].as_i64() >= Some(1) && he["since"].is_string(), "{he}");
    assert_eq!(oa.number("SELECT count(*) FROM sys_user"), 119, "everybody else is there");
    let log = daemon.log();
    let line = log.lines().find(|line| line.contains("it is parked")).expect("a line");
    for named in [r#"entity="employee""#, r#"id="00020""#, r#"statement="employee.upsert""#, "code="] {
        assert!(line.contains(named), "nothing of {named}: {line}");
    }

    // Life goes on beside him, for whom a change is another attempt.
    sim.change(&rename("00021", "后来之名")).expect("a change");
    sim.change(&Change::PersonJoin { userid: Some("newcomer".to_owned()), name: None, departments: vec![1] })
        .expect("a change");
    sim.change(&rename("00020", &"久".repeat(50))).expect("a change");
    sim.settled().await;
    parked(&daemon, 1).await;
    assert_eq!(oa.user("00021")["nick_name"], "后来之名");
    assert_eq!(oa.rows_of("newcomer").len(), 1);
    let again = told(&daemon).await;
    assert!(object(&again, "employee", "00020")["attempts"].as_i64() > he["attempts"].as_i64(), "{again:#}");

    widen(&oa, 100);
    run(&daemon, &["apply", "retry"], 0).await;
    applied(&daemon).await;
    agrees(&daemon, &oa, &sim).await;
    assert_eq!(told(&daemon).await["objects"], json!([]));
    daemon.stop().await;
}
