//! Queries of ours and what comes of them.

use super::*;
use crate::wire::serf::{ConflictResponse, KeyResponse, Query, QueryResponse};

fn ask(me: &mut One, params: &QueryParams) -> (QueryKey, Moment) {
    me.serf
        .query(
            me.now,
            &Name::from("load"),
            Bytes::from_static(b"?"),
            params,
        )
        .unwrap()
}

fn response(query: QueryKey, from: &str, flags: u32, payload: Bytes) -> Message {
    let from = Name::from(from);
    Message::QueryResponse(QueryResponse {
        ltime: query.time,
        id: query.id,
        from,
        flags,
        payload,
    })
}

fn acks() -> QueryParams {
    QueryParams {
        wants_acks: true,
        ..QueryParams::default()
    }
}

/// What came of queries since the last call, in short.
fn answers(me: &mut One) -> Vec<String> {
    let answers = std::mem::take(&mut me.serf.out.answers);
    let short = |(_, answer): (QueryKey, Answer)| match answer {
        Answer::Ack(from) => format!("ack {from}"),
        Answer::Response(from, payload) => format!("{from}: {}", String::from_utf8_lossy(&payload)),
        Answer::Done => "done".to_owned(),
    };
    answers.into_iter().map(short).collect()
}

#[test]
fn the_usual_wait_grows_with_the_digits_of_the_members() {
    let mut me = One::new();
    let mut check = |members: usize, millis| {
        for number in me.serf.members().count()..members {
            me.join(&format!("n{number}"));
        }
        assert_eq!(
            me.serf.default_query_timeout(),
            Duration::from_millis(millis),
            "{members}"
        );
    };
    check(1, 3_200);
    check(9, 3_200);
    check(10, 6_400);
    check(99, 6_400);
    check(100, 9_600);
}

#[test]
fn we_answer_ourselves_without_the_network() {
    let mut me = One::among(&["a"]);
    let (query, until) = ask(&mut me, &acks());
    assert_eq!(until, me.now + Duration::from_millis(3_200));
    assert_eq!(query.time, LTime(1));
    assert_eq!(me.events(), ["load?@1=?"]);
    me.serf.respond(me.now, query, "fine".into()).unwrap();
    assert_eq!(answers(&mut me), ["ack me", "me: fine"]);
    assert!(me.sent().is_empty());
    assert_eq!(me.queued(), [0, 1, 0]);
}

#[test]
fn the_query_on_the_wire_says_how_to_answer() {
    let mut me = One::among(&["a"]);
    let params = QueryParams {
        nodes: vec![Name::from("a")],
        tags: [("role".to_owned(), "^a".to_owned())].into(),
        wants_acks: true,
        relay_factor: 3,
        timeout: Some(Duration::from_secs(9)),
        ends_early: true,
    };
    let (key, _) = ask(&mut me, &params);
    let sent = me.broadcasts();
    let Message::Query(query) = Message::decode(&sent[0]).unwrap() else {
        panic!("{sent:?}")
    };
    assert_eq!(
        (query.address.socket(query.port), query.id),
        (address("me"), key.id)
    );
    assert_eq!(
        (query.flags, query.relay_factor, query.filters.len()),
        (Query::ACK, 3, 2)
    );
    assert_eq!(
        (query.timeout, query.source_node),
        (Duration::from_secs(9), Name::from("me"))
    );
    // We are not meant.
    assert!(me.events().is_empty());
}

#[test]
fn each_answer_counts_once_until_the_time_is_up() {
    let mut me = One::among(&["a", "b"]);
    let (query, _) = ask(&mut me, &acks());
    answers(&mut me);
    for _ in 0..2 {
        me.receive(&response(query, "a", 1, Bytes::new()));
        me.receive(&response(query, "a", 0, "x".into()));
        me.receive(&response(query, "b", 0, "y".into()));
    }
    assert_eq!(answers(&mut me), ["ack a", "a: x", "b: y"]);
    let counters = *me.serf.counters();
    assert_eq!(
        (
            counters.query_duplicate_acks,
            counters.query_duplicate_responses
        ),
        (1, 2)
    );
    me.wait(4);
    assert_eq!(answers(&mut me), ["done"]);
    me.receive(&response(query, "b", 1, Bytes::new()));
    assert!(answers(&mut me).is_empty());
}

