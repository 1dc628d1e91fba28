//! [pure] Network coordinates (Vivaldi): the round trip to a member is guessed without asking it.

use std::collections::HashMap;
use std::time::Duration;

use taraf_base::Rng;

use crate::swim::Name;
use crate::wire;

/// Below this (in seconds) two points are one, and a round trip is counted as this long.
const ZERO: f64 = 1.0e-6;
/// Round trips that are longer are not believed.
const RTT_MAX: Duration = Duration::from_secs(10);
/// Members whose last round trips are kept; beyond it one is forgotten for another.
const FILTERS_MAX: usize = 16_384;

/// The parameters of the method, with Serf's defaults. All members of a cluster must have the same.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// Dimensions of the space.
    pub dimensions: usize,
    /// The error that a member begins with, and the highest that it admits to.
    pub error_max: f64,
    /// How much one observation changes our error.
    pub ce: f64,
    /// How much one observation moves us.
    pub cc: f64,
    /// Observations that the adjustment is the mean of.
    pub adjustment_window: usize,
    /// The least height, in seconds.
    pub height_min: f64,
    /// Round trips to one member of which the median counts.
    pub filter_samples: usize,
    /// How far from the origin, in seconds, gravity begins to matter.
    pub gravity_rho: f64,
}

impl Config {
    /// What Serf uses.
    pub const SERF: Self = Self {
        dimensions: 8,
        error_max: 1.5,
        ce: 0.25,
        cc: 0.25,
        adjustment_window: 20,
        height_min: 1.0e-5,
        filter_samples: 3,
        gravity_rho: 150.0,
    };
}

impl Default for Config {
    fn default() -> Self {
        Self::SERF
    }
}

/// Where a member is in the space of round trips. All in seconds.
#[derive(Clone, Debug, PartialEq)]
pub struct Coordinate {
    /// The point.
    pub vec: Box<[f64]>,
    /// How wrong it may be, relative; from 0 (certain) upwards.
    pub error: f64,
    /// What the distances were wrong by lately.
    pub adjustment: f64,
    /// The way from the network's core to the member, which every path has to go.
    pub height: f64,
}

impl Coordinate {
    /// Where everybody begins.
    #[must_use]
    pub fn origin(config: &Config) -> Self {
        Self {
            vec: vec![0.0; config.dimensions].into(),
            error: config.error_max,
            adjustment: 0.0,
            height: config.height_min,
        }
    }

    /// As acks carry it; none if it has not the eight dimensions that all agree on.
    #[must_use]
    pub fn to_wire(&self) -> Option<wire::serf::Coordinate> {
        Some(wire::serf::Coordinate {
            vector: self.vec.as_ref().try_into().ok()?,
            error: self.error,
            adjustment: self.adjustment,
            height: self.height,
        })
    }

    /// True if no value is infinite or not a number.
    #[must_use]
    pub fn is_finite(&self) -> bool {
        let others = [self.error, self.adjustment, self.height];
        self.vec
            .iter()
            .chain(&others)
            .all(|value| value.is_finite())
    }

    /// The round trip that is to be expected between the two; none if their spaces differ.
    #[must_use]
    pub fn distance_to(&self, other: &Self) -> Option<Duration> {
        if self.vec.len() != other.vec.len() || !self.is_finite() || !other.is_finite() {
            return None;
        }
        Duration::try_from_secs_f64(self.distance(other)).ok()
    }

    /// The same in seconds, cut to whole nanoseconds as Serf cuts it.
    fn distance(&self, other: &Self) -> f64 {
        let raw = self.raw_distance(other);
        let adjusted = raw + self.adjustment + other.adjustment;
        let seconds = if adjusted > 0.0 { adjusted } else { raw };
        (seconds * 1.0e9).trunc() / 1.0e9
    }

    fn raw_distance(&self, other: &Self) -> f64 {
        magnitude(&difference(&self.vec, &other.vec)) + self.height + other.height
    }
}

impl From<wire::serf::Coordinate> for Coordinate {
    fn from(coordinate: wire::serf::Coordinate) -> Self {
        Self {
            vec: coordinate.vector.into(),
            error: coordinate.error,
            adjustment: coordinate.adjustment,
            height: coordinate.height,
        }
    }
}

/// Why an observation was not used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Rejected {
    /// The other has more or fewer dimensions.
    #[error("dimensions differ")]
    Dimensions,
    /// A value is infinite or not a number.
    #[error("coordinate has a value that is no number")]
    NotFinite,
    /// Longer than ten seconds.
    #[error("round trip time is out of range")]
    RoundTrip,
}

/// Learns our own coordinate from round trips to others.
#[derive(Clone, Debug)]
pub struct Vivaldi {
    config: Config,
    coordinate: Coordinate,
    origin: Coordinate,
    /// The last differences between round trip and raw distance, a ring that begins with zeros.
    samples: Vec<f64>,
    sample_next: usize,
    /// The last round trips to each member, oldest first.
    filters: HashMap<Name, Vec<f64>>,
    resets: u64,
    rng: Rng,
}

// === impl Vivaldi ===

