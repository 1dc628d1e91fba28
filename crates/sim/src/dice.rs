//! [pure] One seed's chance: every choice of a simulation comes from here, in one order.

use taraf_base::Rng;

/// Throws of one seed.
#[derive(Clone, Debug)]
pub(crate) struct Dice {
    rng: Rng,
}

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            // Seeds lie close together; their sequences must not.
            rng: Rng::new(seed.wrapping_mul(0xD134_2543_DE82_EF95) ^ 0x5EED),
        }
    }

    /// True in `percent` of a hundred throws.
    pub(crate) fn percent(&mut self, percent: u64) -> bool {
        self.rng.below(100) < percent
    }

    /// In `from..=to`.
    pub(crate) fn between(&mut self, from: u64, to: u64) -> u64 {
        from + self.rng.below(to.saturating_sub(from) + 1)
    }

    /// One of `count` places.
    pub(crate) fn place(&mut self, count: usize) -> usize {
        let count = u64::try_from(count).unwrap_or(u64::MAX);
        usize::try_from(self.rng.below(count)).unwrap_or(0)
    }

    pub(crate) fn pick<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.place(of.len())]
    }

    /// Around `mean` microseconds, seldom very long: as disks, networks and schedulers take.
    pub(crate) fn latency(&mut self, mean_us: u64) -> u64 {
        match self.rng.below(100) {
            0 => self.between(mean_us, mean_us.saturating_mul(200)),
            1..10 => self.between(mean_us, mean_us.saturating_mul(10)),
            _ => self.between(1, mean_us.saturating_mul(2)),
        }
    }

    pub(crate) fn number(&mut self) -> u64 {
        self.rng.next_u64()
    }

    /// A generator of its own, for a part that throws on its own.
    pub(crate) fn split(&mut self) -> Rng {
        Rng::new(self.rng.next_u64())
    }
}
