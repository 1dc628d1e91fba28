//! Values in both dialects, hostile ones too.
#![expect(
    clippy::redundant_closure_for_method_calls,
    reason = "a method of a decoder with one lifetime is no closure for all"
)]

use bytes::{Bytes, BytesMut};
use proptest::prelude::*;

use super::*;
use crate::wire::Error;

fn written(dialect: Dialect, write: impl FnOnce(&mut Encoder<'_>)) -> Vec<u8> {
    let mut out = BytesMut::new();
    write(&mut Encoder::new(&mut out, dialect));
    out.to_vec()
}

#[test]
fn the_dialects_differ_in_strings_and_bytes_alone() {
    let check = |length: usize, gossip: &[u8], rpc_text: &[u8], rpc_bytes: &[u8]| {
        let value = vec![b'x'; length];
        let forms = [
            (written(Dialect::Gossip, |e| e.text(&value)), gossip),
            (written(Dialect::Gossip, |e| e.bytes(&value)), gossip),
            (written(Dialect::Rpc, |e| e.text(&value)), rpc_text),
            (written(Dialect::Rpc, |e| e.bytes(&value)), rpc_bytes),
        ];
        for (written, head) in forms {
            assert_eq!(written, [head, &value].concat(), "{length} bytes");
            let written = Bytes::from(written);
            let mut decoder = Decoder::new(&written);
            assert_eq!(decoder.bytes().unwrap(), value);
            assert!(decoder.is_at_end());
        }
    };
    check(0, &[0xa0], &[0xa0], &[0xc4, 0]);
    check(31, &[0xbf], &[0xbf], &[0xc4, 31]);
    check(32, &[0xda, 0, 32], &[0xd9, 32], &[0xc4, 32]);
    check(255, &[0xda, 0, 255], &[0xd9, 255], &[0xc4, 255]);
    check(256, &[0xda, 1, 0], &[0xda, 1, 0], &[0xc5, 1, 0]);
    let large = [0, 1, 0, 0];
    let of = |marker: u8| [&[marker][..], &large].concat();
    check(65_536, &of(0xdb), &of(0xdb), &of(0xc6));
}

#[test]
fn numbers_are_written_in_their_shortest_form() {
    let uint = |number: u64| written(Dialect::Gossip, |e| e.uint(number));
    assert_eq!(uint(0), [0]);
    assert_eq!(uint(127), [127]);
    assert_eq!(uint(128), [0xcc, 128]);
    assert_eq!(uint(256), [0xcd, 1, 0]);
    assert_eq!(uint(1 << 16), [0xce, 0, 1, 0, 0]);
    assert_eq!(uint(1 << 32), [0xcf, 0, 0, 0, 1, 0, 0, 0, 0]);
    let int = |number: i64| written(Dialect::Gossip, |e| e.int(number));
    assert_eq!(int(5), [5]);
    assert_eq!(int(-1), [0xff]);
    assert_eq!(int(-32), [0xe0]);
    assert_eq!(int(-33), [0xd0, 0xdf]);
    assert_eq!(int(-129), [0xd1, 0xff, 0x7f]);
    assert_eq!(int(-40_000), [0xd2, 0xff, 0xff, 0x63, 0xc0]);
    assert_eq!(int(i64::MIN), [0xd3, 0x80, 0, 0, 0, 0, 0, 0, 0]);
}

fn read<T>(
    bytes: &[u8],
    read: impl FnOnce(&mut Decoder<'_>) -> Result<T, Error>,
) -> Result<T, Error> {
    let bytes = Bytes::copy_from_slice(bytes);
    read(&mut Decoder::new(&bytes))
}

#[test]
fn what_serf_takes_is_taken() {
    assert!(!read(&[0], |d| d.bool()).unwrap());
    assert!(read(&[1], |d| d.bool()).unwrap());
    assert!(read(&[0xc3], |d| d.bool()).unwrap());
    assert_eq!(read(&[0xd0, 5], |d| d.uint::<u8>()), Ok(5));
    assert_eq!(read(&[7], |d| d.float()), Ok(7.0));
    assert_eq!(read(&[0xff], |d| d.float()), Ok(-1.0));
    assert_eq!(read(&[0xca, 0x3f, 0x80, 0, 0], |d| d.float()), Ok(1.0));
    // Nil is the zero of everything.
    assert_eq!(read(&[0xc0], |d| d.uint::<u64>()), Ok(0));
    assert_eq!(read(&[0xc0], |d| d.int()), Ok(0));
    assert_eq!(read(&[0xc0], |d| d.array(9)), Ok(0));
    assert_eq!(read(&[0xc0], |d| d.map(9)), Ok(0));
    assert_eq!(read(&[0xc0], |d| d.string(9)).unwrap(), "");
    assert_eq!(read(&[0xc0], |d| d.bytes()).unwrap(), "");
}

#[test]
fn what_is_wrong_is_named() {
    let check = |error: Error, text: &str| assert_eq!(error.to_string(), text);
    let number = |d: &mut Decoder<'_>| d.uint::<u8>();
    check(
        read(&[0xa1, b'x'], number).unwrap_err(),
        "a number is expected, not msgpack 0xa1",
    );
    check(
        read(&[0xcd, 1, 0], number).unwrap_err(),
        "256 is out of range, the largest is 255",
    );
    check(
        read(&[0xff], number).unwrap_err(),
        "-1 is out of range, the largest is 255",
    );
    check(
        read(&[0xc4, 1, b'x'], |d| d.text().map(<[u8]>::to_vec)).unwrap_err(),
        "a string is expected, not msgpack 0xc4",
    );
    check(
        read(&[0xa5, b'x'], |d| d.text().map(<[u8]>::to_vec)).unwrap_err(),
        "ends at least 4 bytes too early",
    );
    check(
        read(&[0x93, 1, 2, 3], |d| d.array(2)).unwrap_err(),
        "values in a list of 3 is more than 2",
    );
    check(
        read(&[0xc1], |d| d.skip()).unwrap_err(),
        "a value is expected, not msgpack 0xc1",
    );
}

#[test]
fn a_structure_is_read_from_a_map_in_any_order_and_from_an_array() {
    let check = |bytes: &[u8]| {
        let bytes = Bytes::copy_from_slice(bytes);
        let (mut one, mut two) = (0_u8, Bytes::new());
        let mut decoder = Decoder::new(&bytes);
        let done = decoder.fields("pair", &["One", "Two"], |decoder, field| {
            match field {
                "One" => one = decoder.uint()?,
                _ => two = decoder.bytes()?,
            }
            Ok(())
        });
        done.map(|()| (one, two, decoder.is_at_end()))
    };
    let expected = Ok((7, Bytes::from_static(b"x"), true));
    assert_eq!(check(b"\x82\xa3One\x07\xa3Two\xa1x"), expected);
    assert_eq!(check(b"\x82\xa3Two\xc4\x01x\xa3One\x07"), expected);
    // An unknown field holds a map with an extension and a list in it.
    let unknown =
        b"\x83\xa3One\x07\xa3Wat\x82\x01\xd4\x05\x00\x02\x92\xc0\xc7\x02\x01ab\xa3Two\xa1x";
    assert_eq!(check(unknown), expected);
    assert_eq!(check(b"\x92\x07\xa1x"), expected);
    assert_eq!(check(b"\x93\x07\xa1x\x81\x01\x02"), expected);
    assert_eq!(check(b"\x91\x07"), Ok((7, Bytes::new(), true)));
    assert_eq!(check(b"\x80"), Ok((0, Bytes::new(), true)));
    assert_eq!(check(b"\xc0"), Ok((0, Bytes::new(), true)));
    let error = check(b"\x81\xa3One\xa1x").unwrap_err();
    assert_eq!(
        error.to_string(),
        "One of pair: a number is expected, not msgpack 0xa1"
    );
    assert!(check(b"\x81\xa3One").unwrap_err().is_incomplete());
    assert!(check(b"\x07").is_err());
}

/// The deepest nesting that fits costs no stack, the widest no memory.
#[test]
fn unknown_values_are_passed_over_whatever_their_shape() {
    let mut deep = vec![0x91; 1 << 20];
    assert!(read(&deep, |d| d.skip()).unwrap_err().is_incomplete());
    deep.push(0xc0);
    assert_eq!(read(&deep, |d| d.skip()), Ok(()));
    let wide = [0xdf, 0xff, 0xff, 0xff, 0xff, 1, 2];
    assert!(read(&wide, |d| d.skip()).unwrap_err().is_incomplete());
    let long = [0xdb, 0xff, 0xff, 0xff, 0xff, 1, 2];
    assert!(read(&long, |d| d.bytes()).unwrap_err().is_incomplete());
}

proptest! {
    #[test]
    fn numbers_are_read_as_they_were_written(unsigned: u64, signed: i64, fraction: f64) {
        let bytes = Bytes::from(written(Dialect::Rpc, |e| {
            e.uint(unsigned);
            e.int(signed);
            e.float(fraction);
        }));
        let mut decoder = Decoder::new(&bytes);
        prop_assert_eq!(decoder.uint::<u64>(), Ok(unsigned));
        prop_assert_eq!(decoder.int(), Ok(signed));
        prop_assert_eq!(decoder.float().unwrap().to_bits(), fraction.to_bits());
        prop_assert!(decoder.is_at_end());
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes: Vec<u8>) {
        let bytes = Bytes::from(bytes);
        for read in [
            |d: &mut Decoder<'_>| d.skip(),
            |d: &mut Decoder<'_>| d.bool().map(drop),
            |d: &mut Decoder<'_>| d.uint::<u32>().map(drop),
            |d: &mut Decoder<'_>| d.int().map(drop),
            |d: &mut Decoder<'_>| d.float().map(drop),
            |d: &mut Decoder<'_>| d.bytes().map(drop),
            |d: &mut Decoder<'_>| d.name(64).map(drop),
        ] {
            let mut decoder = Decoder::new(&bytes);
            while read(&mut decoder).is_ok() {}
            prop_assert!(decoder.position() <= bytes.len());
        }
    }
}
