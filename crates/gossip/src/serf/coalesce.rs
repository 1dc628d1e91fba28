//! [pure] Coalescing: of what happens in quick succession only the outcome is told, once things are quiet.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use super::event::{Change, Event, MemberEvent, UserEvent};
use super::{LTime, Member};
use crate::moment::Moment;
use crate::swim::Name;

/// Events that one window holds; then it ends early.
const HELD_MAX: usize = 4_096;

/// How long events wait for others of their kind. Serf's agent has 3 s and 1 s for both kinds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// The longest that the first event waits. `CoalescePeriod`.
    pub period: Duration,
    /// It ends early when nothing new came for so long. `QuiescentPeriod`.
    pub quiescence: Duration,
}

impl Window {
    /// What Serf's agent uses.
    pub const SERF: Self = Self {
        period: Duration::from_secs(3),
        quiescence: Duration::from_secs(1),
    };
}

/// Holds events back and tells their outcome. What it does not coalesce passes at once.
#[derive(Debug, Default)]
pub(crate) struct Coalescer {
    members: Option<Timed<HeldMembers>>,
    users: Option<Timed<HeldUsers>>,
}

// === impl Coalescer ===

impl Coalescer {
    /// Without a window, events of that kind pass.
    pub(crate) fn new(members: Option<Window>, users: Option<Window>) -> Self {
        Self {
            members: members.map(Timed::new),
            users: users.map(Timed::new),
        }
    }

    /// Takes an event, and appends to `out` what is to be told now.
    pub(crate) fn offer(&mut self, now: Moment, event: Event, out: &mut Vec<Event>) {
        match (event, &mut self.members, &mut self.users) {
            (Event::Members(event), Some(timed), _) => {
                timed.held.hold(event);
                timed.extend(now, out);
            }
            (Event::User(event), _, Some(timed)) if event.coalesce => {
                timed.held.hold(event);
                timed.extend(now, out);
            }
            (event, _, _) => out.push(event),
        }
    }

    /// Appends to `out` what has waited long enough.
    pub(crate) fn timer(&mut self, now: Moment, out: &mut Vec<Event>) {
        if let Some(timed) = &mut self.users {
            timed.end_if_due(now, out);
        }
        if let Some(timed) = &mut self.members {
            timed.end_if_due(now, out);
        }
    }

    /// Appends to `out` all that is held: nothing more will come.
    pub(crate) fn flush(&mut self, out: &mut Vec<Event>) {
        if let Some(timed) = &mut self.users {
            timed.end(out);
        }
        if let Some(timed) = &mut self.members {
            timed.end(out);
        }
    }

    /// When [`Coalescer::timer`] has something to do.
    pub(crate) fn next_deadline(&self) -> Option<Moment> {
        let members = self.members.as_ref().and_then(Timed::deadline);
        let users = self.users.as_ref().and_then(Timed::deadline);
        members.into_iter().chain(users).min()
    }
}

trait Held {
    fn len(&self) -> usize;
    fn tell(&mut self, out: &mut Vec<Event>);
}

/// What is held, and until when.
#[derive(Debug)]
struct Timed<H> {
    window: Window,
    held: H,
    /// The end of the period and of the quiet time.
    ends: Option<(Moment, Moment)>,
}

impl<H: Held + Default> Timed<H> {
    fn new(window: Window) -> Self {
        Self {
            window,
            held: H::default(),
            ends: None,
        }
    }

    fn deadline(&self) -> Option<Moment> {
        self.ends.map(|(period, quiet)| period.min(quiet))
    }

    /// Something was added now.
    fn extend(&mut self, now: Moment, out: &mut Vec<Event>) {
        let period = self
            .ends
            .map_or_else(|| now + self.window.period, |(period, _)| period);
        self.ends = Some((period, now + self.window.quiescence));
        if self.held.len() >= HELD_MAX {
            self.end(out);
        }
    }

    fn end_if_due(&mut self, now: Moment, out: &mut Vec<Event>) {
        if self.deadline().is_some_and(|deadline| deadline <= now) {
            self.end(out);
        }
    }

    fn end(&mut self, out: &mut Vec<Event>) {
        self.ends = None;
        self.held.tell(out);
    }
}

/// The last that happened to each member, and what was told of it last.
#[derive(Debug, Default)]
struct HeldMembers {
    latest: BTreeMap<Name, (Change, Arc<Member>)>,
    told: HashMap<Name, Change>,
}

impl HeldMembers {
    fn hold(&mut self, event: MemberEvent) {
        for member in event.members {
            self.latest
                .insert(member.name.clone(), (event.change, member));
        }
    }

    /// Whether `change` is news of `name`: what was told before is not, but for updates.
    fn is_news(&mut self, name: &Name, change: Change) -> bool {
        let before = match change {
            // Forgotten: this keeps no names of members that are no more.
            Change::Reap => self.told.remove(name),
            Change::Join | Change::Leave | Change::Failed | Change::Update => {
                self.told.insert(name.clone(), change)
            }
        };
        before != Some(change) || change == Change::Update
    }
}

impl Held for HeldMembers {
    fn len(&self) -> usize {
        self.latest.len()
    }

    fn tell(&mut self, out: &mut Vec<Event>) {
        let mut told: BTreeMap<Change, Vec<Arc<Member>>> = BTreeMap::new();
        for (name, (change, member)) in std::mem::take(&mut self.latest) {
            if self.is_news(&name, change) {
                told.entry(change).or_default().push(member);
            }
        }
        out.extend(
            told.into_iter()
                .map(|(change, members)| Event::Members(MemberEvent { change, members })),
        );
    }
}

/// Of each name the user events of the newest Lamport time.
#[derive(Debug, Default)]
struct HeldUsers {
    newest: BTreeMap<Name, (LTime, Vec<UserEvent>)>,
    count: usize,
}

impl HeldUsers {
    fn hold(&mut self, event: UserEvent) {
        let (time, events) = self.newest.entry(event.name.clone()).or_default();
        if event.time < *time {
            return;
        }
        if event.time > *time {
            *time = event.time;
            events.clear();
        }
        // Counts what was taken, dropped or not: a bound on the work as well as on the memory.
        self.count += 1;
        events.push(event);
    }
}

impl Held for HeldUsers {
    fn len(&self) -> usize {
        self.count
    }

    fn tell(&mut self, out: &mut Vec<Event>) {
        self.count = 0;
        let mut events: Vec<UserEvent> = std::mem::take(&mut self.newest)
            .into_values()
            .flat_map(|(_, events)| events)
            .collect();
        // Serf tells them in no order; in that of their times nobody is surprised.
        events.sort_by_key(|event| event.time);
        out.extend(events.into_iter().map(Event::User));
    }
}

#[cfg(test)]
mod tests;
