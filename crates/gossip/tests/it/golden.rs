//! Bytes that Serf 0.9.4 sent: read as what they are, and written the same again.

use std::fmt::Write as _;
use std::path::Path;

use bytes::{Bytes, BytesMut};
use taraf_gossip::wire::keyring::Keyring;
use taraf_gossip::wire::memberlist::{Ack, Message, Nack, Versions, code};
use taraf_gossip::wire::msgpack::Decoder;
use taraf_gossip::wire::packet::{self, Builder, Options};
use taraf_gossip::wire::stream::{self, Frame, Reader, Side};
use taraf_gossip::wire::{Envelope, Nonce, serf};

/// As `cargo xtask golden --update` sets it.
const UPDATE: &str = "TARAF_GOLDEN_UPDATE";

fn hex(text: &str) -> Bytes {
    (0..text.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap())
        .collect()
}

/// Keys of the bytes from 0 on.
fn key(bytes: u8) -> Vec<u8> {
    (0..bytes).collect()
}

fn locked() -> Envelope {
    let mut keyring = Keyring::new(&key(32)).unwrap();
    keyring.add(&key(16)).unwrap();
    Envelope::new(b"", Some(keyring)).unwrap()
}

fn read_packet(packet: &Bytes, envelope: &Envelope) -> Vec<Message> {
    let messages = packet::decode(BytesMut::from(&packet[..]), envelope).unwrap();
    messages.collect::<Result<_, _>>().unwrap()
}

fn encoded(message: &Message) -> Bytes {
    let mut out = BytesMut::new();
    message.encode(&mut out);
    out.freeze()
}

/// One message without layers, written the same again.
fn message(text: &str) -> Message {
    let bytes = hex(text);
    let message = Message::decode(&bytes).unwrap();
    assert_eq!(encoded(&message), bytes, "{message:?}");
    message
}

/// What Serf says inside; read and written the same again.
fn inner(message: &Message) -> Option<serf::Message> {
    let Message::User(body) = message else {
        return None;
    };
    let inner = serf::Message::decode(body).unwrap();
    let mut again = BytesMut::new();
    inner.encode(&mut again);
    assert_eq!(again, body, "{inner:?}");
    Some(inner)
}

/// The same packet, built anew from what was read. A compressed one is valid and another.
fn written_again(messages: &[Message], packet: &Bytes, envelope: &Envelope) {
    let nonce = nonce(packet, 1);
    let opened = packet::open(BytesMut::from(&packet[..]), envelope).unwrap();
    let mut builder = Builder::new(envelope);
    for message in messages {
        assert!(builder.push(encoded(message)));
    }
    let plain = builder.finish().unwrap();
    let is_compressed = opened.first() == Some(&code::COMPRESSED);
    let is_same = with_each_key(envelope).any(|envelope| {
        [false, true].into_iter().any(|has_checksum| {
            let options = Options {
                has_checksum,
                compresses: is_compressed,
            };
            let again = packet::seal(&plain, options, &envelope, || nonce);
            assert_eq!(read_packet(&again, &envelope), messages);
            is_compressed || again == packet
        })
    });
    assert!(is_same, "{packet:?} is not written again");
}

/// Each of the keys as the first one.
fn with_each_key(envelope: &Envelope) -> impl Iterator<Item = Envelope> {
    let ring = envelope.keyring().cloned();
    let mut all: Vec<_> = ring.iter().flat_map(Keyring::keys).collect();
    let bare = all.is_empty().then(|| envelope.clone());
    let locked: Vec<_> = all
        .drain(..)
        .map(|key| {
            let mut ring = ring.clone().unwrap();
            ring.use_key(key).unwrap();
            envelope.with_keyring(Some(ring))
        })
        .collect();
    bare.into_iter().chain(locked)
}

fn nonce(bytes: &[u8], at: usize) -> Nonce {
    bytes
        .get(at..at + 12)
        .map_or([0; 12], |nonce| nonce.try_into().unwrap())
}

fn read_stream(bytes: &Bytes, side: Side, envelope: &Envelope) -> Frame {
    let mut reader = Reader::new(side);
    for (at, byte) in bytes.iter().enumerate() {
        reader.buffer().extend_from_slice(&[*byte]);
        if let Some(frame) = reader.next(envelope).unwrap() {
            assert_eq!(at + 1, bytes.len(), "{frame:?} ends early");
            return frame;
        }
    }
    panic!("{bytes:?} is no frame");
}

