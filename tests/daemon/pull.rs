//! The pull of a whole organisation.

use crate::support::{Daemon, UNBOUNDED, simulator};

#[tokio::test(flavor = "multi_thread")]
async fn everybody_is_there_after_the_first_start() {
    let sim = simulator(1_200, 90, 1).await;
    let mut daemon = Daemon::new(&[&sim], UNBOUNDED);
    daemon.start().await;
    daemon.agrees_with(&sim, "main").await;
    let status = daemon.status("main").await.unwrap();
    assert_eq!(status["bootstrap"]["employees"], 1_200);
    assert_eq!(status["bootstrap"]["departments"], 90);
    daemon.stop().await;
}
