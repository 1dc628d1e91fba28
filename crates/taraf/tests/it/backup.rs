//! A backup made under load, put back: what was acknowledged before it began is there.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::AtomicU64;

use taraf_romania::recorded::Fault;

use super::calls::Sources;
use super::crash::{ECHO, all_runs, start_until_killed};
use super::http::{Answer, call};
use super::program::{Program, Site, eventually, run};

const BEFORE: usize = 100;
const CALLERS: usize = 3;
/// The key of a run with a large input.
const LARGE: &str = "1000000";

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
    let large = large_input();
    let headers = [
        ("authorization", bearer.as_str()),
        ("idempotency-key", LARGE),
    ];
    let answer = call(
        "POST",
        &format!("{url}?wait=10s"),
        &headers,
        large.as_bytes(),
    );
    let large_run = answer.expect(200).json()["id"].as_str().unwrap().to_owned();
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
    check_restored(path, &site, &key, (&before, &large_run));
}

const WAITS: &str = "document: {dsl: '1.0.3', namespace: test, name: waits, version: 1.0.0}\n\
    do: [{pause: {wait: PT1H}}]\n";

#[test]
fn a_payload_that_is_missing_or_altered_is_found_before_it_is_needed() {
    let site = Site::new("");
    let program = site.serve();
    site.publish(&program, "test/waits/1.0.0", WAITS);
    let path = "/v1/flows/test/waits/runs";
    let large = large_input();
    let answer = program.operate(&site.token(), "POST", path, large.as_bytes());
    answer.expect(202);
    // Whatever a node keeps of live runs: it is in a backup once.
    let data = site.dir.path().join("data");
    std::fs::create_dir_all(data.join("runs")).unwrap();
    std::fs::write(data.join("runs/kept"), "kept").unwrap();
    let token = data.join("operator.token");
    let (operator, token) = (program.text("operator").to_owned(), token.to_str().unwrap());
    let at = ["--operator", &operator, "--token-file", token];
    let place = |name: &str| site.dir.path().join(name).to_str().unwrap().to_owned();
    let whole = place("whole.tar");
    let (exit, said) = run(&[&["backup", "--to", &whole][..], &at].concat());
    assert_eq!(exit, 0, "{said}");

    let folders = std::fs::read_dir(data.join("blobs")).unwrap();
    let mut blobs = folders.flat_map(|folder| std::fs::read_dir(folder.unwrap().path()).unwrap());
    let blob = blobs.next().unwrap().unwrap().path();
    let mut bytes = std::fs::read(&blob).unwrap();
    std::fs::remove_file(&blob).unwrap();
    let expect_missing = |words: &[&str]| {
        let (exit, said) = run(words);
        assert_eq!(exit, 1, "{said}");
        assert!(said.contains("is missing"), "{said}");
    };
    // A backup of what is left is better than none.
    let poor = place("poor.tar");
    expect_missing(&[&["backup", "--to", &poor][..], &at].concat());
    program.stop();
    expect_missing(&["verify", &poor]);
    let data = data.to_str().unwrap();
    expect_missing(&["verify", data]);
    expect_missing(&["restore", &poor, "--data", &place("poor")]);
    assert_eq!(std::fs::read(place("poor/runs/kept")).unwrap(), b"kept");
    bytes[1_000] ^= 1;
    std::fs::write(&blob, &bytes).unwrap();
    let (exit, said) = run(&["verify", data]);
    assert_eq!(exit, 1, "{said}");
    assert!(said.contains("holds other bytes"), "{said}");

    let (exit, said) = run(&["restore", &whole, "--data", &place("whole")]);
    assert_eq!(exit, 0, "{said}");
    let (exit, said) = run(&["verify", &place("whole")]);
    assert_eq!(exit, 0, "{said}");
    assert!(said.contains("1 payloads"), "{said}");
}

/// Larger than what stays in a record.
fn large_input() -> String {
    serde_json::json!({"n": "x".repeat(200_000)}).to_string()
}

