//! A real BIND with one zone, as a child process that ends with the test.

use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::process::Stdio;
use std::time::Duration;

use tempfile::TempDir;
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep};

use super::{LIMIT, dig, tool};

/// The zone that it has.
pub(super) const ZONE: &str = "cluster.example";

/// A running `named`.
pub(super) struct Bind {
    process: Option<Child>,
    dir: TempDir,
    pub(super) address: SocketAddr,
}

/// A port that is free for both transports.
fn free() -> SocketAddr {
    for _ in 0..64 {
        let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = tcp.local_addr().unwrap();
        if UdpSocket::bind(address).is_ok() {
            return address;
        }
    }
    panic!("no port is free for both transports");
}

impl Bind {
    /// Starts a server whose zone takes updates by the key `taraf`, which lies in [`Bind::key_file`].
    pub(super) async fn start() -> Self {
        let mut bind = Self {
            process: None,
            dir: tempfile::tempdir().unwrap(),
            address: free(),
        };
        let key = tool("tsig-keygen", &["taraf"]).await;
        std::fs::write(bind.key_file(), key.stdout).unwrap();
        bind.write_configuration();
        bind.again().await;
        bind
    }

    pub(super) fn key_file(&self) -> std::path::PathBuf {
        self.dir.path().join("taraf.key")
    }

    fn write_configuration(&self) {
        let (dir, port) = (self.dir.path().display(), self.address.port());
        let configuration = format!(
            "include \"{dir}/taraf.key\";\n\
             options {{ directory \"{dir}\"; pid-file none; session-keyfile none;\n\
               listen-on port {port} {{ 127.0.0.1; }}; listen-on-v6 {{ none; }};\n\
               recursion no; notify no; dnssec-validation no; }};\n\
             controls {{ }};\n\
             zone \"{ZONE}\" {{ type primary; file \"zone\"; allow-update {{ key taraf; }}; }};\n\
             zone \"closed.example\" {{ type primary; file \"closed\"; }};\n"
        );
        std::fs::write(self.dir.path().join("named.conf"), configuration).unwrap();
        let zone = "$TTL 60\n@ SOA ns hostmaster 1 60 60 60 1\n@ NS ns\nns A 127.0.0.1\n\
                    www A 192.0.2.1\n";
        for file in ["zone", "closed"] {
            std::fs::write(self.dir.path().join(file), zone).unwrap();
        }
    }

    /// Starts it again after [`Bind::stop`], with what it has on disk.
    pub(super) async fn again(&mut self) {
        let file = self.dir.path().join("named.conf");
        let process = Command::new("/usr/sbin/named")
            .args(["-f", "-n", "1", "-c"])
            .arg(file)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn();
        self.process = Some(process.expect("Debian's package `bind9` is installed"));
        self.until(&["ns"], &["127.0.0.1"]).await;
    }

    pub(super) async fn stop(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().await.unwrap();
        }
    }

    /// The answers about a name below the zone: its own, and the kind of record.
    pub(super) async fn ask(&self, words: &[&str]) -> Vec<String> {
        let name = format!("{}.{ZONE}", words[0]);
        let all = [&[name.as_str()], &words[1..], &["+short"]].concat();
        let text = dig(self.address, &all).await;
        let mut lines: Vec<String> = text
            .lines()
            .filter(|line| !line.starts_with(';'))
            .map(str::to_owned)
            .collect();
        lines.sort();
        lines
    }

    /// Waits until the answers are these.
    pub(super) async fn until(&self, words: &[&str], expected: &[&str]) {
        let limit = Instant::now() + LIMIT;
        loop {
            let answers = self.ask(words).await;
            if answers == expected {
                return;
            }
            assert!(
                Instant::now() < limit,
                "{words:?}: {answers:?}, not {expected:?}"
            );
            sleep(Duration::from_millis(50)).await;
        }
    }

    /// Changes the zone as its administrator would.
    pub(super) async fn nsupdate(&self, commands: &str) {
        let file = self.dir.path().join("commands");
        let (port, key) = (self.address.port(), self.key_file());
        let text = format!("server 127.0.0.1 {port}\nzone {ZONE}\n{commands}\nsend\n");
        std::fs::write(&file, text).unwrap();
        let arguments = ["-k", key.to_str().unwrap(), file.to_str().unwrap()];
        let output = tool("nsupdate", &arguments).await;
        assert!(output.status.success(), "{output:?}");
    }
}
