//! Reads a segment forwards, a window of it in memory at a time.

use std::io;
use std::path::Path;

use super::config::BATCH_BYTES_MAX;
use super::disk::DiskFile;
use super::frame::{
    ALIGN, FRAME_BYTES, Frame, HEADER_BYTES, Invalid, Peek, ROW_BYTES, SegmentHeader,
};
use crate::Error;

/// Bytes read at once, unless a single frame is larger.
const WINDOW_BYTES: usize = 256 << 10;
/// No frame is larger, whatever its header says.
const FRAME_BYTES_MAX: usize = FRAME_BYTES + BATCH_BYTES_MAX + ALIGN;
/// Partitions whose tails a header may list. More are a damaged number.
const ROWS_MAX: usize = 1 << 20;

/// A part of a file in memory, which moves forward as it is looked at.
pub(super) struct Window<'a> {
    file: &'a dyn DiskFile,
    size: u64,
    start: u64,
    bytes: Vec<u8>,
}

impl<'a> Window<'a> {
    pub(super) fn new(file: &'a dyn DiskFile) -> io::Result<Self> {
        Ok(Self {
            file,
            size: file.size()?,
            start: 0,
            bytes: Vec::new(),
        })
    }

    /// The bytes from `offset` on: at least `len`, fewer only where the file ends.
    fn at(&mut self, offset: u64, len: usize) -> io::Result<&[u8]> {
        let left = usize::try_from(self.size.saturating_sub(offset)).unwrap_or(usize::MAX);
        let wanted = len.min(left);
        let from = offset.checked_sub(self.start);
        let from = from.and_then(|from| usize::try_from(from).ok());
        let is_there = |from: &usize| from.saturating_add(wanted) <= self.bytes.len() && wanted > 0;
        if let Some(from) = from.filter(is_there) {
            return Ok(self.bytes.get(from..).unwrap_or_default());
        }
        self.bytes.resize(len.max(WINDOW_BYTES).min(left), 0);
        self.start = offset;
        if let Err(error) = self.file.read_at(&mut self.bytes, offset) {
            self.bytes.clear();
            return Err(error);
        }
        Ok(&self.bytes)
    }
}

/// The frames of a segment, one after the other.
pub(super) struct Frames<'a> {
    window: Window<'a>,
    salt: u64,
    offset: u64,
}

impl<'a> Frames<'a> {
    /// The frames of `file` from `offset` on.
    ///
    /// # Errors
    /// As the storage answers, here and below.
    pub(super) fn new(file: &'a dyn DiskFile, salt: u64, offset: u64) -> io::Result<Self> {
        let window = Window::new(file)?;
        Ok(Self {
            window,
            salt,
            offset,
        })
    }

    /// Where the next frame begins.
    pub(super) fn offset(&self) -> u64 {
        self.offset
    }

    /// What the next frame says of itself, unchecked.
    pub(super) fn peek(&mut self) -> io::Result<Option<Peek>> {
        let left = self.window.size.saturating_sub(self.offset);
        let peek = Peek::read(self.window.at(self.offset, FRAME_BYTES)?);
        // Memory is not taken for a length that no frame can have.
        let fits = |peek: &Peek| peek.size <= FRAME_BYTES_MAX && peek.size as u64 <= left;
        Ok(peek.filter(fits))
    }

    /// Goes past a frame that was looked at and is not wanted.
    pub(super) fn skip(&mut self, peek: &Peek) {
        self.offset = self.offset.saturating_add(peek.size as u64);
    }

    /// The next frame, checked. Stays where it is when there is none.
    pub(super) fn next(&mut self) -> io::Result<Result<Frame, Invalid>> {
        let Some(peek) = self.peek()? else {
            return Ok(Err(Invalid::NotAFrame));
        };
        let frame = Frame::decode(self.window.at(self.offset, peek.size)?, self.salt);
        if frame.is_ok() {
            self.skip(&peek);
        }
        Ok(frame)
    }

    /// Looks at every place from here to the end of the file where a frame could begin, until
    /// `found` says that one matters.
    pub(super) fn search(
        &mut self,
        mut found: impl FnMut(&Frame) -> bool,
    ) -> io::Result<Option<Frame>> {
        while self.offset < self.window.size {
            let bytes = self.window.at(self.offset, ALIGN)?;
            // A cheap look first: most of what follows is zeros, or an earlier use of the file.
            let places = bytes.chunks(ALIGN);
            let skipped = places.take_while(|place| !Frame::may_start(place)).count();
            if skipped > 0 {
                let skipped = skipped.saturating_mul(ALIGN) as u64;
                self.offset = self.offset.saturating_add(skipped);
                continue;
            }
            if let Some(peek) = self.peek()? {
                let bytes = self.window.at(self.offset, peek.size)?;
                if let Ok(frame) = Frame::decode(bytes, self.salt)
                    && found(&frame)
                {
                    return Ok(Some(frame));
                }
            }
            self.offset = self.offset.saturating_add(ALIGN as u64);
        }
        Ok(None)
    }
}

/// Reads a segment's header; the inner error says what is wrong with it.
///
/// # Errors
/// When the file cannot be read.
pub(super) fn read_header(
    file: &dyn DiskFile,
    path: &Path,
) -> Result<Result<SegmentHeader, String>, Error> {
    let doing = || Error::io(format!("read {}", path.display()));
    let mut window = Window::new(file).map_err(doing())?;
    let rows = SegmentHeader::rows(window.at(0, HEADER_BYTES).map_err(doing())?);
    let len = HEADER_BYTES.saturating_add(rows.min(ROWS_MAX).saturating_mul(ROW_BYTES));
    let bytes = window.at(0, len).map_err(doing())?;
    Ok(SegmentHeader::decode(bytes))
}
