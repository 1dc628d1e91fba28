//! Frames in whatever pieces they come, hostile ones too.
#![expect(clippy::indexing_slicing, reason = "tests stop at the first surprise")]

use proptest::prelude::*;

use super::*;
use crate::wire::keyring::Keyring;
use crate::wire::memberlist::tests::{ack, payload, ping, push_pull};
use crate::wire::{Address, Name};

const NONCE: Nonce = [3; 12];

fn envelope(label: &str, key: Option<u8>) -> Envelope {
    let keyring = key.map(|key| Keyring::new(&[key; 16]).unwrap());
    Envelope::new(label.as_bytes(), keyring).unwrap()
}

fn frame() -> impl Strategy<Value = Frame> {
    prop_oneof![
        ping().prop_map(Frame::Ping),
        ack().prop_map(Frame::Ack),
        push_pull().prop_map(Frame::PushPull),
        payload().prop_map(Frame::User),
        any::<String>().prop_map(Frame::Error),
    ]
}

/// Feeds the bytes in pieces of this length; the frame must come with the last byte and not before.
fn read(
    bytes: &[u8],
    piece: usize,
    side: Side,
    envelope: &Envelope,
) -> Result<Option<Frame>, Error> {
    let mut reader = Reader::new(side);
    let pieces = bytes.chunks(piece.max(1));
    let last = pieces.len().saturating_sub(1);
    for (at, piece) in pieces.enumerate() {
        reader.buffer().extend_from_slice(piece);
        if let Some(frame) = reader.next(envelope)? {
            assert_eq!(at, last, "a frame before its end");
            assert!(!reader.is_cut());
            assert_eq!(reader.next(envelope), Ok(None));
            return Ok(Some(frame));
        }
        assert!(reader.is_cut());
    }
    Ok(None)
}

proptest! {
    #[test]
    fn frames_are_read_as_they_were_written_in_any_pieces(
        frame in frame(),
        compresses: bool,
        is_answer: bool,
        label in prop::sample::select(vec!["", "blue"]),
        key in prop::sample::select(vec![None, Some(1_u8)]),
        piece in 1_usize..200,
        cut: prop::sample::Index,
    ) {
        let envelope = envelope(label, key);
        let side = if is_answer { Side::Answer } else { Side::Request };
        let bytes = write(&frame, side, compresses, &envelope, || NONCE).unwrap();
        prop_assert_eq!(read(&bytes, piece, side, &envelope), Ok(Some(frame.clone())));
        prop_assert_eq!(read(&bytes, usize::MAX, side, &envelope), Ok(Some(frame)));
        let cut = &bytes[..cut.index(bytes.len())];
        prop_assert_eq!(read(cut, piece, side, &envelope), Ok(None));
    }

    #[test]
    fn any_bytes_are_read_or_refused(
        code in prop::sample::select(vec![0_u8, 2, 6, 8, 9, 10, 13, 99, 244]),
        mut bytes: Vec<u8>,
        piece in 1_usize..50,
    ) {
        bytes.insert(0, code);
        let whole = tolerant(&bytes, usize::MAX);
        prop_assert_eq!(tolerant(&bytes, piece), whole);
    }
}

/// As [`read`], for bytes that may go on behind the frame.
fn tolerant(bytes: &[u8], piece: usize) -> Option<Frame> {
    let mut reader = Reader::new(Side::Request);
    for piece in bytes.chunks(piece) {
        reader.buffer().extend_from_slice(piece);
        match reader.next(&Envelope::default()) {
            Ok(None) => {}
            Ok(Some(frame)) => return Some(frame),
            Err(_) => return None,
        }
    }
    None
}

fn refused(bytes: &[u8], envelope: &Envelope) -> Error {
    match read(bytes, 1, Side::Request, envelope) {
        Err(error) => error,
        read => panic!("{read:?}"),
    }
}

#[test]
fn what_is_not_ours_is_refused_in_serfs_words() {
    let frame = Frame::User(Bytes::from_static(b"hello"));
    let bytes =
        |envelope: &Envelope| write(&frame, Side::Request, true, envelope, || NONCE).unwrap();
    let (bare, locked) = (Envelope::default(), envelope("", Some(1)));
    let answer = |bytes: &[u8], envelope| refused(bytes, envelope).answer();
    assert_eq!(
        answer(&bytes(&bare), &locked),
        "Encryption is configured but remote state is not encrypted"
    );
    assert_eq!(
        answer(&bytes(&locked), &bare),
        "Remote state is encrypted and encryption is not configured"
    );
    assert_eq!(
        answer(&bytes(&envelope("", Some(2))), &locked),
        "No installed keys could decrypt the message"
    );
    let blue = envelope("blue", None);
    assert_eq!(answer(&bytes(&bare), &blue), "the label is ``, not ours");
    assert_eq!(
        answer(b"\x63", &bare),
        "message type of a stream 99 is unknown"
    );
    let mut taking = locked.clone();
    taking.takes_plain = true;
    assert_eq!(
        read(&bytes(&bare), 1, Side::Request, &taking),
        Ok(Some(frame.clone()))
    );
    // The length is sealed too.
    let mut changed = bytes(&locked).to_vec();
    changed[4] -= 1;
    assert_eq!(refused(&changed, &locked), Error::NoKey);
}

