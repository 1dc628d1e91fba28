//! [pure] Where a body ends (RFC 9112 §6 and §7).

use std::ops::Range;

/// The longest line of a chunk's size, its extensions included. What is longer comes from nobody who
/// means well.
const SIZE_LINE_BYTES_MAX: usize = 4 << 10;
/// The most bytes of the fields behind the last chunk.
const TRAILER_BYTES_MAX: usize = 16 << 10;

/// How the end of a body is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// By the number of its bytes.
    Length(u64),
    /// By a chunk of no bytes.
    Chunked,
    /// By the end of the connection.
    UntilClose,
}

/// The chunks of a body are not as RFC 9112 §7.1 says, or the body ended too early.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Malformed(pub &'static str);

/// What was found at the front of some bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// How many of the bytes were used.
    pub used: usize,
    /// Which of those are the body's.
    pub data: Range<usize>,
}

/// Reads a body piece by piece.
#[derive(Debug)]
pub struct BodyReader(State);

#[derive(Clone, Copy, Debug)]
enum State {
    Length(u64),
    UntilClose,
    /// The line of a chunk's size: its digits so far, their value, whether they have ended, and the
    /// bytes of the line.
    Size {
        digits: u8,
        size: u64,
        is_over: bool,
        bytes: usize,
    },
    /// The second byte of that line's end.
    SizeEnd(u64),
    Data(u64),
    /// The line end behind a chunk: its second byte is awaited or not.
    DataEnd {
        has_return: bool,
    },
    /// Fields behind the last chunk, and the bytes of all of them.
    Trailer {
        line: Line,
        bytes: usize,
    },
    Done,
}

/// Where a reader is in a line of those fields.
#[derive(Clone, Copy, Debug)]
enum Line {
    Begins,
    Goes,
    /// The second byte of a line's end is awaited: of a line, and of the empty one.
    Ends,
    EmptyEnds,
}

const SIZE: State = State::Size {
    digits: 0,
    size: 0,
    is_over: false,
    bytes: 0,
};

const WRONG_SIZE: Malformed = Malformed("a chunk's size cannot be read");

/// A chunk's size of more hexadecimal digits would not fit.
const SIZE_DIGITS_MAX: u8 = 16;

impl BodyReader {
    /// At the beginning of a body.
    #[must_use]
    pub const fn new(framing: Framing) -> Self {
        Self(match framing {
            Framing::Length(0) => State::Done,
            Framing::Length(length) => State::Length(length),
            Framing::Chunked => SIZE,
            Framing::UntilClose => State::UntilClose,
        })
    }

    /// Whether the body was read to its end.
    #[must_use]
    pub const fn is_done(&self) -> bool {
        matches!(self.0, State::Done)
    }

    /// The bytes that are still to come, when that is known.
    #[must_use]
    pub const fn left(&self) -> Option<u64> {
        match self.0 {
            State::Length(left) => Some(left),
            State::Done => Some(0),
            _chunks_or_close => None,
        }
    }

    /// The connection has ended.
    ///
    /// # Errors
    /// When the body has not.
    pub fn end(&mut self) -> Result<(), Malformed> {
        match self.0 {
            State::UntilClose | State::Done => {
                self.0 = State::Done;
                Ok(())
            }
            _more_must_come => Err(Malformed("the body broke off")),
        }
    }

    /// Reads on at the front of the bytes, up to the first piece of the body or the end of the bytes.
    ///
    /// # Errors
    /// When chunks are not as they must be.
    pub fn read(&mut self, bytes: &[u8]) -> Result<Step, Malformed> {
        let mut used = 0;
        while let Some(byte) = bytes.get(used) {
            let ahead = bytes.len() - used;
            let taken = match &mut self.0 {
                State::Done => break,
                State::UntilClose => ahead,
                State::Length(left) | State::Data(left) => {
                    let taken = usize::try_from(*left).unwrap_or(usize::MAX).min(ahead);
                    *left -= u64::try_from(taken).unwrap_or(0);
                    taken
                }
                _between_chunks => 0,
            };
            if taken > 0 {
                self.pass_empty();
                let data = used..used + taken;
                return Ok(Step {
                    used: data.end,
                    data,
                });
            }
            self.0 = self.step(*byte)?;
            used += 1;
        }
        Ok(Step {
            used,
            data: used..used,
        })
    }

    /// What has no byte left ends.
    const fn pass_empty(&mut self) {
        match self.0 {
            State::Length(0) => self.0 = State::Done,
            State::Data(0) => self.0 = State::DataEnd { has_return: false },
            _others => {}
        }
    }

    /// One byte between chunks. Lines end with CR LF: a reader that takes less can be told another
    /// length than the next one.
    fn step(&self, byte: u8) -> Result<State, Malformed> {
        match self.0 {
            State::Size {
                digits,
                size,
                is_over,
                bytes,
            } => size_line(byte, digits, size, is_over, bytes),
            State::SizeEnd(size) => match (byte, size) {
                (b'\n', 0) => Ok(State::Trailer {
                    line: Line::Begins,
                    bytes: 0,
                }),
                (b'\n', size) => Ok(State::Data(size)),
                _other => Err(WRONG_SIZE),
            },
            State::DataEnd { has_return } => match (has_return, byte) {
                (false, b'\r') => Ok(State::DataEnd { has_return: true }),
                (true, b'\n') => Ok(SIZE),
                _other => Err(Malformed("a chunk is longer than it says")),
            },
            State::Trailer { line, bytes } => trailer(byte, line, bytes),
            State::Length(_) | State::UntilClose | State::Data(_) | State::Done => {
                Err(Malformed("a piece without bytes"))
            }
        }
    }
}

