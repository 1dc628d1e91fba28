//! Backups of a log that goes on: what was acknowledged before one began is in it.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use taraf_base::Tasks;
use taraf_log::backup::{self, BLOBS, Error, Item, LOG, Pack};
use taraf_log::blob::BlobStore;
use taraf_log::contract::{Writer, read_all};
use taraf_log::file::Config;
use taraf_log::file::disk::OsDisk;
use taraf_log::{FileLog, Log, Position};

use crate::files::{P, Q, config};

const SEGMENT_BYTES: u64 = 32 << 10;

fn small() -> Config {
    config(SEGMENT_BYTES)
}

fn ignore(_bytes: u64) {}

/// A node's data directory with its log and blobs.
struct Node {
    dir: PathBuf,
    log: FileLog,
    blobs: BlobStore,
    tasks: Tasks,
}

impl Node {
    fn open(dir: &Path) -> Self {
        let tasks = Tasks::new();
        let log = FileLog::open(&dir.join(LOG), small(), &tasks).unwrap();
        Self {
            dir: dir.to_owned(),
            log,
            blobs: BlobStore::open(&dir.join(BLOBS)).unwrap(),
            tasks,
        }
    }

    async fn close(self) {
        drop((self.log, self.blobs));
        assert!(self.tasks.drain(Duration::from_secs(30)).await.is_empty());
    }

    /// As a server makes it: the holds first, then the log, then the blobs.
    fn items(&self) -> Vec<Item> {
        let (hold, _blobs) = (self.log.hold(), self.blobs.hold());
        let mut items = self.log.cut(&hold).unwrap();
        let blobs = self.dir.join(BLOBS);
        items.extend(backup::items_in(&OsDisk, &blobs, BLOBS, &|_| false).unwrap());
        items
    }
}

fn write(items: Vec<Item>, to: &Path) {
    let mut pack = Pack::new(Arc::new(OsDisk), items);
    let mut file = fs::File::create(to).unwrap();
    while let Some(piece) = pack.next_piece().unwrap() {
        file.write_all(&piece).unwrap();
    }
    assert_eq!(pack.left(), 0);
}

#[tokio::test]
async fn a_backup_holds_what_was_acknowledged_before_it_and_is_put_back() {
    let root = tempfile::tempdir().unwrap();
    let node = Node::open(&root.path().join("data"));
    let mut writer = Writer::claim(&node.log, P).await;
    let mut other = Writer::claim(&node.log, Q).await;
    let mut before = Vec::new();
    for n in 0..300 {
        before.push(writer.append(1 + n % 3, 200).await.unwrap());
        other.append(1, 50).await.unwrap();
    }
    let snapshot = Bytes::from_static(b"a state");
    node.log
        .put_snapshot(P, Position(100), snapshot.clone().into())
        .await
        .unwrap();
    let blob = node.blobs.put(Bytes::from(vec![7; 100_000])).await.unwrap();
    let items = node.items();

    // The log goes on while the backup is written: it rolls, and would like to trim.
    let hold = node.log.hold();
    for _ in 0..300 {
        writer.append(2, 200).await.unwrap();
    }
    node.log.trim(P, Position(500)).await.unwrap();
    let file = root.path().join("backup.tar");
    write(items, &file);
    drop(hold);
    node.close().await;

    let report = backup::verify_backup(&file, &mut (), &mut ignore).unwrap();
    assert_eq!(report.findings, Vec::<String>::new());
    assert_eq!((report.blobs, report.snapshots), (1, 1));
    assert!(report.records >= 900 && report.segments > 3, "{report:?}");

    let to = root.path().join("restored");
    let restored = backup::restore(&file, &to, &mut ignore).unwrap();
    assert_eq!(restored.files as u64, report.files);
    let report = backup::verify_directory(&to, &mut (), &mut ignore).unwrap();
    assert_eq!(report.findings, Vec::<String>::new());
    let node = Node::open(&to);
    let found = read_all(&node.log, P, Position::FIRST).await;
    assert_eq!(found[..before.len()], before[..]);
    assert_eq!(node.blobs.get(&blob).await.unwrap(), vec![7; 100_000]);
    let found = node.log.get_snapshot(P, Position::MAX).await.unwrap();
    let (at, data) = found.unwrap();
    assert_eq!((at, data.into_bytes().unwrap()), (Position(100), snapshot));
    Writer::claim(&node.log, P)
        .await
        .append(1, 10)
        .await
        .unwrap();
    node.close().await;
}

#[tokio::test]
async fn a_backup_is_unpacked_checked_and_put_back_from_a_folder_too() {
    let root = tempfile::tempdir().unwrap();
    let node = Node::open(&root.path().join("data"));
    let batch = Writer::claim(&node.log, P)
        .await
        .append(2, 20)
        .await
        .unwrap();
    let file = root.path().join("backup.tar");
    write(node.items(), &file);
    node.close().await;
    let folder = root.path().join("unpacked");
    backup::extract(&file, &folder, false, &mut ignore).unwrap();
    assert!(folder.join("MANIFEST").is_file());
    let report = backup::verify_backup(&folder, &mut (), &mut ignore).unwrap();
    assert_eq!(report.findings, Vec::<String>::new());
    let to = root.path().join("restored");
    backup::restore(&folder, &to, &mut ignore).unwrap();
    let node = Node::open(&to);
    assert_eq!(read_all(&node.log, P, Position::FIRST).await, [batch]);
    node.close().await;
    let again = backup::restore(&folder, &to, &mut ignore);
    assert!(matches!(again, Err(Error::Exists(path)) if path == to));
}

