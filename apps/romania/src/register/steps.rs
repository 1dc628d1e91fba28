//! The steps of an import, from published rows to a register file.
//!
//! Three steps read a file each and sort its rows by registration number; while they read, every
//! run that is written is a place to go on from. The others merge what is sorted; one that was
//! stopped begins anew.

use std::fs::File;
use std::io::{self, BufReader, Seek as _, SeekFrom};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::build::{Finder, Parts, Records, name_words};
use super::firm::Firm;
use super::format::{Contents, MAX_FIRMS};
use super::import::ImportError;
use super::journal::Journal;
use super::lines::{Line, Lines};
use super::rows::{CodeColumns, FirmColumns, Header, HeaderError, NameColumns, Row};
use super::sort::{Merge, Sorter, remove_runs};
use super::tally::Tally;

const READ_BUFFER: usize = 256 << 10;
/// Records between two reports.
const REPORT_EACH: u64 = 8_192;
/// Codes of one firm that are kept, of each sort: the most active firms have some hundreds.
const MAX_CODES: usize = 2_000;
/// Meanings of codes that are read: the lists have some 1,900.
const MAX_MEANINGS: u64 = 20_000;

/// What an import does now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Step {
    /// Reads the states of firms.
    #[default]
    States,
    /// Reads the activities of firms.
    Activities,
    /// Reads the firms.
    Firms,
    /// Joins the three.
    Join,
    /// Writes the firms in the order of their names.
    Write,
    /// Writes what finds them.
    Index,
}

impl Step {
    /// All of them, in their order.
    pub const ALL: [Self; 6] = [
        Self::States,
        Self::Activities,
        Self::Firms,
        Self::Join,
        Self::Write,
        Self::Index,
    ];
}

/// How far a step has come, in bytes of its file or in records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Which one.
    pub step: Step,
    /// So much of it.
    pub done: u64,
    /// Of so much; at least 1.
    pub total: u64,
    /// Rows or records that it has passed.
    pub records: u64,
}

/// The published files in a folder.
#[derive(Clone, Debug)]
pub(super) struct Sources {
    pub(super) firms: PathBuf,
    pub(super) states: PathBuf,
    pub(super) activities: Option<PathBuf>,
    pub(super) state_names: Option<PathBuf>,
    pub(super) activity_names: Option<PathBuf>,
}

impl Sources {
    pub(super) fn all(&self) -> Vec<&Path> {
        let must = [&self.firms, &self.states].into_iter();
        let may = [&self.activities, &self.state_names, &self.activity_names];
        must.chain(may.into_iter().flatten())
            .map(PathBuf::as_path)
            .collect()
    }
}

/// What hears of progress, and may stop the import.
pub(super) type Report<'a> = &'a mut dyn FnMut(&Progress) -> ControlFlow<()>;

/// An import under way.
pub(super) struct Work<'a> {
    pub(super) folder: &'a Path,
    pub(super) sources: &'a Sources,
    pub(super) journal: Journal,
    /// Bytes that a sorter gathers before it writes them.
    pub(super) budget: usize,
    pub(super) report: Report<'a>,
}

/// Names of the sorters.
const STATES: &str = "states";
const ACTIVITIES: &str = "activities";
const FIRMS: &str = "firms";
const NAMES: &str = "names";
const CODES: &str = "codes";
const TERMS: &str = "terms";

