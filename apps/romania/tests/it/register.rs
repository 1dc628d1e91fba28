//! The trade register: imported by a process of its own that is killed, taken over while the service
//! runs, and searched. `cargo xtask long onrc` runs the first at full size.

use std::fmt::Write as _;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::json;
use taraf_romania::Config;
use taraf_romania::register::{Import, import};

use crate::bench::{Bench, settings};
use crate::open_data;

/// Where the child imports from and to.
const FROM: &str = "TARAF_TEST_IMPORT_FROM";
const TO: &str = "TARAF_TEST_IMPORT_TO";
/// What a bad day's search may take, with nine others in a hundred questions that match millions.
const SEARCH_MAX: Duration = Duration::from_millis(500);
const MEMORY_MAX_KB: u64 = 150 * 1024;

fn number(name: &str, default: u64) -> u64 {
    let text = std::env::var(format!("TARAF_LONG_{name}")).ok();
    text.map_or(default, |text| text.parse().unwrap())
}

fn what(from: &Path, to: &Path) -> Import {
    Import {
        from: from.to_owned(),
        folder: to.to_owned(),
        accept_fewer: false,
    }
}

/// Not a test of its own: the process that the next one starts and kills.
#[test]
fn a_child_imports() {
    let (Some(from), Some(to)) = (std::env::var_os(FROM), std::env::var_os(TO)) else {
        return;
    };
    let what = what(Path::new(&from), Path::new(&to));
    let imported = import(&what, &mut |progress| {
        println!("\nprogress {:?} {}", progress.step, progress.done);
        ControlFlow::Continue(())
    });
    let told = serde_json::to_string(&imported.unwrap()).unwrap();
    println!("\npeak {}\ndone {told}", peak_kb("self"));
}

fn peak_kb(process: &str) -> u64 {
    status_kb(process, "VmHWM:")
}

