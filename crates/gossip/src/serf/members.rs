//! [pure] The list of members and what moves one from one status to another.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use tracing::{error, info, warn};

use super::event::Change;
use super::history::Verdict;
use super::intents::Intent;
use super::machine::Serf;
use super::{Event, LTime, Member, MemberEvent, Status, Tags};
use crate::moment::Moment;
use crate::swim::{self, Name};
use crate::wire::memberlist::Versions;
use crate::wire::serf::{Join, Leave};

/// What membership has no words for: versions that a member never told.
const VERSIONS_UNKNOWN: Versions = Versions::from_array([0; 6]);

/// A member and what only we need to know of it.
#[derive(Clone, Debug)]
pub(super) struct Known {
    pub(super) member: Arc<Member>,
    /// The newest intent of it that we know.
    pub(super) time: LTime,
    /// When it left or failed.
    pub(super) gone_at: Option<Moment>,
    /// When it is to be forgotten that somebody wants forgotten.
    pub(super) prune_at: Option<Moment>,
}

impl Known {
    pub(super) fn status(&self) -> Status {
        self.member.status
    }
}

/// Everybody that we know of, ourselves included, by name.
#[derive(Debug, Default)]
pub(super) struct Members {
    pub(super) all: BTreeMap<Name, Known>,
    /// Somebody is different since it was last asked.
    pub(super) is_changed: bool,
    /// Invariant: how many of `all` have each status. Asked with every packet, so it is kept.
    counts: HashMap<Status, usize>,
}

impl Members {
    pub(super) fn count(&self, status: Status) -> usize {
        self.counts.get(&status).copied().unwrap_or(0)
    }

    /// How many run, as far as we know.
    pub(super) fn count_there(&self) -> usize {
        self.count(Status::Alive) + self.count(Status::Leaving)
    }

    fn insert(&mut self, known: Known) {
        *self.counts.entry(known.status()).or_default() += 1;
        let old = self.all.insert(known.member.name.clone(), known);
        self.uncount(old.as_ref());
        self.is_changed = true;
    }

    fn remove(&mut self, name: &Name) -> Option<Known> {
        let old = self.all.remove(name);
        self.uncount(old.as_ref());
        self.is_changed = true;
        old
    }

    fn uncount(&mut self, old: Option<&Known>) {
        if let Some(count) = old.and_then(|known| self.counts.get_mut(&known.status())) {
            *count = count.saturating_sub(1);
        }
    }

    pub(super) fn has_status(&self, name: &Name, status: Status) -> bool {
        self.all
            .get(name)
            .is_some_and(|known| known.status() == status)
    }

    pub(super) fn has_others_alive(&self, me: &Name) -> bool {
        let mut others = self.all.iter().filter(|(name, _)| *name != me);
        others.any(|(_, known)| known.status() == Status::Alive)
    }

    /// Gives a member another status and returns it.
    fn set_status(&mut self, name: &Name, status: Status) -> Option<Arc<Member>> {
        let mut known = self.all.get(name)?.clone();
        Arc::make_mut(&mut known.member).status = status;
        let member = Arc::clone(&known.member);
        self.insert(known);
        Some(member)
    }
}

/// Whether a member of this status runs, as far as we know.
pub(super) const fn is_there(status: Status) -> bool {
    matches!(status, Status::Alive | Status::Leaving)
}

/// What membership says of a member, in Serf's words.
fn shown(member: &swim::Member, status: Status) -> Arc<Member> {
    let tags = Tags::decode(&member.meta).unwrap_or_else(|error| {
        error!("Failed to decode tags: {error}");
        Tags::default()
    });
    Arc::new(Member {
        name: member.name.clone(),
        address: member.address,
        port: member.port,
        tags,
        status,
        versions: member.versions.unwrap_or(VERSIONS_UNKNOWN),
    })
}

