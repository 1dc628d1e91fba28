//! Starts the program in folders of its own and steers it by signals.

use std::io::{BufRead as _, BufReader};
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

use super::http::{Answer, call, try_call};

/// How long a start may take on a busy machine.
const START_LIMIT: Duration = Duration::from_secs(30);

/// How long something may take to become true.
pub(crate) const LIMIT: Duration = Duration::from_secs(40);

/// A running program that has said that it is ready.
pub(crate) struct Program {
    child: Child,
    /// The ready line.
    pub(crate) ready: Value,
    /// Further lines of standard output.
    pub(crate) lines: Receiver<String>,
}

impl Drop for Program {
    fn drop(&mut self) {
        // It may have ended already.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn command(arguments: &[&str], variables: &[(&str, &str)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_taraf"));
    command
        .args(arguments)
        .env_clear()
        .envs(variables.iter().copied())
        .stdin(Stdio::null())
        .stdout(Stdio::piped());
    command
}

/// What each thread of a process waits for, by the kernel's word.
fn threads(pid: u32) -> String {
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task"));
    let tasks = tasks.into_iter().flatten().flatten();
    let lines = tasks.map(|task| {
        let of = |file: &str| std::fs::read_to_string(task.path().join(file)).unwrap_or_default();
        let (name, waits) = (of("comm"), of("wchan"));
        format!("{}: {waits} {}\n", name.trim(), of("syscall").trim())
    });
    lines.collect()
}

impl Program {
    /// Starts the program and waits for its ready line.
    #[track_caller]
    pub(crate) fn start(arguments: &[&str], variables: &[(&str, &str)]) -> Self {
        Self::start_in(Path::new("."), arguments, variables)
    }

    /// The same in a folder.
    #[track_caller]
    pub(crate) fn start_in(dir: &Path, arguments: &[&str], variables: &[(&str, &str)]) -> Self {
        let mut command = command(arguments, variables);
        let mut child = command.current_dir(dir).spawn().unwrap();
        let out = BufReader::new(child.stdout.take().unwrap());
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in out.lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        let Ok(line) = lines.recv_timeout(START_LIMIT) else {
            let threads = threads(child.id());
            drop(child.kill());
            panic!(
                "{arguments:?} did not become ready: {:?}\n{threads}",
                child.wait()
            );
        };
        Self {
            child,
            ready: serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}")),
            lines,
        }
    }

    /// `taraf dev` on the folder, on ports of its own.
    #[track_caller]
    pub(crate) fn dev(dir: &Path) -> Self {
        let first = free_ports().to_string();
        let dir = dir.to_str().unwrap();
        Self::start(&["dev", dir, "--ports", &first], &[])
    }

    /// `taraf serve` with the file.
    #[track_caller]
    pub(crate) fn serve(config: &Path) -> Self {
        Self::start(&["serve", "--config", config.to_str().unwrap()], &[])
    }

    pub(crate) fn text(&self, member: &str) -> &str {
        self.ready[member].as_str().unwrap()
    }

    /// Calls the gateway with the key of `dev`.
    #[track_caller]
    pub(crate) fn get(&self, path: &str) -> Answer {
        let url = format!("{}{path}", self.text("gateway"));
        call("GET", &url, &[("x-api-key", self.text("api_key"))], b"")
    }

    /// Calls the operator API with this token.
    #[track_caller]
    pub(crate) fn operate(&self, token: &str, method: &str, path: &str, body: &[u8]) -> Answer {
        let url = format!("{}{path}", self.text("operator"));
        let bearer = format!("Bearer {token}");
        call(method, &url, &[("authorization", &bearer)], body)
    }

    /// Ends it as a power failure would.
    pub(crate) fn kill_9(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    pub(crate) fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        let sent = Command::new("sh")
            .args(["-c", &format!("kill -{name} {pid}")])
            .status();
        assert!(sent.unwrap().success());
    }

    /// Waits for its own end.
    #[track_caller]
    pub(crate) fn ended(mut self) -> ExitStatus {
        eventually("the program ends", || self.child.try_wait().unwrap())
    }

    /// Stops it as an administrator does.
    #[track_caller]
    pub(crate) fn stop(self) {
        self.signal("TERM");
        assert!(self.ended().success());
    }
}

