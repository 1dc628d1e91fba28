//! [pure] A frame out of the bytes of a connection, in whatever pieces they come.
#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use bytes::{Buf, Bytes, BytesMut};

use super::{
    Frame, PLAIN_BYTES_MAX, SEALED_HEAD_BYTES, STREAM_BYTES_MAX, STRUCTURE_BYTES_MAX, Side,
    too_long, unknown, user_bytes,
};
use crate::wire::keyring::SEAL_BYTES;
use crate::wire::memberlist::{Header, code};
use crate::wire::msgpack::Decoder;
use crate::wire::{Envelope, Error, compressed};

/// The most values in the structure around compressed bytes; there are five.
const COMPRESSED_VALUES_MAX: usize = 64;

/// Reads one frame.
///
/// Bytes are kept only as they come: what a length claims is not made room for. Nothing of what was looked at
/// is looked at again, but for the one structure that is not whole yet.
#[derive(Debug)]
pub struct Reader {
    buffer: BytesMut,
    stage: Stage,
    /// With fewer bytes there is nothing to look at.
    wanted: usize,
    is_begun: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// A label may come first.
    Label,
    /// The code of what is outermost.
    Code,
    /// A push/pull: so many members are still to come, the next at this place.
    States {
        left: usize,
        at: usize,
        user_state_bytes: usize,
    },
    /// The frame was given out.
    Done,
}

impl Reader {
    /// For what the other side writes.
    #[must_use]
    pub fn new(writer: Side) -> Self {
        let stage = match writer {
            Side::Request => Stage::Label,
            Side::Answer => Stage::Code,
        };
        Self {
            buffer: BytesMut::new(),
            stage,
            wanted: 1,
            is_begun: false,
        }
    }

    /// Where bytes from the connection are put behind those that are there. [`Reader::next`] is to be asked
    /// after each time, so that the limits hold.
    pub fn buffer(&mut self) -> &mut BytesMut {
        &mut self.buffer
    }

    /// Whether bytes have come of which nothing was given out yet: a connection that ends here was cut.
    #[must_use]
    pub fn is_cut(&self) -> bool {
        self.stage != Stage::Done && (self.is_begun || !self.buffer.is_empty())
    }

