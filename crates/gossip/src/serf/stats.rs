//! [pure] Figures of Serf's layer: the section `serf` of `serf info`.

use std::collections::BTreeMap;
use std::time::Duration;

use super::machine::Serf;
use super::{Coordinate, Status};
use crate::swim::Name;

impl Serf {
    /// What `serf info` shows under `serf`, but for what membership knows: `health_score` and `encrypted`.
    #[must_use]
    pub fn stats(&self) -> BTreeMap<&'static str, String> {
        let mut stats = BTreeMap::from([
            ("members", self.members.all.len().to_string()),
            ("failed", self.members.count(Status::Failed).to_string()),
            ("left", self.members.count(Status::Left).to_string()),
            ("member_time", self.clock.time().to_string()),
            ("event_time", self.event_clock.time().to_string()),
            ("query_time", self.query_clock.time().to_string()),
            ("intent_queue", self.intent_queue.len().to_string()),
            ("event_queue", self.event_queue.len().to_string()),
            ("query_queue", self.query_queue.len().to_string()),
        ]);
        if let Some(vivaldi) = &self.vivaldi {
            stats.insert("coordinate_resets", vivaldi.resets().to_string());
        }
        stats
    }

    /// Where a member was when it last answered us; our own is current.
    #[must_use]
    pub fn coordinate(&self, name: &[u8]) -> Option<&Coordinate> {
        self.coordinates.get(name)
    }

    /// The round trip that is to be expected between two members.
    #[must_use]
    pub fn round_trip(&self, a: &[u8], b: &[u8]) -> Option<Duration> {
        self.coordinate(a)?.distance_to(self.coordinate(b)?)
    }

    pub(super) fn forget_coordinate(&mut self, name: &Name) {
        self.coordinates.remove(name);
        if let Some(vivaldi) = &mut self.vivaldi {
            vivaldi.forget(name);
        }
    }
}
