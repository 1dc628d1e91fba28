//! What is wanted, what is changed for it, and by whom it is signed.

use std::collections::BTreeSet;

use hickory_proto::op::{Message, MessageType, OpCode, ResponseCode};
use hickory_proto::rr::{DNSClass, Name, RData, Record, RecordType};

use super::super::names::{Instance, Names, Node, Tags};
use super::Config;
use super::error::Error;
use super::key;
use super::mark::{Datum, Mark};
use super::plan::{Change, Known, Publication, Zone, batches};
use super::tsig;
use super::wanted::{NAMES_MAX, RECORDS_MAX, Templates, Wanted};
use crate::ServiceName;

const SECRET: &str = "c2VjcmV0IHNlY3JldCBzZWNyZXQ=";

fn config(more: &str) -> Config {
    let text = format!(
        r#"{{"server": "127.0.0.1:53", "zone": "cluster.example", "secret": "{SECRET}", "key_name": "taraf"{more}}}"#
    );
    serde_json::from_str(&text).unwrap()
}

fn tags(key: &str, value: &str) -> Tags {
    Tags::new([(key.to_owned(), value.to_owned())].into())
}

fn node(name: &str, address: &str, role: &str) -> Node {
    Node {
        name: name.to_owned(),
        addresses: vec![address.parse().unwrap()],
        tags: tags("role", role),
        is_alive: true,
    }
}

fn instance(node: &Node, port: u16, weight: u32) -> Instance {
    Instance {
        node: Some(node.name.clone()),
        address: node.addresses[0],
        port,
        weight,
        tags: Tags::clone(&node.tags),
        is_alive: node.is_alive,
    }
}

fn names() -> Names {
    let nodes = [
        node("Web1", "10.0.0.1", "web"),
        node("web2", "2001:db8::2", "web"),
        node("db", "10.0.0.3", "store"),
    ];
    let mut names = Names::new(1);
    let rates = ServiceName::new("rates").unwrap();
    for (one, weight) in nodes.iter().zip([1, 2, 0]) {
        names.add_instance(rates.clone(), instance(one, 80, weight));
        names.add_node(one.clone());
    }
    names.add_service(ServiceName::new("later").unwrap());
    names
}

fn shown(wanted: &Wanted) -> Vec<String> {
    let line = |(name, data): (&Name, &BTreeSet<Datum>)| {
        let data: Vec<_> = data.iter().map(ToString::to_string).collect();
        format!("{}: {}", name.to_ascii(), data.join(", "))
    };
    wanted.iter().map(line).collect()
}

fn check_wanted(more: &str, names: &Names, expected: &[&str]) {
    let (wanted, left_out) = Templates::new(&config(more)).unwrap().wanted(names);
    assert_eq!(shown(&wanted), expected, "{more}");
    assert!(left_out.is_empty(), "{left_out:?}");
}

#[test]
fn nodes_services_and_ports_have_names_below_the_zone() {
    let expected = [
        "_rates._tcp.cluster.example.: SRV 1 1 80 web1.node.cluster.example., \
         SRV 1 2 80 web2.node.cluster.example., SRV 2 0 80 db.node.cluster.example.",
        "db.node.cluster.example.: A 10.0.0.3",
        "web1.node.cluster.example.: A 10.0.0.1",
        "web2.node.cluster.example.: AAAA 2001:db8::2",
        "rates.service.cluster.example.: A 10.0.0.1, AAAA 2001:db8::2",
    ];
    check_wanted("", &names(), &expected);
}

#[test]
fn templates_choose_names_and_tags_choose_members() {
    let only_web = r#", "node": "", "srv": "", "service": "{service}", "tags": {"role": "store"}"#;
    check_wanted(only_web, &names(), &["rates.cluster.example.: A 10.0.0.3"]);
    let places = r#", "node": "", "service": "", "srv": "{service}", "tags": {"role": "store"}"#;
    let expected = [
        "0a000003.addr.cluster.example.: A 10.0.0.3",
        "rates.cluster.example.: SRV 2 0 80 0a000003.addr.cluster.example.",
    ];
    check_wanted(places, &names(), &expected);
    let none = r#", "node": "", "services": ["other"]"#;
    check_wanted(none, &names(), &[]);
}

