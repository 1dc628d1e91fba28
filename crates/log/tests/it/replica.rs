//! A replica over a log that fails on command.

use std::sync::Arc;
use std::time::Duration;

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
