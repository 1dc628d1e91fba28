//! An agent, theirs or ours, on free ports of this machine, and both programs that ask it.

use std::io::{BufRead as _, BufReader};
use std::net::{TcpListener, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use tempfile::TempDir;

use super::outcome::Outcome;

/// Nothing here takes long; whatever does hangs.
const LIMIT: Duration = Duration::from_secs(20);

/// An agent; it is killed with this.
pub(crate) struct Peer {
    child: Child,
    lines: mpsc::Receiver<String>,
    /// What it has said until it ran.
    pub(crate) said: Vec<String>,
    pub(crate) rpc: String,
    pub(crate) gossip: String,
    ours: PathBuf,
    _folder: TempDir,
}

/// A port that nobody has, over TCP and UDP.
fn free_port() -> u16 {
    for _ in 0..100 {
        let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = tcp.local_addr().unwrap().port();
        if UdpSocket::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
    panic!("no free port");
}

/// A link named `serf` to our program.
fn link(folder: &Path) -> PathBuf {
    let link = folder.join("serf");
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_taraf"), &link).unwrap();
    link
}

impl Peer {
    /// A real one.
    pub(crate) fn start(name: &str, flags: &[&str]) -> Self {
        Self::with(Path::new("serf"), name, flags)
    }

    /// One of ours.
    pub(crate) fn start_ours(name: &str, flags: &[&str]) -> Self {
        let folder = TempDir::new().unwrap();
        Self::with(&link(folder.path()), name, flags)
    }

    fn with(program: &Path, name: &str, flags: &[&str]) -> Self {
        let folder = TempDir::new().unwrap();
        let ours = link(folder.path());
        let rpc = format!("127.0.0.1:{}", free_port());
        let gossip = format!("127.0.0.1:{}", free_port());
        let mut child = Command::new(program)
            .arg("agent")
            .args([
                format!("-node={name}"),
                format!("-rpc-addr={rpc}"),
                format!("-bind={gossip}"),
            ])
            .args(flags)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("`serf` of Debian's package serf");
        let out = BufReader::new(child.stdout.take().unwrap());
        let (sender, lines) = mpsc::channel();
        // Read to its end, so that the agent is never kept by a full pipe.
        std::thread::spawn(move || {
            for line in out.lines().map_while(Result::ok) {
                drop(sender.send(line));
            }
        });
        let mut peer = Self {
            child,
            lines,
            said: Vec::new(),
            rpc,
            gossip,
            ours,
            _folder: folder,
        };
        peer.said = peer.until("Log data will now stream in");
        peer
    }

    /// The lines until one that contains the text, with it.
    pub(crate) fn until(&self, text: &str) -> Vec<String> {
        let mut said = Vec::new();
        while !said.last().is_some_and(|line: &String| line.contains(text)) {
            let line = self.lines.recv_timeout(LIMIT);
            said.push(line.unwrap_or_else(|_| panic!("no `{text}` after: {said:?}")));
        }
        said
    }

    /// Sends a signal by its name.
    pub(crate) fn signal(&self, name: &str) {
        let (flag, pid) = (format!("-{name}"), self.child.id().to_string());
        assert!(
            Command::new("kill")
                .args([flag, pid])
                .status()
                .unwrap()
                .success()
        );
    }

    /// Waits for its end: the exit code, and what was said until then.
    pub(crate) fn end(&mut self) -> (i32, Vec<String>) {
        let mut said = Vec::new();
        while let Ok(line) = self.lines.recv_timeout(LIMIT) {
            said.push(line);
        }
        let code = self.child.wait().unwrap().code();
        (
            code.unwrap_or_else(|| panic!("it was killed: {said:?}")),
            said,
        )
    }

    /// What both programs' `monitor` shows while something is done and soon after: theirs, then ours. They are
    /// interrupted then.
    pub(crate) fn monitored(&self, act: impl FnOnce()) -> (Outcome, Outcome) {
        let start = |program: &Path| {
            Command::new(program)
                .arg("monitor")
                .env("SERF_RPC_ADDR", &self.rpc)
                .stdin(Stdio::null())
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn()
                .unwrap()
        };
        let (theirs, ours) = (start(Path::new("serf")), start(&self.ours));
        // Both have come, and a request behind them is answered: they follow.
        for _ in 0..2 {
            self.until("Accepted client");
        }
        assert_eq!(self.theirs(&["info"]).code, 0);
        act();
        // Events of members come a second late.
        self.until("Received event: member-update");
        assert_eq!(self.theirs(&["info"]).code, 0);
        let end = |monitor: Child| {
            let pid = monitor.id().to_string();
            assert!(
                Command::new("kill")
                    .args(["-INT", &pid])
                    .status()
                    .unwrap()
                    .success()
            );
            Outcome::of(&monitor.wait_with_output().unwrap())
        };
        (end(theirs), end(ours))
    }

    /// What the real program does.
    pub(crate) fn theirs(&self, arguments: &[&str]) -> Outcome {
        self.call(Path::new("serf"), arguments)
    }

    /// What ours does.
    pub(crate) fn ours(&self, arguments: &[&str]) -> Outcome {
        self.call(&self.ours, arguments)
    }

    fn call(&self, program: &Path, arguments: &[&str]) -> Outcome {
        // By itself an agent would not end.
        assert_ne!(arguments.first(), Some(&"agent"));
        let output = Command::new(program)
            .args(arguments)
            .env("SERF_RPC_ADDR", &self.rpc)
            .env_remove("SERF_RPC_AUTH")
            .stdin(Stdio::null())
            .output()
            .unwrap();
        Outcome::of(&output)
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        // It may have left already.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// What both programs do, one after the other, with agents that cannot start.
pub(crate) fn failed_starts(arguments: &[&str]) -> (Outcome, Outcome) {
    let folder = TempDir::new().unwrap();
    let start = |program: &Path| {
        // Whoever starts after all is ended, and seen by its exit code.
        let output = Command::new("timeout")
            .args(["-s", "KILL", "10"])
            .arg(program)
            .arg("agent")
            .args(arguments)
            .env_remove("SERF_RPC_ADDR")
            .stdin(Stdio::null())
            .output();
        Outcome::of(&output.unwrap())
    };
    (start(Path::new("serf")), start(&link(folder.path())))
}
