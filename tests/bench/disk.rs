//! What the disk takes to keep something.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::table::percentile;

/// The median of a page appended to a file and brought to the disk.
pub(crate) fn sync_time(folder: &Path) -> Duration {
    const SYNCS: usize = 500;
    let mut file = File::create(folder.join("sync")).expect("a file");
    let mut times: Vec<Duration> = (0..SYNCS)
        .map(|_| {
            let started = Instant::now();
            file.write_all(&[7; 4096]).expect("room on the disk");
            file.sync_data().expect("a disk");
            started.elapsed()
        })
        .collect();
    times.sort_unstable();
    percentile(&times, 50)
}
