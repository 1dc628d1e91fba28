//! [pure] How well we are ourselves: a member that cannot keep up should blame others less (Lifeguard).

use std::time::Duration;

/// The health score: 0 is healthy, each point stretches our probes by one interval.
///
/// Source: "Lifeguard: Local Health Awareness for More Accurate Failure Detection", §IV.
#[derive(Clone, Copy, Debug)]
pub(super) struct Awareness {
    score: u32,
    max: u32,
}

impl Awareness {
    /// Healthy; the score stays below `max`.
    pub(super) fn new(max: u32) -> Self {
        Self { score: 0, max }
    }

    /// A probe of ours was answered.
    pub(super) fn better(&mut self) {
        self.score = self.score.saturating_sub(1);
    }

    /// Something spoke against us, `points` times.
    pub(super) fn worse(&mut self, points: u32) {
        let highest = self.max.saturating_sub(1);
        self.score = self.score.saturating_add(points).min(highest);
    }

    /// The points against us.
    pub(super) fn score(self) -> u32 {
        self.score
    }

    /// How long a probe may take.
    pub(super) fn scale(self, interval: Duration) -> Duration {
        interval.saturating_mul(self.score.saturating_add(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_score_stays_between_0_and_7() {
        let mut awareness = Awareness::new(8);
        awareness.better();
        assert_eq!(awareness.score(), 0);
        awareness.worse(3);
        awareness.better();
        assert_eq!(awareness.score(), 2);
        awareness.worse(100);
        assert_eq!(awareness.score(), 7);
    }

    #[test]
    fn each_point_adds_an_interval() {
        let mut awareness = Awareness::new(8);
        let second = Duration::from_secs(1);
        assert_eq!(awareness.scale(second), second);
        awareness.worse(7);
        assert_eq!(awareness.scale(second), 8 * second);
    }
}