/// The frame in a plain stream, decompressed by the library alone.
fn decompressed(stream: &Bytes) -> Vec<u8> {
    let mut decoder = Decoder::new(stream);
    assert_eq!(decoder.byte().unwrap(), code::COMPRESSED);
    let mut held = Bytes::new();
    let fields = ["Algo", "Buf"];
    let read = decoder.fields("compressed", &fields, |decoder, field| {
        match field {
            "Algo" => assert_eq!(decoder.uint::<u8>()?, 0),
            _ => held = decoder.bytes()?,
        }
        Ok(())
    });
    read.unwrap();
    let mut lzw = weezl::decode::Decoder::new(weezl::BitOrder::Lsb, 8);
    lzw.decode(&held).unwrap()
}

// === the vectors ===

#[test]
fn a_golden_ping_is_read_and_written() {
    let read = message(
        "0085a44e6f6465a27079a55365714e6f03aa536f7572636541646472a47f000003aa536f757263654e6f6465a261\
         32aa536f75726365506f7274cd1f0a",
    );
    let Message::Ping(ping) = read else {
        panic!("{read:?}");
    };
    let source = ping.source.unwrap();
    assert_eq!((ping.seq, &*ping.node.text()), (3, "py"));
    assert_eq!(
        source.address.socket(source.port).to_string(),
        "127.0.0.3:7946"
    );
    assert_eq!(&*source.node.text(), "a2");
}

#[test]
fn a_golden_ack_carries_a_coordinate() {
    let read = message(
        "0282a75061796c6f6164da00820184aa41646a7573746d656e74cb3eee71c36f5e9036a54572726f72cb3ff6f1057\
         06cc695a6486569676874cb3ee4f8b588e368f1a356656398cbbf0c6d52ee444e4fcb3ef1f1a9a4c9389ecb3ed97b6a\
         ae725645cb3eff8d420580e2efcb3f04dff6d9559613cb3ef052053bfe996ccbbea844c6c6d9d7cacb3eff13a89d878\
         d7aa55365714e6fcd1092",
    );
    let Message::Ack(ack) = read else {
        panic!("{read:?}");
    };
    let coordinate = serf::Coordinate::decode(&ack.payload).unwrap();
    assert_eq!(coordinate.to_bytes(), ack.payload);
    assert_eq!(ack.seq, 4_242);
    let bits = [coordinate.error, coordinate.height].map(f64::to_bits);
    assert_eq!(bits, [0x3ff6_f105_706c_c695, 0x3ee4_f8b5_88e3_68f1]);
}

#[test]
fn a_golden_ack_that_was_passed_on_and_a_nack_carry_nothing() {
    let payload = Bytes::new();
    let read = message("0282a75061796c6f6164c0a55365714e6fcd022c");
    assert_eq!(read, Message::Ack(Ack { seq: 556, payload }));
    let read = message("0b81a55365714e6fcd022b");
    assert_eq!(read, Message::Nack(Nack { seq: 555 }));
}

#[test]
fn golden_packets_with_checksums_and_compounds_are_read_and_written() {
    let bare = Envelope::default();
    let alive = hex(
        "0cf3aa27550486a441646472a47f000064ab496e6361726e6174696f6e01a44d657461acff81a4726f6c65a466616\
         b65a44e6f6465a27079a4506f7274cd1f0aa356736ea6010502020505",
    );
    let messages = read_packet(&alive, &bare);
    written_again(&messages, &alive, &bare);
    let [Message::Alive(alive)] = messages.as_slice() else {
        panic!("{messages:?}");
    };
    assert_eq!(alive.versions, Some(Versions::SERF));
    assert_eq!(serf::Tags::decode(&alive.meta).unwrap().0["role"], "fake");
    let compound = hex(
        "0702003d00410085a44e6f6465a27079a55365714e6f04aa536f7572636541646472a47f000002aa536f757263654e\
         6f6465a26131aa536f75726365506f7274cd1f0a0486a441646472a47f000064ab496e6361726e6174696f6e06a44d65\
         7461adff81a4726f6c65a56e6f76736ea44e6f6465a27079a4506f7274cd1f0aa356736ec0",
    );
    let messages = read_packet(&compound, &bare);
    written_again(&messages, &compound, &bare);
    let [Message::Ping(_), Message::Alive(alive)] = messages.as_slice() else {
        panic!("{messages:?}");
    };
    assert_eq!((alive.versions, alive.incarnation), (None, 6));
}

