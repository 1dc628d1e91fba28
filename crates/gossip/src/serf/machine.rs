//! [pure] The machine of Serf's layer of one member: its parts, what it wants done, its timers and its clocks.

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use taraf_base::Rng;
use tracing::warn;

use super::answers::Running;
use super::differences::Differences;
use super::extensions::Extensions;
use super::history::{Entry, History, Verdict};
use super::intents::RecentIntents;
use super::keys::KeyChange;
use super::members::Members;
use super::queries::Open;
use super::ring::Ring;
use super::{
    Answer, Clock, Config, Coordinate, Error, Event, LTime, Member, QueryKey, Status, Tags, Vivaldi,
};
use crate::moment::Moment;
use crate::snapshot::Restored;
use crate::swim::{Name, Queue, Token};
use crate::wire::serf::{Join, Leave, TAGS_BYTES_MAX};

/// The tag by which members say to which cluster they belong, where that matters.
pub const CLUSTER_TAG: &str = "cluster";

/// How far ahead of our clock a word about one who left is. Each exchange of states raises the time that members of
/// Serf's kind know of it by one: they would drop a word with a time that they are past. They are not much ahead,
/// as every exchange of ours brings us the clock of the other.
const LEFT_AHEAD: u64 = 64;

/// What is kept of a user event, to know it again and to give it to those that missed it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Told {
    pub(super) name: Name,
    pub(super) payload: Bytes,
}

/// Where we are between coming and going.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    Alive,
    Leaving,
    Left,
    Stopped,
}

/// What is wanted of others, drained by the owner after each input, in this order.
#[derive(Debug, Default)]
pub(crate) struct Wanted {
    /// What happened, before any coalescing.
    pub(crate) events: Vec<Event>,
    /// User messages to one address each.
    pub(crate) sends: Vec<(SocketAddr, Bytes)>,
    /// Failed members to exchange state with.
    pub(crate) reconnects: Vec<SocketAddr>,
    /// What others want changed in our keyring.
    pub(crate) key_changes: Vec<KeyChange>,
    /// Answers to our queries.
    pub(crate) answers: Vec<(QueryKey, Answer)>,
    /// Commands about keys that have ended.
    pub(crate) keys_done: Vec<(Token, super::KeyOutcome)>,
    /// Somebody else has our name, and most mean them.
    pub(crate) must_quit: bool,
}

/// When the periodic things are due; none while there is nothing that they could find.
#[derive(Debug, Default)]
pub(super) struct Timers {
    pub(super) reap: Option<Moment>,
    pub(super) reconnect: Option<Moment>,
    pub(super) queues: Option<Moment>,
    pub(super) prune: Option<Moment>,
}

/// Counts since the start, for metrics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Members that came back soon after they failed.
    pub flaps: u64,
    /// User events that were told.
    pub events: u64,
    /// Queries that came in or were asked.
    pub queries: u64,
    /// Acks to our queries.
    pub query_acks: u64,
    /// Answers to our queries.
    pub query_responses: u64,
    /// Acks that had come before.
    pub query_duplicate_acks: u64,
    /// Answers that had come before.
    pub query_duplicate_responses: u64,
    /// Messages that could not be read.
    pub malformed: u64,
    /// Coordinates of others that were not believed.
    pub coordinates_rejected: u64,
    /// Times that the clock of another was found to be far from ours.
    pub clocks_apart: u64,
    /// Times that the settings of another were found to be others than ours.
    pub settings_apart: u64,
    /// Messages that were dropped since a queue was too long.
    pub pruned: u64,
}

