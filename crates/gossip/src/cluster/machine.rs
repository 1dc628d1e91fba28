//! [pure] The machine of one member: inputs go to its parts, and what they want goes on from here.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::BytesMut;
use taraf_base::Rng;
use tracing::warn;

use super::leave::Leave;
use super::rejoin::Rejoin;
use super::{Config, Members, Output, Seen};
use crate::moment::Moment;
use crate::serf::{self, Coalescer, Error, Event, KeyOperation, QueryKey, Serf};
use crate::snapshot::Snapshot;
use crate::swim::{self, StreamId, Swim, Token};
use crate::wire::Nonce;

/// Tokens from here on are ours; those of commands must be smaller.
const OWN_TOKENS: u64 = 1 << 63;

/// A command that waits for its broadcast.
#[derive(Clone, Copy, Debug)]
pub(super) struct Waiting {
    /// The command.
    pub(super) token: Token,
    /// Until when.
    pub(super) until: Moment,
    /// What its end is if the time is up.
    pub(super) late: Late,
}

/// What the lateness of a broadcast means.
#[derive(Clone, Copy, Debug)]
pub(super) enum Late {
    Removal,
    Update,
}

impl Late {
    pub(super) const fn error(self) -> Error {
        match self {
            Self::Removal => Error::RemovalTimeout,
            Self::Update => Error::UpdateTimeout,
        }
    }
}

/// A join that is under way or waits for one.
#[derive(Debug)]
pub(super) struct Join {
    pub(super) token: Token,
    pub(super) addresses: Vec<SocketAddr>,
    pub(super) replays: bool,
}

/// One member, without any I/O.
#[derive(Debug)]
pub struct Cluster {
    pub(super) config: Config,
    pub(super) swim: Swim,
    pub(super) serf: Serf,
    pub(super) coalescer: Coalescer,
    pub(super) snapshot: Option<Snapshot>,
    pub(super) outputs: VecDeque<Output>,
    pub(super) waiting: BTreeMap<Token, Waiting>,
    /// The first is under way.
    pub(super) joins: VecDeque<Join>,
    pub(super) leave: Leave,
    pub(super) rejoin: Rejoin,
    /// Changes of the keyring that are being written to its file.
    pub(super) key_writes: BTreeMap<QueryKey, KeyOperation>,
    next_token: u64,
}

// === impl Cluster ===

impl Cluster {
    /// A member that is alone, and looks for those that its `snapshot` knows.
    ///
    /// `seed` decides all that is random, but for the nonces of encryption, which begin at `nonce`; that must come
    /// from the operating system.
    ///
    /// # Errors
    /// When the tags do not fit.
    pub fn new(
        mut config: Config,
        snapshot: Option<Snapshot>,
        seed: u64,
        nonce: Nonce,
        now: Moment,
    ) -> Result<Self, Error> {
        if config.serf.extends {
            let versions = &mut config.swim.versions;
            versions.protocol_max = versions.protocol_max.max(serf::PROTOCOL);
            config.swim.extends = true;
        }
        config.serf.settings = settings(&config);
        let mut rng = Rng::new(seed);
        let restored = snapshot.as_ref().map(Snapshot::said);
        let mut serf = Serf::new(config.serf.clone(), restored, rng.next_u64())?;
        let chance = Rng::new(rng.next_u64());
        let envelope = config.envelope.clone();
        let swim = Swim::new(config.swim.clone(), envelope, chance, nonce, now, &mut serf);
        let rejoin = Rejoin::new(restored, &config.serf.name, &mut rng);
        let windows = (config.serf.member_window, config.serf.user_window);
        let mut cluster = Self {
            config,
            swim,
            serf,
            coalescer: Coalescer::new(windows.0, windows.1),
            snapshot,
            outputs: VecDeque::new(),
            waiting: BTreeMap::new(),
            joins: VecDeque::new(),
            leave: Leave::Staying,
            rejoin,
            key_writes: BTreeMap::new(),
            next_token: OWN_TOKENS,
        };
        cluster.rejoin_next(now);
        cluster.settle(now);
        Ok(cluster)
    }

