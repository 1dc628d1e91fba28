//! [pure] Values of msgpack out of bytes that anybody may have sent.
#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use bytes::Bytes;

use crate::wire::{Error, Name};

/// Reads one value after another.
///
/// It takes either dialect. Where a number, a string, bytes, a list or a structure is expected, nil is their
/// zero, as it is in Go. A failed read leaves the place where it was or behind it; there is no reading on.
#[derive(Clone, Debug)]
pub struct Decoder<'a> {
    /// What parts are shared of; without it they are copied.
    whole: Option<&'a Bytes>,
    rest: &'a [u8],
    total: usize,
}

/// The first bytes of a value, with all of it when it has no parts.
enum Head<'a> {
    Nil,
    Bool(bool),
    Uint(u64),
    /// Below zero.
    Int(i64),
    Float(f64),
    Raw(&'a [u8]),
    Bin(&'a [u8]),
    Array(usize),
    Map(usize),
    Extension,
}

impl<'a> Decoder<'a> {
    /// From the beginning of `whole`, of which [`Decoder::bytes`] gives parts without copying them.
    #[must_use]
    pub fn new(whole: &'a Bytes) -> Self {
        Self {
            whole: Some(whole),
            rest: whole,
            total: whole.len(),
        }
    }

    /// From the beginning of bytes that nobody shares, such as those of a connection so far: parts are copied.
    #[must_use]
    pub fn over(bytes: &'a [u8]) -> Self {
        Self {
            whole: None,
            rest: bytes,
            total: bytes.len(),
        }
    }

    /// What is not read yet.
    #[must_use]
    pub fn rest(&self) -> Bytes {
        self.share(self.rest)
    }

    /// How many bytes are read.
    #[must_use]
    pub fn position(&self) -> usize {
        self.total.saturating_sub(self.rest.len())
    }

    /// Whether all is read.
    #[must_use]
    pub fn is_at_end(&self) -> bool {
        self.rest.is_empty()
    }

    /// The next byte as it is, such as the code of a message before its structure.
    ///
    /// # Errors
    /// When there is none.
    pub fn byte(&mut self) -> Result<u8, Error> {
        let [byte] = self.fixed()?;
        Ok(byte)
    }

    /// The next bytes as they are.
    ///
    /// # Errors
    /// When there are fewer.
    pub fn take(&mut self, count: usize) -> Result<&'a [u8], Error> {
        let Some((taken, rest)) = self.rest.split_at_checked(count) else {
            let missing = count.saturating_sub(self.rest.len());
            return Err(Error::Incomplete { missing });
        };
        self.rest = rest;
        Ok(taken)
    }

    /// A truth; 0 and 1 are taken too.
    ///
    /// # Errors
    /// When it is something else, or cut.
    pub fn bool(&mut self) -> Result<bool, Error> {
        let (head, found) = self.head()?;
        match head {
            Head::Nil | Head::Uint(0) => Ok(false),
            Head::Uint(1) => Ok(true),
            Head::Bool(value) => Ok(value),
            _ => Err(unexpected("a boolean", found)),
        }
    }

    /// A number from 0 that fits into the field.
    ///
    /// # Errors
    /// When it is something else, out of range, or cut.
    pub fn uint<T: TryFrom<u64> + Bounded>(&mut self) -> Result<T, Error> {
        let (head, found) = self.head()?;
        let number = match head {
            Head::Nil => 0,
            Head::Uint(number) => number,
            Head::Int(number) => return Err(range(number.into(), T::LARGEST)),
            _ => return Err(unexpected("a number", found)),
        };
        T::try_from(number).map_err(|_too_large| range(number.into(), T::LARGEST))
    }

    /// A number with a sign.
    ///
    /// # Errors
    /// When it is something else, out of range, or cut.
    pub fn int(&mut self) -> Result<i64, Error> {
        let (head, found) = self.head()?;
        match head {
            Head::Nil => Ok(0),
            Head::Int(number) => Ok(number),
            Head::Uint(number) => i64::try_from(number)
                .map_err(|_too_large| range(number.into(), i64::MAX.unsigned_abs())),
            _ => Err(unexpected("a number", found)),
        }
    }

    /// A fraction; whole numbers are taken too.
    ///
    /// # Errors
    /// When it is something else, or cut.
    pub fn float(&mut self) -> Result<f64, Error> {
        let (head, found) = self.head()?;
        match head {
            Head::Nil => Ok(0.0),
            Head::Float(value) => Ok(value),
            #[expect(clippy::cast_precision_loss, reason = "as Go converts them")]
            Head::Uint(number) => Ok(number as f64),
            #[expect(clippy::cast_precision_loss, reason = "as Go converts them")]
            Head::Int(number) => Ok(number as f64),
            _ => Err(unexpected("a fraction", found)),
        }
    }

    /// A string, which need not be text. `bin` is none, as it is none to Serf.
    ///
    /// # Errors
    /// When it is something else, or cut.
    pub fn text(&mut self) -> Result<&'a [u8], Error> {
        let (head, found) = self.head()?;
        match head {
            Head::Nil => Ok(&[]),
            Head::Raw(bytes) => Ok(bytes),
            _ => Err(unexpected("a string", found)),
        }
    }

    /// A string as text; what is none is replaced.
    ///
    /// # Errors
    /// When it is something else, longer than `bytes_max`, or cut.
    pub fn string(&mut self, bytes_max: usize) -> Result<String, Error> {
        let text = bounded("a string", self.text()?, bytes_max)?;
        Ok(String::from_utf8_lossy(text).into_owned())
    }

    /// A string as a name, which may be empty.
    ///
    /// # Errors
    /// When it is something else, longer than `bytes_max`, or cut.
    pub fn name(&mut self, bytes_max: usize) -> Result<Name, Error> {
        Ok(Name::new(bounded("a name", self.text()?, bytes_max)?))
    }

    /// Bytes, in either dialect.
    ///
    /// # Errors
    /// When it is something else, or cut.
    pub fn slice(&mut self) -> Result<&'a [u8], Error> {
        let (head, found) = self.head()?;
        match head {
            Head::Nil => Ok(&[]),
            Head::Raw(bytes) | Head::Bin(bytes) => Ok(bytes),
            _ => Err(unexpected("bytes", found)),
        }
    }

    /// Bytes, in either dialect, which share those of the whole: who keeps them keeps the whole.
    ///
    /// # Errors
    /// When it is something else, or cut.
    pub fn bytes(&mut self) -> Result<Bytes, Error> {
        let bytes = self.slice()?;
        Ok(self.share(bytes))
    }

    /// The head of an array: how many values follow.
    ///
    /// # Errors
    /// When it is something else, more than `count_max`, or cut.
    pub fn array(&mut self, count_max: usize) -> Result<usize, Error> {
        let (head, found) = self.head()?;
        match head {
            Head::Nil => Ok(0),
            Head::Array(count) => counted("values in a list", count, count_max),
            _ => Err(unexpected("a list", found)),
        }
    }

    /// The head of a map: how many pairs of key and value follow.
    ///
    /// # Errors
    /// When it is something else, more than `count_max`, or cut.
    pub fn map(&mut self, count_max: usize) -> Result<usize, Error> {
        let (head, found) = self.head()?;
        match head {
            Head::Nil => Ok(0),
            Head::Map(count) => counted("pairs in a map", count, count_max),
            _ => Err(unexpected("a map", found)),
        }
    }

    /// Whether nil comes next; it is then read.
    pub fn nil(&mut self) -> bool {
        let is_nil = self.rest.first() == Some(&0xc0);
        if is_nil {
            self.rest = self.rest.get(1..).unwrap_or_default();
        }
        is_nil
    }

    /// A structure: calls `read` for each field that is there, with its name, to read its value.
    ///
    /// `fields` are in the order of declaration, in which a structure may come as an array. Fields that are
    /// not among them are passed over, whatever they hold; one that comes twice is read twice.
    ///
    /// # Errors
    /// When it is neither a map nor an array, or cut, and what `read` says, with the names of message and
    /// field.
    pub fn fields(
        &mut self,
        message: &'static str,
        fields: &[&'static str],
        mut read: impl FnMut(&mut Self, &'static str) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let (head, found) = self.head()?;
        match head {
            Head::Nil => {}
            Head::Map(count) => {
                for _ in 0..count {
                    let key = self.text()?;
                    let field = fields.iter().find(|field| field.as_bytes() == key);
                    let Some(field) = field else {
                        self.skip()?;
                        continue;
                    };
                    read(self, field).map_err(|error| error.of(message, field))?;
                }
            }
            Head::Array(count) => {
                for field in fields.iter().take(count) {
                    read(self, field).map_err(|error| error.of(message, field))?;
                }
                for _ in fields.len()..count {
                    self.skip()?;
                }
            }
            _ => return Err(unexpected(message, found)),
        }
        Ok(())
    }

    /// Passes over one value of any kind, with all its parts, however deep: nothing is kept of the way down.
    ///
    /// # Errors
    /// When it is cut.
    pub fn skip(&mut self) -> Result<(), Error> {
        self.skip_few(usize::MAX)
    }

    /// The same with a limit on its parts, however long they are: for what is looked at again when more of it
    /// has come.
    ///
    /// # Errors
    /// When it is cut, or has more than `values_max` parts.
    pub fn skip_few(&mut self, values_max: usize) -> Result<(), Error> {
        // Invariant: each turn reads a byte at least, so there are no more turns than bytes.
        let (mut outstanding, mut seen) = (1_usize, 0_usize);
        while let Some(others) = outstanding.checked_sub(1) {
            seen = counted("values in a structure", seen.saturating_add(1), values_max)?;
            let (head, _) = self.head()?;
            let parts = match head {
                Head::Array(count) => count,
                Head::Map(count) => count.saturating_mul(2),
                _ => 0,
            };
            outstanding = others.saturating_add(parts);
        }
        Ok(())
    }

    fn share(&self, bytes: &'a [u8]) -> Bytes {
        match self.whole {
            // Nothing keeps nothing alive.
            Some(whole) if !bytes.is_empty() => whole.slice_ref(bytes),
            _ => Bytes::copy_from_slice(bytes),
        }
    }

    fn head(&mut self) -> Result<(Head<'a>, u8), Error> {
        let marker = self.byte()?;
        let head = match marker {
            0x00..=0x7f => Head::Uint(marker.into()),
            0x80..=0x8f => Head::Map((marker & 0x0f).into()),
            0x90..=0x9f => Head::Array((marker & 0x0f).into()),
            0xa0..=0xbf => Head::Raw(self.take((marker & 0x1f).into())?),
            0xc0 => Head::Nil,
            0xc2 => Head::Bool(false),
            0xc3 => Head::Bool(true),
            0xc4..=0xc6 => {
                let length = self.length(marker, 0xc4)?;
                Head::Bin(self.take(length)?)
            }
            0xca => Head::Float(f32::from_be_bytes(self.fixed()?).into()),
            0xcb => Head::Float(f64::from_be_bytes(self.fixed()?)),
            0xcc => Head::Uint(u8::from_be_bytes(self.fixed()?).into()),
            0xcd => Head::Uint(u16::from_be_bytes(self.fixed()?).into()),
            0xce => Head::Uint(u32::from_be_bytes(self.fixed()?).into()),
            0xcf => Head::Uint(u64::from_be_bytes(self.fixed()?)),
            0xd0 => signed(i8::from_be_bytes(self.fixed()?).into()),
            0xd1 => signed(i16::from_be_bytes(self.fixed()?).into()),
            0xd2 => signed(i32::from_be_bytes(self.fixed()?).into()),
            0xd3 => signed(i64::from_be_bytes(self.fixed()?)),
            0xd9..=0xdb => {
                let length = self.length(marker, 0xd9)?;
                Head::Raw(self.take(length)?)
            }
            0xdc | 0xdd => Head::Array(self.length(marker, 0xdb)?),
            0xde | 0xdf => Head::Map(self.length(marker, 0xdd)?),
            0xe0..=0xff => Head::Int(i8::from_be_bytes([marker]).into()),
            0xc1 => return Err(unexpected("a value", marker)),
            0xc7..=0xc9 | 0xd4..=0xd8 => {
                self.extension(marker)?;
                Head::Extension
            }
        };
        Ok((head, marker))
    }

    /// Passes over an extension: nobody on these wires gives one a meaning.
    fn extension(&mut self, marker: u8) -> Result<(), Error> {
        let length = match marker {
            0xc7..=0xc9 => self.length(marker, 0xc7)?,
            0xd4 => 1,
            0xd5 => 2,
            0xd6 => 4,
            0xd7 => 8,
            _ => 16,
        };
        self.take(length.saturating_add(1))?;
        Ok(())
    }

    /// The length behind a marker: `first` is the marker of its family with a length of 8 bits, which in some
    /// families does not exist.
    fn length(&mut self, marker: u8, first: u8) -> Result<usize, Error> {
        Ok(match marker.saturating_sub(first) {
            0 => u8::from_be_bytes(self.fixed()?).into(),
            1 => u16::from_be_bytes(self.fixed()?).into(),
            _ => usize::try_from(u32::from_be_bytes(self.fixed()?)).unwrap_or(usize::MAX),
        })
    }

    fn fixed<const N: usize>(&mut self) -> Result<[u8; N], Error> {
        let Some((fixed, rest)) = self.rest.split_first_chunk() else {
            let missing = N.saturating_sub(self.rest.len());
            return Err(Error::Incomplete { missing });
        };
        self.rest = rest;
        Ok(*fixed)
    }
}

/// An unsigned number, and the largest of its kind, to say so.
pub trait Bounded {
    /// The largest.
    const LARGEST: u64;
}

impl Bounded for u8 {
    const LARGEST: u64 = 0xff;
}

impl Bounded for u16 {
    const LARGEST: u64 = 0xffff;
}

impl Bounded for u32 {
    const LARGEST: u64 = 0xffff_ffff;
}

impl Bounded for u64 {
    const LARGEST: Self = Self::MAX;
}

fn signed<'a>(number: i64) -> Head<'a> {
    u64::try_from(number).map_or(Head::Int(number), Head::Uint)
}

fn unexpected(expected: &'static str, found: u8) -> Error {
    Error::Unexpected { expected, found }
}

fn range(number: i128, max: u64) -> Error {
    Error::Range { number, max }
}

fn bounded<'a>(what: &'static str, bytes: &'a [u8], max: usize) -> Result<&'a [u8], Error> {
    counted(what, bytes.len(), max).map(|_fits| bytes)
}

fn counted(what: &'static str, count: usize, max: usize) -> Result<usize, Error> {
    if count > max {
        let found = u64::try_from(count).unwrap_or(u64::MAX);
        return Err(Error::TooLarge { what, found, max });
    }
    Ok(count)
}
