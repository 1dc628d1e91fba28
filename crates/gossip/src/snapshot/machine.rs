//! [pure] What to append to the snapshot file, when to write it anew, and what it says when read.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use tracing::{info, warn};

use super::line::Line;
use crate::moment::Moment;
use crate::serf::{Change, Event, Member};
use crate::swim::Name;
use crate::wire::serf::LTime;

/// A line waits at most so long for others before all are written.
const FLUSH_INTERVAL: Duration = Duration::from_millis(500);
/// After a write that failed, the whole file is tried so much later.
const RECOVERY_INTERVAL: Duration = Duration::from_secs(30);
/// The file is written anew when it is larger than this and than what its members explain.
const COMPACT_BYTES_MIN: u64 = 128 * 1024;
/// What a member explains: twice the bytes that it takes at most, roughly.
const BYTES_PER_MEMBER: u64 = 2 * 128;
/// Lines that wait while nothing can be written; then only the whole file helps.
const PENDING_BYTES_MAX: usize = 1024 * 1024;

/// One thing to do to the file, in the order given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Append these lines.
    Append(Bytes),
    /// Replace the file by these lines, so that after a crash it is the old or the new one.
    Replace(Bytes),
    /// What was written must be on disk before going on.
    Sync,
}

/// What the file says, when a member starts with it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Restored {
    /// Who was there.
    pub alive: BTreeMap<Name, SocketAddr>,
    /// The last time of the members' clock.
    pub clock: LTime,
    /// The last user event.
    pub event_clock: LTime,
    /// The last query.
    pub query_clock: LTime,
}

/// What is in the file, and what is to be.
#[expect(
    clippy::struct_excessive_bools,
    reason = "four independent facts, each asked alone"
)]
#[derive(Debug)]
pub struct Snapshot {
    said: Restored,
    keeps_when_leaving: bool,
    is_leaving: bool,
    /// Bytes of the file, pending ones included.
    bytes: u64,
    pending: Vec<u8>,
    flush_at: Option<Moment>,
    must_replace: bool,
    must_sync: bool,
}

// === impl Snapshot ===

impl Snapshot {
    /// Reads what the file holds. With `rejoin_after_leave` a leave does not make it forget.
    ///
    /// What cannot be read is told and skipped; a last line without its end was cut by a crash.
    #[must_use]
    pub fn read(file: &[u8], rejoin_after_leave: bool) -> Self {
        let mut said = Restored::default();
        let mut rest = file;
        while let Some(end) = rest.iter().position(|&byte| byte == b'\n') {
            let (line, after) = rest.split_at(end);
            rest = after.get(1..).unwrap_or_default();
            match Line::parse(line) {
                Ok(line) => said.apply(line, rejoin_after_leave),
                Err(error) => warn!("snapshot line {:?}: {error}", String::from_utf8_lossy(line)),
            }
        }
        Self {
            said,
            keeps_when_leaving: rejoin_after_leave,
            is_leaving: false,
            bytes: u64::try_from(file.len()).unwrap_or(u64::MAX),
            pending: Vec::new(),
            flush_at: None,
            // Whatever is appended to half a line would be lost with it.
            must_replace: !rest.is_empty(),
            must_sync: false,
        }
    }

    /// What the file says.
    #[must_use]
    pub const fn said(&self) -> &Restored {
        &self.said
    }

    /// An event was told, before any coalescing. `clock` is the members' clock after it.
    pub fn note(&mut self, now: Moment, event: &Event, clock: LTime) {
        if self.is_leaving {
            return;
        }
        match event {
            Event::Members(event) => {
                for member in &event.members {
                    self.note_member(now, event.change, member);
                }
                self.note_clock(now, clock);
                self.append_clock(now, clock);
            }
            Event::User(event) if event.time > self.said.event_clock => {
                self.append(now, Line::EventClock(event.time));
            }
            Event::Query(event) => self.note_query(now, event.key.time),
            Event::User(_) => {}
        }
    }

    /// A query was seen, an internal one too.
    pub fn note_query(&mut self, now: Moment, time: LTime) {
        if !self.is_leaving && time > self.said.query_clock {
            self.append(now, Line::QueryClock(time));
        }
    }

    /// The members' clock may have moved; it is written with the next flush.
    pub fn note_clock(&mut self, now: Moment, clock: LTime) {
        if clock.previous() > self.said.clock && self.flush_at.is_none() {
            self.flush_at = Some(now + FLUSH_INTERVAL);
        }
    }

