//! [pure] The headers of a tar file (POSIX ustar), so that a backup can be read without us.
#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

/// Headers and content are multiples of it.
pub(super) const BLOCK_BYTES: usize = 512;
const NAME_BYTES: usize = 100;
const MODE: &[u8] = b"0000600\0";
const NOBODY: &[u8] = b"0000000\0";
const MAGIC: &[u8] = b"ustar\x0000";
const SIZE_AT: usize = 124;
const SIZE_BYTES: usize = 12;
const CHECKSUM_AT: usize = 148;
const TYPE_AT: usize = 156;
const MAGIC_AT: usize = 257;
/// The largest size in eleven octal digits.
const OCTAL_SIZE_MAX: u64 = 0o777_7777_7777;

/// A file in a tar file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) name: String,
    pub(super) size: u64,
}

/// What stands at a place where a header must be.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Header {
    File(Entry),
    /// The zeros behind the last file.
    End,
}

/// The header of a file that was last changed at `seconds`. Nothing when the name is too long.
pub(super) fn encode(entry: &Entry, seconds: u64) -> Option<[u8; BLOCK_BYTES]> {
    let mut block = [0; BLOCK_BYTES];
    if entry.name.len() >= NAME_BYTES || entry.size > OCTAL_SIZE_MAX {
        return None;
    }
    put(&mut block, 0, entry.name.as_bytes());
    put(&mut block, 100, MODE);
    put(&mut block, 108, NOBODY);
    put(&mut block, 116, NOBODY);
    put(
        &mut block,
        SIZE_AT,
        format!("{:011o}\0", entry.size).as_bytes(),
    );
    let seconds = seconds.min(OCTAL_SIZE_MAX);
    put(&mut block, 136, format!("{seconds:011o}\0").as_bytes());
    put(&mut block, TYPE_AT, b"0");
    put(&mut block, MAGIC_AT, MAGIC);
    let checksum = format!("{:06o}\0 ", checksum(&block));
    put(&mut block, CHECKSUM_AT, checksum.as_bytes());
    Some(block)
}

/// Reads a header; the error says what is wrong with it.
pub(super) fn decode(block: &[u8; BLOCK_BYTES]) -> Result<Header, &'static str> {
    if block.iter().all(|byte| *byte == 0) {
        return Ok(Header::End);
    }
    let field = |at: usize, len: usize| block.get(at..).and_then(|rest| rest.get(..len));
    if octal(field(CHECKSUM_AT, 8)) != Some(u64::from(checksum(block))) {
        return Err("it is not a tar file, or damaged");
    }
    if !matches!(block.get(TYPE_AT), Some(b'0' | 0)) {
        return Err("it holds something that is not a plain file");
    }
    let name = field(0, NAME_BYTES).unwrap_or_default();
    let name = name.split(|byte| *byte == 0).next().unwrap_or_default();
    let name = String::from_utf8(name.to_vec()).map_err(|_bytes| "a name is not text")?;
    let size = octal(field(SIZE_AT, SIZE_BYTES)).ok_or("a size cannot be read")?;
    Ok(Header::File(Entry { name, size }))
}

/// Zeros between the end of a content of that size and the next header.
pub(super) fn padding(size: u64) -> usize {
    let block = BLOCK_BYTES as u64;
    let padded = size.checked_next_multiple_of(block).unwrap_or(size);
    usize::try_from(padded.saturating_sub(size)).unwrap_or(0)
}

fn put(block: &mut [u8; BLOCK_BYTES], at: usize, field: &[u8]) {
    let place = block
        .get_mut(at..)
        .and_then(|rest| rest.get_mut(..field.len()));
    if let Some(place) = place {
        place.copy_from_slice(field);
    }
}

/// The sum of the header's bytes, those of the sum itself counted as spaces.
fn checksum(block: &[u8; BLOCK_BYTES]) -> u32 {
    let bytes = block.iter().enumerate().map(|(at, byte)| {
        let is_sum = (CHECKSUM_AT..CHECKSUM_AT.saturating_add(8)).contains(&at);
        u32::from(if is_sum { b' ' } else { *byte })
    });
    bytes.fold(0, u32::saturating_add)
}

fn octal(field: Option<&[u8]>) -> Option<u64> {
    let text = std::str::from_utf8(field?).ok()?;
    u64::from_str_radix(text.trim_matches(['\0', ' ']), 8).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(name: &str, size: u64) -> Entry {
        Entry {
            name: name.to_owned(),
            size,
        }
    }

    #[test]
    fn a_header_is_read_as_it_was_written() {
        for entry in [
            entry("a", 0),
            entry("log/FORMAT", 31),
            entry("b", OCTAL_SIZE_MAX),
        ] {
            let block = encode(&entry, 1_700_000_000).unwrap();
            assert_eq!(decode(&block), Ok(Header::File(entry)));
        }
        assert_eq!(decode(&[0; BLOCK_BYTES]), Ok(Header::End));
        assert_eq!(encode(&entry(&"x".repeat(100), 1), 0), None);
    }

    #[test]
    fn every_flipped_byte_of_a_header_is_noticed() {
        let block = encode(&entry("log/FORMAT", 31), 1).unwrap();
        for at in 0..BLOCK_BYTES {
            let mut damaged = block;
            *damaged.get_mut(at).unwrap() ^= 1;
            // The space behind the sum says nothing.
            let is_same = decode(&damaged) == Ok(Header::File(entry("log/FORMAT", 31)));
            assert!(!is_same || (CHECKSUM_AT..TYPE_AT).contains(&at), "{at}");
        }
    }
}
