//! Writing a register file: the firms as they come in the order of their names, then all that
//! finds them.

use std::fs::{File, OpenOptions};
use std::io::{self, BufReader, BufWriter, Read as _, Seek as _, SeekFrom, Write};
use std::path::{Path, PathBuf};

use super::firm::Firm;
use super::format::{
    BLOCK_BYTES, Contents, HIDDEN, MAGIC, MAX_WORD, MAX_WORDS, STRUCK_OFF, Section,
};
use super::postings::{LAST_POSITION, Posting, Writer, put_number};
use super::sort::{Merge, Sorter};
use crate::text::words;

const BUFFER: usize = 256 << 10;
/// Ends the word in a key: no word contains it.
const WORD_END: u8 = 0;

/// The files that an import makes before it is done.
#[derive(Clone, Debug)]
pub(super) struct Parts {
    pub(super) file: PathBuf,
    places: PathBuf,
    flags: PathBuf,
    words: PathBuf,
}

impl Parts {
    pub(super) fn new(folder: &Path) -> Self {
        Self {
            file: folder.join("register.part"),
            places: folder.join("places.part"),
            flags: folder.join("flags.part"),
            words: folder.join("words.part"),
        }
    }
}

/// The words of a name as they are found.
pub(super) fn name_words(name: &str) -> Vec<String> {
    let mut all = words(name);
    all.truncate(MAX_WORDS);
    for word in &mut all {
        cut(word);
    }
    all
}

/// A word no longer than those in a register.
pub(super) fn cut(word: &mut String) {
    word.truncate(word.floor_char_boundary(MAX_WORD));
}

/// The firms: records, and beside them where each begins, what it is like, and what finds it.
pub(super) struct Records {
    file: BufWriter<File>,
    places: BufWriter<File>,
    flags: BufWriter<File>,
    at: u64,
    firms: u32,
}

impl Records {
    pub(super) fn create(parts: &Parts) -> io::Result<Self> {
        let create = |path: &Path| {
            let file = File::create(path)?;
            io::Result::Ok(BufWriter::with_capacity(BUFFER, file))
        };
        let mut records = Self {
            file: create(&parts.file)?,
            places: create(&parts.places)?,
            flags: create(&parts.flags)?,
            at: 0,
            firms: 0,
        };
        records.file.write_all(MAGIC)?;
        records.at = length(MAGIC);
        Ok(records)
    }

    /// Adds the next firm; its code and its words go to the sorters.
    pub(super) fn add(
        &mut self,
        bytes: &[u8],
        firm: &Firm,
        codes: &mut Sorter,
        terms: &mut Sorter,
    ) -> io::Result<()> {
        self.file.write_all(bytes)?;
        self.places.write_all(&self.at.to_le_bytes())?;
        self.at += length(bytes);
        let struck_off = if firm.is_struck_off() { STRUCK_OFF } else { 0 };
        self.flags.write_all(&[firm.county | struck_off])?;
        // Of the entries of one code the last is the one that is found.
        let mut key = firm.cui.to_be_bytes().to_vec();
        key.push(u8::from(struck_off == 0));
        key.extend(firm.registered.as_deref().unwrap_or_default().bytes());
        codes.push(&key, &self.firms.to_be_bytes())?;
        let all = name_words(&firm.name);
        for (position, word) in all.iter().enumerate() {
            let is_last = position + 1 == all.len();
            let position = u8::try_from(position).unwrap_or(LAST_POSITION);
            key.clear();
            key.extend(word.bytes());
            key.push(WORD_END);
            key.extend(self.firms.to_be_bytes());
            key.push(position.min(LAST_POSITION) << 1 | u8::from(is_last));
            terms.push(&key, &[])?;
        }
        self.firms += 1;
        Ok(())
    }

    /// How many firms there are, and where the last one ends. All of it is durable now.
    pub(super) fn finish(mut self) -> io::Result<(u32, u64)> {
        self.places.write_all(&self.at.to_le_bytes())?;
        for file in [self.file, self.places, self.flags] {
            sync(file)?;
        }
        Ok((self.firms, self.at))
    }
}

