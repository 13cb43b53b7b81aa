//! Measures speed and memory against yardsticks of the same run, and prints one table for each question.
//!
//! `tests/bench/run.sh [PART…]` prepares what it needs: servers that write as in production, other people's receivers.
//! Parts: `acks`, `pull`, `limit`, `unchanged`, `delay`, `replicas`; without one, all of them. `pull:1000,10000` chooses
//! the sizes. The daemon is a process of its own; the simulator and the load are in this one, on the same machine.

#![expect(clippy::print_stdout, reason = "the tables are the result")]

mod acks;
mod api;
mod delay;
mod disk;
mod limit;
mod load;
mod memory;
mod pull;
mod receivers;
mod replicas;
#[expect(dead_code, reason = "shared with the tests, which use all of it")]
#[path = "../support/mod.rs"]
mod support;
mod table;
mod unchanged;
mod watch;

/// What everything is measured on; the servers are those that `tests/servers.sh` started.
fn engines() -> Vec<&'static str> {
    let servers = ["postgres", "mariadb", "mysql"]
        .into_iter()
        .filter(|engine| std::env::var_os(format!("TEST_{}_URL", engine.to_uppercase())).is_some());
    ["sqlite"].into_iter().chain(servers).collect()
}

#[tokio::main]
async fn main() {
    drop(rustls::crypto::ring::default_provider().install_default());
    // `cargo bench` adds --bench.
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    if let [command, configuration] = arguments.as_slice()
        && command == receivers::STORE_NOTHING
    {
        return receivers::store_nothing(configuration.as_ref()).await;
    }
    let chosen = |part: &str| {
        let named = |argument: &&String| argument.split(':').next() == Some(part);
        match arguments.iter().find(named) {
            Some(argument) => argument.split(':').nth(1).map_or(Some(""), Some),
            None => arguments.is_empty().then_some(""),
        }
    };
    if chosen("acks").is_some() {
        acks::measure().await;
    }
    if let Some(sizes) = chosen("pull") {
        let sizes: Vec<usize> = sizes.split(',').filter_map(|size| size.parse().ok()).collect();
        pull::measure(if sizes.is_empty() { &[1_000, 10_000, 100_000] } else { &sizes }).await;
    }
    if chosen("limit").is_some() {
        limit::measure().await;
    }
    if chosen("unchanged").is_some() {
        unchanged::measure().await;
    }
    if chosen("delay").is_some() {
        delay::measure().await;
    }
    if chosen("replicas").is_some() {
        replicas::measure().await;
    }
}
