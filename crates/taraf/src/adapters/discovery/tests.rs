//! Members and their tags become endpoints.

use taraf_gossip::wire::Address;
use taraf_gossip::wire::memberlist::Versions;

use super::*;

fn member(name: &str, last: u8, tags: &[(&str, &str)]) -> serf::Member {
    let text = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    serf::Member {
        name: Name::from(name),
        address: Address::Four([10, 0, 0, last]),
        port: 7946,
        tags: Tags(tags.iter().map(text).collect()),
        status: Status::Alive,
        versions: Versions::SERF,
    }
}

fn seen(member: serf::Member, accusers: usize) -> Seen {
    Seen {
        member: Arc::new(member),
        accusers,
    }
}

fn service(name: &str) -> ServiceName {
    ServiceName::new(name).unwrap()
}

fn reading() -> Reading {
    Reading {
        me: Name::from("me"),
        suspicion_mult: 4,
    }
}

const RATES: [(&str, &str); 2] = [("service", "rates"), ("port", "8080")];

/// `ADDRESS` or `ADDRESS*WEIGHT` of each endpoint of `rates`.
fn rates(known: &Known, all: Vec<Seen>) -> Vec<String> {
    let directory = with_members(known, &Members { all }, &reading());
    let endpoints = directory.get("rates").cloned().unwrap_or_default();
    let text = |endpoint: &Endpoint| match endpoint.weight {
        1 => endpoint.address.to_string(),
        weight => format!("{}*{weight}", endpoint.address),
    };
    endpoints.iter().map(text).collect()
}

#[test]
fn configured_endpoints_take_the_place_of_a_started_service() {
    let here: SocketAddr = "127.0.0.1:1".parse().unwrap();
    let there: SocketAddr = "127.0.0.1:2".parse().unwrap();
    let configured = BTreeMap::from([("rates".to_owned(), vec![there])]);
    let started = ["rates", "companies"].map(service);
    let directory = directory(&configured, &started, here).unwrap();
    let address = |name: &str| directory.get(name).unwrap()[0].address;
    assert_eq!((address("rates"), address("companies")), (there, here));
}

#[test]
fn a_service_may_be_known_without_endpoints() {
    let configured = BTreeMap::from([("later".to_owned(), Vec::new())]);
    let here: SocketAddr = "127.0.0.1:1".parse().unwrap();
    let directory = directory(&configured, [], here).unwrap();
    assert!(directory.get("later").unwrap().is_empty());
}

#[test]
fn a_name_that_cannot_be_one_is_refused() {
    let configured = BTreeMap::from([("No Name".to_owned(), Vec::new())]);
    let here: SocketAddr = "127.0.0.1:1".parse().unwrap();
    assert!(directory(&configured, [], here).is_err());
}

#[test]
fn tags_say_where_each_service_answers_and_how_much_it_takes() {
    let tags = [
        ("service", "rates, companies,,Bad"),
        ("port", "8080"),
        ("port.companies", "9090"),
        ("weight", "3"),
        ("zone", "cluj"),
        ("version", "2"),
    ];
    let offer = offer(&member("a", 1, &tags));
    let endpoint = |port| Endpoint {
        weight: 3,
        zone: Some("cluj".into()),
        version: Some("2".into()),
        ..Endpoint::new(SocketAddr::from(([10, 0, 0, 1], port)))
    };
    assert_eq!(
        offer.services,
        [
            (service("rates"), endpoint(8080)),
            (service("companies"), endpoint(9090))
        ]
    );
    assert_eq!(offer.troubles.len(), 1);
    assert!(offer.troubles[0].contains("`Bad` is not a service name"));
}

#[test]
fn what_tags_cannot_mean_is_told() {
    let check = |tags: &[(&str, &str)], services: usize, trouble: &str| {
        let offer = offer(&member("a", 1, tags));
        assert_eq!(offer.services.len(), services, "{tags:?}");
        assert_eq!(offer.troubles.join("; "), trouble, "{tags:?}");
    };
    check(&[("role", "web")], 0, "");
    check(
        &[("service", "rates")],
        0,
        "there is no tag `port.rates` and no tag `port`",
    );
    for port in ["0", "65536", "-1", "http", ""] {
        let trouble = format!("tag `port`: `{port}` is not a port");
        check(&[("service", "rates"), ("port", port)], 0, &trouble);
    }
    let heavy = [("service", "rates"), ("port", "1"), ("weight", "1001")];
    let trouble = "tag `weight`: `1001` is not a number from 0 to 1000";
    check(&heavy, 1, trouble);
}