impl Work<'_> {
    /// Does the step that comes next; false when the file is whole.
    pub(super) fn step(
        &mut self,
        complete: impl FnOnce(&mut Contents),
    ) -> Result<bool, ImportError> {
        match self.journal.step {
            Step::States => self.states()?,
            Step::Activities => self.activities()?,
            Step::Firms => self.firms()?,
            Step::Join => self.join()?,
            Step::Write => self.write()?,
            Step::Index => {
                self.index(complete)?;
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn states(&mut self) -> Result<(), ImportError> {
        self.journal.meanings.states = match &self.sources.state_names {
            None => Vec::new(),
            Some(path) => meanings(path, NameColumns::states)?
                .into_iter()
                .map(|(code, _, name)| (code, name))
                .collect(),
        };
        let path = self.sources.states.clone();
        let from = Source {
            sorter: STATES,
            path: &path,
            columns: CodeColumns::states,
        };
        self.read(&from, code_row)?;
        Ok(self.journal.advance(self.folder, Step::Activities)?)
    }

    fn activities(&mut self) -> Result<(), ImportError> {
        self.journal.meanings.activities = match &self.sources.activity_names {
            None => Vec::new(),
            Some(path) => meanings(path, NameColumns::activities)?,
        };
        if let Some(path) = self.sources.activities.clone() {
            let from = Source {
                sorter: ACTIVITIES,
                path: &path,
                columns: CodeColumns::activities,
            };
            self.read(&from, code_row)?;
        }
        Ok(self.journal.advance(self.folder, Step::Firms)?)
    }

    fn firms(&mut self) -> Result<(), ImportError> {
        let path = self.sources.firms.clone();
        let from = Source {
            sorter: FIRMS,
            path: &path,
            columns: FirmColumns::find,
        };
        self.read(&from, firm_row)?;
        Ok(self.journal.advance(self.folder, Step::Join)?)
    }

    /// Reads a file's rows into a sorter, from where the journal says.
    fn read<C>(&mut self, source: &Source<'_, C>, row: ReadRow<C>) -> Result<(), ImportError> {
        let begun = self.journal.place;
        let (columns, mut lines) = open(source.path, source.columns, begun)?;
        let total = std::fs::metadata(source.path)?.len().max(1);
        let runs = self.journal.runs_of(source.sorter);
        let mut sorter = Sorter::new(self.folder, source.sorter, runs, self.budget);
        let file = file_name(source.path);
        loop {
            let number = lines.place().line + 1;
            let Some(line) = lines.next()? else { break };
            let tally = &mut self.journal.tally;
            let is_durable = row(
                &columns,
                line,
                At {
                    file: &file,
                    number,
                },
                tally,
                &mut sorter,
            )?;
            if is_durable {
                self.journal.place = lines.place();
                self.journal
                    .runs
                    .insert(source.sorter.to_owned(), sorter.runs().to_vec());
                self.journal.save(self.folder)?;
            }
            if is_durable || number % REPORT_EACH == 0 {
                let place = lines.place();
                self.tell(place.offset, total, place.line)?;
            }
        }
        sorter.spill()?;
        self.journal
            .runs
            .insert(source.sorter.to_owned(), sorter.runs().to_vec());
        let place = lines.place();
        self.tell(total, total, place.line)
    }

    fn sorted(&self, sorter: &'static str) -> io::Result<Merge> {
        Sorter::new(
            self.folder,
            sorter,
            self.journal.runs_of(sorter),
            self.budget,
        )
        .finish()
    }

    /// A sorter without runs, whatever an attempt at this step left.
    fn fresh(&self, sorter: &'static str) -> io::Result<Sorter> {
        remove_runs(self.folder, sorter)?;
        Ok(Sorter::new(self.folder, sorter, Vec::new(), self.budget))
    }

    /// Gives firms their states and activities, by registration number, and sorts them by name.
    fn join(&mut self) -> Result<(), ImportError> {
        let (mut states, mut activities) = (self.sorted(STATES)?, self.sorted(ACTIVITIES)?);
        let mut firms = self.sorted(FIRMS)?;
        let mut names = self.fresh(NAMES)?;
        let mut tally = self.journal.tally.clone();
        let file = file_name(&self.sources.firms);
        let (total, mut passed) = (tally.rows.max(1), 0);
        let mut before: Option<Vec<u8>> = None;
        states.next()?;
        activities.next()?;
        while let Some((number, value)) = firms.next()? {
            passed += 1;
            let (line, record) = value.split_first_chunk::<8>().ok_or_else(damaged)?;
            if before.as_deref() == Some(number) {
                tally.repeated += 1;
                let line = u64::from_be_bytes(*line);
                tally.fault(&file, line, "the registration number was there before");
            } else {
                let mut firm = Firm::from_bytes(record).ok_or_else(damaged)?;
                each_code(&mut states, number, |code, _| firm.states.push(code))?;
                each_code(&mut activities, number, |code, version| {
                    firm.activities
                        .extend(u16::try_from(code).ok().map(|code| (code, version)));
                })?;
                firm.states.sort_unstable();
                firm.states.dedup();
                firm.activities.sort_unstable();
                firm.activities.dedup();
                firm.states.truncate(MAX_CODES);
                firm.activities.truncate(MAX_CODES);
                names.push(&name_key(&firm), &firm.to_bytes())?;
                before = Some(number.to_vec());
            }
            if passed % REPORT_EACH == 0 {
                tell(self.report, Step::Join, passed, total)?;
            }
        }
        tell(self.report, Step::Join, passed, passed)?;
        names.spill()?;
        self.journal.tally = tally;
        self.journal
            .runs
            .insert(NAMES.to_owned(), names.runs().to_vec());
        self.journal.advance(self.folder, Step::Write)?;
        for sorter in [STATES, ACTIVITIES, FIRMS] {
            remove_runs(self.folder, sorter)?;
        }
        Ok(())
    }

    fn write(&mut self) -> Result<(), ImportError> {
        let mut names = self.sorted(NAMES)?;
        let (mut codes, mut terms) = (self.fresh(CODES)?, self.fresh(TERMS)?);
        let mut records = Records::create(&Parts::new(self.folder))?;
        let (total, mut passed) = (self.journal.tally.rows.max(1), 0);
        while let Some((_, record)) = names.next()? {
            let firm = Firm::from_bytes(record).ok_or_else(damaged)?;
            records.add(record, &firm, &mut codes, &mut terms)?;
            passed += 1;
            if passed >= u64::from(MAX_FIRMS) {
                return Err(ImportError::TooMany);
            }
            if passed % REPORT_EACH == 0 {
                tell(self.report, Step::Write, passed, total)?;
            }
        }
        tell(self.report, Step::Write, passed, passed)?;
        (self.journal.firms, self.journal.records_end) = records.finish()?;
        for (name, mut sorter) in [(CODES, codes), (TERMS, terms)] {
            sorter.spill()?;
            self.journal
                .runs
                .insert(name.to_owned(), sorter.runs().to_vec());
        }
        self.journal.advance(self.folder, Step::Index)?;
        Ok(remove_runs(self.folder, NAMES)?)
    }

    fn index(&mut self, complete: impl FnOnce(&mut Contents)) -> Result<(), ImportError> {
        let parts = Parts::new(self.folder);
        let (firms, records_end) = (self.journal.firms, self.journal.records_end);
        let mut finder = Finder::open(&parts, firms, records_end)?;
        let superseded = finder.codes(&parts, &mut self.sorted(CODES)?)?;
        // Some four words a name: good enough to show how far it is.
        let total = u64::from(firms).saturating_mul(4).max(1);
        let mut terms = self.sorted(TERMS)?;
        let report = &mut *self.report;
        let (mut is_stopped, mut words) = (false, 0);
        let written = finder.words(&parts, &mut terms, |done| {
            words = done;
            tell(report, Step::Index, done, total).map_err(|_stopped| {
                is_stopped = true;
                io::Error::other("stopped")
            })
        });
        if is_stopped {
            return Err(ImportError::Stopped);
        }
        written?;
        tell(report, Step::Index, words, words)?;
        let tally = &mut self.journal.tally;
        tally.superseded = superseded;
        tally.kept = u64::from(firms) - superseded;
        Ok(finder.finish(|contents| {
            contents.meanings = self.journal.meanings.clone();
            contents.tally = self.journal.tally.clone();
            complete(contents);
        })?)
    }

    fn tell(&mut self, done: u64, total: u64, records: u64) -> Result<(), ImportError> {
        let progress = Progress {
            step: self.journal.step,
            done: done.min(total),
            total,
            records,
        };
        match (self.report)(&progress) {
            ControlFlow::Continue(()) => Ok(()),
            ControlFlow::Break(()) => Err(ImportError::Stopped),
        }
    }
}

/// A file that is read into a sorter.
struct Source<'a, C> {
    sorter: &'static str,
    path: &'a Path,
    columns: fn(Header) -> Result<C, HeaderError>,
}

/// Where a row stands.
#[derive(Clone, Copy)]
struct At<'a> {
    file: &'a str,
    number: u64,
}

