//! Processes under measure: their processor time and memory as the kernel counts them.

use std::fs;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// The kernel counts processor time in hundredths of a second (`getconf CLK_TCK`).
const TICK: Duration = Duration::from_millis(10);

/// A process that is ended with its value, its children with it.
pub(crate) struct Process(pub(crate) Child);

impl Process {
    /// Starts a program.
    ///
    /// # Panics
    /// When it is not there: says which Debian package has it.
    pub(crate) fn start(command: &mut Command, package: &str) -> Self {
        let started = command.stdin(Stdio::null()).spawn();
        match started {
            Ok(child) => Self(child),
            Err(error) => panic!(
                "failed to start {}: {error}; install it: apt-get install {package}",
                command.get_program().display()
            ),
        }
    }

    /// User and system time of the process and of its children that run.
    pub(crate) fn processor_time(&self) -> Duration {
        let ticks: u32 = self.all().map(|pid| ticks(pid).unwrap_or(0)).sum();
        TICK * ticks
    }

    /// Resident memory in KiB, that of its children added.
    pub(crate) fn resident_kib(&self) -> u64 {
        self.all().map(|pid| memory(pid, "VmRSS:")).sum()
    }

    /// What of it are not pages of files, such as the program's own.
    pub(crate) fn anonymous_kib(&self) -> u64 {
        let own = ["RssAnon:", "RssShmem:"];
        self.all()
            .flat_map(|pid| own.map(|line| memory(pid, line)))
            .sum()
    }

    fn all(&self) -> impl Iterator<Item = u32> {
        let pid = self.0.id();
        let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"));
        let children: Vec<u32> = children
            .unwrap_or_default()
            .split_whitespace()
            .filter_map(|pid| pid.parse().ok())
            .collect();
        std::iter::once(pid).chain(children)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // SIGTERM, so that a parent ends its children; what has ended already needs no signal.
        let pid = self.0.id().to_string();
        let _asked = Command::new("kill").arg(pid).status();
        let _ended = self.0.wait();
    }
}

/// Fields 14 and 15 of `/proc/PID/stat`, counted behind the name, which may hold anything.
fn ticks(pid: u32) -> Option<u32> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    let user: u32 = fields.next()?.parse().ok()?;
    let system: u32 = fields.next()?.parse().ok()?;
    Some(user + system)
}

/// A line of `/proc/PID/status`.
fn memory(pid: u32, name: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with(name));
    let number = line.and_then(|line| line.split_whitespace().nth(1)?.parse().ok());
    number.unwrap_or(0)
}
