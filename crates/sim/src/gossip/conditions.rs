//! [pure] What the network does to what is sent through it.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::dice::Dice;

/// The state of the network.
#[derive(Clone, Debug)]
pub(super) struct Conditions {
    /// Of a hundred packets, so many are lost.
    pub(super) loss_percent: u64,
    /// A packet is under way about so long.
    pub(super) mean_us: u64,
    /// Members on different sides do not hear one another; empty when there is one side.
    pub(super) sides: Vec<u8>,
    /// What these send reaches nobody, though they hear everybody.
    pub(super) mute: BTreeSet<usize>,
}

impl Conditions {
    pub(super) fn calm(mean_us: u64) -> Self {
        Self {
            loss_percent: 0,
            mean_us,
            sides: Vec::new(),
            mute: BTreeSet::new(),
        }
    }

    /// Whether anything can come from one to the other.
    pub(super) fn connects(&self, from: usize, to: usize) -> bool {
        self.sides.get(from) == self.sides.get(to) && !self.mute.contains(&from)
    }

    /// Whether a packet arrives that is sent now.
    pub(super) fn carries(&self, from: usize, to: usize, dice: &mut Dice) -> bool {
        self.connects(from, to) && !dice.percent(self.loss_percent)
    }

    pub(super) fn delay(&self, dice: &mut Dice) -> Duration {
        Duration::from_micros(dice.latency(self.mean_us))
    }
}
