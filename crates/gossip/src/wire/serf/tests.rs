//! Serf's messages are read as they were written; hostile ones as far as they go.
#![expect(clippy::indexing_slicing, reason = "tests stop at the first surprise")]

use std::time::Duration;

use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;
use taraf_base::Secret;

use super::*;
use crate::wire::memberlist::tests::{address, keys, name, payload, versions};

fn time() -> impl Strategy<Value = LTime> {
    any::<u64>().prop_map(LTime)
}

fn tags() -> impl Strategy<Value = Tags> {
    btree_map(any::<String>(), any::<String>(), 0..5).prop_map(Tags)
}

fn event() -> impl Strategy<Value = UserEvent> {
    (time(), name(), payload(), any::<bool>()).prop_map(|(ltime, name, payload, coalesce)| {
        UserEvent {
            ltime,
            name,
            payload,
            coalesce,
        }
    })
}

fn query() -> impl Strategy<Value = Query> {
    let numbers = any::<(u32, u16, u32, u8)>();
    let timeout = (0..i64::MAX.unsigned_abs()).prop_map(Duration::from_nanos);
    let filters = vec(payload(), 0..4);
    let rest = (time(), address(), name(), name(), payload());
    (numbers, timeout, filters, rest).prop_map(
        |((id, port, flags, relay_factor), timeout, filters, rest)| {
            let (ltime, address, source_node, name, payload) = rest;
            Query {
                ltime,
                id,
                address,
                port,
                source_node,
                filters,
                flags,
                relay_factor,
                timeout,
                name,
                payload,
            }
        },
    )
}

fn message() -> impl Strategy<Value = Message> {
    let response = (time(), any::<(u32, u32)>(), name(), payload());
    let relay = (address(), any::<u16>(), name(), payload());
    prop_oneof![
        (time(), name(), any::<bool>()).prop_map(|(ltime, node, prune)| Message::Leave(Leave {
            ltime,
            node,
            prune
        })),
        (time(), name()).prop_map(|(ltime, node)| Message::Join(Join { ltime, node })),
        event().prop_map(Message::UserEvent),
        query().prop_map(Message::Query),
        response.prop_map(|(ltime, (id, flags), from, payload)| {
            Message::QueryResponse(QueryResponse {
                ltime,
                id,
                from,
                flags,
                payload,
            })
        }),
        relay.prop_map(|(address, port, node, inner)| {
            Message::Relay(Relay {
                address,
                port,
                node,
                inner,
            })
        }),
    ]
}

fn state() -> impl Strategy<Value = PushPull> {
    let event = (name(), payload()).prop_map(|(name, payload)| Event { name, payload });
    let at = (time(), vec(event, 1..3)).prop_map(|(ltime, events)| EventsAt { ltime, events });
    let times = (time(), time(), time());
    (
        times,
        vec((name(), time()), 0..9),
        vec(name(), 0..9),
        vec(at, 0..5),
    )
        .prop_map(
            |((ltime, event_ltime, query_ltime), status_ltimes, left_members, events)| PushPull {
                said: (ltime.0 % 2 == 0).then(|| Said {
                    node: Name::from("n"),
                    clock_ms: ltime.0,
                    settings: "probe 1s".to_owned(),
                }),
                ltime,
                status_ltimes,
                left_members,
                event_ltime,
                events,
                query_ltime,
            },
        )
}

fn member() -> impl Strategy<Value = Member> {
    let status = prop::sample::select(vec![
        MemberStatus::None,
        MemberStatus::Alive,
        MemberStatus::Leaving,
        MemberStatus::Left,
        MemberStatus::Failed,
    ]);
    (name(), address(), any::<u16>(), tags(), status, versions()).prop_map(
        |(name, address, port, tags, status, versions)| Member {
            name,
            address,
            port,
            tags,
            status,
            versions,
        },
    )
}

fn written(encode: impl FnOnce(&mut BytesMut)) -> Bytes {
    let mut out = BytesMut::new();
    encode(&mut out);
    out.freeze()
}

