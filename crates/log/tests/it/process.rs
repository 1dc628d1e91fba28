//! Real processes on real files: `kill -9` while one acknowledges, and two that want one directory.
//!
//! The children are this test program again, asked for one test that does a child's work when the
//! environment says so.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

use taraf_base::{Rng, Tasks, random_u64};
use taraf_log::contract::{Writer, read_all};
use taraf_log::{Error, FileLog, Position, record};

use crate::files::{P, config};

const CHILD_DIR: &str = "TARAF_LOG_TEST_CHILD_DIR";
const ROUNDS: u32 = 20;
const SEGMENT_BYTES: u64 = 64 << 10;
/// A line of the child: the last position that was acknowledged to it.
const ACKNOWLEDGED: &str = "acknowledged ";

/// Runs this program again as a child that works in `dir`.
fn child(dir: &Path) -> (Child, BufReader<ChildStdout>) {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args([
        "--exact",
        "--nocapture",
        "process::a_child_appends_until_it_is_killed",
    ]);
    command
        .env(CHILD_DIR, dir)
        .stdin(Stdio::null())
        .stdout(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap());
    (child, lines)
}

/// The next acknowledged position that the child prints.
fn next_acknowledged(lines: &mut impl BufRead) -> Option<u64> {
    let mut line = String::new();
    loop {
        line.clear();
        if lines.read_line(&mut line).unwrap() == 0 {
            return None;
        }
        // The test harness writes its own words around; a line cut by the end has no line end.
        if let Some((_, position)) = line.trim_end_matches('\n').split_once(ACKNOWLEDGED)
            && line.ends_with('\n')
        {
            return Some(position.parse().unwrap());
        }
    }
}

/// Not a test by itself: what a child does, endlessly.
#[tokio::test]
async fn a_child_appends_until_it_is_killed() {
    let Ok(dir) = std::env::var(CHILD_DIR) else {
        return;
    };
    let log = FileLog::open(Path::new(&dir), config(SEGMENT_BYTES), &Tasks::new()).unwrap();
    let mut writer = Writer::claim(&log, P).await;
    for n in 0.. {
        let batch = writer.append(1 + n % 4, 100).await.unwrap();
        println!("{ACKNOWLEDGED}{}", batch.last());
    }
}

#[tokio::test]
async fn a_killed_process_loses_nothing_it_acknowledged_and_repeats_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let mut rng = Rng::new(random_u64());
    let mut acknowledged = 0;
    for round in 1..=ROUNDS {
        let (mut process, mut lines) = child(dir.path());
        for _ in 0..=rng.below(60) {
            acknowledged = next_acknowledged(&mut lines).expect("the child is alive");
        }
        process.kill().unwrap();
        process.wait().unwrap();
        // What it said before it died counts too.
        while let Some(position) = next_acknowledged(&mut lines) {
            acknowledged = position;
        }
        let tasks = Tasks::new();
        let log = FileLog::open(dir.path(), config(SEGMENT_BYTES), &tasks).unwrap();
        let mut expected = Position::FIRST;
        for batch in read_all(&log, P, Position::FIRST).await {
            assert_eq!(batch.first, expected, "no record twice, none missing");
            record::decode_all(&batch.frames, batch.first, batch.count).unwrap();
            expected = batch.last().next();
        }
        assert!(
            expected.0 > acknowledged,
            "round {round}: {acknowledged} was acknowledged"
        );
        drop(log);
        assert!(
            tasks
                .drain(std::time::Duration::from_secs(30))
                .await
                .is_empty()
        );
    }
}

#[tokio::test]
async fn a_second_process_is_told_who_holds_the_directory() {
    let dir = tempfile::tempdir().unwrap();
    let (mut process, mut lines) = child(dir.path());
    next_acknowledged(&mut lines).expect("the child is alive");
    // The child must not be stopped by a pipe that nobody empties.
    let drained = std::thread::spawn(move || lines.read_to_end(&mut Vec::new()));
    let refused = FileLog::open(dir.path(), config(SEGMENT_BYTES), &Tasks::new());
    let error = refused.err().expect("the directory is held");
    let Error::Locked { pid, .. } = &error else {
        panic!("the second process was answered {error}");
    };
    assert_eq!(*pid, process.id().to_string());
    assert!(error.to_string().contains("stop that process"), "{error}");
    process.kill().unwrap();
    process.wait().unwrap();
    drained.join().unwrap().unwrap();
    let tasks = Tasks::new();
    FileLog::open(dir.path(), config(SEGMENT_BYTES), &tasks)
        .expect("the lock ends with its holder");
}

#[tokio::test]
async fn the_directory_and_its_files_are_for_their_owner_alone() {
    use std::os::unix::fs::PermissionsExt;

    let root = tempfile::tempdir().unwrap();
    let dir = root.path().join("data");
    let log = FileLog::open(&dir, config(SEGMENT_BYTES), &Tasks::new()).unwrap();
    Writer::claim(&log, P).await.append(1, 1).await.unwrap();
    let mut open = vec![dir];
    while let Some(path) = open.pop() {
        let metadata = std::fs::metadata(&path).unwrap();
        let mode = metadata.permissions().mode() & 0o777;
        if metadata.is_dir() {
            assert_eq!(mode, 0o700, "{}", path.display());
            open.extend(
                std::fs::read_dir(&path)
                    .unwrap()
                    .map(|entry| entry.unwrap().path()),
            );
        } else {
            assert_eq!(mode, 0o600, "{}", path.display());
        }
    }
}
