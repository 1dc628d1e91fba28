//! [pure] A queue of things to tell everybody, each sent a bounded number of times, the fresh ones first.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};
use std::ops::Bound;

use bytes::Bytes;

use super::{Name, Token};

/// How many packets carry one message: `mult * ceil(log10(members + 1))`.
#[must_use]
pub fn transmit_limit(mult: u32, members: usize) -> u32 {
    // ceil(log10(n + 1)) is how many digits n has.
    let digits = members.checked_ilog10().map_or(0, |tens| tens + 1);
    mult.saturating_mul(digits)
}

/// Broadcasts that wait to be sent, and to be sent again.
///
/// Order: fewest transmissions first, then larger messages, then newer ones. [`Queue::take`] walks the tiers of
/// equal transmissions and takes from each the largest that still fits.
///
/// Invariant: `names` holds the key of exactly the items that have a name, and there are at most `max` items.
#[derive(Debug)]
pub struct Queue {
    items: BTreeMap<Key, Item>,
    names: HashMap<Name, Key>,
    next: u64,
    finished: Vec<Token>,
    max: usize,
    dropped: usize,
}

/// Sorts by transmissions, then larger first, then newer first.
type Key = (u32, Reverse<usize>, Reverse<u64>);

#[derive(Debug)]
struct Item {
    message: Bytes,
    name: Option<Name>,
    token: Option<Token>,
}

impl Default for Queue {
    /// For messages of which each member has at most one.
    fn default() -> Self {
        Self::bounded(usize::MAX)
    }
}

impl Queue {
    /// Holds at most `max` messages: what is beyond is dropped, those first that were sent most often.
    #[must_use]
    pub fn bounded(max: usize) -> Self {
        Self {
            items: BTreeMap::new(),
            names: HashMap::new(),
            next: 0,
            finished: Vec::new(),
            max,
            dropped: 0,
        }
    }

    /// Queues `message`. One with a `name` replaces what is queued under that name. The `token` is given back by
    /// [`Queue::finished`] when the message is no longer in the queue, for whatever reason.
    pub fn push(&mut self, message: Bytes, name: Option<Name>, token: Option<Token>) {
        if let Some(old) = name.as_ref().and_then(|name| self.names.remove(name)) {
            let item = self.items.remove(&old);
            self.finished.extend(item.and_then(|item| item.token));
        }
        self.next += 1;
        let item = Item {
            message,
            name,
            token,
        };
        self.insert((0, Reverse(item.message.len()), Reverse(self.next)), item);
        self.dropped = self.dropped.saturating_add(self.prune(self.max));
    }

    /// Appends to `into` messages that fit together into `room`, each taking `overhead` more than its length.
    ///
    /// Each counts one transmission; those that have reached `limit` leave the queue. Returns the bytes taken,
    /// overhead included. At most `count` messages are taken.
    pub fn take(
        &mut self,
        overhead: usize,
        room: usize,
        limit: u32,
        count: usize,
        into: &mut Vec<Bytes>,
    ) -> usize {
        let (mut used, mut again, end) = (0, Vec::new(), into.len().saturating_add(count));
        let mut tier = 0;
        while into.len() < end {
            let Some(free) = room.checked_sub(used + overhead).filter(|&free| free > 0) else {
                break;
            };
            let Some(key) = self.fitting(tier, free) else {
                // Nothing in this tier fits: on to the next that has anything.
                let above = (
                    Bound::Excluded((tier, Reverse(0), Reverse(0))),
                    Bound::Unbounded,
                );
                let Some((&(next, ..), _)) = self.items.range(above).next() else {
                    break;
                };
                tier = next;
                continue;
            };
            let Some(item) = self.items.remove(&key) else {
                break;
            };
            used += overhead + item.message.len();
            into.push(item.message.clone());
            let (transmits, length, age) = key;
            if transmits + 1 >= limit {
                self.forget(&item);
            } else {
                // Put back only at the end, so that no message goes twice into one packet.
                again.push(((transmits + 1, length, age), item));
            }
        }
        for (key, item) in again {
            self.insert(key, item);
        }
        used
    }

    /// Drops what has been sent most often until at most `keep` messages are left; returns how many it dropped.
    fn prune(&mut self, keep: usize) -> usize {
        let mut dropped = 0;
        while self.items.len() > keep {
            let Some((_, item)) = self.items.pop_last() else {
                break;
            };
            self.forget(&item);
            dropped += 1;
        }
        dropped
    }

    /// How many messages found no room since the last call.
    pub const fn take_dropped(&mut self) -> usize {
        std::mem::replace(&mut self.dropped, 0)
    }

    /// Tokens of the messages that have left the queue since the last call.
    pub fn finished(&mut self) -> Vec<Token> {
        std::mem::take(&mut self.finished)
    }