/// Counts a row and puts it into the sorter; true when that made all so far durable.
type ReadRow<C> = fn(&C, Line<'_>, At<'_>, &mut Tally, &mut Sorter) -> io::Result<bool>;

fn tell(report: Report<'_>, step: Step, done: u64, total: u64) -> Result<(), ImportError> {
    let total = total.max(done).max(1);
    let progress = Progress {
        step,
        done,
        total,
        records: done,
    };
    match report(&progress) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(()) => Err(ImportError::Stopped),
    }
}

fn damaged() -> io::Error {
    io::Error::other("a sorted run is damaged")
}

fn file_name(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default();
    name.to_string_lossy().into_owned()
}

/// Opens a file at a place, behind its header at least, and finds its columns.
fn open<C>(
    path: &Path,
    columns: fn(Header) -> Result<C, HeaderError>,
    place: super::lines::Place,
) -> Result<(C, Lines<BufReader<File>>), ImportError> {
    let refused = |source| ImportError::Header {
        file: path.to_owned(),
        source,
    };
    let input = BufReader::with_capacity(READ_BUFFER, File::open(path)?);
    let mut lines = Lines::new(input, super::lines::Place::default());
    let header = match lines.next()? {
        Some(Line::Text(line)) => Header::parse(line).map_err(refused)?,
        _ => return Err(refused(HeaderError::None)),
    };
    let columns = columns(header).map_err(refused)?;
    if place.offset == 0 {
        return Ok((columns, lines));
    }
    let mut file = File::open(path)?;
    file.seek(SeekFrom::Start(place.offset))?;
    let input = BufReader::with_capacity(READ_BUFFER, file);
    Ok((columns, Lines::new(input, place)))
}

