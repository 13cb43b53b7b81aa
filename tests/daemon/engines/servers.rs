//! Database servers of a test's own, which it may take away.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// A PostgreSQL and a MariaDB that run until this is dropped.
pub(super) struct Servers {
    script: Child,
    variables: Vec<(String, String)>,
}

impl Servers {
    pub(super) async fn start() -> Self {
        tokio::task::spawn_blocking(Self::start_now).await.expect("no panic")
    }

    fn start_now() -> Self {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/servers.sh");
        // They run until the line is read, which comes with the end of this process at the latest.
        let mut script = Command::new(script)
            .args(["sh", "-c", "env | grep '^TEST_'; echo; read -r end"])
            .env_remove("TEST_POSTGRES_URL")
            .env_remove("TEST_MARIADB_URL")
            .env("TEST_MYSQL_URL", "none is needed")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("tests/servers.sh starts");
        let output = BufReader::new(script.stdout.take().expect("a pipe"));
        let variables = output
            .lines()
            .map(|line| line.expect("a line"))
            .take_while(|line| !line.is_empty())
            .filter_map(|line| line.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned())))
            .collect();
        Self { script, variables }
    }

    fn variable(&self, name: &str) -> &str {
        let found = self.variables.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str()).expect("tests/servers.sh names its servers")
    }

    /// Where databases are made on `engine`.
    pub(super) fn url(&self, engine: &str) -> &str {
        self.variable(&format!("TEST_{}_URL", engine.to_uppercase()))
    }

    /// Tells a server to `stop`, to `start`, or to die (`kill`).
    pub(super) async fn control(&self, engine: &str, what: &'static str) {
        let program = self.variable(&format!("TEST_{}_CONTROL", engine.to_uppercase())).to_owned();
        let status = tokio::task::spawn_blocking(move || Command::new(program).arg(what).status());
        assert!(status.await.expect("no panic").expect("the program runs").success());
    }
}

impl Drop for Servers {
    fn drop(&mut self) {
        drop(self.script.stdin.take());
        self.script.wait().ok();
    }
}
