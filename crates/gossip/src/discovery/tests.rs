//! Packets of discovery beside their reader.

use proptest::prelude::*;

use super::packet::{Service, members_in, question};

/// Numbers of record types (RFC 1035 §3.2.2, RFC 2782), and the bit of an answer.
const A: u16 = 1;
const PTR: u16 = 12;
const TXT: u16 = 16;
const SRV: u16 = 33;
const ANY: u16 = 255;
const ANSWER: u16 = 0x8000;

fn header_of(flags: u16, questions: u16, answers: u16) -> Vec<u8> {
    let numbers = [7, flags, questions, answers, 0, 0];
    numbers
        .iter()
        .flat_map(|number| number.to_be_bytes())
        .collect()
}

/// A question as others write it.
fn asked(name: &str, kind: u16, class: u16) -> Vec<u8> {
    let mut packet = header_of(0, 1, 0);
    for label in name.split('.') {
        packet.push(u8::try_from(label.len()).unwrap());
        packet.extend(label.as_bytes());
    }
    packet.push(0);
    packet.extend(kind.to_be_bytes());
    packet.extend(class.to_be_bytes());
    packet
}

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
fn golden_packets_of_serf_are_understood_and_ours_are_the_same() {
    assert_eq!(question("foo", 0xb2ad).unwrap(), hex(QUESTION));
    let serf = hex(&ANSWERED.replace(char::is_whitespace, ""));
    let found = members_in(&serf, "foo");
    assert_eq!(found, ["127.0.0.1:7946".parse().unwrap()]);
    let ours = service().answer(&hex(QUESTION)).unwrap();
    assert_eq!(members_in(&ours, "foo"), found);
    assert_eq!(ours, serf);
}

#[test]
fn only_what_is_asked_of_ours_is_answered() {
    let ask = |name: &str, kind: u16| {
        let answer = service().answer(&asked(name, kind, 1))?;
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
    // RFC 6762 §5.4: the highest bit of the class wishes for an answer to the asker alone, which ours always are.
    assert!(service().answer(&asked("vm", A, 0x8001)).is_some());
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
    let mut packet = header_of(ANSWER, 0, 1);
    packet.extend([0xc0, 12]);
    assert!(members_in(&packet, "foo").is_empty());
}

#[test]
fn a_packet_that_announces_too_much_is_not_read() {
    let mut many = asked("vm", A, 1);
    let question = many[12..].to_vec();
    let mut with = |count: u8| {
        many.truncate(12);
        many[5] = count;
        (0..count).for_each(|_| many.extend(&question));
        service().answer(&many)
    };
    assert!(with(16).is_some());
    assert_eq!(with(17), None);
    let answer = service()
        .answer(&asked("_serf_foo._tcp.local", PTR, 1))
        .unwrap();
    // Of the root, of the type NULL, with one byte.
    let other = [0, 0, 10, 0, 1, 0, 0, 0, 0, 0, 1, 7];
    let padded = |records: u16| {
        let mut packet = answer.clone();
        packet[6..8].copy_from_slice(&records.to_be_bytes());
        (4..records).for_each(|_| packet.extend(other));
        members_in(&packet, "foo").len()
    };
    assert_eq!((padded(256), padded(257)), (1, 0));
}

proptest! {
    #[test]
    fn made_up_packets_do_no_harm(bytes in proptest::collection::vec(any::<u8>(), 0..100), flags in any::<u16>()) {
        let mut packet = header_of(flags, 2, 3);
        packet.extend(bytes);
        let _nothing = service().answer(&packet);
        let _nobody = members_in(&packet, "foo");
    }
}
