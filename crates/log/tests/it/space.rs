//! Room that runs out and comes back: on a disk in memory, and what the file log says of it.

use std::sync::Arc;
use std::time::Duration;

use taraf_base::{Rng, Tasks};
use taraf_log::contract::{Writer, read_all};
use taraf_log::file::Config;
use taraf_log::file::memory_disk::MemoryDisk;
use taraf_log::{Error, FileLog, Log, Position, Resolution, Space, Term};

use crate::files::{DIR, Open, P, Q, config, segments};

const SEGMENT_BYTES: u64 = 4_096;
const BALLAST_BYTES: u64 = 16_384;
const LIMIT: Duration = Duration::from_secs(30);

fn small() -> Config {
    Config {
        ballast_bytes: BALLAST_BYTES,
        space_low_bytes: 24_576,
        space_full_bytes: 12_288,
        ..config(SEGMENT_BYTES)
    }
}

fn ballast(disk: &MemoryDisk) -> Option<u64> {
    let files = disk.files();
    let found = files.iter().find(|(path, _)| path.ends_with("ballast"));
    found.map(|(_, bytes)| bytes.len() as u64)
}

async fn wait_for(log: &FileLog, wanted: Space) {
    let mut space = log.space();
    let reached = space.wait_for(|space| *space == wanted);
    tokio::time::timeout(LIMIT, reached).await.unwrap().unwrap();
}

