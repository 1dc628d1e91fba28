//! A disk that is really full: new runs are refused, what runs ends, and room brings everything back.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Condvar, Mutex};

use serde_json::{Value, json};

use super::http::Answer;
use super::program::{Program, Site, eventually};

/// Runs whose calls are under way while the disk fills, and end with them.
const HELD: usize = 3;
/// Of each start while the disk fills.
const INPUT_BYTES: usize = 30_000;
/// More starts than fit would mean that nothing is ever refused.
const STARTS_MAX: usize = 3_000;

const HELD_FLOW: &str = "document: { dsl: '1.0.3', namespace: test, name: held, version: '1.0.0' }\n\
    do:\n  - ask: { call: http, with: { method: get, endpoint: 'http://ADDRESS/' } }\n";
/// Goes on after a moment's wait: work that begins.
const WAITING_FLOW: &str = "document: { dsl: '1.0.3', namespace: test, name: waiting, version: '1.0.0' }\n\
    do:\n  - ask: { call: http, with: { method: get, endpoint: 'http://ADDRESS/' } }\n  \
      - pause: { wait: { milliseconds: 100 } }\n";
/// Is ended by a timeout a little later than that wait would.
const LIMITED_FLOW: &str = "document: { dsl: '1.0.3', namespace: test, name: limited, version: '1.0.0' }\n\
    do:\n  - ask: { call: http, with: { method: get, endpoint: 'http://ADDRESS/' } }\n  \
      - pause: { wait: { hours: 1 }, timeout: { after: { milliseconds: 600 } } }\n";

/// A file system in memory, unmounted at the end. Tests run where that is allowed, as in containers
/// of the build.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn mount(at: PathBuf, size: &str) -> Self {
        std::fs::create_dir(&at).unwrap();
        mount(
            &["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"],
            &at,
        );
        Self(at)
    }

    fn resize(&self, size: &str) {
        mount(&["-o", &format!("remount,size={size}")], &self.0);
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // What is still open goes with its process.
        drop(Command::new("umount").arg("-l").arg(&self.0).status());
    }
}

#[track_caller]
fn mount(arguments: &[&str], at: &Path) {
    let status = Command::new("mount").args(arguments).arg(at).status();
    assert!(
        status.unwrap().success(),
        "mount {arguments:?} needs the right to mount"
    );
}

/// A service that answers nobody before it is told to.
struct Slow {
    address: SocketAddr,
    state: Arc<(Mutex<(usize, bool)>, Condvar)>,
}

impl Slow {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let state: Arc<(Mutex<(usize, bool)>, Condvar)> = Arc::default();
        let shared = Arc::clone(&state);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let shared = Arc::clone(&shared);
                std::thread::spawn(move || answer(stream, &shared));
            }
        });
        Self { address, state }
    }

    fn asked(&self) -> usize {
        self.state.0.lock().unwrap().0
    }

    fn release(&self) {
        self.state.0.lock().unwrap().1 = true;
        self.state.1.notify_all();
    }
}

