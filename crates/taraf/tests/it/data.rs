//! The data directory: one process at a time, and nothing is led over damage.

use std::fs;
use std::path::{Path, PathBuf};

use super::program::{Site, run};

/// Enough keys that their partition's segment has the most bytes.
const KEYS: usize = 100;

/// All files below a folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.push(path);
        }
    }
    found
}

/// Serving must fail; what it says.
#[track_caller]
fn refused(site: &Site) -> String {
    let (code, said) = run(&["serve", "--config", site.config().to_str().unwrap()]);
    assert_eq!(code, 1, "{said}");
    said
}

#[test]
fn a_second_process_on_one_data_directory_is_refused_and_the_first_goes_on() {
    let site = Site::new("");
    let program = site.serve();
    let said = refused(&site);
    let pid = program.ready["pid"].to_string();
    assert!(
        said.contains("in use by process") && said.contains(&pid),
        "{said}"
    );
    program
        .operate(&site.token(), "GET", "/v1/status", b"")
        .expect(200);
    program.stop();
    site.serve().stop();
}

/// The segment with the most records, as their file.
fn segment(site: &Site) -> PathBuf {
    let log = site.dir.path().join("data/log");
    let mut segments: Vec<_> = files(&log)
        .into_iter()
        .filter(|path| fs::metadata(path).unwrap().len() >= 1 << 16)
        .collect();
    segments.sort();
    let written = |path: &PathBuf| {
        let bytes = fs::read(path).unwrap();
        bytes.iter().filter(|byte| **byte != 0).count()
    };
    segments.into_iter().max_by_key(written).unwrap()
}

#[test]
fn a_truncated_segment_is_told_and_not_led_over() {
    let site = Site::new("");
    site.serve().stop();
    let segment = segment(&site);
    let file = fs::OpenOptions::new().write(true).open(&segment).unwrap();
    file.set_len(40).unwrap();
    let said = refused(&site);
    assert!(
        said.contains(segment.file_name().unwrap().to_str().unwrap()),
        "{said}"
    );
}

#[test]
fn a_damaged_record_is_told_and_not_led_over() {
    let site = Site::new("");
    let program = site.serve();
    for _ in 0..KEYS {
        site.key(&program);
    }
    program.stop();
    let segment = segment(&site);
    let mut bytes = fs::read(&segment).unwrap();
    let last = bytes.iter().rposition(|byte| *byte != 0).unwrap();
    bytes[last / 2] ^= 0xFF;
    fs::write(&segment, bytes).unwrap();
    let said = refused(&site);
    assert!(said.contains("is damaged at byte"), "{said}");
}
