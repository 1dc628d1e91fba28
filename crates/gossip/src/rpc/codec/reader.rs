//! [pure] Whole values out of bytes that arrive piece by piece, within a limit.
#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use bytes::{Bytes, BytesMut};

use super::Body;
use crate::wire::Error;
use crate::wire::msgpack::Decoder;

/// The bytes that have arrived and are not read yet.
///
/// Invariant: a byte is looked at once on the way to the end of its value, so that whoever sends a long value
/// in many pieces costs no more than one who sends it in one.
#[derive(Debug)]
pub struct Reader {
    arrived: BytesMut,
    bytes_max: usize,
    /// How far the current value is known.
    scanned: usize,
    /// How many values there are between there and its end.
    outstanding: usize,
}

/// The beginning of a value, as far as its length goes.
struct Head {
    /// Its own bytes, with those of a string or number.
    bytes: usize,
    /// How many values follow that are parts of it.
    parts: usize,
}

impl Reader {
    /// For values of at most so many bytes.
    #[must_use]
    pub fn new(bytes_max: usize) -> Self {
        Self {
            arrived: BytesMut::new(),
            bytes_max,
            scanned: 0,
            outstanding: 1,
        }
    }

    /// Where bytes that arrive are put.
    pub fn buffer(&mut self) -> &mut BytesMut {
        &mut self.arrived
    }

    /// Whether all that arrived is read.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.arrived.is_empty()
    }

    /// The next value; none while it has not arrived whole.
    ///
    /// # Errors
    /// When it is another value than is wanted, or longer than the limit. There is no reading on then.
    pub fn read<B: Body>(&mut self) -> Result<Option<B>, Error> {
        self.read_with(B::decode)
    }

    /// The next value, read by `read`; none while it has not arrived whole.
    ///
    /// # Errors
    /// As [`Reader::read`].
    pub fn read_with<T>(
        &mut self,
        read: impl FnOnce(&mut Decoder<'_>) -> Result<T, Error>,
    ) -> Result<Option<T>, Error> {
        let Some(whole) = self.whole()? else {
            return Ok(None);
        };
        read(&mut Decoder::new(&whole)).map(Some)
    }

    /// The bytes of the next value, whatever it is.
    ///
    /// # Errors
    /// When it is longer than the limit.
    pub fn whole(&mut self) -> Result<Option<Bytes>, Error> {
        while let Some(others) = self.outstanding.checked_sub(1) {
            let rest = self.arrived.get(self.scanned..).unwrap_or_default();
            let Some(head) = head(rest) else {
                self.check(self.arrived.len().saturating_add(1))?;
                return Ok(None);
            };
            let end = self.scanned.saturating_add(head.bytes);
            // Each part takes a byte at least.
            self.check(end.saturating_add(head.parts))?;
            if end > self.arrived.len() {
                return Ok(None);
            }
            self.scanned = end;
            self.outstanding = others.saturating_add(head.parts);
        }
        let whole = self.arrived.split_to(self.scanned).freeze();
        (self.scanned, self.outstanding) = (0, 1);
        Ok(Some(whole))
    }

    fn check(&self, bytes: usize) -> Result<(), Error> {
        if bytes > self.bytes_max {
            return Err(Error::TooLarge {
                what: "bytes of a value",
                found: u64::try_from(bytes).unwrap_or(u64::MAX),
                max: self.bytes_max,
            });
        }
        Ok(())
    }
}

/// The head at the beginning of `rest`; none when even that has not arrived whole.
fn head(rest: &[u8]) -> Option<Head> {
    let (&marker, rest) = rest.split_first()?;
    let plain = |bytes: usize| Head { bytes, parts: 0 };
    // The length behind the marker is of so many bytes; then come `extra` bytes beyond the length.
    let long = |width: usize, extra: usize| {
        let length = number(rest, width)?;
        let bytes = length.saturating_add(width).saturating_add(extra);
        Some(plain(bytes.saturating_add(1)))
    };
    let parts = |width: usize, each: usize| {
        let count = number(rest, width)?;
        let parts = count.saturating_mul(each);
        Some(Head {
            bytes: width.saturating_add(1),
            parts,
        })
    };
    match marker {
        0x80..=0x8f => Some(Head {
            bytes: 1,
            parts: usize::from(marker & 0x0f).saturating_mul(2),
        }),
        0x90..=0x9f => Some(Head {
            bytes: 1,
            parts: usize::from(marker & 0x0f),
        }),
        0xa0..=0xbf => Some(plain(usize::from(marker & 0x1f).saturating_add(1))),
        0xc4 | 0xd9 => long(1, 0),
        0xc5 | 0xda => long(2, 0),
        0xc6 | 0xdb => long(4, 0),
        0xc7 => long(1, 1),
        0xc8 => long(2, 1),
        0xc9 => long(4, 1),
        0xcc | 0xd0 => Some(plain(2)),
        0xcd | 0xd1 | 0xd4 => Some(plain(3)),
        0xd5 => Some(plain(4)),
        0xca | 0xce | 0xd2 => Some(plain(5)),
        0xd6 => Some(plain(6)),
        0xcb | 0xcf | 0xd3 => Some(plain(9)),
        0xd7 => Some(plain(10)),
        0xd8 => Some(plain(18)),
        0xdc => parts(2, 1),
        0xdd => parts(4, 1),
        0xde => parts(2, 2),
        0xdf => parts(4, 2),
        0x00..=0x7f | 0xc0..=0xc3 | 0xe0..=0xff => Some(plain(1)),
    }
}

fn number(bytes: &[u8], width: usize) -> Option<usize> {
    let bytes = bytes.get(..width)?;
    let number = bytes
        .iter()
        .fold(0_u64, |number, byte| (number << 8) | u64::from(*byte));
    Some(usize::try_from(number).unwrap_or(usize::MAX))
}
