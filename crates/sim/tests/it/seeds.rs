//! Seeds: a fixed range, fresh ones, those that found something once; and the same one twice.

use taraf_base::random_u64;
use taraf_sim::simulate;

/// Seeds that found something that was then mended, in the program or in the simulation itself.
const FOUND: [u64; 6] = [
    45,
    100_295_682_440_798,
    118_651_148_127_158,
    157_573_638_108_197,
    185_382_609_547_203,
    243_440_007_263_495,
];

#[track_caller]
fn check(seeds: impl Iterator<Item = u64>) {
    for seed in seeds {
        let outcome = simulate(seed, None, false);
        if let Some(failure) = outcome.failure {
            panic!("{failure}\nto see it: cargo xtask sim --seed {seed}");
        }
    }
}

/// Ranges are tests of their own, so that they run side by side.
macro_rules! ranges {
    ($($name:ident: $from:literal),* $(,)?) => {$(
        #[test]
        fn $name() {
            check($from..$from + 60);
        }
    )*};
}

ranges! {
    seeds_from_0: 0, seeds_from_60: 60, seeds_from_120: 120, seeds_from_180: 180,
    seeds_from_240: 240, seeds_from_300: 300, seeds_from_360: 360, seeds_from_420: 420,
    seeds_from_480: 480, seeds_from_540: 540, seeds_from_600: 600, seeds_from_660: 660,
    seeds_from_720: 720, seeds_from_780: 780, seeds_from_840: 840,
}

#[test]
fn fresh_seeds() {
    let from = random_u64() >> 16;
    check(from..from + 50);
}

#[test]
fn more_fresh_seeds() {
    let from = random_u64() >> 16;
    check(from..from + 50);
}

#[test]
fn seeds_that_found_something_once() {
    check(FOUND.into_iter());
}

#[test]
fn the_same_seed_gives_the_same_trace_twice() {
    for seed in 0..10 {
        assert_eq!(simulate(seed, None, false), simulate(seed, None, false));
    }
}
