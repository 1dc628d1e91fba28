//! A network in memory that delivers after a millisecond, and members on it whose outputs are noted.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Duration;

use bytes::{Bytes, BytesMut};

use crate::cluster::{Cluster, Config, Output};
use crate::moment::Moment;
use crate::serf::{self, Answer, Event, Status, Tags};
use crate::snapshot::{Effect, Snapshot};
use crate::swim::{self, Name, StreamId, Token};
use crate::wire::Envelope;
use crate::wire::keyring::Keyring;

const LATENCY: Duration = Duration::from_millis(1);
const PORT: u16 = 7946;

/// What is on its way.
enum Way {
    Packet {
        from: SocketAddr,
        bytes: Bytes,
    },
    /// A stream is opened with us by the stream `id` of `from`.
    Open {
        from: SocketAddr,
        id: StreamId,
        request: Bytes,
    },
    /// Bytes for our stream, and its end.
    Reply {
        id: StreamId,
        bytes: Option<Bytes>,
    },
    Refused {
        id: StreamId,
    },
    /// No way to there.
    Cut {
        id: StreamId,
    },
}

/// One member, its file, and what came out of it.
pub(super) struct Node {
    pub(super) cluster: Cluster,
    pub(super) log: Vec<String>,
    pub(super) file: Vec<u8>,
    pub(super) replaced: usize,
    pub(super) keys_written: Vec<usize>,
    pub(super) fails_to_write_keys: bool,
    /// Streams that others opened with us, and which of theirs each is.
    accepted: BTreeMap<StreamId, (SocketAddr, StreamId)>,
}

/// All members and all that is between them.
pub(super) struct Net {
    pub(super) now: Moment,
    pub(super) nodes: BTreeMap<SocketAddr, Node>,
    ways: BTreeMap<(Moment, u64), (SocketAddr, Way)>,
    count: u64,
    /// These hear nothing and are not heard.
    pub(super) cut: BTreeSet<SocketAddr>,
    /// These take packets, but no streams.
    pub(super) closed: BTreeSet<SocketAddr>,
    token: u64,
}

pub(super) fn address(number: u8) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, number], PORT))
}

pub(super) fn config(name: &str, number: u8) -> Config {
    let ip = address(number).ip().into();
    let tags = Tags([("role".to_owned(), name.to_owned())].into());
    let swim = swim::Config::lan(Name::from(name), ip, PORT);
    let mut serf = serf::Config::serf(Name::from(name), tags);
    serf.member_window = None;
    serf.user_window = None;
    Config::new(swim, serf, Envelope::new(&[], None).unwrap())
}

pub(super) fn with_key(mut config: Config, key: u8) -> Config {
    let keyring = Keyring::new(&[key; 16]).unwrap();
    config.envelope = Envelope::new(&[], Some(keyring)).unwrap();
    config
}

impl Net {
    pub(super) fn new() -> Self {
        Self {
            now: Moment::START,
            nodes: BTreeMap::new(),
            ways: BTreeMap::new(),
            count: 0,
            cut: BTreeSet::new(),
            closed: BTreeSet::new(),
            token: 0,
        }
    }

    /// Members `n1`, `n2`, … that have all joined the first.
    pub(super) fn of(count: u8) -> Self {
        Self::with_settings(count, |_, config| config)
    }

    /// The same, with settings that follow from a member's number.
    pub(super) fn with_settings(count: u8, settings: impl Fn(u8, Config) -> Config) -> Self {
        let mut net = Self::new();
        for number in 1..=count {
            net.add(
                settings(number, config(&format!("n{number}"), number)),
                number,
            );
            if number > 1 {
                net.join(number, 1, true);
            }
        }
        net.until("all see all", 20, |net| {
            net.nodes
                .values()
                .all(|node| node.count(Status::Alive) == usize::from(count))
        });
        net.logs();
        net
    }

    pub(super) fn add(&mut self, config: Config, number: u8) {
        self.start(config, number, None, Vec::new());
    }

    pub(super) fn start(
        &mut self,
        config: Config,
        number: u8,
        snapshot: Option<Snapshot>,
        file: Vec<u8>,
    ) {
        let seed = u64::from(number);
        let cluster = Cluster::new(config, snapshot, seed, [number; 12], self.now).unwrap();
        let node = Node {
            cluster,
            log: Vec::new(),
            file,
            replaced: 0,
            keys_written: Vec::new(),
            fails_to_write_keys: false,
            accepted: BTreeMap::new(),
        };
        self.nodes.insert(address(number), node);
        self.drain(address(number));
    }

    pub(super) fn node(&self, number: u8) -> &Node {
        &self.nodes[&address(number)]
    }

