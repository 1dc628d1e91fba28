//! Packets to the name server: an answer that fits and is one, or silence, and the same answer for the same chance.
#![no_main]

use std::sync::{Arc, LazyLock};

use libfuzzer_sys::fuzz_target;
use taraf_service::ServiceName;
use taraf_service::dns::{Instance, Names, Node, Responder, Tags, Transport, Zone};

/// Longest answer over UDP.
const UDP_BYTES_MAX: u16 = 1_232;

static NAMES: LazyLock<Names> = LazyLock::new(|| {
    let mut names = Names::new(1);
    let service = ServiceName::new("web").expect("a name");
    for n in 0..100_u8 {
        let (name, address) = (format!("web{n}"), [10, 0, 0, n].into());
        let tags: Tags = Arc::new([("version".to_owned(), (n % 3).to_string())].into());
        names.add_node(Node {
            name: name.clone(),
            addresses: vec![address],
            tags: Arc::clone(&tags),
            is_alive: n % 7 > 0,
        });
        let instance = Instance {
            node: Some(name),
            address,
            port: 80,
            weight: u32::from(n % 4),
            tags,
            is_alive: n % 7 > 0,
        };
        names.add_instance(service.clone(), instance);
    }
    names
});

static RESPONDER: LazyLock<Responder> = LazyLock::new(|| {
    let zone = Zone::new("taraf", 1, 64, vec![[127, 0, 0, 1].into()]).expect("a zone");
    Responder::new(zone, UDP_BYTES_MAX)
});

fuzz_target!(|bytes: &[u8]| {
    let (transport, room) = match bytes.len() % 2 {
        0 => (Transport::Udp, usize::from(UDP_BYTES_MAX)),
        _ => (Transport::Tcp, usize::from(u16::MAX)),
    };
    let answer = RESPONDER.respond(bytes, transport, &NAMES, 7);
    let is_question = bytes.len() >= 12 && bytes[2] & 0x80 == 0;
    assert_eq!(answer.is_some(), is_question);
    let Some(answer) = answer else {
        return;
    };
    assert!(answer.len() >= 12 && answer.len() <= room);
    assert_eq!((&answer[..2], answer[2] & 0x80), (&bytes[..2], 0x80));
    assert_eq!(
        RESPONDER.respond(bytes, transport, &NAMES, 7),
        Some(answer.clone())
    );
    // Nobody is answered twice.
    assert!(RESPONDER.respond(&answer, transport, &NAMES, 7).is_none());
    let short = RESPONDER.come_over_tcp(bytes).expect("a question");
    assert!(short.len() <= bytes.len());
});
