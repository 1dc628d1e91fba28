//! `taraf service companies import`: the trade register's open data, with a bar that shows how far.

use std::io::{self, IsTerminal as _, Write as _};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::json;
use taraf_romania::register::{Import, ImportError, Imported, Progress, Step, import};

use super::failure::{Exit, Failure};
use super::output::Output;
use crate::config::Config;

/// Faults that are shown; the rest is counted.
const FAULTS_SHOWN: usize = 10;
/// Between two pictures of the bar, and off a terminal between two lines.
const BAR_INTERVAL: Duration = Duration::from_millis(100);
const LINE_INTERVAL: Duration = Duration::from_secs(10);
const BAR_WIDTH: u64 = 30;

#[derive(Debug, clap::Args)]
#[command(
    before_long_help = "Examples:
  taraf service companies import --from open-data/
  taraf service companies --data /var/lib/taraf import --from open-data/",
    after_help = "The folder holds od_firme.csv and od_stare_firma.csv as the trade register \
                  publishes them; od_caen_autorizat.csv, n_stare_firma.csv and n_caen.csv are \
                  taken too where they are. An import that was stopped goes on where it was."
)]
pub(crate) struct Args {
    /// The folder with the published files.
    #[arg(long, value_name = "DIR")]
    from: PathBuf,
    /// Take a register that has a tenth fewer firms than the present one.
    #[arg(long)]
    accept_fewer: bool,
}

pub(crate) async fn run(
    service: &str,
    data: Option<PathBuf>,
    args: Args,
    output: &Output,
) -> Result<Exit, Failure> {
    if service != "companies" {
        return Err(Failure::usage(format!("`{service}` has nothing to import"))
            .with_help("taraf service companies import --from DIR"));
    }
    if !args.from.is_dir() {
        let from = args.from.display();
        return Err(Failure::usage(format!("{from} is not a folder")));
    }
    let what = Import {
        from: args.from,
        folder: folder(data)?,
        accept_fewer: args.accept_fewer,
    };
    let quiet = output.is_quiet();
    // An interrupted process leaves the thread behind, as a kill does: the next one goes on.
    let importing = tokio::task::spawn_blocking(move || {
        let mut picture = Picture::new(quiet);
        let imported = import(&what, &mut |progress| picture.show(progress));
        picture.end();
        imported
    });
    let imported = tokio::select! {
        imported = importing => imported,
        interrupted = tokio::signal::ctrl_c() => {
            interrupted?;
            output.say("\nstopped; the same command goes on from here");
            return Err(Failure::silent(Exit::Interrupted));
        }
    };
    let imported = imported.map_err(|error| Failure::new(Exit::Failed, error.to_string()))?;
    let imported = imported.map_err(|error| failure(&error))?;
    tell(&imported, output)?;
    Ok(Exit::Done)
}

/// The folder of the service, as a server that was started here would have it.
fn folder(data: Option<PathBuf>) -> Result<PathBuf, Failure> {
    let file = Path::new(crate::apps::CONFIG_FILE);
    let config = if file.exists() {
        Config::load(file, std::env::vars())
    } else {
        Config::from_environment(std::env::vars())
    };
    let config = config.map_err(|error| Failure::usage(error.to_string()))?;
    let data = data.or_else(|| config.data.dir.clone());
    let data = data.unwrap_or_else(|| PathBuf::from(crate::dev::DATA));
    let config = config.placed(Some(&data));
    let none = || Failure::usage("there is no data directory");
    config.apps.romania.folder.ok_or_else(none)
}

fn failure(error: &ImportError) -> Failure {
    let exit = match error {
        ImportError::Missing { .. } => Exit::NotFound,
        ImportError::Busy(_) | ImportError::Fewer { .. } => Exit::Conflict,
        _ => Exit::Failed,
    };
    let message = format!("not imported: {}", taraf_base::with_causes(error));
    let help = match error {
        ImportError::Missing { .. } => "take the files from the open data portal",
        ImportError::Fewer { .. } => {
            "compare the files with their published sizes; if they are whole, pass --accept-fewer"
        }
        _ => "the register that was there before is still in use",
    };
    Failure::new(exit, message).with_help(help)
}

/// What became of the rows: data on standard output, faults beside it.
fn tell(imported: &Imported, output: &Output) -> Result<(), Failure> {
    let tally = &imported.tally;
    for fault in tally.faults.iter().take(FAULTS_SHOWN) {
        output.say(&format!("{}:{}: {}", fault.file, fault.line, fault.reason));
    }
    let faulty = tally.broken + tally.repeated + tally.broken_elsewhere;
    if tally.faults.len() > FAULTS_SHOWN {
        output.say(&format!(
            "{faulty} rows were left out as faulty; `-o json` names the first {}",
            tally.faults.len()
        ));
    }
    if output.is_structured() {
        let told = serde_json::to_value(imported).unwrap_or_else(|_impossible| json!({}));
        return output.document(&told);
    }
    output.line(&format!(
        "{} firms of {} rows are in {}",
        grouped(tally.kept),
        grouped(tally.rows),
        imported.file.display()
    ))?;
    output.line(&format!(
        "left out: {} natural persons, {} without a usable fiscal code, {} broken, {} repeated, \
         {} superseded",
        grouped(tally.persons),
        grouped(tally.without_code),
        grouped(tally.broken),
        grouped(tally.repeated),
        grouped(tally.superseded)
    ))
}

