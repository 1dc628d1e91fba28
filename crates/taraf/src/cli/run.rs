//! `taraf run …`: runs of the server, found, explained, watched and steered.

use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Value, json};
use taraf_base::Timestamp;

use super::failure::{Exit, Failure};
use super::flow_name::items;
use super::operator::{Call, Operator, ServerArgs, escaped};
use super::output::{Output, pretty};
use super::{run_query, run_view, start};

const PAGE: usize = 100;
/// `run watch` lets the server wait this long before it looks at the steps again.
const WATCH_SLICE: Duration = Duration::from_secs(1);

#[derive(Debug, clap::Args)]
#[command(before_long_help = "Examples:
  taraf run list status=faulted since=24h
  taraf run why run_01K9X4TQ8M3Z6BDW7QF2ZZ5K1A")]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    server: ServerArgs,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Runs, the newest first.
    #[command(before_long_help = "Examples:
  taraf run list status=waiting
  taraf run list flow=company-profile since=1h --format ndjson")]
    List {
        /// `flow=NAME status=faulted since=24h until=TIME owner=NAME`, or text to find.
        query: Vec<String>,
        /// At most this many.
        #[arg(short = 'n', long, default_value_t = 50, value_name = "N")]
        limit: usize,
    },
    /// One run with its steps.
    #[command(before_long_help = "Examples:
  taraf run show RUN_ID
  taraf run show RUN_ID --format json")]
    Show {
        /// The run's id.
        id: String,
    },
    /// One sentence: why the run is where it is.
    #[command(before_long_help = "Examples:
  taraf run why RUN_ID
  taraf run why RUN_ID --format json")]
    Why {
        /// The run's id.
        id: String,
    },
    /// Steps as they happen, until the run ends; then as `start --wait`.
    #[command(before_long_help = "Examples:
  taraf run watch RUN_ID
  taraf run watch RUN_ID --timeout 30s")]
    Watch {
        /// The run's id.
        id: String,
        /// Stop watching after this long; the run goes on.
        #[arg(long, value_name = "DURATION", value_parser = taraf_base::duration::parse)]
        timeout: Option<Duration>,
    },
    /// End a run for good.
    #[command(before_long_help = "Examples:
  taraf run cancel RUN_ID
  taraf run cancel RUN_ID --yes")]
    Cancel {
        /// The run's id.
        id: String,
        /// Do not ask.
        #[arg(short, long)]
        yes: bool,
        /// Say what would be done, do nothing.
        #[arg(long)]
        dry_run: bool,
    },
    /// Let what is in flight end and start nothing new.
    #[command(before_long_help = "Examples:
  taraf run suspend RUN_ID
  taraf run suspend RUN_ID --format json")]
    Suspend {
        /// The run's id.
        id: String,
    },
    /// Let a suspended run go on.
    #[command(before_long_help = "Examples:
  taraf run resume RUN_ID
  taraf run resume RUN_ID --format json")]
    Resume {
        /// The run's id.
        id: String,
    },
    /// The run and all its steps as one JSON document.
    #[command(before_long_help = "Examples:
  taraf run export RUN_ID --to run.json
  taraf run export RUN_ID | jq .journal")]
    Export {
        /// The run's id.
        id: String,
        /// File to write [default: stdout].
        #[arg(long, value_name = "FILE")]
        to: Option<PathBuf>,
    },
}

pub(crate) async fn run(args: Args, output: &Output) -> Result<Exit, Failure> {
    let operator = Operator::find(&args.server)?;
    match args.command {
        Command::List { query, limit } => list(&operator, output, &query, limit).await?,
        Command::Show { id } => show(&operator, output, &id).await?,
        Command::Why { id } => {
            let run = operator.json(Call::get(path(&id, ""))).await?;
            if output.is_structured() {
                let why = json!({ "id": id, "status": run_view::status(&run),
                                  "why": run_view::why(&run) });
                output.one(&why, &run_view::ONE[..3])?;
            } else {
                output.line(&run_view::why(&run))?;
            }
        }
        Command::Watch { id, timeout } => return watch(&operator, output, &id, timeout).await,
        Command::Cancel { id, yes, dry_run } => {
            let question = format!("Cancel {id}? Calls in flight are told to stop.");
            if dry_run {
                let run = operator.json(Call::get(path(&id, ""))).await?;
                output.say(&format!(
                    "would cancel {id}, which is {}",
                    run_view::status(&run)
                ));
                return Ok(Exit::Done);
            }
            output.confirm(yes, &question)?;
            steer(&operator, output, &id, "cancel").await?;
        }
        Command::Suspend { id } => {
            steer(&operator, output, &id, "suspend").await?;
            output.say(&format!("let it go on: taraf run resume {id}"));
        }
        Command::Resume { id } => {
            steer(&operator, output, &id, "resume").await?;
            output.say(&format!("watch it: taraf run watch {id}"));
        }
        Command::Export { id, to } => export(&operator, output, &id, to).await?,
    }
    Ok(Exit::Done)
}

fn path(id: &str, rest: &str) -> String {
    format!("/v1/runs/{}{rest}", escaped(id))
}

