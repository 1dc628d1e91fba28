//! From the arguments to the command that does them, and to the exit code.

use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::process::ExitCode;

use clap::Parser;
use clap::error::ErrorKind;

use super::failure::{Exit, Failure};
use super::output::{Output, OutputArgs};
use super::{
    backup, call, completions, explain, flow, key, repair, restore, run, serf, serve, services,
    start, status, verify, version,
};

/// What a bare `taraf` shows: the six things that people do first.
const FIRST_STEPS: &str = "\
Taraf: many services, one front door, composite services that lose nothing.

  taraf dev                           everything in one process, with the shipped applications
  taraf status                        the server on one screen
  taraf key create --account NAME     an API key for the gateway
  taraf flow check flow.yaml          is this flow sound?
  taraf flow try flow.yaml            run it here and now, no server needed
  taraf start FLOW --wait             run it on the server

`taraf help` shows every command, `taraf COMMAND --help` one with examples.";

const EXIT_CODES: &str = "\
Gossip, with Serf's flags and outputs: agent, event, force-leave, info, join, keygen, keys, leave, members,
monitor, query, reachability, rtt, tags; `taraf members -h` shows one. Through a link named `serf` all are Serf's.

Exit codes: 0 done; 1 the asked thing failed; 2 wrong usage; 3 not found; 4 not allowed; 5 conflict;
6 cannot reach; 7 timed out; 130 interrupted. `taraf flow try` has its own.";

/// Many services, one front door, composite services that lose nothing.
#[derive(Debug, Parser)]
#[command(
    name = "taraf",
    version,
    after_help = EXIT_CODES,
    before_long_help = "Examples:
  taraf dev
  taraf flow try flow.yaml --input '{\"name\":\"Ana\"}'",
    infer_long_args = true
)]
pub(crate) struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    output: OutputArgs,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Everything in one process: the shipped applications, this folder's flows and services.
    Dev(serve::DevArgs),
    /// The production server.
    Serve(serve::ServeArgs),
    /// One shipped service alone in its own process.
    Service(serve::ServiceArgs),
    /// The server on one screen.
    Status(status::Args),
    /// What is offered, by whom and where: list, show, drain.
    Services(services::Args),
    /// API keys: create, list, rotate, revoke, usage.
    Key(key::Args),
    /// Call a service, or a flow and wait for its output.
    Call(call::Args),
    /// Flows: check, try, test, publish, list, show.
    Flow(Box<flow::Args>),
    /// Start a run on the server.
    Start(start::Args),
    /// Runs: list, show, why, watch, cancel, suspend, resume, export.
    Run(run::Args),
    /// Everything the server keeps, in one file, while it works.
    Backup(backup::Args),
    /// Makes a data directory of a backup.
    Restore(restore::Args),
    /// Checks a backup, or a data directory that no server uses.
    Verify(verify::Args),
    /// Gives up the damaged end of a log, when there is no backup.
    Repair(repair::Args),
    /// What a code such as T0312 or `quota_exceeded` means, and what to do.
    Explain(explain::Args),
    /// The script that completes commands in a shell.
    Completions(completions::Args),
    /// Which program this is.
    Version,
}

/// Runs the command line of this process.
pub(crate) fn main() -> ExitCode {
    let mut arguments = std::env::args_os();
    let program = arguments.next().unwrap_or_default();
    if Path::new(&program).file_stem() == Some(OsStr::new("serf")) {
        return serf::as_serf(arguments);
    }
    if let Some(ended) = serf::as_part_of_taraf(std::env::args_os().skip(1)) {
        return ended;
    }
    main_with(std::env::args_os())
}

fn main_with(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(error) => return usage(&error),
    };
    let output = Output::new(&cli.output);
    let Some(command) = cli.command else {
        return end(&output, output.line(FIRST_STEPS).map(|()| Exit::Done));
    };
    let ended = match command {
        // These wait for nothing and need no runtime: an answer within a few milliseconds.
        Command::Version => version::run(&output),
        Command::Completions(args) => completions::run(&args, &output),
        Command::Explain(args) => explain::run(&args, &output),
        Command::Repair(args) => repair::run(&args, &output),
        Command::Restore(args) => restore::run(&args, &output),
        Command::Verify(args) => verify::run(&args, &output),
        waiting => on_runtime(waiting, &output),
    };
    end(&output, ended)
}