fn answer(mut stream: TcpStream, (state, changed): &(Mutex<(usize, bool)>, Condvar)) {
    let mut request = [0; 4_096];
    if !matches!(stream.read(&mut request), Ok(1..)) {
        return;
    }
    let mut state = state.lock().unwrap();
    state.0 += 1;
    drop(
        changed
            .wait_while(state, |(_, is_released)| !*is_released)
            .unwrap(),
    );
    let body = "{\"ok\":true}";
    let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close";
    // The caller may have been killed.
    drop(write!(
        stream,
        "{head}\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    ));
}

struct Node {
    site: Site,
    program: Program,
}

impl Node {
    fn start_run(&self, flow: &str, input: &Value) -> Answer {
        let path = format!("/v1/flows/test/{flow}/runs");
        let body = input.to_string();
        self.program
            .operate(&self.site.token(), "POST", &path, body.as_bytes())
    }

    fn get(&self, path: &str) -> Answer {
        self.program.operate(&self.site.token(), "GET", path, b"")
    }

    fn space(&self) -> String {
        let status = self.get("/v1/status").expect(200).json();
        status["space"].as_str().unwrap().to_owned()
    }

    fn wait_for_space(&self, wanted: &str) {
        eventually(wanted, || (self.space() == wanted).then_some(()));
    }

    fn run_status(&self, id: &str) -> String {
        let run = self.get(&format!("/v1/runs/{id}")).expect(200).json();
        run["status"].as_str().unwrap().to_owned()
    }

    fn wait_for_end(&self, id: &str) {
        self.wait_for_status(id, "completed");
    }

    fn wait_for_status(&self, id: &str, wanted: &str) {
        eventually(wanted, || (self.run_status(id) == wanted).then_some(()));
    }
}

impl Node {
    /// Starts runs until there is no room for more, and checks what is said then.
    #[track_caller]
    fn start_until_refused(&self) -> Vec<String> {
        let input = json!({"n": "x".repeat(INPUT_BYTES)});
        let mut acknowledged = Vec::new();
        let refused = loop {
            let answer = self.start_run("echo", &input);
            if answer.status == 503 {
                break answer;
            }
            assert!(matches!(answer.status, 200 | 202), "{}", answer.text());
            acknowledged.push(id_of(&answer));
            assert!(acknowledged.len() < STARTS_MAX, "nothing was ever refused");
        };
        assert!(refused.head.contains("\nretry-after: "), "{}", refused.head);
        assert_ne!(self.space(), "ample");
        let ready = self.get("/health/ready").expect(200).json();
        let warning = ready["warnings"][0].as_str().unwrap();
        assert!(warning.contains("new runs are refused"), "{ready}");
        let metrics = self.get("/metrics").expect(200).text();
        assert!(!metrics.contains("taraf_log_space 0"));
        acknowledged
    }
}

fn id_of(answer: &Answer) -> String {
    answer.json()["id"].as_str().unwrap().to_owned()
}

#[test]
fn a_full_disk_refuses_new_runs_ends_what_runs_and_recovers_by_itself() {
    let slow = Slow::start();
    let site = Site::new(
        "log.stripes = 1\nlog.ballast_bytes = 2097152\nlog.space_low_bytes = 8388608\n\
         log.space_full_bytes = 4194304\n",
    );
    let data = site.dir.path().join("data");
    let disk = SmallDisk::mount(data.clone(), "32m");
    let program = site.serve();
    for (name, text) in [
        ("test/held/1.0.0", HELD_FLOW),
        ("test/waiting/1.0.0", WAITING_FLOW),
        ("test/limited/1.0.0", LIMITED_FLOW),
    ] {
        let text = text.replace("ADDRESS", &slow.address.to_string());
        site.publish(&program, name, &text);
    }
    site.publish(&program, "test/echo/1.0.0", super::crash::ECHO);
    let node = Node { site, program };
    let held: Vec<String> = (0..HELD)
        .map(|n| id_of(&node.start_run("held", &json!({"n": n})).expect(202)))
        .collect();
    let waiting = id_of(&node.start_run("waiting", &json!({})).expect(202));
    let limited = id_of(&node.start_run("limited", &json!({})).expect(202));
    eventually("the calls are under way", || {
        (slow.asked() == HELD + 2).then_some(())
    });

    let mut acknowledged = node.start_until_refused();

    // Somebody else takes the rest, but for the reserve.
    let filler = data.join("filler");
    let mut file = std::fs::File::create(&filler).unwrap();
    while file.write_all(&[1; 65_536]).is_ok() {}
    drop(file);
    node.wait_for_space("full");
    slow.release();
    for id in &held {
        node.wait_for_end(id);
    }
    assert_eq!(node.start_run("echo", &json!({})).status, 503);
    // What a timeout ends is ended, while the wait that was over before begins nothing.
    node.wait_for_status(&waiting, "waiting");
    node.wait_for_status(&limited, "faulted");
    assert_eq!(node.run_status(&waiting), "waiting");

    // Room again: nobody has to do anything else.
    std::fs::remove_file(&filler).unwrap();
    disk.resize("96m");
    node.wait_for_space("ample");
    node.wait_for_end(&waiting);
    acknowledged.push(id_of(&node.start_run("echo", &json!({"n": 1}))));
    eventually("the ballast is held again", || {
        let ballast = std::fs::metadata(data.join("log/ballast"));
        ballast
            .is_ok_and(|found| found.len() == 2_097_152)
            .then_some(())
    });
    assert!(
        node.get("/metrics")
            .expect(200)
            .text()
            .contains("taraf_log_space 0")
    );
    let Node { site, program } = node;
    program.kill_9();
    let program = site.serve();
    let node = Node { site, program };
    for id in held.iter().chain(&acknowledged) {
        node.wait_for_end(id);
    }
    node.program.stop();
}