/// A line of the process's state, in KB.
fn status_kb(process: &str, name: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with(name)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

fn child(from: &Path, to: &Path) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args([
            "register::a_child_imports",
            "--exact",
            "--nocapture",
            "--test-threads=1",
        ])
        .env(FROM, from)
        .env(TO, to)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

struct Ended {
    seconds: f64,
    peak_kb: u64,
    reports: usize,
    told: serde_json::Value,
}

/// Runs an import to its end.
fn run(from: &Path, to: &Path) -> Ended {
    let began = Instant::now();
    let mut child = child(from, to);
    let (mut peak_kb, mut reports, mut told) = (0, 0, json!(null));
    for line in BufReader::new(child.stdout.take().unwrap()).lines() {
        let line = line.unwrap();
        if let Some(peak) = line.strip_prefix("peak ") {
            peak_kb = peak.parse().unwrap();
        } else if let Some(text) = line.strip_prefix("done ") {
            told = serde_json::from_str(text).unwrap();
        }
        reports += usize::from(is_report(&line));
    }
    assert!(child.wait().unwrap().success());
    let seconds = began.elapsed().as_secs_f64();
    Ended {
        seconds,
        peak_kb,
        reports,
        told,
    }
}

/// Kills an import when it has told so often how far it is.
fn kill_after(reports: usize, from: &Path, to: &Path) {
    let mut child = child(from, to);
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let told = lines.map(Result::unwrap).filter(|line| is_report(line));
    let count = told.take(reports).count();
    child.kill().unwrap();
    let ended = child.wait().unwrap();
    assert!(
        !ended.success(),
        "it ended after {count} reports of {reports}"
    );
}

fn is_report(line: &str) -> bool {
    line.starts_with("progress")
}

/// Everything but the table of contents, which names the instant of the import.
fn without_contents(folder: &Path) -> Vec<u8> {
    let mut bytes = fs::read(folder.join("companies.register")).unwrap();
    let trailer = bytes.len() - 28;
    let at = u64::from_le_bytes(bytes[trailer..trailer + 8].try_into().unwrap());
    bytes.truncate(usize::try_from(at).unwrap());
    bytes
}

#[test]
fn a_killed_import_goes_on_and_a_search_is_answered_at_once() {
    let rows = number("ROWS", 3_000);
    let kills = usize::try_from(number("KILLS", 2)).unwrap();
    let root = tempfile::tempdir_in(scratch()).unwrap();
    let from = root.path().join("from");
    let [whole, killed] = ["whole", "killed"].map(|name| root.path().join(name));
    for folder in [&from, &whole, &killed] {
        fs::create_dir(folder).unwrap();
    }
    open_data::write(&from, number("SEED", 1), rows).unwrap();
    let input: u64 = fs::read_dir(&from)
        .unwrap()
        .map(|file| file.unwrap().metadata().unwrap().len())
        .sum();

    let first = run(&from, &whole);
    assert_eq!(first.told["tally"]["rows"], rows);
    assert!(first.peak_kb < MEMORY_MAX_KB, "{} KB", first.peak_kb);
    // Each goes on about where the one before it was killed. A small import is over soon: it is killed in its
    // first half, so that it is killed.
    let parts = if first.reports < 100 {
        2 * kills
    } else {
        kills + 1
    };
    for _ in 0..kills {
        kill_after((first.reports / parts).max(1), &from, &killed);
        assert!(!killed.join("companies.register").exists());
    }
    let last = run(&from, &killed);
    assert_eq!(last.told["resumed"], true);
    assert_eq!(last.told["tally"], first.told["tally"]);
    assert!(
        without_contents(&killed) == without_contents(&whole),
        "another register"
    );

    let searched = search(&whole);
    let report = report(rows, input, &first, (kills, &last), &searched);
    println!("{report}");
    if let Some(file) = std::env::var_os("TARAF_REPORT") {
        fs::write(file, report).unwrap();
    }
}

/// A folder on a disk: the temporary one may lie in memory.
fn scratch() -> PathBuf {
    PathBuf::from(env!("CARGO_TARGET_TMPDIR"))
}

struct Searched {
    opened: Duration,
    resident_kb: u64,
    usual: Vec<Duration>,
    worst: Vec<(String, usize, Duration)>,
}

/// Asks a service over the register, through HTTP as everyone does.
fn search(folder: &Path) -> Searched {
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    let runtime = runtime.worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let before = status_kb("self", "VmRSS:");
        let began = Instant::now();
        let bench = Bench::with(Config {
            folder: Some(folder.to_owned()),
            ..settings()
        })
        .await;
        let opened = began.elapsed();
        let ask = async |query: &str| {
            let uri = format!("companies.service/companies/search?{query}");
            let began = Instant::now();
            let answer = bench.get(&uri).await;
            let took = began.elapsed();
            assert_eq!(answer.status, 200, "{query}: {answer:?}");
            assert!(took < SEARCH_MAX, "{query}: {took:?}");
            (
                usize::try_from(answer.json["meta"]["total"].as_u64().unwrap()).unwrap(),
                took,
            )
        };
        let usual = usual_questions();
        // Once for the pages of the file to be in memory, as they are on a server that serves.
        let mut took = Vec::new();
        let mut found = 0;
        for _ in 0..2 {
            took.clear();
            found = 0;
            for question in &usual {
                let (total, one) = ask(question).await;
                found += usize::from(total > 0);
                took.push(one);
            }
        }
        assert!(found > 0, "no question found anything");
        let resident_kb = status_kb("self", "VmRSS:").saturating_sub(before);
        let mut worst = Vec::new();
        for question in [
            "q=s",
            "q=srl",
            "q=srl&include_radiata=true",
            "q=a%20s&judet=cluj",
        ] {
            ask(question).await;
            let (total, took) = ask(question).await;
            worst.push((question.to_owned(), total, took));
        }
        took.sort_unstable();
        Searched {
            opened,
            resident_kb,
            usual: took,
            worst,
        }
    })
}

/// What people type: a word, the beginning of one, two words, a county, a code.
fn usual_questions() -> Vec<String> {
    let words = [
        "ALAN", "BECO", "cali", "criga", "dama", "geor", "LAMI", "mona", "NIRO", "rala",
    ];
    let mut questions = Vec::new();
    for word in words {
        for rest in ["", "%20construct", "%20srl", "%20com%20srl"] {
            for end in [
                "",
                "&judet=Cluj",
                "&judet=bucuresti&include_radiata=true",
                "&page=2",
            ] {
                let start = if end.is_empty() { word } else { &word[..3] };
                questions.push(format!("q={start}{rest}{end}"));
            }
        }
    }
    questions.retain(|question| !question.contains("com%20srl&judet"));
    questions
}

