//! Messages are read as they were written; those of other programs and hostile ones as far as they go.
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use super::*;
use crate::wire::{Address, Name};

pub(in crate::wire) fn name() -> impl Strategy<Value = Name> {
    vec(any::<u8>(), 1..40).prop_map(|bytes| Name::new(&bytes))
}

pub(in crate::wire) fn address() -> impl Strategy<Value = Address> {
    prop_oneof![
        any::<[u8; 4]>().prop_map(Address::Four),
        any::<[u8; 16]>().prop_map(Address::Sixteen),
    ]
}

pub(in crate::wire) fn versions() -> impl Strategy<Value = Versions> {
    any::<[u8; 6]>().prop_map(Versions::from_array)
}

pub(in crate::wire) fn payload() -> impl Strategy<Value = Bytes> {
    vec(any::<u8>(), 0..400).prop_map(Bytes::from)
}

fn source() -> impl Strategy<Value = Option<Source>> {
    let node = prop_oneof![name(), Just(Name::default())];
    option::of(
        (address(), 1_u16.., node).prop_map(|(address, port, node)| Source {
            address,
            port,
            node,
        }),
    )
}

pub(in crate::wire) fn ping() -> impl Strategy<Value = Ping> {
    (any::<u32>(), name(), source()).prop_map(|(seq, node, source)| Ping { seq, node, source })
}

pub(in crate::wire) fn ack() -> impl Strategy<Value = Ack> {
    (any::<u32>(), payload()).prop_map(|(seq, payload)| Ack { seq, payload })
}

pub(in crate::wire) fn message() -> impl Strategy<Value = Message> {
    let indirect = (any::<(u32, u16, bool)>(), address(), name(), source());
    let alive = (
        any::<(u32, u16)>(),
        name(),
        address(),
        payload(),
        option::of(versions()),
    );
    prop_oneof![
        ping().prop_map(Message::Ping),
        indirect.prop_map(|((seq, port, wants_nack), target, node, source)| {
            Message::IndirectPing(IndirectPing {
                seq,
                target,
                port,
                node,
                wants_nack,
                source,
            })
        }),
        ack().prop_map(Message::Ack),
        any::<u32>().prop_map(|seq| Message::Nack(Nack { seq })),
        (any::<u32>(), name(), name()).prop_map(|(incarnation, node, from)| {
            Message::Suspect(Suspect {
                incarnation,
                node,
                from,
            })
        }),
        (any::<u32>(), name(), name()).prop_map(|(incarnation, node, from)| {
            Message::Dead(Dead {
                incarnation,
                node,
                from,
            })
        }),
        alive.prop_map(|((incarnation, port), node, address, meta, versions)| {
            Message::Alive(Alive {
                incarnation,
                node,
                address,
                port,
                meta,
                versions,
            })
        }),
        payload().prop_map(Message::User),
    ]
}

pub(in crate::wire) fn push_pull() -> impl Strategy<Value = PushPull> {
    let state = prop::sample::select(vec![State::Alive, State::Suspect, State::Dead, State::Left]);
    let member = (
        any::<(u32, u16)>(),
        name(),
        address(),
        payload(),
        state,
        option::of(versions()),
    );
    let member = member.prop_map(
        |((incarnation, port), name, address, meta, state, versions)| NodeState {
            name,
            address,
            port,
            meta,
            incarnation,
            state,
            versions,
        },
    );
    (any::<bool>(), vec(member, 0..20), payload()).prop_map(|(is_join, states, user_state)| {
        PushPull {
            is_join,
            states,
            unusable: 0,
            user_state,
        }
    })
}

fn written(message: &Message) -> Bytes {
    let mut out = BytesMut::new();
    message.encode(&mut out);
    out.freeze()
}

/// The keys of the map behind the code byte.
pub(in crate::wire) fn keys(message: &Bytes) -> Vec<Vec<u8>> {
    let mut decoder = Decoder::new(message);
    decoder.byte().unwrap();
    let count = decoder.map(99).unwrap();
    let keys = (0..count).map(|_| {
        let key = decoder.text().unwrap().to_vec();
        decoder.skip().unwrap();
        key
    });
    keys.collect()
}

proptest! {
    #[test]
    fn messages_are_read_as_they_were_written(message in message()) {
        let bytes = written(&message);
        prop_assert_eq!(&Message::decode(&bytes).unwrap(), &message);
        if !matches!(message, Message::User(_)) {
            let keys = keys(&bytes);
            prop_assert!(keys.is_sorted(), "{:?}", keys);
        }
    }

    #[test]
    fn a_cut_message_is_refused(message in message(), cut: prop::sample::Index) {
        let bytes = written(&message);
        let cut = bytes.slice(..cut.index(bytes.len()));
        let is_user = cut.first() == Some(&code::USER);
        prop_assert_eq!(Message::decode(&cut).is_ok(), is_user);
    }

    #[test]
    fn any_bytes_are_read_or_refused(code in 0_u8..16, bytes: Vec<u8>) {
        let mut bytes = bytes;
        bytes.insert(0, code);
        if let Ok(message) = Message::decode(&Bytes::from(bytes)) {
            let again = written(&message);
            prop_assert_eq!(Message::decode(&again).unwrap(), message);
        }
    }
}

fn refused(bytes: &[u8]) -> String {
    Message::decode(&Bytes::copy_from_slice(bytes))
        .unwrap_err()
        .to_string()
}

#[test]
fn what_is_wrong_with_a_message_is_said() {
    assert_eq!(refused(b""), "a message is empty");
    assert_eq!(refused(b"\x0e\x80"), "message type 14 is unknown");
    assert_eq!(refused(b"\x06\x80"), "message type 6 is unknown");
    assert_eq!(
        refused(b"\x04\x82\xa4Node\xa1a\xa4Addr\xa3abc"),
        "Addr of alive: an address of 3 bytes is neither IPv4 nor IPv6"
    );
    assert_eq!(
        refused(b"\x04\x81\xa4Addr\xa4abcd"),
        "Node of alive: a name is empty"
    );
    assert_eq!(
        refused(b"\x04\x81\xa4Node\xa1a"),
        "Addr of alive: an address of 0 bytes is neither IPv4 nor IPv6"
    );
    assert_eq!(
        refused(b"\x04\x83\xa4Node\xa1a\xa4Addr\xa4abcd\xa3Vsn\xa3abc"),
        "Vsn of alive: a version vector of 3 bytes, not 6"
    );
    let meta = [&b"\x04\x81\xa4Meta\xda\x02\x01"[..], &[b'x'; 513]].concat();
    assert_eq!(
        refused(&meta),
        "Meta of alive: metadata in bytes of 513 is more than 512"
    );
}

#[test]
fn a_ping_without_a_whole_source_is_answered_where_it_came_from() {
    let source = |rest: &[u8]| {
        let bytes = [b"\x00", rest].concat();
        match Message::decode(&Bytes::from(bytes)).unwrap() {
            Message::Ping(ping) => ping.source,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(source(b"\x80"), None);
    assert_eq!(source(b"\x81\xaaSourceAddr\xa4\x7f\x00\x00\x01"), None);
    assert_eq!(source(b"\x82\xaaSourceAddr\xc0\xaaSourcePort\x09"), None);
    let whole = source(b"\x82\xaaSourceAddr\xa4\x7f\x00\x00\x01\xaaSourcePort\x09").unwrap();
    assert_eq!((whole.port, whole.node.is_empty()), (9, true));
}
