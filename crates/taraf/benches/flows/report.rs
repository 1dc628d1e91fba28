//! The figures as tables: each server's, the ratios, and the aims.

use std::fmt::Write as _;
use std::time::Duration;

use crate::load::Sample;
use crate::{IN_FLIGHT, MOST, Work};

/// Who runs the flows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Contender {
    Ours,
    /// Restate as it comes, with 24 partitions.
    Restate,
    /// Restate with as many partitions as suit a small machine.
    Restate4,
}

impl Contender {
    pub(crate) const ALL: [Self; 3] = [Self::Ours, Self::Restate, Self::Restate4];

    const fn title(self) -> &'static str {
        match self {
            Self::Ours => "Taraf",
            Self::Restate => "Restate, defaults",
            Self::Restate4 => "Restate, 4 partitions",
        }
    }
}

/// Everything that was measured.
#[derive(Default)]
pub(crate) struct Results {
    cells: Vec<Cell>,
    /// Bytes of each process before the first run, and after each time of the most runs in flight.
    pub(crate) idle: Vec<(Contender, Vec<u64>)>,
    pub(crate) loaded: Vec<(Contender, Vec<u64>)>,
    pub(crate) syncs: Vec<(Contender, Work, f64)>,
}

/// One server, one kind of run, one depth: all rounds.
struct Cell {
    who: Contender,
    work: Work,
    in_flight: usize,
    rates: Vec<f64>,
    latencies: Vec<Duration>,
    cpu: Duration,
}

impl Cell {
    fn rate(&self) -> f64 {
        mean(&self.rates)
    }

    /// The latency that so many hundredths of the runs stay below.
    fn percentile(&self, hundredths: usize) -> Duration {
        let index = self.latencies.len() * hundredths / 100;
        self.latencies[index.min(self.latencies.len() - 1)]
    }

    /// Computing time of a run.
    fn cpu(&self) -> Duration {
        self.cpu / u32::try_from(self.latencies.len()).unwrap()
    }
}

impl Results {
    pub(crate) fn take(
        &mut self,
        who: Contender,
        work: Work,
        in_flight: usize,
        sample: Sample,
        cpu: Duration,
    ) {
        let is_same = |cell: &Cell| (cell.who, cell.work, cell.in_flight) == (who, work, in_flight);
        let index = self.cells.iter().position(is_same).unwrap_or_else(|| {
            self.cells.push(Cell {
                who,
                work,
                in_flight,
                rates: Vec::new(),
                latencies: Vec::new(),
                cpu: Duration::ZERO,
            });
            self.cells.len() - 1
        });
        let cell = &mut self.cells[index];
        cell.rates.push(sample.rate());
        cell.latencies.extend(sample.latencies);
        cell.latencies.sort_unstable();
        cell.cpu += cpu;
    }

    fn cell(&self, who: Contender, work: Work, in_flight: usize) -> Option<&Cell> {
        let mut cells = self.cells.iter();
        cells.find(|cell| (cell.who, cell.work, cell.in_flight) == (who, work, in_flight))
    }

    /// Ours over the peer's: of all rounds, and of the worst and the best one.
    fn ratio(&self, peer: Contender, work: Work, in_flight: usize) -> Option<(f64, f64, f64)> {
        let ours = self.cell(Contender::Ours, work, in_flight)?;
        let theirs = self.cell(peer, work, in_flight)?;
        let each = ours.rates.iter().zip(&theirs.rates);
        let mut each: Vec<f64> = each.map(|(ours, theirs)| ours / theirs).collect();
        each.sort_by(f64::total_cmp);
        Some((ours.rate() / theirs.rate(), *each.first()?, *each.last()?))
    }

    fn syncs(&self, who: Contender, work: Work) -> Option<f64> {
        let mut all = self.syncs.iter();
        Some(all.find(|(of, kind, _)| (*of, *kind) == (who, work))?.2)
    }

    /// All processes together at their largest, in MB.
    fn memory(all: &[(Contender, Vec<u64>)], who: Contender) -> Option<(f64, f64)> {
        let of = all.iter().filter(|(of, _)| *of == who);
        of.map(|(_, bytes)| {
            (
                megabytes(bytes[0]),
                bytes.iter().copied().map(megabytes).sum(),
            )
        })
        .max_by(|one: &(f64, f64), other| one.1.total_cmp(&other.1))
    }
}

/// Prints the tables, or leaves them where `cargo xtask bench` wants them.
pub(crate) fn finish(results: &Results, rounds: u32, time: Duration) {
    let mut text = format!(
        "{rounds} alternating rounds of {:.1} s for each figure; p50 and p99 from the request to the answer that holds \
         the output.\n",
        time.as_secs_f64()
    );
    for work in Work::ALL {
        write!(text, "\n{}\n", throughput(results, work)).unwrap();
    }
    write!(text, "\n{}\n{}", costs(results), aims(results)).unwrap();
    match std::env::var_os("TARAF_REPORT") {
        Some(file) => std::fs::write(file, text).unwrap(),
        None => println!("\n{text}"),
    }
}

