//! Requests and records as bytes and back, and bytes that are none.

use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::rpc::agent::{Coordinate, Joined, KeyCommand, KeysAnswer, QueryRequest, Reply, Stats};
use crate::rpc::event::{Event, Member, MemberChange, Status, UserEvent, Versions};
use crate::wire::Address;

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text
        .bytes()
        .filter(|byte| !byte.is_ascii_whitespace())
        .collect();
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    digits.chunks(2).map(byte).collect()
}

fn read<B: Body>(bytes: &[u8]) -> B {
    let mut reader = Reader::new(ANSWER_BYTES_MAX);
    reader.buffer().extend_from_slice(bytes);
    let value = reader.read().unwrap().unwrap();
    assert!(reader.is_empty());
    value
}

fn round<B: Body + Sync + PartialEq + std::fmt::Debug>(value: &B) {
    let bytes = encode(&[value]);
    assert_eq!(&read::<B>(&bytes), value, "{bytes:02x?}");
}

fn member() -> Member {
    Member {
        name: "a1".into(),
        address: Some(Address::Four([127, 0, 0, 2])),
        port: 7946,
        tags: [("role".to_owned(), "web".to_owned())].into(),
        status: Status::Leaving,
        protocol: Versions {
            min: 1,
            max: 5,
            current: 2,
        },
        delegate: Versions {
            min: 2,
            max: 5,
            current: 5,
        },
    }
}

/// What a real agent sent.
#[test]
fn the_bytes_of_serf_are_read_and_written_as_they_are() {
    let header = AnswerHeader {
        seq: 1,
        error: String::new(),
    };
    assert_eq!(encode(&[&header])[..], hex("82a54572726f72a0a353657101"));
    let record = EventRecord::Event(Arc::new(Event::User(UserEvent {
        ltime: 2,
        name: "ev".into(),
        payload: Bytes::from_static(b"pp"),
        coalesce: false,
    })));
    let told = hex(
        "85a8436f616c65736365c2a54576656e74a475736572a54c54696d6502a44e616d65a26576a75061796c6f6164c4027070",
    );
    assert_eq!(encode(&[&record])[..], told);
    assert_eq!(read::<EventRecord>(&told), record);
    let joined = hex("81a34e756d00");
    assert_eq!(encode(&[&Joined::default()])[..], joined);
    let unknown = hex(
        "82a5436f6f726484aa41646a7573746d656e74cb0000000000000000a54572726f72cb0000000000000000a6486569676874\
         cb0000000000000000a3566563c0a24f6bc2",
    );
    assert_eq!(encode(&[&CoordinateAnswer(None)])[..], unknown);
}

#[test]
fn every_request_comes_back_as_it_was() {
    let key = "MDEyMzQ1Njc4OWFiY2RlZg==".to_owned();
    let requests = [
        Request::Handshake { version: VERSION },
        Request::Auth { key: key.clone() },
        Request::Event {
            name: "deploy".into(),
            payload: Bytes::from_static(b"x"),
            coalesce: true,
        },
        Request::ForceLeave {
            node: "a".into(),
            prune: true,
        },
        Request::Join {
            addresses: vec!["127.0.0.1".into(); 20],
            replay: true,
        },
        Request::Members,
        Request::MembersFiltered {
            tags: [("a".into(), "b".into())].into(),
            status: "alive".into(),
            name: "n".into(),
        },
        Request::Tags {
            set: [("a".into(), "b".into())].into(),
            delete: vec!["c".into()],
        },
        Request::Stream {
            kinds: "user:deploy,query".into(),
        },
        Request::Monitor {
            level: "DEBUG".into(),
        },
        Request::Stop { stream: u64::MAX },
        Request::Leave,
        Request::Query(QueryRequest {
            nodes: vec!["a".into(), "b".into()],
            tags: [("role".into(), "w.*".into())].into(),
            wants_ack: true,
            relay_factor: 255,
            waits: true,
            timeout: Duration::from_millis(1500),
            name: "load".into(),
            payload: Some(Bytes::new()),
        }),
        Request::Query(QueryRequest::default()),
        Request::Respond {
            id: 77,
            payload: Bytes::from_static(&[0xff; 300]),
        },
        Request::Keys(KeyCommand::Install(key.clone())),
        Request::Keys(KeyCommand::Use(key.clone())),
        Request::Keys(KeyCommand::Remove(key)),
        Request::Keys(KeyCommand::List),
        Request::Stats,
        Request::GetCoordinate { node: "a".into() },
    ];
    for request in requests {
        let mut bytes = BytesMut::new();
        request.encode_body(&mut Encoder::rpc(&mut bytes));
        let command = request.command();
        assert_eq!(command.has_body(), !bytes.is_empty(), "{request:?}");
        assert_eq!(Command::of_word(command.word()), Some(command));
        let whole = bytes.freeze();
        let mut from = Decoder::new(&whole);
        assert_eq!(Request::decode_body(command, &mut from), Ok(request));
        assert!(from.is_at_end());
    }
    assert_eq!(Command::of_word("bogus"), None);
}

