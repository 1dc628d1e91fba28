//! A real Serf agent on free ports of this machine, and both programs that ask it.

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

/// A real agent; it is killed with this.
pub(crate) struct Peer {
    child: Child,
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
    pub(crate) fn start(name: &str, flags: &[&str]) -> Self {
        let folder = TempDir::new().unwrap();
        let ours = link(folder.path());
        let rpc = format!("127.0.0.1:{}", free_port());
        let gossip = format!("127.0.0.1:{}", free_port());
        let mut child = Command::new("serf")
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
        let mut said = Vec::new();
        while !said
            .last()
            .is_some_and(|line: &String| line.contains("Log data will now stream in"))
        {
            said.push(
                lines
                    .recv_timeout(LIMIT)
                    .unwrap_or_else(|_| panic!("it does not start: {said:?}")),
            );
        }
        Self {
            child,
            rpc,
            gossip,
            ours,
            _folder: folder,
        }
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