fn meanings(
    path: &Path,
    columns: fn(Header) -> Result<NameColumns, HeaderError>,
) -> Result<Vec<(u32, u8, String)>, ImportError> {
    let (columns, mut lines) = open(path, columns, super::lines::Place::default())?;
    let mut all = Vec::new();
    while let Some(line) = lines.next()? {
        if let Line::Text(line) = line {
            all.extend(columns.read(line));
        }
        if lines.place().line > MAX_MEANINGS {
            break;
        }
    }
    Ok(all)
}

fn code_row(
    columns: &CodeColumns,
    line: Line<'_>,
    at: At<'_>,
    tally: &mut Tally,
    sorter: &mut Sorter,
) -> io::Result<bool> {
    let text = match line {
        Line::Text(text) => Some(text),
        Line::NotText | Line::TooLong => None,
    };
    let Some((number, code, version)) = text.and_then(|text| columns.read(text)) else {
        tally.broken_elsewhere += 1;
        tally.fault(at.file, at.number, "not a registration number and a code");
        return Ok(false);
    };
    let [a, b, c, d] = code.to_be_bytes();
    sorter.push(number.as_bytes(), &[a, b, c, d, version])
}

fn firm_row(
    columns: &FirmColumns,
    line: Line<'_>,
    at: At<'_>,
    tally: &mut Tally,
    sorter: &mut Sorter,
) -> io::Result<bool> {
    tally.rows += 1;
    let row = match line {
        Line::Text(text) => columns.read(text),
        Line::NotText => Row::Broken("not UTF-8"),
        Line::TooLong => Row::Broken("the line is too long"),
    };
    match row {
        Row::Firm(firm) => {
            let mut value = at.number.to_be_bytes().to_vec();
            value.extend(firm.to_bytes());
            return sorter.push(firm.number.as_bytes(), &value);
        }
        Row::Person => tally.persons += 1,
        Row::NoCode(reason) => {
            tally.without_code += 1;
            // That many have none is how they are published, not a fault.
            if reason != super::rows::NO_CODE {
                tally.fault(at.file, at.number, reason);
            }
        }
        Row::Broken(reason) => {
            tally.broken += 1;
            tally.fault(at.file, at.number, reason);
        }
    }
    Ok(false)
}

/// Hands on the codes of a firm; those of numbers before it belong to none.
fn each_code(
    codes: &mut Merge,
    number: &[u8],
    mut found: impl FnMut(u32, u8),
) -> Result<(), ImportError> {
    while let Some((owner, value)) = codes.current() {
        match owner.cmp(number) {
            std::cmp::Ordering::Greater => break,
            std::cmp::Ordering::Less => {}
            std::cmp::Ordering::Equal => {
                let [a, b, c, d, version] = value.try_into().map_err(|_other_length| damaged())?;
                found(u32::from_be_bytes([a, b, c, d]), version);
            }
        }
        codes.next()?;
    }
    Ok(())
}

/// Firms are ordered by the words of their names, then by code.
fn name_key(firm: &Firm) -> Vec<u8> {
    let mut key = name_words(&firm.name).join(" ").into_bytes();
    key.push(0);
    key.extend(firm.cui.to_be_bytes());
    key
}
