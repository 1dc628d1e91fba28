//! From the arguments to the command that does them, as `serf` or as a part of `taraf`.

use std::ffi::OsString;
use std::io::Write as _;
use std::process::ExitCode;

use super::command::{Call, Done, Failed, Spec};
use super::{
    agent, event, force_leave, help, info, join, keygen, keys, leave, members, monitor, query,
    reachability, rtt, tags, version,
};

/// The command does not exist.
const UNKNOWN: u8 = 127;

const SPECS: [&Spec; 15] = [
    &agent::SPEC,
    &event::SPEC,
    &force_leave::SPEC,
    &info::SPEC,
    &join::SPEC,
    &keygen::SPEC,
    &keys::SPEC,
    &leave::SPEC,
    &members::SPEC,
    &monitor::SPEC,
    &query::SPEC,
    &reachability::SPEC,
    &rtt::SPEC,
    &tags::SPEC,
    &version::SPEC,
];

/// What stands in front of the command.
struct Line {
    wants_help: bool,
    has_flags: bool,
    command: Option<String>,
    arguments: Vec<String>,
}

/// Runs as `serf`: the arguments are those behind the name of the program.
pub(crate) fn as_serf(arguments: impl Iterator<Item = OsString>) -> ExitCode {
    let mut arguments = texts(arguments);
    let before = arguments.iter().take_while(|argument| *argument != "--");
    if before
        .into_iter()
        .any(|argument| argument == "-v" || argument == "--version")
    {
        arguments.insert(0, "version".to_owned());
    }
    run("serf", &arguments)
}

/// Runs a command of Serf as one of `taraf`, when there is one of this name. The arguments are those behind the
/// name of the program. Of the two commands named `version`, `taraf` keeps its own.
pub(crate) fn as_part_of_taraf(arguments: impl Iterator<Item = OsString>) -> Option<ExitCode> {
    let arguments = texts(arguments);
    let name = arguments.first()?;
    let is_ours = SPECS.iter().any(|spec| spec.name == name) && name != version::SPEC.name;
    is_ours.then(|| run("taraf", &arguments))
}

/// What is no text in them is replaced.
fn texts(arguments: impl Iterator<Item = OsString>) -> Vec<String> {
    let text = |argument: OsString| argument.to_string_lossy().into_owned();
    arguments.map(text).collect()
}

fn run(program: &'static str, arguments: &[String]) -> ExitCode {
    let line = read(arguments);
    let named = line.command.as_deref();
    let spec = SPECS.into_iter().find(|spec| Some(spec.name) == named);
    match spec {
        Some(spec) if line.has_flags => {
            let why = "Invalid flags before the subcommand. If these flags are for\nthe subcommand, please put them after \
                       the subcommand.";
            complain(&format!("{why}\n\n{}", shown_help(spec, program)));
            ExitCode::FAILURE
        }
        Some(spec) if line.wants_help => {
            complain(&shown_help(spec, program));
            ExitCode::SUCCESS
        }
        Some(spec) => call(spec, program, &line.arguments),
        None => {
            complain(&help::of_all(program, SPECS.into_iter()));
            let is_asked = line.wants_help && named.is_none();
            if is_asked {
                ExitCode::SUCCESS
            } else {
                ExitCode::from(UNKNOWN)
            }
        }
    }
}

/// As Serf reads its line: help is asked for anywhere, the command is the first that has no dash.
fn read(arguments: &[String]) -> Line {
    let mut line = Line {
        wants_help: false,
        has_flags: false,
        command: None,
        arguments: Vec::new(),
    };
    for (index, argument) in arguments.iter().enumerate() {
        match argument.as_str() {
            "--" => break,
            "-h" | "-help" | "--help" => line.wants_help = true,
            _ if line.command.is_some() => {}
            flag if flag.starts_with('-') => line.has_flags = true,
            "" => {}
            command => {
                line.command = Some(command.to_owned());
                line.arguments = arguments[index + 1..].to_vec();
            }
        }
    }
    line
}

/// Serf has none for `version`.
fn shown_help(spec: &Spec, program: &str) -> String {
    if spec.about.is_empty() {
        return String::new();
    }
    help::of(spec, program)
}

fn call(spec: &'static Spec, program: &'static str, arguments: &[String]) -> ExitCode {
    let ended = match Call::new(spec, program, arguments) {
        // Commands without flags take no notice of what stands behind them.
        _ if spec.flags.is_empty() => perform_at_once(spec),
        Ok(call) => on_runtime(&call),
        Err(error) => {
            complain(&error.to_string());
            Err(Failed::new(help::of(spec, program)))
        }
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(failed) => {
            if let Some(text) = failed.text() {
                // Nobody is left to tell when the stream is closed.
                drop(super::command::say(text));
            }
            ExitCode::FAILURE
        }
    }
}

fn perform_at_once(spec: &Spec) -> Done {
    if spec.name == keygen::SPEC.name {
        keygen::run()
    } else {
        version::run()
    }
}

fn on_runtime(call: &Call) -> Done {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_all().build();
    let runtime =
        runtime.map_err(|error| Failed::new(format!("failed to start the runtime: {error}")))?;
    let ended = runtime.block_on(Box::pin(perform(call)));
    // What a command left behind (a name that is looked up) must not keep the process.
    runtime.shutdown_background();
    ended
}

async fn perform(call: &Call) -> Done {
    match call.spec.name {
        "agent" => Box::pin(agent::run(call)).await,
        "event" => event::run(call).await,
        "force-leave" => force_leave::run(call).await,
        "info" => info::run(call).await,
        "join" => join::run(call).await,
        "keys" => keys::run(call).await,
        "leave" => leave::run(call).await,
        "members" => members::run(call).await,
        "monitor" => monitor::run(call).await,
        "query" => query::run(call).await,
        "reachability" => reachability::run(call).await,
        "rtt" => rtt::run(call).await,
        "tags" => tags::run(call).await,
        other => Err(Failed::new(format!("no command `{other}`"))),
    }
}

/// On standard error, with a line end.
fn complain(text: &str) {
    let mut err = std::io::stderr().lock();
    // Nobody is left to tell when the stream is closed.
    drop(writeln!(err, "{text}"));
}