    /// The frame, once all of it is there; nothing until then and after.
    ///
    /// # Errors
    /// When the label is not ours, no key fits, it is plain and must not be, or encrypted and there is no key,
    /// it is broken, or beyond a limit. There is no reading on then.
    pub fn next(&mut self, envelope: &Envelope) -> Result<Option<Frame>, Error> {
        if self.stage == Stage::Done || self.buffer.len() < self.wanted {
            return Ok(None);
        }
        self.is_begun = true;
        match self.advance(envelope) {
            Ok(frame) => {
                self.stage = Stage::Done;
                self.buffer = BytesMut::new();
                Ok(Some(frame))
            }
            Err(Error::Incomplete { missing }) => {
                self.wanted = self.buffer.len().saturating_add(missing.max(1));
                if self.wanted > STREAM_BYTES_MAX {
                    return Err(too_long(self.wanted));
                }
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// [`Error::Incomplete`] without a field around it means that more must come.
    fn advance(&mut self, envelope: &Envelope) -> Result<Frame, Error> {
        if self.stage == Stage::Label {
            let label = envelope.check_label(&self.buffer)?;
            self.buffer.advance(label);
            self.stage = Stage::Code;
        }
        let Some(&first) = self.buffer.first() else {
            return Err(Error::Incomplete { missing: 1 });
        };
        if first == code::ENCRYPTED {
            return self.encrypted(envelope);
        }
        if envelope.keyring().is_some() && !envelope.takes_plain {
            return Err(Error::NotEncrypted);
        }
        let length = self.measure(first)?;
        let frame = self.buffer.split_to(length).freeze();
        whole(&frame).map_err(cut_inside)
    }

    fn encrypted(&mut self, envelope: &Envelope) -> Result<Frame, Error> {
        let Some(keyring) = envelope.keyring() else {
            return Err(Error::Encrypted);
        };
        let mut decoder = Decoder::over(&self.buffer);
        let head = decoder.take(SEALED_HEAD_BYTES)?;
        let mut associated = head.to_vec();
        associated.extend_from_slice(envelope.label());
        let length = head.last_chunk().copied().map_or(0, u32::from_be_bytes);
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        if length < SEAL_BYTES {
            return Err(Error::NoKey);
        }
        if length > STREAM_BYTES_MAX {
            return Err(too_long(length));
        }
        decoder.take(length)?;
        self.buffer.advance(SEALED_HEAD_BYTES);
        let mut sealed = self.buffer.split_to(length);
        let plain = keyring.open(&associated, &mut sealed)?;
        let plain = sealed.freeze().slice(plain);
        whole(&plain).map_err(cut_inside)
    }

    /// How long the frame is that begins the buffer.
    fn measure(&mut self, code: u8) -> Result<usize, Error> {
        if let Stage::States {
            left,
            at,
            user_state_bytes,
        } = self.stage
        {
            return self.states(left, at, user_state_bytes);
        }
        let mut decoder = Decoder::over(&self.buffer);
        decoder.byte()?;
        match code {
            code::COMPRESSED => decoder.skip_few(COMPRESSED_VALUES_MAX)?,
            code::PING | code::ACK | code::ERROR => {
                small(&self.buffer, 0, decoder.skip())?;
            }
            code::USER => {
                let length = small(&self.buffer, 0, user_bytes(&mut decoder))?;
                decoder.take(length)?;
            }
            code::PUSH_PULL => {
                let header = small(&self.buffer, 0, Header::decode(&mut decoder))?;
                let at = decoder.position();
                return self.states(header.states, at, header.user_state_bytes);
            }
            code => return Err(unknown(code)),
        }
        Ok(decoder.position())
    }

    /// Passes over the members of a push/pull and its user state.
    fn states(
        &mut self,
        mut left: usize,
        mut at: usize,
        user_state_bytes: usize,
    ) -> Result<usize, Error> {
        while left > 0 {
            let rest = self.buffer.get(at..).unwrap_or_default();
            let mut decoder = Decoder::over(rest);
            let skipped = small(&self.buffer, at, decoder.skip());
            if skipped.is_ok() {
                at = at.saturating_add(decoder.position());
                left = left.saturating_sub(1);
            }
            self.stage = Stage::States {
                left,
                at,
                user_state_bytes,
            };
            skipped?;
        }
        let length = at.saturating_add(user_state_bytes);
        let missing = length.saturating_sub(self.buffer.len());
        if missing > 0 {
            return Err(Error::Incomplete { missing });
        }
        Ok(length)
    }
}

/// A frame of which all is there, perhaps compressed.
fn whole(bytes: &Bytes) -> Result<Frame, Error> {
    if bytes.first() != Some(&code::COMPRESSED) {
        return Frame::decode(bytes);
    }
    let mut decoder = Decoder::new(bytes);
    decoder.byte()?;
    let plain = compressed::decode(&mut decoder, "a stream in bytes", PLAIN_BYTES_MAX)?;
    Frame::decode(&plain)
}

/// What is cut inside of something whole stays cut, whatever still comes.
fn cut_inside(error: Error) -> Error {
    if error.is_incomplete() {
        return error.of("stream", "frame");
    }
    error
}

/// A structure that is not whole yet must become so within its limit; without one, whoever sends it byte by
/// byte would have it looked at from its beginning each time.
fn small<T>(buffer: &BytesMut, at: usize, read: Result<T, Error>) -> Result<T, Error> {
    match read {
        Err(error) if error.is_incomplete() => {
            let bytes = buffer.len().saturating_sub(at);
            if bytes > STRUCTURE_BYTES_MAX {
                return Err(Error::TooLarge {
                    what: "a structure in bytes",
                    found: u64::try_from(bytes).unwrap_or(u64::MAX),
                    max: STRUCTURE_BYTES_MAX,
                });
            }
            Err(Error::Incomplete {
                missing: error.missing(),
            })
        }
        read => read,
    }
}
