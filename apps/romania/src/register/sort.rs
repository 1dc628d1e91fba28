//! Sorting more records than memory holds: sorted runs on disk, merged when they are read.

use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::collections::binary_heap::PeekMut;
use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

/// Records and their places that are gathered before they are written as a run.
pub(super) const BUDGET: usize = 24 << 20;
/// Runs that are read at once; more are merged into fewer first.
const FAN_IN: usize = 64;
/// Of each run that is read.
const READ_BUFFER: usize = 64 << 10;
const WRITE_BUFFER: usize = 256 << 10;
/// Longest key or value: a line of a published file and what is added to it.
const MAX_PART: usize = 64 << 10;

/// Gathers records with keys. Equal keys keep the order in which they came.
#[derive(Debug)]
pub(super) struct Sorter {
    folder: PathBuf,
    name: &'static str,
    budget: usize,
    bytes: Vec<u8>,
    places: Vec<Entry>,
    runs: Vec<u32>,
    next: u32,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    start: usize,
    key: u32,
    value: u32,
}

impl Sorter {
    /// A sorter whose runs lie in `folder`; `runs` are those that an earlier attempt wrote. A run is
    /// written when `budget` bytes are gathered.
    pub(super) fn new(folder: &Path, name: &'static str, runs: Vec<u32>, budget: usize) -> Self {
        Self {
            folder: folder.to_owned(),
            name,
            budget,
            bytes: Vec::new(),
            places: Vec::new(),
            next: runs.iter().max().map_or(0, |last| last + 1),
            runs,
        }
    }

    /// Adds a record. True when a run was written: everything so far is durable.
    pub(super) fn push(&mut self, key: &[u8], value: &[u8]) -> io::Result<bool> {
        let length = |part: &[u8]| {
            let fits = u32::try_from(part.len()).ok();
            let fits = fits.filter(|_| part.len() <= MAX_PART);
            fits.ok_or_else(|| io::Error::other("a record is too long to be sorted"))
        };
        self.places.push(Entry {
            start: self.bytes.len(),
            key: length(key)?,
            value: length(value)?,
        });
        self.bytes.extend_from_slice(key);
        self.bytes.extend_from_slice(value);
        let held = self.bytes.len() + self.places.len() * size_of::<Entry>();
        if held < self.budget {
            return Ok(false);
        }
        self.spill()?;
        Ok(true)
    }

    /// The runs that are written.
    pub(super) fn runs(&self) -> &[u32] {
        &self.runs
    }

    /// Writes what is gathered as a run.
    pub(super) fn spill(&mut self) -> io::Result<()> {
        if self.places.is_empty() {
            return Ok(());
        }
        let bytes = &self.bytes;
        let part = |start: usize, length: u32| {
            let length = usize::try_from(length).unwrap_or(usize::MAX);
            bytes.get(start..start + length).unwrap_or_default()
        };
        self.places.sort_unstable_by(|one, other| {
            let keys = part(one.start, one.key).cmp(part(other.start, other.key));
            keys.then(one.start.cmp(&other.start))
        });
        let mut run = RunWriter::create(&run_path(&self.folder, self.name, self.next))?;
        for entry in &self.places {
            let both = part(entry.start, entry.key + entry.value);
            let (key, value) = both.split_at(part(entry.start, entry.key).len());
            run.write(key, value)?;
        }
        run.finish()?;
        self.runs.push(self.next);
        self.next += 1;
        self.bytes.clear();
        self.places.clear();
        Ok(())
    }

    /// Everything in order.
    pub(super) fn finish(mut self) -> io::Result<Merge> {
        self.spill()?;
        self.bytes = Vec::new();
        self.places = Vec::new();
        while self.runs.len() > FAN_IN {
            // The first ones, and their merge in their place, so that equal keys keep their order.
            let first: Vec<u32> = self.runs.drain(..FAN_IN).collect();
            let mut merge = self.merge(&first)?;
            let mut run = RunWriter::create(&run_path(&self.folder, self.name, self.next))?;
            while let Some((key, value)) = merge.next()? {
                run.write(key, value)?;
            }
            run.finish()?;
            self.runs.insert(0, self.next);
            self.next += 1;
        }
        self.merge(&self.runs)
    }

