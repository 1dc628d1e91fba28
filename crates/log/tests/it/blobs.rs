//! Blobs through their public face: on real files, on a disk that fails, in memory.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use taraf_base::Rng;
use taraf_log::blob::{BlobId, BlobStore, Collected, Error};
use taraf_log::file::memory_disk::MemoryDisk;

const DIR: &str = "/data/blobs";
/// Every blob is older than this.
const NO_AGE: Duration = Duration::ZERO;

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
    let young = blobs
        .collect(live.clone(), Duration::from_secs(3_600))
        .await;
    assert_eq!(young.unwrap().removed, 0, "nobody may have named them yet");
    let collected = blobs.collect(live, NO_AGE).await.unwrap();
    let expected = Collected {
        kept: 1,
        kept_bytes: 100_000,
        removed: 2,
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