fn throughput(results: &Results, work: Work) -> String {
    let what = match work {
        Work::Five => "Five steps",
        Work::Three => "Three calls",
    };
    let mut table = format!(
        "| {what}, in flight | server | runs/s | p50 | p99 | CPU a run | Taraf is (worst to best round) |\n\
         |---|---|---|---|---|---|---|\n"
    );
    for in_flight in IN_FLIGHT {
        for who in Contender::ALL {
            let Some(cell) = results.cell(who, work, in_flight) else {
                continue;
            };
            let ratio = results
                .ratio(who, work, in_flight)
                .filter(|_| who != Contender::Ours);
            let ratio = ratio.map_or(String::new(), |(all, worst, best)| {
                format!("{all:.1} times as fast ({worst:.1} to {best:.1})")
            });
            writeln!(
                table,
                "| {in_flight} | {} | {:.0} | {} | {} | {} | {ratio} |",
                who.title(),
                cell.rate(),
                shown(cell.percentile(50)),
                shown(cell.percentile(99)),
                shown(cell.cpu()),
            )
            .unwrap();
        }
    }
    table
}

fn costs(results: &Results) -> String {
    let mut table = "| server | memory idle | memory loaded | syncs a run of five steps, 256 in flight | of three calls |\n\
         |---|---|---|---|---|\n"
        .to_owned();
    for who in Contender::ALL {
        let Some((idle, idle_all)) = Results::memory(&results.idle, who) else {
            continue;
        };
        let (loaded, loaded_all) = Results::memory(&results.loaded, who).unwrap_or_default();
        let memory = |own: f64, all: f64| match who {
            Contender::Ours => format!("{own:.0} MB"),
            Contender::Restate | Contender::Restate4 => {
                format!("{own:.0} MB, with Node {all:.0} MB")
            }
        };
        let syncs = |work| {
            results
                .syncs(who, work)
                .map_or(String::new(), |count| format!("{count:.3}"))
        };
        writeln!(
            table,
            "| {} | {} | {} | {} | {} |",
            who.title(),
            memory(idle, idle_all),
            memory(loaded, loaded_all),
            syncs(Work::Five),
            syncs(Work::Three),
        )
        .unwrap();
    }
    table
}

/// What was aimed at, what was measured, and whether it is reached.
fn aims(results: &Results) -> String {
    let mut table = "| aim | measured | reached |\n|---|---|---|\n".to_owned();
    let mut row = |aim: &str, found: Option<f64>, is_met: &dyn Fn(f64) -> bool, unit: &str| {
        if let Some(found) = found {
            let met = if is_met(found) { "yes" } else { "no" };
            writeln!(table, "| {aim} | {found:.2}{unit} | {met} |").unwrap();
        }
    };
    let names = [(Work::Five, "five steps"), (Work::Three, "three calls")];
    let peers = [
        (Contender::Restate, "Restate's defaults", [10.0, 8.0]),
        (Contender::Restate4, "Restate's 4 partitions", [6.0, 5.0]),
    ];
    for (peer, title, aims) in peers {
        for ((work, name), aim) in names.into_iter().zip(aims) {
            let found = results.ratio(peer, work, MOST).map(|(all, _, _)| all);
            let text = format!("{name}, 256 in flight: at least {aim} times {title}");
            row(&text, found, &|found| found >= aim, "");
        }
    }
    for (work, name) in names {
        let p50 = |who| Some(results.cell(who, work, 1)?.percentile(50).as_secs_f64());
        let found = p50(Contender::Ours).zip(p50(Contender::Restate));
        let text = format!("{name}, 1 in flight: p50 at most a fifth of Restate's (0.2)");
        row(
            &text,
            found.map(|(ours, theirs)| ours / theirs),
            &|found| found <= 0.2,
            "",
        );
    }
    for (work, name) in names {
        let text = format!("{name}, 256 in flight: at most 0.5 syncs a run");
        row(
            &text,
            results.syncs(Contender::Ours, work),
            &|found| found <= 0.5,
            "",
        );
    }
    for (all, name, aim) in [
        (&results.idle, "idle", 40.0),
        (&results.loaded, "loaded", 150.0),
    ] {
        let found = Results::memory(all, Contender::Ours).map(|(own, _)| own);
        row(
            &format!("memory {name}: at most {aim} MB"),
            found,
            &|found| found <= aim,
            " MB",
        );
    }
    table
}

fn mean(all: &[f64]) -> f64 {
    all.iter().sum::<f64>() / f64::from(u32::try_from(all.len()).unwrap())
}

fn megabytes(bytes: u64) -> f64 {
    f64::from(u32::try_from(bytes >> 10).unwrap()) * 1_024.0 / 1e6
}

/// Microseconds below ten milliseconds, milliseconds above.
fn shown(time: Duration) -> String {
    if time < Duration::from_millis(10) {
        format!("{} µs", time.as_micros())
    } else {
        format!("{} ms", time.as_millis())
    }
}
