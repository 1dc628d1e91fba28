//! [pure] Which endpoint takes a call: the less loaded of two drawn by weight.

use taraf_base::Rng;

/// The weights of a pool's endpoints, ready for drawing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Weights {
    each: Box<[u32]>,
    /// Sums from the first to each; empty when all weights are equal, where drawing is cheaper.
    sums: Box<[u64]>,
}

impl Weights {
    /// Prepares weights. When all are 0 they count as equal.
    #[must_use]
    pub fn new(weights: impl IntoIterator<Item = u32>) -> Self {
        let mut each: Box<[u32]> = weights.into_iter().collect();
        if each.iter().all(|&weight| weight == 0) {
            each.fill(1);
        }
        let is_uniform = each.windows(2).all(|pair| pair[0] == pair[1]);
        let sums = if is_uniform {
            Box::default()
        } else {
            each.iter()
                .scan(0_u64, |sum, &weight| {
                    *sum += u64::from(weight);
                    Some(*sum)
                })
                .collect()
        };
        Self { each, sums }
    }

    /// How many endpoints there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.each.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.each.is_empty()
    }

    fn draw(&self, rng: &mut Rng) -> usize {
        match self.sums.last() {
            None => below(rng, self.each.len()),
            Some(&total) => {
                let point = rng.below(total);
                self.sums.partition_point(|&sum| sum <= point)
            }
        }
    }
}

fn below(rng: &mut Rng, bound: usize) -> usize {
    // Both conversions keep the value: a pool has far fewer endpoints than 2^32.
    let drawn = rng.below(u64::try_from(bound).unwrap_or(u64::MAX));
    usize::try_from(drawn).unwrap_or(0)
}

/// Chooses an endpoint. `load` says how many calls an endpoint has under way, or `None` when it
/// takes none now. Two are drawn by weight; the one with less load for its weight is chosen, the
/// first at equality, so that idle endpoints share by weight exactly. When neither takes calls, the
/// least loaded of all that do is chosen. `None` when no endpoint takes calls.
pub fn choose(
    weights: &Weights,
    rng: &mut Rng,
    load: impl Fn(usize) -> Option<u32>,
) -> Option<usize> {
    if weights.len() <= 1 {
        return (!weights.is_empty() && load(0).is_some()).then_some(0);
    }
    let first = weights.draw(rng);
    let mut second = weights.draw(rng);
    if second == first {
        second = (first + 1 + below(rng, weights.len() - 1)) % weights.len();
        if weights.each[second] == 0 {
            second = first;
        }
    }
    match (load(first), load(second)) {
        (Some(a), Some(b)) if is_less(weights, (second, b), (first, a)) => Some(second),
        (Some(_), _) => Some(first),
        (None, Some(_)) => Some(second),
        (None, None) => (0..weights.len())
            .filter_map(|index| Some((index, load(index)?)))
            .reduce(|best, other| {
                if is_less(weights, other, best) {
                    other
                } else {
                    best
                }
            })
            .map(|(index, _load)| index),
    }
}

/// Whether `a` has less load for its weight than `b`.
fn is_less(weights: &Weights, a: (usize, u32), b: (usize, u32)) -> bool {
    let of = |index: usize| u64::from(weights.each[index]);
    let (left, right) = (u64::from(a.1) * of(b.0), u64::from(b.1) * of(a.0));
    // An endpoint of weight 0 is never preferred to one that has a weight.
    left < right && of(a.0) > 0 || of(b.0) == 0 && of(a.0) > 0
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use taraf_base::Rng;

    use super::*;

    fn shares(weights: &[u32], load: impl Fn(usize) -> Option<u32>) -> Vec<u32> {
        let prepared = Weights::new(weights.iter().copied());
        let mut rng = Rng::new(11);
        let mut counts = vec![0_u32; weights.len()];
        for _ in 0..10_000 {
            if let Some(index) = choose(&prepared, &mut rng, &load) {
                counts[index] += 1;
            }
        }
        counts
    }

    #[test]
    fn idle_endpoints_share_by_weight() {
        let counts = shares(&[1, 3], |_| Some(0));
        assert!((2_200..2_800).contains(&counts[0]), "{counts:?}");
        let counts = shares(&[5, 5, 5, 5], |_| Some(0));
        assert!(
            counts.iter().all(|count| (2_200..2_800).contains(count)),
            "{counts:?}"
        );
    }

    #[test]
    fn the_most_loaded_of_equals_gets_nothing() {
        let counts = shares(&[1, 1, 1], |index| Some(if index == 1 { 9 } else { 0 }));
        assert_eq!(counts[1], 0);
    }

    #[test]
    fn an_endpoint_of_weight_nothing_is_the_last_resort() {
        assert_eq!(shares(&[0, 2], |_| Some(0))[0], 0);
        let only_first = |index| (index == 0).then_some(0);
        assert_eq!(shares(&[0, 2], only_first)[0], 10_000);
    }

    #[test]
    fn without_a_usable_endpoint_nothing_is_chosen() {
        assert_eq!(shares(&[1, 2, 3], |_| None), [0, 0, 0]);
        assert_eq!(
            choose(&Weights::new([]), &mut Rng::new(1), |_| Some(0)),
            None
        );
    }

    proptest! {
        #[test]
        fn the_chosen_one_is_usable_whenever_any_is(
            endpoints in prop::collection::vec((0_u32..10, prop::option::of(0_u32..100)), 0..12),
            seed: u64,
        ) {
            let weights = Weights::new(endpoints.iter().map(|(weight, _)| *weight));
            let chosen = choose(&weights, &mut Rng::new(seed), |index| endpoints[index].1);
            let any = endpoints.iter().any(|(_, load)| load.is_some());
            prop_assert_eq!(chosen.is_some(), any);
            if let Some(index) = chosen {
                prop_assert!(endpoints[index].1.is_some());
            }
        }
    }
}
