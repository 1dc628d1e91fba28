//! [pure] The world: a heap of events, earliest first, between processes that know nothing of it.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use taraf_gossip::cluster::{Cluster, Output};
use taraf_gossip::moment::Moment;
use taraf_gossip::serf::{Change, Event};
use taraf_gossip::swim::{self, Name, StreamId, Token};

use super::bug::Bug;
use super::conditions::Conditions;
use super::ledger::{Ledger, Said};
use super::process::{Process, number_named, number_of};
use crate::dice::Dice;

/// How long a process waits after a join that failed.
const JOIN_AGAIN: Duration = Duration::from_secs(5);

/// Something that comes to a process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum What {
    /// A packet.
    Packet { from: SocketAddr, bytes: Bytes },
    /// Its deadline.
    Wake,
    /// Time to try to join again.
    Join,
    /// Another connects, with its first bytes.
    Connect {
        from: usize,
        id: StreamId,
        request: Bytes,
    },
    /// Bytes on a stream of its own.
    Bytes { id: StreamId, bytes: Bytes },
    /// Nothing listens at the other side.
    Refused { id: StreamId },
    /// The other side has closed.
    Ended {
        id: StreamId,
        why: Option<&'static str>,
    },
}

/// For whom, and for which of its lives.
#[derive(Clone, Debug)]
struct Due {
    to: usize,
    life: u32,
    what: What,
}

/// All processes and all that is between them.
#[derive(Debug)]
pub(super) struct World {
    pub(super) now: Moment,
    heap: BinaryHeap<Reverse<(Moment, u64, usize)>>,
    /// What lies in the heap, by place; free places are used again.
    due: Vec<Option<Due>>,
    free: Vec<usize>,
    sequence: u64,
    pub(super) dice: Dice,
    pub(super) conditions: Conditions,
    pub(super) processes: Vec<Process>,
    pub(super) ledger: Ledger,
    pub(super) bug: Option<Bug>,
    prints: bool,
}

impl World {
    pub(super) fn new(seed: u64, members: usize, mean_us: u64, prints: bool) -> Self {
        Self {
            now: Moment::START,
            heap: BinaryHeap::new(),
            due: Vec::new(),
            free: Vec::new(),
            sequence: 0,
            dice: Dice::new(seed),
            conditions: Conditions::calm(mean_us),
            processes: (0..members).map(Process::new).collect(),
            ledger: Ledger::default(),
            bug: None,
            prints,
        }
    }

    pub(super) fn say(&self, line: impl FnOnce() -> String) {
        if self.prints {
            crate::report::print(&format!("{:>12} {}", self.now.to_string(), line()));
        }
    }

    /// Starts a process, which joins `through` if there is one.
    pub(super) fn start(&mut self, number: usize, through: Option<usize>) {
        let seed = self.dice.number();
        let (now, bug) = (self.now, self.bug);
        let process = &mut self.processes[number];
        process.start(seed, now, bug);
        if through.is_none() {
            process.joined();
        }
        self.others_changed();
        self.join(number, through);
    }

    fn join(&mut self, number: usize, through: Option<usize>) {
        let address = through
            .and_then(|through| self.processes.get(through))
            .map(|it| it.address);
        let replays = self.bug == Some(Bug::Replay);
        let process = &mut self.processes[number];
        let local = self.now + process.ahead;
        if let (Some(cluster), Some(address)) = (&mut process.cluster, address) {
            cluster.join(local, Token(1), vec![address], replays);
        }
        self.settle(number);
    }

    /// Ends a process without a word.
    pub(super) fn kill(&mut self, number: usize) {
        let streams = std::mem::take(&mut self.processes[number].streams);
        self.processes[number].kill();
        for (other, id) in streams.into_values() {
            let delay = self.conditions.delay(&mut self.dice);
            let why = Some("connection reset by peer");
            self.put(delay, other, What::Ended { id, why });
        }
        self.others_changed();
    }

    pub(super) fn pause(&mut self, number: usize) {
        self.processes[number].is_paused = true;
    }

    /// What waits comes first, the deadlines after, as the driver does it.
    pub(super) fn resume(&mut self, number: usize) {
        self.processes[number].is_paused = false;
        while let Some(what) = self.processes[number].inbox.pop_front() {
            if what != What::Wake {
                self.deliver(number, what);
            }
        }
        self.deliver(number, What::Wake);
    }

    /// The clock of a process goes forward by so much at once.
    pub(super) fn jump(&mut self, number: usize, by: Duration) {
        self.processes[number].ahead += by;
        self.deliver(number, What::Wake);
    }

