//! `taraf flow test`: the cases that lie beside flows, each run against mocked services.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use taraf_base::Tasks;
use taraf_engine::{Beside, Run};
use taraf_flow::{Data, Definition};

use super::bench::{Bench, Ended, Surroundings};
use super::case::{self, Case};
use super::diff::{self, Mode};
use super::mock::Mocks;
use super::{check, trying};
use crate::cli::failure::{Exit, Failure};
use crate::cli::input;
use crate::cli::output::Output;
use crate::cli::table::{Column, state};

const CASE_LIMIT: Duration = Duration::from_secs(30);
const STOP_LIMIT: Duration = Duration::from_secs(2);
const FOLDER_DEPTH_MAX: usize = 16;
/// Folders that never hold flows of a project.
const SKIPPED: [&str; 3] = ["target", "node_modules", "cases"];
const COLUMNS: [Column; 5] = [
    Column::state("result", "result"),
    Column::text("flow", "flow"),
    Column::text("case", "case"),
    Column::number("ms", "ms"),
    Column::text("file", "file"),
];

#[derive(Debug, clap::Args)]
#[command(before_long_help = "Examples:
  taraf flow test flows
  taraf flow test apps --only missing --format json")]
pub(crate) struct Args {
    /// Folders that are searched for flows with a folder `cases` beside them.
    #[arg(required = true, value_name = "DIR")]
    dirs: Vec<PathBuf>,
    /// Only cases whose name or file contains this.
    #[arg(long, value_name = "TEXT")]
    only: Option<String>,
}

/// A flow and the files of its cases.
struct Suite {
    flow: PathBuf,
    cases: Vec<PathBuf>,
}

/// How a case went: no complaint means that it passed.
struct Outcome {
    flow: String,
    case: String,
    file: PathBuf,
    complaints: Vec<String>,
    took: Duration,
}

pub(crate) async fn run(args: Args, output: &Output) -> Result<Exit, Failure> {
    let mut suites = Vec::new();
    for dir in &args.dirs {
        find(dir, 0, &mut suites)?;
    }
    suites.sort_by(|a, b| a.flow.cmp(&b.flow));
    let mut outcomes = Vec::new();
    for suite in &suites {
        for file in &suite.cases {
            let case = read_case(file);
            if !is_wanted(args.only.as_deref(), file, case.as_ref().ok()) {
                continue;
            }
            let outcome = run_case(&suite.flow, file, case).await;
            if !output.is_structured() {
                tell(&outcome, output)?;
            }
            outcomes.push(outcome);
        }
    }
    summarise(&outcomes, output)
}

fn is_wanted(only: Option<&str>, file: &Path, case: Option<&Case>) -> bool {
    let Some(text) = only else { return true };
    let is_named = case.is_some_and(|case| case.name.contains(text));
    is_named || file.to_string_lossy().contains(text)
}

fn summarise(outcomes: &[Outcome], output: &Output) -> Result<Exit, Failure> {
    if outcomes.is_empty() {
        return Err(Failure::new(Exit::Failed, "no cases were found")
            .with_help("a case is a file cases/NAME.yaml beside flow.yaml"));
    }
    let failed = outcomes
        .iter()
        .filter(|outcome| !outcome.has_passed())
        .count();
    let passed = outcomes.len() - failed;
    if output.is_structured() {
        let items: Vec<Value> = outcomes.iter().map(Outcome::to_json).collect();
        output.list(&items, &COLUMNS)?;
    } else {
        output.line(&format!("{passed} passed, {failed} failed"))?;
    }
    Ok(if failed == 0 {
        Exit::Done
    } else {
        Exit::Failed
    })
}

// === impl Outcome ===

impl Outcome {
    fn has_passed(&self) -> bool {
        self.complaints.is_empty()
    }

    fn word(&self) -> &'static str {
        if self.has_passed() {
            "passed"
        } else {
            "failed"
        }
    }

    fn to_json(&self) -> Value {
        json!({
            "result": self.word(),
            "flow": self.flow,
            "case": self.case,
            "ms": u64::try_from(self.took.as_millis()).unwrap_or(u64::MAX),
            "file": self.file.display().to_string(),
            "complaints": self.complaints,
        })
    }
}

fn tell(outcome: &Outcome, output: &Output) -> Result<(), Failure> {
    let word = state(outcome.word(), &output.style);
    output.line(&format!("{word}  {}: {}", outcome.flow, outcome.case))?;
    if !outcome.has_passed() {
        output.line(&format!("    {}", outcome.file.display()))?;
    }
    for complaint in &outcome.complaints {
        output.line(&format!("    {complaint}"))?;
    }
    Ok(())
}

async fn run_case(flow: &Path, file: &Path, case: Result<Case, String>) -> Outcome {
    let started = Instant::now();
    let mut outcome = Outcome {
        flow: folder_name(flow),
        case: folder_name(file),
        file: file.to_owned(),
        complaints: Vec::new(),
        took: Duration::ZERO,
    };
    match case {
        Err(complaint) => outcome.complaints.push(complaint),
        Ok(case) => {
            outcome.case.clone_from(&case.name);
            outcome.complaints = match judge(flow, &case).await {
                Ok(complaints) => complaints,
                Err(error) => vec![format!("{error:#}")],
            };
        }
    }
    outcome.took = started.elapsed();
    outcome
}

