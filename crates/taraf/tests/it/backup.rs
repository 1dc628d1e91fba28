//! A backup made under load, put back: what was acknowledged before it began is there.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::AtomicU64;

use super::crash::{ECHO, all_runs, start_until_killed};
use super::http::call;
use super::program::{Site, eventually, run};

const BEFORE: usize = 100;
const CALLERS: usize = 3;

#[test]
fn a_backup_made_under_load_restores_all_that_was_acknowledged_before() {
    let site = Site::new("");
    let program = site.serve();
    let key = site.key(&program);
    site.publish(&program, "test/echo/1.0.0", ECHO);
    let acknowledged: Mutex<BTreeMap<u64, String>> = Mutex::default();
    let next = AtomicU64::new(1);
    let operator = program.text("operator").to_owned();
    let url = format!("{operator}/v1/flows/test/echo/runs");
    let bearer = format!("Bearer {}", site.token());
    let file = site.dir.path().join("backup.tar");
    let path = file.to_str().unwrap();
    let token = site.dir.path().join("data/operator.token");
    let before = std::thread::scope(|scope| {
        for _ in 0..CALLERS {
            scope.spawn(|| start_until_killed(&url, &bearer, &next, &acknowledged));
        }
        eventually("starts are acknowledged", || {
            (acknowledged.lock().unwrap().len() >= BEFORE).then_some(())
        });
        let before = acknowledged.lock().unwrap().clone();
        let token = token.to_str().unwrap();
        let (exit, said) = run(&[
            "backup",
            "--operator",
            &operator,
            "--token-file",
            token,
            "--to",
            path,
        ]);
        assert_eq!(exit, 0, "{said}");
        assert!(said.contains("checked"), "{said}");
        // The load went on all the while.
        let at_end = acknowledged.lock().unwrap().len();
        eventually("starts are still acknowledged", || {
            (acknowledged.lock().unwrap().len() > at_end).then_some(())
        });
        program.kill_9();
        before
    });

    let (exit, said) = run(&["verify", path]);
    assert_eq!(exit, 0, "{said}");
    check_restored(path, &site, &key, &before);
}

/// Puts the backup back in another place, where all of `before` must be, and the key work.
#[track_caller]
fn check_restored(path: &str, site: &Site, key: &str, before: &BTreeMap<u64, String>) {
    let other = Site::new("");
    let data = other.dir.path().join("data");
    let data = data.to_str().unwrap();
    let (exit, said) = run(&["restore", path, "--data", data]);
    assert_eq!(exit, 0, "{said}");
    let again = run(&["restore", path, "--data", data]).0;
    assert_eq!(again, 5, "it is there already");
    assert_eq!(run(&["verify", data]).0, 0);

    let program = other.serve();
    assert_eq!(run(&["verify", data]).0, 5, "a server uses it");
    assert_eq!(other.token(), site.token());
    let found: BTreeMap<String, String> = all_runs(&program, &other.token())
        .iter()
        .map(|run| {
            let text = |member: &str| run[member].as_str().unwrap().to_owned();
            (text("idempotency_key"), text("id"))
        })
        .collect();
    for (n, id) in before {
        assert_eq!(found.get(&n.to_string()), Some(id), "start {n}");
    }
    let url = format!("{}/api/validate/cif/13548146", program.text("gateway"));
    call("GET", &url, &[("x-api-key", key)], b"").expect(200);
    let path = "/v1/flows/test/echo/runs?wait=10s";
    let more = program.operate(&other.token(), "POST", path, b"{\"n\": 0}");
    more.expect(200);
    program.stop();
}

#[test]
fn a_damaged_backup_is_told_and_restores_nothing() {
    let site = Site::new("");
    let program = site.serve();
    let token = site.dir.path().join("data/operator.token");
    let (operator, token) = (program.text("operator"), token.to_str().unwrap());
    let folder = site.dir.path().to_str().unwrap();
    let arguments = [
        "backup",
        "--operator",
        operator,
        "--token-file",
        token,
        "--format",
        "json",
    ];
    let (exit, said) = run(&[&arguments[..], &["--to", folder]].concat());
    assert_eq!(exit, 0, "{said}");
    let report: serde_json::Value = serde_json::from_str(&said).unwrap();
    let file = report["file"].as_str().unwrap();
    assert!(report["records"].as_u64().unwrap() > 0, "{report}");
    program.stop();

    let mut bytes = std::fs::read(file).unwrap();
    let middle = bytes.len() / 2;
    bytes.truncate(middle);
    std::fs::write(file, &bytes).unwrap();
    let data = site.dir.path().join("restored");
    let (exit, said) = run(&["restore", file, "--data", data.to_str().unwrap()]);
    assert_eq!(exit, 1, "{said}");
    assert!(said.contains("not whole"), "{said}");
    assert!(!data.exists());
    assert_eq!(run(&["verify", file]).0, 1);
    assert_eq!(run(&["verify", "/nowhere.tar"]).0, 3);
}
