//! Guides are walked: each command is run as it is printed, and prints what the guide says.

use std::fs::File;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::program::{LIMIT, Program, free_ports};

/// Stands for whatever it may be: within a line, or alone for any number of lines.
const ANYTHING: &str = "…";
/// How the addresses of guides to clusters begin.
const HOSTS: &str = "127.0.0.";
/// Between two times that a command is repeated.
const PAUSE: Duration = Duration::from_millis(200);

/// How long a command may take, in seconds.
const COMMAND_LIMIT_S: &str = "120";

/// One step of a guide.
#[derive(Debug, PartialEq, Eq)]
enum Step {
    /// A file to be written: its name and text.
    File(String, String),
    /// A command and the lines that it prints.
    Command(String, Vec<String>),
}

/// The steps of a guide: blocks called `console`, and blocks of other kinds behind a line that ends with
/// "this `NAME`:".
fn steps(guide: &str) -> Vec<Step> {
    let (mut steps, mut before) = (Vec::new(), "");
    let mut lines = guide.lines();
    while let Some(line) = lines.next() {
        if let Some(kind) = line.strip_prefix("```") {
            let block: Vec<&str> = lines.by_ref().take_while(|line| *line != "```").collect();
            if kind == "console" {
                steps.extend(commands(&block));
            } else if let Some((_, name)) = before.split_once("this `")
                && let Some(name) = name.strip_suffix("`:")
            {
                steps.push(Step::File(name.to_owned(), block.join("\n") + "\n"));
            }
        } else if !line.is_empty() {
            before = line;
        }
    }
    steps
}

fn commands(block: &[&str]) -> Vec<Step> {
    let mut commands = Vec::new();
    let mut is_continued = false;
    for line in block {
        if is_continued && let Some(Step::Command(command, _)) = commands.last_mut() {
            command.push('\n');
            command.push_str(line);
            is_continued = line.ends_with('\\');
        } else if let Some(command) = line.strip_prefix("$ ") {
            is_continued = command.ends_with('\\');
            commands.push(Step::Command(command.to_owned(), Vec::new()));
        } else if let Some(Step::Command(_, lines)) = commands.last_mut() {
            lines.push((*line).to_owned());
        }
    }
    commands
}

/// Whether lines are what a guide prints.
fn is_printed(expected: &[String], lines: &[&str]) -> bool {
    match expected.split_first() {
        None => lines.is_empty(),
        Some((first, rest)) if first == ANYTHING => {
            (0..=lines.len()).any(|skipped| is_printed(rest, &lines[skipped..]))
        }
        Some((first, rest)) => lines.split_first().is_some_and(|(line, others)| {
            is_line(first, line.trim_end()) && is_printed(rest, others)
        }),
    }
}

fn is_line(expected: &str, line: &str) -> bool {
    let Some((first, others)) = expected.split_once(ANYTHING) else {
        return expected == line;
    };
    let Some(rest) = line.strip_prefix(first) else {
        return false;
    };
    let mut ends = rest.char_indices().map(|(at, _)| at).chain([rest.len()]);
    ends.any(|at| is_line(others, &rest[at..]))
}

/// A command that goes on behind the next ones, with all that it starts.
struct Job {
    command: String,
    child: Child,
    output: PathBuf,
}

impl Job {
    fn signal(&self, signal: &str) {
        let group = format!("-{}", self.child.id());
        let sent = Command::new("kill").args([signal, "--", &group]).output();
        // What has ended already needs no signal.
        drop(sent.unwrap());
    }
}

impl Drop for Job {
    fn drop(&mut self) {
        self.signal("-KILL");
        drop(self.child.wait());
    }
}

/// A reader of a guide, in a folder with the examples.
struct Walk {
    dir: TempDir,
    programs: Vec<Program>,
    /// By their numbers, from 1.
    jobs: Vec<Option<Job>>,
    /// What the guide's ports and addresses are here.
    own: Vec<(&'static str, String)>,
    variables: Vec<(String, String)>,
    /// How long a command is repeated until it prints what it should.
    patience: Duration,
}

impl Walk {
    fn start(ports: &[&'static str]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        super::routes::copied(&root().join("examples"), &dir.path().join("examples"));
        let own = |port: &&'static str| {
            let colon = if port.starts_with(':') { ":" } else { "" };
            // One that reads like a port of the guide would be taken for that.
            let own = std::iter::repeat_with(|| format!("{colon}{}", free_ports()));
            let mut own = own.filter(|own| ports.iter().all(|port| !own.contains(port)));
            (*port, own.next().unwrap())
        };
        Self {
            dir,
            programs: Vec::new(),
            jobs: Vec::new(),
            own: ports.iter().map(own).collect(),
            variables: Vec::new(),
            patience: Duration::ZERO,
        }
    }

