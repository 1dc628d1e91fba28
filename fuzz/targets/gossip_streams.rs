//! Streams of arbitrary bytes, in pieces: they say the same in whatever pieces they come, and what is read is
//! written and read again.
#![no_main]

use bytes::{Bytes, BytesMut};
use libfuzzer_sys::fuzz_target;
use taraf_gossip::wire::Envelope;
use taraf_gossip::wire::serf;
use taraf_gossip::wire::stream::{self, Frame, Reader, Side};

#[path = "../support/gossip.rs"]
mod gossip;

/// What comes out, and after how many bytes; an error as its words.
fn read(
    bytes: &[u8],
    piece: usize,
    side: Side,
    envelope: &Envelope,
) -> Option<Result<Frame, String>> {
    let mut reader = Reader::new(side);
    for piece in bytes.chunks(piece.max(1)) {
        reader.buffer().extend_from_slice(piece);
        match reader.next(envelope) {
            Ok(None) => {}
            Ok(Some(frame)) => return Some(Ok(frame)),
            Err(error) => return Some(Err(error.answer())),
        }
    }
    assert_eq!(reader.is_cut(), !bytes.is_empty());
    None
}

fuzz_target!(|bytes: &[u8]| {
    let [flags, piece, bytes @ ..] = bytes else {
        return;
    };
    let envelope = gossip::envelope(*flags);
    let side = if flags & gossip::ANSWER != 0 {
        Side::Answer
    } else {
        Side::Request
    };
    let plain = Bytes::copy_from_slice(bytes);
    let bytes = gossip::layered(*flags, bytes);
    let whole = read(&bytes, usize::MAX, side, &envelope);
    let pieces = read(&bytes, usize::from(*piece), side, &envelope);
    match (&whole, &pieces) {
        // What is refused may be refused for another reason when less of it is there.
        (Some(Err(_)), Some(Err(_))) => {}
        _ => assert_eq!(whole, pieces, "in pieces of {piece}"),
    }
    // What is a frame when all of it is there is one when it comes over a stream.
    if flags & (gossip::LOCKED | gossip::LABELLED) == 0
        && let Ok(frame) = Frame::decode(&plain)
    {
        assert_eq!(whole, Some(Ok(frame)));
    }
    let Some(Ok(frame)) = whole else {
        return;
    };
    let expected = match frame.clone() {
        Frame::PushPull(mut state) => {
            let _read_or_not = serf::PushPull::decode(&state.user_state);
            state.unusable = 0;
            Frame::PushPull(state)
        }
        other => other,
    };
    let mut plain = BytesMut::new();
    expected.encode(&mut plain);
    assert_eq!(
        Frame::decode(&plain.freeze()).expect("our own bytes"),
        expected
    );
    let locked = gossip::envelope(gossip::LOCKED | gossip::LABELLED);
    let again = stream::write(&frame, side, flags & 16 != 0, &locked, || [1; 12]);
    let again = read(
        &again.expect("short enough"),
        usize::from(*piece),
        side,
        &locked,
    );
    assert_eq!(again, Some(Ok(expected)));
});