    /// A packet came.
    pub fn packet(&mut self, now: Moment, from: SocketAddr, bytes: BytesMut) {
        self.swim.packet(now, from, bytes, &mut self.serf);
        self.settle(now);
    }

    /// Whether another may open a stream with us; until then it waits.
    #[must_use]
    pub fn accepts_streams(&self) -> bool {
        self.swim.accepts_streams()
    }

    /// Another has opened a stream with us. None if it must be closed at once.
    pub fn stream_accepted(&mut self, now: Moment, from: SocketAddr) -> Option<StreamId> {
        self.swim.stream_accepted(now, from)
    }

    /// Bytes came on a stream.
    pub fn stream_bytes(&mut self, now: Moment, id: StreamId, bytes: &[u8]) {
        self.swim.stream_bytes(now, id, bytes, &mut self.serf);
        self.settle(now);
    }

    /// A stream was closed by the other side, or broke.
    pub fn stream_ended(&mut self, now: Moment, id: StreamId, why: Option<&str>) {
        self.swim.stream_ended(now, id, why, &mut self.serf);
        self.settle(now);
    }

    /// A stream of ours was not taken: the machine is there, and nothing listens at the port.
    pub fn stream_refused(&mut self, now: Moment, id: StreamId, why: &str) {
        self.swim.stream_refused(now, id, why, &mut self.serf);
        self.settle(now);
    }

    /// Does what is due. To be called at [`Cluster::next_deadline`], after the packets that wait by then.
    pub fn timer(&mut self, now: Moment) {
        self.swim.timer(now, &mut self.serf);
        self.serf.timer(now);
        let mut told = Vec::new();
        self.coalescer.timer(now, &mut told);
        self.outputs.extend(told.into_iter().map(Output::Event));
        self.end_late_commands(now);
        self.leave_timer(now);
        self.rejoin_timer(now);
        self.settle(now);
    }

