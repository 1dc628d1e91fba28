//! Months against jiff, the bucket against a slow exact one, blocks against their invariant.

use proptest::prelude::*;

use super::*;

fn plan(quota: Option<u64>) -> Plan {
    Plan {
        rate_per_second: 10,
        burst: 20,
        quota_per_month: quota,
    }
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

#[test]
fn a_month_begins_at_midnight_utc() {
    let january = Month::of(at("2026-01-31T23:59:59.999Z"));
    assert_eq!(january.to_string(), "2026-01");
    assert_eq!(january.start(), at("2026-01-01T00:00:00Z"));
    assert_eq!(january.next().start(), at("2026-02-01T00:00:00Z"));
    let december = Month::of(at("2024-12-31T23:59:59.999Z"));
    assert_eq!(december.next().to_string(), "2025-01");
    assert_eq!(Month::of(at("2024-02-29T12:00:00Z")).to_string(), "2024-02");
}

#[test]
fn a_block_is_a_hundredth_and_at_least_one() {
    assert_eq!(plan(Some(100)).block(), 1);
    assert_eq!(plan(Some(99)).block(), 1);
    assert_eq!(plan(Some(10_000)).block(), 100);
    assert_eq!(plan(Some(0)).block(), 1);
}

#[test]
fn a_full_bucket_lends_its_burst_and_then_the_rate() {
    let rate = Rate::per(10, Duration::from_secs(1), 3);
    let mut bucket = Bucket::default();
    for _ in 0..3 {
        bucket.take(rate, 1_000, 1).unwrap();
    }
    assert_eq!(bucket.available(rate, 1_000), 0);
    let empty = bucket.take(rate, 1_000, 1).unwrap_err();
    assert_eq!(empty.wait, Duration::from_millis(100));
    let later = 1_000 + 100_000_000;
    assert_eq!(bucket.available(rate, later), 1);
    bucket.take(rate, later, 1).unwrap();
    bucket.take(rate, later, 1).unwrap_err();
}

#[test]
fn the_next_block_is_asked_for_before_the_last_is_spent() {
    let plan = plan(Some(1_000));
    let month = Month::of(at("2026-01-15T00:00:00Z"));
    let mut blocks = Blocks::default();
    assert_eq!(blocks.spend(&plan, month, 1), Spend::Short);
    assert_eq!(blocks.ask(&plan, month, 1), Some((month, 10)));
    assert_eq!(
        blocks.ask(&plan, month, 1),
        None,
        "one reservation at a time"
    );
    blocks.granted(month, 10, 10);
    for held in (5..10).rev() {
        let renew = held == 5;
        assert_eq!(
            blocks.spend(&plan, month, 1),
            Spend::Taken { renew },
            "{held}"
        );
    }
    assert_eq!(blocks.ask(&plan, month, 0), Some((month, 5)));
    // What is left is spent while the reservation is under way.
    assert_eq!(blocks.spend(&plan, month, 1), Spend::Taken { renew: false });
    blocks.granted(month, 5, 15);
    assert_eq!((blocks.used(), blocks.remaining(&plan)), (6, Some(994)));
}

#[test]
fn a_new_month_begins_anew_and_an_old_one_does_not_return() {
    let plan = plan(Some(100));
    let january = Month::of(at("2026-01-15T00:00:00Z"));
    let mut blocks = Blocks::new(january, 100);
    blocks.ask(&plan, january, 1);
    blocks.granted(january, 0, 100);
    assert_eq!(blocks.spend(&plan, january, 1), Spend::UsedUp);
    assert_eq!(blocks.spend(&plan, january.next(), 1), Spend::Short);
    // The clock steps back over midnight: units stay those of the later month.
    blocks.ask(&plan, january.next(), 1);
    blocks.granted(january.next(), 1, 1);
    assert_eq!(
        blocks.spend(&plan, january, 1),
        Spend::Taken { renew: false }
    );
}

#[test]
fn a_call_from_before_midnight_reserves_in_the_month_that_has_begun() {
    let plan = plan(Some(100));
    let january = Month::of(at("2026-01-15T00:00:00Z"));
    let february = january.next();
    let mut blocks = Blocks::new(january, 0);
    blocks.look(february);
    assert_eq!(blocks.spend(&plan, january, 1), Spend::Short);
    // Asked for January, the grant would be another month's and the key would wait all February.
    assert_eq!(blocks.ask(&plan, january, 1), Some((february, 1)));
    blocks.granted(february, 1, 1);
    assert_eq!(
        blocks.spend(&plan, january, 1),
        Spend::Taken { renew: false }
    );
}

proptest! {
    #[test]
    fn months_agree_with_a_calendar(millis in 0_i64..4_102_444_800_000) {
        let instant = Timestamp::from_millis(millis);
        let month = Month::of(instant);
        prop_assert_eq!(month.to_string(), instant.to_string()[..7].to_owned());
        prop_assert!(month.start() <= instant && instant < month.next().start());
        prop_assert_eq!(Month::of(month.start()), month);
    }

    /// The same takes against a bucket that counts nanotokens exactly.
    #[test]
    fn the_bucket_agrees_with_one_that_counts(
        per_second in prop_oneof![Just(1_u32), Just(2), Just(10), Just(1_000)],
        burst in 1_u32..20,
        takes in proptest::collection::vec((0_u64..700_000_000, 1_u32..4), 1..200),
    ) {
        const TOKEN: u128 = 1_000_000_000;
        let rate = Rate::per(per_second, Duration::from_secs(1), burst);
        let full = u128::from(burst) * TOKEN;
        let (mut bucket, mut level, mut now) = (Bucket::default(), full, 0_u64);
        for (pause, count) in takes {
            now += pause;
            level = full.min(level + u128::from(pause) * u128::from(per_second));
            let wanted = u128::from(count) * TOKEN;
            prop_assert_eq!(u128::from(bucket.available(rate, now)), level / TOKEN);
            let taken = bucket.take(rate, now, count);
            prop_assert_eq!(taken.is_ok(), level >= wanted);
            match taken {
                Ok(()) => level -= wanted,
                Err(empty) if count <= burst => {
                    // After the wait it succeeds, a nanosecond earlier it does not.
                    let wait = u64::try_from(empty.wait.as_nanos()).unwrap();
                    prop_assert!(bucket.clone().take(rate, now + wait, count).is_ok());
                    prop_assert!(bucket.clone().take(rate, now + wait - 1, count).is_err());
                }
                Err(_) => {}
            }
        }
    }

    /// Whatever happens, held and asked are at most a block, and what was spent was granted.
    #[test]
    fn blocks_keep_their_bound(
        quota in 1_u64..2_000,
        steps in proptest::collection::vec((0_u8..4, 1_u64..4), 1..300),
    ) {
        let plan = plan(Some(quota));
        let month = Month::of(at("2026-01-15T00:00:00Z"));
        let (mut blocks, mut charged, mut served) = (Blocks::default(), 0, 0);
        let (mut asked, mut cost_max) = (None, 1);
        for (step, cost) in steps {
            match step {
                0 | 1 => match blocks.spend(&plan, month, cost) {
                    Spend::Taken { .. } => served += cost,
                    Spend::Short | Spend::UsedUp => {}
                },
                2 => {
                    cost_max = cost_max.max(cost);
                    if let Some((_, units)) = blocks.ask(&plan, month, cost) {
                        prop_assert!(asked.replace(units).is_none());
                    }
                }
                _ => if let Some(units) = asked.take() {
                    let units = units.min(quota - charged);
                    charged += units;
                    blocks.granted(month, units, charged);
                },
            }
            prop_assert!(charged >= served);
            prop_assert!(blocks.held + blocks.asked <= plan.block().max(cost_max));
            prop_assert_eq!(blocks.used(), served);
        }
    }
}
