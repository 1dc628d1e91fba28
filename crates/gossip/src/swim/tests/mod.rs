//! One machine, told what it hears, watched in what it says.

mod leaving;
mod probing;
mod pushing;
mod silent;
mod states;
mod streaming;
mod telling;

use std::net::SocketAddr;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use taraf_base::Rng;

use super::{Config, Delegate, Doubt, Member, Name, Output, State, Swim, Token};
use crate::moment::Moment;
use crate::wire::memberlist::{Alive, Dead, Message, Ping, Suspect, Versions};
use crate::wire::packet;
use crate::wire::{Address, Envelope};

/// Where what we hear comes from.
const FROM: SocketAddr = SocketAddr::new(
    std::net::IpAddr::V4(std::net::Ipv4Addr::new(127, 0, 0, 99)),
    7946,
);
const SECOND: Duration = Duration::from_secs(1);

/// A layer above that writes down what it hears.
#[derive(Debug, Default)]
struct Notes {
    meta: Bytes,
    heard: Vec<String>,
    waiting: Vec<Bytes>,
    state: Bytes,
}

impl Delegate for Notes {
    fn meta(&self) -> Bytes {
        self.meta.clone()
    }

    fn message(&mut self, _now: Moment, body: &Bytes, _from: SocketAddr) {
        self.heard
            .push(format!("message {}", String::from_utf8_lossy(body)));
    }

    fn broadcasts(&mut self, _now: Moment, overhead: usize, room: usize, into: &mut Vec<Bytes>) {
        let mut left = room;
        while let Some(body) = self.waiting.pop_if(|body| body.len() + overhead <= left) {
            left -= body.len() + overhead;
            into.push(body);
        }
    }

    fn local_state(&mut self, _is_join: bool) -> Bytes {
        self.state.clone()
    }

    fn merge_state(&mut self, _now: Moment, state: &Bytes, is_join: bool) {
        self.heard.push(format!(
            "state {} join {is_join}",
            String::from_utf8_lossy(state)
        ));
    }

    fn ack_payload(&mut self) -> Bytes {
        Bytes::from_static(b"here")
    }

    fn ping_complete(&mut self, _now: Moment, node: &Name, rtt: Duration, payload: &Bytes) {
        let payload = String::from_utf8_lossy(payload);
        self.heard.push(format!(
            "reached {node} in {} ms: {payload}",
            rtt.as_millis()
        ));
    }

    fn member_joined(&mut self, _now: Moment, member: &Member) {
        self.heard.push(format!("joined {}", member.name));
    }

    fn member_left(&mut self, _now: Moment, member: &Member) {
        self.heard
            .push(format!("gone {} {:?}", member.name, member.state));
    }

    fn member_updated(&mut self, _now: Moment, member: &Member) {
        let meta = String::from_utf8_lossy(&member.meta);
        self.heard.push(format!("updated {} {meta}", member.name));
    }

    fn conflict(&mut self, _now: Moment, mine: &Member, theirs: &Member) {
        self.heard.push(format!(
            "conflict {} {} {}",
            mine.name,
            mine.socket(),
            theirs.socket()
        ));
    }

    fn suspected(&mut self, _now: Moment, node: &Name, by: &Name, why: Doubt) {
        self.heard.push(format!("{by} doubts {node}: {why:?}"));
    }

    fn refuted(&mut self, _now: Moment, node: &Name) {
        self.heard.push(format!("{node} refuted"));
    }
}

/// The machine under test, called `me`.
struct One {
    swim: Swim,
    notes: Notes,
    now: Moment,
}

fn config() -> Config {
    let mut config = Config::lan(Name::from("me"), Address::Four([127, 0, 0, 1]), 7946);
    config.compress = false;
    config
}

impl One {
    fn new() -> Self {
        Self::with(config())
    }

    fn with(config: Config) -> Self {
        let (mut notes, now) = (Notes::default(), Moment::START);
        let swim = Swim::new(
            config,
            Envelope::default(),
            Rng::new(1),
            [0; 12],
            now,
            &mut notes,
        );
        let mut one = Self { swim, notes, now };
        assert_eq!(one.heard(), ["joined me"]);
        one
    }

    /// With members `m0`, `m1`..., alive, at 127.0.1.0, 127.0.1.1... Their arrival has been told.
    fn among(count: u8) -> Self {
        let mut one = Self::new();
        for number in 0..count {
            one.hear(alive(number, 1));
        }
        while one.swim.queued() > 0 {
            one.swim.queue.take(2, 60_000, 1, 255, &mut Vec::new());
        }
        one.heard();
        one
    }

    #[expect(
        clippy::needless_pass_by_value,
        reason = "each is made where it is heard"
    )]
    fn hear(&mut self, message: Message) {
        let bytes = super::states::encode(&message);
        self.swim
            .packet(self.now, FROM, BytesMut::from(&bytes[..]), &mut self.notes);
    }

    fn heard(&mut self) -> Vec<String> {
        std::mem::take(&mut self.notes.heard)
    }

    /// Lets time pass, with all deadlines in between; what is asked for meanwhile, with the moment.
    fn pass(&mut self, duration: Duration) -> Vec<(Moment, Output)> {
        let (end, mut outputs) = (self.now + duration, Vec::new());
        loop {
            outputs
                .extend(std::iter::from_fn(|| self.swim.output()).map(|output| (self.now, output)));
            match self.swim.next_deadline().filter(|&next| next <= end) {
                Some(next) => self.now = self.now.max(next),
                None => break,
            }
            self.swim.timer(self.now, &mut self.notes);
        }
        self.now = end;
        outputs
    }

    /// The messages sent in that time, with their target.
    fn sent(&mut self, duration: Duration) -> Vec<(SocketAddr, Message)> {
        let mut sent = Vec::new();
        for (_, output) in self.pass(duration) {
            if let Output::Packet { to, bytes } = output {
                sent.extend(opened(&bytes).into_iter().map(|message| (to, message)));
            }
        }
        sent
    }

    /// What waits to be told, oldest last.
    fn told(&mut self) -> Vec<Message> {
        let mut parts = Vec::new();
        self.swim.queue.take(2, 60_000, u32::MAX, 255, &mut parts);
        parts
            .iter()
            .map(|part| Message::decode(part).unwrap())
            .collect()
    }

    fn state(&self, name: &str) -> Option<(State, u32)> {
        let member = self.swim.member(name.as_bytes())?;
        Some((member.state, member.incarnation))
    }
}

fn opened(bytes: &Bytes) -> Vec<Message> {
    let messages = packet::decode(BytesMut::from(&bytes[..]), &Envelope::default()).unwrap();
    messages.map(Result::unwrap).collect()
}

fn name(number: u8) -> Name {
    Name::from(format!("m{number}").as_str())
}

fn socket(number: u8) -> SocketAddr {
    SocketAddr::from(([127, 0, 1, number], 7946))
}

fn alive(number: u8, incarnation: u32) -> Message {
    Message::Alive(alive_of(number, incarnation))
}

fn alive_of(number: u8, incarnation: u32) -> Alive {
    Alive {
        incarnation,
        node: name(number),
        address: Address::Four([127, 0, 1, number]),
        port: 7946,
        meta: Bytes::new(),
        versions: Some(Versions::SERF),
    }
}

fn suspect(node: &str, incarnation: u32, from: &str) -> Message {
    Message::Suspect(Suspect {
        incarnation,
        node: Name::from(node),
        from: Name::from(from),
    })
}

fn dead(node: &str, incarnation: u32, from: &str) -> Message {
    Message::Dead(Dead {
        incarnation,
        node: Name::from(node),
        from: Name::from(from),
    })
}
