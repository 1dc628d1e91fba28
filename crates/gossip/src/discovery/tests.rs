//! Packets of discovery beside their reader.

use proptest::prelude::*;

use super::packet::{
    A, ANSWER, ANY, INTERNET, PTR, SRV, Service, TXT, header_of, labels, members_in, question,
    written,
};

fn hex(text: &str) -> Vec<u8> {
    let byte = |at| u8::from_str_radix(&text[at..at + 2], 16).unwrap();
    (0..text.len()).step_by(2).map(byte).collect()
}

fn service() -> Service {
    let address = "127.0.0.1:7946".parse().unwrap();
    Service::new("foo", &"a1".into(), "vm", address).unwrap()
}

/// What Serf 0.9.4 asked, and answered.
const QUESTION: &str =
    "b2ad00000001000000000000095f736572665f666f6f045f746370056c6f63616c00000c0001";
const ANSWERED: &str = "000084000000000400000000095f736572665f666f6f045f746370056c6f63616c00000c0001000000780005\
                        026131c00cc02c0021000100000078000a000a00011f0a02766d00c043000100010000007800047f000001c02c\
                        0010000100000078001312536572662027666f6f2720636c7573746572";

#[test]
fn golden_packets_of_serf_are_understood_and_ours_are_as_long_as_they_must_be() {
    assert_eq!(question("foo", 0xb2ad).unwrap(), hex(QUESTION));
    let serf = hex(&ANSWERED.replace(char::is_whitespace, ""));
    let found = members_in(&serf, "foo");
    assert_eq!(found, ["127.0.0.1:7946".parse().unwrap()]);
    let ours = service().answer(&hex(QUESTION)).unwrap();
    assert_eq!(members_in(&ours, "foo"), found);
    // The same records in the same order, with names written out.
    assert_eq!(ours[..12], serf[..12]);
}

#[test]
fn only_what_is_asked_of_ours_is_answered() {
    let ask = |name: &str, kind: u16| {
        let mut packet = header_of(7, 0, 1, 0);
        packet.extend(written(&labels(name).unwrap()));
        packet.extend(kind.to_be_bytes());
        packet.extend(INTERNET.to_be_bytes());
        let answer = service().answer(&packet)?;
        Some(u16::from_be_bytes([answer[6], answer[7]]))
    };
    assert_eq!(ask("_serf_foo._tcp.local", PTR), Some(4));
    assert_eq!(ask("_SERF_foo._TCP.local", ANY), Some(4));
    assert_eq!(ask("a1._serf_foo._tcp.local", SRV), Some(2));
    assert_eq!(ask("a1._serf_foo._tcp.local", ANY), Some(3));
    assert_eq!(ask("a1._serf_foo._tcp.local", TXT), Some(1));
    assert_eq!(ask("vm", A), Some(1));
    assert_eq!(ask("_serf_bar._tcp.local", PTR), None);
    assert_eq!(ask("_serf_foo._tcp.local", A), None);
    // An answer is none to an answer: that would go on for ever.
    let answer = service().answer(&hex(QUESTION)).unwrap();
    assert_eq!(service().answer(&answer), None);
    assert!(members_in(&hex(QUESTION), "foo").is_empty());
    assert!(members_in(&answer, "bar").is_empty());
}

#[test]
fn names_that_do_not_fit_are_refused() {
    let address = "[::1]:1".parse().unwrap();
    let new = |cluster: &str, node: &str| Service::new(cluster, &node.into(), "vm", address);
    assert!(new("foo", "a.b").is_ok());
    for (cluster, node) in [
        ("", ".."),
        ("foo", ""),
        ("foo", &"x".repeat(64)),
        (&"x".repeat(60), "a"),
    ] {
        assert!(new(cluster, node).is_err(), "{cluster} {node}");
    }
    let found = new("foo", "a")
        .unwrap()
        .answer(&question("foo", 1).unwrap());
    assert_eq!(members_in(&found.unwrap(), "foo"), [address]);
}

#[test]
fn a_name_that_goes_on_for_ever_ends() {
    let mut packet = header_of(0, ANSWER, 0, 1);
    packet.extend([0xc0, 12]);
    assert!(members_in(&packet, "foo").is_empty());
}

proptest! {
    #[test]
    fn made_up_packets_do_no_harm(bytes in proptest::collection::vec(any::<u8>(), 0..100), flags in any::<u16>()) {
        let mut packet = header_of(0, flags, 2, 3);
        packet.extend(bytes);
        let _nothing = service().answer(&packet);
        let _nobody = members_in(&packet, "foo");
    }
}