    fn merge(&self, runs: &[u32]) -> io::Result<Merge> {
        let mut heads = BinaryHeap::new();
        for (order, run) in runs.iter().enumerate() {
            let file = File::open(run_path(&self.folder, self.name, *run))?;
            let mut head = Head {
                key: Vec::new(),
                value: Vec::new(),
                order,
                input: BufReader::with_capacity(READ_BUFFER, file),
            };
            if head.advance()? {
                heads.push(head);
            }
        }
        Ok(Merge {
            heads,
            is_begun: false,
        })
    }
}

/// Removes the runs of a sorter, whichever there are.
pub(super) fn remove_runs(folder: &Path, name: &str) -> io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        let is_run = path.file_stem().is_some_and(|stem| stem == name)
            && path
                .extension()
                .is_some_and(|end| end.to_string_lossy().parse::<u32>().is_ok());
        if is_run {
            std::fs::remove_file(path)?;
        }
    }
    Ok(())
}

fn run_path(folder: &Path, name: &str, run: u32) -> PathBuf {
    folder.join(format!("{name}.{run}"))
}

/// Writes records, each with the lengths of its parts before it, and an end mark.
struct RunWriter {
    output: BufWriter<File>,
}

/// A length that no part has.
const END: u32 = u32::MAX;

impl RunWriter {
    fn create(path: &Path) -> io::Result<Self> {
        let output = BufWriter::with_capacity(WRITE_BUFFER, File::create(path)?);
        Ok(Self { output })
    }

    fn write(&mut self, key: &[u8], value: &[u8]) -> io::Result<()> {
        for part in [key, value] {
            let length = u32::try_from(part.len()).map_err(io::Error::other)?;
            self.output.write_all(&length.to_le_bytes())?;
        }
        self.output.write_all(key)?;
        self.output.write_all(value)
    }

    fn finish(mut self) -> io::Result<()> {
        self.output.write_all(&END.to_le_bytes())?;
        let file = self
            .output
            .into_inner()
            .map_err(io::IntoInnerError::into_error)?;
        file.sync_data()
    }
}

/// The record of one run that comes next.
struct Head {
    key: Vec<u8>,
    value: Vec<u8>,
    order: usize,
    input: BufReader<File>,
}

impl Head {
    /// Reads the next record; false at the end.
    fn advance(&mut self) -> io::Result<bool> {
        let key = self.length()?;
        if key == END {
            return Ok(false);
        }
        let value = self.length()?;
        fill(&mut self.input, &mut self.key, key)?;
        fill(&mut self.input, &mut self.value, value)?;
        Ok(true)
    }

    fn length(&mut self) -> io::Result<u32> {
        let mut bytes = [0; 4];
        self.input.read_exact(&mut bytes)?;
        Ok(u32::from_le_bytes(bytes))
    }
}

fn fill(input: &mut impl Read, part: &mut Vec<u8>, length: u32) -> io::Result<()> {
    let length = usize::try_from(length).unwrap_or(usize::MAX);
    if length > MAX_PART {
        return Err(io::Error::other("a sorted run is damaged"));
    }
    part.resize(length, 0);
    input.read_exact(part)
}

impl PartialEq for Head {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Head {}

impl PartialOrd for Head {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// The least is the greatest, as the heap wants it.
impl Ord for Head {
    fn cmp(&self, other: &Self) -> Ordering {
        let keys = other.key.cmp(&self.key);
        keys.then(other.order.cmp(&self.order))
    }
}

/// Records in the order of their keys.
pub(super) struct Merge {
    heads: BinaryHeap<Head>,
    is_begun: bool,
}

impl Merge {
    /// The next record.
    pub(super) fn next(&mut self) -> io::Result<Option<(&[u8], &[u8])>> {
        if self.is_begun
            && let Some(mut head) = self.heads.peek_mut()
            && !head.advance()?
        {
            PeekMut::pop(head);
        }
        self.is_begun = true;
        let head = self.heads.peek();
        Ok(head.map(|head| (head.key.as_slice(), head.value.as_slice())))
    }

