//! Numbers that each core adds to in a place of its own, so that cores do not wait for one another's
//! caches. Reading adds the places up.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use super::LATENCY_BUCKETS;
use crate::cores;

/// Places of one number. Threads that are no cores share the first; more cores than places share too.
const STRIPES: usize = 4;
/// The buckets, and one for what lies above all bounds.
const COUNTS: usize = LATENCY_BUCKETS.len() + 1;

/// Where this thread adds.
fn own() -> usize {
    cores::number().map_or(0, |core| 1 + core % (STRIPES - 1))
}

/// Alone on its cache line.
#[derive(Debug, Default)]
#[repr(align(64))]
struct Place<T>(T);

/// A sum.
#[derive(Debug, Default)]
pub(super) struct Sum([Place<AtomicU64>; STRIPES]);

impl Sum {
    pub(super) fn add(&self, count: u64) {
        self.0[own()].0.fetch_add(count, Ordering::Relaxed);
    }

    pub(super) fn get(&self) -> u64 {
        let places = self.0.iter().map(|place| place.0.load(Ordering::Relaxed));
        places.fold(0, u64::wrapping_add)
    }
}

/// A number that goes up and down.
#[derive(Debug, Default)]
pub(super) struct Level([Place<AtomicI64>; STRIPES]);

impl Level {
    pub(super) fn add(&self, difference: i64) {
        self.0[own()].0.fetch_add(difference, Ordering::Relaxed);
    }

    pub(super) fn get(&self) -> i64 {
        let places = self.0.iter().map(|place| place.0.load(Ordering::Relaxed));
        places.fold(0, i64::wrapping_add)
    }
}

/// Lengths of time by bucket, and their sum.
#[derive(Debug, Default)]
pub(super) struct Lengths([Place<Bucketed>; STRIPES]);

#[derive(Debug, Default)]
struct Bucketed {
    counts: [AtomicU64; COUNTS],
    sum_ns: AtomicU64,
}

impl Lengths {
    pub(super) fn add(&self, bucket: usize, nanos: u64) {
        let Bucketed { counts, sum_ns } = &self.0[own()].0;
        if let Some(count) = counts.get(bucket) {
            count.fetch_add(1, Ordering::Relaxed);
        }
        sum_ns.fetch_add(nanos, Ordering::Relaxed);
    }

    pub(super) fn counts(&self) -> [u64; COUNTS] {
        std::array::from_fn(|bucket| {
            let of_bucket =
                |place: &Place<Bucketed>| place.0.counts[bucket].load(Ordering::Relaxed);
            self.0.iter().map(of_bucket).sum()
        })
    }

    pub(super) fn sum(&self) -> Duration {
        let sums = self
            .0
            .iter()
            .map(|place| place.0.sum_ns.load(Ordering::Relaxed));
        Duration::from_nanos(sums.fold(0, u64::wrapping_add))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use taraf_base::Tasks;
    use tokio::sync::Semaphore;

    use super::*;

    #[tokio::test]
    async fn what_cores_add_in_their_places_is_one_number() {
        let all = Arc::<(Sum, Level, Lengths)>::default();
        let ended = Arc::new(Semaphore::new(0));
        let (shared, tell) = (Arc::clone(&all), Arc::clone(&ended));
        let tasks = Tasks::new();
        cores::start("core", vec![1, 2, 3, 4, 5], &tasks, move |number: u32| {
            let (shared, tell) = (Arc::clone(&shared), Arc::clone(&tell));
            async move {
                shared.0.add(number.into());
                shared.1.add(-i64::from(number));
                shared.2.add(1, number.into());
                tell.add_permits(1);
            }
        });
        let _all = ended.acquire_many(5).await.unwrap();
        all.0.add(1);
        assert_eq!((all.0.get(), all.1.get()), (16, -15));
        assert_eq!(all.2.sum(), Duration::from_nanos(15));
        assert_eq!(all.2.counts()[1], 5);
        assert!(tasks.drain(Duration::from_secs(10)).await.is_empty());
    }
}
