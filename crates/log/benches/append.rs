//! Durable records a second, beside the disk's own group commit, in alternating rounds.
//!
//! The bare writer is what any log must do at least: those who wait hand their bytes to a thread, which writes
//! what has gathered into a file full of zeros, calls `fdatasync` once, and answers. It has no frames, no
//! checksums, no chain, no index, and keeps nothing that could be read again. Both write two files with a thread
//! each; the bare writer also one file, which shows what the second one is worth.
//!
//! `cargo bench -p taraf-log`; with `TARAF_REPORT=FILE` the table is written there too. The directory is a
//! temporary one in the target folder, since /tmp is often memory.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a measuring program prints and stops at the first surprise"
)]

use std::fmt::Write as _;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::pin::Pin;
use std::time::{Duration, Instant};

use taraf_base::Tasks;
use taraf_log::contract::Writer;
use taraf_log::file::Config;
use taraf_log::{FileLog, PartitionId};
use tokio::sync::{mpsc, oneshot, watch};

const RECORD_BYTES: usize = 256;
const TIME: Duration = Duration::from_secs(1);
const ROUNDS: usize = 5;
const FIRST_PARTITION: u32 = 16;
const OUTSTANDING: [u32; 5] = [1, 16, 64, 256, 1_024];
const STRIPES: u32 = 2;
const FILE_BYTES: usize = 64 << 20;
const WRITE_BYTES_MAX: usize = 1 << 20;
const QUEUE_MAX: usize = 1_024;

/// One that has one record outstanding until the time is over; answers how many were durable.
type Client = Pin<Box<dyn Future<Output = u32> + Send>>;
/// Who waits, and what is to be written.
type Handed = (Vec<u8>, oneshot::Sender<()>);

fn main() {
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    let mut table = String::from(
        "| outstanding | log, records/s | bare, 2 files | ratio | bare, 1 file | ratio |\n\
         |---:|---:|---:|---:|---:|---:|\n",
    );
    for outstanding in OUTSTANDING {
        let mut rates = [Vec::new(), Vec::new(), Vec::new()];
        for _ in 0..ROUNDS {
            rates[0].push(runtime.block_on(append(dir.path(), outstanding)));
            rates[1].push(runtime.block_on(bare(dir.path(), outstanding, STRIPES)));
            rates[2].push(runtime.block_on(bare(dir.path(), outstanding, 1)));
        }
        let [log, two, one] = rates.map(median);
        let line = format!(
            "| {outstanding} | {log:.0} | {two:.0} | {:.2} | {one:.0} | {:.2} |",
            log / two,
            log / one
        );
        println!("{line}");
        writeln!(table, "{line}").unwrap();
    }
    if let Some(report) = std::env::var_os("TARAF_REPORT") {
        let text = format!(
            "Durable records of {RECORD_BYTES} bytes a second, medians of {ROUNDS} alternating rounds of \
             {TIME:?}; *bare* is a thread that writes what has gathered and syncs it, nothing else.\n\n{table}"
        );
        std::fs::write(report, text).unwrap();
    }
}

fn median(mut rates: Vec<f64>) -> f64 {
    rates.sort_by(f64::total_cmp);
    rates[rates.len() / 2]
}

/// Runs as many tasks as there may be records outstanding until the time is over; answers records a second.
async fn measure(begin: impl FnOnce(Instant) -> Vec<Client>) -> f64 {
    let (total, mut ended) = watch::channel(0_u32);
    let work = Tasks::new();
    let started = Instant::now();
    for client in begin(started) {
        let total = total.clone();
        work.spawn("client", async move {
            let count = client.await;
            total.send_modify(|total| *total += count);
        });
    }
    drop(total);
    while ended.changed().await.is_ok() {}
    let total = *ended.borrow();
    f64::from(total) / started.elapsed().as_secs_f64()
}

/// Each outstanding record is a partition's own batch, so every one is acknowledged by itself.
async fn append(dir: &Path, outstanding: u32) -> f64 {
    let tasks = Tasks::new();
    let dir = dir.join("log");
    let config = Config {
        stripes: STRIPES,
        ballast_bytes: 0,
        ..Config::default()
    };
    let log = FileLog::open(&dir, config, &tasks).unwrap();
    let mut writers = Vec::new();
    for n in 0..outstanding {
        writers.push(Writer::claim(&log, PartitionId(FIRST_PARTITION + n)).await);
    }
    let begin = |started: Instant| {
        let clients = writers.into_iter().map(|mut writer| -> Client {
            Box::pin(async move {
                let mut count = 0;
                while started.elapsed() < TIME {
                    writer.append(1, RECORD_BYTES).await.unwrap();
                    count += 1;
                }
                count
            })
        });
        clients.collect()
    };
    let rate = measure(begin).await;
    drop(log);
    tasks.drain(Duration::from_secs(30)).await;
    std::fs::remove_dir_all(&dir).unwrap();
    rate
}

/// The same number of records outstanding, handed to bare writers.
async fn bare(dir: &Path, outstanding: u32, files: u32) -> f64 {
    let tasks = Tasks::new();
    let mut writers = Vec::new();
    for n in 0..files {
        let file = File::create(dir.join(format!("bare-{n}"))).unwrap();
        file.write_all_at(&vec![0; FILE_BYTES], 0).unwrap();
        file.sync_all().unwrap();
        let (sender, inbox) = mpsc::channel(QUEUE_MAX);
        tasks.spawn_blocking("bare", move || write_bare(&file, inbox));
        writers.push(sender);
    }
    let begin = |started: Instant| {
        let clients = (0..outstanding).map(|n| -> Client {
            let writer = writers[usize::try_from(n % files).unwrap()].clone();
            Box::pin(async move {
                let mut count = 0;
                while started.elapsed() < TIME {
                    let (reply, answer) = oneshot::channel();
                    writer.send((vec![7; RECORD_BYTES], reply)).await.unwrap();
                    answer.await.unwrap();
                    count += 1;
                }
                count
            })
        });
        let clients = clients.collect();
        drop(writers);
        clients
    };
    let rate = measure(begin).await;
    tasks.drain(Duration::from_secs(30)).await;
    for n in 0..files {
        std::fs::remove_file(dir.join(format!("bare-{n}"))).unwrap();
    }
    rate
}

fn write_bare(file: &File, mut inbox: mpsc::Receiver<Handed>) {
    let (mut buffer, mut replies, mut offset) = (Vec::new(), Vec::new(), 0);
    while let Some((bytes, reply)) = inbox.blocking_recv() {
        buffer.extend_from_slice(&bytes);
        replies.push(reply);
        while buffer.len() < WRITE_BYTES_MAX {
            let Ok((bytes, reply)) = inbox.try_recv() else {
                break;
            };
            buffer.extend_from_slice(&bytes);
            replies.push(reply);
        }
        if offset + buffer.len() > FILE_BYTES {
            offset = 0;
        }
        file.write_all_at(&buffer, u64::try_from(offset).unwrap())
            .unwrap();
        file.sync_data().unwrap();
        offset += buffer.len();
        buffer.clear();
        for reply in replies.drain(..) {
            reply.send(()).unwrap();
        }
    }
}
