//! [pure] Intents to join or leave of members that we have not met yet: kept for a while, until they come.

use std::collections::HashMap;
use std::time::Duration;

use super::LTime;
use crate::moment::Moment;
use crate::swim::Name;

/// Unknown members whose intents are kept; more are not, and not passed on.
const RECENT_MAX: usize = 16_384;

/// What a member said that it would do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Intent {
    Join,
    Leave,
}

/// The newest intent of each unknown member.
#[derive(Debug, Default)]
pub(super) struct RecentIntents {
    intents: HashMap<Name, Recent>,
}

#[derive(Debug)]
struct Recent {
    intent: Intent,
    time: LTime,
    noted: Moment,
}

impl RecentIntents {
    /// Notes an intent; true if it is news and so should be passed on.
    pub(super) fn note(&mut self, now: Moment, node: &Name, intent: Intent, time: LTime) -> bool {
        match self.intents.get(node) {
            Some(known) if known.time >= time => return false,
            None if self.intents.len() >= RECENT_MAX => return false,
            Some(_) | None => {}
        }
        let noted = now;
        self.intents.insert(
            node.clone(),
            Recent {
                intent,
                time,
                noted,
            },
        );
        true
    }

    /// What `node` meant to do, now that it has come.
    pub(super) fn get(&self, node: &Name) -> Option<(Intent, LTime)> {
        self.intents
            .get(node)
            .map(|recent| (recent.intent, recent.time))
    }

    /// Forgets what was noted `age` ago or earlier.
    pub(super) fn reap(&mut self, now: Moment, age: Duration) {
        self.intents
            .retain(|_, recent| now.since(recent.noted) < age);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.intents.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Moment {
        Moment::START + Duration::from_secs(seconds)
    }

    #[test]
    fn only_a_newer_intent_is_news() {
        let mut recent = RecentIntents::default();
        let node = Name::from("n");
        assert!(recent.note(at(0), &node, Intent::Join, LTime(5)));
        assert!(!recent.note(at(1), &node, Intent::Leave, LTime(5)));
        assert!(!recent.note(at(1), &node, Intent::Leave, LTime(4)));
        assert_eq!(recent.get(&node), Some((Intent::Join, LTime(5))));
        assert!(recent.note(at(1), &node, Intent::Leave, LTime(6)));
        assert_eq!(recent.get(&node), Some((Intent::Leave, LTime(6))));
    }

    #[test]
    fn an_intent_is_forgotten_in_time() {
        let mut recent = RecentIntents::default();
        recent.note(at(0), &Name::from("a"), Intent::Join, LTime(1));
        recent.note(at(10), &Name::from("b"), Intent::Join, LTime(1));
        recent.reap(at(300), Duration::from_secs(300));
        assert_eq!(recent.get(&Name::from("a")), None);
        assert!(recent.get(&Name::from("b")).is_some());
        recent.reap(at(310), Duration::from_secs(300));
        assert!(recent.is_empty());
    }

    #[test]
    fn a_flood_of_unknown_names_is_bounded() {
        let mut recent = RecentIntents::default();
        for number in 0..RECENT_MAX {
            let node = Name::from(number.to_string().as_str());
            assert!(recent.note(at(0), &node, Intent::Join, LTime(1)));
        }
        assert!(!recent.note(at(0), &Name::from("more"), Intent::Join, LTime(1)));
        // Those that are known still change.
        assert!(recent.note(at(0), &Name::from("7"), Intent::Leave, LTime(2)));
    }
}