#[test]
fn an_answer_to_another_query_is_none_to_ours() {
    let mut me = One::among(&["a"]);
    let (query, _) = ask(&mut me, &QueryParams::default());
    let other = QueryKey {
        id: query.id ^ 1,
        ..query
    };
    me.receive(&response(other, "a", 0, "x".into()));
    let other = QueryKey {
        time: query.time.next(),
        ..query
    };
    me.receive(&response(other, "a", 0, "x".into()));
    // Nobody asked for acks.
    me.receive(&response(query, "a", 1, Bytes::new()));
    assert!(answers(&mut me).is_empty());
}

#[test]
fn a_query_can_end_when_all_have_answered() {
    let mut me = One::among(&["a", "b"]);
    let params = QueryParams {
        ends_early: true,
        ..acks()
    };
    let (query, _) = ask(&mut me, &params);
    me.serf.respond(me.now, query, "z".into()).unwrap();
    for name in ["a", "b"] {
        me.receive(&response(query, name, 1, Bytes::new()));
        assert!(!answers(&mut me).contains(&"done".to_owned()));
        me.receive(&response(query, name, 0, "x".into()));
    }
    assert_eq!(answers(&mut me), ["b: x", "done"]);
    assert_eq!(me.serf.next_query_end(), None);
    // Only those that are meant are waited for.
    let params = QueryParams {
        nodes: vec![Name::from("a")],
        ..params
    };
    let (query, _) = ask(&mut me, &params);
    me.receive(&response(query, "a", 0, "x".into()));
    me.receive(&response(query, "a", 1, Bytes::new()));
    assert_eq!(answers(&mut me), ["a: x", "ack a", "done"]);
}

#[test]
fn a_ping_has_ended_with_the_last_ack() {
    let mut me = One::among(&["a"]);
    let params = QueryParams {
        ends_early: true,
        ..acks()
    };
    let name = Name::from("_serf_ping");
    let (query, _) = me.serf.query(me.now, &name, Bytes::new(), &params).unwrap();
    me.receive(&response(query, "a", 1, Bytes::new()));
    assert_eq!(answers(&mut me), ["ack me", "ack a", "done"]);
}

#[test]
fn serfs_own_names_are_refused() {
    let mut me = One::new();
    let mut check = |name: &str, payload: &'static [u8], is_fine: bool| {
        let (name, payload) = (Name::from(name), Bytes::from_static(payload));
        let result = me
            .serf
            .query(at(0), &name, payload, &QueryParams::default());
        let text = "Queries cannot contain the '_serf_' prefix";
        assert_eq!(
            result.map_err(|error| error.to_string()).err(),
            (!is_fine).then(|| text.into())
        );
    };
    check("_serf_ping", b"", true);
    check("_serf_ping", b"x", false);
    check("_serf_conflict", b"me", false);
    check("x_serf_", b"", true);
}

#[test]
fn sizes_and_numbers_are_limited() {
    let config = Config::serf(Name::from("me"), Tags::default());
    let mut me = One::with(Config {
        running_queries_max: 2,
        ..config
    });
    let name = Name::from("load");
    let mut ask = |bytes: usize| {
        me.serf
            .query(at(0), &name, vec![0; bytes].into(), &QueryParams::default())
    };
    let error = ask(1000).unwrap_err().to_string();
    assert_eq!(error, "query exceeds limit of 1024 bytes");
    assert!(ask(800).is_ok() && ask(1).is_ok());
    assert_eq!(ask(1), Err(Error::TooManyQueries { max: 2 }));
    me.wait(4);
    assert!(
        me.serf
            .query(me.now, &name, Bytes::new(), &QueryParams::default())
            .is_ok()
    );
}

#[test]
fn forged_answers_are_bounded() {
    let mut me = One::among(&["a"]);
    let (query, _) = ask(&mut me, &acks());
    for number in 0..5_000 {
        me.receive(&response(
            query,
            &format!("forged{number}"),
            0,
            Bytes::new(),
        ));
        me.receive(&response(
            query,
            &format!("forged{number}"),
            1,
            Bytes::new(),
        ));
    }
    assert_eq!(me.serf.out.answers.len(), 2 * 1024);
}

fn claim(me: &mut One) -> QueryKey {
    let mine = believed("me", State::Alive);
    let theirs = swim::Member {
        port: 99,
        ..mine.clone()
    };
    me.serf.conflict(me.now, &mine, &theirs);
    me.serf.conflict(me.now, &mine, &theirs);
    assert_eq!(me.serf.running.len(), 1);
    let sent = me.broadcasts();
    let Message::Query(query) = Message::decode(&sent[0]).unwrap() else {
        panic!("{sent:?}")
    };
    assert_eq!(query.name, Name::from("_serf_conflict"));
    assert_eq!(query.payload, "me");
    QueryKey {
        time: query.ltime,
        id: query.id,
    }
}