proptest! {
    #[test]
    fn messages_are_read_as_they_were_written(message in message()) {
        let bytes = written(|out| message.encode(out));
        prop_assert_eq!(Message::decode(&bytes).unwrap(), message);
        let keys = keys(&bytes);
        prop_assert!(keys.is_sorted(), "{:?}", keys);
    }

    #[test]
    fn states_are_read_as_they_were_written(state in state()) {
        let bytes = written(|out| state.encode(out));
        prop_assert_eq!(PushPull::decode(&bytes).unwrap(), state);
        prop_assert!(keys(&bytes).is_sorted());
    }

    #[test]
    fn internal_payloads_are_read_as_they_were_written(
        member in option::of(member()),
        key: Vec<u8>,
        is_done: bool,
        message: String,
        list in vec("[a-zA-Z0-9+/]{22}==", 0..20),
    ) {
        let conflict = ConflictResponse(member);
        prop_assert_eq!(ConflictResponse::decode(&conflict.to_bytes()).unwrap(), conflict);
        let request = KeyRequest { key: Secret::new(key) };
        prop_assert_eq!(KeyRequest::decode(&request.to_bytes()).unwrap(), request);
        let primary = list.first().cloned().unwrap_or_default();
        let response = KeyResponse { is_done, message, keys: list, primary };
        let bytes = response.to_bytes();
        prop_assert!(keys(&bytes).is_sorted());
        prop_assert_eq!(KeyResponse::decode(&bytes).unwrap(), response);
    }

    #[test]
    fn filters_tags_and_coordinates_are_read_as_they_were_written(
        nodes in vec(name(), 0..9),
        (tag, expression) in any::<(String, String)>(),
        tags in tags(),
        (vector, error, height) in any::<([i32; 8], i32, i32)>(),
    ) {
        for filter in [Filter::Nodes(nodes), Filter::Tag { tag, expression }] {
            prop_assert_eq!(Filter::decode(&filter.to_bytes()).unwrap(), filter);
        }
        if let Ok(bytes) = tags.to_bytes() {
            prop_assert_eq!(Tags::decode(&bytes).unwrap(), tags);
        }
        let coordinate = Coordinate {
            vector: vector.map(f64::from),
            error: error.into(),
            adjustment: -1.5,
            height: height.into(),
        };
        let bytes = coordinate.to_bytes();
        prop_assert_eq!(bytes.len(), 130);
        prop_assert!(keys(&bytes).is_sorted());
        prop_assert_eq!(Coordinate::decode(&bytes).unwrap(), coordinate);
    }

    #[test]
    fn any_bytes_are_read_or_refused(code in 0_u8..11, bytes: Vec<u8>) {
        let mut bytes = bytes;
        bytes.insert(0, code);
        let bytes = Bytes::from(bytes);
        if let Ok(message) = Message::decode(&bytes) {
            let again = written(|out| message.encode(out));
            prop_assert_eq!(Message::decode(&again).unwrap(), message);
        }
        let _read_or_not = (
            PushPull::decode(&bytes),
            ConflictResponse::decode(&bytes),
            KeyRequest::decode(&bytes),
            KeyResponse::decode(&bytes),
            Filter::decode(&bytes),
            Tags::decode(&bytes),
            Coordinate::decode(&bytes),
        );
    }
}

#[test]
fn metadata_that_is_no_tags_is_a_role() {
    let check = |meta: &'static [u8], role: &str| {
        let tags = Tags::decode(&Bytes::from_static(meta)).unwrap();
        assert_eq!(tags.0["role"], role);
        assert_eq!(tags.0.len(), 1);
    };
    check(b"", "");
    check(b"web", "web");
    check(b"\xff\x81\xa4role\xa3web", "web");
    assert_eq!(Tags::default().to_bytes().unwrap(), &b"\xff\x80"[..]);
}

#[test]
fn tags_that_do_not_fit_are_refused_with_their_size() {
    let with = |bytes| Tags([("a".to_owned(), "x".repeat(bytes))].into());
    assert_eq!(with(505).to_bytes().unwrap().len(), 512);
    let error = with(506).to_bytes().unwrap_err();
    assert_eq!(error.to_string(), "tags in bytes of 513 is more than 512");
    assert!(Tags::decode(&Bytes::from(vec![0xff; 513])).is_err());
}