    /// We leave on purpose: no member is written any more.
    pub fn leave(&mut self, now: Moment) {
        if !self.keeps_when_leaving {
            self.said.alive.clear();
        }
        self.append(now, Line::Leave);
        self.is_leaving = true;
        self.must_sync = true;
        self.flush_at = Some(now);
    }

    /// The end: all that waits is to be written now.
    pub fn shutdown(&mut self, now: Moment, clock: LTime) {
        self.append_clock(now, clock);
        self.must_sync = true;
        self.flush_at = Some(now);
    }

    /// An effect failed: after a while the whole file is tried.
    pub fn failed(&mut self, now: Moment) {
        self.must_replace = true;
        self.flush_at = Some(now + RECOVERY_INTERVAL);
    }

    /// When [`Snapshot::effects`] has something to do.
    #[must_use]
    pub const fn next_deadline(&self) -> Option<Moment> {
        self.flush_at
    }

    /// What is to be done to the file by now.
    pub fn effects(&mut self, now: Moment, clock: LTime) -> Vec<Effect> {
        let mut effects = Vec::new();
        if self.flush_at.is_none_or(|at| at > now) {
            return effects;
        }
        self.append_clock(now, clock);
        self.flush_at = None;
        if self.must_replace || self.bytes > self.bytes_max() {
            let lines = self.whole();
            self.bytes = u64::try_from(lines.len()).unwrap_or(u64::MAX);
            self.pending = Vec::new();
            self.must_replace = false;
            effects.push(Effect::Replace(lines.into()));
        } else if !self.pending.is_empty() {
            effects.push(Effect::Append(std::mem::take(&mut self.pending).into()));
        }
        if std::mem::take(&mut self.must_sync) {
            effects.push(Effect::Sync);
        }
        effects
    }

    fn note_member(&mut self, now: Moment, change: Change, member: &Member) {
        let name = member.name.clone();
        match change {
            Change::Join => {
                self.append(now, Line::Alive(name, member.address.socket(member.port)));
            }
            Change::Leave | Change::Failed => self.append(now, Line::NotAlive(name)),
            Change::Update | Change::Reap => {}
        }
    }

    fn append_clock(&mut self, now: Moment, clock: LTime) {
        let last = clock.previous();
        if last > self.said.clock {
            self.append(now, Line::Clock(last));
        }
    }

    fn append(&mut self, now: Moment, line: Line) {
        if !line.is_one_line() {
            warn!("a member's name has a newline in it, which the snapshot cannot hold");
            return;
        }
        let before = self.pending.len();
        line.write(&mut self.pending);
        let written = self.pending.len().saturating_sub(before);
        self.bytes = self
            .bytes
            .saturating_add(u64::try_from(written).unwrap_or(u64::MAX));
        if self.pending.len() > PENDING_BYTES_MAX {
            self.pending = Vec::new();
            self.must_replace = true;
        }
        if !matches!(line, Line::Leave) {
            self.said.apply(line, true);
        }
        self.flush_at.get_or_insert(now + FLUSH_INTERVAL);
    }

    fn bytes_max(&self) -> u64 {
        let members = u64::try_from(self.said.alive.len()).unwrap_or(u64::MAX);
        members
            .saturating_mul(BYTES_PER_MEMBER)
            .max(COMPACT_BYTES_MIN)
    }

    /// The shortest file that says the same.
    fn whole(&self) -> Vec<u8> {
        let mut out = Vec::new();
        for (name, address) in &self.said.alive {
            Line::Alive(name.clone(), *address).write(&mut out);
        }
        Line::Clock(self.said.clock).write(&mut out);
        Line::EventClock(self.said.event_clock).write(&mut out);
        Line::QueryClock(self.said.query_clock).write(&mut out);
        if self.is_leaving {
            // Serf forgets it here, and comes back to a cluster that it had left.
            Line::Leave.write(&mut out);
        }
        out
    }
}

// === impl Restored ===

impl Restored {
    fn apply(&mut self, line: Line, rejoin_after_leave: bool) {
        match line {
            Line::Alive(name, address) => drop(self.alive.insert(name, address)),
            Line::NotAlive(name) => drop(self.alive.remove(&name)),
            Line::Clock(time) => self.clock = time,
            Line::EventClock(time) => self.event_clock = time,
            Line::QueryClock(time) => self.query_clock = time,
            Line::Leave if rejoin_after_leave => info!("Ignoring previous leave in snapshot"),
            Line::Leave => *self = Self::default(),
            Line::Ignored => {}
        }
    }
}

#[cfg(test)]
mod tests;
