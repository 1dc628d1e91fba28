//! How often a server asks the disk to keep what it wrote, counted by the kernel's tracer.

use std::path::{Path, PathBuf};
use std::time::Duration;

use taraf_base::Timestamp;

use crate::{MOST, Server, WARM, Work, process};

/// Where a tracer writes one line for each sync.
pub(crate) struct Trace {
    _dir: tempfile::TempDir,
    path: PathBuf,
}

impl Trace {
    pub(crate) fn new() -> Self {
        let dir = process::folder();
        let path = dir.path().join("syncs");
        Self { _dir: dir, path }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

/// Syncs for each run with the most runs in flight.
pub(crate) async fn count(server: &Server, work: Work, time: Duration) -> f64 {
    server.load(work, MOST, WARM * 3).await;
    let from = Timestamp::now().as_millis();
    let sample = server.load(work, MOST, time).await;
    let to = Timestamp::now().as_millis();
    let trace = std::fs::read_to_string(server.trace.as_ref().unwrap().path()).unwrap();
    let syncs = trace.lines().filter(|line| {
        let at = line.split_whitespace().nth(1).and_then(millis);
        // A call that others interrupt is written in two lines.
        !line.contains(" resumed>") && at.is_some_and(|at| (from..=to).contains(&at))
    });
    let syncs = u32::try_from(syncs.count()).unwrap();
    f64::from(syncs) / f64::from(u32::try_from(sample.latencies.len()).unwrap())
}

/// `1795399370.123456` in milliseconds.
fn millis(text: &str) -> Option<i64> {
    let (seconds, fraction) = text.split_once('.')?;
    let seconds: i64 = seconds.parse().ok()?;
    let thousandths: i64 = fraction.get(..3)?.parse().ok()?;
    Some(seconds * 1_000 + thousandths)
}