#[test]
fn a_key_in_a_query_is_not_shown() {
    let mut query = b"\x04\x82\xa4Addr\xa4\x7f\x00\x00\x01\xa7Payload\xb7".to_vec();
    let key = Secret::new(b"sixteen bytes 16".to_vec());
    query.extend(KeyRequest { key }.to_bytes());
    let query = Message::decode(&Bytes::from(query)).unwrap();
    let shown = format!("{query:?}");
    assert!(
        shown.contains("***") && !shown.contains("sixteen"),
        "{shown}"
    );
}

#[test]
fn a_negative_timeout_is_none_at_all() {
    let query = b"\x04\x82\xa4Addr\xa4\x7f\x00\x00\x01\xa7Timeout\xff";
    let Message::Query(query) = Message::decode(&Bytes::from_static(query)).unwrap() else {
        panic!("another message");
    };
    assert_eq!(query.timeout, Duration::ZERO);
}

#[test]
fn what_is_wrong_with_a_message_is_said() {
    let refused = |bytes: &'static [u8]| {
        let error = Message::decode(&Bytes::from_static(bytes)).unwrap_err();
        error.to_string()
    };
    assert_eq!(refused(b""), "a Serf message is empty");
    assert_eq!(refused(b"\x02\x80"), "Serf message type 2 is unknown");
    assert_eq!(
        refused(b"\x03\x81\xa4Name\x07"),
        "Name of user event: a string is expected, not msgpack 0x07"
    );
    assert_eq!(
        refused(b"\x09\x81\xa8DestAddr\x81\xa4Port\xce\x00\x01\x00\x00"),
        "DestAddr of relay: Port of relay address: 65536 is out of range, the largest is 65535"
    );
    let state = PushPull::decode(&Bytes::from_static(b"\x03\x80")).unwrap_err();
    assert_eq!(
        state.to_string(),
        "Serf message type in a push/pull 3 is unknown"
    );
    let version = Coordinate::decode(&Bytes::from_static(b"\x02\x80")).unwrap_err();
    assert_eq!(version.to_string(), "version of coordinates 2 is unknown");
    let flat = Coordinate::decode(&Bytes::from_static(b"\x01\x81\xa3Vec\x91\x07")).unwrap_err();
    assert_eq!(flat.to_string(), "number of dimensions 1 is unknown");
}

/// The whole ring of an agent of Serf, in which three events happened.
#[test]
fn empty_slots_of_recent_events_are_passed_over() {
    let event = b"\x82\xa4Name\xa1e\xa7Payload\xa1p";
    let mut bytes = b"\x02\x81\xa6Events\xdc\x02\x00".to_vec();
    bytes.extend([0xc0; 10]);
    bytes.extend(b"\x82\xa5LTime\x05\xa6Events\x92");
    bytes.extend(event.repeat(2));
    bytes.extend([0xc0; 400]);
    bytes.extend(b"\x82\xa6Events\x91");
    bytes.extend(event);
    bytes.extend(b"\xa5LTime\x06");
    bytes.extend([0xc0; 100]);
    let state = PushPull::decode(&Bytes::from(bytes)).unwrap();
    let shape = state.events.iter().map(|at| (at.ltime.0, at.events.len()));
    assert_eq!(shape.collect::<Vec<_>>(), [(5, 2), (6, 1)]);
    assert_eq!(state.events[0].events[1].payload, "p");
}

#[test]
fn more_recent_events_than_there_may_be_are_refused() {
    let mut bytes = b"\x02\x81\xa6Events\x95".to_vec();
    for _ in 0..5 {
        bytes.extend(b"\x81\xa6Events\xdc\x10\x00");
        bytes.extend([0x80; 4_096]);
    }
    let error = PushPull::decode(&Bytes::from(bytes)).unwrap_err();
    assert!(error.to_string().contains("20480"), "{error}");
}