/// Serf's layer of one member, without any I/O.
///
/// It is the [`Delegate`](crate::swim::Delegate) of membership. What it wants done it only notes; its owner, the
/// [`Cluster`](crate::cluster::Cluster), takes it from there.
#[derive(Debug)]
pub struct Serf {
    pub(super) config: Config,
    pub(super) meta: Bytes,
    pub(super) phase: Phase,
    pub(super) clock: Clock,
    pub(super) event_clock: Clock,
    pub(super) query_clock: Clock,
    pub(super) members: Members,
    pub(super) recent: RecentIntents,
    pub(super) events: Ring<Told>,
    pub(super) seen_queries: Ring<u32>,
    pub(super) running: BTreeMap<LTime, Running>,
    pub(super) open: HashMap<QueryKey, Open>,
    pub(super) vivaldi: Option<Vivaldi>,
    pub(super) coordinates: HashMap<Name, Coordinate>,
    pub(super) intent_queue: Queue,
    pub(super) query_queue: Queue,
    pub(super) event_queue: Queue,
    /// Which of the three the next packet takes from first.
    pub(super) first_queue: usize,
    pub(super) history: History,
    pub(super) extensions: Extensions,
    pub(super) differences: Differences,
    pub(super) counters: Counters,
    pub(super) timers: Timers,
    pub(super) rng: Rng,
    pub(super) out: Wanted,
    /// A join is under way that wants no events from before it.
    pub(super) ignores_old_events: bool,
}

// === impl Serf ===

impl Serf {
    /// A member that knows nobody. With `restored` it goes on from where its snapshot ended.
    ///
    /// # Errors
    /// When the tags do not fit; says by how many bytes.
    pub fn new(mut config: Config, restored: Option<&Restored>, seed: u64) -> Result<Self, Error> {
        let mut rng = Rng::new(seed);
        config.tags = named(config.cluster.as_deref(), config.tags);
        let meta = encode_tags(&config, &config.tags)?;
        let vivaldi = config.coordinates.clone();
        let vivaldi = vivaldi.map(|settings| Vivaldi::new(settings, rng.next_u64()));
        let mut serf = Self {
            meta,
            phase: Phase::Alive,
            clock: Clock::default(),
            event_clock: Clock::default(),
            query_clock: Clock::default(),
            members: Members::default(),
            recent: RecentIntents::default(),
            events: Ring::new(config.event_slots),
            seen_queries: Ring::new(config.query_slots),
            running: BTreeMap::new(),
            open: HashMap::new(),
            vivaldi,
            coordinates: HashMap::new(),
            intent_queue: Queue::bounded(config.queue_max),
            query_queue: Queue::bounded(config.queue_max),
            event_queue: Queue::bounded(config.queue_max),
            first_queue: 0,
            history: History::new(config.history_max),
            extensions: Extensions::default(),
            differences: Differences::default(),
            counters: Counters::default(),
            timers: Timers::default(),
            rng,
            out: Wanted::default(),
            ignores_old_events: false,
            config,
        };
        if let Some(restored) = restored {
            serf.restore(restored);
        }
        if let Some(vivaldi) = &serf.vivaldi {
            let own = vivaldi.coordinate().clone();
            serf.coordinates.insert(serf.config.name.clone(), own);
        }
        Ok(serf)
    }

    fn restore(&mut self, restored: &Restored) {
        self.clock.witness(restored.clock);
        self.event_clock.witness(restored.event_clock);
        self.query_clock.witness(restored.query_clock);
        self.events.raise_min(restored.event_clock.next());
        self.seen_queries.raise_min(restored.query_clock.next());
    }

    /// The settings.
    #[must_use]
    pub const fn config(&self) -> &Config {
        &self.config
    }

    /// Counts since the start.
    #[must_use]
    pub const fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Who suspected whom, and why.
    #[must_use]
    pub const fn history(&self) -> &History {
        &self.history
    }

    /// Everybody that is known, by name.
    pub fn members(&self) -> impl Iterator<Item = &Arc<Member>> {
        self.members.all.values().map(|known| &known.member)
    }

    /// The member of this name.
    #[must_use]
    pub fn member(&self, name: &[u8]) -> Option<&Arc<Member>> {
        self.members.all.get(name).map(|known| &known.member)
    }

