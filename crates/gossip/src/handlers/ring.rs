//! [pure] The last bytes of much output.

use std::collections::VecDeque;

/// How much of what a script prints is kept (Serf 0.9.4).
pub(super) const OUTPUT_BYTES_MAX: usize = 8 << 10;

/// The last [`OUTPUT_BYTES_MAX`] bytes of what was written.
#[derive(Debug, Default)]
pub(super) struct Ring {
    kept: VecDeque<u8>,
    written: u64,
}

impl Ring {
    pub(super) fn write(&mut self, bytes: &[u8]) {
        self.written = self
            .written
            .saturating_add(u64::try_from(bytes.len()).unwrap_or(u64::MAX));
        let last = &bytes[bytes.len().saturating_sub(OUTPUT_BYTES_MAX)..];
        let excess = (self.kept.len() + last.len()).saturating_sub(OUTPUT_BYTES_MAX);
        self.kept.drain(..excess);
        self.kept.extend(last);
    }

    /// How much was written, kept or not.
    pub(super) const fn written(&self) -> u64 {
        self.written
    }

    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.kept.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_bytes_are_kept_however_they_come() {
        for piece in [1, 1000, 8191, 8192, 8193, 20_000] {
            let all: Vec<u8> = (0..20_000_u32)
                .map(|number| number.to_le_bytes()[0])
                .collect();
            let mut ring = Ring::default();
            for bytes in all.chunks(piece) {
                ring.write(bytes);
            }
            assert_eq!(ring.written(), 20_000);
            assert_eq!(
                ring.into_bytes(),
                all[20_000 - OUTPUT_BYTES_MAX..],
                "{piece}"
            );
        }
        let mut ring = Ring::default();
        ring.write(b"few");
        assert_eq!(ring.into_bytes(), b"few");
    }
}
