//! [pure] Where the frames of a WebSocket end (RFC 6455 §5.2), so that one of ours fits in between.
#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

/// A close frame of a server: FIN and opcode 8, two bytes, 1001 "going away" (RFC 6455 §7.4.1).
pub(super) const GOING_AWAY: [u8; 4] = [0x88, 2, 0x03, 0xe9];
/// The same of a client, masked with zeros (RFC 6455 §5.3).
pub(super) const GOING_AWAY_MASKED: [u8; 8] = [0x88, 0x82, 0, 0, 0, 0, 0x03, 0xe9];

/// The longest head: two bytes, eight of a length, four of a mask.
const HEAD_BYTES_MAX: usize = 14;

/// Follows the frames of one direction.
#[derive(Debug)]
pub(super) struct Frames {
    head: [u8; HEAD_BYTES_MAX],
    head_filled: usize,
    payload_left: u64,
    has_closed: bool,
}

impl Default for Frames {
    fn default() -> Self {
        Self {
            head: [0; HEAD_BYTES_MAX],
            head_filled: 0,
            payload_left: 0,
            has_closed: false,
        }
    }
}

impl Frames {
    /// Takes note of bytes that went by.
    pub(super) fn pass(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            if self.payload_left > 0 {
                let taken = usize::try_from(self.payload_left)
                    .unwrap_or(usize::MAX)
                    .min(bytes.len());
                self.payload_left = self
                    .payload_left
                    .saturating_sub(u64::try_from(taken).unwrap_or(u64::MAX));
                bytes = bytes.get(taken..).unwrap_or_default();
                continue;
            }
            let Some((&byte, rest)) = bytes.split_first() else {
                return;
            };
            bytes = rest;
            if let Some(place) = self.head.get_mut(self.head_filled) {
                *place = byte;
            }
            self.head_filled = self.head_filled.saturating_add(1);
            if let Some(payload) = self.payload() {
                self.has_closed |= self.head.first().is_some_and(|first| first & 0x0f == 8);
                self.payload_left = payload;
                self.head_filled = 0;
            }
        }
    }

    /// Whether a frame of ours may go next: between two frames, and before a close.
    pub(super) const fn is_between(&self) -> bool {
        self.head_filled == 0 && self.payload_left == 0 && !self.has_closed
    }

    /// The length of the payload, once the head is whole.
    fn payload(&self) -> Option<u64> {
        let (_, rest) = self.head.split_first()?;
        let (second, rest) = rest.split_first()?;
        if self.head_filled < 2 {
            return None;
        }
        let (length, length_bytes) = match second & 0x7f {
            126 => {
                let bytes = rest.first_chunk::<2>()?;
                (u64::from(u16::from_be_bytes(*bytes)), 2)
            }
            127 => (u64::from_be_bytes(*rest.first_chunk::<8>()?), 8),
            short => (u64::from(short), 0),
        };
        let mask_bytes: usize = if second & 0x80 == 0 { 0 } else { 4 };
        let head = mask_bytes.saturating_add(length_bytes).saturating_add(2);
        (self.head_filled >= head).then_some(length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(opcode: u8, length: usize, is_masked: bool) -> Vec<u8> {
        let mask = if is_masked { 0x80 } else { 0 };
        let mut frame = vec![0x80 | opcode];
        match length {
            0..=125 => frame.push(mask | u8::try_from(length).unwrap()),
            126..=65_535 => {
                frame.push(mask | 126);
                frame.extend(u16::try_from(length).unwrap().to_be_bytes());
            }
            _ => {
                frame.push(mask | 127);
                frame.extend(u64::try_from(length).unwrap().to_be_bytes());
            }
        }
        if is_masked {
            frame.extend([1, 2, 3, 4]);
        }
        frame.extend(vec![0xff; length]);
        frame
    }

    #[test]
    fn ends_of_frames_are_found_however_the_bytes_are_cut() {
        let lengths = [0, 1, 125, 126, 127, 65_535, 65_536];
        for is_masked in [false, true] {
            for cut in [1, 3, 7, 1000] {
                let mut frames = Frames::default();
                for length in lengths {
                    let frame = frame(2, length, is_masked);
                    let (last, before) = frame.split_last().unwrap();
                    for piece in before.chunks(cut) {
                        frames.pass(piece);
                        assert!(!frames.is_between(), "{length} {is_masked} {cut}");
                    }
                    frames.pass(&[*last]);
                    assert!(frames.is_between(), "{length} {is_masked} {cut}");
                }
            }
        }
    }

    #[test]
    fn nothing_goes_behind_a_close() {
        let mut frames = Frames::default();
        frames.pass(&frame(8, 2, false));
        assert!(!frames.is_between());
    }

    #[test]
    fn our_own_frames_are_frames() {
        for bytes in [GOING_AWAY.as_slice(), GOING_AWAY_MASKED.as_slice()] {
            let mut frames = Frames::default();
            frames.pass(bytes);
            assert!(frames.has_closed && frames.head_filled == 0 && frames.payload_left == 0);
        }
    }
}
