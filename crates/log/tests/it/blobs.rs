//! Blobs through their public face: on real files, on a disk that fails, in memory.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use taraf_base::{Rng, Tasks};
use taraf_log::blob::{BlobId, BlobStore, Collected, Error};
use taraf_log::file::memory_disk::MemoryDisk;
use taraf_log::machine::{Class, Config, Handle, Replica};
use taraf_log::{FileLog, file};
use tokio::task::JoinSet;

use crate::files::P;
use crate::ledger::{Input, Ledger, padded};

const DIR: &str = "/data/blobs";

fn open(disk: &MemoryDisk) -> BlobStore {
    BlobStore::open_on(Arc::new(disk.clone()), Path::new(DIR)).unwrap()
}

fn payload(mark: u8) -> Bytes {
    Bytes::from(vec![mark; 100_000])
}

/// What is true of every kind of store.
async fn check_all(blobs: &BlobStore) {
    let first = blobs.put(payload(1)).await.unwrap();
    assert_eq!(first, BlobId::of(&payload(1)));
    assert_eq!(blobs.put(payload(1)).await.unwrap(), first, "kept once");
    let second = blobs.put(payload(2)).await.unwrap();
    let empty = blobs.put(Bytes::new()).await.unwrap();
    assert_eq!(blobs.get(&first).await.unwrap(), payload(1));
    assert_eq!(blobs.get(&empty).await.unwrap(), Bytes::new());
    let missing = BlobId::of(b"never put");
    assert!(matches!(blobs.get(&missing).await, Err(Error::Missing(id)) if id == missing));

    let live = BTreeSet::from([first]);
    let named = |live: &BTreeSet<BlobId>| {
        let live = live.clone();
        move |id: &BlobId| live.contains(id)
    };
    let collection = blobs.begin_collection();
    let young = blobs.put(payload(2)).await.unwrap();
    let collected = collection.finish(named(&live)).await.unwrap();
    assert_eq!(
        (collected.kept, collected.removed),
        (2, 1),
        "all but the empty"
    );
    assert_eq!(
        blobs.get(&young).await.unwrap(),
        payload(2),
        "nobody may have named it yet"
    );
    let hold = blobs.hold();
    let held = blobs.begin_collection().finish(named(&live)).await;
    assert_eq!(held.unwrap().removed, 0, "somebody reads them");
    drop(hold);
    let collected = blobs.begin_collection().finish(named(&live)).await.unwrap();
    let expected = Collected {
        kept: 1,
        kept_bytes: 100_000,
        removed: 1,
        removed_bytes: 100_000,
    };
    assert_eq!(collected, expected);
    assert_eq!(blobs.get(&first).await.unwrap(), payload(1));
    assert!(matches!(blobs.get(&second).await, Err(Error::Missing(_))));
    assert_eq!(blobs.put(payload(2)).await.unwrap(), second, "once more");
    assert_eq!(blobs.get(&second).await.unwrap(), payload(2));

    let small = blobs.clone().with_bytes_max(10);
    let refused = small.put(payload(1)).await.unwrap_err();
    assert!(matches!(
        refused,
        Error::TooLarge {
            len: 100_000,
            max: 10
        }
    ));
}

#[tokio::test]
async fn memory_keeps_blobs() {
    check_all(&BlobStore::memory()).await;
}

#[tokio::test]
async fn files_keep_blobs() {
    let dir = tempfile::tempdir().unwrap();
    let blobs = BlobStore::open(&dir.path().join("blobs")).unwrap();
    check_all(&blobs).await;
    check_all(&open(&MemoryDisk::new())).await;
}

#[tokio::test]
async fn what_was_put_outlives_a_loss_of_power() {
    for seed in 0..50 {
        let (disk, mut rng) = (MemoryDisk::new(), Rng::new(seed));
        let blobs = open(&disk);
        let kept = blobs.put(payload(1)).await.unwrap();
        // This one is cut short: half-written, or whole and never synced.
        disk.fail_next_create_write();
        assert!(blobs.put(payload(2)).await.is_err());
        let disk = disk.crash(&mut rng);
        let blobs = open(&disk);
        assert_eq!(blobs.get(&kept).await.unwrap(), payload(1));
        let second = BlobId::of(&payload(2));
        assert!(matches!(blobs.get(&second).await, Err(Error::Missing(_))));
        assert_eq!(blobs.put(payload(2)).await.unwrap(), second);
        assert_eq!(blobs.get(&second).await.unwrap(), payload(2));
        let leftovers = |path: &&std::path::PathBuf| path.extension().is_some();
        assert_eq!(disk.files().keys().filter(leftovers).count(), 0);
    }
}

#[tokio::test]
async fn a_name_that_was_found_is_durable_too() {
    let disk = MemoryDisk::new();
    let id = open(&disk).put(payload(1)).await.unwrap();
    // As after a process that died between renaming and syncing the folder.
    let files = disk.files();
    let disk = MemoryDisk::new();
    for (path, bytes) in files {
        disk.put_unsynced_name(&path, bytes);
    }
    assert_eq!(open(&disk).put(payload(1)).await.unwrap(), id);
    for seed in 0..20 {
        let after = disk.crash(&mut Rng::new(seed));
        assert_eq!(open(&after).get(&id).await.unwrap(), payload(1));
    }
}