impl Vivaldi {
    /// At the origin. `seed` decides in which direction two members part that are at one point.
    #[must_use]
    pub fn new(config: Config, seed: u64) -> Self {
        let origin = Coordinate::origin(&config);
        Self {
            coordinate: origin.clone(),
            samples: vec![0.0; config.adjustment_window],
            sample_next: 0,
            filters: HashMap::new(),
            resets: 0,
            rng: Rng::new(seed),
            origin,
            config,
        }
    }

    /// Where we are.
    #[must_use]
    pub const fn coordinate(&self) -> &Coordinate {
        &self.coordinate
    }

    /// How often the coordinate became no number and was begun anew.
    #[must_use]
    pub const fn resets(&self) -> u64 {
        self.resets
    }

    /// Learns from one round trip to `node`, which says that it is at `other`.
    pub fn observe(
        &mut self,
        node: &Name,
        other: &Coordinate,
        rtt: Duration,
    ) -> Result<(), Rejected> {
        if other.vec.len() != self.coordinate.vec.len() {
            return Err(Rejected::Dimensions);
        }
        if !other.is_finite() {
            return Err(Rejected::NotFinite);
        }
        if rtt > RTT_MAX {
            return Err(Rejected::RoundTrip);
        }
        let rtt = self.median(node, rtt.as_secs_f64());
        self.step(other, rtt);
        self.adjust(other, rtt);
        self.fall();
        if !self.coordinate.is_finite() {
            self.resets = self.resets.saturating_add(1);
            self.coordinate = self.origin.clone();
        }
        Ok(())
    }

    /// The member was erased.
    pub fn forget(&mut self, node: &Name) {
        self.filters.remove(node);
    }

    /// The median of the last round trips to `node`, this one included.
    fn median(&mut self, node: &Name, rtt: f64) -> f64 {
        if self.filters.len() >= FILTERS_MAX && !self.filters.contains_key(node) {
            let some = self.filters.keys().next().cloned();
            some.and_then(|name| self.filters.remove(&name));
        }
        let samples = self.filters.entry(node.clone()).or_default();
        samples.push(rtt);
        if samples.len() > self.config.filter_samples {
            samples.remove(0);
        }
        let mut sorted = samples.clone();
        sorted.sort_by(f64::total_cmp);
        sorted.get(sorted.len() / 2).copied().unwrap_or(rtt)
    }

    fn step(&mut self, other: &Coordinate, rtt: f64) {
        let distance = self.coordinate.distance(other);
        let rtt = rtt.max(ZERO);
        let wrongness = (distance - rtt).abs() / rtt;
        let total = (self.coordinate.error + other.error).max(ZERO);
        let weight = self.coordinate.error / total;
        let pull = self.config.ce * weight;
        let error = pull * wrongness + self.coordinate.error * (1.0 - pull);
        self.coordinate.error = error.min(self.config.error_max);
        self.push(self.config.cc * weight * (rtt - distance), other);
    }

    fn adjust(&mut self, other: &Coordinate, rtt: f64) {
        if self.samples.is_empty() {
            return;
        }
        let sample = rtt - self.coordinate.raw_distance(other);
        if let Some(slot) = self.samples.get_mut(self.sample_next) {
            *slot = sample;
        }
        self.sample_next = (self.sample_next + 1) % self.samples.len();
        let window = f64::from(u32::try_from(self.samples.len()).unwrap_or(u32::MAX));
        self.coordinate.adjustment = self.samples.iter().sum::<f64>() / (2.0 * window);
    }

    /// Gravity: the whole cloud of members does not drift away from the origin.
    fn fall(&mut self) {
        let distance = self.origin.distance(&self.coordinate);
        let force = -(distance / self.config.gravity_rho).powi(2);
        let origin = self.origin.clone();
        self.push(force, &origin);
    }

    /// Moves us by `force` seconds along the line from `other` to us.
    fn push(&mut self, force: f64, other: &Coordinate) {
        let mut unit = difference(&self.coordinate.vec, &other.vec);
        let apart = magnitude(&unit);
        if apart > ZERO {
            unit.iter_mut().for_each(|value| *value /= apart);
        } else {
            unit = self.any_direction();
        }
        for (value, direction) in self.coordinate.vec.iter_mut().zip(&unit) {
            *value += direction * force;
        }
        if apart > ZERO {
            let height = self.coordinate.height;
            let height = (height + other.height) * force / apart + height;
            self.coordinate.height = height.max(self.config.height_min);
        }
    }

    fn any_direction(&mut self) -> Vec<f64> {
        let count = self.coordinate.vec.len();
        let mut unit: Vec<f64> = (0..count).map(|_| self.rng.unit() - 0.5).collect();
        let length = magnitude(&unit);
        if length > ZERO {
            unit.iter_mut().for_each(|value| *value /= length);
        } else if let Some(first) = unit.first_mut() {
            *first = 1.0;
        }
        unit
    }
}

fn difference(a: &[f64], b: &[f64]) -> Vec<f64> {
    a.iter().zip(b).map(|(a, b)| a - b).collect()
}

fn magnitude(vec: &[f64]) -> f64 {
    vec.iter().map(|value| value * value).sum::<f64>().sqrt()
}

#[cfg(test)]
mod tests;
