//! [pure] Packets, from outside to inside: label, encryption, checksum, compression, compound, messages.
#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

mod builder;

use bytes::{Buf, BufMut, Bytes, BytesMut};

use super::keyring::Keyring;
use super::memberlist::{Message, code};
use super::msgpack::Decoder;
use super::{Envelope, Error, Nonce, compressed};

pub use builder::{Builder, COMPOUND_BYTES, PART_BYTES, PARTS_MAX};

/// What a packet is filled up to, the envelope included (memberlist's `UDPBufferSize`). A checksum of
/// [`CHECKSUM_BYTES`] comes on top.
pub const PACKET_BYTES: usize = 1_400;
/// What a checksum adds.
pub const CHECKSUM_BYTES: usize = 5;
/// All that may come out of one packet, in bytes.
pub const PLAIN_BYTES_MAX: usize = 64 << 10;
/// The most layers of compression and compounds in one another. Serf needs two.
pub const LAYERS_MAX: usize = 4;
/// Shorter packets are not worth compressing: the structure around takes 17 bytes, and each byte 9 bits at first.
const COMPRESSED_BYTES_MIN: usize = 128;

/// How a packet is sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// With a checksum: to those whose memberlist protocol goes up to 5 at least.
    pub has_checksum: bool,
    /// Compressed, if that makes it shorter.
    pub compresses: bool,
}

/// Closes a packet of one message or of a [`Builder`]. The nonce is drawn when it is needed.
#[must_use]
pub fn seal(
    plain: &Bytes,
    options: Options,
    envelope: &Envelope,
    nonce: impl FnOnce() -> Nonce,
) -> Bytes {
    let keyring = envelope.sealing();
    let is_bare = keyring.is_none() && envelope.label().is_empty() && !options.has_checksum;
    let may_shrink = options.compresses && plain.len() >= COMPRESSED_BYTES_MIN;
    if is_bare && !may_shrink {
        return plain.clone();
    }
    let around = envelope.packet_bytes().saturating_add(CHECKSUM_BYTES);
    let mut out = BytesMut::with_capacity(plain.len().saturating_add(around));
    envelope.put_label(&mut out);
    let start = out.len();
    if keyring.is_some() {
        Keyring::begin(&mut out);
    }
    if options.has_checksum {
        out.put_u8(code::CHECKSUM);
        out.put_u32(0);
    }
    let covered = out.len();
    // Only a packet that gets shorter is sent compressed.
    let shorter = plain.len().saturating_sub(1);
    if !may_shrink || !compressed::encode(plain, shorter, &mut out) {
        out.put_slice(plain);
    }
    if options.has_checksum {
        put_checksum(&mut out, covered);
    }
    if let Some(keyring) = keyring {
        keyring.seal(nonce(), envelope.label(), start, &mut out);
    }
    out.freeze()
}

/// Fills in the checksum of what begins at `covered`, just before it.
fn put_checksum(out: &mut BytesMut, covered: usize) {
    let checksum = crc32fast::hash(out.get(covered..).unwrap_or_default());
    let place = covered
        .checked_sub(4)
        .and_then(|at| out.get_mut(at..covered));
    if let Some(place) = place {
        place.copy_from_slice(&checksum.to_be_bytes());
    }
}

/// Opens a packet: checks its label, decrypts it in place, checks its checksum.
///
/// # Errors
/// When the label is not ours, no key fits, it is plain and must not be, the checksum is another, or it is cut
/// or empty. All of the packet is to be dropped then.
pub fn open(mut packet: BytesMut, envelope: &Envelope) -> Result<Bytes, Error> {
    if packet.is_empty() {
        return Err(Error::Empty { what: "a packet" });
    }
    let label = envelope.check_label(&packet)?;
    packet.advance(label);
    if let Some(keyring) = envelope.keyring() {
        match keyring.open(envelope.label(), &mut packet) {
            Ok(plain) => {
                packet.truncate(plain.end);
                packet.advance(plain.start);
            }
            // What no key opened is as it came.
            Err(_) if envelope.takes_plain => {}
            Err(error) => return Err(error),
        }
    }
    let mut plain = packet.freeze();
    if plain.first() == Some(&code::CHECKSUM) {
        let mut decoder = Decoder::new(&plain);
        decoder.byte()?;
        let found = decoder.take(4)?;
        let rest = decoder.rest();
        let expected = crc32fast::hash(&rest);
        if found != expected.to_be_bytes() {
            let found = found.try_into().map_or(0, u32::from_be_bytes);
            return Err(Error::Checksum { expected, found });
        }
        plain = rest;
    }
    if plain.is_empty() {
        return Err(Error::Empty { what: "a packet" });
    }
    Ok(plain)
}

