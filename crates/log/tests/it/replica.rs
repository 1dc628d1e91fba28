//! A replica over a log that fails on command.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use taraf_base::{Tasks, Timestamp};
use taraf_log::machine::{Class, Config, Handle, Phase, ProposeError, Replica};
use taraf_log::{Epoch, Error, Fault, Log, MemoryLog, NullLog, PartitionId, Position};

use crate::ledger::{Event, Input, Ledger, Witness};

const P: PartitionId = PartitionId(16);

fn config() -> Config {
    Config {
        clock: || Timestamp::from_millis(1_000),
        ..Config::default()
    }
}

async fn start(log: &MemoryLog, witness: &Witness) -> (Handle<Ledger>, Tasks) {
    start_with(log, witness, config()).await
}

async fn start_with(log: &MemoryLog, witness: &Witness, config: Config) -> (Handle<Ledger>, Tasks) {
    let tasks = Tasks::new();
    let log = Arc::new(log.clone());
    let started = Replica::start(log, P, Ledger::default(), config, witness.clone(), &tasks);
    (started.await.unwrap(), tasks)
}

async fn phase(handle: &Handle<Ledger>, is: impl Fn(&Phase) -> bool) -> Phase {
    let mut status = handle.status();
    let reached = status.wait_for(|status| is(&status.phase));
    reached.await.unwrap().phase.clone()
}

#[tokio::test(start_paused = true)]
async fn what_was_answered_is_there_after_a_restart() {
    let (log, witness) = (MemoryLog::new(), Witness::default());
    let (handle, tasks) = start(&log, &witness).await;
    assert_eq!(handle.propose(Class::Start, Input::Add(1, 5)).await, Ok(5));
    assert_eq!(handle.propose(Class::Event, Input::Add(1, 2)).await, Ok(7));
    let names = Input::Spread(vec![1, 2, 3]);
    handle.propose(Class::Outcome, names).await.unwrap();
    let before = handle.read(Clone::clone).await.unwrap();
    assert_eq!(handle.status().borrow().position, Position(5));
    tasks.drain(Duration::from_secs(1)).await;
    assert_eq!(handle.status().borrow().phase, Phase::Stopped);
    assert_eq!(handle.read(|_| ()).await, Err(ProposeError::Stopped));

    let again = Witness::default();
    let (handle, _tasks) = start(&log, &again).await;
    assert_eq!(handle.read(Clone::clone).await.unwrap(), before);
    assert_eq!(handle.status().borrow().epoch, Epoch(2));
    let seen = again.0.lock().unwrap();
    assert_eq!(seen.recovered, Some(before));
    assert!(seen.committed.is_empty(), "replay commits nothing again");
    assert_eq!(
        seen.released,
        ["outstanding 1", "outstanding 2", "outstanding 3"]
    );
}