#[test]
fn a_member_that_can_be_nowhere_offers_nothing() {
    let mut nowhere = member("a", 1, &RATES);
    nowhere.address = Address::Four([0; 4]);
    let offer = offer(&nowhere);
    assert!(offer.services.is_empty());
    assert_eq!(offer.troubles, ["nothing can be called at 0.0.0.0"]);
}

#[test]
fn an_ipv4_address_in_its_long_form_is_called_as_one() {
    let mut long = member("a", 1, &RATES);
    long.address = long.address.to_sixteen();
    assert_eq!(
        rates(&Known::default(), vec![seen(long, 0)]),
        ["10.0.0.1:8080"]
    );
}

#[test]
fn only_members_that_are_there_take_calls() {
    for status in [Status::Leaving, Status::Left, Status::Failed, Status::None] {
        let mut gone = member("a", 1, &RATES);
        gone.status = status;
        let all = vec![seen(gone, 0), seen(member("b", 2, &RATES), 0)];
        assert_eq!(
            rates(&Known::default(), all),
            ["10.0.0.2:8080"],
            "{status:?}"
        );
    }
}

#[test]
fn a_member_that_one_doubts_is_asked_last_and_one_that_enough_doubt_never() {
    let names = ["a", "b", "c", "d"];
    let all = |accusers: usize| {
        let others = names[1..].iter().zip(2..);
        let others = others.map(|(name, last)| seen(member(name, last, &[]), 0));
        let mut all = vec![seen(member("a", 1, &RATES), accusers)];
        all.extend(others);
        all
    };
    let known = Known::default();
    assert_eq!(rates(&known, all(0)), ["10.0.0.1:8080"]);
    assert_eq!(rates(&known, all(1)), ["10.0.0.1:8080*0"]);
    assert!(rates(&known, all(2)).is_empty());
    // With three members nobody is asked for a second opinion.
    let mut few = all(1);
    few.pop();
    assert!(rates(&known, few).is_empty());
}

#[test]
fn members_come_beside_what_was_started_here_and_never_beside_what_is_configured() {
    let here: SocketAddr = "127.0.0.1:1".parse().unwrap();
    let mut known = Known {
        directory: directory(&BTreeMap::new(), &[service("rates")], here).unwrap(),
        ..Known::default()
    };
    // What our own member offers is known already, whatever its address looks like from outside.
    let all = || {
        vec![
            seen(member("a", 1, &RATES), 0),
            seen(member("me", 9, &RATES), 0),
        ]
    };
    assert_eq!(rates(&known, all()), ["127.0.0.1:1", "10.0.0.1:8080"]);
    known.fixed.insert(service("rates"));
    assert_eq!(rates(&known, all()), ["127.0.0.1:1"]);
}

#[test]
fn what_an_operator_drained_stays_listed_and_a_transport_holds_for_members_too() {
    let known = Known {
        drained: BTreeSet::from([(service("rates"), "10.0.0.1:8080".parse().unwrap())]),
        transports: BTreeMap::from([("rates".to_owned(), Transport::H2c)]),
        ..Known::default()
    };
    let all = ["a", "b"].into_iter().zip(1..);
    let all = all.map(|(name, last)| seen(member(name, last, &RATES), 0));
    let directory = with_members(&known, &Members { all: all.collect() }, &reading());
    let endpoints = directory.get("rates").unwrap();
    let drained: Vec<bool> = endpoints.iter().map(|endpoint| endpoint.drained).collect();
    assert_eq!(drained, [true, false]);
    assert!(
        endpoints
            .iter()
            .all(|endpoint| endpoint.transport == Transport::H2c)
    );
}

#[test]
fn what_we_offer_is_what_others_read() {
    let written = BTreeMap::from([("weight".to_owned(), "2".to_owned())]);
    let tags = tags_of(&written, &["rates", "companies"].map(service), 7410);
    let mut us = member("us", 1, &[]);
    us.tags = tags;
    let offer = offer(&us);
    assert!(offer.troubles.is_empty(), "{:?}", offer.troubles);
    let ports = offer
        .services
        .iter()
        .map(|(_, endpoint)| endpoint.address.port());
    let ports: Vec<_> = ports.collect();
    assert_eq!((ports, offer.services[0].1.weight), (vec![7410, 7410], 2));
    assert!(tags_of(&BTreeMap::new(), &[], 1).0.is_empty());
}
