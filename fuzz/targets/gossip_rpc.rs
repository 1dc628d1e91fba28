//! Requests and answers of RPC, in pieces: they are read when they are whole, in whatever pieces they come, and what is
//! read is written and read again.
#![no_main]

use std::fmt::Debug;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use libfuzzer_sys::fuzz_target;
use taraf_gossip::rpc::codec::{
    AnswerHeader, Body, Command, CoordinateAnswer, EventRecord, MembersAnswer, QueryRecord, Reader,
    Request, RequestHeader, encode,
};
use taraf_gossip::rpc::{Joined, KeysAnswer, Stats};
use taraf_gossip::wire::msgpack::{Decoder, Encoder};

const BYTES_MAX: usize = 2048;

/// The bytes of each value, until they end or something is wrong.
fn values(bytes: &[u8], piece: usize) -> (Vec<Bytes>, bool) {
    let mut reader = Reader::new(BYTES_MAX);
    let mut values = Vec::new();
    for piece in bytes.chunks(piece.max(1)) {
        reader.buffer().extend_from_slice(piece);
        loop {
            match reader.whole() {
                Ok(Some(value)) => values.push(value),
                Ok(None) => break,
                Err(_) => return (values, false),
            }
        }
    }
    (values, true)
}

fn again<B: Body + Sync + PartialEq + Debug>(whole: &Bytes) {
    let Ok(value) = B::decode(&mut Decoder::new(whole)) else {
        return;
    };
    let written = encode(&[&value]);
    let read = B::decode(&mut Decoder::new(&written)).expect("our own bytes");
    // Fractions that are none are equal to nothing.
    assert_eq!(format!("{read:?}"), format!("{value:?}"));
}

fuzz_target!(|bytes: &[u8]| {
    let [piece, bytes @ ..] = bytes else {
        return;
    };
    let (whole, is_right) = values(bytes, usize::MAX);
    let (pieces, _) = values(bytes, usize::from(*piece));
    // A value that is too long may be seen to be so before or behind those in front of it.
    assert!(
        pieces.starts_with(&whole) || !is_right,
        "in pieces of {piece}"
    );
    for value in &whole {
        again::<RequestHeader>(value);
        again::<AnswerHeader>(value);
        again::<Joined>(value);
        again::<MembersAnswer>(value);
        again::<KeysAnswer>(value);
        again::<Stats>(value);
        again::<CoordinateAnswer>(value);
        again::<QueryRecord>(value);
        again::<EventRecord>(value);
        again::<Arc<str>>(value);
        for command in Command::ALL {
            let Ok(request) = Request::decode_body(command, &mut Decoder::new(value)) else {
                continue;
            };
            let mut written = BytesMut::new();
            request.encode_body(&mut Encoder::rpc(&mut written));
            let written = written.freeze();
            let read = Request::decode_body(command, &mut Decoder::new(&written));
            assert_eq!(read.expect("our own bytes"), request);
        }
    }
});