/// Puts the backup back in another place, where all of `before` must be, and the key work.
#[track_caller]
fn check_restored(
    path: &str,
    site: &Site,
    key: &str,
    (before, large_run): (&BTreeMap<u64, String>, &str),
) {
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
    let run = format!("/v1/runs/{large_run}");
    let run = program
        .operate(&other.token(), "GET", &run, b"")
        .expect(200);
    let said = run.json()["output"]["said"].as_str().unwrap().len();
    assert_eq!(said, 200_000, "what lies beside the log came along");
    let url = format!("{}/api/validate/cif/13548146", program.text("gateway"));
    call("GET", &url, &[("x-api-key", key)], b"").expect(200);
    let path = "/v1/flows/test/echo/runs?wait=10s";
    let more = program.operate(&other.token(), "POST", path, b"{\"n\": 0}");
    more.expect(200);
    program.stop();
}

const FIRMS: &str = "DENUMIRE^CUI^COD_INMATRICULARE^DATA_INMATRICULARE^EUID^FORMA_JURIDICA^ADR_TARA^ADR_JUDET^\
    ADR_LOCALITATE^ADR_DEN_STRADA^ADR_NR_STRADA^ADR_BLOC^ADR_SCARA^ADR_ETAJ^ADR_APARTAMENT^ADR_COD_POSTAL^\
    ADR_SECTOR^ADR_COMPLETARE^WEB^TARA_FIRMA_MAMA\r\n\
    NUMAI AICI SRL^990000021^J32/2/2010^^^SRL^^Sibiu^^^^^^^^^^^^\r\n";

/// Imports a register of one firm, which no sample has.
fn import(site: &Site) {
    let open = site.dir.path().join("open");
    std::fs::create_dir_all(&open).unwrap();
    std::fs::write(open.join("od_firme.csv"), FIRMS).unwrap();
    let states = "COD_INMATRICULARE^COD\r\nJ32/2/2010^1048\r\n";
    std::fs::write(open.join("od_stare_firma.csv"), states).unwrap();
    let data = site.dir.path().join("data");
    let (data, open) = (data.to_str().unwrap(), open.to_str().unwrap());
    let words = ["service", "companies", "--data", data, "import", "--from"];
    let (exit, said) = run(&[&words[..], &[open]].concat());
    assert_eq!(exit, 0, "{said}");
}

fn get(program: &Program, key: &str, path: &str) -> Answer {
    let url = format!("{}{path}", program.text("gateway"));
    call("GET", &url, &[("x-api-key", key)], b"")
}

#[test]
fn what_applications_keep_is_in_a_backup_and_what_is_half_made_is_not() {
    const SEARCH: &str = "/api/companies/search?q=numai";
    const RATE: &str = "/api/exchange/EUR?date=2019-12-31";
    let sources = Sources::start();
    let site = Site::new(&sources.section());
    import(&site);
    let program = site.serve();
    let key = site.key(&program);
    let found = get(&program, &key, SEARCH).expect(200).json();
    assert_eq!(found["meta"]["total"], 1, "{found}");
    let rate = get(&program, &key, RATE).expect(200).json();
    let kept = site.dir.path().join("data/romania");
    eventually("the rates are on disk", || {
        kept.join("rates/2019.json").exists().then_some(())
    });
    std::fs::create_dir(kept.join("import.tmp")).unwrap();
    for half in ["import.tmp/runs", "companies.new"] {
        std::fs::write(kept.join(half), "half").unwrap();
    }
    let file = site.dir.path().join("backup.tar");
    let token = site.dir.path().join("data/operator.token");
    let (file, token) = (file.to_str().unwrap(), token.to_str().unwrap());
    let at = [
        "--operator",
        program.text("operator"),
        "--token-file",
        token,
    ];
    let (exit, said) = run(&[&["backup", "--to", file][..], &at].concat());
    assert_eq!(exit, 0, "{said}");
    program.stop();
    assert_eq!(run(&["verify", file]).0, 0);

    let other = Site::new(&sources.section());
    let data = other.dir.path().join("data");
    let (exit, said) = run(&["restore", file, "--data", data.to_str().unwrap()]);
    assert_eq!(exit, 0, "{said}");
    let mut names: Vec<_> = std::fs::read_dir(data.join("romania")).unwrap().collect();
    names.sort_by_key(|entry| entry.as_ref().unwrap().file_name());
    let names: Vec<_> = names
        .into_iter()
        .map(|name| name.unwrap().file_name())
        .collect();
    assert_eq!(names, ["companies.register", "rates"]);
    // Nobody can be asked any more: what was kept answers.
    sources.source.set_fault(Fault::Refuse);
    let program = other.serve();
    assert_eq!(get(&program, &key, SEARCH).expect(200).json(), found);
    assert_eq!(get(&program, &key, RATE).expect(200).json(), rate);
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
