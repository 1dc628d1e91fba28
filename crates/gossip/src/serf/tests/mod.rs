//! Rules of Serf's layer, one by one, without membership: what it would say is said by the test.

mod answers;
mod intents;
mod queries;
mod state;
mod user_events;

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use bytes::{Bytes, BytesMut};

use super::*;
use crate::moment::Moment;
use crate::swim::{self, Delegate, Name, Token};
use crate::wire::memberlist::{State, Versions};
use crate::wire::serf::Message;

pub(super) fn at(seconds: u64) -> Moment {
    Moment::START + Duration::from_secs(seconds)
}

pub(super) fn tags(pairs: &[(&str, &str)]) -> Tags {
    Tags(
        pairs
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect(),
    )
}

/// What membership believes of `name`, whose address ends in its first byte.
pub(super) fn believed(name: &str, state: State) -> swim::Member {
    swim::Member {
        name: Name::from(name),
        address: IpAddr::from([127, 0, 0, name.as_bytes()[0]]).into(),
        port: 7946,
        meta: tags(&[("role", name)]).to_bytes().unwrap(),
        incarnation: 1,
        state,
        changed: at(0),
        versions: Some(Versions::SERF),
    }
}

pub(super) fn address(name: &str) -> SocketAddr {
    believed(name, State::Alive).socket()
}

/// One member's layer, with what it told so far.
pub(super) struct One {
    pub(super) serf: Serf,
    pub(super) now: Moment,
}

impl One {
    /// A member called `me`, announced.
    pub(super) fn new() -> Self {
        Self::with(Config::serf(Name::from("me"), tags(&[("role", "me")])))
    }

    pub(super) fn with(config: Config) -> Self {
        let mut one = Self {
            serf: Serf::new(config, None, 1).unwrap(),
            now: at(0),
        };
        one.join("me");
        one.events();
        one
    }

    /// The same, which also knows others.
    pub(super) fn among(others: &[&str]) -> Self {
        let mut one = Self::new();
        others.iter().for_each(|name| one.join(name));
        one.events();
        one
    }

    pub(super) fn join(&mut self, name: &str) {
        self.serf
            .member_joined(self.now, &believed(name, State::Alive));
    }

    pub(super) fn fail(&mut self, name: &str) {
        self.serf
            .member_left(self.now, &believed(name, State::Dead));
    }

    /// Lets `seconds` go by, as the owner would.
    pub(super) fn wait(&mut self, seconds: u64) {
        let until = self.now + Duration::from_secs(seconds);
        self.serf.set_timers(self.now);
        while let Some(due) = self.serf.next_deadline().filter(|&due| due <= until) {
            self.now = due;
            self.serf.timer(due);
            self.serf.set_timers(due);
        }
        self.now = until;
    }

    /// A message comes.
    pub(super) fn receive(&mut self, message: &Message) {
        let mut bytes = BytesMut::new();
        message.encode(&mut bytes);
        self.receive_bytes(&bytes.freeze());
    }

    pub(super) fn receive_bytes(&mut self, bytes: &Bytes) {
        self.serf.message(self.now, bytes, address("z"));
    }

    /// What was told since the last call, in short.
    pub(super) fn events(&mut self) -> Vec<String> {
        let events = std::mem::take(&mut self.serf.out.events);
        let text = |bytes: &Bytes| String::from_utf8_lossy(bytes).into_owned();
        let short = |event: &Event| match event {
            Event::Members(event) => {
                let names: Vec<_> = event.members.iter().map(|m| m.name.to_string()).collect();
                format!("{} {}", event.change.word(), names.join(" "))
            }
            Event::User(event) => format!("{}@{}={}", event.name, event.time, text(&event.payload)),
            Event::Query(event) => {
                format!(
                    "{}?@{}={}",
                    event.name,
                    event.key.time,
                    text(&event.payload)
                )
            }
        };
        events.iter().map(short).collect()
    }

    /// What was sent to single addresses since the last call.
    pub(super) fn sent(&mut self) -> Vec<(SocketAddr, Message)> {
        let sends = std::mem::take(&mut self.serf.out.sends);
        sends
            .into_iter()
            .map(|(to, bytes)| (to, Message::decode(&bytes).unwrap()))
            .collect()
    }

    /// What goes along in the next packet.
    pub(super) fn broadcasts(&mut self) -> Vec<Bytes> {
        let mut into = Vec::new();
        self.serf.broadcasts(self.now, 3, 1300, &mut into);
        into
    }

    /// How many messages wait in the three queues.
    pub(super) fn queued(&self) -> [usize; 3] {
        [
            self.serf.intent_queue.len(),
            self.serf.query_queue.len(),
            self.serf.event_queue.len(),
        ]
    }

    pub(super) fn status(&self, name: &str) -> Option<Status> {
        self.serf
            .member(name.as_bytes())
            .map(|member| member.status)
    }

    pub(super) fn stat(&self, name: &str) -> String {
        self.serf.stats()[name].clone()
    }
}