    /// How many messages wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// True when nothing waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// The first of `tier` that is not longer than `free`.
    fn fitting(&self, tier: u32, free: usize) -> Option<Key> {
        let from = (tier, Reverse(free), Reverse(u64::MAX));
        let to = (tier, Reverse(0), Reverse(0));
        self.items.range(from..=to).next().map(|(&key, _)| key)
    }

    fn insert(&mut self, key: Key, item: Item) {
        if let Some(name) = &item.name {
            self.names.insert(name.clone(), key);
        }
        self.items.insert(key, item);
    }

    fn forget(&mut self, item: &Item) {
        if let Some(name) = &item.name {
            self.names.remove(name);
        }
        self.finished.extend(item.token);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All that one packet of `room` takes, as text.
    fn packet(queue: &mut Queue, room: usize, limit: u32) -> Vec<String> {
        let mut into = Vec::new();
        queue.take(2, room, limit, 255, &mut into);
        let text = |bytes: &Bytes| String::from_utf8_lossy(bytes).into_owned();
        into.iter().map(text).collect()
    }

    fn queue(of: &[&'static str]) -> Queue {
        let mut queue = Queue::default();
        for message in of {
            queue.push(Bytes::from_static(message.as_bytes()), None, None);
        }
        queue
    }

    #[test]
    fn the_transmit_limit_grows_by_digits() {
        for (members, limit) in [
            (0, 0),
            (1, 4),
            (9, 4),
            (10, 8),
            (99, 8),
            (100, 12),
            (1000, 16),
        ] {
            assert_eq!(transmit_limit(4, members), limit, "{members} members");
        }
        assert_eq!(transmit_limit(u32::MAX, 100), u32::MAX);
    }

    #[test]
    fn large_ones_go_first_then_new_ones() {
        let mut queue = queue(&["aa", "bbbb", "cc"]);
        assert_eq!(packet(&mut queue, 100, 2), ["bbbb", "cc", "aa"]);
    }

    #[test]
    fn of_a_tier_the_largest_that_fits_is_taken() {
        let mut queue = queue(&["aaaaaaaa", "bbb", "c"]);
        // 2 + 3 leaves 5 of 10: too little for the first, enough for the last.
        assert_eq!(packet(&mut queue, 9, 3), ["bbb", "c"]);
        // Fresh ones come before those that have been sent.
        assert_eq!(packet(&mut queue, 15, 3), ["aaaaaaaa", "bbb"]);
        assert_eq!(packet(&mut queue, 3, 3), ["c"]);
        assert_eq!(queue.len(), 3);
    }

    #[test]
    fn a_message_leaves_after_its_last_transmission() {
        let mut queue = Queue::default();
        queue.push(
            Bytes::from_static(b"x"),
            Some(Name::from("n")),
            Some(Token(7)),
        );
        assert_eq!(packet(&mut queue, 100, 2), ["x"]);
        assert!(queue.finished().is_empty());
        assert_eq!(packet(&mut queue, 100, 2), ["x"]);
        assert_eq!(queue.finished(), [Token(7)]);
        assert!(queue.is_empty() && queue.names.is_empty());
        assert!(packet(&mut queue, 100, 2).is_empty());
    }

    #[test]
    fn a_named_message_replaces_its_forerunner_and_starts_anew() {
        let mut queue = Queue::default();
        let name = Some(Name::from("n"));
        queue.push(Bytes::from_static(b"old"), name.clone(), Some(Token(1)));
        assert_eq!(packet(&mut queue, 100, 2), ["old"]);
        queue.push(Bytes::from_static(b"new"), name, None);
        assert_eq!(queue.finished(), [Token(1)]);
        assert_eq!(packet(&mut queue, 100, 2), ["new"]);
        assert_eq!(packet(&mut queue, 100, 2), ["new"]);
        assert!(packet(&mut queue, 100, 2).is_empty());
    }

    #[test]
    fn a_message_goes_once_into_a_packet_however_much_room_there_is() {
        let mut queue = queue(&["aa"]);
        assert_eq!(packet(&mut queue, 1000, 4), ["aa"]);
    }

    #[test]
    fn what_was_sent_most_makes_room() {
        let mut queue = Queue::bounded(1);
        queue.push(Bytes::from_static(b"sent"), None, None);
        assert_eq!(packet(&mut queue, 100, 4), ["sent"]);
        queue.push(Bytes::from_static(b"n"), None, None);
        assert_eq!((queue.take_dropped(), queue.take_dropped()), (1, 0));
        assert_eq!(packet(&mut queue, 100, 4), ["n"]);
    }

    #[test]
    fn no_more_are_taken_than_asked_for() {
        let mut queue = queue(&["a", "b", "c"]);
        let mut into = Vec::new();
        assert_eq!(queue.take(2, 100, 4, 2, &mut into), 6);
        assert_eq!(into.len(), 2);
    }

    #[test]
    fn what_never_fits_stays_and_blocks_nothing() {
        let mut queue = queue(&["much too long", "ok"]);
        assert_eq!(packet(&mut queue, 6, 4), ["ok"]);
        assert_eq!(queue.len(), 2);
    }
}
