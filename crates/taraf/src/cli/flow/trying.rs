//! `taraf flow try`: one document, run here and now.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::Value;
use taraf_base::{Secret, Tasks};
use taraf_engine::{Run, Status};

use super::bench::{Bench, Ended, Surroundings};
use super::check;
use super::trace::Trace;
use crate::cli::failure::{Exit, Failure};
use crate::cli::input;
use crate::cli::output::{Output, complain};

#[derive(Debug, clap::Args)]
#[command(
    before_long_help = "Examples:
  taraf flow try flow.yaml --input '{\"cif\":\"38744563\"}'
  taraf flow try flow.yaml --input @order.json --map https://api.example=http://127.0.0.1:9000",
    after_help = "Exit codes: 0 completed; 1 faulted, the problem on stderr; 2 the document or the \
                  call is wrong; 3 cancelled; 7 timed out."
)]
pub(crate) struct Args {
    /// The flow document, YAML or JSON.
    file: PathBuf,
    /// Input of the run: JSON, @FILE, or - for standard input.
    #[arg(short, long, value_name = "JSON|@FILE|-", allow_hyphen_values = true)]
    input: Option<String>,
    /// A secret that the flow may name.
    #[arg(long = "secret", value_name = "NAME=VALUE", value_parser = pair)]
    secrets: Vec<Pair>,
    /// Replace the beginning of outgoing URLs.
    #[arg(long = "map", value_name = "PREFIX=PREFIX", value_parser = url_pair)]
    maps: Vec<Pair>,
    /// Publish a CloudEvent once the flow listens.
    #[arg(long = "event", value_name = "JSON|@FILE")]
    events: Vec<String>,
    /// Write the lifecycle CloudEvents here, one a line.
    #[arg(long, value_name = "FILE")]
    trace: Option<PathBuf>,
    /// Give up after this long.
    #[arg(long, value_name = "DURATION", default_value = "10m",
          value_parser = taraf_base::duration::parse)]
    timeout: Duration,
}

/// `NAME=VALUE`; its `Debug` must not print a secret.
#[derive(Clone)]
pub(crate) struct Pair(String, Secret);

impl std::fmt::Debug for Pair {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}=***", self.0)
    }
}

fn pair(text: &str) -> Result<Pair, String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => {
            Ok(Pair(name.to_owned(), Secret::new(value.to_owned())))
        }
        _ => Err("write it as NAME=VALUE".to_owned()),
    }
}

/// Both sides are URLs; the left one may hold `=` in no place, so the first one divides.
fn url_pair(text: &str) -> Result<Pair, String> {
    let Pair(from, to) = pair(text).map_err(|_no_pair| {
        "write it as PREFIX=PREFIX, such as https://api.example=http://127.0.0.1:9000".to_owned()
    })?;
    for side in [from.as_str(), to.expose()] {
        url::Url::parse(side).map_err(|error| format!("`{side}` is no URL: {error}"))?;
    }
    Ok(Pair(from, to))
}

pub(crate) async fn run(args: Args, output: &Output) -> Result<Exit, Failure> {
    let source = check::read(&args.file)?;
    let (definition, beside) = check::sound(&args.file, &source, Exit::Usage, output)?;
    if !args.events.is_empty() {
        return Err(
            Failure::usage("--event has no effect yet: the task `listen` is not built")
                .with_help("leave --event out; every other kind of task runs"),
        );
    }
    let input = match &args.input {
        Some(given) => Some(input::read("--input", given)?),
        None => None,
    };
    let around = Surroundings {
        secrets: args
            .secrets
            .into_iter()
            .map(|Pair(name, value)| (name, value))
            .collect(),
        rewrites: args
            .maps
            .into_iter()
            .map(|Pair(from, to)| (from, to.expose().clone()))
            .collect(),
        beside,
        is_closed: false,
        skips_waits: false,
    };
    let tasks = Tasks::new();
    let bench = match Bench::start(&definition, around, &tasks).await {
        Ok(bench) => bench,
        Err(error) => return Err(Failure::usage(format!("{error:#}"))),
    };
    let ended = match &args.trace {
        Some(path) => {
            let trace = Trace::open(path, &bench.engine)?;
            trace
                .follow(bench.run(input.as_ref(), args.timeout))
                .await?
        }
        None => bench.run(input.as_ref(), args.timeout).await,
    };
    let ended = ended.map_err(|error| Failure::usage(taraf_base::with_causes(&error)));
    bench.stop().await;
    match ended? {
        Ended::Run(run) => tell(&run, output),
        Ended::TimedOut => Err(Failure::new(
            Exit::TimedOut,
            format!(
                "the run did not end within {}",
                taraf_base::duration::format(args.timeout)
            ),
        )),
    }
}

fn tell(run: &Run, output: &Output) -> Result<Exit, Failure> {
    match run.status {
        Status::Completed => {
            let value = run
                .output
                .as_ref()
                .map_or(Value::Null, taraf_flow::Data::to_json);
            output.document(&value)?;
            Ok(Exit::Done)
        }
        Status::Faulted => {
            let problem = run.error.as_ref().map(serde_json::to_string);
            match problem {
                Some(Ok(problem)) => complain(&problem),
                // The reason is at least told in words.
                Some(Err(_)) | None => complain(&run.why),
            }
            Ok(Exit::Failed)
        }
        // 3, as the interface has it for this command.
        Status::Cancelled => Err(Failure::new(Exit::NotFound, "the run was cancelled")),
        // The bench answers a run that has not ended as given up.
        Status::Pending | Status::Running | Status::Waiting | Status::Suspended => {
            Err(Failure::new(Exit::TimedOut, run.why.clone()))
        }
    }
}

/// Secrets by name, for the cases of flows too.
pub(super) fn secrets(from: &BTreeMap<String, String>) -> BTreeMap<String, Secret> {
    let secret = |(name, value): (&String, &String)| (name.clone(), Secret::new(value.clone()));
    from.iter().map(secret).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pair_keeps_what_follows_the_first_equals_sign() {
        let Pair(name, value) = pair("A=b=c").unwrap();
        assert_eq!((name.as_str(), value.expose().as_str()), ("A", "b=c"));
        for wrong in ["A", "=b", ""] {
            assert!(pair(wrong).is_err(), "{wrong}");
        }
        assert_eq!(format!("{:?}", pair("A=secret").unwrap()), "A=***");
    }

    #[test]
    fn both_sides_of_a_map_are_urls() {
        assert!(url_pair("https://a.example=http://127.0.0.1:1").is_ok());
        for wrong in ["https://a.example", "a=b", "https://a.example=x"] {
            assert!(url_pair(wrong).is_err(), "{wrong}");
        }
    }
}