/// Runs the flow with the case around it, and compares.
async fn judge(flow: &Path, case: &Case) -> anyhow::Result<Vec<String>> {
    let (definition, beside) = match load(flow) {
        Ok(loaded) => loaded,
        Err(findings) => return Ok(findings),
    };
    let tasks = Tasks::new();
    let mocks = Mocks::start(&case.mocks, &tasks).await?;
    let around = Surroundings {
        secrets: trying::secrets(&case.secrets),
        rewrites: mocks.rewrites().collect(),
        beside,
        is_closed: true,
        skips_waits: true,
    };
    let bench = Bench::start(&definition, around, &tasks).await?;
    let limit = case.timeout.unwrap_or(CASE_LIMIT);
    let ended = bench.run(case.input.as_ref(), limit).await?;
    bench.stop().await;
    let mut complaints = match ended {
        Ended::Run(run) => compare(case, &run),
        Ended::TimedOut => {
            let limit = taraf_base::duration::format(limit);
            vec![format!("the run did not end within {limit}")]
        }
    };
    complaints.extend(mocks.complaints(case.expect.calls.as_ref()));
    // The listeners hold nothing that must end in order.
    drop(tasks.drain(STOP_LIMIT).await);
    Ok(complaints)
}

fn compare(case: &Case, run: &Run) -> Vec<String> {
    let expect = &case.expect;
    let mut complaints = Vec::new();
    let status = run.status.as_str();
    if status != expect.status {
        let why = &run.why;
        complaints.push(format!(
            "status: expected {}, is {status}: {why}",
            expect.status
        ));
        if let Some(error) = &run.error {
            complaints.push(format!("error: {}", as_json(error)));
        }
    }
    let output = run.output.as_ref().map_or(Value::Null, Data::to_json);
    let under = |name: &'static str| move |line: String| format!("{name}{line}");
    if let Some(expected) = &expect.output {
        let lines = diff::compare(expected, &output, Mode::Equal);
        complaints.extend(lines.into_iter().map(under("output")));
    }
    if let Some(expected) = &expect.contains {
        let lines = diff::compare(expected, &output, Mode::Contains);
        complaints.extend(lines.into_iter().map(under("output")));
    }
    if let Some(expected) = &expect.error {
        let error = run.error.as_ref().map_or(Value::Null, as_json);
        let lines = diff::compare(expected, &error, Mode::Contains);
        complaints.extend(lines.into_iter().map(under("error")));
    }
    complaints
}

fn as_json(error: &taraf_flow::FlowError) -> Value {
    serde_json::to_value(error).unwrap_or(Value::Null)
}

fn load(flow: &Path) -> Result<(Arc<Definition>, Beside), Vec<String>> {
    let source = check::read(flow).map_err(|failure| vec![failure.to_string()])?;
    let (report, beside) = check::report(flow, &source);
    let lines = || {
        report
            .findings
            .iter()
            .map(|finding| check::line(flow, finding))
            .collect()
    };
    match report.definition.clone() {
        Some(definition) => Ok((definition, beside)),
        None => Err(lines()),
    }
}

fn read_case(file: &Path) -> Result<Case, String> {
    let text = check::read(file).map_err(|failure| failure.to_string())?;
    let value = input::parse_yaml(&text, &file.display().to_string());
    case::read(value.map_err(|failure| failure.to_string())?)
}

/// Finds flows that have cases, under a folder or in it.
fn find(dir: &Path, depth: usize, suites: &mut Vec<Suite>) -> Result<(), Failure> {
    let failed = |error: std::io::Error| {
        Failure::usage(format!("failed to read {}: {error}", dir.display()))
    };
    let mut folders = Vec::new();
    for entry in std::fs::read_dir(dir).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let is_folder = entry.file_type().map_err(failed)?.is_dir();
        if is_folder && !name.starts_with('.') && !SKIPPED.contains(&name.as_str()) {
            folders.push(entry.path());
        }
    }
    let cases = dir.join("cases");
    let flow = ["flow.yaml", "flow.yml", "flow.json"]
        .iter()
        .map(|name| dir.join(name))
        .find(|file| file.is_file());
    if let Some(flow) = flow
        && cases.is_dir()
    {
        let cases = case_files(&cases).map_err(failed)?;
        suites.push(Suite { flow, cases });
    }
    if depth == FOLDER_DEPTH_MAX {
        return Ok(());
    }
    folders
        .iter()
        .try_for_each(|folder| find(folder, depth + 1, suites))
}

fn case_files(dir: &Path) -> std::io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(dir)? {
        let path = entry?.path();
        let extension = path.extension().and_then(|extension| extension.to_str());
        if matches!(extension, Some("yaml" | "yml" | "json")) {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// A flow is told by its folder, a case that cannot be read by its file.
fn folder_name(file: &Path) -> String {
    let is_flow = file.file_stem().is_some_and(|stem| stem == "flow");
    let name = if is_flow {
        file.parent().and_then(Path::file_name)
    } else {
        file.file_stem()
    };
    name.map_or_else(
        || file.display().to_string(),
        |name| name.to_string_lossy().into_owned(),
    )
}
