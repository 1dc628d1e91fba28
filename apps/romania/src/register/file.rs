//! A register file that is read: what is kept of it in memory, and the rest by place.

use std::borrow::Cow;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use super::bitmap::Bitmap;
use super::firm::Firm;
use super::format::{
    BLOCK_BYTES, CODE_BYTES, Contents, FORMAT, HIDDEN, MAX_CONTENTS, MAX_FIRMS, MAX_WORD,
    PLACE_BYTES, STRUCK_OFF, Section, TRAILER_BYTES, Trailer,
};
use super::postings::{Posting, Reader, take_number};
use super::tally::Tally;
use crate::cui::Cui;

/// Of the postings that are read at once.
const CHUNK: usize = 128 << 10;
/// Longest record of a firm: a line of the published file and its codes.
const MAX_RECORD: u64 = 1 << 20;
/// The first words of all blocks: some 40 bytes for each block of a million words.
const MAX_BLOCKS: usize = 64 << 20;
/// A block ends behind the word that fills it.
const MAX_BLOCK: usize = BLOCK_BYTES + MAX_WORD + 32;

/// Why a register cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RegisterError {
    /// Reading failed.
    #[error("the register cannot be read")]
    Read(#[from] io::Error),
    /// It is another file.
    #[error("it is no register file, or cut short")]
    NotARegister,
    /// A newer program wrote it.
    #[error("its format {0} is newer than this program, which reads up to {FORMAT}")]
    Newer(u32),
    /// Its bytes are not those that were written.
    #[error("the register is damaged: {0}; import it again")]
    Damaged(&'static str),
}

/// Where a register's bytes are.
#[derive(Debug)]
enum Bytes {
    File(File),
    Memory(Cow<'static, [u8]>),
}

impl Bytes {
    fn length(&self) -> io::Result<u64> {
        match self {
            Self::File(file) => Ok(file.metadata()?.len()),
            Self::Memory(bytes) => Ok(u64::try_from(bytes.len()).unwrap_or(u64::MAX)),
        }
    }

    fn read(&self, part: &mut [u8], at: u64) -> io::Result<()> {
        match self {
            Self::File(file) => file.read_exact_at(part, at),
            Self::Memory(bytes) => {
                let from = usize::try_from(at).unwrap_or(usize::MAX);
                let source = bytes.get(from..from.saturating_add(part.len()));
                part.copy_from_slice(source.ok_or(io::ErrorKind::UnexpectedEof)?);
                Ok(())
            }
        }
    }
}

/// An open register. What it reads stays what it was when another takes its name.
#[derive(Debug)]
pub(crate) struct Register {
    bytes: Bytes,
    pub(super) contents: Contents,
    pub(super) flags: Vec<u8>,
    /// The firms that are found, and those among them that were not struck off.
    pub(super) listed: Bitmap,
    pub(super) going: Bitmap,
    blocks: Vec<Block>,
}

/// A block of words.
#[derive(Debug)]
struct Block {
    first: Box<[u8]>,
    at: u64,
    postings: u64,
}

impl Register {
    /// Opens a register and checks what it keeps of it.
    pub(crate) fn open(path: &Path) -> Result<Self, RegisterError> {
        Self::read_from(Bytes::File(File::open(path)?))
    }

    /// The register in these bytes.
    pub(crate) fn from_bytes(bytes: impl Into<Cow<'static, [u8]>>) -> Result<Self, RegisterError> {
        Self::read_from(Bytes::Memory(bytes.into()))
    }

    fn read_from(bytes: Bytes) -> Result<Self, RegisterError> {
        let contents = read_contents(&bytes)?;
        let flags = section(&bytes, contents.flags, usize_of(contents.firms))?;
        if !is_intact(&flags, contents.flags_crc) {
            return Err(RegisterError::Damaged("its flags"));
        }
        let first_words = section(&bytes, contents.blocks, MAX_BLOCKS)?;
        if !is_intact(&first_words, contents.blocks_crc) {
            return Err(RegisterError::Damaged("its words"));
        }
        let blocks = read_blocks(&first_words).ok_or(RegisterError::Damaged("its words"))?;
        let mut listed = Bitmap::empty(contents.firms);
        let mut going = listed.clone();
        for (firm, flags) in (0..).zip(&flags) {
            if flags & HIDDEN == 0 {
                listed.add(firm);
                if flags & STRUCK_OFF == 0 {
                    going.add(firm);
                }
            }
        }
        Ok(Self {
            bytes,
            contents,
            flags,
            listed,
            going,
            blocks,
        })
    }

    /// Firms that can be found.
    pub(crate) fn len(&self) -> usize {
        self.listed.len()
    }

    /// When it was imported, RFC 3339.
    pub(crate) fn created(&self) -> &str {
        &self.contents.created
    }

    /// What became of the rows that were imported.
    pub(crate) const fn tally(&self) -> &Tally {
        &self.contents.tally
    }

    /// What a code of a state means.
    pub(crate) fn state(&self, code: u32) -> Option<&str> {
        self.contents.meanings.state(code)
    }

    /// What a code of an activity means.
    pub(crate) fn activity(&self, code: u16, version: u8) -> Option<&str> {
        self.contents.meanings.activity(code, version)
    }

    /// The firm that has this code.
    pub(crate) fn by_code(&self, cui: Cui) -> Result<Option<Firm>, RegisterError> {
        let place = self.place_of(cui)?;
        place.map(|place| self.firm(place)).transpose()
    }

    /// Whether a firm has this code.
    pub(crate) fn has(&self, cui: Cui) -> Result<bool, RegisterError> {
        Ok(self.place_of(cui)?.is_some())
    }

    /// The place of the firm that has this code: the codes are rising.
    pub(super) fn place_of(&self, cui: Cui) -> Result<Option<u32>, RegisterError> {
        let section = self.contents.codes;
        let bytes = u64::try_from(CODE_BYTES).unwrap_or(u64::MAX);
        let (mut low, mut high) = (0, section.length / bytes);
        while low < high {
            let middle = low.midpoint(high);
            let entry: [u8; CODE_BYTES] = self.array(section, middle * bytes)?;
            let (code, firm) = entry
                .split_first_chunk::<8>()
                .expect("an entry begins with a code");
            let code = u64::from_le_bytes(*code);
            match code.cmp(&cui.number()) {
                std::cmp::Ordering::Less => low = middle + 1,
                std::cmp::Ordering::Greater => high = middle,
                std::cmp::Ordering::Equal => {
                    let firm = firm.try_into().expect("an entry ends with a firm");
                    return Ok(Some(u32::from_le_bytes(firm)));
                }
            }
        }
        Ok(None)
    }

    /// The firm at a place.
    pub(super) fn firm(&self, place: u32) -> Result<Firm, RegisterError> {
        const DAMAGED: RegisterError = RegisterError::Damaged("a firm");
        let bytes = u64::try_from(PLACE_BYTES).unwrap_or(u64::MAX);
        let at: [u8; 2 * PLACE_BYTES] =
            self.array(self.contents.places, u64::from(place) * bytes)?;
        let (begin, end) = at.split_first_chunk::<8>().ok_or(DAMAGED)?;
        let begin = u64::from_le_bytes(*begin);
        let end = u64::from_le_bytes(end.try_into().map_err(|_impossible| DAMAGED)?);
        let length = end
            .checked_sub(begin)
            .filter(|length| *length <= MAX_RECORD);
        let is_inside = begin >= self.contents.records.at && end <= self.contents.records.end();
        let length = length.filter(|_| is_inside).ok_or(DAMAGED)?;
        let mut record = vec![0; usize::try_from(length).unwrap_or(0)];
        self.bytes.read(&mut record, begin)?;
        Firm::from_bytes(&record).ok_or(DAMAGED)
    }

    /// Where the postings of the first word that is not before `wanted` begin.
    fn first_from(&self, wanted: &[u8]) -> Result<u64, RegisterError> {
        let after = self.blocks.partition_point(|block| *block.first < *wanted);
        let following = self.blocks.get(after);
        let end = following.map_or(self.contents.postings.length, |block| block.postings);
        let Some(block) = after.checked_sub(1).and_then(|at| self.blocks.get(at)) else {
            return Ok(end);
        };
        let block_end = following.map_or(self.contents.words.length, |block| block.at);
        let part = Section {
            at: self.contents.words.at.saturating_add(block.at),
            length: block_end.saturating_sub(block.at),
        };
        let bytes = section(&self.bytes, part, MAX_BLOCK)?;
        let found = first_in_block(&bytes, block.postings, wanted);
        let found = found.ok_or(RegisterError::Damaged("its words"))?;
        Ok(found.unwrap_or(end))
    }

    /// Hands on the postings of every word that begins so; true for those of the word itself.
    pub(super) fn postings(
        &self,
        beginning: &str,
        mut found: impl FnMut(Posting, bool),
    ) -> Result<(), RegisterError> {
        let beginning = beginning.as_bytes();
        let from = self.first_from(beginning)?;
        let whole = self.first_from(&[beginning, &[0]].concat())?;
        // No byte of UTF-8 is 0xff: nothing that begins so lies behind it.
        let until = self.first_from(&[beginning, &[0xff]].concat())?;
        let mut buffer = vec![0; CHUNK];
        for (from, until, is_whole) in [(from, whole, true), (whole, until, false)] {
            let (mut reader, mut at) = (Reader::default(), from);
            while at < until {
                let length = usize::try_from(until - at).unwrap_or(CHUNK).min(CHUNK);
                let part = buffer.get_mut(..length).unwrap_or_default();
                self.read_in(self.contents.postings, at, part)?;
                reader.read(part, |posting| found(posting, is_whole));
                at += u64::try_from(length).unwrap_or(u64::MAX);
            }
        }
        Ok(())
    }

    fn array<const N: usize>(&self, section: Section, at: u64) -> Result<[u8; N], RegisterError> {
        let mut bytes = [0; N];
        self.read_in(section, at, &mut bytes)?;
        Ok(bytes)
    }

    /// Reads bytes of a section, never beyond it.
    fn read_in(&self, section: Section, at: u64, bytes: &mut [u8]) -> Result<(), RegisterError> {
        let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        if at.saturating_add(length) > section.length {
            return Err(RegisterError::Damaged("a place beyond its end"));
        }
        Ok(self.bytes.read(bytes, section.at.saturating_add(at))?)
    }
}

/// Whether bytes have this checksum. A fuzzer is let through, to what is behind it.
fn is_intact(bytes: &[u8], crc: u32) -> bool {
    cfg!(fuzzing) || crc32c::crc32c(bytes) == crc
}

fn usize_of(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

fn read_contents(file: &Bytes) -> Result<Contents, RegisterError> {
    let length = file.length()?;
    let trailer_bytes = u64::try_from(TRAILER_BYTES).unwrap_or(u64::MAX);
    let at = length.checked_sub(trailer_bytes);
    let at = at.ok_or(RegisterError::NotARegister)?;
    let mut trailer = [0; TRAILER_BYTES];
    file.read(&mut trailer, at)?;
    let trailer = Trailer::parse(&trailer).ok_or(RegisterError::NotARegister)?;
    if trailer.format > FORMAT {
        return Err(RegisterError::Newer(trailer.format));
    }
    if trailer.contents.end() != at {
        return Err(RegisterError::NotARegister);
    }
    let bytes = section(file, trailer.contents, MAX_CONTENTS)?;
    if !is_intact(&bytes, trailer.crc) {
        return Err(RegisterError::Damaged("its table of contents"));
    }
    let contents: Option<Contents> = serde_json::from_slice(&bytes).ok();
    let contents = contents.ok_or(RegisterError::Damaged("its table of contents"))?;
    let sections = [
        contents.records,
        contents.places,
        contents.flags,
        contents.codes,
        contents.postings,
        contents.words,
        contents.blocks,
    ];
    let is_inside = sections
        .iter()
        .all(|section| section.end() <= trailer.contents.at);
    let is_counted =
        contents.firms <= MAX_FIRMS && contents.flags.length == u64::from(contents.firms);
    if is_inside && is_counted {
        Ok(contents)
    } else {
        Err(RegisterError::Damaged("its table of contents"))
    }
}

/// A section as a whole, at most so long.
fn section(file: &Bytes, section: Section, max: usize) -> Result<Vec<u8>, RegisterError> {
    let length = usize::try_from(section.length).ok();
    let length = length.filter(|length| *length <= max);
    let length = length.ok_or(RegisterError::Damaged("a part that is too long"))?;
    if section.end() > file.length()? {
        return Err(RegisterError::Damaged("a place beyond its end"));
    }
    let mut bytes = vec![0; length];
    file.read(&mut bytes, section.at)?;
    Ok(bytes)
}

fn read_blocks(mut bytes: &[u8]) -> Option<Vec<Block>> {
    let mut blocks = Vec::new();
    while !bytes.is_empty() {
        let length = usize::try_from(take_number(&mut bytes)?).ok()?;
        let (first, rest) = bytes.split_at_checked(length)?;
        bytes = rest;
        blocks.push(Block {
            first: first.into(),
            at: take_number(&mut bytes)?,
            postings: take_number(&mut bytes)?,
        });
    }
    Some(blocks)
}

/// Where the postings of the first word of a block that is not before `wanted` begin: nothing
/// inside when all are before it, nothing at all when the bytes are damaged.
#[expect(
    clippy::option_option,
    reason = "no such word and no words at all are two answers"
)]
fn first_in_block(mut bytes: &[u8], mut postings: u64, wanted: &[u8]) -> Option<Option<u64>> {
    let mut word = Vec::with_capacity(MAX_WORD);
    while !bytes.is_empty() {
        let shared = usize::try_from(take_number(&mut bytes)?).ok()?;
        let length = usize::try_from(take_number(&mut bytes)?).ok()?;
        let (rest, behind) = bytes.split_at_checked(length)?;
        bytes = behind;
        word.truncate(shared);
        word.extend_from_slice(rest);
        postings = postings.checked_add(take_number(&mut bytes)?)?;
        if *word >= *wanted {
            return Some(Some(postings));
        }
    }
    Some(None)
}
