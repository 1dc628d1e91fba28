//! [pure] The list of members: found by name, drawn by chance, walked in an order that is shuffled each round.

use std::collections::HashMap;
use std::time::Duration;

use taraf_base::Rng;

use super::suspicion::Suspicion;
use super::{Member, Name};
use crate::moment::Moment;

/// A place in the list. It is the member's until the member is dropped, then another's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Slot(usize);

/// A member and why it is doubted.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) member: Member,
    /// Some exactly while the member is suspect.
    pub(super) suspicion: Option<Box<Suspicion>>,
}

/// All members that are known, ourselves included.
///
/// Invariant: `names` and `order` hold each filled slot once; no other.
#[derive(Debug, Default)]
pub(super) struct Members {
    entries: Vec<Option<Entry>>,
    free: Vec<Slot>,
    names: HashMap<Name, Slot>,
    order: Vec<Slot>,
    /// How far the present round of probes has come in `order`.
    walked: usize,
}

impl Members {
    /// How many are listed, the dead and those that left included.
    pub(super) fn len(&self) -> usize {
        self.order.len()
    }

    pub(super) fn find(&self, name: &[u8]) -> Option<Slot> {
        self.names.get(name).copied()
    }

    pub(super) fn get(&self, slot: Slot) -> Option<&Entry> {
        self.entries.get(slot.0)?.as_ref()
    }

