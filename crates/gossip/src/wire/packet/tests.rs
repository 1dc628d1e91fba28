//! Packets in all their layers, hostile ones too.
#![expect(clippy::indexing_slicing, reason = "tests stop at the first surprise")]

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::wire::keyring::Keyring;
use crate::wire::memberlist::Nack;
use crate::wire::memberlist::tests::message;

const NONCE: Nonce = [3; 12];

fn envelope(label: &str, key: Option<u8>) -> Envelope {
    let keyring = key.map(|key| Keyring::new(&[key; 32]).unwrap());
    Envelope::new(label.as_bytes(), keyring).unwrap()
}

fn packet(bytes: &[u8]) -> BytesMut {
    BytesMut::from(bytes)
}

fn nack(seq: u32) -> Bytes {
    let mut out = BytesMut::new();
    Nack { seq }.encode(&mut out);
    out.freeze()
}

fn read(bytes: &[u8]) -> Vec<Result<Message, Error>> {
    match decode(packet(bytes), &Envelope::default()) {
        Ok(messages) => messages.collect(),
        Err(error) => vec![Err(error)],
    }
}

/// A layer of compression, whether or not it gets shorter.
fn compressed(plain: &[u8]) -> Bytes {
    let mut out = BytesMut::new();
    assert!(compressed::encode(plain, 1 << 20, &mut out));
    out.freeze()
}

proptest! {
    #[test]
    fn messages_pass_through_every_combination_of_layers(
        messages in vec(message(), 1..8),
        (checksum, compresses) in any::<(bool, bool)>(),
        label in prop::sample::select(vec!["", "blue"]),
        key in prop::sample::select(vec![None, Some(1_u8)]),
    ) {
        let envelope = envelope(label, key);
        let mut builder = Builder::new(&envelope);
        let mut sent = Vec::new();
        for message in messages {
            let mut out = BytesMut::new();
            message.encode(&mut out);
            if builder.push(out.freeze()) {
                sent.push(message);
            }
        }
        prop_assert!(!sent.is_empty());
        let options = Options { has_checksum: checksum, compresses };
        let plain = builder.finish().unwrap();
        let sealed = seal(&plain, options, &envelope, || NONCE);
        prop_assert!(sealed.len() <= PACKET_BYTES + CHECKSUM_BYTES);
        let read = decode(packet(&sealed), &envelope).unwrap();
        prop_assert_eq!(read.collect::<Result<Vec<_>, _>>().unwrap(), sent);
    }

    #[test]
    fn any_bytes_are_read_or_refused(
        start in prop::sample::select(vec![&b""[..], b"\x07", b"\x07\x02", b"\x09\x82", b"\x0c", b"\xf4"]),
        bytes: Vec<u8>,
    ) {
        let bytes = [start, &bytes].concat();
        prop_assert!(read(&bytes).len() <= bytes.len().max(1));
        prop_assert!(decode(packet(&bytes), &envelope("", Some(1))).is_err());
        prop_assert!(decode(packet(&bytes), &envelope("blue", None)).is_err());
    }
}

#[test]
fn one_message_without_layers_is_sent_as_it_is() {
    let plain = nack(1);
    let sealed = seal(&plain, Options::default(), &Envelope::default(), || {
        unreachable!("nothing is encrypted")
    });
    assert_eq!(sealed, plain);
}

#[test]
fn a_packet_is_filled_to_its_last_byte() {
    let check = |envelope: &Envelope, expected: usize| {
        let mut builder = Builder::new(envelope);
        assert!(builder.is_empty());
        assert!(builder.push(nack(1)));
        let room = builder.room() - PART_BYTES;
        assert!(!builder.push(Bytes::from(vec![8; room + 1])));
        assert!(builder.push(Bytes::from(vec![8; room])));
        assert_eq!(builder.room(), 0);
        let plain = builder.finish().unwrap();
        let sealed = seal(&plain, Options::default(), envelope, || NONCE);
        assert_eq!(sealed.len(), expected);
        let read = decode(packet(&sealed), envelope).unwrap();
        assert_eq!(read.filter_map(Result::ok).count(), 2);
    };
    check(&envelope("", None), PACKET_BYTES);
    check(&envelope("", Some(1)), PACKET_BYTES);
    check(&envelope("blue", Some(1)), PACKET_BYTES);
    check(&envelope(&"x".repeat(255), None), PACKET_BYTES);
}

#[test]
fn a_compound_has_no_more_parts_than_its_count_can_say() {
    let mut builder = Builder::new(&Envelope::default());
    let empty = Bytes::from_static(b"\x08");
    while builder.push(empty.clone()) {}
    let plain = builder.finish().unwrap();
    assert_eq!(messages(plain).count(), PARTS_MAX);
    assert!(Builder::new(&Envelope::default()).finish().is_none());
}

#[test]
fn a_wrong_part_does_not_hide_the_others() {
    let (good, bad) = (nack(7), b"\x0b\xc1");
    let mut bytes = vec![code::COMPOUND, 4, 0, 2, 0];
    bytes.push(u8::try_from(good.len()).unwrap());
    bytes.extend([0, 0, 0, 9]);
    bytes.extend(bad);
    bytes.extend(&good);
    let read = read(&bytes);
    let shown: Vec<_> = read
        .iter()
        .map(|read| match read {
            Ok(message) => format!("{message:?}"),
            Err(error) => error.to_string(),
        })
        .collect();
    assert_eq!(
        shown,
        [
            "a value is expected, not msgpack 0xc1",
            "Nack(Nack { seq: 7 })",
            "a message is empty",
            "ends at least 9 bytes too early",
        ]
    );
}

