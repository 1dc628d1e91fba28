//! [pure] One member of the simulation: its machine, its clock, whether it runs, and what it has heard.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use taraf_gossip::cluster::{Cluster, Config};
use taraf_gossip::moment::Moment;
use taraf_gossip::serf::Status;
use taraf_gossip::swim::{Name, StreamId};
use taraf_gossip::wire::{Address, Envelope};
use taraf_gossip::{serf, swim};

use super::bug::Bug;
use super::world::What;

/// How many packets the system keeps for a process that stands still: two mebibytes of full ones.
const INBOX_MAX: usize = 1_500;
/// The port of all.
const PORT: u16 = 7946;

/// One process on one machine.
#[derive(Debug)]
pub(super) struct Process {
    pub(super) name: Name,
    pub(super) address: SocketAddr,
    /// None while it does not run.
    pub(super) cluster: Option<Cluster>,
    /// Which of its lives this is: what was meant for an earlier one finds nobody.
    pub(super) life: u32,
    /// Its clock is ahead of the world's by this.
    pub(super) ahead: Duration,
    /// When it is to be woken, in the world's time.
    pub(super) wake: Option<Moment>,
    pub(super) is_paused: bool,
    /// It does nothing that Serf does not do.
    pub(super) is_plain: bool,
    /// What waits for a process that stands still.
    pub(super) inbox: VecDeque<What>,
    /// Its streams, with whose and which they are on the other side.
    pub(super) streams: BTreeMap<StreamId, (usize, StreamId)>,
    /// Whether its view was right when it was last looked at, and has not changed since.
    pub(super) is_known_right: bool,
    /// How often it has heard each user event of this life.
    pub(super) heard: BTreeMap<Bytes, u32>,
    /// The highest Lamport time of a user event that it has heard.
    pub(super) heard_until: u64,
    /// Events from before this Lamport time it does not want: it has joined then. None until it has.
    pub(super) wants_from: Option<u64>,
    /// Since when it runs.
    pub(super) since: Moment,
}

impl Process {
    pub(super) fn new(number: usize) -> Self {
        let number = u32::try_from(number).unwrap_or(u32::MAX);
        let [_, high, middle, low] = number.to_be_bytes();
        Self {
            name: Name::from(format!("m{number}").as_str()),
            address: SocketAddr::from(([10, high, middle, low], PORT)),
            cluster: None,
            life: 0,
            ahead: Duration::ZERO,
            wake: None,
            is_paused: false,
            is_plain: false,
            inbox: VecDeque::new(),
            streams: BTreeMap::new(),
            is_known_right: false,
            heard: BTreeMap::new(),
            heard_until: 0,
            wants_from: None,
            since: Moment::START,
        }
    }

    /// Begins a life.
    pub(super) fn start(&mut self, seed: u64, now: Moment, bug: Option<Bug>) {
        let address = Address::from(self.address.ip());
        let mut swim = swim::Config::lan(self.name.clone(), address, PORT);
        // What is compressed and sealed is the wire's business, and has its own tests.
        swim.compress = false;
        let mut serf = serf::Config::serf(self.name.clone(), serf::Tags::default());
        serf.member_window = None;
        serf.user_window = None;
        serf.extends = !self.is_plain;
        if self.is_plain {
            swim.catch_up_interval = Duration::ZERO;
            swim.stall_min = Duration::ZERO;
        }
        if bug == Some(Bug::NoReconnect) {
            serf.reconnect_interval = Duration::MAX;
        }
        let config = Config::new(swim, serf, Envelope::default());
        let local = now + self.ahead;
        let cluster = Cluster::new(config, None, seed, [0; 12], local);
        self.cluster = Some(cluster.expect("a member without tags has none that are too long"));
        self.life += 1;
        self.wake = None;
        self.is_paused = false;
        self.inbox.clear();
        self.streams.clear();
        if bug != Some(Bug::Replay) {
            self.heard.clear();
        }
        self.heard_until = 0;
        self.wants_from = None;
        self.since = now;
        self.is_known_right = false;
    }

    /// Ends a life without a word.
    pub(super) fn kill(&mut self) {
        self.cluster = None;
        self.life += 1;
        self.is_paused = false;
        self.inbox.clear();
        self.streams.clear();
    }

    /// Keeps what comes for later; a packet beyond what the system keeps is lost.
    pub(super) fn keep(&mut self, what: What) {
        if self.inbox.len() < INBOX_MAX || !matches!(what, What::Packet { .. }) {
            self.inbox.push_back(what);
        }
    }

    /// It has joined: what was said before is no longer for it.
    pub(super) fn joined(&mut self) {
        let stats = self.cluster.as_ref().map(Cluster::stats);
        let time = stats.as_ref().and_then(|stats| stats.get("event_time"));
        self.wants_from = time.and_then(|time| time.parse().ok());
    }

    /// Whether it must hear an event that was said then, at that Lamport time.
    pub(super) fn is_meant(&self, at: Moment, time: u64) -> bool {
        self.since < at && self.wants_from.is_some_and(|from| from <= time)
    }

    pub(super) fn is_up(&self) -> bool {
        self.cluster.is_some()
    }

    /// What it believes of the others: alive and not.
    pub(super) fn view(&self) -> impl Iterator<Item = (&Name, bool)> {
        let members = self
            .cluster
            .iter()
            .flat_map(|cluster| cluster.serf().members());
        members.map(|member| (&member.name, member.status == Status::Alive))
    }
}

/// Whose address it is.
pub(super) fn number_of(address: SocketAddr) -> Option<usize> {
    let std::net::IpAddr::V4(ip) = address.ip() else {
        return None;
    };
    let [ten, high, middle, low] = ip.octets();
    (ten == 10).then(|| usize::try_from(u32::from_be_bytes([0, high, middle, low])).ok())?
}

/// Whose name it is.
pub(super) fn number_named(name: &Name) -> Option<usize> {
    std::str::from_utf8(name.as_bytes())
        .ok()?
        .strip_prefix('m')?
        .parse()
        .ok()
}