#[test]
fn golden_serf_messages_are_read_and_written() {
    let bare = Envelope::default();
    let packet = hex(
        "0c69c6b4cc080384a54c54696d650aa44e616d65a866726f6d66616b65a75061796c6f6164a26869a24343c2",
    );
    let messages = read_packet(&packet, &bare);
    // Written by a program that does not sort its keys: read alike, and never written anew when passed on.
    let Message::User(body) = &messages[0] else {
        panic!("{messages:?}");
    };
    let serf::Message::UserEvent(event) = serf::Message::decode(body).unwrap() else {
        panic!("{body:?}");
    };
    assert_eq!((event.ltime.0, &*event.name.text()), (10, "fromfake"));
    assert_eq!((&event.payload[..], event.coalesce), (&b"hi"[..], false));
    let answer =
        message("080585a5466c61677301a446726f6da26131a24944cd0309a54c54696d650ba75061796c6f6164c0");
    let Some(serf::Message::QueryResponse(answer)) = inner(&answer) else {
        panic!("{answer:?}");
    };
    assert_eq!((answer.id, answer.ltime.0), (777, 11));
    assert_eq!(answer.flags, serf::QueryResponse::ACK);
}

#[test]
fn golden_streams_are_read() {
    let bare = Envelope::default();
    let ack = hex("0982a4416c676f00a3427566b70005083a05254c1e366fc29001566a4a99384ede8c0908");
    let read = read_stream(&ack, Side::Answer, &bare);
    let expected = Frame::Ack(Ack {
        seq: 99,
        payload: Bytes::new(),
    });
    assert_eq!(read, expected);
    assert_eq!(
        decompressed(&ack),
        hex("0282a75061796c6f6164c0a55365714e6f63")
    );
    let state = hex(
        "0982a4416c676f00a3427566da00d3000d0c22a5e44d1a37c34a397943a6cc9c00acaacc2923670a9d3074ca3029e3\
         a69900258748052143460ea93f0000085895c4cd983072dc604cf3c64d00524dca5c5cf52f1029396fd8941975a78c18\
         524ec2b429232a4c0c5250dec8a1d3ec8382521631960130caca1c37a602141020a0c05843aa8ad8e148870995344b03\
         9852cb760e37010080e9ddcbb7afdfbf80030b1e4cb8b0e1c388132b5eccb8b1e3c790234b9e4cb9b2e5cb884bb9855b\
         26c0aa8d66e8e46c2386e21c48aaa2d4a19867735c5659e9d499e3da61a0a631000404",
    );
    let Frame::PushPull(state) = read_stream(&state, Side::Answer, &bare) else {
        panic!("{state:?}");
    };
    let user = serf::PushPull::decode(&state.user_state).unwrap();
    assert_eq!((state.states.len(), state.unusable), (1, 0));
    assert_eq!((user.events.len(), user.status_ltimes.len()), (0, 1));
}

#[test]
fn golden_encrypted_packets_and_streams_are_opened_and_closed() {
    let locked = locked();
    let packet = hex(
        "0101eb58a88cd0ec66a853add9e79d262169afbad3e8481039546c2fd700287abb7c14b6f846fb98e8e945c386faf8c\
         33100d5ec2141dab60745b5df0e39d76091545ca50cc9e5865e36ef2595565a8afcd5dc321dd1dcf5f7230b5427b4978\
         17698a5730ce816c9ce53",
    );
    let messages = read_packet(&packet, &locked);
    assert!(matches!(
        messages.as_slice(),
        [Message::Nack(_), Message::Alive(_)]
    ));
    written_again(&messages, &packet, &locked);
    let ack = hex(
        "0a00000041012f52dae72ea8b493868a04d8acd00bf53ba415632e8caa4d1a7bebe6b2d7c66e825cbbe8812b6cc6c06\
         b594780dbe9685079c02dd345de151513add25f631905",
    );
    let Frame::Ack(read) = read_stream(&ack, Side::Answer, &locked) else {
        panic!("{ack:?}");
    };
    assert_eq!(read.seq, 99);
    // So short a stream is compressed to the same bytes by all.
    let again = stream::write(&Frame::Ack(read), Side::Answer, true, &locked, || {
        nonce(&ack, 6)
    });
    assert_eq!(again.unwrap(), ack);
}

// === the recordings ===

