//! [pure] In which firms' names a word stands, and where in the name: lists as bytes.

/// Positions from here on are not told apart; a question has at most ten words.
pub(super) const LAST_POSITION: u8 = 15;
/// Ends the list of a word.
const END: u8 = 0;
/// Bits of a number that say where in the name.
const TAG_BITS: u32 = 5;

/// A word in a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Posting {
    pub(super) firm: u32,
    /// From 0, at most [`LAST_POSITION`].
    pub(super) position: u8,
    /// No word follows it in the name.
    pub(super) is_last: bool,
}

/// Writes lists one after the other.
#[derive(Debug, Default)]
pub(super) struct Writer {
    before: u32,
}

impl Writer {
    /// Adds to the list; firms come in their order.
    pub(super) fn add(&mut self, posting: Posting, bytes: &mut Vec<u8>) {
        // One more than the distance: a number is never 0, which ends the list.
        let distance = u64::from(posting.firm.saturating_sub(self.before)) + 1;
        let tag = u64::from(posting.position.min(LAST_POSITION)) << 1 | u64::from(posting.is_last);
        put_number(distance << TAG_BITS | tag, bytes);
        self.before = posting.firm;
    }

    /// Ends the list.
    pub(super) fn end(&mut self, bytes: &mut Vec<u8>) {
        bytes.push(END);
        self.before = 0;
    }
}

/// Reads lists from bytes that come in pieces.
#[derive(Debug, Default)]
pub(super) struct Reader {
    firm: u64,
    number: u64,
    shift: u32,
}

impl Reader {
    /// Hands each posting on. Damaged bytes give wrong postings, which the caller's set bounds.
    pub(super) fn read(&mut self, bytes: &[u8], mut found: impl FnMut(Posting)) {
        for byte in bytes {
            self.number |= u64::from(byte & 0x7f).checked_shl(self.shift).unwrap_or(0);
            if byte & 0x80 != 0 {
                self.shift = self.shift.saturating_add(7);
                continue;
            }
            let number = self.number;
            (self.number, self.shift) = (0, 0);
            if number == u64::from(END) {
                self.firm = 0;
                continue;
            }
            let distance = (number >> TAG_BITS).saturating_sub(1);
            self.firm = self.firm.saturating_add(distance);
            let tag = number & ((1 << TAG_BITS) - 1);
            found(Posting {
                firm: u32::try_from(self.firm).unwrap_or(u32::MAX),
                position: u8::try_from(tag >> 1).unwrap_or(LAST_POSITION),
                is_last: tag & 1 == 1,
            });
        }
    }
}

/// Seven bits a byte, the least first; the highest bit says that more follows.
pub(super) fn put_number(mut number: u64, bytes: &mut Vec<u8>) {
    loop {
        let low = u8::try_from(number & 0x7f).unwrap_or(0);
        number >>= 7;
        if number == 0 {
            bytes.push(low);
            return;
        }
        bytes.push(low | 0x80);
    }
}

/// Takes such a number off the front.
pub(super) fn take_number(bytes: &mut &[u8]) -> Option<u64> {
    let mut number = 0_u64;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        number |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn posting() -> impl Strategy<Value = Posting> {
        (0_u32..5_000_000, 0_u8..=LAST_POSITION, any::<bool>()).prop_map(
            |(firm, position, is_last)| Posting {
                firm,
                position,
                is_last,
            },
        )
    }

    proptest! {
        #[test]
        fn lists_are_the_same_after_their_bytes_however_these_come(
            mut lists in prop::collection::vec(prop::collection::vec(posting(), 0..50), 0..5),
            piece in 1_usize..9,
        ) {
            let (mut writer, mut bytes) = (Writer::default(), Vec::new());
            for list in &mut lists {
                list.sort_by_key(|posting| posting.firm);
                for posting in list.iter() {
                    writer.add(*posting, &mut bytes);
                }
                writer.end(&mut bytes);
            }
            let (mut reader, mut all) = (Reader::default(), Vec::new());
            for part in bytes.chunks(piece) {
                reader.read(part, |posting| all.push(posting));
            }
            prop_assert_eq!(all, lists.concat());
        }

        #[test]
        fn any_bytes_are_read(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let mut count = 0_usize;
            Reader::default().read(&bytes, |_| count += 1);
            prop_assert!(count <= bytes.len());
            take_number(&mut bytes.as_slice());
        }

        #[test]
        fn numbers_are_the_same_after_their_bytes(number: u64) {
            let mut bytes = Vec::new();
            put_number(number, &mut bytes);
            prop_assert_eq!(take_number(&mut bytes.as_slice()), Some(number));
        }
    }
}
