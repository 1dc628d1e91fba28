//! [pure] The bytes of a pack, drawn in `docs/protocols/archive.md`: a header, then blocks of
//! compressed entries, each with its own checksum.
//!
//! ```text
//! pack   magic [8] | format u16 | year u16 | month u8 | 3 zero bytes | block*
//! block  mark u32 | crc32c u32 | len u32 | raw u32 | count u32 | zstd( entry* )
//! entry  len u32 | bytes
//! ```
//!
//! Little endian. The checksum covers everything of the block that follows it.
#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use super::retention::Month;

/// The format that is written. Every earlier one is read for ever.
pub(super) const FORMAT: u16 = 1;
/// Bytes of the pack's header.
pub(super) const HEADER_BYTES: usize = 16;
/// Bytes of a block before its entries.
pub(super) const HEAD_BYTES: usize = 20;
/// Uncompressed bytes after which a block is closed: reading one run unpacks this much.
pub(super) const BLOCK_BYTES: usize = 128 << 10;
/// The most uncompressed bytes of one block, which may hold one long entry.
pub(super) const RAW_BYTES_MAX: usize = 256 << 20;

const MAGIC: [u8; 8] = *b"TARAFPAK";
const MARK: u32 = 0x4B4C_4254;
/// A level that compresses journals about four times at a few hundred megabytes a second.
const LEVEL: i32 = 1;

/// Why bytes are no pack or block.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum PackError {
    /// It does not begin as a pack does.
    #[error("it is no pack")]
    NoPack,
    /// A newer program wrote it.
    #[error("it has the unknown format {0}")]
    Format(u16),
    /// The bytes end within the block.
    #[error("the block is cut off")]
    Cut,
    /// The bytes are not those that were written.
    #[error("the block's checksum does not match")]
    Checksum,
    /// It is not what its head says.
    #[error("the block is not well formed: {0}")]
    Malformed(&'static str),
}

/// What a block says about itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head {
    crc: u32,
    /// Compressed bytes that follow the head.
    pub(super) len: usize,
    raw: usize,
    /// Entries in it.
    pub(super) count: u32,
}

impl Head {
    /// Bytes of the whole block.
    pub(super) const fn total(&self) -> usize {
        self.len.saturating_add(HEAD_BYTES)
    }
}

/// The first bytes of a month's pack.
pub(super) fn header(month: Month) -> [u8; HEADER_BYTES] {
    let mut bytes = [0; HEADER_BYTES];
    let (year, number) = month.parts();
    let fields = MAGIC
        .into_iter()
        .chain(FORMAT.to_le_bytes())
        .chain(year.to_le_bytes())
        .chain([number]);
    for (place, byte) in bytes.iter_mut().zip(fields) {
        *place = byte;
    }
    bytes
}

/// The month of a pack that begins with these bytes.
pub(super) fn read_header(bytes: &[u8]) -> Result<Month, PackError> {
    let rest = bytes.strip_prefix(&MAGIC).ok_or(PackError::NoPack)?;
    let &[f0, f1, y0, y1, month, ..] = rest else {
        return Err(PackError::NoPack);
    };
    let format = u16::from_le_bytes([f0, f1]);
    if format != FORMAT {
        return Err(PackError::Format(format));
    }
    Month::new(u16::from_le_bytes([y0, y1]), month).ok_or(PackError::NoPack)
}