#[tokio::test(start_paused = true)]
async fn nothing_leaves_before_it_is_durable() {
    let (log, witness) = (MemoryLog::new(), Witness::default());
    let (handle, _tasks) = start(&log, &witness).await;
    log.hold();
    let add = handle.propose(Class::Start, Input::Add(1, 5));
    let ask = handle.propose(Class::Control, Input::Ask(1));
    let read = handle.read(|ledger| ledger.sums.clone());
    let all = async { tokio::join!(add, ask, read) };
    tokio::pin!(all);
    let early = tokio::time::timeout(Duration::from_secs(60), &mut all).await;
    assert!(early.is_err(), "{early:?}");
    assert!(witness.0.lock().unwrap().released.is_empty());
    assert!(witness.0.lock().unwrap().committed.is_empty());
    log.resume();
    let (add, ask, read) = all.await;
    assert_eq!((add, ask.is_ok(), read.is_ok()), (Ok(5), true, true));
    assert_eq!(witness.0.lock().unwrap().released.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_decide_that_panics_refuses_its_input_alone() {
    let (log, witness) = (MemoryLog::new(), Witness::default());
    let (handle, _tasks) = start(&log, &witness).await;
    handle
        .propose(Class::Start, Input::Add(1, 1))
        .await
        .unwrap();
    let boom = handle.propose(Class::Start, Input::Boom).await;
    assert_eq!(boom, Err(ProposeError::Panicked("boom".to_owned())));
    assert_eq!(handle.propose(Class::Start, Input::Add(1, 1)).await, Ok(2));
    assert_eq!(handle.status().borrow().position, Position(2));
}

#[tokio::test(start_paused = true)]
async fn an_evolve_that_panics_parks_the_partition_and_names_the_record() {
    let (log, witness) = (MemoryLog::new(), Witness::default());
    let (handle, _tasks) = start(&log, &witness).await;
    handle
        .propose(Class::Start, Input::Add(1, 1))
        .await
        .unwrap();
    let cursed = handle.propose(Class::Start, Input::Curse).await;
    let Err(ProposeError::Poisoned(why)) = cursed else {
        panic!("a curse was answered {cursed:?}");
    };
    assert!(why.contains("record 2") && why.contains("cursed"), "{why}");
    phase(&handle, |phase| matches!(phase, Phase::Poisoned(_))).await;
    // Nothing of it was written, so a restart goes on without it.
    let (handle, _tasks) = start(&log, &Witness::default()).await;
    assert_eq!(handle.propose(Class::Start, Input::Add(1, 1)).await, Ok(2));
}

#[tokio::test(start_paused = true)]
async fn a_replaced_leader_stops_and_its_proposals_fail() {
    let log = MemoryLog::new();
    let (old, _old_tasks) = start(&log, &Witness::default()).await;
    old.propose(Class::Start, Input::Add(1, 1)).await.unwrap();
    let (new, _new_tasks) = start(&log, &Witness::default()).await;
    assert_eq!(new.propose(Class::Start, Input::Add(1, 1)).await, Ok(2));
    let late = old.propose(Class::Start, Input::Add(1, 1)).await;
    assert_eq!(late, Err(ProposeError::Fenced));
    phase(&old, |phase| *phase == Phase::Fenced).await;
    assert_eq!(
        old.propose(Class::Outcome, Input::Ask(1)).await,
        Err(ProposeError::Fenced)
    );
    assert_eq!(new.read(|ledger| ledger.sums[&1]).await, Ok(2));
}

#[tokio::test(start_paused = true)]
async fn a_lost_answer_is_resolved_and_nothing_is_recorded_twice() {
    let log = MemoryLog::new();
    let (handle, tasks) = start(&log, &Witness::default()).await;
    for fault in [
        Fault::AmbiguousStored,
        Fault::AmbiguousNotStored,
        Fault::AmbiguousStored,
    ] {
        log.fail_next(fault);
        handle
            .propose(Class::Start, Input::Add(1, 1))
            .await
            .unwrap();
    }
    assert_eq!(handle.status().borrow().position, Position(3));
    tasks.drain(Duration::from_secs(1)).await;
    let (handle, _tasks) = start(&log, &Witness::default()).await;
    assert_eq!(handle.read(|ledger| ledger.sums[&1]).await, Ok(3));
}

#[tokio::test(start_paused = true)]
async fn a_full_log_refuses_new_work_and_goes_on_by_itself() {
    let log = MemoryLog::new();
    let (handle, _tasks) = start(&log, &Witness::default()).await;
    for _ in 0..3 {
        log.fail_next(Fault::Full);
    }
    let first = handle.propose(Class::Start, Input::Add(1, 1));
    tokio::pin!(first);
    let mut status = handle.status();
    tokio::select! {
        _ = &mut first => panic!("answered without space"),
        full = status.wait_for(|status| status.is_full) => drop(full.unwrap()),
    }
    let refused = handle.propose(Class::Start, Input::Add(1, 1)).await;
    assert_eq!(refused, Err(ProposeError::Full));
    assert!(ProposeError::Full.is_retryable());
    let outcome = handle.propose(Class::Outcome, Input::Add(1, 1));
    assert_eq!(tokio::join!(first, outcome), (Ok(1), Ok(2)));
    assert!(!status.borrow().is_full);
}

#[tokio::test(start_paused = true)]
async fn a_poisoned_log_ends_the_replica_and_a_restart_recovers() {
    let log = MemoryLog::new();
    let (handle, _tasks) = start(&log, &Witness::default()).await;
    handle
        .propose(Class::Start, Input::Add(1, 1))
        .await
        .unwrap();
    log.fail_next(Fault::Poisoned);
    let lost = handle.propose(Class::Start, Input::Add(1, 1)).await;
    assert!(matches!(lost, Err(ProposeError::Poisoned(_))), "{lost:?}");
    log.heal();
    let (handle, _tasks) = start(&log, &Witness::default()).await;
    assert_eq!(handle.read(|ledger| ledger.sums[&1]).await, Ok(1));
}

#[tokio::test(start_paused = true)]
async fn an_input_that_exceeds_one_batch_is_refused_and_changes_nothing() {
    let log = MemoryLog::new().with_batch_bytes_max(1_000);
    let (handle, _tasks) = start(&log, &Witness::default()).await;
    let big = handle.propose(Class::Start, Input::Big(1_000)).await;
    assert_eq!(big, Err(ProposeError::TooLarge { max: 1_000 }));
    // Many that fit one by one are spread over batches.
    let adds = (0..50).map(|_| handle.propose(Class::Outcome, Input::Big(500)));
    for result in futures(adds).await {
        result.unwrap();
    }
    assert_eq!(handle.read(|ledger| ledger.count).await, Ok(50));
}

#[tokio::test(start_paused = true)]
async fn overload_is_answered_and_outcomes_wait() {
    let log = MemoryLog::new();
    let small = Config {
        start_max: 2,
        outcome_max: 1,
        gather_bytes_max: 1,
        ..config()
    };
    let (handle, _tasks) = start_with(&log, &Witness::default(), small).await;
    log.hold();
    let starts = (0..10).map(|_| handle.propose(Class::Start, Input::Add(1, 1)));
    let outcomes = (0..10).map(|_| handle.propose(Class::Outcome, Input::Add(2, 1)));
    let go = async {
        tokio::time::sleep(Duration::from_secs(5)).await;
        log.resume();
    };
    let (starts, outcomes, ()) = tokio::join!(futures(starts), futures(outcomes), go);
    assert!(
        starts.contains(&Err(ProposeError::Overloaded)),
        "{starts:?}"
    );
    assert!(outcomes.iter().all(Result::is_ok), "{outcomes:?}");
}

// Snapshots are taken by threads, which know nothing of time that stands still: while they work it would jump.
#[tokio::test]
async fn snapshots_shorten_the_replay_and_let_the_log_be_trimmed() {
    let log = MemoryLog::new();
    let often = Config {
        snapshot_every: 10,
        ..config()
    };
    let (handle, tasks) = start_with(&log, &Witness::default(), often.clone()).await;
    let mut status = handle.status();
    for n in 1..=45 {
        handle
            .propose(Class::Start, Input::Add(n % 3, n))
            .await
            .unwrap();
        if n % 10 == 0 {
            let taken = status.wait_for(|status| status.snapshot == Position(n));
            drop(taken.await.unwrap());
        }
    }
    let before = handle.read(Clone::clone).await.unwrap();
    assert!(tasks.drain(Duration::from_secs(30)).await.is_empty());
    let trimmed = log.read(P, Position(5), 1).await;
    assert!(matches!(trimmed, Err(Error::Trimmed { .. })), "{trimmed:?}");
    let (handle, _tasks) = start_with(&log, &Witness::default(), often).await;
    assert_eq!(handle.read(Clone::clone).await.unwrap(), before);
    assert_eq!(handle.status().borrow().snapshot, Position(40));
}

#[tokio::test(start_paused = true)]
async fn a_replica_that_rests_lets_go_of_its_log() {
    let log = MemoryLog::new();
    let (handle, tasks) = start(&log, &Witness::default()).await;
    for n in 1..=3 {
        let input = Input::Add(1, n);
        handle.propose(Class::Start, input).await.unwrap();
    }
    let before = handle.read(Clone::clone).await.unwrap();
    while log.read(P, Position(3), 1).await.is_ok() {
        tokio::time::advance(Duration::from_secs(600)).await;
        tokio::task::yield_now().await;
    }
    assert_eq!(handle.status().borrow().snapshot, Position(3));
    assert!(tasks.drain(Duration::from_secs(1)).await.is_empty());
    let (handle, _tasks) = start(&log, &Witness::default()).await;
    assert_eq!(handle.read(Clone::clone).await.unwrap(), before);
    let input = Input::Add(1, 4);
    handle.propose(Class::Start, input).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_snapshot_that_restores_to_another_state_is_refused() {
    let log = MemoryLog::new();
    let (handle, tasks) = start(&log, &Witness::default()).await;
    handle
        .propose(Class::Start, Input::Add(1, 1))
        .await
        .unwrap();
    tasks.drain(Duration::from_secs(1)).await;
    // The format, a time, a hash that is not the state's, and an empty ledger.
    let mut bytes = vec![1];
    bytes.extend_from_slice(&[9; 16]);
    bytes.extend_from_slice(&[0; 16]);
    log.put_snapshot(P, Position(1), Bytes::from(bytes).into())
        .await
        .unwrap();
    let (log, tasks) = (Arc::new(log), Tasks::new());
    let started = Replica::start(log, P, Ledger::default(), config(), (), &tasks);
    let handle = started.await.unwrap();
    let phase = handle.status().borrow().phase.clone();
    assert!(
        matches!(&phase, Phase::Diverged(why) if why.contains("hash")),
        "{phase:?}"
    );
    let refused = handle.propose(Class::Start, Input::Add(1, 1)).await;
    assert!(matches!(refused, Err(ProposeError::Poisoned(_))));
}

#[tokio::test(start_paused = true)]
async fn a_replica_over_nothing_works_and_keeps_nothing() {
    let (log, tasks) = (Arc::new(NullLog), Tasks::new());
    for _ in 0..2 {
        let started = Replica::start(log.clone(), P, Ledger::default(), config(), (), &tasks);
        let handle = started.await.unwrap();
        assert_eq!(handle.propose(Class::Start, Input::Add(1, 3)).await, Ok(3));
        assert_eq!(handle.read(|ledger| ledger.count).await, Ok(1));
    }
}

#[tokio::test(start_paused = true)]
async fn committed_events_come_in_order_and_once() {
    let (log, witness) = (MemoryLog::new(), Witness::default());
    let (handle, _tasks) = start(&log, &witness).await;
    log.fail_next(Fault::AmbiguousStored);
    let adds = (0..100).map(|n| handle.propose(Class::Outcome, Input::Add(n, 1)));
    assert!(futures(adds).await.iter().all(Result::is_ok));
    let seen = witness.0.lock().unwrap();
    let names = seen.committed.iter().map(|event| match event {
        Event::Added { name, .. } => *name,
        Event::Cursed => unreachable!(),
    });
    assert!(names.eq(0..100));
    assert_eq!(seen.released.len(), 100);
}

/// All answers, the futures being polled together.
async fn futures<T>(all: impl Iterator<Item = impl Future<Output = T>>) -> Vec<T> {
    let mut running: Vec<_> = all.map(|one| (Box::pin(one), None)).collect();
    std::future::poll_fn(|context| {
        for (future, answer) in &mut running {
            if answer.is_none()
                && let std::task::Poll::Ready(ready) = future.as_mut().poll(context)
            {
                *answer = Some(ready);
            }
        }
        if running.iter().all(|(_, answer)| answer.is_some()) {
            return std::task::Poll::Ready(());
        }
        std::task::Poll::Pending
    })
    .await;
    running
        .into_iter()
        .filter_map(|(_, answer)| answer)
        .collect()
}
