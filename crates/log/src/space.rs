//! [pure] How much room is left, and what that means for new work.

use std::fmt;

/// How much room is left for what must survive.
///
/// New work is refused before there is no room at all, so that what runs can end: outcomes, trimming
/// and the archive live on a reserve that starts may not touch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Space {
    /// Enough for everything.
    #[default]
    Ample,
    /// New runs are refused.
    Low,
    /// Timers that begin work wait too; only outcomes and operators' words are taken.
    Full,
}

impl Space {
    /// The word for it in documents and metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ample => "ample",
            Self::Low => "low",
            Self::Full => "full",
        }
    }
}

impl fmt::Display for Space {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The marks below which room counts as low or as none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Marks {
    pub(crate) low_bytes: u64,
    pub(crate) full_bytes: u64,
}

impl Marks {
    /// A mark is left upwards only when a quarter more than it is free: what is freed and written
    /// around a mark must not switch work on and off.
    const SLACK_SHARE: u64 = 4;

    /// What `usable` free bytes mean, coming from `before`. `usable` leaves out the reserve, be it
    /// still held back or given out: giving it out makes nothing better.
    pub(crate) fn judge(self, usable: u64, before: Space) -> Space {
        let leaving = |mark: u64| mark.saturating_add(mark / Self::SLACK_SHARE);
        let is_below = |mark: u64, level: Space| {
            let mark = if before >= level { leaving(mark) } else { mark };
            usable < mark
        };
        if is_below(self.full_bytes, Space::Full) {
            Space::Full
        } else if is_below(self.low_bytes, Space::Low) {
            Space::Low
        } else {
            Space::Ample
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_left_with_some_slack() {
        let marks = Marks {
            low_bytes: 100,
            full_bytes: 20,
        };
        use Space::{Ample, Full, Low};
        let mut space = Ample;
        let seen: Vec<Space> = [100, 99, 110, 124, 125, 19, 24, 25, 125, 5, 200]
            .into_iter()
            .map(|usable| {
                space = marks.judge(usable, space);
                space
            })
            .collect();
        let expected = [
            Ample, Low, Low, Low, Ample, Full, Full, Low, Ample, Full, Ample,
        ];
        assert_eq!(seen, expected);
    }
}