#[tokio::test]
async fn every_damage_to_a_backup_is_found_and_nothing_of_it_is_put_back() {
    let root = tempfile::tempdir().unwrap();
    let node = Node::open(&root.path().join("data"));
    Writer::claim(&node.log, P)
        .await
        .append(2, 20)
        .await
        .unwrap();
    node.blobs.put(Bytes::from(vec![7; 3_000])).await.unwrap();
    let file = root.path().join("backup.tar");
    write(node.items(), &file);
    node.close().await;
    let whole = fs::read(&file).unwrap();
    let to = root.path().join("restored");
    let damaged = root.path().join("damaged.tar");
    // The two blocks of zeros at the end say nothing.
    for cut in (0..whole.len() - 1_100).step_by(501) {
        fs::write(&damaged, &whole[..cut]).unwrap();
        assert!(
            backup::restore(&damaged, &to, &mut ignore).is_err(),
            "cut at {cut}"
        );
        assert!(
            backup::verify_backup(&damaged, &mut (), &mut ignore).is_err(),
            "cut at {cut}"
        );
        assert!(!to.exists());
    }
    let content = whole.windows(3_000).position(|bytes| bytes == [7; 3_000]);
    let content = content.unwrap();
    let mut bytes = whole;
    bytes[content + 100] ^= 1;
    fs::write(&damaged, &bytes).unwrap();
    let error = backup::restore(&damaged, &to, &mut ignore).unwrap_err();
    assert!(
        error.to_string().contains("not as it was written"),
        "{error}"
    );
    assert!(!to.exists());
    let report = backup::verify_backup(&damaged, &mut (), &mut ignore).unwrap();
    assert_eq!(report.findings.len(), 2, "{:?}", report.findings);
}

#[tokio::test]
async fn a_directory_is_verified_frame_by_frame_and_only_when_nobody_uses_it() {
    let root = tempfile::tempdir().unwrap();
    let dir = root.path().join("data");
    let node = Node::open(&dir);
    let mut writer = Writer::claim(&node.log, P).await;
    for _ in 0..200 {
        writer.append(1, 300).await.unwrap();
    }
    let in_use = backup::verify_directory(&dir, &mut (), &mut ignore);
    let Err(Error::Log(taraf_log::Error::Locked { .. })) = in_use else {
        panic!("a directory in use was answered {in_use:?}");
    };
    drop(writer);
    node.close().await;
    let sound = backup::verify_directory(&dir, &mut (), &mut ignore).unwrap();
    assert_eq!(sound.findings, Vec::<String>::new());
    let first = dir.join("log/stripes/0/0000000000000001.segment");
    let mut bytes = fs::read(&first).unwrap();
    bytes[9_000] ^= 1;
    fs::write(&first, bytes).unwrap();
    let damaged = backup::verify_directory(&dir, &mut (), &mut ignore).unwrap();
    assert_eq!(damaged.findings.len(), 1, "{:?}", damaged.findings);
    assert!(damaged.findings[0].contains("0000000000000001.segment"));
    let none = backup::verify_directory(&root.path().join("none"), &mut (), &mut ignore);
    assert!(none.is_err());
}

#[tokio::test]
async fn what_is_held_is_kept_and_what_is_let_go_of_goes() {
    let root = tempfile::tempdir().unwrap();
    let node = Node::open(&root.path().join("data"));
    let mut writer = Writer::claim(&node.log, P).await;
    for _ in 0..300 {
        writer.append(1, 300).await.unwrap();
    }
    let blob = node.blobs.put(Bytes::from_static(b"blob")).await.unwrap();
    let holds = (node.log.hold(), node.blobs.hold());
    node.log.trim(P, Position(200)).await.unwrap();
    let collect = || node.blobs.begin_collection().finish(|_named| false);
    assert_eq!(collect().await.unwrap().removed, 0);
    let all = read_all(&node.log, P, Position::FIRST).await;
    assert_eq!(all.len(), 300);
    drop(holds);
    node.log.trim(P, Position(200)).await.unwrap();
    assert!(node.log.read(P, Position::FIRST, 1).await.is_err());
    assert_eq!(collect().await.unwrap().removed, 1);
    assert!(node.blobs.get(&blob).await.is_err());
    node.close().await;
}

#[tokio::test]
async fn a_file_is_taken_as_it_is_when_its_turn_comes_or_left_out_when_it_is_gone() {
    let root = tempfile::tempdir().unwrap();
    for name in ["replaced", "gone"] {
        fs::write(root.path().join(name), "short").unwrap();
    }
    let items = backup::items_in(&OsDisk, root.path(), "", &|_| false).unwrap();
    assert_eq!(items.len(), 2);
    fs::write(root.path().join("new"), "longer than before").unwrap();
    fs::rename(root.path().join("new"), root.path().join("replaced")).unwrap();
    fs::remove_file(root.path().join("gone")).unwrap();
    let file = root.path().join("backup.tar");
    write(items, &file);
    let folder = root.path().join("unpacked");
    let unpacked = backup::extract(&file, &folder, false, &mut ignore).unwrap();
    assert_eq!(unpacked.files, 1);
    let text = fs::read_to_string(folder.join("replaced")).unwrap();
    assert_eq!(text, "longer than before");
}
