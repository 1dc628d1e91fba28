//! Queries of others, and our answers to them.

use super::*;
use crate::wire::serf::{ConflictResponse, Filter, KeyRequest, KeyResponse, Query, Relay};

/// A query of `a`, with an ack wanted.
fn query(time: u64, id: u32) -> Query {
    Query {
        ltime: LTime(time),
        id,
        address: believed("a", State::Alive).address,
        port: 7946,
        source_node: Name::from("a"),
        filters: Vec::new(),
        flags: 0,
        relay_factor: 0,
        timeout: Duration::from_secs(5),
        name: Name::from("load"),
        payload: Bytes::from_static(b"?"),
    }
}

fn ask(me: &mut One, query: &Query) {
    me.receive(&Message::Query(query.clone()));
}

fn key(time: u64, id: u32) -> QueryKey {
    QueryKey {
        time: LTime(time),
        id,
    }
}

/// The payload of the one answer that was sent.
fn answer(me: &mut One) -> Bytes {
    let sent = me.sent();
    let [(to, Message::QueryResponse(response))] = &sent[..] else {
        panic!("{sent:?}")
    };
    assert_eq!((*to, &response.from), (address("a"), &Name::from("me")));
    response.payload.clone()
}

#[test]
fn a_query_is_told_and_passed_on_once() {
    let mut me = One::among(&["a"]);
    ask(&mut me, &query(7, 1));
    ask(&mut me, &query(7, 1));
    assert_eq!(me.events(), ["load?@7=?"]);
    assert_eq!(me.queued(), [0, 1, 0]);
    // Another asker at the same time chose another number.
    ask(&mut me, &query(7, 2));
    assert_eq!(me.events(), ["load?@7=?"]);
    assert_eq!(me.stat("query_time"), "8");
}

#[test]
fn a_query_that_is_not_to_go_round_does_not() {
    let mut me = One::among(&["a"]);
    ask(
        &mut me,
        &Query {
            flags: Query::NO_BROADCAST,
            ..query(7, 1)
        },
    );
    assert_eq!(me.events().len(), 1);
    assert_eq!(me.queued(), [0, 0, 0]);
}

#[test]
fn a_query_for_others_is_only_passed_on() {
    let mut me = One::among(&["a"]);
    let filters = vec![Filter::Nodes(vec![Name::from("b")]).to_bytes()];
    ask(
        &mut me,
        &Query {
            filters,
            flags: Query::ACK,
            ..query(7, 1)
        },
    );
    assert!(me.events().is_empty() && me.sent().is_empty());
    assert_eq!(me.queued(), [0, 1, 0]);
    let (tag, expression) = ("role".to_owned(), "^m".to_owned());
    let filters = vec![Filter::Tag { tag, expression }.to_bytes()];
    ask(
        &mut me,
        &Query {
            filters,
            ..query(8, 1)
        },
    );
    assert_eq!(me.events().len(), 1);
}

#[test]
fn an_ack_goes_at_once_to_the_address_in_the_query() {
    let mut me = One::among(&["a"]);
    ask(
        &mut me,
        &Query {
            flags: Query::ACK,
            port: 99,
            ..query(7, 1)
        },
    );
    let sent = me.sent();
    let [(to, Message::QueryResponse(ack))] = &sent[..] else {
        panic!("{sent:?}")
    };
    assert_eq!(to.port(), 99);
    assert_eq!((ack.flags, ack.ltime, ack.id), (1, LTime(7), 1));
    assert!(ack.payload.is_empty());
}

#[test]
fn a_query_is_answered_once_and_in_time() {
    let mut me = One::among(&["a"]);
    ask(&mut me, &query(7, 1));
    ask(&mut me, &query(8, 1));
    let respond = |me: &mut One, time| me.serf.respond(me.now, key(time, 1), "yes".into());
    assert_eq!(respond(&mut me, 7), Ok(()));
    assert_eq!(answer(&mut me), "yes");
    assert_eq!(
        respond(&mut me, 7).unwrap_err().to_string(),
        "response already sent"
    );
    me.now = at(6);
    assert_eq!(
        respond(&mut me, 8).unwrap_err().to_string(),
        "response is past the deadline"
    );
    assert_eq!(respond(&mut me, 9), Err(Error::PastDeadline));
    assert!(me.sent().is_empty());
}

