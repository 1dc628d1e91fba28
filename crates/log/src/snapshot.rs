//! The bytes of a snapshot on their way to a backend and back, a piece at a time: a state may be larger
//! than what one would like to hold in memory twice.

use std::fmt;
use std::io::{self, BufRead, Read, Write};

use bytes::Bytes;

/// Bytes that are read or written at once.
pub(crate) const PIECE_BYTES: usize = 256 << 10;

type Writing = dyn FnOnce(&mut dyn Write) -> io::Result<()> + Send;

/// What a snapshot holds, written when a backend asks for it.
pub struct Data(Box<Writing>);

impl Data {
    /// What `write` writes. It is called once at most, on a thread that may block.
    pub fn new(write: impl FnOnce(&mut dyn Write) -> io::Result<()> + Send + 'static) -> Self {
        Self(Box::new(write))
    }

    /// Writes all of it.
    ///
    /// # Errors
    /// As `to` answers, and when the state cannot be written down.
    pub fn write_to(self, to: &mut dyn Write) -> io::Result<()> {
        (self.0)(to)
    }

    /// All of it.
    ///
    /// # Errors
    /// When the state cannot be written down.
    pub fn into_bytes(self) -> io::Result<Bytes> {
        let mut bytes = Vec::new();
        self.write_to(&mut bytes)?;
        Ok(bytes.into())
    }
}

impl From<Bytes> for Data {
    fn from(bytes: Bytes) -> Self {
        Self::new(move |to| to.write_all(&bytes))
    }
}

impl fmt::Debug for Data {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Data(..)")
    }
}

/// A snapshot that is read.
///
/// Has a buffer of its own, so that what reads byte by byte pays for no call of what lies behind.
pub struct Reader<'a> {
    from: Box<dyn Read + Send + 'a>,
    buffer: Box<[u8]>,
    /// What of the buffer is filled and not read.
    filled: std::ops::Range<usize>,
    left: u64,
}

impl<'a> Reader<'a> {
    /// Reads `len` bytes from there.
    pub(crate) fn new(from: impl Read + Send + 'a, len: u64) -> Self {
        let capacity = PIECE_BYTES.min(usize::try_from(len).unwrap_or(PIECE_BYTES));
        Self {
            from: Box::new(from),
            buffer: vec![0; capacity].into(),
            filled: 0..0,
            left: len,
        }
    }

    /// Bytes that are not read yet, so that a damaged count asks for no more memory than there is data.
    #[must_use]
    pub const fn left(&self) -> u64 {
        self.left
    }

    /// All that is left.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn into_bytes(mut self) -> io::Result<Bytes> {
        let mut bytes = Vec::new();
        self.read_to_end(&mut bytes)?;
        Ok(bytes.into())
    }

    #[inline]
    fn ready(&self) -> &[u8] {
        self.buffer.get(self.filled.clone()).unwrap_or_default()
    }
}

impl<'a> From<&'a [u8]> for Reader<'a> {
    fn from(bytes: &'a [u8]) -> Self {
        Self::new(bytes, u64::try_from(bytes.len()).unwrap_or(u64::MAX))
    }
}

impl From<Bytes> for Reader<'_> {
    fn from(bytes: Bytes) -> Self {
        let len = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        Self::new(io::Cursor::new(bytes), len)
    }
}

impl fmt::Debug for Reader<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Reader({} bytes left)", self.left)
    }
}

impl Read for Reader<'_> {
    #[inline]
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let mut ready = self.fill_buf()?;
        let read = ready.read(into)?;
        self.consume(read);
        Ok(read)
    }

    #[inline]
    fn read_exact(&mut self, into: &mut [u8]) -> io::Result<()> {
        if let Some(ready) = self.ready().get(..into.len()) {
            into.copy_from_slice(ready);
            self.consume(into.len());
            return Ok(());
        }
        let mut rest = into;
        while !rest.is_empty() {
            let read = self.read(rest)?;
            if read == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            rest = rest.get_mut(read..).unwrap_or_default();
        }
        Ok(())
    }
}

impl BufRead for Reader<'_> {
    #[inline]
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.filled.is_empty() {
            let read = self.from.read(&mut self.buffer)?;
            self.filled = 0..read;
        }
        Ok(self.ready())
    }

    #[inline]
    fn consume(&mut self, read: usize) {
        self.filled.start = self.filled.start.saturating_add(read).min(self.filled.end);
        self.left = self
            .left
            .saturating_sub(u64::try_from(read).unwrap_or(u64::MAX));
    }
}