    /// For a guide to a cluster, whose reader sees for some seconds how it finds itself. Its addresses are those of
    /// this process alone.
    fn among_hosts(example: &str) -> Self {
        let mut walk = Self::start(&[]);
        let [.., high, low] = std::process::id().to_be_bytes();
        walk.own = vec![(HOSTS, format!("127.{}.{low}.", high.max(1)))];
        walk.patience = LIMIT;
        walk.settle(&walk.dir.path().join("examples").join(example));
        walk
    }

    /// Gives the files of a folder the addresses that are ours.
    fn settle(&self, folder: &Path) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                self.settle(&path);
            } else {
                let text = std::fs::read_to_string(&path).unwrap();
                // Into the same file, which can be run if it could.
                std::fs::write(&path, self.here(&text)).unwrap();
            }
        }
    }

    /// Takes every step; the number of commands that printed what they should.
    #[track_caller]
    fn take(mut self, guide: &str) -> usize {
        let text = std::fs::read_to_string(root().join("docs/guides").join(guide)).unwrap();
        let mut taken = 0;
        for step in steps(&text) {
            match step {
                Step::File(name, text) => {
                    std::fs::write(self.dir.path().join(name), self.here(&text)).unwrap();
                }
                Step::Command(command, expected) => {
                    let expected: Vec<_> = expected.iter().map(|line| self.here(line)).collect();
                    self.run(&self.here(&command), &expected);
                    taken += 1;
                }
            }
        }
        drop(std::mem::take(&mut self.jobs));
        for program in std::mem::take(&mut self.programs) {
            program.stop();
        }
        taken
    }

    fn here(&self, text: &str) -> String {
        let all = self.own.iter();
        all.fold(text.to_owned(), |text, (one, own)| text.replace(one, own))
    }

    #[track_caller]
    fn run(&mut self, command: &str, expected: &[String]) {
        let words: Vec<&str> = command.split(' ').collect();
        match words.as_slice() {
            // The guide's reader takes these from what the program printed.
            ["export", ..] if command.contains(ANYTHING) => {}
            ["export", set, ..] => {
                let (name, _) = set.split_once('=').unwrap();
                let mut shell = self.shell(&format!("{command}; printf %s \"${name}\""));
                let value = String::from_utf8(shell.output().unwrap().stdout).unwrap();
                self.variables.push((name.to_owned(), value));
            }
            [command @ .., "&"] => self.begin(&command.join(" ")),
            ["kill", signal @ .., job] if job.starts_with('%') => {
                let signal = signal.first().copied().unwrap_or("-TERM");
                let number: usize = job.trim_start_matches('%').parse().unwrap();
                let job = self.jobs[number - 1].take();
                job.unwrap().signal(signal);
            }
            ["taraf", "dev", rest @ ..] => {
                let first = free_ports().to_string();
                let words = [&["dev"], rest, &["--ports", &first]].concat();
                self.programs
                    .push(Program::start_in(self.dir.path(), &words, &[]));
            }
            ["taraf", rest @ ..] if rest.first() == Some(&"serve") => {
                let apart = [("TARAF_OPERATOR__LISTEN", "127.0.0.1:0")];
                self.programs
                    .push(Program::start_in(self.dir.path(), rest, &apart));
            }
            _ => self.see(command, expected),
        }
    }

    /// Runs a command until it prints what it should.
    #[track_caller]
    fn see(&self, command: &str, expected: &[String]) {
        let began = Instant::now();
        loop {
            let output = self.shell(command).output().unwrap();
            let printed = String::from_utf8(output.stdout).unwrap();
            let lines: Vec<&str> = printed.lines().collect();
            if output.status.success() && is_printed(expected, &lines) {
                return;
            }
            let wanted = expected.join("\n");
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(
                began.elapsed() < self.patience,
                "$ {command}\n{printed}{said}\n--- the guide:\n{wanted}\n{}",
                self.said()
            );
            std::thread::park_timeout(PAUSE);
        }
    }

    /// Begins a command that goes on.
    fn begin(&mut self, command: &str) {
        let output = self.dir.path().join(format!("job-{}", self.jobs.len() + 1));
        let out = File::create(&output).unwrap();
        let err = out.try_clone().unwrap();
        let mut shell = self.shell(&format!("exec {command}"));
        shell.stdin(Stdio::null()).stdout(out).stderr(err);
        let child = shell.process_group(0).spawn().unwrap();
        self.jobs.push(Some(Job {
            command: command.to_owned(),
            child,
            output,
        }));
    }

    /// What the commands that go on have said.
    fn said(&self) -> String {
        let jobs = self.jobs.iter().flatten();
        let text = |job: &Job| {
            let said = std::fs::read_to_string(&job.output).unwrap_or_default();
            format!("--- {}\n{said}", job.command)
        };
        jobs.map(text).collect()
    }

    /// A command, with the program on the path.
    fn shell(&self, command: &str) -> Command {
        let own = Path::new(env!("CARGO_BIN_EXE_taraf")).parent().unwrap();
        let path = std::env::var_os("PATH").unwrap();
        let all = std::iter::once(own.to_owned()).chain(std::env::split_paths(&path));
        // Where Debian has servers, which not everybody has on the path.
        let all = all.chain([PathBuf::from("/usr/sbin")]);
        let mut shell = Command::new("timeout");
        shell
            .args([COMMAND_LIMIT_S, "bash", "-c", command])
            .current_dir(self.dir.path())
            .env("PATH", std::env::join_paths(all).unwrap())
            .envs(self.variables.iter().map(|(name, value)| (name, value)))
            .env("no_proxy", "*");
        if let Some(program) = self.programs.last() {
            shell.env("GATEWAY", program.text("gateway"));
            for (variable, member) in [("KEY", "api_key"), ("GOSSIP", "gossip")] {
                shell.env(variable, program.ready[member].as_str().unwrap_or_default());
            }
        }
        shell
    }
}

