//! Messages, packets and streams a second, written and read on one core.
//!
//! `cargo bench -p taraf-gossip --bench wire`; with `TARAF_REPORT=FILE` the table is written there too. A sealed
//! packet costs a nonce from the operating system besides, which is not counted here.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a measuring program prints and stops at the first surprise"
)]

use std::fmt::Write as _;
use std::hint::black_box;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use taraf_gossip::wire::keyring::Keyring;
use taraf_gossip::wire::memberlist::{Ack, Alive, Message, NodeState, Ping, PushPull, Source};
use taraf_gossip::wire::memberlist::{State, Versions};
use taraf_gossip::wire::packet::{self, Builder, Options};
use taraf_gossip::wire::serf::{self, Coordinate, LTime, Tags, UserEvent};
use taraf_gossip::wire::stream::{self, Frame, Reader, Side};
use taraf_gossip::wire::{Address, Envelope, Name};

const TIME: Duration = Duration::from_millis(200);
const ROUNDS: usize = 5;
/// Between two looks at the clock.
const STEPS: u32 = 16;
const MEMBERS: u32 = 1_000;

/// What it is, how many bytes it takes, writes and reads a second.
struct Row {
    what: &'static str,
    bytes: usize,
    rates: [f64; 2],
}

fn main() {
    let mut rows: Vec<Row> = messages().into_iter().map(one).collect();
    let locked = Envelope::new(b"", Some(Keyring::new(&[7; 32]).unwrap())).unwrap();
    let bare = Envelope::default();
    rows.push(filled("a full packet", &bare, Options::default()));
    let checked = Options {
        has_checksum: true,
        compresses: false,
    };
    rows.push(filled("the same with a checksum", &bare, checked));
    let compresses = Options {
        has_checksum: true,
        compresses: true,
    };
    rows.push(filled("the same compressed", &bare, compresses));
    rows.push(filled(
        "the same compressed and encrypted",
        &locked,
        compresses,
    ));
    rows.push(exchange("1,000 members", false, &bare));
    rows.push(exchange("the same compressed", true, &bare));
    rows.push(exchange("the same compressed and encrypted", true, &locked));
    let mut table = String::from("| what | bytes | written/s | read/s |\n|---|---:|---:|---:|\n");
    for row in rows {
        let Row { what, bytes, rates } = row;
        let [written, read] = rates;
        writeln!(table, "| {what} | {bytes} | {written:.0} | {read:.0} |").unwrap();
    }
    println!("{table}");
    if let Some(report) = std::env::var_os("TARAF_REPORT") {
        let text = format!(
            "Written and read on one core, medians of {ROUNDS} rounds of {TIME:?}; a full packet is {} bytes of \
             alive messages, user events and a ping in a compound.\n\n{table}",
            packet::PACKET_BYTES
        );
        std::fs::write(report, text).unwrap();
    }
}

fn messages() -> Vec<(&'static str, Message)> {
    let source = Source {
        address: Address::Four([10, 0, 0, 1]),
        port: 7_946,
        node: Name::from("rates-01"),
    };
    let ping = Ping {
        seq: 70_000,
        node: Name::from("rates-02"),
        source: Some(source),
    };
    let coordinate = Coordinate {
        vector: [0.001; 8],
        error: 0.2,
        adjustment: 0.0,
        height: 1e-5,
    };
    let ack = Ack {
        seq: 70_000,
        payload: coordinate.to_bytes(),
    };
    vec![
        ("ping", Message::Ping(ping)),
        ("ack with a coordinate", Message::Ack(ack)),
        ("alive", Message::Alive(alive(1))),
        ("user event", Message::User(event())),
    ]
}

fn alive(number: u32) -> Alive {
    let [_, _, high, low] = number.to_be_bytes();
    let tags = [("service", "rates"), ("port", "8080"), ("zone", "east")];
    let tags = tags.map(|(key, value)| (key.to_owned(), value.to_owned()));
    Alive {
        incarnation: 3,
        node: Name::from(format!("rates-{number:04}").as_str()),
        address: Address::Four([10, 0, high, low]),
        port: 7_946,
        meta: Tags(tags.into()).to_bytes().unwrap(),
        versions: Some(Versions::SERF),
    }
}