/// One block of these entries, as many as there are.
pub(super) fn block(entries: &[Vec<u8>]) -> Result<Vec<u8>, PackError> {
    let mut raw = Vec::with_capacity(
        entries
            .iter()
            .map(|entry| entry.len().saturating_add(4))
            .sum(),
    );
    for entry in entries {
        raw.extend_from_slice(&number(entry.len())?.to_le_bytes());
        raw.extend_from_slice(entry);
    }
    if raw.len() > RAW_BYTES_MAX {
        return Err(PackError::Malformed("it is too long"));
    }
    let packed = zstd::bulk::compress(&raw, LEVEL)
        .map_err(|_refused| PackError::Malformed("it cannot be compressed"))?;
    let mut covered = Vec::with_capacity(packed.len().saturating_add(HEAD_BYTES));
    covered.extend_from_slice(&number(packed.len())?.to_le_bytes());
    covered.extend_from_slice(&number(raw.len())?.to_le_bytes());
    covered.extend_from_slice(&number(entries.len())?.to_le_bytes());
    covered.extend_from_slice(&packed);
    let mut block = Vec::with_capacity(covered.len().saturating_add(8));
    block.extend_from_slice(&MARK.to_le_bytes());
    block.extend_from_slice(&crc32c::crc32c(&covered).to_le_bytes());
    block.extend_from_slice(&covered);
    Ok(block)
}

/// The head of the block that begins here.
pub(super) fn head(bytes: &[u8]) -> Result<Head, PackError> {
    let mut words = bytes.chunks_exact(4).map(|word| {
        let word = <[u8; 4]>::try_from(word).unwrap_or_default();
        u32::from_le_bytes(word)
    });
    let mut word = || words.next().ok_or(PackError::Cut);
    let (mark, crc, len, raw, count) = (word()?, word()?, word()?, word()?, word()?);
    if mark != MARK {
        return Err(PackError::Malformed("no block begins here"));
    }
    let size = |word: u32| usize::try_from(word).unwrap_or(usize::MAX);
    let head = Head {
        crc,
        len: size(len),
        raw: size(raw),
        count,
    };
    if head.raw > RAW_BYTES_MAX || head.len > RAW_BYTES_MAX.saturating_mul(2) {
        return Err(PackError::Malformed("it is too long"));
    }
    Ok(head)
}

/// The entry at a place of a whole block, its head included.
pub(super) fn entry(block: &[u8], place: u32) -> Result<Vec<u8>, PackError> {
    let mut found = None;
    each(block, |at, entry| {
        if at == place {
            found = Some(entry.to_vec());
        }
    })?;
    found.ok_or(PackError::Malformed("it has no such entry"))
}

/// Goes through the entries of a whole block, its head included.
pub(super) fn each(block: &[u8], mut entry: impl FnMut(u32, &[u8])) -> Result<(), PackError> {
    let head = head(block)?;
    let covered = block.get(8..head.total()).ok_or(PackError::Cut)?;
    if crc32c::crc32c(covered) != head.crc {
        return Err(PackError::Checksum);
    }
    let packed = block.get(HEAD_BYTES..head.total()).ok_or(PackError::Cut)?;
    let raw = zstd::bulk::decompress(packed, head.raw)
        .map_err(|_refused| PackError::Malformed("it cannot be unpacked"))?;
    let mut rest = raw.as_slice();
    let mut count = 0_u32;
    while let Some((len, behind)) = rest.split_first_chunk::<4>() {
        let len = usize::try_from(u32::from_le_bytes(*len)).unwrap_or(usize::MAX);
        let (bytes, behind) = behind
            .split_at_checked(len)
            .ok_or(PackError::Malformed("an entry is cut off"))?;
        entry(count, bytes);
        count = count.saturating_add(1);
        rest = behind;
    }
    if count != head.count || !rest.is_empty() {
        return Err(PackError::Malformed("it holds another number of entries"));
    }
    Ok(())
}

/// Where the next block may begin in these bytes, the first byte left out.
pub(super) fn next_mark(bytes: &[u8]) -> Option<usize> {
    let mark = MARK.to_le_bytes();
    let rest = bytes.get(1..)?;
    let found = rest.windows(mark.len()).position(|window| window == mark)?;
    Some(found.saturating_add(1))
}

fn number(len: usize) -> Result<u32, PackError> {
    u32::try_from(len).map_err(|_too_long| PackError::Malformed("it is too long"))
}