    /// True until a leave or the end.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        self.phase == Phase::Alive
    }

    /// What we say of ourselves.
    #[must_use]
    pub const fn tags(&self) -> &Tags {
        &self.config.tags
    }

    /// Says something else of us from now on; the owner tells membership.
    ///
    /// # Errors
    /// When the tags do not fit; then the old ones stay.
    pub fn set_tags(&mut self, tags: Tags) -> Result<(), Error> {
        let tags = named(self.config.cluster.as_deref(), tags);
        self.meta = encode_tags(&self.config, &tags)?;
        self.config.tags = tags;
        Ok(())
    }

    /// Tells everybody that we are here, with the current clock: after a join, or against a leave intent.
    pub(crate) fn broadcast_join(&mut self, now: Moment) {
        let join = Join {
            ltime: self.clock.time(),
            node: self.config.name.clone(),
        };
        self.join_intent(now, &join);
        let mut bytes = BytesMut::new();
        join.encode(&mut bytes);
        self.intent_queue.push(bytes.freeze(), None, None);
    }

    /// Declares that `node` leaves, ourselves or a failed member. With others to tell it is broadcast, and `token`
    /// comes back when it was; returns whether it is.
    pub(crate) fn broadcast_leave(
        &mut self,
        now: Moment,
        node: &Name,
        prune: bool,
        token: Token,
    ) -> bool {
        if self.members.has_status(node, Status::Left) {
            let ahead = self.clock.time().0.saturating_add(LEFT_AHEAD);
            self.clock.witness(LTime(ahead));
        }
        let leave = Leave {
            ltime: self.clock.take(),
            node: node.clone(),
            prune,
        };
        self.leave_intent(now, &leave);
        let has_others = self.members.has_others_alive(&self.config.name);
        if has_others {
            let mut bytes = BytesMut::new();
            leave.encode(&mut bytes);
            self.intent_queue.push(bytes.freeze(), None, Some(token));
        }
        has_others
    }

    /// Begins to leave; tells what a second leave is answered.
    pub(crate) fn begin_leave(&mut self) -> Option<Result<(), Error>> {
        match self.phase {
            Phase::Alive => {
                self.phase = Phase::Leaving;
                None
            }
            Phase::Leaving => Some(Err(Error::AlreadyLeaving)),
            Phase::Left => Some(Ok(())),
            Phase::Stopped => Some(Err(Error::AlreadyStopped)),
        }
    }

    pub(crate) const fn end_leave(&mut self) {
        self.phase = Phase::Left;
    }

    pub(crate) const fn stop(&mut self) {
        self.phase = Phase::Stopped;
    }

    pub(crate) fn has_left(&self) -> bool {
        self.phase == Phase::Left
    }

    /// While a join is under way that wants no events from before it.
    pub(crate) const fn ignore_old_events(&mut self, ignores: bool) {
        self.ignores_old_events = ignores;
    }

    /// The members' clock.
    pub(crate) const fn clock(&self) -> LTime {
        self.clock.time()
    }

    /// Whether members are different since this was last asked.
    pub(crate) const fn take_changed(&mut self) -> bool {
        std::mem::replace(&mut self.members.is_changed, false)
    }

    /// Broadcasts that went out as often as they must.
    pub(crate) fn finished(&mut self) -> Vec<Token> {
        self.intent_queue.finished()
    }

    pub(crate) const fn wants_anything(&self) -> bool {
        let out = &self.out;
        !(out.events.is_empty()
            && out.sends.is_empty()
            && out.reconnects.is_empty()
            && out.key_changes.is_empty()
            && out.answers.is_empty()
            && out.keys_done.is_empty()
            && !out.must_quit)
    }

    pub(crate) fn take_wanted(&mut self) -> Wanted {
        std::mem::take(&mut self.out)
    }

    /// Whether anything waits to be broadcast.
    pub(crate) fn has_broadcasts(&self) -> bool {
        let queues = [&self.intent_queue, &self.query_queue, &self.event_queue];
        queues.iter().any(|queue| !queue.is_empty())
    }

    /// Does what is due.
    pub(crate) fn timer(&mut self, now: Moment) {
        if is_due(self.timers.prune, now) {
            self.prune_due(now);
        }
        if is_due(self.timers.reap, now) {
            self.timers.reap = None;
            self.reap(now);
        }
        if is_due(self.timers.reconnect, now) {
            self.timers.reconnect = None;
            if self.is_alive() {
                self.reconnect(now);
            }
        }
        if is_due(self.timers.queues, now) {
            self.timers.queues = None;
            self.check_queues();
        }
        self.end_queries(now);
        self.digest_timer(now);
    }

    /// Starts the timers that have something to look for. The owner calls it after each input.
    pub(crate) fn set_timers(&mut self, now: Moment) {
        let config = &self.config;
        if self.timers.reap.is_none() {
            let has_gone =
                self.members.count(Status::Failed) + self.members.count(Status::Left) > 0;
            if has_gone || !self.recent.is_empty() {
                self.timers.reap = Some(now + config.reap_interval);
            }
        }
        let has_lost = self.extensions.has_lost() || self.members.count(Status::Failed) > 0;
        if self.timers.reconnect.is_none() && has_lost {
            self.timers.reconnect = Some(now + config.reconnect_interval);
        }
        if self.timers.queues.is_none() && self.has_broadcasts() {
            self.timers.queues = Some(now + config.queue_check_interval);
        }
    }

    /// When [`Serf::timer`] is to be called next.
    pub(crate) fn next_deadline(&self) -> Option<Moment> {
        let timers = &self.timers;
        let periodic = [timers.reap, timers.reconnect, timers.queues, timers.prune];
        periodic
            .into_iter()
            .flatten()
            .chain(self.next_query_end())
            .chain(self.extensions.deadline())
            .min()
    }

    fn check_queues(&mut self) {
        let (warn_at, keep) = (self.config.queue_warn, self.config.queue_max);
        let queues = [
            ("Intent", &mut self.intent_queue),
            ("Query", &mut self.query_queue),
            ("Event", &mut self.event_queue),
        ];
        for (name, queue) in queues {
            let (depth, dropped) = (queue.len(), queue.take_dropped());
            if dropped > 0 {
                warn!(
                    "{name} queue depth ({}) exceeds limit ({keep}), dropping messages!",
                    depth.saturating_add(dropped)
                );
                self.counters.pruned += u64::try_from(dropped).unwrap_or(0);
            } else if depth >= warn_at {
                warn!("{name} queue depth: {depth}");
            }
        }
    }

    pub(super) fn history_note(
        &mut self,
        at: Moment,
        node: &Name,
        verdict: Verdict,
        by: Option<Name>,
        why: &'static str,
    ) {
        self.history.note(Entry {
            at,
            node: node.clone(),
            verdict,
            by,
            why,
        });
    }
}