/// With its payload, which is read too.
fn event() -> Bytes {
    let event = UserEvent {
        ltime: LTime(4_242),
        name: Name::from("deploy"),
        payload: Bytes::from_static(b"registry.example/rates:1.2.3"),
        coalesce: true,
    };
    let mut out = BytesMut::new();
    event.encode(&mut out);
    out.freeze()
}

fn encoded(message: &Message) -> Bytes {
    let mut out = BytesMut::new();
    message.encode(&mut out);
    out.freeze()
}

fn one((what, message): (&'static str, Message)) -> Row {
    let bytes = encoded(&message);
    let mut out = BytesMut::with_capacity(2_048);
    let write = rate(|| {
        out.clear();
        black_box(&message).encode(&mut out);
    });
    let read = rate(|| look(&Message::decode(black_box(&bytes)).unwrap()));
    let bytes = bytes.len();
    let rates = [write, read];
    Row { what, bytes, rates }
}

/// As a member does with what it got.
fn look(message: &Message) {
    match message {
        Message::User(body) => drop(black_box(serf::Message::decode(body).unwrap())),
        other => drop(black_box(other.clone())),
    }
}

fn filled(what: &'static str, envelope: &Envelope, options: Options) -> Row {
    let mut parts: Vec<Bytes> = messages()
        .iter()
        .map(|(_, message)| encoded(message))
        .collect();
    parts.extend((0..20).map(|number| encoded(&Message::Alive(alive(number)))));
    let build = || {
        let mut builder = Builder::new(envelope);
        for part in &parts {
            builder.push(part.clone());
        }
        let plain = builder.finish().unwrap();
        packet::seal(&plain, options, envelope, || [1; 12])
    };
    let bytes = build();
    let write = rate(|| drop(black_box(build())));
    let read = rate(|| {
        let packet = BytesMut::from(&bytes[..]);
        for message in packet::decode(packet, envelope).unwrap() {
            look(&message.unwrap());
        }
    });
    let bytes = bytes.len();
    let rates = [write, read];
    Row { what, bytes, rates }
}

fn exchange(what: &'static str, compresses: bool, envelope: &Envelope) -> Row {
    let members = (0..MEMBERS).map(alive).map(|alive| NodeState {
        name: alive.node,
        address: alive.address,
        port: alive.port,
        meta: alive.meta,
        incarnation: alive.incarnation,
        state: State::Alive,
        versions: alive.versions,
    });
    let states: Vec<_> = members.collect();
    let times = states.iter().map(|state| (state.name.clone(), LTime(9)));
    let user = serf::PushPull {
        status_ltimes: times.collect(),
        ..serf::PushPull::default()
    };
    let mut user_state = BytesMut::new();
    user.encode(&mut user_state);
    let frame = Frame::PushPull(PushPull {
        is_join: false,
        states,
        unusable: 0,
        user_state: user_state.freeze(),
    });
    let build = || stream::write(&frame, Side::Answer, compresses, envelope, || [1; 12]).unwrap();
    let bytes = build();
    let write = rate(|| drop(black_box(build())));
    let read = rate(|| {
        let mut reader = Reader::new(Side::Answer);
        reader.buffer().extend_from_slice(&bytes);
        let Some(Frame::PushPull(state)) = reader.next(envelope).unwrap() else {
            return;
        };
        drop(black_box(
            serf::PushPull::decode(&state.user_state).unwrap(),
        ));
    });
    let bytes = bytes.len();
    let rates = [write, read];
    Row { what, bytes, rates }
}

/// The median of some rounds.
fn rate(mut step: impl FnMut()) -> f64 {
    let mut rates: Vec<f64> = (0..ROUNDS)
        .map(|_| {
            let (begun, mut steps) = (Instant::now(), 0_u32);
            while begun.elapsed() < TIME {
                for _ in 0..STEPS {
                    step();
                }
                steps += STEPS;
            }
            f64::from(steps) / begun.elapsed().as_secs_f64()
        })
        .collect();
    rates.sort_by(f64::total_cmp);
    rates[ROUNDS / 2]
}