fn sync(file: BufWriter<File>) -> io::Result<()> {
    let file = file.into_inner().map_err(io::IntoInnerError::into_error)?;
    file.sync_data()
}

fn length(bytes: &[u8]) -> u64 {
    u64::try_from(bytes.len()).unwrap_or(u64::MAX)
}

/// Appends sections to the file of records.
pub(super) struct Finder {
    file: BufWriter<File>,
    at: u64,
    contents: Contents,
}

impl Finder {
    /// Goes on where the records end, whatever an earlier attempt wrote behind them.
    pub(super) fn open(parts: &Parts, firms: u32, records_end: u64) -> io::Result<Self> {
        let mut file = OpenOptions::new().write(true).open(&parts.file)?;
        file.set_len(records_end)?;
        file.seek(SeekFrom::End(0))?;
        let begin = length(MAGIC);
        let records = Section {
            at: begin,
            length: records_end.saturating_sub(begin),
        };
        let mut finder = Self {
            file: BufWriter::with_capacity(BUFFER, file),
            at: records_end,
            contents: Contents {
                firms,
                records,
                ..Contents::default()
            },
        };
        finder.contents.places = finder.copy(&parts.places)?;
        Ok(finder)
    }

    /// The codes, and the flags, in which the entries that lose against another of the same code
    /// are marked. Answers how many.
    pub(super) fn codes(&mut self, parts: &Parts, codes: &mut Merge) -> io::Result<u64> {
        let mut flags = std::fs::read(&parts.flags)?;
        let mut hidden = 0;
        let from = self.at;
        let mut before: Option<([u8; 8], u32)> = None;
        while let Some((key, firm)) = codes.next()? {
            let (Some(code), Ok(firm)) = (key.first_chunk::<8>(), firm.try_into()) else {
                return Err(damaged());
            };
            let next = (*code, u32::from_be_bytes(firm));
            match before.replace(next) {
                Some((code, firm)) if code == next.0 => {
                    let flag = flags.get_mut(usize::try_from(firm).unwrap_or(usize::MAX));
                    *flag.ok_or_else(damaged)? |= HIDDEN;
                    hidden += 1;
                }
                Some(entry) => self.code(entry)?,
                None => {}
            }
        }
        if let Some(entry) = before {
            self.code(entry)?;
        }
        self.contents.codes = self.since(from);
        let from = self.at;
        self.write(&flags)?;
        self.contents.flags = self.since(from);
        self.contents.flags_crc = crc32c::crc32c(&flags);
        Ok(hidden)
    }

    fn code(&mut self, (code, firm): ([u8; 8], u32)) -> io::Result<()> {
        self.write(&u64::from_be_bytes(code).to_le_bytes())?;
        self.write(&firm.to_le_bytes())
    }

    /// The postings, the words, and the first word of each block. `each` is called now and then
    /// with how many postings were written.
    pub(super) fn words(
        &mut self,
        parts: &Parts,
        terms: &mut Merge,
        mut each: impl FnMut(u64) -> io::Result<()>,
    ) -> io::Result<()> {
        let mut dictionary = Dictionary::create(&parts.words)?;
        let (mut writer, mut bytes, mut word) = (Writer::default(), Vec::new(), Vec::new());
        let (from, mut count) = (self.at, 0_u64);
        while let Some((key, _)) = terms.next()? {
            let end = key
                .iter()
                .position(|byte| *byte == WORD_END)
                .ok_or_else(damaged)?;
            let (next, rest) = key.split_at(end);
            let [_, a, b, c, d, tag] = rest else {
                return Err(damaged());
            };
            if next != word {
                if !word.is_empty() {
                    writer.end(&mut bytes);
                }
                self.write(&bytes)?;
                bytes.clear();
                word.clear();
                word.extend_from_slice(next);
                dictionary.add(&word, self.at - from)?;
            }
            let posting = Posting {
                firm: u32::from_be_bytes([*a, *b, *c, *d]),
                position: tag >> 1,
                is_last: tag & 1 == 1,
            };
            writer.add(posting, &mut bytes);
            if bytes.len() > BUFFER {
                self.write(&bytes)?;
                bytes.clear();
            }
            count += 1;
            if count % 4096 == 0 {
                each(count)?;
            }
        }
        if !word.is_empty() {
            writer.end(&mut bytes);
        }
        self.write(&bytes)?;
        self.contents.postings = self.since(from);
        let blocks = dictionary.finish()?;
        self.contents.words = self.copy(&parts.words)?;
        let from = self.at;
        self.write(&blocks)?;
        self.contents.blocks = self.since(from);
        self.contents.blocks_crc = crc32c::crc32c(&blocks);
        Ok(())
    }

