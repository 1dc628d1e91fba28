//! A process under test: started, watched from outside, ended with the bench.

use std::ffi::OsStr;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How long a server may take to be there on a busy machine.
pub(crate) const START_LIMIT: Duration = Duration::from_secs(60);
/// `/proc/PID/stat` counts in these.
const TICKS_A_SECOND: u64 = 100;

pub(crate) struct Process {
    child: Child,
    /// The process itself, which is a child of ours or of the tracer.
    pid: u32,
    is_traced: bool,
}

impl Process {
    /// Starts it with its output in a file of `dir`; with `trace`, below a tracer that records its syncs.
    pub(crate) fn start(
        mut command: Command,
        dir: &Path,
        name: &str,
        trace: Option<&Path>,
    ) -> Self {
        let program = Path::new(command.get_program()).file_name();
        let program = program.unwrap().to_owned();
        if let Some(trace) = trace {
            command = traced(&command, trace);
        }
        let output = std::fs::File::create(dir.join(name)).unwrap();
        command
            .stdin(Stdio::null())
            .stderr(output.try_clone().unwrap())
            .stdout(output);
        let child = command.spawn().unwrap();
        let own = child.id();
        let pid = match trace {
            Some(_) => child_of(own, &program),
            None => own,
        };
        Self {
            child,
            pid,
            is_traced: trace.is_some(),
        }
    }

    fn proc(&self, file: &str) -> String {
        std::fs::read_to_string(format!("/proc/{}/{file}", self.pid)).unwrap()
    }

    /// Bytes in memory now.
    pub(crate) fn memory(&self) -> u64 {
        let status = self.proc("status");
        let line = status
            .lines()
            .find(|line| line.starts_with("VmRSS:"))
            .unwrap();
        let kib: u64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
        kib << 10
    }

    /// Time it has computed, for itself and in the kernel.
    pub(crate) fn cpu(&self) -> Duration {
        let stat = self.proc("stat");
        // Behind the name, which may hold anything.
        let fields = stat.rsplit_once(')').unwrap().1.split_whitespace();
        let ticks: u64 = fields
            .skip(11)
            .take(2)
            .map(|ticks| ticks.parse::<u64>().unwrap())
            .sum();
        Duration::from_millis(ticks * 1_000 / TICKS_A_SECOND)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.is_traced {
            // The tracer ends with the process that it traces.
            let killed = Command::new("kill")
                .args(["-9", &self.pid.to_string()])
                .status();
            assert!(killed.unwrap().success());
        } else {
            self.child.kill().unwrap();
        }
        self.child.wait().unwrap();
    }
}

/// The same command below a tracer that stops the process at syncs only, so that all else runs at full speed.
fn traced(command: &Command, output: &Path) -> Command {
    let mut outer = Command::new("strace");
    outer.args(["--seccomp-bpf", "-f", "-qq", "-ttt"]);
    outer.args([
        "-e",
        "trace=fsync,fdatasync,sync_file_range,msync,syncfs,sync",
        "-o",
    ]);
    outer
        .arg(output)
        .arg(command.get_program())
        .args(command.get_args());
    outer.env_clear();
    for (name, value) in command.get_envs() {
        if let Some(value) = value {
            outer.env(name, value);
        }
    }
    outer
}

/// The tracer has other children for a moment, with which it finds out what the kernel can do.
fn child_of(tracer: u32, program: &OsStr) -> u32 {
    let file = format!("/proc/{tracer}/task/{tracer}/children");
    wait("the traced process", || {
        let children = std::fs::read_to_string(&file).ok()?;
        let mut children = children.split_whitespace();
        let traced = children.find(|pid| {
            let runs = std::fs::read_link(format!("/proc/{pid}/exe"));
            runs.is_ok_and(|runs| runs.file_name() == Some(program))
        });
        traced?.parse().ok()
    })
}

/// The first line of a file that `wanted` takes.
pub(crate) fn line<T>(file: &Path, what: &str, wanted: impl Fn(&str) -> Option<T>) -> T {
    wait(what, || {
        let lines = BufReader::new(std::fs::File::open(file).ok()?).lines();
        lines.map_while(Result::ok).find_map(|line| wanted(&line))
    })
}

/// Asks until there is an answer.
pub(crate) fn wait<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + START_LIMIT;
    loop {
        if let Some(found) = ask() {
            return found;
        }
        assert!(Instant::now() < end, "{what}: not within {START_LIMIT:?}");
        std::thread::park_timeout(Duration::from_millis(20));
    }
}

/// A folder in the build folder, since `/tmp` is often memory.
pub(crate) fn folder() -> tempfile::TempDir {
    tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap()
}

/// Where the peers are installed.
pub(crate) fn peers() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR"))
        .parent()
        .unwrap()
        .join("bench-peers")
}
