//! Msgpack of arbitrary bytes: values end where another reader sees their end, and are written in both dialects
//! and read again.
#![no_main]

use bytes::{Bytes, BytesMut};
use libfuzzer_sys::fuzz_target;
use serde::Deserialize as _;
use serde::de::IgnoredAny;
use taraf_gossip::wire::msgpack::{Decoder, Dialect, Encoder};

fuzz_target!(|bytes: &[u8]| {
    let bytes = Bytes::copy_from_slice(bytes);
    let mut decoder = Decoder::new(&bytes);
    while !decoder.is_at_end() {
        let start = decoder.position();
        let value = decoder.clone();
        let skipped = decoder.skip();
        let end = end_of_value(&bytes[start..]);
        if let Some(end) = end {
            assert!(
                skipped.is_ok(),
                "not passed over: {:?}",
                &bytes[start..start + end]
            );
            assert_eq!(decoder.position(), start + end);
        }
        if skipped.is_err() {
            break;
        }
        typed(&value, decoder.position());
        fields(&value, decoder.position());
    }
});

/// Where another reader sees the end; nothing when it refuses the value, as it does what is nested deeply.
fn end_of_value(bytes: &[u8]) -> Option<usize> {
    let mut rest = bytes;
    let mut other = rmp_serde::Deserializer::new(&mut rest);
    IgnoredAny::deserialize(&mut other).ok()?;
    Some(bytes.len() - rest.len())
}

/// As whatever it is: read, written and read again.
fn typed(value: &Decoder<'_>, end: usize) {
    for dialect in [Dialect::Gossip, Dialect::Rpc] {
        let mut out = BytesMut::new();
        let mut encoder = Encoder::new(&mut out, dialect);
        let mut reader = value.clone();
        let (bool, uint, int) = (
            value.clone().bool().ok(),
            value.clone().uint::<u64>().ok(),
            value.clone().int().ok(),
        );
        let (text, slice) = (value.clone().text().ok(), value.clone().slice().ok());
        bool.into_iter().for_each(|it| encoder.bool(it));
        uint.into_iter().for_each(|it| encoder.uint(it));
        int.into_iter().for_each(|it| encoder.int(it));
        text.into_iter().for_each(|it| encoder.text(it));
        slice.into_iter().for_each(|it| encoder.bytes(it));
        if let Ok(float) = reader.float() {
            assert_eq!(reader.position(), end);
            encoder.float(float);
        }
        let out = out.freeze();
        let mut again = Decoder::new(&out);
        assert!(bool.is_none_or(|it| again.bool() == Ok(it)));
        assert!(uint.is_none_or(|it| again.uint() == Ok(it)));
        assert!(int.is_none_or(|it| again.int() == Ok(it)));
        assert!(text.is_none_or(|it| again.text() == Ok(it)));
        assert!(slice.is_none_or(|it| again.slice() == Ok(it)));
    }
}

/// As a structure, of which every field is passed over: it ends where the value ends.
fn fields(value: &Decoder<'_>, end: usize) {
    let mut reader = value.clone();
    let read = reader.fields("structure", &["Seq", "Name", "Payload"], |decoder, _| {
        decoder.skip()
    });
    if read.is_ok() {
        assert_eq!(reader.position(), end);
    }
}