#[tokio::test]
async fn damage_is_reported_and_mended_by_the_same_bytes() {
    let disk = MemoryDisk::new();
    let id = open(&disk).put(payload(1)).await.unwrap();
    for damage in [
        |bytes: &mut Vec<u8>| bytes[500] ^= 1,
        |bytes: &mut Vec<u8>| bytes.truncate(10),
    ] {
        let mut files = disk.files();
        damage(files.values_mut().next().unwrap());
        let blobs = open(&MemoryDisk::with_files(files));
        let error = blobs.get(&id).await.unwrap_err();
        assert!(matches!(&error, Error::Damaged(found, _) if *found == id));
        assert!(error.to_string().contains("restore a backup"), "{error}");
        assert_eq!(blobs.put(payload(1)).await.unwrap(), id);
        assert_eq!(blobs.get(&id).await.unwrap(), payload(1));
    }
}

#[tokio::test]
async fn a_full_disk_stores_nothing_and_takes_it_later() {
    let disk = MemoryDisk::new();
    let blobs = open(&disk);
    disk.set_capacity(Some(150_000));
    let first = blobs.put(payload(1)).await.unwrap();
    let error = blobs.put(payload(2)).await.unwrap_err();
    assert!(matches!(error, Error::Full) && error.is_retryable());
    assert_eq!(disk.files().len(), 1, "nothing half-written stays");
    disk.set_capacity(None);
    let second = blobs.put(payload(2)).await.unwrap();
    assert_eq!(blobs.get(&first).await.unwrap(), payload(1));
    assert_eq!(blobs.get(&second).await.unwrap(), payload(2));
}

/// The bytes may lie in the cache alone, and the next sync say yes all the same.
#[tokio::test]
async fn after_a_failed_sync_nothing_is_stored_until_a_restart() {
    let disk = MemoryDisk::new();
    let blobs = open(&disk);
    let first = blobs.put(payload(1)).await.unwrap();
    disk.fail_next_create_sync();
    assert!(matches!(blobs.put(payload(2)).await, Err(Error::Io { .. })));
    assert!(matches!(blobs.put(payload(3)).await, Err(Error::Poisoned)));
    assert_eq!(blobs.get(&first).await.unwrap(), payload(1));
    let blobs = open(&disk);
    let second = blobs.put(payload(2)).await.unwrap();
    for seed in 0..20 {
        let after = open(&disk.crash(&mut Rng::new(seed)));
        assert_eq!(after.get(&second).await.unwrap(), payload(2));
    }
}

/// Whenever the power goes, a record that is found names a blob that is found.
#[tokio::test(flavor = "multi_thread")]
async fn a_record_is_never_durable_before_the_blob_that_it_names() {
    let mut found = 0;
    for seed in 0..40 {
        let (disk, mut rng) = (MemoryDisk::new(), Rng::new(seed));
        let tasks = Tasks::new();
        let handle = vault(&disk, &tasks).await;
        let mut puts = JoinSet::new();
        for n in 1..=8 {
            let handle = handle.clone();
            let input = Input::Big(n * 1_000);
            puts.spawn(async move { handle.propose(Class::Outcome, input).await });
        }
        // Often before the first is durable, sometimes after it, however slow the machine.
        if seed % 4 == 0 {
            puts.join_next().await.unwrap().unwrap().unwrap();
        }
        for _ in 0..rng.below(200) {
            tokio::task::yield_now().await;
        }
        let after = disk.crash(&mut rng);
        let tasks = Tasks::new();
        let handle = vault(&after, &tasks).await;
        let blobs = open(&after);
        let sums = handle.read(|ledger| ledger.amounts.clone()).await.unwrap();
        for amount in &sums {
            let kept = blobs.get(&padded(*amount).id).await;
            assert!(
                kept.is_ok(),
                "seed {seed}: the blob of {amount} bytes: {kept:?}"
            );
        }
        found += sums.len();
        tasks.drain(Duration::from_secs(10)).await;
    }
    assert!(found > 0, "some were durable");
}

async fn vault(disk: &MemoryDisk, tasks: &Tasks) -> Handle<Ledger> {
    let config = file::Config {
        ballast_bytes: 0,
        segment_bytes: 65_536,
        ..file::Config::default()
    };
    let log = FileLog::open_on(
        Arc::new(disk.clone()),
        Path::new("/data/log"),
        config,
        tasks,
    );
    let config = Config {
        blobs: Some(open(disk)),
        ..Config::default()
    };
    let ledger = Ledger {
        detaches: true,
        ..Ledger::default()
    };
    let started = Replica::start(Arc::new(log.unwrap()), P, ledger, config, (), tasks);
    started.await.unwrap()
}