    /// The record that [`Merge::next`] answered last.
    pub(super) fn current(&self) -> Option<(&[u8], &[u8])> {
        let head = self.heads.peek().filter(|_| self.is_begun)?;
        Some((head.key.as_slice(), head.value.as_slice()))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sorted(records: &[(Vec<u8>, Vec<u8>)], budget: usize) -> Vec<(Vec<u8>, Vec<u8>)> {
        let folder = tempfile::tempdir().unwrap();
        let mut sorter = Sorter::new(folder.path(), "test", Vec::new(), budget);
        for (key, value) in records {
            sorter.push(key, value).unwrap();
        }
        let mut merge = sorter.finish().unwrap();
        let mut all = Vec::new();
        while let Some((key, value)) = merge.next().unwrap() {
            all.push((key.to_vec(), value.to_vec()));
        }
        remove_runs(folder.path(), "test").unwrap();
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
        all
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(30))]
        #[test]
        fn any_records_come_out_in_a_stable_order(
            keys in prop::collection::vec(prop::collection::vec(0_u8..4, 0..4), 0..300),
            budget in 40_usize..2_000,
        ) {
            let mut records: Vec<(Vec<u8>, Vec<u8>)> = keys
                .into_iter()
                .enumerate()
                .map(|(number, key)| (key, number.to_le_bytes().to_vec()))
                .collect();
            let all = sorted(&records, budget);
            records.sort_by(|one, other| one.0.cmp(&other.0));
            prop_assert_eq!(all, records);
        }
    }

    #[test]
    fn more_runs_than_are_read_at_once_are_merged_first() {
        let records: Vec<_> = (0..400_u32)
            .map(|number| {
                (
                    (number % 7).to_be_bytes().to_vec(),
                    number.to_be_bytes().to_vec(),
                )
            })
            .collect();
        let all = sorted(&records, 1);
        assert_eq!(all.len(), 400);
        assert!(all.is_sorted());
    }

    #[test]
    fn runs_of_an_earlier_attempt_count() {
        let folder = tempfile::tempdir().unwrap();
        let mut first = Sorter::new(folder.path(), "test", Vec::new(), BUDGET);
        first.push(b"b", b"1").unwrap();
        first.spill().unwrap();
        // Written after the last run: lost with the process.
        first.push(b"x", b"2").unwrap();
        let mut second = Sorter::new(folder.path(), "test", first.runs().to_vec(), BUDGET);
        second.push(b"a", b"3").unwrap();
        let mut merge = second.finish().unwrap();
        assert_eq!(merge.next().unwrap(), Some((&b"a"[..], &b"3"[..])));
        assert_eq!(merge.next().unwrap(), Some((&b"b"[..], &b"1"[..])));
        assert_eq!(merge.current(), Some((&b"b"[..], &b"1"[..])));
        assert_eq!(merge.next().unwrap(), None);
        assert_eq!(merge.next().unwrap(), None);
    }

    #[test]
    fn a_run_cut_short_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let mut sorter = Sorter::new(folder.path(), "test", Vec::new(), BUDGET);
        sorter.push(b"key", b"value").unwrap();
        sorter.spill().unwrap();
        let path = run_path(folder.path(), "test", 0);
        let bytes = std::fs::read(&path).unwrap();
        std::fs::write(&path, &bytes[..bytes.len() - 4]).unwrap();
        let mut merge = sorter.finish().unwrap();
        assert!(merge.next().unwrap().is_some());
        assert!(merge.next().is_err());
    }
}