fn is_due(timer: Option<Moment>, now: Moment) -> bool {
    timer.is_some_and(|at| at <= now)
}

/// The tags, with that of the cluster where it has a name: nobody takes it away by setting others.
fn named(cluster: Option<&str>, mut tags: Tags) -> Tags {
    if let Some(cluster) = cluster {
        tags.0.insert(CLUSTER_TAG.to_owned(), cluster.to_owned());
    }
    tags
}

/// What goes into our alive message: tags, or with an old protocol the bare role.
fn encode_tags(config: &Config, tags: &Tags) -> Result<Bytes, Error> {
    if !config.has_tags() {
        let role = tags.0.get("role").cloned().unwrap_or_default();
        return match role.len().checked_sub(TAGS_BYTES_MAX) {
            None | Some(0) => Ok(role.into()),
            Some(by) => Err(Error::TagsTooLarge {
                max: TAGS_BYTES_MAX,
                by,
            }),
        };
    }
    tags.to_bytes().map_err(|error| match error {
        crate::wire::Error::TooLarge { found, max, .. } => {
            let found = usize::try_from(found).unwrap_or(usize::MAX);
            Error::TagsTooLarge {
                max,
                by: found.saturating_sub(max),
            }
        }
        other => Error::Encode(other),
    })
}