#[test]
fn layers_end_somewhere() {
    let mut bytes = nack(1);
    for layers in 0..9 {
        let read = read(&bytes);
        if layers <= LAYERS_MAX {
            assert_eq!(read, [Ok(Message::Nack(Nack { seq: 1 }))], "{layers}");
        } else {
            assert_eq!(read, [Err(Error::TooDeep { max: LAYERS_MAX })]);
        }
        bytes = compressed(&bytes);
    }
}

/// Many bombs in one packet share what one may bring out.
#[test]
fn all_that_a_packet_brings_out_is_bounded() {
    let half = vec![code::USER; PLAIN_BYTES_MAX / 2];
    let bomb = compressed(&half);
    let mut bytes = vec![code::COMPOUND, 3];
    for _ in 0..3 {
        bytes.extend(u16::try_from(bomb.len()).unwrap().to_be_bytes());
    }
    for _ in 0..3 {
        bytes.extend(&bomb);
    }
    let read = read(&bytes);
    assert_eq!(read.len(), 3);
    assert!(read[0].is_ok() && read[1].is_ok());
    assert!(matches!(read[2], Err(Error::TooLarge { .. })));
}

#[test]
fn what_is_not_ours_is_refused_and_says_why() {
    let plain = nack(5);
    let why = |bytes: &[u8], envelope: &Envelope| {
        let error = decode(packet(bytes), envelope).unwrap_err();
        error.to_string()
    };
    let (bare, labelled, locked) = (
        Envelope::default(),
        envelope("blue", None),
        envelope("", Some(1)),
    );
    let sealed = |envelope: &Envelope| {
        let options = Options {
            has_checksum: true,
            compresses: false,
        };
        seal(&plain, options, envelope, || NONCE)
    };
    assert_eq!(why(b"", &bare), "a packet is empty");
    assert_eq!(why(&plain, &labelled), "the label is ``, not ours");
    assert_eq!(
        why(&sealed(&envelope("red", None)), &labelled),
        "the label is `red`, not ours"
    );
    assert_eq!(
        why(&sealed(&labelled), &bare),
        "the label is `blue`, not ours"
    );
    assert_eq!(
        why(b"\xf4\x09blue", &labelled),
        "ends at least 5 bytes too early"
    );
    assert_eq!(
        why(&sealed(&envelope("", Some(2))), &locked),
        "no installed key decrypts it"
    );
    assert_eq!(why(&plain, &locked), "version of encryption 11 is unknown");
    let mut damaged = sealed(&bare).to_vec();
    *damaged.last_mut().unwrap() ^= 1;
    assert!(why(&damaged, &bare).starts_with("the checksum is 0x"));
    assert!(why(&sealed(&bare)[..5], &bare).ends_with("not 0x00000000"));
}

#[test]
fn a_label_is_sealed_with_the_packet() {
    let plain = nack(5);
    let (blue, red) = (envelope("blue", Some(1)), envelope("rose", Some(1)));
    let mut sealed = packet(&seal(&plain, Options::default(), &blue, || NONCE));
    sealed[2..6].copy_from_slice(b"rose");
    assert_eq!(decode(sealed, &red).unwrap_err(), Error::NoKey);
}

#[test]
fn a_first_key_comes_into_a_running_cluster_in_three_steps() {
    let plain = nack(5);
    let locked = envelope("", Some(1));
    let mut taking = locked.clone();
    taking.takes_plain = true;
    taking.sends_plain = true;
    let mut sending = locked.clone();
    sending.takes_plain = true;
    let from = |envelope| packet(&seal(&plain, Options::default(), envelope, || NONCE));
    let gets = |packet, envelope: &Envelope| decode(packet, envelope).map(Iterator::count);
    let bare = Envelope::default();
    assert_eq!(gets(from(&taking), &bare), Ok(1));
    assert_eq!(gets(from(&bare), &sending), Ok(1));
    assert_eq!(gets(from(&sending), &taking), Ok(1));
    assert_eq!(gets(from(&sending), &locked), Ok(1));
    assert!(gets(from(&taking), &locked).is_err());
}

#[test]
fn only_what_gets_shorter_is_compressed() {
    let options = Options {
        has_checksum: false,
        compresses: true,
    };
    let sealed = |plain: Vec<u8>| seal(&plain.into(), options, &Envelope::default(), || NONCE);
    assert_eq!(sealed(vec![code::USER; 600])[0], code::COMPRESSED);
    let mut chance = taraf_base::Rng::new(1);
    let noise: Vec<u8> = (0..600)
        .map(|_| chance.next_u64().to_be_bytes()[0])
        .collect();
    assert_eq!(sealed(noise.clone()), noise);
    assert_eq!(sealed(vec![code::USER; 100]), vec![code::USER; 100]);
}

#[test]
fn a_label_has_its_limit() {
    let error = Envelope::new(&[b'x'; 256], None).unwrap_err();
    assert_eq!(
        error.to_string(),
        "a label in bytes of 256 is more than 255"
    );
}
