//! Tables as they stand in the README.

use std::time::Duration;

/// Prints a title, what stands under it, and the names of the columns.
pub(crate) fn begin(title: &str, note: &str, columns: &[&str]) {
    println!("\n### {title}\n\n{note}\n");
    println!("| {} |", columns.join(" | "));
    println!("|---|{}", "--:|".repeat(columns.len() - 1));
}

/// Prints one row.
pub(crate) fn row(cells: &[String]) {
    println!("| {} |", cells.join(" | "));
}

/// Milliseconds with as many digits as mean something.
pub(crate) fn milliseconds(time: Duration) -> String {
    format!("{:.1} ms", time.as_secs_f64() * 1000.0)
}

/// Seconds with as many digits as mean something.
pub(crate) fn seconds(time: Duration) -> String {
    let digits = if time < Duration::from_secs(10) { 2 } else { 1 };
    format!("{:.digits$} s", time.as_secs_f64())
}

/// How many in a second.
pub(crate) fn rate(count: usize, time: Duration) -> String {
    format!("{:.0}", count as f64 / time.as_secs_f64())
}

/// How many times the other one.
pub(crate) fn ratio(one: f64, other: f64) -> String {
    format!("{:.2}", one / other)
}

/// The value below which so many hundredths of the sorted times lie.
pub(crate) fn percentile(sorted: &[Duration], hundredths: usize) -> Duration {
    let at = (sorted.len() * hundredths).div_ceil(100).saturating_sub(1);
    sorted.get(at).copied().unwrap_or_default()
}