    pub(super) fn node_mut(&mut self, number: u8) -> &mut Node {
        self.nodes.get_mut(&address(number)).unwrap()
    }

    /// A process ends without a word; the system closes its connections.
    pub(super) fn kill(&mut self, number: u8) {
        let node = self.nodes.remove(&address(number)).unwrap();
        for (to, id) in node.accepted.into_values() {
            self.go(to, Way::Reply { id, bytes: None });
        }
    }

    /// Something is done with one member, and what comes of it is sent.
    pub(super) fn with<T>(
        &mut self,
        number: u8,
        act: impl FnOnce(&mut Cluster, Moment, Token) -> T,
    ) -> T {
        self.token += 1;
        let (now, token) = (self.now, Token(self.token));
        let result = act(&mut self.node_mut(number).cluster, now, token);
        self.drain(address(number));
        result
    }

    pub(super) fn join(&mut self, number: u8, other: u8, replays: bool) {
        let addresses = vec![address(other)];
        self.with(number, |cluster, now, token| {
            cluster.join(now, token, addresses, replays);
        });
    }

    pub(super) fn send(&mut self, number: u8, name: &str, payload: &str) {
        let (name, payload) = (Name::from(name), Bytes::copy_from_slice(payload.as_bytes()));
        self.with(number, |cluster, now, _| {
            cluster.user_event(now, &name, payload, false)
        })
        .unwrap();
    }

    /// What each member told since the last call.
    pub(super) fn logs(&mut self) -> BTreeMap<u8, Vec<String>> {
        let number = |address: &SocketAddr| match address {
            SocketAddr::V4(address) => address.ip().octets()[3],
            SocketAddr::V6(_) => 0,
        };
        let logs = self.nodes.iter_mut();
        logs.map(|(at, node)| (number(at), std::mem::take(&mut node.log)))
            .collect()
    }

    pub(super) fn run(&mut self, millis: u64) {
        let until = self.now + Duration::from_millis(millis);
        while self.step(until) {}
        self.now = until;
    }

    /// Runs until `is_so`, at most for so many seconds; returns after how long.
    pub(super) fn until(
        &mut self,
        what: &str,
        seconds: u64,
        is_so: impl Fn(&Self) -> bool,
    ) -> Duration {
        let (start, end) = (self.now, self.now + Duration::from_secs(seconds));
        while !is_so(self) {
            assert!(self.step(end), "not within {seconds} s: {what}");
        }
        self.now.since(start)
    }

    /// The next thing that happens until `end`; false if there is none.
    fn step(&mut self, end: Moment) -> bool {
        let deadlines = self
            .nodes
            .iter()
            .filter_map(|(at, node)| node.cluster.next_deadline().map(|deadline| (deadline, *at)));
        let timer = deadlines.min();
        let way = self.ways.keys().next().copied();
        let at = timer
            .map(|timer| timer.0)
            .into_iter()
            .chain(way.map(|way| way.0))
            .min();
        let Some(at) = at.filter(|at| *at <= end) else {
            return false;
        };
        self.now = self.now.max(at);
        match (way, timer) {
            (Some(key), _) if key.0 <= self.now => {
                let (to, way) = self.ways.remove(&key).unwrap();
                self.arrive(to, way);
            }
            (_, Some((_, number))) => {
                let now = self.now;
                self.nodes.get_mut(&number).unwrap().cluster.timer(now);
                self.drain(number);
            }
            _ => {}
        }
        true
    }

    fn go(&mut self, to: SocketAddr, way: Way) {
        self.count += 1;
        self.ways
            .insert((self.now + LATENCY, self.count), (to, way));
    }

    fn arrive(&mut self, to: SocketAddr, way: Way) {
        let now = self.now;
        let Some(node) = self.nodes.get_mut(&to) else {
            if let Way::Open { from, id, .. } = way {
                self.go(from, Way::Refused { id });
            }
            return;
        };
        match way {
            Way::Packet { from, bytes } => {
                node.cluster.packet(now, from, BytesMut::from(&bytes[..]));
            }
            Way::Open { from, id, request } => {
                if let Some(ours) = node.cluster.stream_accepted(now, from) {
                    node.accepted.insert(ours, (from, id));
                    node.cluster.stream_bytes(now, ours, &request);
                }
            }
            Way::Reply { id, bytes } => {
                if let Some(bytes) = bytes {
                    node.cluster.stream_bytes(now, id, &bytes);
                }
                node.cluster.stream_ended(now, id, None);
            }
            Way::Refused { id } => {
                node.cluster.stream_refused(now, id, "connection refused");
            }
            Way::Cut { id } => {
                node.cluster.stream_ended(now, id, Some("i/o timeout"));
            }
        }
        self.drain(to);
    }

