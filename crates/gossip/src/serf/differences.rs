//! [pure] How others differ from us where all should be alike: their clocks and their settings.
//!
//! Members of our kind say in each exchange of states what their clock shows and how they are set. A difference is
//! told in the log, of each member once in a while. Serf's members say nothing of themselves and hear nothing of it.

use std::collections::HashMap;
use std::time::Duration;

use tracing::warn;

use super::machine::Serf;
use crate::moment::Moment;
use crate::swim::Name;
use crate::wire::serf::Said;

/// Clocks that differ by less are taken for one: an exchange takes time itself.
const CLOCK_MAX: Duration = Duration::from_secs(2);
/// Of one member the same is not told again for so long.
const AGAIN: Duration = Duration::from_secs(3600);
/// Members of which is known when they were told of; beyond, some are told of more often.
const TOLD_MAX: usize = 4096;

/// What is known of how others differ.
#[derive(Debug, Default)]
pub(super) struct Differences {
    /// Our own wall clock, in milliseconds since 1970, when it was last looked at.
    clock_ms: Option<u64>,
    told: HashMap<(Name, What), Moment>,
}

/// In what a member differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum What {
    Clock,
    Settings,
}

impl Serf {
    /// What our wall clock shows, in milliseconds since 1970. To be said before anything that may exchange states;
    /// without it we say nothing of ourselves.
    pub(crate) const fn set_clock(&mut self, clock_ms: u64) {
        self.differences.clock_ms = Some(clock_ms);
    }

    /// What we say of ourselves.
    pub(super) fn said(&self) -> Option<Said> {
        let clock_ms = self.differences.clock_ms.filter(|_| self.config.extends)?;
        Some(Said {
            node: self.config.name.clone(),
            clock_ms,
            settings: self.config.settings.clone(),
        })
    }

    /// A member has said this of itself just now.
    pub(super) fn compare(&mut self, now: Moment, said: &Said) {
        let Some(ours) = self.said() else { return };
        let apart = Duration::from_millis(ours.clock_ms.abs_diff(said.clock_ms));
        if apart > CLOCK_MAX && self.is_to_be_told(now, &said.node, What::Clock) {
            let way = if said.clock_ms > ours.clock_ms {
                "ahead of"
            } else {
                "behind"
            };
            self.counters.clocks_apart += 1;
            warn!("the clock of {} is {apart:?} {way} ours", said.node);
        }
        let is_other = said.settings != ours.settings;
        if is_other && self.is_to_be_told(now, &said.node, What::Settings) {
            self.counters.settings_apart += 1;
            warn!(
                "{} has other settings than we, so that each judges by its own: {:?}; ours: {:?}",
                said.node, said.settings, ours.settings
            );
        }
    }

    fn is_to_be_told(&mut self, now: Moment, node: &Name, what: What) -> bool {
        let told = &mut self.differences.told;
        told.retain(|_, at| now.since(*at) < AGAIN);
        let key = (node.clone(), what);
        if told.contains_key(&key) {
            return false;
        }
        if told.len() < TOLD_MAX {
            told.insert(key, now);
        }
        true
    }
}