    /// Somebody tells everybody something that nobody has said before.
    pub(super) fn speak(&mut self, number: usize) {
        let text = Bytes::from(format!("e{}", self.ledger.said.len()));
        let (now, name) = (self.now, Name::from("said"));
        let process = &mut self.processes[number];
        let (local, heard_until) = (now + process.ahead, process.heard_until);
        let Some(cluster) = &mut process.cluster else {
            return;
        };
        let time = match cluster.user_event(local, &name, text.clone(), false) {
            Ok(time) => time.0,
            Err(error) => {
                return self
                    .ledger
                    .fail(|| format!("m{number} cannot speak: {error}"));
            }
        };
        if time <= heard_until {
            let why = || format!("Lamport order: m{number} heard {heard_until} and says {time}");
            self.ledger.fail(why);
        }
        let said = Said {
            at: now,
            by: number,
            time,
            last_heard: now,
            heard: 0,
        };
        self.ledger.said.insert(text, said);
        self.settle(number);
    }

    /// Lets the world go on until `end`.
    pub(super) fn advance(&mut self, end: Moment) {
        while let Some(&Reverse((at, _, place))) = self.heap.peek() {
            if at > end {
                break;
            }
            self.heap.pop();
            self.now = at;
            let due = self.due[place].take();
            self.free.push(place);
            let Some(Due { to, life, what }) = due else {
                continue;
            };
            let process = &mut self.processes[to];
            if process.life != life {
                continue;
            }
            self.ledger.events += 1;
            if what == What::Wake {
                if process.wake != Some(at) {
                    continue;
                }
                process.wake = None;
            }
            if process.is_paused {
                process.keep(what);
            } else {
                self.deliver(to, what);
            }
        }
        self.now = end;
    }

    fn deliver(&mut self, to: usize, what: What) {
        let process = &mut self.processes[to];
        let local = self.now + process.ahead;
        let Some(cluster) = &mut process.cluster else {
            return;
        };
        match what {
            What::Packet { from, bytes } => {
                cluster.packet(local, from, BytesMut::from(&bytes[..]));
            }
            What::Wake => cluster.timer(local),
            What::Join => {
                let through = self.anyone_but(to);
                return self.join(to, through);
            }
            What::Connect { from, id, request } => {
                let address = self.processes[from].address;
                return self.connected(to, local, (from, id), address, &request);
            }
            What::Bytes { id, bytes } => cluster.stream_bytes(local, id, &bytes),
            What::Refused { id } => {
                cluster.stream_refused(local, id, "connect: connection refused");
            }
            What::Ended { id, why } => {
                process.streams.remove(&id);
                cluster.stream_ended(local, id, why);
            }
        }
        self.settle(to);
    }

    fn connected(
        &mut self,
        to: usize,
        local: Moment,
        other: (usize, StreamId),
        address: SocketAddr,
        request: &[u8],
    ) {
        let process = &mut self.processes[to];
        let Some(cluster) = &mut process.cluster else {
            return;
        };
        let Some(id) = cluster.stream_accepted(local, address) else {
            let delay = self.conditions.delay(&mut self.dice);
            let why = Some("connection reset by peer");
            return self.put(delay, other.0, What::Ended { id: other.1, why });
        };
        process.streams.insert(id, other);
        cluster.stream_bytes(local, id, request);
        self.processes[other.0].streams.insert(other.1, (to, id));
        self.settle(to);
    }

    /// Performs what a process asks for, and has it woken when it wants.
    fn settle(&mut self, number: usize) {
        loop {
            let process = &mut self.processes[number];
            let Some(output) = process.cluster.as_mut().and_then(Cluster::output) else {
                break;
            };
            match output {
                Output::Network(output) => self.perform(number, output),
                Output::Event(event) => self.tell(number, event),
                Output::Joined { result, .. } => {
                    if result.is_ok_and(|joined| joined.contacted > 0) {
                        process.joined();
                    } else {
                        self.put(JOIN_AGAIN, number, What::Join);
                    }
                }
                Output::MembersChanged => process.is_known_right = false,
                Output::Snapshot(_)
                | Output::Keyring { .. }
                | Output::Done { .. }
                | Output::Keys { .. }
                | Output::Answer { .. }
                | Output::Left => {}
                Output::Quit => self.ledger.fail(|| format!("m{number} gave its name up")),
            }
        }
        self.wake(number);
    }

    fn wake(&mut self, number: usize) {
        let now = self.now;
        let process = &mut self.processes[number];
        let Some(deadline) = process.cluster.as_ref().and_then(Cluster::next_deadline) else {
            return;
        };
        let at = now + (deadline - (now + process.ahead));
        if process.wake.is_none_or(|wake| wake > at) {
            process.wake = Some(at);
            self.put(at - now, number, What::Wake);
        }
    }