#[test]
fn an_answer_that_is_too_large_is_refused_and_may_be_shortened() {
    let mut me = One::among(&["a"]);
    ask(&mut me, &query(7, 1));
    let respond = |me: &mut One, bytes| me.serf.respond(me.now, key(7, 1), vec![0; bytes].into());
    let error = respond(&mut me, 1024).unwrap_err();
    assert_eq!(error.to_string(), "response exceeds limit of 1024 bytes");
    assert_eq!(respond(&mut me, 900), Ok(()));
}

#[test]
fn an_answer_comes_by_way_of_others_too() {
    let mut me = One::among(&["a", "b", "c", "d", "e"]);
    me.fail("e");
    ask(
        &mut me,
        &Query {
            relay_factor: 2,
            ..query(7, 1)
        },
    );
    me.serf.respond(me.now, key(7, 1), "yes".into()).unwrap();
    let sent = me.sent();
    let (first, relayed) = sent.split_first().unwrap();
    let Message::QueryResponse(direct) = &first.1 else {
        panic!("{first:?}")
    };
    assert_eq!(relayed.len(), 2);
    let able = ["b", "c", "d"].map(address);
    for (to, message) in relayed {
        assert!(able.contains(to), "{to}");
        let Message::Relay(Relay {
            address: to,
            node,
            inner,
            ..
        }) = message
        else {
            panic!()
        };
        assert_eq!(
            (to, node),
            (&believed("a", State::Alive).address, &Name::from("a"))
        );
        assert_eq!(
            Message::decode(inner),
            Ok(Message::QueryResponse(direct.clone()))
        );
    }
    assert_ne!(relayed[0].0, relayed[1].0);
}

#[test]
fn with_too_few_members_nothing_goes_by_way_of_others() {
    let mut me = One::among(&["a"]);
    ask(
        &mut me,
        &Query {
            relay_factor: 3,
            flags: Query::ACK,
            ..query(7, 1)
        },
    );
    assert_eq!(me.sent().len(), 1);
}

#[test]
fn what_is_to_be_passed_on_is_passed_on_unchanged() {
    let mut me = One::among(&["a"]);
    let inner = Bytes::from_static(b"\x05 whatever it is");
    let relay = Relay {
        address: believed("q", State::Alive).address,
        port: 7946,
        node: Name::from("q"),
        inner: inner.clone(),
    };
    me.receive(&Message::Relay(relay));
    assert_eq!(me.serf.out.sends, [(address("q"), inner)]);
}

#[test]
fn a_ping_is_acked_and_nothing_else() {
    let mut me = One::among(&["a"]);
    ask(
        &mut me,
        &Query {
            name: Name::from("_serf_ping"),
            flags: Query::ACK,
            ..query(7, 1)
        },
    );
    assert_eq!(me.sent().len(), 1);
    // The snapshot hears of it; the owner keeps it from users.
    assert_eq!(me.events(), ["_serf_ping?@7=?"]);
}

#[test]
fn an_unknown_internal_query_is_not_answered() {
    let mut me = One::among(&["a"]);
    ask(
        &mut me,
        &Query {
            name: Name::from("_serf_what"),
            ..query(7, 1)
        },
    );
    assert!(me.sent().is_empty());
}

#[test]
fn who_has_a_name_is_answered_as_believed() {
    let mut me = One::among(&["a", "b"]);
    let about = |me: &mut One, time, name: &'static str| {
        let (name, payload) = (Name::from("_serf_conflict"), Bytes::from(name));
        ask(
            me,
            &Query {
                name,
                payload,
                ..query(time, 1)
            },
        );
    };
    about(&mut me, 1, "b");
    let ConflictResponse(believed) = ConflictResponse::decode(&answer(&mut me)).unwrap();
    let b = believed.unwrap();
    assert_eq!(
        (b.address.socket(b.port), b.status),
        (address("b"), Status::Alive)
    );
    about(&mut me, 2, "nobody");
    assert_eq!(answer(&mut me), Bytes::from_static(b"\x06\xc0"));
    about(&mut me, 3, "me");
    assert!(me.sent().is_empty());
}