/// What a guide has begun in the background ends with it: its number lies in a file.
impl Drop for Walk {
    fn drop(&mut self) {
        let files = std::fs::read_dir(self.dir.path())
            .into_iter()
            .flatten()
            .flatten();
        for file in files.filter(|file| file.path().extension().is_some_and(|end| end == "pid")) {
            let pids = std::fs::read_to_string(file.path()).unwrap_or_default();
            // It is gone already where the guide ended it.
            drop(Command::new("kill").args(pids.split_whitespace()).output());
        }
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

#[test]
fn the_guide_to_routes_prints_what_is_printed() {
    assert_eq!(Walk::start(&[]).take("gateway.md"), 10);
}

#[test]
fn the_guide_to_connections_prints_what_is_printed() {
    assert_eq!(Walk::start(&[":7443"]).take("gateway-connections.md"), 3);
}

#[test]
fn the_guide_to_protected_services_prints_what_is_printed() {
    assert_eq!(Walk::start(&[]).take("protected-services.md"), 1);
}

#[test]
fn the_guide_to_load_balancing_prints_what_is_printed() {
    assert_eq!(Walk::among_hosts("web").take("load-balancing.md"), 23);
}

#[test]
fn the_guide_to_caches_prints_what_is_printed() {
    assert_eq!(Walk::among_hosts("cache").take("cache-cluster.md"), 16);
}

#[test]
fn the_guide_to_deploys_prints_what_is_printed() {
    assert_eq!(Walk::among_hosts("deploy").take("deploys.md"), 22);
}

#[test]
fn the_guide_to_settings_prints_what_is_printed() {
    assert_eq!(
        Walk::among_hosts("settings").take("spreading-settings.md"),
        11
    );
}

#[test]
fn the_guide_to_discovery_prints_what_is_printed() {
    let ports = ["8081", ":7950", ":7374"];
    assert_eq!(Walk::start(&ports).take("discovery.md"), 16);
}

#[test]
fn the_guide_to_names_prints_what_is_printed() {
    let ports = ["8600", "5353", ":7400", ":7951", ":7374", ":7375"];
    assert_eq!(Walk::start(&ports).take("name-server.md"), 19);
}

#[test]
fn a_guide_is_compared_line_by_line() {
    let guide = "with this `a.toml`:\n\n```toml\nx = 1\n```\n\n```console\n$ one \\\n  two\na…c\n…\nz\n$ three\n```\n";
    let file = Step::File("a.toml".to_owned(), "x = 1\n".to_owned());
    let first = Step::Command(
        "one \\\n  two".to_owned(),
        ["a…c", "…", "z"].map(str::to_owned).into(),
    );
    assert_eq!(
        steps(guide),
        [file, first, Step::Command("three".to_owned(), Vec::new())]
    );
    let check = |expected: &[&str], lines: &[&str], is_so: bool| {
        let expected: Vec<_> = expected.iter().map(|line| (*line).to_owned()).collect();
        assert_eq!(
            is_printed(&expected, lines),
            is_so,
            "{expected:?} {lines:?}"
        );
    };
    check(&["a…c", "…", "z"], &["abc", "z"], true);
    check(&["a…c", "…", "z"], &["ac\r", "x", "y", "z"], true);
    check(&["a…c", "…", "z"], &["abcd", "z"], false);
    check(&["a…c", "…", "z"], &["abc", "z", "more"], false);
    check(&["a…"], &["anything"], true);
    check(&["a"], &[], false);
}
