//! The figures as tables: each cluster's, the ratio, and the aims.

use std::fmt::Write as _;

/// Whose agents a cluster has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Who {
    Ours,
    Serf,
    /// Ours and Serf's in turn.
    Mixed,
}

impl Who {
    pub(crate) const fn program(self, number: usize) -> &'static str {
        match self {
            Self::Mixed if number % 2 == 1 => "serf",
            Self::Ours | Self::Mixed => env!("CARGO_BIN_EXE_taraf"),
            Self::Serf => "serf",
        }
    }

    pub(crate) const fn title(self) -> &'static str {
        match self {
            Self::Ours => "Taraf",
            Self::Serf => "Serf",
            Self::Mixed => "half and half",
        }
    }
}

/// What is measured, one value for each time that it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Measure {
    Start,
    Joined,
    Processor,
    Memory,
    Share,
    Anonymous,
    Bytes,
    Packets,
    EventLast,
    EventPackets,
    QueryLast,
    QueryMissing,
    Calls,
    KilledFirst,
    KilledLast,
    FrozenFirst,
    FrozenLast,
    FalseFailures,
    Twice,
    CalmLost,
    CalmLate,
    CalmSlowest,
    LossyLost,
    LossyLate,
    LossySlowest,
}

/// A row: what it is called, which of its values counts (a hundredth of them below it), how it is shown.
struct Row {
    title: &'static str,
    measure: Measure,
    hundredths: usize,
    unit: &'static str,
    digits: usize,
}

const fn row(title: &'static str, measure: Measure, unit: &'static str, digits: usize) -> Row {
    Row {
        title,
        measure,
        hundredths: 50,
        unit,
        digits,
    }
}

const WORST: usize = 100;

const ROWS: [Row; 27] = [
    row("start to answer", Measure::Start, " ms", 1),
    row(
        "all join one at once, until all see all",
        Measure::Joined,
        " s",
        2,
    ),
    row("idle, processor", Measure::Processor, " % of a core", 3),
    row("memory", Measure::Memory, " MiB", 1),
    row(
        "the same, each page divided by those that share it",
        Measure::Share,
        " MiB",
        1,
    ),
    row("of it not pages of files", Measure::Anonymous, " MiB", 1),
    row("idle, traffic", Measure::Bytes, " B/s", 0),
    row("idle, packets", Measure::Packets, "/s", 1),
    row("event to the last agent, p50", Measure::EventLast, " ms", 1),
    Row {
        title: "event to the last agent, p99",
        measure: Measure::EventLast,
        hundredths: 99,
        unit: " ms",
        digits: 1,
    },
    row(
        "event, packets of each agent, its listener's too",
        Measure::EventPackets,
        "",
        1,
    ),
    row(
        "query to the last answer, p50",
        Measure::QueryLast,
        " ms",
        1,
    ),
    Row {
        title: "query to the last answer, p99",
        measure: Measure::QueryLast,
        hundredths: 99,
        unit: " ms",
        digits: 1,
    },
    row(
        "answers missing, of ten queries",
        Measure::QueryMissing,
        "",
        0,
    ),
    row(
        "calls of `members` a second, one client",
        Measure::Calls,
        "",
        0,
    ),
    row(
        "`kill -9` to the first verdict",
        Measure::KilledFirst,
        " s",
        2,
    ),
    row(
        "`kill -9` to the last verdict",
        Measure::KilledLast,
        " s",
        2,
    ),
    row(
        "frozen process to the first verdict",
        Measure::FrozenFirst,
        " s",
        2,
    ),
    row(
        "frozen process to the last verdict",
        Measure::FrozenLast,
        " s",
        2,
    ),
    row("events: deliveries lost", Measure::CalmLost, "", 0),
    row(
        "events: deliveries later than 1 s",
        Measure::CalmLate,
        "",
        0,
    ),
    row("events: the slowest", Measure::CalmSlowest, " ms", 0),
    row(
        "events at 10 % loss: deliveries lost",
        Measure::LossyLost,
        "",
        0,
    ),
    row(
        "events at 10 % loss: later than 1 s",
        Measure::LossyLate,
        "",
        0,
    ),
    row(
        "events at 10 % loss: the slowest",
        Measure::LossySlowest,
        " ms",
        0,
    ),
    Row {
        title: "events: deliveries more than once",
        measure: Measure::Twice,
        hundredths: WORST,
        unit: "",
        digits: 0,
    },
    Row {
        title: "healthy members called failed, some frozen in turns",
        measure: Measure::FalseFailures,
        hundredths: WORST,
        unit: "",
        digits: 0,
    },
];

/// What is aimed at: of which row, by its measure and hundredth, at most how much.
const AIMS: [(&str, Measure, usize, f64); 16] = [
    ("memory at most 6 MiB", Measure::Memory, 50, 6.0),
    (
        "the same, each page divided by those that share it",
        Measure::Share,
        50,
        6.0,
    ),
    (
        "of it not pages of files, at most 6 MiB",
        Measure::Anonymous,
        50,
        6.0,
    ),
    ("idle at most 0.1 % of a core", Measure::Processor, 50, 0.1),
    ("start to answer within 10 ms", Measure::Start, 50, 10.0),
    ("joins at once within 3 s", Measure::Joined, 50, 3.0),
    (
        "event to the last, p50 at most 10 ms",
        Measure::EventLast,
        50,
        10.0,
    ),
    (
        "event to the last, p99 at most 50 ms",
        Measure::EventLast,
        99,
        50.0,
    ),
    (
        "death known to all within 1 s",
        Measure::KilledLast,
        50,
        1.0,
    ),
    (
        "frozen process known within 4 s",
        Measure::FrozenLast,
        50,
        4.0,
    ),
    (
        "no healthy member called failed",
        Measure::FalseFailures,
        WORST,
        0.0,
    ),
    ("no event told twice", Measure::Twice, WORST, 0.0),
    ("no event lost", Measure::CalmLost, WORST, 0.0),
    ("no event later than 1 s", Measure::CalmLate, WORST, 0.0),
    ("no event lost at 10 % loss", Measure::LossyLost, WORST, 0.0),
    (
        "no event later than 1 s at 10 % loss",
        Measure::LossyLate,
        WORST,
        0.0,
    ),
];