    /// When [`Cluster::timer`] is to be called next.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Moment> {
        let commands = self.waiting.values().map(|waiting| waiting.until);
        let others = [
            self.swim.next_deadline(),
            self.serf.next_deadline(),
            self.coalescer.next_deadline(),
            self.snapshot.as_ref().and_then(Snapshot::next_deadline),
            self.leave.deadline(),
            self.rejoin.deadline(),
        ];
        others.into_iter().flatten().chain(commands).min()
    }

    /// The next thing to do. Drained after every input.
    pub fn output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// Stops without a leave, or after one: what is held back is told, and the snapshot is finished.
    pub fn stop(&mut self, now: Moment) {
        if !self.serf.has_left() {
            warn!("Shutdown without a Leave");
        }
        self.serf.stop();
        self.settle(now);
        self.tell_held();
        if let Some(snapshot) = &mut self.snapshot {
            let clock = self.serf.clock();
            snapshot.shutdown(now, clock);
            self.outputs.extend(
                snapshot
                    .effects(now, clock)
                    .into_iter()
                    .map(Output::Snapshot),
            );
        }
    }

    /// What the wall clock shows, in milliseconds since 1970. It is only compared with that of others: nothing is
    /// decided by it. To be said before what may exchange states.
    pub const fn set_clock(&mut self, clock_ms: u64) {
        self.serf.set_clock(clock_ms);
    }

    /// All members at this moment.
    #[must_use]
    pub fn members(&self) -> Members {
        let seen = |member: &Arc<serf::Member>| Seen {
            member: Arc::clone(member),
            accusers: self.swim.accusers(member.name.as_bytes()).len(),
        };
        Members {
            all: self.serf.members().map(seen).collect(),
        }
    }

    /// Serf's layer, to ask: coordinates, history, tags, counters.
    #[must_use]
    pub const fn serf(&self) -> &Serf {
        &self.serf
    }

    /// Membership, to ask: accusers, health, counters.
    #[must_use]
    pub const fn swim(&self) -> &Swim {
        &self.swim
    }

    /// The section `serf` of `serf info`.
    #[must_use]
    pub fn stats(&self) -> BTreeMap<&'static str, String> {
        let mut stats = self.serf.stats();
        stats.insert("health_score", self.swim.health_score().to_string());
        stats.insert(
            "encrypted",
            self.swim.envelope().keyring().is_some().to_string(),
        );
        stats
    }

    /// Writing the snapshot failed: the whole file is tried again after a while.
    pub fn snapshot_failed(&mut self, now: Moment) {
        if let Some(snapshot) = &mut self.snapshot {
            snapshot.failed(now);
        }
    }

    pub(super) fn own_token(&mut self) -> Token {
        self.next_token = self.next_token.wrapping_add(1).max(OWN_TOKENS);
        Token(self.next_token)
    }

    /// Tells what was held back to be coalesced.
    pub(super) fn tell_held(&mut self) {
        let mut told = Vec::new();
        self.coalescer.flush(&mut told);
        self.outputs.extend(told.into_iter().map(Output::Event));
    }

    /// Passes on what the parts want of each other and of the driver, until they want no more.
    pub(super) fn settle(&mut self, now: Moment) {
        loop {
            let is_quiet = self.settle_serf(now) & self.settle_swim(now);
            if is_quiet {
                break;
            }
        }
        if self.serf.has_broadcasts() {
            self.swim.broadcasts_waiting(now);
        }
        self.serf.set_timers(now);
        if self.serf.take_changed() {
            self.outputs.push_back(Output::MembersChanged);
        }
        if let Some(snapshot) = &mut self.snapshot {
            let clock = self.serf.clock();
            snapshot.note_clock(now, clock);
            self.outputs.extend(
                snapshot
                    .effects(now, clock)
                    .into_iter()
                    .map(Output::Snapshot),
            );
        }
    }

    /// True if there was nothing.
    fn settle_serf(&mut self, now: Moment) -> bool {
        let finished = self.serf.finished();
        let is_quiet = finished.is_empty() && !self.serf.wants_anything();
        for token in finished {
            self.broadcast_finished(now, token);
        }
        if is_quiet {
            return true;
        }
        let wanted = self.serf.take_wanted();
        for event in wanted.events {
            self.tell(now, event);
        }
        for (to, body) in wanted.sends {
            self.swim.send_user(to, &body, false);
        }
        for to in wanted.reconnects {
            let token = self.own_token();
            self.swim.join(now, token, [to], &mut self.serf);
        }
        for change in wanted.key_changes {
            self.change_keys(now, &change);
        }
        let answers = wanted.answers.into_iter();
        self.outputs
            .extend(answers.map(|(query, answer)| Output::Answer { query, answer }));
        let keys = wanted.keys_done.into_iter();
        self.outputs
            .extend(keys.map(|(token, outcome)| Output::Keys { token, outcome }));
        if wanted.must_quit {
            self.outputs.push_back(Output::Quit);
        }
        false
    }

    /// True if there was nothing.
    fn settle_swim(&mut self, now: Moment) -> bool {
        let mut is_quiet = true;
        while let Some(output) = self.swim.output() {
            is_quiet = false;
            match output {
                swim::Output::Joined(joined) => self.join_ended(now, joined),
                swim::Output::Finished(token) => self.broadcast_finished(now, token),
                output @ (swim::Output::Packet { .. }
                | swim::Output::OpenStream { .. }
                | swim::Output::StreamReply { .. }
                | swim::Output::StreamClose { .. }) => {
                    self.outputs.push_back(Output::Network(output));
                }
            }
        }
        is_quiet
    }

    /// Something happened: first the snapshot, then the users.
    fn tell(&mut self, now: Moment, event: Event) {
        if let Some(snapshot) = &mut self.snapshot {
            snapshot.note(now, &event, self.serf.clock());
        }
        if matches!(&event, Event::Query(query) if serf::is_internal(&query.name)) {
            return;
        }
        let mut told = Vec::new();
        self.coalescer.offer(now, event, &mut told);
        self.outputs.extend(told.into_iter().map(Output::Event));
    }
}

/// What should be the same everywhere: who is slower than the others is declared dead by them.
fn settings(config: &Config) -> String {
    let swim = &config.swim;
    format!(
        "probes every {:?} within {:?}, gossip every {:?} to {}, suspicion {}, retransmit {}",
        swim.probe_interval,
        swim.probe_timeout,
        swim.gossip_interval,
        swim.gossip_nodes,
        swim.suspicion_mult,
        swim.retransmit_mult
    )
}
