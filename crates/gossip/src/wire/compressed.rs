//! [pure] Compressed packets and streams: LZW as in GIF and in Go's `compress/lzw` (LSB first, literals of 8 bits).
#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use bytes::{BufMut, Bytes, BytesMut};
use weezl::{BitOrder, LzwStatus};

use super::Error;
use super::memberlist::code;
use super::msgpack::{Decoder, Encoder};

/// The one algorithm there is.
const LZW: u8 = 0;
const LITERAL_BITS: u8 = 8;
/// What is asked for at first and grows as it fills: what is compressed well costs no more at first than
/// what is not.
const ROOM_BYTES: usize = 1 << 10;

/// Reads the structure behind the code byte and decompresses what it holds.
///
/// # Errors
/// When it is of another algorithm, cut, broken, or more than `bytes_max` would come out.
pub(super) fn decode(
    decoder: &mut Decoder<'_>,
    what: &'static str,
    bytes_max: usize,
) -> Result<Bytes, Error> {
    let (mut algorithm, mut held): (u8, &[u8]) = (LZW, &[]);
    decoder.fields("compressed", &["Algo", "Buf"], |decoder, field| {
        match field {
            "Algo" => algorithm = decoder.uint()?,
            _ => held = decoder.slice()?,
        }
        Ok(())
    })?;
    if algorithm != LZW {
        return Err(Error::Unknown {
            what: "compression",
            code: algorithm.into(),
        });
    }
    decompress(held, what, bytes_max)
}

/// Writes `plain` compressed, code byte first, unless that takes more than `bytes_max`; answers whether it did.
pub(super) fn encode(plain: &[u8], bytes_max: usize, out: &mut BytesMut) -> bool {
    // The structure itself: code, map, two keys, algorithm, and the longest head of a string.
    const AROUND: usize = 1 + 1 + 5 + 1 + 4 + 5;
    let Some(held) = compress(plain, bytes_max.saturating_sub(AROUND)) else {
        return false;
    };
    out.reserve(held.len().saturating_add(AROUND));
    out.put_u8(code::COMPRESSED);
    let mut encoder = Encoder::gossip(out);
    encoder.map(2);
    encoder.key("Algo").uint(LZW);
    encoder.key("Buf").bytes(held);
    true
}

fn decompress(held: &[u8], what: &'static str, bytes_max: usize) -> Result<Bytes, Error> {
    let mut decoder = weezl::decode::Decoder::new(BitOrder::Lsb, LITERAL_BITS);
    let (mut rest, mut plain, mut length) = (held, Vec::new(), 0_usize);
    loop {
        if length == plain.len() {
            // One more than may come shows that more does.
            let room = plain.len().saturating_mul(2).max(ROOM_BYTES);
            plain.resize(room.min(bytes_max.saturating_add(1)), 0);
        }
        let room = plain.get_mut(length..).unwrap_or_default();
        let step = decoder.decode_bytes(rest, room);
        rest = rest.get(step.consumed_in..).unwrap_or_default();
        length = length.saturating_add(step.consumed_out);
        if length > bytes_max {
            return Err(Error::TooLarge {
                what,
                found: u64::try_from(length).unwrap_or(u64::MAX),
                max: bytes_max,
            });
        }
        match step.status {
            Ok(LzwStatus::Done) => break,
            Ok(LzwStatus::Ok) => {}
            // Without its end it is not whole.
            Ok(LzwStatus::NoProgress) | Err(_) => return Err(Error::Compressed),
        }
    }
    if length == 0 {
        return Err(Error::Empty {
            what: "what was compressed",
        });
    }
    plain.truncate(length);
    plain.shrink_to_fit();
    Ok(plain.into())
}

/// Nothing when it takes more than `bytes_max`.
fn compress(plain: &[u8], bytes_max: usize) -> Option<Vec<u8>> {
    let mut encoder = weezl::encode::Encoder::new(BitOrder::Lsb, LITERAL_BITS);
    encoder.finish();
    // Codes have 9 bits at least, and there is an end.
    let most = plain.len().saturating_mul(2).saturating_add(16);
    let mut held = vec![0; most.min(bytes_max)];
    let (mut rest, mut length) = (plain, 0_usize);
    loop {
        let step = encoder.encode_bytes(rest, held.get_mut(length..)?);
        rest = rest.get(step.consumed_in..)?;
        length = length.checked_add(step.consumed_out)?;
        match step.status {
            Ok(LzwStatus::Done) => break,
            Ok(LzwStatus::Ok) if length < held.len() => {}
            Ok(LzwStatus::Ok | LzwStatus::NoProgress) | Err(_) => return None,
        }
    }
    held.truncate(length);
    Some(held)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PLENTY: usize = 1 << 20;

    fn back(plain: &[u8], bytes_max: usize) -> Result<Bytes, Error> {
        let mut out = BytesMut::new();
        assert!(encode(plain, PLENTY, &mut out));
        let out = out.freeze();
        let mut decoder = Decoder::new(&out);
        assert_eq!(decoder.byte().unwrap(), code::COMPRESSED);
        decode(&mut decoder, "a packet in bytes", bytes_max)
    }

    #[test]
    fn what_was_compressed_comes_back_to_the_byte_at_the_limit() {
        let noise: Vec<u8> = (0..20_000_u32)
            .map(|at| at.wrapping_mul(2_654_435_761).to_be_bytes()[0])
            .collect();
        for length in [1, 2, 255, 1_024, 1_025, 20_000] {
            let noise = noise.get(..length).unwrap();
            for plain in [&vec![7; length], noise] {
                assert_eq!(back(plain, length).unwrap(), *plain, "{length}");
                if length > 1 {
                    let error = back(plain, length - 1).unwrap_err();
                    assert!(matches!(error, Error::TooLarge { .. }), "{error}");
                }
            }
        }
    }

    /// A few bytes that claim to hold much cost no more than the limit.
    #[test]
    fn a_bomb_is_refused() {
        let error = back(&vec![0; 900_000], 65_536).unwrap_err();
        assert_eq!(
            error.to_string(),
            "a packet in bytes of 65537 is more than 65536"
        );
    }

    #[test]
    fn what_does_not_get_smaller_is_left() {
        let mut out = BytesMut::new();
        assert!(!encode(b"abcdefgh", 8, &mut out));
        assert!(out.is_empty());
        assert!(encode(&[b'a'; 400], 399, &mut out));
        assert!(out.len() < 100);
    }

    #[test]
    fn an_unknown_algorithm_and_nothing_at_all_are_refused() {
        let decoded = |held: &[u8]| decode(&mut Decoder::over(held), "x", 9).unwrap_err();
        let error = decoded(b"\x82\xa4Algo\x01\xa3Buf\xa0");
        assert_eq!(error.to_string(), "compression 1 is unknown");
        assert_eq!(decoded(b"\x82\xa4Algo\x00\xa3Buf\xa0"), Error::Compressed);
        // A clear code and the end.
        let empty = b"\x82\xa4Algo\x00\xa3Buf\xa3\x00\x03\x02";
        assert!(matches!(decoded(empty), Error::Empty { .. }));
    }

    proptest! {
        #[test]
        fn any_bytes_come_back(plain in proptest::collection::vec(0_u8..4, 1..10_000)) {
            prop_assert_eq!(back(&plain, PLENTY).unwrap(), plain);
        }

        #[test]
        fn any_bytes_are_decompressed_or_refused(held: Vec<u8>) {
            if let Ok(plain) = decompress(&held, "x", 5_000) {
                prop_assert!((1..=5_000).contains(&plain.len()));
            }
        }
    }
}