fn report(
    rows: u64,
    input: u64,
    first: &Ended,
    (kills, last): (usize, &Ended),
    searched: &Searched,
) -> String {
    let tally = &first.told["tally"];
    let at = |percent: usize| {
        let all = &searched.usual;
        all[(all.len() * percent / 100).min(all.len() - 1)].as_secs_f64() * 1_000.0
    };
    let count = |name: &str| tally[name].as_u64().unwrap();
    let mut text = format!(
        "The open data are generated: {rows} rows, {} MB in five files. The import runs in a process of its own.\n\n\
         | | |\n|---|---|\n\
         | import | {:.1} s, {:.0} rows/s, peak RSS {} MB |\n\
         | firms in the register | {} ({} MB) |\n\
         | left out | {} persons, {} without a usable code, {} broken, {} repeated, {} superseded |\n\
         | after {kills} `kill -9` at rising places | the last attempt took {:.1} s; the register is the same byte for byte |\n\
         | opening it | {:.0} ms, {} MB resident with what {} searches read |\n\
         | search over HTTP, {} questions | p50 {:.1} ms, p99 {:.1} ms, max {:.1} ms |\n",
        input >> 20,
        first.seconds,
        f64::from(u32::try_from(rows).unwrap()) / first.seconds,
        first.peak_kb >> 10,
        count("kept"),
        first.told["bytes"].as_u64().unwrap() >> 20,
        count("persons"),
        count("without_code"),
        count("broken"),
        count("repeated"),
        count("superseded"),
        last.seconds,
        searched.opened.as_secs_f64() * 1_000.0,
        searched.resident_kb >> 10,
        searched.usual.len(),
        searched.usual.len(),
        at(50),
        at(99),
        at(100),
    );
    for (question, total, took) in &searched.worst {
        let took = took.as_secs_f64() * 1_000.0;
        writeln!(
            text,
            "| the widest: `{question}` | {total} firms in {took:.1} ms |"
        )
        .unwrap();
    }
    text
}

#[tokio::test]
async fn an_import_is_taken_over_while_the_service_runs() {
    let root = tempfile::tempdir().unwrap();
    let [from, to] = ["from", "to"].map(|name| root.path().join(name));
    fs::create_dir(&from).unwrap();
    open_data::write(&from, 7, 500).unwrap();
    let bench = Bench::with(Config {
        folder: Some(to.clone()),
        ..settings()
    })
    .await;
    // Until then the sample answers, and what was looked up.
    let search = "companies.service/companies/search?q=exemplu";
    assert_eq!(bench.get(search).await.json["meta"]["total"], 2);
    let entry = bench
        .get("companies.service/companies/990000013/register")
        .await;
    assert_eq!(
        (entry.status, &entry.json["judet"]),
        (200, &json!("Sibiu")),
        "{entry:?}"
    );
    let _company = bench.get("companies.service/companies/13548146").await;

    let imported = import(&what(&from, &to), &mut |_| ControlFlow::Continue(())).unwrap();
    let gone = bench
        .becomes(404, "companies.service/companies/990000013/register")
        .await;
    assert_eq!(gone.json["code"], "not_in_register");
    let left = bench.get(search).await;
    assert_eq!(left.json["data"][0]["cif"], "13548146");
    assert_eq!(left.json["meta"]["total"], 1);
    let all = bench
        .get("companies.service/companies/search?q=s&include_radiata=true")
        .await;
    assert!(all.json["meta"]["total"].as_u64().unwrap() > imported.tally.kept / 2);
    let learned = bench
        .get("companies.service/companies/search?q=13548146")
        .await;
    assert_eq!(learned.json["data"][0]["cif"], "13548146");
    // One that cannot be read does not take its place.
    let file = to.join("companies.register");
    let inode = fs::metadata(&file).unwrap();
    fs::write(to.join("broken"), "nothing").unwrap();
    fs::rename(to.join("broken"), &file).unwrap();
    assert_ne!(inode.len(), fs::metadata(&file).unwrap().len());
    let hit = all.json["data"][0]["cif"].as_str().unwrap().to_owned();
    let found = bench
        .get(&format!("companies.service/companies/{hit}/register"))
        .await;
    assert_eq!((found.status, &found.json["cif"]), (200, &json!(hit)));
    let wrong = bench.get("companies.service/companies/1/register").await;
    assert_eq!(
        (wrong.status, &wrong.json["code"]),
        (404, &json!("invalid_cif"))
    );
}

#[tokio::test]
async fn without_a_register_that_is_said() {
    let bench = Bench::with(Config {
        register: taraf_romania::Register::None,
        ..settings()
    })
    .await;
    let entry = bench
        .get("companies.service/companies/990000013/register")
        .await;
    assert_eq!(
        (entry.status, &entry.json["code"]),
        (503, &json!("no_register"))
    );
    let found = bench
        .get("companies.service/companies/search?q=exemplu")
        .await;
    assert_eq!(found.json["meta"]["total"], 0);
}