/// Waits for the ballast to be there or gone, which follows the word that is published.
async fn wait_for_ballast(disk: &MemoryDisk, is_there: bool) {
    let look = async {
        while ballast(disk).is_some_and(|bytes| bytes == BALLAST_BYTES) != is_there {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(LIMIT, look).await.unwrap();
}

#[tokio::test]
async fn room_is_told_of_and_the_ballast_goes_and_comes_back() {
    let disk = MemoryDisk::new();
    disk.set_capacity(Some(1 << 20));
    let open = Open::new(&disk, small()).unwrap();
    assert_eq!(*open.log.space().borrow(), Space::Ample);
    wait_for_ballast(&disk, true).await;
    let used: usize = disk.files().values().map(Vec::len).sum();
    let used = u64::try_from(used).unwrap();

    disk.set_capacity(Some(used + 20_000));
    wait_for(&open.log, Space::Low).await;
    assert_eq!(ballast(&disk), Some(BALLAST_BYTES), "only when it must");

    disk.set_capacity(Some(used + 5_000));
    wait_for(&open.log, Space::Full).await;
    wait_for_ballast(&disk, false).await;

    // What was given up is not new room: it stays full, until others make some.
    let mut writer = Writer::claim(&open.log, P).await;
    writer.append(1, 1_000).await.unwrap();
    assert_eq!(*open.log.space().borrow(), Space::Full);
    disk.set_capacity(Some(1 << 20));
    wait_for(&open.log, Space::Ample).await;
    wait_for_ballast(&disk, true).await;
    open.close().await;
}

#[tokio::test]
async fn what_runs_goes_on_upon_the_reserve() {
    let disk = MemoryDisk::new();
    let open = Open::new(&disk, small()).unwrap();
    wait_for_ballast(&disk, true).await;
    let mut writer = Writer::claim(&open.log, P).await;
    let used: usize = disk.files().values().map(Vec::len).sum();
    // Room for the spare that is under way, and nothing else.
    disk.set_capacity(Some(u64::try_from(used).unwrap() + SEGMENT_BYTES));
    let (mut written, mut refused) = (Vec::new(), 0);
    // More than the segment and the spare hold: only the ballast's room takes it.
    while written.len() < 20 {
        match writer.append(1, 700).await {
            Ok(batch) => written.push(batch),
            Err(Error::Full) => {
                refused += 1;
                assert!(refused < 100_000, "the reserve was not given out");
                tokio::task::yield_now().await;
            }
            Err(error) => panic!("{error}"),
        }
    }
    assert_eq!(*open.log.space().borrow(), Space::Full);
    assert_eq!(open.batches(P).await, written);
    open.close().await;
}

/// A file system that never writes in place may find no room within a segment that was prepared.
#[tokio::test]
async fn a_write_without_room_goes_to_the_spare_and_loses_nothing() {
    let disk = MemoryDisk::new();
    let open = Open::new(&disk, small()).unwrap();
    let mut writer = Writer::claim(&open.log, P).await;
    let first = writer.append(2, 100).await.unwrap();
    disk.lack_space(".segment");
    let second = writer.append(2, 100).await.unwrap();
    let third = writer.append(1, 100).await.unwrap();
    let all = [first, second, third];
    assert_eq!(open.batches(P).await, all);
    open.close().await;
    for seed in 0..20 {
        let after = disk.crash(&mut Rng::new(seed));
        let open = Open::new(&after, small()).unwrap();
        assert_eq!(open.batches(P).await, all);
        open.works().await;
        open.close().await;
    }
}

#[tokio::test]
async fn a_write_without_room_and_spare_is_settled_when_there_is_room() {
    let disk = MemoryDisk::new();
    let open = Open::new(&disk, small()).unwrap();
    let mut writer = Writer::claim(&open.log, P).await;
    let mut other = Writer::claim(&open.log, Q).await;
    let kept = writer.append(2, 100).await.unwrap();
    // The spare finds no room either, so nothing of this write may stay.
    wait_for_spare(&disk).await;
    disk.lack_space(".segment");
    disk.lack_space(".spare");
    let cut = writer.next(3, 100);
    let refused = writer.term.append(cut.clone()).await;
    assert!(matches!(refused, Err(Error::Ambiguous)), "{refused:?}");
    let fate = loop {
        // As long as a restart could find the batch, nothing is said of it.
        match writer.term.resolve(&cut.id).await {
            Err(Error::Full) => tokio::task::yield_now().await,
            fate => break fate.unwrap(),
        }
    };
    assert_eq!(fate, Resolution::NotStored);
    // The bytes of the cut write are still there and would fit: they must not come back.
    let after = disk.crash(&mut Rng::new(3));
    let reopened = Open::new(&after, small()).unwrap();
    assert_eq!(reopened.batches(P).await, std::slice::from_ref(&kept));
    reopened.close().await;
    writer.term.append(cut.clone()).await.unwrap();
    let beside = other.append(1, 10).await.unwrap();
    assert_eq!(open.batches(P).await, [kept, cut]);
    assert_eq!(open.batches(Q).await, [beside]);
    open.close().await;
}

/// A segment that was left before its first frame stands between others as if it were not there.
#[tokio::test]
async fn what_lies_before_and_behind_an_empty_segment_is_read() {
    let disk = MemoryDisk::new();
    let open = Open::new(&disk, small()).unwrap();
    let mut writer = Writer::claim(&open.log, P).await;
    let kept = writer.append(2, 100).await.unwrap();
    let cut = writer.next(3, 100);
    for _ in 0..2 {
        wait_for_spare(&disk).await;
        disk.lack_all_space(".segment");
        disk.lack_all_space(".spare");
        let refused = writer.term.append(cut.clone()).await;
        assert!(matches!(refused, Err(Error::Ambiguous)), "{refused:?}");
        while let Err(Error::Full) = writer.term.resolve(&cut.id).await {
            tokio::task::yield_now().await;
        }
    }
    writer.term.append(cut.clone()).await.unwrap();
    assert!(segments(&disk.files()).len() > 2);
    let all = [kept, cut];
    assert_eq!(open.batches(P).await, all);
    let after = disk.crash(&mut Rng::new(3));
    let reopened = Open::new(&after, small()).unwrap();
    assert_eq!(reopened.batches(P).await, all);
    reopened.close().await;
    open.close().await;
}

async fn wait_for_spare(disk: &MemoryDisk) {
    let is_spare = |path: &std::path::PathBuf| path.extension().is_some_and(|e| e == "spare");
    let look = async {
        while !disk
            .files()
            .iter()
            .any(|(path, bytes)| is_spare(path) && bytes.len() == 4_096)
        {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(LIMIT, look).await.unwrap();
}

/// The memory of a log is that of its marks: what it holds is found by reading forward.
#[tokio::test]
async fn every_record_is_found_from_any_place() {
    let disk = MemoryDisk::new();
    let open = Open::new(&disk, config(64 << 10)).unwrap();
    let (mut writer, mut other) = (
        Writer::claim(&open.log, P).await,
        Writer::claim(&open.log, Q).await,
    );
    let (mut written, mut beside) = (Vec::new(), Vec::new());
    for n in 0..400_u32 {
        let body = usize::try_from(n % 900).unwrap();
        written.push(writer.append(1 + n % 3, body).await.unwrap());
        if n % 7 == 0 {
            beside.push(other.append(1, body).await.unwrap());
        }
    }
    assert!(segments(&disk.files()).len() > 3);
    for batch in &written {
        for position in batch.first.0..=batch.last().0 {
            let found = open.log.read(P, Position(position), 1).await.unwrap();
            assert_eq!(found.batches, std::slice::from_ref(batch));
        }
    }
    assert_eq!(read_all(&open.log, Q, Position::FIRST).await, beside);
    open.close().await;
}

#[tokio::test]
async fn a_read_behind_damage_says_where_it_is() {
    let disk = MemoryDisk::new();
    let tasks = Tasks::new();
    let log = FileLog::open_on(Arc::new(disk.clone()), DIR.as_ref(), config(65_536), &tasks);
    let log = log.unwrap();
    let mut writer = Writer::claim(&log, P).await;
    for _ in 0..10 {
        writer.append(1, 100).await.unwrap();
    }
    let segment = segments(&disk.files()).pop().unwrap();
    disk.flip(&segment, 1_200);
    let mut found = Position::FIRST;
    let error = loop {
        match log.read(P, found, 1).await {
            Ok(chunk) => found = chunk.batches[0].last().next(),
            Err(error) => break error,
        }
    };
    assert!(matches!(error, Error::Corrupt { .. }), "{error}");
    assert!(found < writer.tail);
}