/// Shows progress: a bar in its place on a terminal, a line now and then elsewhere.
struct Picture {
    kind: Kind,
    step: Option<Step>,
    /// When the step began, and what it had done then: it may go on from the middle.
    began: (Instant, u64),
    shown: Instant,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Quiet,
    Bar,
    Lines,
}

impl Picture {
    fn new(is_quiet: bool) -> Self {
        let now = Instant::now();
        let kind = match (is_quiet, io::stderr().is_terminal()) {
            (true, _) => Kind::Quiet,
            (false, true) => Kind::Bar,
            (false, false) => Kind::Lines,
        };
        Self {
            kind,
            step: None,
            began: (now, 0),
            shown: now,
        }
    }

    fn show(&mut self, progress: &Progress) -> ControlFlow<()> {
        let now = Instant::now();
        if self.step != Some(progress.step) {
            self.end();
            self.step = Some(progress.step);
            self.began = (now, progress.done);
            self.shown = now;
            self.draw(progress, None);
        }
        let interval = match self.kind {
            Kind::Quiet => return ControlFlow::Continue(()),
            Kind::Bar => BAR_INTERVAL,
            Kind::Lines => LINE_INTERVAL,
        };
        if now.duration_since(self.shown) >= interval || progress.done == progress.total {
            self.shown = now;
            let (began, before) = self.began;
            self.draw(progress, left(now.duration_since(began), before, progress));
        }
        ControlFlow::Continue(())
    }

    fn draw(&self, progress: &Progress, left: Option<Duration>) {
        let line = line(progress, left, self.kind == Kind::Bar);
        let mut err = io::stderr().lock();
        // When nobody can see it, there is nobody to tell.
        drop(match self.kind {
            Kind::Quiet => Ok(()),
            Kind::Bar => write!(err, "\r{line}\x1b[K").and_then(|()| err.flush()),
            Kind::Lines => writeln!(err, "{line}"),
        });
    }

    /// The bar of a step stays above the next one.
    fn end(&self) {
        if self.kind == Kind::Bar && self.step.is_some() {
            drop(writeln!(io::stderr().lock()));
        }
    }
}

/// What is left of a step, at the pace so far.
fn left(passed: Duration, before: u64, progress: &Progress) -> Option<Duration> {
    let done = u32::try_from((progress.done.checked_sub(before)?) >> 10).ok()?;
    let rest = u32::try_from((progress.total - progress.done) >> 10).ok()?;
    passed.checked_mul(rest)?.checked_div(done)
}

fn line(progress: &Progress, left: Option<Duration>, has_bar: bool) -> String {
    let (number, what) = match progress.step {
        Step::States => (1, "states"),
        Step::Activities => (2, "activities"),
        Step::Firms => (3, "firms"),
        Step::Join => (4, "joining"),
        Step::Write => (5, "sorting"),
        Step::Index => (6, "indexing"),
    };
    let share = |of: u64| u128::from(progress.done) * u128::from(of) / u128::from(progress.total);
    let bar = if has_bar {
        let full = usize::try_from(share(BAR_WIDTH)).unwrap_or(0);
        let width = usize::try_from(BAR_WIDTH).unwrap_or(0);
        format!("[{:<width$}] ", "#".repeat(full))
    } else {
        String::new()
    };
    let left = left.map_or_else(String::new, |left| format!(", {} s left", left.as_secs()));
    format!(
        "{number}/{} {what:<10} {bar}{:>3} %, {} rows{left}",
        Step::ALL.len(),
        share(100),
        grouped(progress.records)
    )
}

/// Digits in groups of three.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(done: u64, total: u64) -> Progress {
        Progress {
            step: Step::Firms,
            done,
            total,
            records: 1_234_567,
        }
    }

    #[test]
    fn numbers_are_grouped() {
        for (number, text) in [
            (0, "0"),
            (999, "999"),
            (1_000, "1,000"),
            (1_234_567, "1,234,567"),
        ] {
            assert_eq!(grouped(number), text);
        }
    }

    #[test]
    fn a_line_says_how_far_it_is() {
        assert_eq!(
            line(&at(1, 2), None, false),
            "3/6 firms       50 %, 1,234,567 rows"
        );
        let bar = line(&at(2, 2), Some(Duration::from_secs(7)), true);
        assert!(
            bar.contains(&format!("[{}] 100 %", "#".repeat(30))) && bar.ends_with(", 7 s left")
        );
        assert!(line(&at(0, 9), None, true).contains(&format!("[{}]   0 %", " ".repeat(30))));
    }

    #[test]
    fn what_is_left_follows_from_the_pace_since_this_attempt_began() {
        let second = Duration::from_secs(1);
        assert_eq!(left(second, 0, &at(1 << 20, 3 << 20)), Some(second * 2));
        assert_eq!(left(second, 1 << 20, &at(2 << 20, 3 << 20)), Some(second));
        assert_eq!(left(second, 0, &at(0, 100)), None);
    }
}
