//! A replica on files that lose power again and again, compared with a model that never does.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use taraf_base::{Rng, Tasks, Timestamp};
use taraf_log::FileLog;
use taraf_log::file::memory_disk::MemoryDisk;
use taraf_log::machine::{Class, Config, Replica};

use crate::files::{DIR, P, config};
use crate::ledger::{Input, Ledger, Witness};

const SEGMENT_BYTES: u64 = 8_192;

proptest! {
    #![proptest_config(ProptestConfig { cases: 30, max_shrink_iters: 20, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_state_after_crashes_is_what_was_acknowledged(seed in any::<u64>()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(crash_and_compare(seed));
    }
}

/// Each proposal is awaited, so that the model knows what was acknowledged. The one that meets the
/// fault may be there after the crash or not; all others must be.
async fn crash_and_compare(seed: u64) {
    let mut rng = Rng::new(seed);
    let mut disk = MemoryDisk::new();
    let mut model: BTreeMap<u64, u64> = BTreeMap::new();
    let mut uncertain: Option<(u64, u64)> = None;
    for _ in 0..4 {
        let tasks = Tasks::new();
        let open = FileLog::open_on(
            Arc::new(disk.clone()),
            DIR.as_ref(),
            config(SEGMENT_BYTES),
            &tasks,
        );
        let replica_config = Config {
            clock: || Timestamp::from_millis(5),
            snapshot_every: 25,
            ..Config::default()
        };
        let replicas = tasks.child();
        let started = Replica::start(
            Arc::new(open.unwrap()),
            P,
            Ledger::default(),
            replica_config,
            Witness::default(),
            &replicas,
        );
        let handle = started.await.unwrap();
        let sums = handle.read(|ledger| ledger.sums.clone()).await.unwrap();
        if let Some((name, amount)) = uncertain.take()
            && sums != model
        {
            *model.entry(name).or_default() += amount;
        }
        assert_eq!(sums, model);
        for _ in 0..rng.below(80) {
            let (name, amount) = (rng.below(5), 1 + rng.below(9));
            let class = if rng.below(2) == 0 {
                Class::Start
            } else {
                Class::Outcome
            };
            let sum = handle
                .propose(class, Input::Add(name, amount))
                .await
                .unwrap();
            *model.entry(name).or_default() += amount;
            assert_eq!(sum, model[&name]);
        }
        if rng.below(2) == 0 {
            disk.fail_write(".segment");
        } else {
            disk.fail_sync(".segment");
        }
        match handle.propose(Class::Start, Input::Add(7, 1)).await {
            Ok(_) => *model.entry(7).or_default() += 1,
            Err(_) => uncertain = Some((7, 1)),
        }
        drop(handle);
        assert!(replicas.drain(Duration::from_secs(30)).await.is_empty());
        assert!(tasks.drain(Duration::from_secs(30)).await.is_empty());
        disk = disk.crash(&mut rng);
    }
}