    /// The table of contents; the file is whole and durable now.
    pub(super) fn finish(mut self, complete: impl FnOnce(&mut Contents)) -> io::Result<()> {
        complete(&mut self.contents);
        let bytes = self.contents.to_bytes(self.at);
        self.file.write_all(&bytes)?;
        let file = self
            .file
            .into_inner()
            .map_err(io::IntoInnerError::into_error)?;
        file.sync_all()
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.at += length(bytes);
        self.file.write_all(bytes)
    }

    fn copy(&mut self, path: &Path) -> io::Result<Section> {
        let from = self.at;
        let mut input = BufReader::with_capacity(BUFFER, File::open(path)?);
        let mut buffer = vec![0; BUFFER];
        loop {
            let count = input.read(&mut buffer)?;
            if count == 0 {
                return Ok(self.since(from));
            }
            self.write(buffer.get(..count).unwrap_or_default())?;
        }
    }

    const fn since(&self, from: u64) -> Section {
        Section {
            at: from,
            length: self.at - from,
        }
    }
}

fn damaged() -> io::Error {
    io::Error::other("a sorted run is damaged")
}

/// Words in blocks: each word by what it does not share with the one before, and by how far its
/// postings lie behind that one's.
struct Dictionary {
    file: BufWriter<File>,
    at: u64,
    block: u64,
    before: Vec<u8>,
    postings: u64,
    blocks: Vec<u8>,
}

impl Dictionary {
    fn create(path: &Path) -> io::Result<Self> {
        Ok(Self {
            file: BufWriter::with_capacity(BUFFER, File::create(path)?),
            at: 0,
            block: 0,
            before: Vec::new(),
            postings: 0,
            blocks: Vec::new(),
        })
    }

    fn add(&mut self, word: &[u8], postings: u64) -> io::Result<()> {
        let block_bytes = u64::try_from(BLOCK_BYTES).unwrap_or(u64::MAX);
        let begins = self.at == 0 || self.at - self.block >= block_bytes;
        if begins {
            self.block = self.at;
            self.before.clear();
            self.postings = postings;
            put_number(length(word), &mut self.blocks);
            self.blocks.extend_from_slice(word);
            put_number(self.at, &mut self.blocks);
            put_number(postings, &mut self.blocks);
        }
        let pairs = word.iter().zip(&self.before);
        let shared = pairs.take_while(|(one, other)| one == other).count();
        let rest = word.get(shared..).unwrap_or_default();
        let mut entry = Vec::with_capacity(rest.len() + 8);
        put_number(u64::try_from(shared).unwrap_or(0), &mut entry);
        put_number(length(rest), &mut entry);
        entry.extend_from_slice(rest);
        put_number(postings - self.postings, &mut entry);
        self.postings = postings;
        self.before.clear();
        self.before.extend_from_slice(word);
        self.at += length(&entry);
        self.file.write_all(&entry)
    }

    /// Answers the first word of each block.
    fn finish(self) -> io::Result<Vec<u8>> {
        sync(self.file)?;
        Ok(self.blocks)
    }
}