fn vote(me: &mut One, query: QueryKey, from: &str, port: Option<u16>) {
    let member = me.serf.member(b"me").cloned().unwrap();
    let believed = port.map(|port| Member {
        port,
        ..Member::clone(&member)
    });
    me.receive(&response(
        query,
        from,
        0,
        ConflictResponse(believed).to_bytes(),
    ));
}

#[test]
fn whom_most_mean_by_the_name_stays() {
    let mut me = One::among(&["a", "b", "c"]);
    let query = claim(&mut me);
    vote(&mut me, query, "a", Some(7946));
    vote(&mut me, query, "b", Some(7946));
    vote(&mut me, query, "c", Some(99));
    me.wait(4);
    assert!(!me.serf.out.must_quit);
}

#[test]
fn whom_few_mean_by_the_name_goes() {
    let mut me = One::among(&["a", "b"]);
    let query = claim(&mut me);
    vote(&mut me, query, "a", Some(7946));
    vote(&mut me, query, "b", None);
    me.wait(4);
    assert!(me.serf.out.must_quit);
}

#[test]
fn a_conflict_of_others_or_without_resolution_asks_nobody() {
    let mut me = One::among(&["a"]);
    let a = believed("a", State::Alive);
    me.serf.conflict(
        me.now,
        &a,
        &swim::Member {
            port: 99,
            ..a.clone()
        },
    );
    let config = Config::serf(Name::from("me"), Tags::default());
    let mut other = One::with(Config {
        resolves_conflicts: false,
        ..config
    });
    let mine = believed("me", State::Alive);
    other.serf.conflict(
        me.now,
        &mine,
        &swim::Member {
            port: 99,
            ..mine.clone()
        },
    );
    assert!(me.serf.running.is_empty() && other.serf.running.is_empty());
}

fn key_command(me: &mut One) -> QueryKey {
    let key = taraf_base::Secret::new(vec![1; 16]);
    me.serf
        .key_command(me.now, Token(9), KeyOperation::Install, key)
        .unwrap();
    let sent = me.broadcasts();
    let Message::Query(query) = Message::decode(&sent[0]).unwrap() else {
        panic!("{sent:?}")
    };
    assert_eq!(query.name, Name::from("_serf_install-key"));
    QueryKey {
        time: query.ltime,
        id: query.id,
    }
}

fn say(me: &mut One, query: QueryKey, from: &str, response_: &KeyResponse) {
    me.receive(&response(query, from, 0, response_.to_bytes()));
}

#[test]
fn a_key_command_ends_when_all_have_answered() {
    let mut me = One::among(&["a"]);
    let query = key_command(&mut me);
    let keys = vec!["k1".to_owned(), "k2".to_owned()];
    let primary = "k1".to_owned();
    let done = KeyResponse {
        is_done: true,
        keys,
        primary,
        message: String::new(),
    };
    say(&mut me, query, "a", &done);
    say(&mut me, query, "me", &done);
    let (token, outcome) = me.serf.out.keys_done.pop().unwrap();
    assert_eq!(
        (token, outcome.nodes, outcome.responses, outcome.errors),
        (Token(9), 2, 2, 0)
    );
    assert_eq!(outcome.keys["k2"], 2);
    assert_eq!(outcome.primaries["k1"], 2);
    assert_eq!(outcome.error(), None);
}

#[test]
fn failures_and_silence_are_told_in_serfs_words() {
    let mut me = One::among(&["a"]);
    let query = key_command(&mut me);
    let failed = KeyResponse {
        message: "no".to_owned(),
        ..KeyResponse::default()
    };
    say(&mut me, query, "a", &failed);
    me.wait(4);
    let (_, outcome) = me.serf.out.keys_done.pop().unwrap();
    assert_eq!(outcome.messages[&Name::from("a")], "no");
    assert_eq!(outcome.error().unwrap(), "1/2 nodes reported failure");

    let query = key_command(&mut me);
    say(
        &mut me,
        query,
        "a",
        &KeyResponse {
            is_done: true,
            ..KeyResponse::default()
        },
    );
    me.wait(4);
    let (_, outcome) = me.serf.out.keys_done.pop().unwrap();
    assert_eq!(outcome.error().unwrap(), "1/2 nodes reported success");

    let query = key_command(&mut me);
    me.receive(&response(query, "a", 0, Bytes::from_static(b"\x05junk")));
    me.wait(4);
    let (_, outcome) = me.serf.out.keys_done.pop().unwrap();
    assert_eq!(outcome.errors, 1);
}