    pub(super) fn get_mut(&mut self, slot: Slot) -> Option<&mut Entry> {
        self.entries.get_mut(slot.0)?.as_mut()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Entry> {
        self.order.iter().filter_map(|&slot| self.get(slot))
    }

    /// All suspicions, with the member's slot.
    pub(super) fn suspicions(&mut self) -> impl Iterator<Item = (Slot, &mut Suspicion)> {
        let entries = self.entries.iter_mut().enumerate();
        entries.filter_map(|(place, entry)| {
            let suspicion = entry.as_mut()?.suspicion.as_mut()?;
            Some((Slot(place), suspicion.as_mut()))
        })
    }

    /// Adds a member at a place of the round that chance chooses.
    pub(super) fn insert(&mut self, member: Member, chance: &mut Rng) -> Slot {
        let slot = self.free.pop().unwrap_or_else(|| {
            self.entries.push(None);
            Slot(self.entries.len() - 1)
        });
        self.names.insert(member.name.clone(), slot);
        let suspicion = None;
        if let Some(place) = self.entries.get_mut(slot.0) {
            *place = Some(Entry { member, suspicion });
        }
        let offset = below(chance, self.order.len());
        self.order.push(slot);
        let last = self.order.len() - 1;
        self.order.swap(offset, last);
        slot
    }

    /// The next of the round, none at its end: then [`Members::begin_round`].
    pub(super) fn walk(&mut self) -> Option<Slot> {
        let slot = self.order.get(self.walked).copied();
        self.walked += usize::from(slot.is_some());
        slot
    }

    /// Drops those that have been gone for longer than `kept`, and shuffles the others.
    ///
    /// Serf 0.9.4 keeps those that left; newer ones drop them too, as here. `me` is never dropped.
    pub(super) fn begin_round(&mut self, now: Moment, kept: Duration, me: Slot, chance: &mut Rng) {
        let mut order = std::mem::take(&mut self.order);
        order.retain(|&slot| {
            let over = |entry: &Entry| entry.member.is_gone() && now - entry.member.changed > kept;
            if slot == me || !self.get(slot).is_some_and(over) {
                return true;
            }
            if let Some(entry) = self.entries.get_mut(slot.0).and_then(Option::take) {
                self.names.remove(&entry.member.name);
            }
            self.free.push(slot);
            false
        });
        for last in (1..order.len()).rev() {
            order.swap(below(chance, last + 1), last);
        }
        self.order = order;
        self.walked = 0;
    }

    /// Up to `count` members that `fits`, each as likely as the other.
    pub(super) fn draw(
        &self,
        count: usize,
        chance: &mut Rng,
        fits: impl Fn(&Member) -> bool,
    ) -> Vec<Slot> {
        /// So often it is tried blindly before all are looked at.
        const TRIES: usize = 4;
        let mut drawn = Vec::with_capacity(count);
        let fits = |slot: Slot| self.get(slot).is_some_and(|entry| fits(&entry.member));
        if self.order.len() > TRIES * count {
            for _ in 0..TRIES * count {
                if drawn.len() == count {
                    return drawn;
                }
                let slot = self.order[below(chance, self.order.len())];
                if !drawn.contains(&slot) && fits(slot) {
                    drawn.push(slot);
                }
            }
        }
        let open = count - drawn.len();
        let mut others: Vec<Slot> = self.order.clone();
        others.retain(|slot| !drawn.contains(slot) && fits(*slot));
        for place in 0..open.min(others.len()) {
            let other = place + below(chance, others.len() - place);
            others.swap(place, other);
            drawn.push(others[place]);
        }
        drawn
    }

    /// True when somebody but `me` is alive, suspect ones included.
    pub(super) fn is_any_alive(&self, me: Slot) -> bool {
        let is_live = |slot: &Slot| {
            *slot != me && self.get(*slot).is_some_and(|entry| !entry.member.is_gone())
        };
        self.order.iter().any(is_live)
    }
}

/// A number in `0..bound`, 0 when `bound` is 0.
pub(super) fn below(chance: &mut Rng, bound: usize) -> usize {
    let bound = u64::try_from(bound).unwrap_or(u64::MAX);
    usize::try_from(chance.below(bound)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::super::State;
    use super::*;
    use crate::wire::Address;

    fn member(number: u16, state: State) -> Member {
        Member {
            name: Name::from(format!("m{number}").as_str()),
            address: Address::Four([127, 0, 0, 1]),
            port: number,
            meta: Bytes::new(),
            incarnation: 1,
            state,
            changed: Moment::START,
            versions: None,
        }
    }

    fn members(count: u16, state: impl Fn(u16) -> State) -> (Members, Rng) {
        let (mut members, mut chance) = (Members::default(), Rng::new(1));
        for number in 0..count {
            members.insert(member(number, state(number)), &mut chance);
        }
        (members, chance)
    }

    #[test]
    fn a_round_visits_everybody_once() {
        let (mut members, mut chance) = members(20, |_| State::Alive);
        for _ in 0..3 {
            let mut seen: Vec<Slot> = std::iter::from_fn(|| members.walk()).collect();
            seen.sort();
            seen.dedup();
            assert_eq!(seen.len(), 20);
            members.begin_round(Moment::START, Duration::ZERO, Slot(0), &mut chance);
        }
    }

    #[test]
    fn those_long_gone_are_dropped_at_the_end_of_a_round_and_their_slots_used_again() {
        let states = [State::Alive, State::Suspect, State::Dead, State::Left];
        let (mut members, mut chance) = members(4, |number| states[usize::from(number)]);
        let kept = Duration::from_secs(30);
        members.begin_round(Moment::START + kept, kept, Slot(0), &mut chance);
        assert_eq!(members.len(), 4);
        members.begin_round(Moment::START + kept + kept, kept, Slot(0), &mut chance);
        assert_eq!(members.len(), 2);
        assert_eq!(members.find(b"m2"), None);
        members.insert(member(9, State::Alive), &mut chance);
        assert_eq!((members.len(), members.entries.len()), (3, 4));
        assert!(members.find(b"m9").is_some() && members.find(b"m1").is_some());
    }

    #[test]
    fn a_draw_has_no_doubles_and_finds_the_few_that_fit() {
        let (members, mut chance) = members(1000, |_| State::Alive);
        for _ in 0..100 {
            let mut drawn = members.draw(3, &mut chance, |member| member.port > 995);
            drawn.sort();
            drawn.dedup();
            assert_eq!(drawn.len(), 3);
        }
        assert_eq!(
            members
                .draw(3, &mut chance, |member| member.port == 7)
                .len(),
            1
        );
        assert!(members.draw(3, &mut chance, |_| false).is_empty());
        assert!(members.draw(0, &mut chance, |_| true).is_empty());
    }

    #[test]
    fn every_member_is_drawn_about_equally_often() {
        let (members, mut chance) = members(10, |_| State::Alive);
        let mut counts = [0_u32; 10];
        for _ in 0..10_000 {
            for slot in members.draw(1, &mut chance, |_| true) {
                counts[slot.0] += 1;
            }
        }
        assert!(
            counts.iter().all(|count| (800..1200).contains(count)),
            "{counts:?}"
        );
    }
}
