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

/// Wherever it is cut; and the command that the refusal names makes the log usable again.
#[test]
fn a_truncated_segment_is_told_and_not_led_over_and_can_be_given_up() {
    let site = Site::new("");
    let program = site.serve();
    site.key(&program);
    program.stop();
    let segment = segment(&site);
    let name = segment.file_name().unwrap().to_str().unwrap();
    for bytes in [4_096, 40] {
        let file = fs::OpenOptions::new().write(true).open(&segment).unwrap();
        file.set_len(bytes).unwrap();
        let said = refused(&site);
        assert!(said.contains(name), "{said}");
        assert!(said.contains("taraf repair --truncate-at"), "{said}");
    }
    let place = format!("{}:0", segment.display());
    let (code, said) = run(&["repair", "--truncate-at", &place]);
    assert_eq!(code, 2, "it asks, and nobody is there to answer: {said}");
    let (code, said) = run(&["repair", "--truncate-at", &place, "--yes"]);
    assert_eq!(code, 0, "{said}");
    let program = site.serve();
    site.key(&program);
    program.stop();
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
