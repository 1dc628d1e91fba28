//! Durable records a second, beside the disk's own group commit, in alternating rounds.
//!
//! The bare writer is what any log must do at least: those who wait hand their bytes to a thread, which writes
//! what has gathered into a file full of zeros, calls `fdatasync` once, and answers. It has no frames, no
//! checksums, no chain, no index, and keeps nothing that could be read again. Both write two files with a thread
//! each; the bare writer also one file, which shows what the second one is worth. The log is one that has been at
//! work: between rounds it is trimmed, as it is behind snapshots, so that it uses its segments again, as the bare
//! writer does its files.
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
use taraf_log::{FileLog, Log, PartitionId, Term as _};
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
/// What is written before anything is measured, so that each segment was used before.
const WARM_SEGMENTS: f64 = 4.0;
const WARM_OUTSTANDING: u32 = 16;
const WARM_BYTES: usize = 64 << 10;

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
    let tasks = Tasks::new();
    let mut log = runtime.block_on(AtWork::open(dir.path(), &tasks));
    for outstanding in OUTSTANDING {
        let mut rates = [Vec::new(), Vec::new(), Vec::new()];
        for _ in 0..ROUNDS {
            rates[0].push(runtime.block_on(log.append(outstanding, RECORD_BYTES)));
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

/// A log whose segments have been in use, and the leaders of its partitions.
struct AtWork {
    log: FileLog,
    idle: Vec<Writer<<FileLog as Log>::Term>>,
}

impl AtWork {
    async fn open(dir: &Path, tasks: &Tasks) -> Self {
        let config = Config {
            stripes: STRIPES,
            ballast_bytes: 0,
            ..Config::default()
        };
        let enough = WARM_SEGMENTS * f64::from(STRIPES) * config.segment_bytes as f64;
        let log = FileLog::open(&dir.join("log"), config, tasks).unwrap();
        let mut idle = Vec::new();
        for n in 0..OUTSTANDING[OUTSTANDING.len() - 1] {
            idle.push(Writer::claim(&log, PartitionId(FIRST_PARTITION + n)).await);
        }
        let mut log = Self { log, idle };
        let mut written = 0.0;
        while written < enough {
            let rate = log.append(WARM_OUTSTANDING, WARM_BYTES).await;
            written += rate * TIME.as_secs_f64() * WARM_BYTES as f64;
        }
        log
    }

    /// Each outstanding record is a partition's own batch, so every one is acknowledged by itself.
    async fn append(&mut self, outstanding: u32, bytes: usize) -> f64 {
        let (done, mut ended) = mpsc::channel(QUEUE_MAX);
        let busy = self.idle.drain(..usize::try_from(outstanding).unwrap());
        let begin = |started: Instant| {
            let clients = busy.map(|mut writer| -> Client {
                let done = done.clone();
                Box::pin(async move {
                    let mut count = 0;
                    while started.elapsed() < TIME {
                        let batch = writer.next(1, bytes);
                        (writer.last, writer.tail) = (batch.id, batch.last());
                        writer.term.append(batch).await.unwrap();
                        count += 1;
                    }
                    done.send(writer).await.unwrap();
                    count
                })
            });
            clients.collect()
        };
        let rate = measure(begin).await;
        drop(done);
        while let Some(writer) = ended.recv().await {
            self.idle.push(writer);
        }
        for n in 0..OUTSTANDING[OUTSTANDING.len() - 1] {
            let partition = PartitionId(FIRST_PARTITION + n);
            let (tail, _) = self.log.tail(partition).await.unwrap();
            self.log.trim(partition, tail.next()).await.unwrap();
        }
        rate
    }
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