#[test]
fn a_key_query_is_handed_to_the_owner_and_answered_after() {
    let mut me = One::among(&["a"]);
    let request = KeyRequest {
        key: taraf_base::Secret::new(vec![7; 16]),
    };
    let name = Name::from("_serf_install-key");
    ask(
        &mut me,
        &Query {
            name,
            payload: request.to_bytes(),
            ..query(7, 1)
        },
    );
    assert!(me.sent().is_empty());
    let changes = std::mem::take(&mut me.serf.out.key_changes);
    let [change] = &changes[..] else {
        panic!("{changes:?}")
    };
    assert_eq!(
        (change.operation, change.key.expose().len()),
        (KeyOperation::Install, 16)
    );
    let done = KeyResponse {
        is_done: true,
        ..KeyResponse::default()
    };
    me.serf
        .answer_keys(me.now, change.query, change.operation, done.clone());
    assert_eq!(KeyResponse::decode(&answer(&mut me)), Ok(done));
}

#[test]
fn a_key_query_that_cannot_be_read_is_answered_too() {
    let mut me = One::among(&["a"]);
    let name = Name::from("_serf_use-key");
    ask(
        &mut me,
        &Query {
            name,
            payload: Bytes::from_static(b"\x07\x91"),
            ..query(7, 1)
        },
    );
    let response = KeyResponse::decode(&answer(&mut me)).unwrap();
    assert!(!response.is_done);
    assert!(
        response.message.starts_with("Failed to decode key request"),
        "{response:?}"
    );
}

#[test]
fn a_list_of_keys_that_is_too_long_is_cut() {
    let mut me = One::among(&["a"]);
    let keys: Vec<String> = (0..60).map(|number| format!("{number:044}")).collect();
    let response = KeyResponse {
        is_done: true,
        keys: keys.clone(),
        ..KeyResponse::default()
    };
    let name = Name::from("_serf_list-keys");
    let request = KeyRequest {
        key: taraf_base::Secret::new(Vec::new()),
    };
    ask(
        &mut me,
        &Query {
            name,
            payload: request.to_bytes(),
            ..query(7, 1)
        },
    );
    me.serf
        .answer_keys(me.now, key(7, 1), KeyOperation::List, response);
    let shown = KeyResponse::decode(&answer(&mut me)).unwrap();
    let count = shown.keys.len();
    assert!((15..25).contains(&count), "{count}");
    assert_eq!(shown.keys, keys[..count]);
    let expected = format!("truncated key list response, showing first {count} of 60 keys");
    assert_eq!(shown.message, expected);
    assert!(shown.is_done);
}

#[test]
fn a_flood_of_queries_is_bounded() {
    let config = Config::serf(Name::from("me"), Tags::default());
    let mut me = One::with(Config {
        open_queries_max: 10,
        ..config
    });
    for id in 0..20 {
        let timeout = Duration::from_secs(u64::from(100 - id));
        ask(
            &mut me,
            &Query {
                timeout,
                ..query(7, id)
            },
        );
    }
    assert_eq!(me.serf.open.len(), 10);
    // Those that would have ended first had to go.
    assert_eq!(
        me.serf.respond(me.now, key(7, 18), Bytes::new()),
        Err(Error::PastDeadline)
    );
    assert_eq!(me.serf.respond(me.now, key(7, 19), Bytes::new()), Ok(()));
    assert_eq!(me.serf.respond(me.now, key(7, 0), Bytes::new()), Ok(()));
    // Those whose time is up go first.
    me.now = at(200);
    ask(&mut me, &query(8, 1));
    assert_eq!(me.serf.open.len(), 1);
}
