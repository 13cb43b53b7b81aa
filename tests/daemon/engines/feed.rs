//! The change log read while several daemons write it: nothing is missed, nothing comes twice, nothing comes late.

use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::Duration;
use std::{fs, mem};

use dingsync::sim::Plan;
use serde_json::json;

use crate::support::{Daemon, UNBOUNDED, is_at_rest, simulator, until};

/// Reads the API of one daemon after the other, and appends the number of each change to a file. What stands there is
/// all that it remembers.
const FEED_READER: &str = r#"
import json, os, sys, urllib.request
path, urls = sys.argv[1], sys.argv[2:]
opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
with open(path, "a+") as notes:
    notes.seek(0)
    lines = notes.read().split()
    after, turn = (lines[-1] if lines else "0"), 0
    while True:
        turn += 1
        url = "%s?corp=main&limit=300&wait=1&after=%s" % (urls[turn % len(urls)], after)
        try:
            feed = json.load(opener.open(url, timeout=10))
        except (OSError, ValueError):
            continue
        for change in feed["changes"]:
            notes.write(change["seq"] + "\n")
        notes.flush()
        os.fsync(notes.fileno())
        after = feed["next"]
"#;

/// Polls the table by SQL, and does the same.
const TABLE_READER: &str = r#"
while :; do
  last=$(tail -n 1 "$1")
  psql "$2" -qAtX -c "SELECT seq FROM ding_change WHERE corp_id = '$3' AND seq > ${last:-0} ORDER BY seq LIMIT 300" >> "$1"
  sleep 0.1
done
"#;

/// A process that reads the change log, and can be killed at any moment.
struct Reader {
    notes: PathBuf,
    program: [String; 3],
    arguments: Vec<String>,
    child: Option<Child>,
}

impl Reader {
    fn new(folder: &Path, program: [&str; 3], arguments: Vec<String>) -> Self {
        let notes = folder.join(format!("{}.notes", program[0]));
        fs::write(&notes, "").expect("a writable folder");
        Self { notes, program: program.map(str::to_owned), arguments, child: None }
    }

    fn start(&mut self) {
        // Of what it wrote when it was killed, a line without its end does not count.
        let notes = fs::read_to_string(&self.notes).expect("notes");
        let whole = notes.rfind('\n').map_or(0, |end| end + 1);
        fs::write(&self.notes, &notes[..whole]).expect("a writable folder");
        let [program, flag, script] = &self.program;
        let mut command = Command::new(program);
        command.args([flag, script]);
        if program == "sh" {
            command.arg("reader");
        }
        command.arg(&self.notes).args(&self.arguments).process_group(0);
        self.child = Some(command.spawn().expect("it starts"));
    }

    /// Kills it, and whatever it has started.
    fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let group = format!("-{}", child.id());
            let killed = Command::new("kill").args(["-s", "KILL", "--", &group]).status();
            assert!(killed.expect("kill runs").success());
            child.wait().expect("a child");
        }
    }

    fn numbers(&self) -> Vec<i64> {
        let notes = fs::read_to_string(&self.notes).expect("notes");
        let whole = notes.rfind('\n').map_or("", |end| &notes[..end]);
        whole.lines().map(|line| line.parse().expect("a number")).collect()
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.kill();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_reads_the_change_log_and_is_killed_misses_nothing_while_three_replicas_write() {
    let sim = simulator(4_600, 120, 12).await;
    let first = Daemon::on("postgres", &[&sim], UNBOUNDED);
    let (second, third) = (first.beside(&[&sim], UNBOUNDED), first.beside(&[&sim], UNBOUNDED));
    let mut replicas = [first, second, third];
    // More people leave than a company has in an hour.
    replicas.iter().for_each(|replica| replica.configure_more("[guard]\nmax_deletions = 0"));
    assert!(replicas[0].run(&["migrate"]).await.status.success());
    for replica in &mut replicas {
        replica.spawn(&[]);
    }
    for replica in &mut replicas {
        replica.ready().await;
    }
    let folder = replicas[0].folder().to_owned();
    let urls = replicas.iter().map(|replica| replica.ops_url("/api/v1/changes")).collect();
    let table = vec![replicas[0].database().url(), sim.credentials().corp_id];
    let mut readers = [
        Reader::new(&folder, ["python3", "-c", FEED_READER], urls),
        Reader::new(&folder, ["sh", "-c", TABLE_READER], table),
    ];
    readers.iter_mut().for_each(Reader::start);
    sim.merge_push_settings(&json!({ "shape": "documented", "retry_after_ms": [100, 300] })).unwrap();
    sim.set_callback(Some(replicas[0].callback_url("main")));
    sim.live(&Plan { count: 1_500, interval_ms: 8.0, ..Plan::default() });
    // Every moment of a reader's life is one in which it may die; so is every moment of a writer's.
    for turn in 0..24 {
        tokio::time::sleep(Duration::from_millis(500)).await;
        let reader = &mut readers[turn % 2];
        reader.kill();
        reader.start();
        match turn {
            8 | 16 => replicas[1 + turn / 16].kill(),
            10 | 18 => replicas[1 + turn / 16].spawn(&[]),
            _ => {}
        }
    }
    for replica in &mut replicas {
        replica.ready().await;
    }
    let written = || replicas[0].database().number("SELECT max(seq) FROM ding_change");
    let rest = || replicas[0].wait("main", "rest", is_at_rest);
    sim.life_ended().await;
    rest().await;
    let mut last = written();
    // Hints for one object that come close together are one read, so how many changes a life brings is the machine's affair.
    while last < 10_000 {
        sim.live(&Plan { count: 200, interval_ms: 8.0, ..Plan::default() });
        sim.life_ended().await;
        sim.settled().await;
        rest().await;
        let before = mem::replace(&mut last, written());
        assert!(last > before, "what happens at DingTalk changes nothing any more: {last} changes");
    }
    for reader in &readers {
        until("the last change is read", || reader.numbers().last() >= Some(&last)).await;
        let numbers = reader.numbers();
        let wrong = numbers.iter().zip(1..).find(|(number, expected)| *number != expected);
        assert_eq!(wrong, None, "{} has read {} of {last}", reader.program[0], numbers.len());
    }
    for replica in &mut replicas {
        replica.stop().await;
    }
}