fn size_line(
    byte: u8,
    digits: u8,
    size: u64,
    is_over: bool,
    bytes: usize,
) -> Result<State, Malformed> {
    if bytes >= SIZE_LINE_BYTES_MAX {
        return Err(Malformed("the line of a chunk's size is too long"));
    }
    let line = |digits, size, is_over| State::Size {
        digits,
        size,
        is_over,
        bytes: bytes + 1,
    };
    match byte {
        b'\r' if digits > 0 => Ok(State::SizeEnd(size)),
        b';' | b' ' | b'\t' if digits > 0 => Ok(line(digits, size, true)),
        // Extensions mean nothing to us (RFC 9112 §7.1.1).
        b'\t' | b' '..=b'~' | 0x80.. if is_over => Ok(line(digits, size, true)),
        _digit if !is_over && digits < SIZE_DIGITS_MAX => {
            let digit = char::from(byte).to_digit(16).ok_or(WRONG_SIZE)?;
            Ok(line(digits + 1, size << 4 | u64::from(digit), false))
        }
        _other => Err(WRONG_SIZE),
    }
}

/// Fields behind the body are read over: nobody here knows what they mean.
fn trailer(byte: u8, line: Line, bytes: usize) -> Result<State, Malformed> {
    if bytes >= TRAILER_BYTES_MAX {
        return Err(Malformed("the fields behind the body are too long"));
    }
    let line = match (line, byte) {
        (Line::EmptyEnds, b'\n') => return Ok(State::Done),
        (Line::Ends, b'\n') => Line::Begins,
        (Line::EmptyEnds | Line::Ends, _) | (_, b'\n') => {
            return Err(Malformed("the fields behind the body cannot be read"));
        }
        (Line::Begins, b'\r') => Line::EmptyEnds,
        (Line::Goes, b'\r') => Line::Ends,
        (Line::Begins | Line::Goes, _) => Line::Goes,
    };
    Ok(State::Trailer {
        line,
        bytes: bytes + 1,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The body and what follows it, given in pieces of this size.
    fn read(framing: Framing, bytes: &[u8], piece: usize) -> Result<(Vec<u8>, usize), Malformed> {
        let mut reader = BodyReader::new(framing);
        let (mut body, mut at, mut end) = (Vec::new(), 0, 0);
        while !reader.is_done() {
            if at == end {
                if end == bytes.len() {
                    reader.end()?;
                    break;
                }
                end = (end + piece).min(bytes.len());
            }
            let step = reader.read(&bytes[at..end])?;
            body.extend_from_slice(&bytes[at..end][step.data]);
            at += step.used;
        }
        Ok((body, at))
    }

    #[test]
    fn bodies_end_where_their_framing_says() {
        for piece in 1..20 {
            let some = read(Framing::Length(5), b"salutHTTP", piece).unwrap();
            assert_eq!(some, (b"salut".to_vec(), 5));
            let all = read(Framing::UntilClose, b"salut", piece).unwrap();
            assert_eq!(all, (b"salut".to_vec(), 5));
            let none = read(Framing::Length(0), b"HTTP", piece).unwrap();
            assert_eq!(none, (Vec::new(), 0));
            let text = b"3\r\nsal\r\n2;a=\"b\"\r\nut\r\n00\r\nX-Sum: 1\r\nY:\r\n\r\nHTTP";
            let chunks = read(Framing::Chunked, text, piece).unwrap();
            assert_eq!(chunks, (b"salut".to_vec(), text.len() - 4));
        }
    }

    #[test]
    fn what_two_readers_could_read_differently_is_refused() {
        for text in [
            "",
            "5\r\nsal",
            "\r\n",
            "5\nsalut\r\n0\r\n\r\n",
            "5\r\nsalut0\r\n\r\n",
            "5\r\nsalut\n0\r\n\r\n",
            "5 \rx",
            "0x5\r\nsalut\r\n0\r\n\r\n",
            "-5\r\n",
            "g\r\n",
            "00000000000000005\r\n",
            "0\r\n\n",
            "0\r\na: b\n\r\n",
            "0\r\n\rx",
        ] {
            assert!(
                read(Framing::Chunked, text.as_bytes(), 64).is_err(),
                "{text:?}"
            );
        }
        assert!(read(Framing::Length(5), b"salu", 64).is_err());
        let line = format!("5;{}", "x".repeat(SIZE_LINE_BYTES_MAX));
        assert!(read(Framing::Chunked, line.as_bytes(), 64).is_err());
        let fields = format!("0\r\n{}", "x: y\r\n".repeat(TRAILER_BYTES_MAX / 6 + 1));
        assert!(read(Framing::Chunked, fields.as_bytes(), 64).is_err());
    }

    proptest! {
        #[test]
        fn chunks_are_put_together_again(
            pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..40), 0..8),
            piece in 1_usize..64,
        ) {
            let mut text = Vec::new();
            for piece in &pieces {
                text.extend_from_slice(format!("{:X}\r\n", piece.len()).as_bytes());
                text.extend_from_slice(piece);
                text.extend_from_slice(b"\r\n");
            }
            text.extend_from_slice(b"0\r\n\r\n");
            let (body, used) = read(Framing::Chunked, &text, piece).unwrap();
            prop_assert_eq!(body, pieces.concat());
            prop_assert_eq!(used, text.len());
        }

        #[test]
        fn no_bytes_are_read_beyond_what_there_is(
            bytes in prop::collection::vec(any::<u8>(), 0..200),
            piece in 1_usize..64,
        ) {
            if let Ok((_body, used)) = read(Framing::Chunked, &bytes, piece) {
                prop_assert!(used <= bytes.len());
            }
        }
    }
}