    fn drain(&mut self, at: SocketAddr) {
        while let Some(output) = self
            .nodes
            .get_mut(&at)
            .and_then(|node| node.cluster.output())
        {
            if let Output::Network(output) = output {
                self.perform(at, output);
            } else if let Some(node) = self.nodes.get_mut(&at) {
                node.note(self.now, output);
            }
        }
    }

    fn perform(&mut self, from: SocketAddr, output: swim::Output) {
        let is_cut = |to: &SocketAddr| self.cut.contains(to) != self.cut.contains(&from);
        match output {
            swim::Output::Packet { to, bytes } => {
                if !is_cut(&to) {
                    self.go(to, Way::Packet { from, bytes });
                }
            }
            swim::Output::OpenStream { id, to, request } => {
                let is_cut = is_cut(&to);
                if is_cut {
                    self.go(from, Way::Cut { id });
                } else if self.closed.contains(&to) {
                    self.go(from, Way::Refused { id });
                } else {
                    self.go(to, Way::Open { from, id, request });
                }
            }
            swim::Output::StreamReply { id, bytes } => self.reply(from, id, Some(bytes)),
            swim::Output::StreamClose { id } => self.reply(from, id, None),
            swim::Output::Joined(_) | swim::Output::Finished(_) => panic!("kept by the cluster"),
        }
    }

    fn reply(&mut self, from: SocketAddr, id: StreamId, bytes: Option<Bytes>) {
        let peer = self
            .nodes
            .get_mut(&from)
            .and_then(|node| node.accepted.remove(&id));
        if let Some((to, id)) = peer {
            self.go(to, Way::Reply { id, bytes });
        }
    }
}

impl Node {
    pub(super) fn count(&self, status: Status) -> usize {
        let all = self.cluster.members().all;
        all.iter()
            .filter(|seen| seen.member.status == status)
            .count()
    }

    pub(super) fn status(&self, name: &str) -> Option<Status> {
        self.cluster
            .members()
            .get(&Name::from(name))
            .map(|seen| seen.member.status)
    }

    pub(super) fn stat(&self, name: &str) -> String {
        self.cluster.stats()[name].clone()
    }

    fn note(&mut self, now: Moment, output: Output) {
        let text = |bytes: &Bytes| String::from_utf8_lossy(bytes).into_owned();
        let line = match output {
            Output::Network(_) | Output::MembersChanged => return,
            Output::Event(Event::Members(event)) => {
                let names: Vec<_> = event.members.iter().map(|m| m.name.to_string()).collect();
                format!("{} {}", event.change.word(), names.join(" "))
            }
            Output::Event(Event::User(event)) => format!("{}={}", event.name, text(&event.payload)),
            Output::Event(Event::Query(event)) => {
                if event.name == Name::from("load") {
                    let answer =
                        Bytes::from(format!("load of {}", self.cluster.serf().config().name));
                    self.cluster.respond(now, event.key, answer).unwrap();
                }
                format!("query {}", event.name)
            }
            Output::Snapshot(Effect::Append(lines)) => return self.file.extend_from_slice(&lines),
            Output::Snapshot(Effect::Replace(lines)) => {
                self.replaced += 1;
                self.file = lines.to_vec();
                return;
            }
            Output::Snapshot(Effect::Sync) => return,
            Output::Keyring { query, keys } => {
                self.keys_written.push(keys.len());
                let result = if self.fails_to_write_keys {
                    Err("disk full".to_owned())
                } else {
                    Ok(())
                };
                return self.cluster.keyring_written(now, query, result);
            }
            Output::Joined { result, .. } => match result {
                Ok(joined) => format!(
                    "joined {} of {}",
                    joined.contacted,
                    joined.contacted + joined.failed.len()
                ),
                Err(error) => format!("joined: {error}"),
            },
            Output::Done { result: Ok(()), .. } => "done".to_owned(),
            Output::Done {
                result: Err(error), ..
            } => format!("done: {error}"),
            Output::Keys { outcome, .. } => format!(
                "keys {:?} {:?}",
                outcome.error(),
                outcome.messages.values().collect::<Vec<_>>()
            ),
            Output::Answer {
                answer: Answer::Ack(from),
                ..
            } => format!("ack {from}"),
            Output::Answer {
                answer: Answer::Response(from, bytes),
                ..
            } => {
                format!("answer {from}: {}", text(&bytes))
            }
            Output::Answer {
                answer: Answer::Done,
                ..
            } => "answers end".to_owned(),
            Output::Left => "left".to_owned(),
            Output::Quit => "quit".to_owned(),
        };
        self.log.push(line);
    }
}