/// Opens a packet and gives the messages in it.
///
/// # Errors
/// As [`open`].
pub fn decode(packet: BytesMut, envelope: &Envelope) -> Result<Messages, Error> {
    open(packet, envelope).map(messages)
}

/// The messages in an opened packet, or in one that was never closed.
#[must_use]
pub fn messages(plain: Bytes) -> Messages {
    Messages {
        layers: vec![(0, Layer::One(plain))],
        room: PLAIN_BYTES_MAX,
    }
}

/// The messages of a packet, in order. What is wrong with one does not hide the others.
#[derive(Debug)]
pub struct Messages {
    /// What is still to be looked into, the innermost last, and in how many layers it lies.
    layers: Vec<(usize, Layer)>,
    /// How much more may be decompressed.
    room: usize,
}

#[derive(Debug)]
enum Layer {
    One(Bytes),
    /// Lengths of 16 bits, and what they are of.
    Parts {
        lengths: Bytes,
        parts: Bytes,
    },
}

impl Iterator for Messages {
    type Item = Result<Message, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let (depth, layer) = self.layers.pop()?;
            let bytes = match layer {
                Layer::One(bytes) => bytes,
                Layer::Parts { lengths, parts } => match self.part(depth, lengths, parts) {
                    None => continue,
                    Some(Ok(part)) => part,
                    Some(Err(error)) => return Some(Err(error)),
                },
            };
            let into = match bytes.first() {
                Some(&code::COMPRESSED) => self.compressed(depth, &bytes),
                Some(&code::COMPOUND) => self.compound(depth, &bytes),
                _ => return Some(Message::decode(&bytes)),
            };
            if let Err(error) = into {
                return Some(Err(error));
            }
        }
    }
}

impl Messages {
    /// The next of a compound's parts; the others are put back.
    fn part(
        &mut self,
        depth: usize,
        mut lengths: Bytes,
        mut parts: Bytes,
    ) -> Option<Result<Bytes, Error>> {
        let length = usize::from(lengths.try_get_u16().ok()?);
        let missing = length.saturating_sub(parts.len());
        if missing > 0 {
            return Some(Err(Error::Incomplete { missing }));
        }
        let part = parts.split_to(length);
        self.layers.push((depth, Layer::Parts { lengths, parts }));
        Some(Ok(part))
    }

    fn compressed(&mut self, depth: usize, bytes: &Bytes) -> Result<(), Error> {
        let mut decoder = Decoder::new(bytes);
        decoder.byte()?;
        let plain = compressed::decode(&mut decoder, "a packet in bytes", self.room)?;
        self.room = self.room.saturating_sub(plain.len());
        self.push(depth, Layer::One(plain))
    }

    fn compound(&mut self, depth: usize, bytes: &Bytes) -> Result<(), Error> {
        let mut decoder = Decoder::new(bytes);
        decoder.byte()?;
        let count = usize::from(decoder.byte()?);
        let lengths = decoder.take(count.saturating_mul(2))?;
        let lengths = bytes.slice_ref(lengths);
        let parts = decoder.rest();
        self.push(depth, Layer::Parts { lengths, parts })
    }

    fn push(&mut self, depth: usize, layer: Layer) -> Result<(), Error> {
        if depth >= LAYERS_MAX {
            return Err(Error::TooDeep { max: LAYERS_MAX });
        }
        self.layers.push((depth.saturating_add(1), layer));
        Ok(())
    }
}

#[cfg(test)]
mod tests;
