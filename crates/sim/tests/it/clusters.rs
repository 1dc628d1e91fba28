//! Clusters of members under faults: all that must be true is, whatever the seed.

use std::time::Duration;

use taraf_sim::gossip::{Bug, FrozenPlan, FrozenReport, Plan, Report, simulate, simulate_frozen};

#[track_caller]
fn sound(plan: &Plan) -> Report {
    let report = simulate(plan);
    assert_eq!(
        report.failure, None,
        "cargo xtask sim gossip --seed {} --members {}\n{report}",
        plan.seed, plan.members
    );
    report
}

#[test]
fn small_clusters_under_every_fault() {
    for seed in 0..12 {
        sound(&Plan::new(seed, 10));
    }
}

#[test]
fn small_clusters_under_fresh_faults() {
    let from = taraf_base::random_u64() >> 16;
    for seed in from..from + 4 {
        sound(&Plan::new(seed, 5 + usize::try_from(seed % 20).unwrap()));
    }
}

#[test]
fn a_cluster_of_a_hundred_under_faults() {
    sound(&Plan::new(1, 100));
}

#[test]
fn in_quiet_nobody_is_declared_failed_who_runs_and_the_dead_are_found_in_time() {
    let mut plan = Plan::new(2, 100);
    plan.faults = 0;
    let report = sound(&plan);
    assert_eq!(report.false_failures, 0);
    // Every packet arrives within milliseconds: an event is everywhere within a few rounds of gossip.
    assert!(
        *report.events.last().unwrap() < Duration::from_secs(5),
        "{report}"
    );
    assert!(!report.verdicts.is_empty(), "{report}");
    for (_, last) in &report.verdicts {
        // Their ports refuse, and several have seen it.
        assert!(*last < Duration::from_secs(1), "{report}");
    }
}

#[track_caller]
fn frozen(plan: &FrozenPlan) -> FrozenReport {
    let report = simulate_frozen(plan);
    assert_eq!(report.failure, None, "{report}");
    assert_eq!(report.false_failures, 0, "{report}");
    report
}

#[test]
fn one_that_stands_still_is_known_within_4_s_and_nobody_else_is_called_failed() {
    for members in [5, 20, 100] {
        let report = frozen(&FrozenPlan::new(5, members));
        let mut late = report.verdicts.iter().map(|(_, last)| *last);
        assert!(late.all(|last| last < Duration::from_secs(4)), "{report}");
        // It has had its chance: no verdict comes before three have looked, and a while after.
        let mut early = report.verdicts.iter().map(|(first, _)| *first);
        assert!(
            early.all(|first| first > Duration::from_secs(2)),
            "{report}"
        );
    }
}

#[test]
fn with_packets_lost_nobody_that_runs_is_called_failed_while_others_stand_still() {
    for (members, loss_percent) in [(5, 10), (20, 10), (20, 20), (60, 20)] {
        let mut plan = FrozenPlan::new(6, members);
        plan.loss_percent = loss_percent;
        let report = frozen(&plan);
        let mut last: Vec<Duration> = report.verdicts.iter().map(|(_, last)| *last).collect();
        last.sort_unstable();
        assert!(last[last.len() / 2] < Duration::from_secs(4), "{report}");
    }
}

#[test]
fn among_members_of_serf_nothing_is_worse_than_among_them_alone() {
    let of = |plain| {
        let mut plan = FrozenPlan::new(7, 20);
        plan.plain = plain;
        let report = frozen(&plan);
        report
            .verdicts
            .iter()
            .map(|(_, last)| *last)
            .sum::<Duration>()
    };
    let (alone, mixed) = (of(20), of(10));
    assert!(mixed < alone, "{mixed:?} and {alone:?}");
}

#[test]
fn the_same_seed_comes_to_the_same_end() {
    let (first, again) = (sound(&Plan::new(3, 20)), sound(&Plan::new(3, 20)));
    assert_eq!(first.to_string(), again.to_string());
    assert_ne!(first.to_string(), sound(&Plan::new(4, 20)).to_string());
}

/// The bug is found within so many seeds, by what is broken then.
#[track_caller]
fn found(bug: Bug, within: u64, by: &str) {
    for seed in 0..within {
        let mut plan = Plan::new(seed, 10);
        plan.bug = Some(bug);
        if let Some(failure) = simulate(&plan).failure {
            assert!(failure.starts_with(by), "seed {seed}: {failure}");
            return;
        }
    }
    panic!("{} was not found within {within} seeds", bug.name());
}

#[test]
fn streams_that_never_connect_are_found() {
    found(Bug::NoStreams, 1, "all see all after the join");
}

#[test]
fn failed_members_that_are_not_tried_again_are_found() {
    found(Bug::NoReconnect, 20, "all see all after the faults");
}

#[test]
fn events_that_are_told_twice_are_found() {
    found(Bug::Replay, 20, "exactly once");
}