#[test]
fn an_answer_has_no_label_and_is_sealed_with_it() {
    let (blue, red) = (envelope("blue", Some(1)), envelope("red", Some(1)));
    let frame = Frame::Error("no".to_owned());
    let answer = write(&frame, Side::Answer, false, &blue, || NONCE).unwrap();
    assert_eq!(answer[0], code::ENCRYPTED);
    assert_eq!(read(&answer, 1, Side::Answer, &blue), Ok(Some(frame)));
    let other = read(&answer, 1, Side::Answer, &red);
    assert_eq!(other, Err(Error::NoKey));
}

/// What a length claims is refused when it is too much, and not made room for when it is not.
#[test]
fn lengths_are_not_believed() {
    let check = |bytes: &[u8], envelope: &Envelope| {
        let error = refused(bytes, envelope);
        assert!(error.to_string().contains("is more than"), "{error}");
    };
    let bare = Envelope::default();
    check(b"\x0a\xff\xff\xff\xff", &envelope("", Some(1)));
    check(b"\x06\x81\xa5Nodes\xce\x00\x02\x00\x01", &bare);
    check(b"\x06\x81\xacUserStateLen\xce\x01\x40\x00\x01", &bare);
    check(b"\x08\x81\xaaUserMsgLen\xce\x01\x40\x00\x01", &bare);
    check(b"\x09\x82\xa4Algo\x00\xa3Buf\xdb\x7f\xff\xff\xff", &bare);
    let mut reader = Reader::new(Side::Request);
    let claim = b"\x08\x81\xaaUserMsgLen\xce\x01\x00\x00\x00";
    reader.buffer().extend_from_slice(claim);
    assert_eq!(reader.next(&bare), Ok(None));
    assert!(reader.buffer().capacity() < 1_000);
}

/// Otherwise each byte would cost as much as all that came before it.
#[test]
fn a_structure_that_never_ends_is_refused() {
    let endless = |start: &[u8]| {
        let mut reader = Reader::new(Side::Request);
        reader.buffer().extend_from_slice(start);
        for count in 0.. {
            reader.buffer().extend_from_slice(&[0xc0; 64]);
            if let Err(error) = reader.next(&Envelope::default()) {
                assert!(matches!(error, Error::TooLarge { .. }), "{error}");
                return count * 64;
            }
        }
        unreachable!()
    };
    let array = b"\xdd\xff\xff\xff\xff";
    let map = b"\xdf\xff\xff\xff\xff";
    for code in [0, 2, 13] {
        assert!(endless(&[&[code], &array[..]].concat()) <= STRUCTURE_BYTES_MAX);
    }
    assert!(endless(&[b"\x06\x81\xa1x", &array[..]].concat()) <= STRUCTURE_BYTES_MAX);
    assert!(endless(&[b"\x08\x81\xa1x", &array[..]].concat()) <= STRUCTURE_BYTES_MAX);
    let member = [b"\x06\x81\xa5Nodes\x02\x80", &array[..]].concat();
    assert!(endless(&member) <= STRUCTURE_BYTES_MAX);
    assert!(endless(&[b"\x09", &map[..]].concat()) <= STRUCTURE_BYTES_MAX);
}

#[test]
fn a_bomb_is_refused() {
    let bomb = vec![0; PLAIN_BYTES_MAX + 1];
    let mut bytes = BytesMut::new();
    assert!(compressed::encode(&bomb, STREAM_BYTES_MAX, &mut bytes));
    let error = read(&bytes, usize::MAX, Side::Request, &Envelope::default());
    assert!(matches!(error, Err(Error::TooLarge { .. })));
}

/// What was whole outside and is cut inside never becomes whole.
#[test]
fn what_is_cut_inside_is_refused() {
    let mut bytes = BytesMut::new();
    assert!(compressed::encode(
        b"\x06\x81\xa5Nodes\x01",
        1_000,
        &mut bytes
    ));
    let error = refused(&bytes, &Envelope::default());
    assert_eq!(
        error.to_string(),
        "frame of stream: ends at least 1 bytes too early"
    );
}

#[test]
fn a_member_that_nobody_can_use_does_not_hide_the_others() {
    let member = |name: &str, address: &[u8], rest: &[u8]| {
        let mut out = BytesMut::from(&b"\x84\xa4Name"[..]);
        let mut encoder = Encoder::gossip(&mut out);
        encoder.text(name);
        encoder.key("Addr").bytes(address);
        encoder.key("Port").uint(7_946_u16);
        out.put_slice(rest);
        out
    };
    let mut bytes = BytesMut::from(&b"\x06\x81\xa5Nodes\x07"[..]);
    bytes.unsplit(member("good", &[127, 0, 0, 1], b"\xa5State\x03"));
    bytes.unsplit(member("", &[127, 0, 0, 1], b"\xa5State\x00"));
    bytes.unsplit(member("short", &[127, 0, 0], b"\xa5State\x00"));
    bytes.unsplit(member("state", &[127, 0, 0, 1], b"\xa5State\x04"));
    bytes.unsplit(member("versions", &[127, 0, 0, 1], b"\xa3Vsn\xa2ab"));
    bytes.unsplit(member(&"x".repeat(1_025), &[127, 0, 0, 1], b"\xa1?\x02"));
    bytes.unsplit(member(
        "port",
        &[127, 0, 0, 1],
        b"\xa4Port\xce\x00\x01\x00\x00",
    ));
    let frame = read(&bytes, 1, Side::Request, &Envelope::default()).unwrap();
    let Some(Frame::PushPull(state)) = frame else {
        panic!("{frame:?}");
    };
    assert_eq!((state.states.len(), state.unusable), (1, 6));
    assert_eq!(state.states[0].name, Name::from("good"));
    assert_eq!(state.states[0].address, Address::Four([127, 0, 0, 1]));
}
