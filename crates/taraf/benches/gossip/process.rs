//! An agent's process: started, stopped and killed, its memory and computing time read as the kernel counts them.

use std::fs;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

pub(crate) struct Process(Child);

impl Process {
    /// # Panics
    /// When the program is not there.
    pub(crate) fn start(program: &str, arguments: &[String]) -> Self {
        let mut command = Command::new(program);
        command.args(arguments).stdin(Stdio::null());
        command.stdout(Stdio::null()).stderr(Stdio::null());
        let started = command.spawn();
        Self(started.unwrap_or_else(|error| {
            panic!("failed to start {program}: {error}; the peer is the package serf")
        }))
    }

    /// As `kill -9` does.
    pub(crate) fn kill(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }

    /// As a host that stands still, or goes on.
    pub(crate) fn freeze(&self, stands: bool) {
        let signal = if stands { "-STOP" } else { "-CONT" };
        let pid = self.0.id().to_string();
        assert!(
            Command::new("kill")
                .args([signal, &pid])
                .status()
                .unwrap()
                .success()
        );
    }

    /// Resident memory; the same with each page divided by those that share it; and what are not pages of files, such as
    /// the program's own. In MiB.
    pub(crate) fn memory(&self) -> [f64; 3] {
        let all = fs::read_to_string(format!("/proc/{}/smaps_rollup", self.0.id())).unwrap();
        let of = |name: &str| {
            let line = all.lines().find(|line| line.starts_with(name)).unwrap();
            let kib: u32 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
            f64::from(kib) / 1024.0
        };
        [of("Rss:"), of("Pss:"), of("Anonymous:")]
    }

    /// Time that its threads have computed, to the nanosecond.
    pub(crate) fn computed(&self) -> Duration {
        let threads = fs::read_dir(format!("/proc/{}/task", self.0.id())).unwrap();
        threads
            // A thread may end while it is asked.
            .filter_map(|thread| fs::read_to_string(thread.ok()?.path().join("schedstat")).ok())
            .map(|text| Duration::from_nanos(text.split(' ').next().unwrap().parse().unwrap()))
            .sum()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // One that was killed before has ended already.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}
