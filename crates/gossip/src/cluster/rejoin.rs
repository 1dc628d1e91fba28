//! [pure] Finding those again who were there before a restart, one after the other until one answers.

use std::net::SocketAddr;

use taraf_base::Rng;
use tracing::{info, warn};

use super::machine::Cluster;
use crate::moment::Moment;
use crate::snapshot::Restored;
use crate::swim::{Joined, Name, Token};

/// Who is still to be tried.
#[derive(Debug, Default)]
pub(super) struct Rejoin {
    /// All that the snapshot knows, in an order that chance chose so that not everybody asks the same member first.
    known: Vec<(Name, SocketAddr)>,
    next: usize,
    asking: Option<Token>,
    /// When all are tried again.
    again: Option<Moment>,
}

impl Rejoin {
    pub(super) fn new(restored: Option<&Restored>, me: &Name, rng: &mut Rng) -> Self {
        let alive = restored.into_iter().flat_map(|restored| &restored.alive);
        let others = alive.filter(|(name, _)| *name != me);
        let mut known: Vec<_> = others.map(|(name, at)| (name.clone(), *at)).collect();
        for last in (1..known.len()).rev() {
            let other = usize::try_from(rng.below(last as u64 + 1)).unwrap_or(0);
            known.swap(last, other);
        }
        Self {
            known,
            ..Self::default()
        }
    }

    pub(super) const fn deadline(&self) -> Option<Moment> {
        self.again
    }
}

impl Cluster {
    /// Asks the next one, if there is any.
    pub(super) fn rejoin_next(&mut self, now: Moment) {
        let Some((name, address)) = self.rejoin.known.get(self.rejoin.next).cloned() else {
            self.rejoin_failed(now);
            return;
        };
        info!("Attempting re-join to previously known node: {name}: {address}");
        self.rejoin.next += 1;
        let token = self.own_token();
        self.rejoin.asking = Some(token);
        self.swim.join(now, token, [address], &mut self.serf);
    }

    fn rejoin_failed(&mut self, now: Moment) {
        if self.rejoin.known.is_empty() {
            return;
        }
        warn!("Failed to re-join any previously known node");
        if !self.config.rejoin_interval.is_zero() {
            // Serf ends here, and a member that came back during an outage stays alone for ever.
            self.rejoin.again = Some(now + self.config.rejoin_interval);
        }
    }

    pub(super) fn rejoin_ended(&mut self, now: Moment, joined: &Joined) {
        if self.rejoin.asking != Some(joined.token) {
            return;
        }
        self.rejoin.asking = None;
        if joined.contacted > 0 {
            info!("Re-joined to previously known node");
            self.rejoin = Rejoin::default();
        } else {
            self.rejoin_next(now);
        }
    }

    pub(super) fn rejoin_timer(&mut self, now: Moment) {
        if self.rejoin.again.is_none_or(|again| again > now) {
            return;
        }
        self.rejoin.again = None;
        self.rejoin.next = 0;
        // Whoever was found in another way makes it needless.
        if self.serf.is_alive() && self.serf.members().count() <= 1 {
            self.rejoin_next(now);
        } else {
            self.rejoin = Rejoin::default();
        }
    }
}