#[test]
fn every_answer_and_record_comes_back_as_it_was() {
    round(&RequestHeader {
        command: "members".into(),
        seq: 300,
    });
    round(&AnswerHeader {
        seq: 300,
        error: "e".repeat(40),
    });
    round(&MembersAnswer(vec![
        member(),
        Member {
            address: None,
            ..member()
        },
    ]));
    round(&Joined {
        count: 3,
        error: None,
    });
    let keys = KeysAnswer {
        messages: [("a1".into(), "no".into())].into(),
        keys: Some([("abc".into(), 2)].into()),
        asked: 3,
        failed: 1,
        answered: 2,
        error: None,
    };
    round(&KeysAnswer {
        keys: None,
        ..keys.clone()
    });
    round(&keys);
    round(&Stats::from([(
        "agent".into(),
        [("name".into(), "a1".into())].into(),
    )]));
    let coordinate = Coordinate {
        vector: vec![0.1; 8],
        error: 1.5,
        adjustment: -0.1,
        height: 1e-5,
    };
    round(&CoordinateAnswer(Some(coordinate)));
    round(&CoordinateAnswer(None));
    round(&QueryRecord::Done);
    round(&QueryRecord::Reply(Reply::Ack("a1".into())));
    round(&QueryRecord::Reply(Reply::Response(
        "a1".into(),
        Bytes::from_static(b"0.5\n"),
    )));
    round(&Arc::<str>::from(
        "2026/11/23 11:37:11 [INFO] agent: Serf agent starting",
    ));
    round(&EventRecord::Event(Arc::new(Event::Members(
        MemberChange::Reap,
        vec![member()],
    ))));
    let (name, payload) = ("load".into(), Bytes::from_static(b"p"));
    round(&EventRecord::Query {
        id: 1,
        ltime: 2,
        name,
        payload,
    });
    round(&EventRecord::Unknown("new".into()));
}

#[test]
fn a_record_without_a_sender_ends_a_query() {
    let nobody = QueryRecord::Reply(Reply::Ack(Name::default()));
    assert_eq!(read::<QueryRecord>(&encode(&[&nobody])), QueryRecord::Done);
}

#[test]
fn a_payload_that_is_nil_is_none_and_an_empty_one_is_one() {
    let with = |payload: &str| {
        let bytes = Bytes::from(hex(&format!("81a75061796c6f6164{payload}")));
        match Request::decode_body(Command::Query, &mut Decoder::new(&bytes)) {
            Ok(Request::Query(query)) => query.payload,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(with("c0"), None);
    assert_eq!(with("c400"), Some(Bytes::new()));
    assert_eq!(with("a161"), Some(Bytes::from_static(b"a")));
}

#[test]
fn values_that_arrive_byte_by_byte_are_read_when_they_are_whole() {
    let (header, body) = (
        AnswerHeader {
            seq: 9,
            error: String::new(),
        },
        MembersAnswer(vec![member()]),
    );
    let bytes = encode(&[&header, &body]);
    let mut reader = Reader::new(bytes.len());
    let (mut header_at, mut body_at) = (None, None);
    for (index, byte) in bytes.iter().enumerate() {
        reader.buffer().extend_from_slice(&[*byte]);
        if header_at.is_none() {
            header_at = reader
                .read::<AnswerHeader>()
                .unwrap()
                .map(|read| (index, read));
        } else if body_at.is_none() {
            body_at = reader
                .read::<MembersAnswer>()
                .unwrap()
                .map(|read| (index, read));
        }
    }
    assert_eq!(header_at, Some((encode(&[&header]).len() - 1, header)));
    assert_eq!(body_at, Some((bytes.len() - 1, body)));
}

#[test]
fn a_value_beyond_the_limit_is_refused_by_its_head_alone() {
    for head in [
        "c6ffffffff",
        "dbffffffff",
        "ddffffffff",
        "dfffffffff",
        "c9ffffffff",
        "de4000",
    ] {
        let mut reader = Reader::new(1000);
        reader.buffer().extend_from_slice(&hex(head));
        let error = reader.whole().unwrap_err();
        assert!(error.to_string().contains("more than 1000"), "{error}");
    }
}

proptest! {
    #[test]
    fn made_up_bytes_are_never_read_beyond_their_end(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let mut reader = Reader::new(150);
        reader.buffer().extend_from_slice(&bytes);
        while let Ok(Some(whole)) = reader.whole() {
            let mut decoder = Decoder::new(&whole);
            // The length that was found is the one that the decoder finds.
            if decoder.skip().is_ok() {
                prop_assert!(decoder.is_at_end());
            }
            for command in Command::ALL {
                drop(Request::decode_body(command, &mut Decoder::new(&whole)));
            }
            drop(MembersAnswer::decode(&mut Decoder::new(&whole)));
            drop(EventRecord::decode(&mut Decoder::new(&whole)));
            drop(KeysAnswer::decode(&mut Decoder::new(&whole)));
            drop(Stats::decode(&mut Decoder::new(&whole)));
            drop(CoordinateAnswer::decode(&mut Decoder::new(&whole)));
        }
    }
}
