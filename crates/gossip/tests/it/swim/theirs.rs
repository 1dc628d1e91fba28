//! The real Serf, as a child process that ends with the test.

use std::net::{IpAddr, SocketAddr};
use std::process::Stdio;

use taraf_gossip::rpc::Client;
use tokio::process::{Child, Command};

use super::{LIMIT, PORT, address, eventually};

/// A running `serf agent`.
pub(super) struct Theirs {
    process: Child,
    pub(super) address: SocketAddr,
    rpc: String,
}

impl Theirs {
    /// Starts an agent with the profile for one machine and waits until it answers.
    pub(super) async fn start(name: &str, flags: &[&str]) -> Self {
        Self::start_at(name, address(), flags).await
    }

    pub(super) async fn start_at(name: &str, ip: IpAddr, flags: &[&str]) -> Self {
        let address = SocketAddr::new(ip, PORT);
        let rpc = SocketAddr::new(ip, 7373).to_string();
        let process = Command::new("serf")
            .args([
                "agent",
                "-node",
                name,
                "-bind",
                &address.to_string(),
                "-rpc-addr",
                &rpc,
            ])
            .args(["-profile", "local"])
            .args(flags)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .expect("the real serf is installed (apt-get install serf)");
        let theirs = Self {
            process,
            address,
            rpc,
        };
        // Its own member: until it answers, its command line prints an error.
        theirs.until(name, "alive").await;
        theirs
    }

    /// Name, address and status of each member.
    pub(super) async fn members(&self) -> Vec<(String, String, String)> {
        let listed = self.command(&["members"]).await;
        let member = |line: &str| {
            let mut words = line.split_whitespace().map(str::to_owned);
            Some((words.next()?, words.next()?, words.next()?))
        };
        listed.lines().filter_map(member).collect()
    }

    pub(super) async fn status(&self, name: &str) -> Option<String> {
        let members = self.members().await;
        members
            .into_iter()
            .find(|(member, ..)| member == name)
            .map(|(_, _, status)| status)
    }

    pub(super) async fn until(&self, name: &str, status: &str) {
        eventually(&format!("serf shows {name} {status}"), async || {
            (self.status(name).await.as_deref() == Some(status)).then_some(())
        })
        .await;
    }

    /// What the command prints, with its errors.
    pub(super) async fn command(&self, words: &[&str]) -> String {
        let (command, arguments) = words.split_first().unwrap();
        let rpc = format!("-rpc-addr={}", self.rpc);
        let run = Command::new("serf")
            .arg(command)
            .arg(rpc)
            .args(arguments)
            .output();
        let output = run.await.unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// A connection of ours to it.
    pub(super) async fn client(&self) -> Client {
        Client::connect(&self.rpc, "").await.unwrap()
    }

    /// Waits until it ends by itself.
    pub(super) async fn ended(&mut self) {
        let ended = tokio::time::timeout(LIMIT, self.process.wait()).await;
        ended.expect("serf ends").unwrap();
    }

    /// Ends it without a word.
    pub(super) async fn kill(mut self) {
        self.process.kill().await.unwrap();
    }
}