// What membership reports.
impl Serf {
    pub(super) fn joined(&mut self, now: Moment, member: &swim::Member) {
        let (mut status, mut time) = (Status::Alive, LTime(0));
        if let Some(known) = self.members.all.get(&member.name) {
            time = known.time;
            let gone_for = known.gone_at.map(|at| now.since(at));
            if known.status() == Status::Failed
                && gone_for.is_some_and(|gone| gone < self.config.flap_timeout)
            {
                self.counters.flaps += 1;
            }
        } else if let Some((intent, noted)) = self.recent.get(&member.name) {
            time = noted;
            if intent == Intent::Leave {
                status = Status::Leaving;
            }
        }
        let shown = shown(member, status);
        info!("EventMemberJoin: {} {}", shown.name, shown.address);
        let known = Known {
            member: Arc::clone(&shown),
            time,
            gone_at: None,
            prune_at: None,
        };
        self.members.insert(known);
        self.extensions.found(&member.name);
        self.history_note(now, &member.name, Verdict::Joined, None, "it is alive");
        self.tell(Change::Join, shown);
    }

    pub(super) fn went(&mut self, now: Moment, member: &swim::Member) {
        let name = &member.name;
        let Some(known) = self.members.all.get_mut(name) else {
            return;
        };
        let (status, change, verdict) = match known.status() {
            Status::Leaving => (Status::Left, Change::Leave, Verdict::Left),
            Status::Alive => (Status::Failed, Change::Failed, Verdict::Failed),
            Status::None | Status::Left | Status::Failed => {
                warn!("Bad state when leave: {}", known.status());
                return;
            }
        };
        known.gone_at = Some(now);
        self.history_note(now, name, verdict, None, "membership gave it up");
        if let Some(member) = self.members.set_status(name, status) {
            let event = if status == Status::Left {
                "Leave"
            } else {
                "Failed"
            };
            info!("EventMember{event}: {} {}", member.name, member.address);
            self.tell(change, member);
        }
    }

    pub(super) fn updated(&mut self, member: &swim::Member) {
        let Some(known) = self.members.all.get_mut(&member.name) else {
            return;
        };
        let shown = shown(member, known.status());
        known.member = Arc::clone(&shown);
        self.members.is_changed = true;
        info!("EventMemberUpdate: {}", shown.name);
        self.tell(Change::Update, shown);
    }
}

// Intents.
impl Serf {
    /// Somebody joins. True if it is to be passed on.
    pub(super) fn join_intent(&mut self, now: Moment, join: &Join) -> bool {
        self.clock.witness(join.ltime);
        let Some(known) = self.members.all.get_mut(&join.node) else {
            return self.recent.note(now, &join.node, Intent::Join, join.ltime);
        };
        if join.ltime <= known.time {
            return false;
        }
        known.time = join.ltime;
        if known.status() == Status::Leaving {
            // What it had said of leaving was older.
            known.prune_at = None;
            self.members.set_status(&join.node, Status::Alive);
        }
        true
    }

    /// Somebody leaves, or is made to. True if it is to be passed on.
    pub(super) fn leave_intent(&mut self, now: Moment, leave: &Leave) -> bool {
        self.clock.witness(leave.ltime);
        let is_alive = self.is_alive();
        let Some(known) = self.members.all.get_mut(&leave.node) else {
            return self
                .recent
                .note(now, &leave.node, Intent::Leave, leave.ltime);
        };
        if leave.ltime <= known.time {
            return false;
        }
        if leave.node == self.config.name && is_alive {
            tracing::debug!("Refuting an older leave intent");
            self.broadcast_join(now);
            return false;
        }
        // Even when the status stays: otherwise two members that know two leaves of one pass them on for ever.
        known.time = leave.ltime;
        match known.status() {
            Status::Alive => drop(self.members.set_status(&leave.node, Status::Leaving)),
            Status::Failed => self.force_left(now, &leave.node),
            Status::Leaving | Status::Left => {}
            Status::None => return false,
        }
        if leave.prune {
            self.prune(now, &leave.node);
        }
        true
    }

    /// A failed member is declared to have left.
    fn force_left(&mut self, now: Moment, name: &Name) {
        if let Some(member) = self.members.set_status(name, Status::Left) {
            info!(
                "EventMemberLeave (forced): {} {}",
                member.name, member.address
            );
            self.history_note(
                now,
                name,
                Verdict::Left,
                None,
                "somebody declared it to have left",
            );
            self.tell(Change::Leave, member);
        }
    }

