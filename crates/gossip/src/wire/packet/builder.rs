//! [pure] Filling packets: parts are added while there is room.
#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use bytes::{BufMut, Bytes, BytesMut};

use super::PACKET_BYTES;
use crate::wire::Envelope;
use crate::wire::memberlist::code;

/// What a compound adds.
pub const COMPOUND_BYTES: usize = 2;
/// What a compound adds for each part.
pub const PART_BYTES: usize = 2;
/// The most parts in a compound, whose number has 8 bits.
pub const PARTS_MAX: usize = 255;

/// A packet that is being filled.
///
/// It takes the parts as they are: messages with their code byte. One part alone becomes a packet without
/// a compound around it.
#[derive(Debug)]
pub struct Builder {
    parts: Vec<Bytes>,
    /// For parts with their lengths.
    room: usize,
}

impl Builder {
    /// An empty packet that is to be closed with this envelope.
    #[must_use]
    pub fn new(envelope: &Envelope) -> Self {
        let around = envelope.packet_bytes().saturating_add(COMPOUND_BYTES);
        Self {
            parts: Vec::new(),
            room: PACKET_BYTES.saturating_sub(around),
        }
    }

    /// For parts, each of which takes [`PART_BYTES`] more than its length.
    #[must_use]
    pub fn room(&self) -> usize {
        if self.parts.len() >= PARTS_MAX {
            return 0;
        }
        self.room
    }

    /// Whether there are no parts.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }

    /// Adds a part, if there is room for it; answers whether there was.
    pub fn push(&mut self, part: Bytes) -> bool {
        let taken = part.len().saturating_add(PART_BYTES);
        let fits = taken <= self.room();
        if fits {
            self.room = self.room.saturating_sub(taken);
            self.parts.push(part);
        }
        fits
    }

    /// The packet, to be closed by [`super::seal`]; nothing without parts.
    #[must_use]
    pub fn finish(mut self) -> Option<Bytes> {
        if self.parts.len() < 2 {
            return self.parts.pop();
        }
        let count = u8::try_from(self.parts.len()).ok()?;
        let used = PACKET_BYTES.saturating_sub(self.room);
        let mut out = BytesMut::with_capacity(used);
        out.put_u8(code::COMPOUND);
        out.put_u8(count);
        for part in &self.parts {
            out.put_u16(u16::try_from(part.len()).ok()?);
        }
        for part in &self.parts {
            out.put_slice(part);
        }
        Some(out.freeze())
    }
}