    fn perform(&mut self, number: usize, output: swim::Output) {
        match output {
            swim::Output::Packet { to, bytes } => {
                self.ledger.packets += 1;
                self.ledger.packet_bytes += u64::try_from(bytes.len()).unwrap_or(u64::MAX);
                let Some(to) = number_of(to).filter(|to| *to < self.processes.len()) else {
                    return;
                };
                if self.conditions.carries(number, to, &mut self.dice) {
                    let from = self.processes[number].address;
                    let delay = self.conditions.delay(&mut self.dice);
                    self.put(delay, to, What::Packet { from, bytes });
                }
            }
            swim::Output::OpenStream { id, to, request } => self.open(number, id, to, request),
            swim::Output::StreamReply { id, bytes } => {
                if let Some((other, id)) = self.processes[number].streams.remove(&id) {
                    let delay = self.conditions.delay(&mut self.dice);
                    if self.conditions.connects(number, other) {
                        self.put(delay, other, What::Bytes { id, bytes });
                    }
                }
            }
            swim::Output::StreamClose { id } => {
                if let Some((other, id)) = self.processes[number].streams.remove(&id) {
                    let delay = self.conditions.delay(&mut self.dice);
                    self.put(delay, other, What::Ended { id, why: None });
                }
            }
            swim::Output::Joined(_) | swim::Output::Finished(_) => {}
        }
    }

    fn open(&mut self, number: usize, id: StreamId, to: SocketAddr, request: Bytes) {
        self.ledger.streams += 1;
        let delay = self.conditions.delay(&mut self.dice) * 2;
        let other = number_of(to).filter(|to| *to < self.processes.len());
        let is_there = |to: &usize| self.processes[*to].is_up() && self.bug != Some(Bug::NoStreams);
        let there = other.filter(is_there);
        let Some(other) = there else {
            return self.put(delay, number, What::Refused { id });
        };
        // A connection needs both directions; without one it waits until its time is over.
        let connects = |from, to| self.conditions.connects(from, to);
        if connects(number, other) && connects(other, number) {
            self.put(
                delay,
                other,
                What::Connect {
                    from: number,
                    id,
                    request,
                },
            );
        }
    }

    fn tell(&mut self, number: usize, event: Event) {
        match event {
            Event::User(event) => self.heard(number, &event.payload, event.time.0),
            Event::Members(event) if event.change == Change::Failed => {
                for member in &event.members {
                    if let Some(about) = number_named(&member.name) {
                        self.failed(number, about);
                    }
                }
            }
            Event::Members(_) | Event::Query(_) => {}
        }
    }

    fn heard(&mut self, number: usize, text: &Bytes, time: u64) {
        let now = self.now;
        let process = &mut self.processes[number];
        process.heard_until = process.heard_until.max(time);
        let times = process.heard.entry(text.clone()).or_default();
        *times += 1;
        if *times > 1 {
            self.ledger
                .fail(|| format!("exactly once: m{number} heard {text:?} twice"));
        }
        if let Some(said) = self.ledger.said.get_mut(text) {
            said.heard += 1;
            said.last_heard = now;
        }
    }

    fn failed(&mut self, number: usize, about: usize) {
        let now = self.now;
        if let Some(death) = self.ledger.deaths.get_mut(&about) {
            death.first.get_or_insert(now);
            death.last = Some(now);
            death.count += 1;
        } else if self.processes[about].is_up() && !self.ledger.frozen.contains(&about) {
            self.ledger.false_failures += 1;
        }
        self.say(|| format!("m{number} declares m{about} failed"));
    }

    /// Somebody came or went: no view is known to be right.
    fn others_changed(&mut self) {
        for process in &mut self.processes {
            process.is_known_right = false;
        }
    }

    /// The first view that is not right: who sees whom otherwise than it is.
    pub(super) fn wrong_view(&mut self) -> Option<String> {
        let up: Vec<bool> = self.processes.iter().map(Process::is_up).collect();
        let live = up.iter().filter(|up| **up).count();
        for process in &mut self.processes {
            if !process.is_up() || process.is_known_right {
                continue;
            }
            let mut seen = 0;
            for (name, is_alive) in process.view() {
                let number = number_named(name)?;
                if is_alive != up[number] {
                    let believed = if is_alive { "alive" } else { "gone" };
                    return Some(format!("{} believes {name} {believed}", process.name));
                }
                seen += usize::from(is_alive);
            }
            if seen != live {
                return Some(format!("{} sees {seen} of {live}", process.name));
            }
            process.is_known_right = true;
        }
        None
    }

    fn put(&mut self, after: Duration, to: usize, what: What) {
        self.sequence += 1;
        let due = Due {
            to,
            life: self.processes[to].life,
            what,
        };
        let place = self.free.pop().unwrap_or_else(|| {
            self.due.push(None);
            self.due.len() - 1
        });
        self.due[place] = Some(due);
        self.heap
            .push(Reverse((self.now + after, self.sequence, place)));
    }
}
