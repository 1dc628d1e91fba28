//! [pure] Who suspected whom, and why: the last so many entries, for people who ask afterwards.

use std::collections::VecDeque;

use crate::moment::Moment;
use crate::swim::Name;

/// What was said about a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It came.
    Joined,
    /// Somebody got no answer from it, or passes on that somebody got none.
    Suspected,
    /// It answered, or said so itself.
    Cleared,
    /// It is given up.
    Failed,
    /// It left.
    Left,
    /// It is forgotten.
    Reaped,
}

impl Verdict {
    /// The word for it in answers to people.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Joined => "joined",
            Self::Suspected => "suspected",
            Self::Cleared => "cleared",
            Self::Failed => "failed",
            Self::Left => "left",
            Self::Reaped => "reaped",
        }
    }
}

/// One entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// When we learned of it.
    pub at: Moment,
    /// About whom.
    pub node: Name,
    /// What.
    pub verdict: Verdict,
    /// Who says so; none when nobody in particular does.
    pub by: Option<Name>,
    /// Why, for people.
    pub why: &'static str,
}

/// The last entries, oldest first.
#[derive(Debug)]
pub struct History {
    entries: VecDeque<Entry>,
    entries_max: usize,
}

impl History {
    /// Keeps at most `entries_max`.
    #[must_use]
    pub const fn new(entries_max: usize) -> Self {
        Self {
            entries: VecDeque::new(),
            entries_max,
        }
    }

    /// Adds an entry; the oldest makes room.
    pub fn note(&mut self, entry: Entry) {
        while self.entries.len() >= self.entries_max.max(1) {
            self.entries.pop_front();
        }
        self.entries.push_back(entry);
    }

    /// All entries, oldest first.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &Entry> {
        self.entries.iter()
    }

    /// What is known of one member, oldest first.
    pub fn of(&self, node: &Name) -> impl Iterator<Item = &Entry> {
        self.entries.iter().filter(move |entry| entry.node == *node)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(number: u64, node: &str) -> Entry {
        Entry {
            at: Moment::from_nanos(number),
            node: Name::from(node),
            verdict: Verdict::Suspected,
            by: Some(Name::from("me")),
            why: "no answer",
        }
    }

    #[test]
    fn the_oldest_makes_room() {
        let mut history = History::new(3);
        for number in 0..5 {
            history.note(entry(number, if number == 3 { "b" } else { "a" }));
        }
        let kept: Vec<u64> = history.iter().map(|entry| entry.at.as_nanos()).collect();
        assert_eq!(kept, [2, 3, 4]);
        assert_eq!(history.of(&Name::from("b")).count(), 1);
        assert_eq!(history.of(&Name::from("c")).count(), 0);
    }
}