#[test]
fn what_cannot_be_published_is_told() {
    let mut names = Names::new(1);
    names.add_node(node("web 1", "10.0.0.1", "web"));
    let crowd = ServiceName::new("crowd").unwrap();
    for n in 0..=RECORDS_MAX {
        let one = node("web1", &format!("10.1.0.{n}"), "web");
        names.add_instance(crowd.clone(), instance(&one, 80, 1));
    }
    let templates = Templates::new(&config(r#", "srv": """#)).unwrap();
    let (wanted, left_out) = templates.wanted(&names);
    assert_eq!(
        wanted.values().map(BTreeSet::len).collect::<Vec<_>>(),
        [RECORDS_MAX]
    );
    let expected = [
        "`web 1.node` is no name of a host",
        "`crowd.service` has more than 128 records",
    ];
    assert_eq!(left_out, expected);
    let mut names = Names::new(1);
    for n in 0..=NAMES_MAX {
        names.add_node(node(&format!("web{n}"), "10.0.0.1", "web"));
    }
    let (wanted, left_out) = templates.wanted(&names);
    assert_eq!((wanted.len(), left_out.len()), (NAMES_MAX, 1));
}

#[test]
fn settings_that_cannot_be_used_are_named() {
    let why = |more: &str| match config(more).key() {
        Ok(_) => Templates::new(&config(more)).unwrap_err().to_string(),
        Err(error) => error.to_string(),
    };
    assert!(why(r#", "node": "all""#).starts_with("node: `all` has no {node}"));
    assert!(why(r#", "srv": "x""#).starts_with("srv: `x` has no {service}"));
    assert!(why(r#", "owner": "a.b""#).starts_with("owner: `a.b` has other than"));
    assert!(why(r#", "ttl": "1ms""#).starts_with("ttl: 1ms"));
    assert!(why(r#", "key_file": "x""#).starts_with("secret: both a key_file and"));
    let mut without = config("");
    without.secret = None;
    let missing = without.key().unwrap_err().to_string();
    assert!(missing.starts_with("key_file: neither"), "{missing}");
    without.key_file = Some("/nonexistent/key".into());
    let missing = without.key().unwrap_err().to_string();
    assert!(
        missing.starts_with("key_file: /nonexistent/key: cannot be read"),
        "{missing}"
    );
}

fn publication() -> Publication {
    Publication {
        zone: Name::from_ascii("example.").unwrap(),
        owner: "here".to_owned(),
        ttl: 10,
    }
}

fn data(addresses: &[&str]) -> BTreeSet<Datum> {
    addresses
        .iter()
        .map(|one| Datum::A(one.parse().unwrap()))
        .collect()
}

fn wanted(entries: &[(&str, &[&str])]) -> Wanted {
    let entry =
        |(name, addresses): &(&str, &[&str])| (Name::from_ascii(name).unwrap(), data(addresses));
    entries.iter().map(entry).collect()
}

/// What is known after everything wanted was made, with this TTL.
fn known(entries: &[(&str, &[&str])], ttl: u32) -> Zone {
    let made = Publication {
        ttl,
        ..publication()
    };
    let changes = made.changes(&wanted(entries), &Zone::new());
    changes
        .iter()
        .map(|change| (change.name.clone(), made.after(change).unwrap()))
        .collect()
}

/// The records of the two sections, for people.
fn sections(message: &Message) -> (Vec<String>, Vec<String>) {
    let data = |data: &RData| match data {
        RData::TXT(text) => {
            let pieces = text.txt_data.iter();
            let pieces: Vec<_> = pieces.map(|piece| String::from_utf8_lossy(piece)).collect();
            pieces.join(" ")
        }
        data => data.to_string(),
    };
    let shown = |records: &[Record]| {
        let records = records.iter();
        records
            .map(|r| format!("{} {} {} {}", r.name, r.ttl, r.dns_class, data(&r.data)))
            .collect()
    };
    (shown(&message.answers), shown(&message.authorities))
}

#[test]
fn what_is_as_it_should_be_is_left_alone() {
    let entries: &[(&str, &[&str])] = &[("a.example.", &["10.0.0.1"])];
    assert!(
        publication()
            .changes(&wanted(entries), &known(entries, 10))
            .is_empty()
    );
    let other_ttl = publication().changes(&wanted(entries), &known(entries, 11));
    assert_eq!(other_ttl.len(), 1);
    assert!(!other_ttl[0].removes());
}

#[test]
fn a_new_name_must_not_be_in_use() {
    let changes = publication().changes(&wanted(&[("a.example.", &["10.0.0.1"])]), &Zone::new());
    let message = publication().message(3, &changes);
    assert_eq!(
        (message.op_code, message.queries[0].query_type()),
        (OpCode::Update, RecordType::SOA)
    );
    let unused = message
        .answers
        .iter()
        .map(|r| (r.name.to_ascii(), r.record_type(), r.dns_class));
    let expected = [
        ("a.example.".to_owned(), RecordType::ANY, DNSClass::NONE),
        (
            "_taraf.a.example.".to_owned(),
            RecordType::TXT,
            DNSClass::NONE,
        ),
    ];
    assert_eq!(unused.collect::<Vec<_>>(), expected);
    let (_, updates) = sections(&message);
    let expected = [
        "a.example. 10 IN 10.0.0.1",
        "_taraf.a.example. 0 IN taraf owner=here ttl=10 A 10.0.0.1",
        "here._taraf.example. 0 IN a.example.",
    ];
    assert_eq!(updates, expected);
}

#[test]
fn a_known_name_must_have_its_mark_and_loses_only_what_that_says() {
    let before = known(&[("a.example.", &["10.0.0.1", "10.0.0.2"])], 10);
    let changes = publication().changes(
        &wanted(&[("a.example.", &["10.0.0.2", "10.0.0.3"])]),
        &before,
    );
    assert!(changes[0].removes());
    let (required, updates) = sections(&publication().message(3, &changes));
    let old = "taraf owner=here ttl=10 A 10.0.0.1 A 10.0.0.2";
    assert_eq!(required, [format!("_taraf.a.example. 0 IN {old}")]);
    let expected = [
        "a.example. 0 NONE 10.0.0.1".to_owned(),
        "a.example. 10 IN 10.0.0.3".to_owned(),
        format!("_taraf.a.example. 0 NONE {old}"),
        "_taraf.a.example. 0 IN taraf owner=here ttl=10 A 10.0.0.2 A 10.0.0.3".to_owned(),
    ];
    assert_eq!(updates, expected);
    let gone = publication().changes(&Wanted::new(), &before);
    let (_, updates) = sections(&publication().message(3, &gone));
    assert_eq!(
        updates.last().unwrap(),
        "here._taraf.example. 0 NONE a.example."
    );
    assert!(publication().after(&gone[0]).is_none());
}

#[test]
fn what_somebody_removed_is_made_again_and_nothing_else() {
    let entries: &[(&str, &[&str])] = &[("a.example.", &["10.0.0.1", "10.0.0.2"])];
    let name = Name::from_ascii("a.example.").unwrap();
    let mut zone = known(entries, 10);
    let one = zone.get_mut(&name).unwrap();
    one.missing = data(&["10.0.0.2"]);
    one.is_listed = false;
    let changes = publication().changes(&wanted(entries), &zone);
    assert!(!changes[0].removes());
    let (_, updates) = sections(&publication().message(3, &changes));
    let mark = "taraf owner=here ttl=10 A 10.0.0.1 A 10.0.0.2";
    let expected = [
        "a.example. 10 IN 10.0.0.2".to_owned(),
        format!("_taraf.a.example. 0 NONE {mark}"),
        format!("_taraf.a.example. 0 IN {mark}"),
        "here._taraf.example. 0 IN a.example.".to_owned(),
    ];
    assert_eq!(updates, expected);
}

#[test]
fn changes_travel_in_groups_that_fit() {
    let change = |n: usize, records: u8| Change {
        name: Name::from_ascii(format!("n{n}.example.")).unwrap(),
        known: None,
        data: (0..records)
            .map(|n| Datum::A([10, 0, 0, n].into()))
            .collect(),
    };
    let small = batches((0..70).map(|n| change(n, 1)).collect());
    assert_eq!(small.iter().map(Vec::len).collect::<Vec<_>>(), [32, 32, 6]);
    let large = batches((0..4).map(|n| change(n, 128)).collect());
    assert_eq!(large.iter().map(Vec::len).collect::<Vec<_>>(), [3, 1]);
    let whole = publication().message(1, &large[0]).to_vec().unwrap();
    assert!(whole.len() < 60_000);
}

#[test]
fn an_owner_is_only_who_says_the_same_name() {
    let mark = Mark {
        owner: "there".to_owned(),
        ttl: 10,
        data: data(&["10.0.0.1"]),
    };
    let text = mark.text();
    let foreign = Known {
        mark,
        text,
        missing: BTreeSet::new(),
        is_listed: true,
    };
    assert_ne!(
        Some(&foreign),
        known(&[("a.example.", &["10.0.0.1"])], 10).values().next()
    );
}

fn update() -> Message {
    let changes = publication().changes(&wanted(&[("a.example.", &["10.0.0.1"])]), &Zone::new());
    publication().message(9, &changes)
}

#[test]
fn an_answer_is_opened_only_with_the_key() {
    let ours = key::parse(SECRET, Some("taraf")).unwrap();
    let others = key::parse("b3RoZXIgb3RoZXIgb3RoZXIgb3RoZXI=", Some("taraf")).unwrap();
    let signed = tsig::sign(update(), &ours, 1_000).unwrap();
    let answer = |key| signed.answered(ResponseCode::NoError, key, 1_001);
    let opened = signed.open(&answer(&ours), &ours, 1_002).unwrap();
    assert_eq!(opened.message_type, MessageType::Response);
    let refused = |bytes: &[u8], now| signed.open(bytes, &ours, now).unwrap_err().to_string();
    let forged = refused(&answer(&others), 1_002);
    assert!(forged.contains("not what the key makes"), "{forged}");
    let old = refused(&answer(&ours), 2_000);
    assert!(old.contains("too old"), "{old}");
    let mut changed = answer(&ours);
    changed[3] ^= 1;
    assert!(refused(&changed, 1_002).contains("not what the key makes"));
    let bare = Message::response(9, OpCode::Update).to_vec().unwrap();
    assert!(refused(&bare, 1_002).contains("there is none"));
    let other = Message::response(8, OpCode::Update).to_vec().unwrap();
    assert!(refused(&other, 1_002).contains("another question"));
    let whole = answer(&ours);
    for end in 0..whole.len() {
        assert!(signed.open(&whole[..end], &ours, 1_002).is_err(), "{end}");
    }
    // Who does not know signatures may say no without one.
    let no = Message::error_msg(9, OpCode::Update, ResponseCode::NotImp)
        .to_vec()
        .unwrap();
    assert!(
        matches!(signed.open(&no, &ours, 1_002), Ok(no) if no.response_code == ResponseCode::NotImp)
    );
    assert!(!matches!(
        signed.open(&bare, &ours, 1_002),
        Err(Error::Refused { .. })
    ));
}
