//! Bugs that are planted on purpose: each is found, by an oracle that is for it, within so many seeds.
//! `docs/reference/simulation.md` has the same table.

use taraf_sim::{Bug, simulate};

const CHECKPOINTS: &str = "the state is what its checkpoints say";
const CAUSE: &str = "effects have a durable cause";
const DURABLE: &str = "what is acknowledged is durable";
const KEYS: &str = "keys are what was acknowledged";
const LEAVES: &str = "nothing leaves before it is durable";
const LOG: &str = "the log works while the disk does";
const NAMED: &str = "what a record names is kept";
const ONCE: &str = "each record is written once";
const ONE_RUN: &str = "a key names one run";
const OUTPUTS: &str = "outputs are those of the reference";
const QUOTA: &str = "a crash never gives a call back";
const REPLAY: &str = "replay gives the same state";
const STATE: &str = "the leader has the state of its records";
const STAYS: &str = "what is acknowledged stays";
const WAKE: &str = "every live run has a reason to wake";

/// One of the oracles finds the bug within that many seeds from 0.
#[track_caller]
fn check(bug: Bug, within: u64, oracles: &[&str]) {
    for seed in 0..within {
        let outcome = simulate(seed, Some(bug), false);
        if let Some(oracle) = outcome.oracle() {
            assert!(
                oracles.contains(&oracle),
                "seed {seed}: {:?}",
                outcome.failure
            );
            return;
        }
    }
    panic!("{} was not found within {within} seeds", bug.name());
}

macro_rules! bugs {
    ($($name:ident: $bug:ident within $seeds:literal by $oracles:expr;)*) => {
        $(
            #[test]
            fn $name() {
                check(Bug::$bug, $seeds, &$oracles);
            }
        )*

        #[test]
        fn every_bug_is_in_the_table() {
            let tested = [$(Bug::$bug),*];
            assert!(Bug::ALL.iter().all(|bug| tested.contains(bug)));
        }
    };
}

bugs! {
    skip_sync: SkipSync within 60 by [STAYS, LOG];
    acknowledge_before_sync: AcknowledgeBeforeSync within 60 by [STAYS, LOG];
    fence_by_position: FenceByPosition within 60 by [STAYS, LOG, ONCE];
    release_early: ReleaseEarly within 60 by [CAUSE];
    filter_by_epoch: FilterByEpoch within 60 by [REPLAY, CHECKPOINTS];
    reuse_without_salt: ReuseWithoutSalt within 60 by [LOG, STAYS];
    retry_failed_sync: RetryFailedSync within 60 by [STAYS, LOG];
    accept_late_outcome: AcceptLateOutcome within 60 by [OUTPUTS, ONCE, DURABLE];
    lose_timers_at_snapshot: LoseTimersAtSnapshot within 60 by [WAKE];
    repeat_at_most_once: RepeatAtMostOnce within 120 by [CAUSE];
    drop_keys_at_restore: DropKeysAtRestore within 60 by [ONE_RUN, ONCE];
    corruption_as_torn_tail: CorruptionAsTornTail within 60 by [STAYS, LOG];
    quota_given_back: QuotaGivenBack within 60 by [QUOTA];
    continue_after_full: ContinueAfterFull within 60 by [CAUSE, DURABLE, LEAVES, STAYS];
    nondeterministic_evolve: NondeterministicEvolve within 60 by [STATE, REPLAY, CHECKPOINTS];
    no_wake_after_cancel: NoWakeAfterCancel within 120 by [WAKE];
    retry_counter_reset: RetryCounterReset within 60 by [REPLAY, CHECKPOINTS];
    trim_before_snapshot: TrimBeforeSnapshot within 60 by [LOG, STAYS];
    time_of_replay: TimeOfReplay within 60 by [REPLAY, CHECKPOINTS];
    revocation_not_recorded: RevocationNotRecorded within 60 by [KEYS];
    record_before_blob: RecordBeforeBlob within 60 by [NAMED];
    collection_begins_late: CollectionBeginsLate within 300 by [NAMED];
}

/// The simulation's own comparison mostly comes first; the program must notice without it.
#[test]
fn a_checkpoint_alone_tells_of_an_evolve_that_depends_on_chance() {
    let mut seeds = 0..60;
    let is_told = |seed| {
        let outcome = simulate(seed, Some(Bug::NondeterministicEvolve), false);
        outcome.oracle() == Some(CHECKPOINTS)
    };
    assert!(seeds.any(is_told));
}
