//! Other people's Python: a virtual environment with the packages of `requirements.txt`, made when it is missing.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use dingsync::sim::Credentials;
use serde_json::Value;

const REQUIREMENTS: &str = include_str!("requirements.txt");

/// A Python that has the packages.
pub(crate) struct Python(PathBuf);

impl Python {
    /// Finds the environment, or makes it; tests that run at the same time wait for each other.
    pub(crate) fn prepare() -> Self {
        let target = Path::new(env!("CARGO_TARGET_TMPDIR"));
        fs::create_dir_all(target).expect("a target directory");
        let lock = File::create(target.join("compat.lock")).expect("a lock file");
        lock.lock().expect("the lock");
        let home = target.join("compat");
        let python = home.join("bin/python");
        let complete = home.join("complete");
        if fs::read_to_string(&complete).ok().as_deref() != Some(REQUIREMENTS) {
            run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&home));
            let requirements = script_folder().join("requirements.txt");
            run(Command::new(&python).args(["-m", "pip", "install", "--quiet", "-r"]).arg(requirements));
            fs::write(&complete, REQUIREMENTS).expect("a writable environment");
        }
        Self(python)
    }

    /// Runs the script on JSON lines.
    pub(crate) fn filter(&self, arguments: &[String], lines: &[Value]) -> Vec<Value> {
        let mut child = Command::new(&self.0)
            .arg(script_folder().join("dingtalk_sdk.py"))
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the script starts");
        let input: String = lines.iter().flat_map(|line| [line.to_string(), "\n".to_owned()]).collect();
        let mut stdin = child.stdin.take().expect("a pipe");
        // Written from another thread: the script answers while it reads.
        let writer = std::thread::spawn(move || stdin.write_all(input.as_bytes()));
        let output = child.wait_with_output().expect("the script ends");
        writer.join().expect("no panic").expect("the script reads everything");
        assert!(output.status.success(), "the script failed: {}", output.status);
        let text = String::from_utf8(output.stdout).expect("UTF-8");
        text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
    }
}

/// The script's arguments for a command that needs an organisation's callback keys.
pub(crate) fn with_keys(command: &str, credentials: &Credentials) -> Vec<String> {
    let parts = [
        command,
        "--token",
        &credentials.callback_token,
        "--aes-key",
        &credentials.callback_aes_key,
        "--owner",
        &credentials.app_key,
    ];
    parts.map(str::to_owned).to_vec()
}

fn script_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/compat")
}

fn run(command: &mut Command) {
    let status = command.status().expect("the command starts");
    assert!(status.success(), "{command:?} failed: {status}");
}