/// Runs the program to its end: exit code and what it said on both outputs.
pub(crate) fn run(arguments: &[&str]) -> (i32, String) {
    run_in(Path::new("."), arguments)
}

/// The same in a folder, for what looks around there.
pub(crate) fn run_in(folder: &Path, arguments: &[&str]) -> (i32, String) {
    let output = command(arguments, &[])
        .current_dir(folder)
        .stderr(Stdio::piped())
        .output()
        .unwrap();
    let mut said = String::from_utf8(output.stdout).unwrap();
    said += &String::from_utf8(output.stderr).unwrap();
    (output.status.code().unwrap_or(-1), said)
}

/// How many listeners `--ports` places one after the other.
const PORTS: u16 = 6;

/// The first of several consecutive ports that nobody uses now.
pub(crate) fn free_ports() -> u16 {
    eventually("free ports", || {
        let first = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = first.local_addr().unwrap().port();
        let last = port.checked_add(PORTS - 1)?;
        let others = (port + 1..=last).map(|port| TcpListener::bind(("127.0.0.1", port)));
        let others = others.collect::<Result<Vec<_>, _>>().ok()?;
        // Members and names are asked by both transports.
        let packets = (port..=last).map(|port| UdpSocket::bind(("127.0.0.1", port)));
        let packets = packets.collect::<Result<Vec<_>, _>>().ok()?;
        (others.len() < packets.len()).then_some(port)
    })
}

/// An address where nobody listens.
pub(crate) fn dead_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
}

/// Asks again until there is an answer.
#[track_caller]
pub(crate) fn eventually<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + LIMIT;
    loop {
        if let Some(found) = ask() {
            return found;
        }
        assert!(Instant::now() < end, "{what}: not within {LIMIT:?}");
        std::thread::park_timeout(Duration::from_millis(20));
    }
}

/// A production server's folder: its file, its data, its token.
pub(crate) struct Site {
    pub(crate) dir: TempDir,
}

impl Site {
    /// A server whose file begins with the usual sections; `more` follows.
    pub(crate) fn new(more: &str) -> Self {
        let site = Self {
            dir: TempDir::new().unwrap(),
        };
        // A server of a test holds nothing back, unless that is what is tested.
        let ballast = if more.contains("ballast_bytes") {
            ""
        } else {
            "log.ballast_bytes = 0\n"
        };
        let text = format!(
            "gateway.listen = \"127.0.0.1:0\"\noperator.listen = \"127.0.0.1:0\"\n\
             data.dir = \"data\"\nlog.segment_bytes = 1048576\n{ballast}{more}"
        );
        std::fs::write(site.config(), text).unwrap();
        site
    }

    /// A server without applications, with the services and routes of a manifest; `more` of its file
    /// begins with keys of no section.
    pub(crate) fn with_routes(more: &str, manifest: &str) -> Self {
        let site = Self::new(&format!(
            "apps.enabled = []\napps.folder = \"project\"\n{more}"
        ));
        let services = site.dir.path().join("project/services");
        std::fs::create_dir_all(&services).unwrap();
        std::fs::write(services.join("a.yaml"), format!("app: a\n{manifest}")).unwrap();
        site
    }

    pub(crate) fn config(&self) -> std::path::PathBuf {
        self.dir.path().join("taraf.toml")
    }

    #[track_caller]
    pub(crate) fn serve(&self) -> Program {
        Program::serve(&self.config())
    }

    pub(crate) fn token(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("data/operator.token")).unwrap()
    }

    /// Makes a key on a plan without a quota.
    #[track_caller]
    pub(crate) fn key(&self, program: &Program) -> String {
        let body = br#"{"account": "test", "plan": "unlimited"}"#;
        let made = program.operate(&self.token(), "POST", "/v1/keys", body);
        made.expect(201).json()["key"].as_str().unwrap().to_owned()
    }

    /// Publishes a definition.
    #[track_caller]
    pub(crate) fn publish(&self, program: &Program, id: &str, source: &str) {
        let path = format!("/v1/flows/{id}");
        let answer = program.operate(&self.token(), "PUT", &path, source.as_bytes());
        assert!(matches!(answer.status, 200 | 201), "{}", answer.text());
    }
}

/// A call that may meet a program that is being killed.
pub(crate) fn try_post(url: &str, headers: &[(&str, &str)], body: &[u8]) -> Option<Answer> {
    try_call("POST", url, headers, body).ok()
}
