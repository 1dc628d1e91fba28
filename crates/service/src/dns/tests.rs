//! Questions as packets, and what they are answered.

use hickory_proto::op::{Edns, Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::{DNSClass, Name, RData, Record, RecordType};

use super::*;
use crate::ServiceName;

fn tags(text: &str) -> Tags {
    let pairs = text
        .split_terminator(',')
        .map(|pair| pair.split_once('=').unwrap());
    Tags::new(pairs.map(|(k, v)| (k.to_owned(), v.to_owned())).collect())
}

fn node(name: &str, address: &str, is_alive: bool) -> Node {
    Node {
        name: name.to_owned(),
        addresses: vec![address.parse().unwrap()],
        tags: tags("role=web,version=2"),
        is_alive,
    }
}

fn instance(node: Option<&str>, place: &str, weight: u32, carried: &str) -> Instance {
    let place: std::net::SocketAddr = place.parse().unwrap();
    Instance {
        node: node.map(str::to_owned),
        address: place.ip(),
        port: place.port(),
        weight,
        tags: tags(carried),
        is_alive: true,
    }
}

/// Two nodes alive, one failed; `rates` on both and on a third place, `gone` on the failed one, `later` on none.
fn names() -> Names {
    let service = |name: &str| ServiceName::new(name).unwrap();
    let mut names = Names::new(42);
    names.add_node(node("web1", "10.0.0.1", true));
    names.add_node(node("Web2", "2001:db8::2", true));
    names.add_node(node("web3", "10.0.0.3", false));
    let rates = service("rates");
    let first = instance(Some("web1"), "10.0.0.1:80", 3, "version=1,zone=a");
    names.add_instance(rates.clone(), first);
    let second = instance(Some("Web2"), "[2001:db8::2]:81", 1, "version=2,zone=a");
    names.add_instance(rates.clone(), second);
    names.add_instance(rates, instance(None, "10.0.0.9:82", 0, "version=2,zone=b"));
    let mut gone = instance(Some("web3"), "10.0.0.3:80", 1, "version=1");
    gone.is_alive = false;
    names.add_instance(service("gone"), gone);
    names.add_service(service("later"));
    names
}

fn responder() -> Responder {
    let server = vec!["127.0.0.1".parse().unwrap()];
    Responder::new(Zone::new("taraf", 5, 64, server).unwrap(), 1_232)
}

fn question(name: &str, kind: RecordType) -> Message {
    let mut message = Message::new(7, MessageType::Query, OpCode::Query);
    message.metadata.recursion_desired = true;
    message.add_query(Query::query(Name::from_ascii(name).unwrap(), kind));
    message
}

fn respond_over(message: &Message, transport: Transport, names: &Names) -> Message {
    let packet = message.to_vec().unwrap();
    let answer = responder().respond(&packet, transport, names, 1).unwrap();
    Message::from_vec(&answer).unwrap()
}

fn ask(name: &str, kind: RecordType) -> Message {
    let answer = respond_over(&question(name, kind), Transport::Udp, &names());
    assert_eq!(answer.id, 7);
    assert_eq!(answer.queries[0].name(), &Name::from_ascii(name).unwrap());
    answer
}

fn data(records: &[Record]) -> Vec<String> {
    let mut data: Vec<_> = records
        .iter()
        .map(|record| format!("{} {}", record.record_type(), record.data))
        .collect();
    data.sort();
    data
}

fn check(name: &str, kind: RecordType, expected: &[&str]) {
    let answer = ask(name, kind);
    assert_eq!(data(&answer.answers), expected, "{name} {kind}");
    assert_eq!(answer.response_code, ResponseCode::NoError);
    assert!(answer.authoritative && !answer.recursion_available);
    assert!(answer.answers.iter().all(|record| record.ttl == 5));
}

/// Nothing is answered, with the record that says for how long.
fn check_nothing(name: &str, kind: RecordType, code: ResponseCode) {
    let answer = ask(name, kind);
    assert_eq!(
        (answer.response_code, answer.answers.len()),
        (code, 0),
        "{name} {kind}"
    );
    let [soa] = &answer.authorities[..] else {
        panic!("{name} {kind}: {answer}");
    };
    assert_eq!(soa.name.to_ascii(), "taraf.");
    let RData::SOA(soa) = &soa.data else {
        panic!("{soa}");
    };
    assert_eq!((soa.serial, soa.minimum), (42, 5));
}

#[test]
fn a_node_has_addresses_and_tags() {
    check("web1.node.taraf.", RecordType::A, &["A 10.0.0.1"]);
    check("WEB2.node.Taraf.", RecordType::AAAA, &["AAAA 2001:db8::2"]);
    check(
        "web1.node.taraf.",
        RecordType::TXT,
        &["TXT role=web", "TXT version=2"],
    );
    check("web1.node.taraf.", RecordType::ANY, &["A 10.0.0.1"]);
}

#[test]
fn a_service_has_the_addresses_of_all_its_instances() {
    check("rates.service.taraf.", RecordType::A, &["A 10.0.0.1"]);
    check(
        "rates.service.taraf.",
        RecordType::AAAA,
        &["AAAA 2001:db8::2"],
    );
}

#[test]
fn places_have_ports_weights_and_the_addresses_of_their_hosts() {
    let places = [
        "SRV 1 1 81 Web2.node.taraf.",
        "SRV 1 3 80 web1.node.taraf.",
        "SRV 2 0 82 0a000009.addr.taraf.",
    ];
    check("rates.service.taraf.", RecordType::SRV, &places);
    check("_rates._tcp.service.taraf.", RecordType::SRV, &places);
    let answer = ask("rates.service.taraf.", RecordType::SRV);
    let beside = ["A 10.0.0.1", "A 10.0.0.9", "AAAA 2001:db8::2"];
    assert_eq!(data(&answer.additionals), beside);
    check("0a000009.addr.taraf.", RecordType::A, &["A 10.0.0.9"]);
}

#[test]
fn labels_before_a_service_ask_for_tags() {
    let all = RecordType::SRV;
    check(
        "version-1.rates.service.taraf.",
        all,
        &["SRV 1 3 80 web1.node.taraf."],
    );
    check(
        "ZONE-A.version-2.rates.service.taraf.",
        all,
        &["SRV 1 1 81 Web2.node.taraf."],
    );
    check_nothing(
        "version-2.rates.service.taraf.",
        RecordType::TXT,
        ResponseCode::NoError,
    );
    check_nothing(
        "version-9.rates.service.taraf.",
        all,
        ResponseCode::NXDomain,
    );
    check_nothing(
        "zone-b.version-1.rates.service.taraf.",
        all,
        ResponseCode::NXDomain,
    );
}

#[test]
fn what_is_not_there_and_what_has_nothing_are_told_apart() {
    for name in [
        "other.taraf.",
        "web9.node.taraf.",
        "no.service.taraf.",
        "x.addr.taraf.",
    ] {
        check_nothing(name, RecordType::A, ResponseCode::NXDomain);
    }
    for name in [
        "taraf.",
        "service.taraf.",
        "node.taraf.",
        "web3.node.taraf.",
    ] {
        check_nothing(name, RecordType::A, ResponseCode::NoError);
    }
    for name in [
        "gone.service.taraf.",
        "later.service.taraf.",
        "version-1.gone.service.taraf.",
    ] {
        check_nothing(name, RecordType::SRV, ResponseCode::NoError);
    }
    check_nothing("web3.node.taraf.", RecordType::TXT, ResponseCode::NoError);
    check_nothing("web1.node.taraf.", RecordType::MX, ResponseCode::NoError);
}

#[test]
fn the_zone_says_who_answers_for_it() {
    check("taraf.", RecordType::NS, &["NS ns.taraf."]);
    check("ns.taraf.", RecordType::A, &["A 127.0.0.1"]);
    let soa = "SOA ns.taraf. hostmaster.taraf. 42 60 10 3600 5";
    check("taraf.", RecordType::SOA, &[soa]);
    assert_eq!(
        data(&ask("taraf.", RecordType::NS).additionals),
        ["A 127.0.0.1"]
    );
}

#[test]
fn other_zones_classes_and_copies_are_refused() {
    let mut chaos = question("version.bind.", RecordType::TXT);
    chaos.queries[0].set_query_class(DNSClass::CH);
    let mut class = question("web1.node.taraf.", RecordType::A);
    class.queries[0].set_query_class(DNSClass::CH);
    let foreign = question("example.com.", RecordType::A);
    let copy = question("taraf.", RecordType::AXFR);
    let more = question("taraf.", RecordType::IXFR);
    for message in [chaos, class, foreign, copy, more] {
        let answer = respond_over(&message, Transport::Tcp, &names());
        assert_eq!(answer.response_code, ResponseCode::Refused, "{message}");
        assert!(!answer.authoritative && answer.answers.is_empty());
    }
}

#[test]
fn the_first_of_the_answers_changes_with_chance() {
    let packet = question("rates.service.taraf.", RecordType::A)
        .to_vec()
        .unwrap();
    let first = |seed| {
        let answer = responder().respond(&packet, Transport::Udp, &names(), seed);
        let answer = Message::from_vec(&answer.unwrap()).unwrap();
        answer.answers[0].data.to_string()
    };
    // The other has weight 0.
    assert!((0..50).all(|seed| first(seed) == "10.0.0.1"));
    let packet = question("rates.service.taraf.", RecordType::SRV)
        .to_vec()
        .unwrap();
    let firsts: std::collections::BTreeSet<_> = (0..50)
        .map(|seed| responder().respond(&packet, Transport::Udp, &names(), seed))
        .map(|answer| {
            Message::from_vec(&answer.unwrap()).unwrap().answers[0]
                .data
                .to_string()
        })
        .collect();
    assert_eq!(firsts.len(), 2, "{firsts:?}");
}

/// Sixty instances on nodes with long names.
fn crowd() -> Names {
    let service = ServiceName::new("crowd").unwrap();
    let mut names = Names::new(1);
    for n in 0..60 {
        let name = format!("a-node-with-quite-a-long-name-{n}");
        let address = format!("10.0.1.{n}");
        names.add_node(node(&name, &address, true));
        let one = instance(Some(&name), &format!("{address}:80"), 1, "");
        names.add_instance(service.clone(), one);
    }
    names
}

#[test]
fn an_answer_that_does_not_fit_is_cut_and_says_so() {
    let ask = |kind, bytes: Option<u16>, transport| {
        let mut message = question("crowd.service.taraf.", kind);
        if let Some(bytes) = bytes {
            let mut edns = Edns::new();
            edns.set_max_payload(bytes).set_dnssec_ok(true);
            message.set_edns(edns);
        }
        let packet = message.to_vec().unwrap();
        let answer = responder()
            .respond(&packet, transport, &crowd(), 3)
            .unwrap();
        let read = Message::from_vec(&answer).unwrap();
        (answer.len(), read)
    };
    let (length, answer) = ask(RecordType::A, None, Transport::Udp);
    assert!(length <= 512 && answer.truncation && answer.edns.is_none());
    assert!(answer.answers.len() > 20, "as many as fit");
    let (length, answer) = ask(RecordType::A, Some(4_096), Transport::Udp);
    assert!(length <= 1_232 && !answer.truncation);
    assert_eq!(answer.answers.len(), 60);
    let edns = answer.edns.unwrap();
    assert_eq!((edns.max_payload(), edns.flags().dnssec_ok), (1_232, true));
    // Records that only help are left out without a word.
    let (length, answer) = ask(RecordType::SRV, Some(1_232), Transport::Udp);
    assert!(length <= 1_232 && answer.truncation && answer.additionals.is_empty());
    let (length, answer) = ask(RecordType::SRV, None, Transport::Tcp);
    assert!(length > 4_096 && !answer.truncation);
    assert_eq!((answer.answers.len(), answer.additionals.len()), (60, 60));
}

#[test]
fn records_that_only_help_are_left_out_without_a_word() {
    let zone = Zone::new("taraf", 5, 7, Vec::new()).unwrap();
    let packet = question("crowd.service.taraf.", RecordType::SRV)
        .to_vec()
        .unwrap();
    let answer = Responder::new(zone, 512).respond(&packet, Transport::Udp, &crowd(), 1);
    let answer = Message::from_vec(&answer.unwrap()).unwrap();
    assert_eq!(answer.answers.len(), 7);
    assert!(
        answer.additionals.len() < 7 && !answer.truncation,
        "{answer}"
    );
}

#[test]
fn an_unknown_version_of_edns_is_told() {
    let mut message = question("web1.node.taraf.", RecordType::A);
    let mut edns = Edns::new();
    edns.set_version(1);
    message.set_edns(edns);
    let answer = respond_over(&message, Transport::Udp, &names());
    // The library calls this number BADSIG, which it is in signatures.
    assert_eq!(u16::from(answer.response_code), 16);
    assert_eq!(answer.edns.unwrap().version(), 0);
}

#[test]
fn what_cannot_be_read_is_told_so_and_an_answer_is_not_answered() {
    let respond = |packet: &[u8]| responder().respond(packet, Transport::Udp, &names(), 1);
    let good = question("web1.node.taraf.", RecordType::A)
        .to_vec()
        .unwrap();
    let code = |packet: &[u8]| {
        let answer = respond(packet).unwrap();
        assert!(answer.len() <= packet.len().max(12));
        Message::from_vec(&answer).unwrap().response_code
    };
    assert_eq!(code(&good[..good.len() - 1]), ResponseCode::FormErr);
    assert_eq!(code(&good[..12]), ResponseCode::FormErr);
    assert!(respond(&good[..11]).is_none() && respond(&[]).is_none());
    let with = |at: usize, byte: u8| {
        let mut packet = good.clone();
        packet[at] = byte;
        packet
    };
    assert_eq!(code(&with(5, 2)), ResponseCode::FormErr, "two questions");
    assert_eq!(
        code(&with(4, 0xff)),
        ResponseCode::FormErr,
        "very many questions"
    );
    assert_eq!(code(&with(5, 0)), ResponseCode::FormErr, "none");
    assert_eq!(
        code(&with(10, 0xff)),
        ResponseCode::FormErr,
        "very much beside it"
    );
    assert_eq!(
        code(&with(12, 0xc0)),
        ResponseCode::FormErr,
        "a name that goes on nowhere"
    );
    assert_eq!(code(&with(2, 0x28)), ResponseCode::NotImp, "an update");
    assert!(respond(&with(2, 0x80)).is_none(), "an answer");
    let mut long = good.clone();
    long.resize(QUESTION_BYTES_MAX + 1, 0);
    assert_eq!(code(&long), ResponseCode::FormErr);
}

#[test]
fn a_client_beyond_its_rate_is_sent_to_tcp_in_no_more_bytes_than_it_sent() {
    let packet = question("web1.node.taraf.", RecordType::A)
        .to_vec()
        .unwrap();
    let answer = responder().come_over_tcp(&packet).unwrap();
    assert!(answer.len() <= packet.len());
    let answer = Message::from_vec(&answer).unwrap();
    assert!(answer.truncation && answer.answers.is_empty() && answer.id == 7);
}
