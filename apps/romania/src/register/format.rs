//! [pure] The parts of a register file and where they are; drawn in `docs/protocols/trade-register.md`.

use serde::{Deserialize, Serialize};

use super::tally::Tally;

/// The first and the last bytes of a register file.
pub(super) const MAGIC: &[u8; 8] = b"TARAFREG";
/// The format that is written. All earlier ones are read.
pub(super) const FORMAT: u32 = 1;
/// Place, length and checksum of the contents, the format, and the magic bytes again.
pub(super) const TRAILER_BYTES: usize = 8 + 4 + 4 + 4 + 8;
/// A table of contents is some 200 KB, nearly all of it meanings of codes.
pub(super) const MAX_CONTENTS: usize = 8 << 20;
/// More firms than any register of this country will have; each takes a byte of memory.
pub(super) const MAX_FIRMS: u32 = 20_000_000;
/// Longest word that is told apart; what is longer is cut.
pub(super) const MAX_WORD: usize = 64;
/// Words of a name that can be found.
pub(super) const MAX_WORDS: usize = 32;
/// Bytes of words in a block, of which the first word is kept in memory.
pub(super) const BLOCK_BYTES: usize = 4096;
/// Of an entry of the codes: the code and the firm.
pub(super) const CODE_BYTES: usize = 8 + 4;
/// Of an entry of the places.
pub(super) const PLACE_BYTES: usize = 8;

/// Bits of a firm's flags: the number of its county.
pub(super) const COUNTY_MASK: u8 = 0b0011_1111;
/// It was struck off.
pub(super) const STRUCK_OFF: u8 = 0b0100_0000;
/// Another entry has its code: it is not found.
pub(super) const HIDDEN: u8 = 0b1000_0000;

/// Bytes of the file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Section {
    pub(super) at: u64,
    pub(super) length: u64,
}

impl Section {
    /// Behind its last byte.
    pub(super) const fn end(self) -> u64 {
        self.at.saturating_add(self.length)
    }
}

/// The table of contents.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Contents {
    pub(super) firms: u32,
    /// When the import ended, RFC 3339.
    pub(super) created: String,
    /// The firms, in the order of their names.
    pub(super) records: Section,
    /// Where each firm begins, and where the last one ends.
    pub(super) places: Section,
    /// A byte for each firm.
    pub(super) flags: Section,
    pub(super) flags_crc: u32,
    /// Fiscal codes, rising, each with its firm.
    pub(super) codes: Section,
    pub(super) postings: Section,
    /// The words, in blocks.
    pub(super) words: Section,
    /// The first word of each block.
    pub(super) blocks: Section,
    pub(super) blocks_crc: u32,
    pub(super) meanings: Meanings,
    pub(super) tally: Tally,
}

/// What codes mean.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Meanings {
    pub(super) states: Vec<(u32, String)>,
    /// By code and version of the list.
    pub(super) activities: Vec<(u32, u8, String)>,
}

impl Meanings {
    pub(super) fn state(&self, code: u32) -> Option<&str> {
        let found = self.states.iter().find(|(known, _)| *known == code)?;
        Some(&found.1)
    }

    pub(super) fn activity(&self, code: u16, version: u8) -> Option<&str> {
        let wanted = (u32::from(code), version);
        let found = self
            .activities
            .iter()
            .find(|(code, version, _)| (*code, *version) == wanted)?;
        Some(&found.2)
    }
}

impl Contents {
    /// The contents as bytes, with the trailer behind them; they begin at `at`.
    pub(super) fn to_bytes(&self, at: u64) -> Vec<u8> {
        let mut bytes = serde_json::to_vec(self).expect("texts and numbers can always be written");
        let (length, crc) = (bytes.len(), crc32c::crc32c(&bytes));
        bytes.extend(at.to_le_bytes());
        bytes.extend(u32::try_from(length).unwrap_or(u32::MAX).to_le_bytes());
        bytes.extend(crc.to_le_bytes());
        bytes.extend(FORMAT.to_le_bytes());
        bytes.extend(MAGIC);
        bytes
    }
}

/// What the last bytes of a file say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Trailer {
    pub(super) contents: Section,
    pub(super) crc: u32,
    pub(super) format: u32,
}

impl Trailer {
    pub(super) fn parse(bytes: &[u8; TRAILER_BYTES]) -> Option<Self> {
        let (at, rest) = bytes.split_first_chunk::<8>()?;
        let (length, rest) = rest.split_first_chunk::<4>()?;
        let (crc, rest) = rest.split_first_chunk::<4>()?;
        let (format, magic) = rest.split_first_chunk::<4>()?;
        (magic == MAGIC).then_some(Self {
            contents: Section {
                at: u64::from_le_bytes(*at),
                length: u32::from_le_bytes(*length).into(),
            },
            crc: u32::from_le_bytes(*crc),
            format: u32::from_le_bytes(*format),
        })
    }
}