/// What is read from a recording, in words, for a person to compare; all that can be is written again.
fn recording(name: &str, envelope: &Envelope) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let recorded = std::fs::read_to_string(folder.join(format!("{name}.packets"))).unwrap();
    let mut shown = String::new();
    for line in recorded.lines().filter(|line| !line.starts_with('#')) {
        let (what, bytes) = line.split_once(' ').unwrap();
        let bytes = hex(bytes);
        match what {
            "packet" => {
                let messages = read_packet(&bytes, envelope);
                written_again(&messages, &bytes, envelope);
                writeln!(shown, "packet of {} bytes", bytes.len()).unwrap();
                messages
                    .iter()
                    .for_each(|message| show(message, &mut shown));
            }
            side => {
                let side = match side {
                    "request" => Side::Request,
                    _ => Side::Answer,
                };
                let frame = read_stream(&bytes, side, envelope);
                writeln!(shown, "{side:?} of {} bytes", bytes.len()).unwrap();
                show_frame(&frame, &mut shown);
                stream_again(&frame, &bytes, side, envelope);
            }
        }
    }
    let path = folder.join(format!("{name}.txt"));
    if std::env::var_os(UPDATE).is_some() {
        std::fs::write(&path, &shown).unwrap();
    }
    assert_eq!(shown, std::fs::read_to_string(&path).unwrap());
}

fn show(message: &Message, shown: &mut String) {
    match inner(message) {
        Some(inner) => {
            writeln!(shown, "  {inner:?}").unwrap();
            show_payload(&inner, shown);
        }
        None => writeln!(shown, "  {message:?}").unwrap(),
    }
    if let Message::Alive(alive) = message {
        let tags = serf::Tags::decode(&alive.meta).unwrap();
        writeln!(shown, "    {tags:?}").unwrap();
    }
}

/// What Serf's own queries carry, written the same again.
fn show_payload(message: &serf::Message, shown: &mut String) {
    let (what, again, payload) = match message {
        serf::Message::Query(query) if query.payload.first() == Some(&serf::code::KEY_REQUEST) => {
            let request = serf::KeyRequest::decode(&query.payload).unwrap();
            assert!([&b""[..], &key(16), &key(32)].contains(&request.key.expose().as_slice()));
            (format!("{request:?}"), request.to_bytes(), &query.payload)
        }
        serf::Message::QueryResponse(response) => {
            let payload = &response.payload;
            match payload.first() {
                Some(&serf::code::CONFLICT_RESPONSE) => {
                    let read = serf::ConflictResponse::decode(payload).unwrap();
                    (format!("{read:?}"), read.to_bytes(), payload)
                }
                Some(&serf::code::KEY_RESPONSE) => {
                    let read = serf::KeyResponse::decode(payload).unwrap();
                    (format!("{read:?}"), read.to_bytes(), payload)
                }
                _ => return,
            }
        }
        _ => return,
    };
    writeln!(shown, "    {what}").unwrap();
    // The order of the tags in a conflict response is chance in Serf.
    assert_eq!(again.len(), payload.len(), "{what}");
    if payload.first() != Some(&serf::code::CONFLICT_RESPONSE) {
        assert_eq!(again, payload, "{what}");
    }
}

fn show_frame(frame: &Frame, shown: &mut String) {
    let Frame::PushPull(state) = frame else {
        return writeln!(shown, "  {frame:?}").unwrap();
    };
    writeln!(shown, "  push/pull, join {}", state.is_join).unwrap();
    for member in &state.states {
        writeln!(shown, "    {member:?}").unwrap();
    }
    let user = serf::PushPull::decode(&state.user_state).unwrap();
    writeln!(shown, "    {user:?}").unwrap();
    let mut again = BytesMut::new();
    user.encode(&mut again);
    assert_eq!(serf::PushPull::decode(&again.freeze()).unwrap(), user);
}

/// What is inside of a stream is written as it was, compressed or not.
fn stream_again(frame: &Frame, bytes: &Bytes, side: Side, envelope: &Envelope) {
    let again = stream::write(frame, side, true, envelope, || nonce(bytes, 6)).unwrap();
    assert_eq!(read_stream(&again, side, envelope), *frame);
    if envelope.keyring().is_none() {
        let mut plain = BytesMut::new();
        frame.encode(&mut plain);
        assert_eq!(decompressed(bytes), plain, "{frame:?}");
    }
}

#[test]
fn a_golden_recording_of_plain_packets_is_read_and_written() {
    recording("serf-0.9.4-plain", &Envelope::default());
}

#[test]
fn a_golden_recording_of_encrypted_packets_is_read_and_written() {
    recording("serf-0.9.4-encrypted", &locked());
}