fn on_runtime(command: Command, output: &Output) -> Result<Exit, Failure> {
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    let runtime = runtime.enable_all().build().map_err(|error| {
        Failure::new(
            Exit::Failed,
            format!("failed to start the runtime: {error}"),
        )
    })?;
    let ended = runtime.block_on(Box::pin(dispatch(command, output)));
    // What a command left behind (an idle connection) must not keep the process.
    runtime.shutdown_background();
    ended
}

async fn dispatch(command: Command, output: &Output) -> Result<Exit, Failure> {
    // Servers stop in their own order when they are interrupted.
    match command {
        Command::Dev(args) => return Box::pin(serve::dev(args)).await,
        Command::Serve(args) => return Box::pin(serve::serve(args)).await,
        Command::Service(args) => return Box::pin(serve::service(args, output)).await,
        _ => {}
    }
    tokio::select! {
        // Heard before anything is done: an interrupt that comes first must end it as any other.
        biased;
        interrupted = tokio::signal::ctrl_c() => match interrupted {
            Ok(()) => Err(Failure::silent(Exit::Interrupted)),
            Err(error) => Err(Failure::new(Exit::Failed, format!("no signals: {error}"))),
        },
        ended = Box::pin(visit(command, output)) => ended,
    }
}

/// The commands that come, do one thing and go.
async fn visit(command: Command, output: &Output) -> Result<Exit, Failure> {
    match command {
        Command::Status(args) => status::run(args, output).await,
        Command::Backup(args) => backup::run(args, output).await,
        Command::Services(args) => services::run(args, output).await,
        Command::Key(args) => key::run(args, output).await,
        Command::Call(args) => call::run(args, output).await,
        Command::Flow(args) => flow::run(*args, output).await,
        Command::Start(args) => start::run(args, output).await,
        Command::Run(args) => run::run(args, output).await,
        Command::Dev(_)
        | Command::Serve(_)
        | Command::Service(_)
        | Command::Explain(_)
        | Command::Repair(_)
        | Command::Restore(_)
        | Command::Verify(_)
        | Command::Completions(_)
        | Command::Version => Ok(Exit::Done),
    }
}

fn end(output: &Output, ended: Result<Exit, Failure>) -> ExitCode {
    match ended {
        Ok(exit) => exit.into(),
        Err(failure) => {
            output.fail(&failure);
            failure.exit.into()
        }
    }
}

/// Help and version go to stdout with 0; what is wrong goes to stderr with 2.
fn usage(error: &clap::Error) -> ExitCode {
    // Nobody is left to tell when the stream is closed.
    drop(error.print());
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => Exit::Done.into(),
        _ => Exit::Usage.into(),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }

    /// Every command begins its long help with two examples and keeps its short help on a screen.
    #[test]
    fn every_command_shows_examples_first_and_fits_a_screen() {
        const SCREEN_LINES: usize = 40;
        fn visit(command: &mut clap::Command, path: &str) {
            if path != "taraf version" {
                let long = command.render_long_help().to_string();
                assert!(long.starts_with("Examples:\n  "), "{path}: {long}");
                let examples = long
                    .lines()
                    .skip(1)
                    .take_while(|line| line.starts_with("  "));
                assert_eq!(examples.count(), 2, "{path}: {long}");
            }
            let short = command.render_help().to_string();
            assert!(short.lines().count() <= SCREEN_LINES, "{path}: {short}");
            for sub in command.get_subcommands_mut() {
                if sub.get_name() != "help" {
                    let path = format!("{path} {}", sub.get_name());
                    visit(sub, &path);
                }
            }
        }
        let mut command = Cli::command();
        command.build();
        visit(&mut command, "taraf");
    }
}