async fn list(
    operator: &Operator,
    output: &Output,
    query: &[String],
    limit: usize,
) -> Result<(), Failure> {
    let filter = run_query::parse(query, Timestamp::now()).map_err(Failure::usage)?;
    let selection = selection(operator, &filter).await?;
    let query = query.join(" ");
    let mut runs: Vec<Value> = Vec::new();
    let mut after: Option<String> = None;
    let mut unled = Value::Null;
    while runs.len() < limit {
        let wanted = (limit - runs.len()).min(PAGE);
        let mut path = format!("/v1/runs?limit={wanted}{selection}");
        if let Some(after) = &after {
            path.push_str("&after=");
            path.push_str(&escaped(after));
        }
        let page = operator.json(Call::get(path)).await?;
        after = page.get("next").and_then(Value::as_str).map(str::to_owned);
        unled = page.get("unled").cloned().unwrap_or_default();
        let found = items(page);
        let is_last = found.is_empty() || after.is_none();
        runs.extend(found);
        if is_last {
            break;
        }
    }
    runs.truncate(limit);
    output.list(&runs, &run_view::LIST)?;
    if !unled.is_null() {
        output.say(&format!(
            "runs of the partitions {unled} are missing: the server does not lead them, and `taraf status` says why"
        ));
    }
    if after.is_some() {
        output.say(&format!(
            "there are more than {limit}: --limit N shows more"
        ));
    } else if runs.is_empty() && query.is_empty() {
        output.say("no runs yet; start one: taraf start FLOW");
    } else if runs.is_empty() {
        output.say(&format!("no run matches `{query}`"));
    }
    Ok(())
}

/// The filter as the server's parameters; a flow named without its namespace is looked up.
async fn selection(operator: &Operator, filter: &run_query::Filter) -> Result<String, Failure> {
    let mut text = String::new();
    for (name, value) in &filter.parameters {
        text.extend(["&", name, "=", &escaped(value)]);
    }
    if let Some(flow) = &filter.flow {
        let flow = flow.resolve(operator).await?;
        let mut value = format!("{}/{}", flow.namespace, flow.name);
        if let Some(version) = &flow.version {
            value.extend(["/", version]);
        }
        text.extend(["&flow=", &escaped(&value)]);
    }
    Ok(text)
}

async fn show(operator: &Operator, output: &Output, id: &str) -> Result<(), Failure> {
    let run = operator.json(Call::get(path(id, ""))).await?;
    if output.is_structured() {
        return output.one(&run, &run_view::ONE);
    }
    output.one(&run, &run_view::ONE)?;
    let journal = journal(operator, id, 0).await?;
    if !journal.is_empty() {
        output.line("")?;
        output.list(&journal, &run_view::JOURNAL)?;
    }
    Ok(())
}

/// All entries of a run's journal behind that number, page by page.
async fn journal(operator: &Operator, id: &str, after: u64) -> Result<Vec<Value>, Failure> {
    let mut entries = Vec::new();
    let mut next = Some(after.to_string());
    while let Some(after) = next {
        let query = format!("/journal?after={}", escaped(&after));
        let page = operator.json(Call::get(path(id, &query))).await?;
        next = page["next"].as_str().map(str::to_owned);
        entries.extend(items(page));
    }
    Ok(entries)
}

async fn watch(
    operator: &Operator,
    output: &Output,
    id: &str,
    timeout: Option<Duration>,
) -> Result<Exit, Failure> {
    let started = tokio::time::Instant::now();
    let mut seen = 0;
    loop {
        // The run is asked first: a journal read after the run has ended is complete.
        let left = timeout.map(|limit| limit.saturating_sub(started.elapsed()));
        let slice = left.map_or(WATCH_SLICE, |left| left.min(WATCH_SLICE));
        let run = start::wait_for(operator, id, slice).await?;
        let journal = journal(operator, id, seen).await?;
        for entry in &journal {
            if output.is_structured() {
                output.line(&entry.to_string())?;
            } else {
                output.say(&run_view::step_line(entry));
            }
        }
        let last = journal.last().and_then(|entry| entry["n"].as_u64());
        seen = last.unwrap_or(seen);
        let is_over = left.is_some_and(|left| left.is_zero());
        if run_view::is_final(&run) || is_over {
            return start::finish(output, &run);
        }
    }
}

async fn steer(operator: &Operator, output: &Output, id: &str, verb: &str) -> Result<(), Failure> {
    let call = Call::post(path(id, &format!("/{verb}")));
    let run = operator.json(call).await?;
    if output.is_structured() {
        output.one(&run, &run_view::ONE)
    } else {
        output.line(run_view::status(&run))
    }
}

async fn export(
    operator: &Operator,
    output: &Output,
    id: &str,
    to: Option<PathBuf>,
) -> Result<(), Failure> {
    let run = operator.json(Call::get(path(id, ""))).await?;
    let journal = journal(operator, id, 0).await?;
    let document = pretty(&json!({ "run": run, "journal": journal }));
    let Some(file) = to else {
        return output.line(&document);
    };
    std::fs::write(&file, document + "\n").map_err(|error| {
        Failure::new(
            Exit::Failed,
            format!("failed to write {}: {error}", file.display()),
        )
    })?;
    output.say(&format!("wrote {}", file.display()));
    Ok(())
}
