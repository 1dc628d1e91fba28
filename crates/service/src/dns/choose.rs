//! [pure] In which order instances are told: by chance, the heavier the sooner.

use taraf_base::Rng;

/// At most `count` of the things, in an order of chance: at each place each of those that are left stands with a
/// chance in proportion to its weight. Those of weight 0 come after all others.
pub(super) fn order<T>(things: Vec<(u32, T)>, count: usize, rng: &mut Rng) -> Vec<T> {
    // Each waits for its turn a time that is exponential in its weight (Efraimidis and Spirakis 2006).
    let mut waiting: Vec<(f64, T)> = things
        .into_iter()
        .map(|(weight, thing)| {
            let patience = -(1.0 - rng.unit()).ln();
            let wait = match weight {
                // Behind all others, whose longest wait is finite.
                0 => f64::MAX / 2.0 * (1.0 + rng.unit()),
                weight => patience / f64::from(weight),
            };
            (wait, thing)
        })
        .collect();
    waiting.sort_by(|(a, _), (b, _)| a.total_cmp(b));
    waiting.truncate(count);
    waiting.into_iter().map(|(_, thing)| thing).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_is_drawn_in_proportion_to_weight() {
        let mut firsts = [0_u32; 3];
        let mut rng = Rng::new(7);
        for _ in 0..10_000 {
            let order = order(vec![(1, 0), (3, 1), (0, 2)], 3, &mut rng);
            firsts[order[0]] += 1;
            assert_eq!(order[2], 2, "weight 0 comes last");
        }
        assert!((2_300..2_700).contains(&firsts[0]), "{firsts:?}");
        assert_eq!(firsts[0] + firsts[1], 10_000);
    }

    #[test]
    fn the_same_seed_gives_the_same_order() {
        let things = || (0..50).map(|n| (n, n)).collect::<Vec<_>>();
        let orders = [9, 9, 10].map(|seed| order(things(), 20, &mut Rng::new(seed)));
        assert_eq!(orders[0].len(), 20);
        assert_eq!(orders[0], orders[1]);
        assert_ne!(orders[0], orders[2]);
    }
}
