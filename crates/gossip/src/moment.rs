//! [pure] Monotonic time as the cores see it: handed in by whoever drives them, never asked for.

use std::fmt;
use std::ops::{Add, AddAssign, Sub};
use std::time::Duration;

/// A point of monotonic time: nanoseconds since a beginning that the driver chose.
///
/// Two moments compare only if they come from one driver. Arithmetic saturates: five hundred years are
/// more than an agent runs, and a core must not panic for a duration that somebody configured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Moment(u64);

impl Moment {
    /// The driver's beginning.
    pub const START: Self = Self(0);

    /// The moment that lies `nanos` after the beginning.
    #[must_use]
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    /// Nanoseconds since the beginning.
    #[must_use]
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// How much later `self` is than `earlier`; zero if it is not.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for Moment {
    type Output = Self;

    fn add(self, duration: Duration) -> Self {
        let nanos = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        Self(self.0.saturating_add(nanos))
    }
}

impl AddAssign<Duration> for Moment {
    fn add_assign(&mut self, duration: Duration) {
        *self = *self + duration;
    }
}

impl Sub for Moment {
    type Output = Duration;

    fn sub(self, earlier: Self) -> Duration {
        self.since(earlier)
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.6}s", Duration::from_nanos(self.0).as_secs_f64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arithmetic_saturates_at_both_ends() {
        let moment = Moment::from_nanos(5);
        assert_eq!(moment.since(Moment::from_nanos(7)), Duration::ZERO);
        assert_eq!((moment + Duration::MAX).as_nanos(), u64::MAX);
        assert_eq!(
            moment + Duration::from_nanos(2) - moment,
            Duration::from_nanos(2)
        );
    }

    #[test]
    fn a_moment_is_shown_in_seconds() {
        assert_eq!(Moment::from_nanos(1_500_000_000).to_string(), "1.500000s");
    }
}
