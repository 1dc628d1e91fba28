//! Bytes that were read from a connection and not used yet.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, ReadBuf};

/// What a buffer begins with, and goes back to: most heads and short bodies fit.
const BYTES_FIRST: usize = 4 << 10;

/// Bytes that were read from a connection and not used yet.
#[derive(Debug, Default)]
pub struct Buffer {
    /// All of it initialised, so that reading needs no care.
    bytes: Vec<u8>,
    start: usize,
    end: usize,
}

impl Buffer {
    /// A buffer that holds these bytes.
    #[must_use]
    pub fn holding(bytes: &[u8]) -> Self {
        let mut buffer = Self::default();
        if !bytes.is_empty() {
            buffer.bytes.extend_from_slice(bytes);
            buffer.end = bytes.len();
        }
        buffer
    }

    /// What is there.
    #[must_use]
    pub fn filled(&self) -> &[u8] {
        &self.bytes[self.start..self.end]
    }

    /// Bytes at the front have been used.
    pub fn consume(&mut self, count: usize) {
        self.start = (self.start + count).min(self.end);
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
        }
    }

    /// Grows to this size, so that more is read at once.
    pub fn reserve(&mut self, size: usize) {
        if size > self.bytes.len() {
            self.bytes.resize(size, 0);
        }
    }

    /// Gives back what a long body took.
    pub fn shrink(&mut self) {
        if self.bytes.len() > BYTES_FIRST && self.end - self.start <= BYTES_FIRST {
            *self = Self::holding(self.filled());
        }
    }

    /// Reads what there is into the free part, which grows to `max` bytes in all. Answers how many
    /// bytes came: none at the end of the connection, and none when the buffer is full.
    pub fn poll_fill<S: AsyncRead + Unpin>(
        &mut self,
        stream: &mut S,
        cx: &mut Context<'_>,
        max: usize,
    ) -> Poll<io::Result<usize>> {
        if !self.make_room(max) {
            return Poll::Ready(Ok(0));
        }
        let mut free = ReadBuf::new(&mut self.bytes[self.end..]);
        ready!(Pin::new(stream).poll_read(cx, &mut free))?;
        let count = free.filled().len();
        self.end += count;
        Poll::Ready(Ok(count))
    }

    /// Whether more can be read when the buffer may have `max` bytes.
    #[must_use]
    pub fn has_room(&self, max: usize) -> bool {
        self.end - self.start < max
    }

    fn make_room(&mut self, max: usize) -> bool {
        if self.end < self.bytes.len() {
            return true;
        }
        if self.start > 0 {
            self.bytes.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
            return true;
        }
        let size = (self.bytes.len() * 2).clamp(BYTES_FIRST, max.max(BYTES_FIRST));
        let grows = size > self.bytes.len();
        if grows {
            self.bytes.resize(size, 0);
        }
        grows
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use super::*;

    async fn fill(buffer: &mut Buffer, stream: &mut &[u8], max: usize) -> usize {
        poll_fn(|cx| buffer.poll_fill(stream, cx, max))
            .await
            .unwrap()
    }

    #[tokio::test]
    async fn bytes_move_to_the_front_before_the_buffer_grows() {
        let text: Vec<u8> = (0..=255).cycle().take(3 * BYTES_FIRST).collect();
        let mut stream = text.as_slice();
        let mut buffer = Buffer::default();
        assert_eq!(
            fill(&mut buffer, &mut stream, BYTES_FIRST).await,
            BYTES_FIRST
        );
        assert!(!buffer.has_room(BYTES_FIRST));
        assert_eq!(fill(&mut buffer, &mut stream, BYTES_FIRST).await, 0);
        buffer.consume(100);
        assert_eq!(fill(&mut buffer, &mut stream, BYTES_FIRST).await, 100);
        assert_eq!(buffer.filled(), &text[100..BYTES_FIRST + 100]);
        assert_eq!(fill(&mut buffer, &mut stream, 1 << 20).await, BYTES_FIRST);
        assert_eq!(buffer.filled(), &text[100..2 * BYTES_FIRST + 100]);
        buffer.consume(2 * BYTES_FIRST - 3);
        buffer.shrink();
        assert_eq!(buffer.filled().len(), 3);
        buffer.consume(usize::MAX / 2);
        assert!(buffer.filled().is_empty());
    }
}
