//! Durable records a second at several depths, beside what the disk's bare sync can do.
//!
//! `cargo bench -p taraf-log`; the directory is a temporary one in the target folder, since /tmp is
//! often memory.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a measuring program prints and stops at the first surprise"
)]

use std::fmt::Write as _;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::{Duration, Instant};

use taraf_base::Tasks;
use taraf_log::contract::Writer;
use taraf_log::file::Config;
use taraf_log::{FileLog, PartitionId};

const RECORD_BYTES: usize = 256;
const TIME: Duration = Duration::from_secs(2);
const FIRST_PARTITION: u32 = 16;

fn main() {
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    let mut table = format!(
        "| outstanding | a second |\n|---|---|\n| bare fdatasync of 4 KiB in a zero-filled file | {:.0} |\n",
        bare_sync(dir.path())
    );
    for outstanding in [1, 16, 64, 256, 1_024] {
        let rate = runtime.block_on(append(dir.path(), outstanding));
        writeln!(table, "| {outstanding} durable records | {rate:.0} |").unwrap();
    }
    report(&table);
}

/// Prints the result, or leaves it where `cargo xtask bench` wants it.
fn report(text: &str) {
    match std::env::var_os("TARAF_REPORT") {
        Some(file) => std::fs::write(file, text).unwrap(),
        None => println!("{text}"),
    }
}

fn bare_sync(dir: &Path) -> f64 {
    let file = File::create(dir.join("bare")).unwrap();
    file.write_all_at(&vec![0; 16 << 20], 0).unwrap();
    file.sync_all().unwrap();
    let (started, mut syncs) = (Instant::now(), 0_u32);
    while started.elapsed() < TIME {
        let offset = u64::from(syncs % 4_096) * 4_096;
        file.write_all_at(&[7; 4_096], offset).unwrap();
        file.sync_data().unwrap();
        syncs += 1;
    }
    f64::from(syncs) / started.elapsed().as_secs_f64()
}

/// Each outstanding record is a partition's own batch, so every one is acknowledged by itself.
async fn append(dir: &Path, outstanding: u32) -> f64 {
    let tasks = Tasks::new();
    let dir = dir.join(outstanding.to_string());
    let log = FileLog::open(&dir, Config::default(), &tasks).unwrap();
    let mut writers = Vec::new();
    for n in 0..outstanding {
        writers.push(Writer::claim(&log, PartitionId(FIRST_PARTITION + n)).await);
    }
    let (total, ended) = tokio::sync::watch::channel(0_u32);
    let work = Tasks::new();
    let started = Instant::now();
    for mut writer in writers {
        let total = total.clone();
        work.spawn("append", async move {
            let mut count = 0;
            while started.elapsed() < TIME {
                writer.append(1, RECORD_BYTES).await.unwrap();
                count += 1;
            }
            total.send_modify(|total| *total += count);
        });
    }
    drop(total);
    let mut ended = ended;
    while ended.changed().await.is_ok() {}
    let total = *ended.borrow();
    let rate = f64::from(total) / started.elapsed().as_secs_f64();
    drop(log);
    tasks.drain(Duration::from_secs(30)).await;
    std::fs::remove_dir_all(&dir).unwrap();
    rate
}