/// Everything that was measured; what did not happen in its time is infinite.
#[derive(Default)]
pub(crate) struct Results(Vec<(usize, Who, Measure, f64)>);

impl Results {
    pub(crate) fn take(&mut self, size: usize, who: Who, measure: Measure, value: f64) {
        self.0.push((size, who, measure, value));
    }

    fn value(&self, size: usize, who: Who, measure: Measure, hundredths: usize) -> Option<f64> {
        let all = self.0.iter();
        let same = all.filter(|(a, b, c, _)| (*a, *b, *c) == (size, who, measure));
        let mut values: Vec<f64> = same.map(|(.., value)| *value).collect();
        values.sort_by(f64::total_cmp);
        let index = (values.len() * hundredths / 100).min(values.len().checked_sub(1)?);
        Some(values[index])
    }

    /// What of a cluster is known, line by line, for those who wait.
    pub(crate) fn said(&self, size: usize, who: Who) -> String {
        let cell = |row: &Row| {
            let value = self.value(size, who, row.measure, row.hundredths)?;
            Some(format!("  {:<54} {}\n", row.title, shown(row, value)))
        };
        ROWS.iter().filter_map(cell).collect()
    }

    fn has(&self, size: usize, who: Who) -> bool {
        self.0.iter().any(|(a, b, ..)| (*a, *b) == (size, who))
    }
}

fn shown(row: &Row, value: f64) -> String {
    if value.is_finite() {
        format!("{value:.*}{}", row.digits, row.unit)
    } else {
        "not in time".to_owned()
    }
}

/// How many times one value is the other, where both are something.
fn times(one: f64, other: f64) -> String {
    if one.is_finite() && other.is_finite() && other > 0.0 {
        format!("{:.2}", one / other)
    } else {
        String::new()
    }
}

/// All tables, for those who read Markdown.
pub(crate) fn tables(results: &Results, sizes: &[usize]) -> String {
    let mut text = String::new();
    for size in sizes {
        writeln!(text, "{}", table(results, *size)).unwrap();
    }
    text + &aims(results, sizes)
}

fn table(results: &Results, size: usize) -> String {
    let has_mixed = results.has(size, Who::Mixed);
    let mut columns = vec![Who::Ours, Who::Serf];
    let mut text = format!("| {size} agents | Taraf | Serf | Taraf / Serf |");
    if has_mixed {
        columns.push(Who::Mixed);
        text.push_str(" half and half | / Serf |");
    }
    text.push_str("\n|---|---|---|---|");
    text.push_str(if has_mixed { "---|---|\n" } else { "\n" });
    for row in &ROWS {
        let value = |who| results.value(size, who, row.measure, row.hundredths);
        if columns.iter().all(|who| value(*who).is_none()) {
            continue;
        }
        let cell = |who| value(who).map_or(String::new(), |value| shown(row, value));
        let ratio = |who| {
            let both = value(who).zip(value(Who::Serf));
            both.map_or(String::new(), |(one, other)| times(one, other))
        };
        let (ours, serf) = (cell(Who::Ours), cell(Who::Serf));
        write!(
            text,
            "| {} | {ours} | {serf} | {} |",
            row.title,
            ratio(Who::Ours)
        )
        .unwrap();
        if has_mixed {
            write!(text, " {} | {} |", cell(Who::Mixed), ratio(Who::Mixed)).unwrap();
        }
        text.push('\n');
    }
    text
}

/// What was aimed at, what was measured at each size, and whether it is reached at all of them.
fn aims(results: &Results, sizes: &[usize]) -> String {
    let mut text = "| aim |".to_owned();
    for size in sizes {
        write!(text, " {size} |").unwrap();
    }
    text.push_str(" reached |\n|---|");
    text.push_str(&"---|".repeat(sizes.len() + 1));
    text.push('\n');
    for (title, measure, hundredths, most) in AIMS {
        let row = ROWS.iter();
        let mut row = row.filter(|row| row.measure == measure && row.hundredths == hundredths);
        let row = row
            .next()
            .or_else(|| ROWS.iter().find(|row| row.measure == measure));
        let row = row.unwrap();
        let values = sizes.iter();
        let values = values.map(|size| results.value(*size, Who::Ours, measure, hundredths));
        let values: Vec<_> = values.collect();
        let cells = values.iter();
        let cells: Vec<_> = cells
            .map(|value| value.map_or(String::new(), |it| shown(row, it)))
            .collect();
        let known: Vec<f64> = values.into_iter().flatten().collect();
        let word = match known.as_slice() {
            [] => "not measured",
            all if all.iter().all(|value| *value <= most) => "yes",
            _ => "no",
        };
        writeln!(text, "| {title} | {} | {word} |", cells.join(" | ")).unwrap();
    }
    text
}