    /// Forgets a member, at once or, if it is only about to leave, when that had time to go round.
    fn prune(&mut self, now: Moment, name: &Name) {
        if !self.members.has_status(name, Status::Leaving) {
            info!("EventMemberReap (forced): {name}");
            self.erase(now, name, "somebody wants it forgotten");
            return;
        }
        let wait = self.config.broadcast_timeout + self.config.leave_propagate_delay;
        if let Some(known) = self.members.all.get_mut(name) {
            known.prune_at.get_or_insert(now + wait);
        }
        let due = now + wait;
        self.timers.prune = Some(self.timers.prune.map_or(due, |at| at.min(due)));
    }
}

// What time does.
impl Serf {
    /// Forgets those that were to be forgotten by now.
    pub(super) fn prune_due(&mut self, now: Moment) {
        let due = |known: &Known| known.prune_at.is_some_and(|at| at <= now);
        for name in self.names_of(due) {
            info!("EventMemberReap (forced): {name}");
            self.erase(now, &name, "somebody wants it forgotten");
        }
        self.timers.prune = self
            .members
            .all
            .values()
            .filter_map(|known| known.prune_at)
            .min();
    }

    /// Forgets those that have been gone for long enough, and intents of those that never came.
    pub(super) fn reap(&mut self, now: Moment) {
        let (failed, left) = (self.config.reconnect_timeout, self.config.tombstone_timeout);
        let is_over = |known: &Known| {
            let after = match known.status() {
                Status::Failed => failed,
                Status::Left => left,
                Status::None | Status::Alive | Status::Leaving => return false,
            };
            gone_for(known, now).is_some_and(|gone| gone > after)
        };
        for name in self.names_of(is_over) {
            info!("EventMemberReap: {name}");
            if let Some(member) = self.member(name.as_bytes()).cloned() {
                self.lose(now, &member);
            }
            self.erase(now, &name, "it has been gone for too long");
        }
        self.recent.reap(now, self.config.recent_intent_timeout);
    }

    /// A failed member to try again, now and then: on average each member that is there tries each of them once
    /// per interval, all together.
    pub(super) fn reconnect(&mut self, now: Moment) {
        let failed = self.names_of(|known| known.status() == Status::Failed);
        if failed.is_empty() {
            self.seek_lost(now);
            return;
        }
        let there = self.members.count_there().max(1);
        #[expect(clippy::cast_precision_loss, reason = "a probability")]
        let probability = failed.len() as f64 / there as f64;
        if self.rng.unit() > probability {
            tracing::debug!("forgoing reconnect for random throttling");
            return;
        }
        let index = usize::try_from(self.rng.below(failed.len() as u64)).unwrap_or(0);
        let known = failed
            .get(index)
            .and_then(|name| self.members.all.get(name));
        if let Some(Known { member, .. }) = known {
            let to = member.address.socket(member.port);
            info!("attempting reconnect to {} {to}", member.name);
            self.out.reconnects.push(to);
        }
    }

    /// One of those that were forgotten is tried by one of us on average.
    fn seek_lost(&mut self, now: Moment) {
        let there = u64::try_from(self.members.count_there()).unwrap_or(u64::MAX);
        if self.rng.below(there) == 0
            && let Some(to) = self.next_lost(now)
        {
            tracing::debug!("looking for a forgotten member at {to}");
            self.out.reconnects.push(to);
        }
    }

    fn names_of(&self, is_meant: impl Fn(&Known) -> bool) -> Vec<Name> {
        let meant = self.members.all.iter().filter(|(_, known)| is_meant(known));
        meant.map(|(name, _)| name.clone()).collect()
    }

    fn erase(&mut self, now: Moment, name: &Name, why: &'static str) {
        let Some(known) = self.members.remove(name) else {
            return;
        };
        self.forget_coordinate(name);
        self.history_note(now, name, Verdict::Reaped, None, why);
        self.tell(Change::Reap, known.member);
    }

    fn tell(&mut self, change: Change, member: Arc<Member>) {
        let members = vec![member];
        self.out
            .events
            .push(Event::Members(MemberEvent { change, members }));
    }
}

fn gone_for(known: &Known, now: Moment) -> Option<Duration> {
    known.gone_at.map(|at| now.since(at))
}
