//! What goes on beside a leader: snapshots that are replayed, those who follow, room that runs short.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use taraf_base::{Tasks, Timestamp};
use taraf_log::contract::read_all;
use taraf_log::machine::{
    Class, Config, Followers, Handle, Phase, ProposeError, Replica, checkpoint,
};
use taraf_log::{Error, Log, MemoryLog, PartitionId, Position, Space, record};

use crate::ledger::{Input, Ledger};

const P: PartitionId = PartitionId(16);
const LIMIT: Duration = Duration::from_secs(30);

fn config(followers: &Followers) -> Config {
    Config {
        clock: || Timestamp::from_millis(1_000),
        snapshot_every: 10,
        followers: followers.clone(),
        follower_lag_max: 1_000,
        ..Config::default()
    }
}

/// A leader, and how many snapshots were taken of its own state.
struct Led {
    handle: Handle<Ledger>,
    tasks: Tasks,
    taken: Arc<AtomicUsize>,
}

impl Led {
    async fn start(log: &MemoryLog, followers: &Followers) -> Self {
        Self::with(log, config(followers), false).await
    }

    async fn with(log: &MemoryLog, config: Config, is_faulty: bool) -> Self {
        let (tasks, taken) = (Tasks::new(), Arc::new(AtomicUsize::new(0)));
        let ledger = Ledger {
            taken: Arc::clone(&taken),
            is_faulty,
            ..Ledger::default()
        };
        let log = Arc::new(log.clone());
        let started = Replica::start(log, P, ledger, config, (), &tasks);
        let handle = started.await.unwrap();
        Self {
            handle,
            tasks,
            taken,
        }
    }

    async fn add(&self, many: u64) {
        for n in 1..=many {
            let input = Input::Add(n % 3, n);
            self.handle.propose(Class::Start, input).await.unwrap();
        }
    }

    /// The newest snapshot, once it is not older than `at`.
    async fn snapshot_of(&self, at: u64) -> Position {
        let mut status = self.handle.status();
        let taken = status.wait_for(|status| status.snapshot >= Position(at));
        let taken = tokio::time::timeout(LIMIT, taken).await;
        taken.unwrap().unwrap().snapshot
    }

    async fn end(self) -> Ledger {
        let state = self.handle.read(Clone::clone).await.unwrap();
        assert!(self.tasks.drain(LIMIT).await.is_empty());
        state
    }
}

#[tokio::test]
async fn snapshots_are_replayed_and_the_leader_takes_none() {
    let log = MemoryLog::new();
    let led = Led::start(&log, &Followers::default()).await;
    let mut newest = Position::ZERO;
    for round in 1..=5 {
        led.add(12).await;
        newest = led.snapshot_of(round * 10).await;
    }
    assert!(newest >= Position(50));
    assert_eq!(
        led.taken.load(Ordering::Relaxed),
        0,
        "the leader did not stop for them"
    );
    let before = led.end().await;
    // The restart begins at what was replayed, and its state is the leader's.
    let (at, _) = log.get_snapshot(P, Position::MAX).await.unwrap().unwrap();
    assert!(at >= newest);
    let first = log.read(P, Position::FIRST, 1).await;
    assert!(matches!(first, Err(Error::Trimmed { .. })), "{first:?}");
    let led = Led::start(&log, &Followers::default()).await;
    assert_eq!(led.end().await, before);
}

#[tokio::test]
async fn a_follower_holds_what_it_has_not_seen_until_it_is_too_far_behind() {
    let (log, followers) = (MemoryLog::new(), Followers::default());
    let follower = followers.register("a test", Position(5));
    let led = Led::start(&log, &followers).await;
    for round in 1..=4 {
        led.add(12).await;
        led.snapshot_of(round * 10).await;
    }
    let kept = log.read(P, Position(6), 1).await.unwrap();
    assert_eq!(kept.batches[0].first, Position(6));
    assert!(!follower.is_stale());
    // More than it may be behind: it is told, and the log is let go of.
    led.add(1_100).await;
    while log.read(P, Position(6), 1).await.is_ok() {
        led.add(10).await;
    }
    assert!(follower.is_stale());
    led.end().await;
}

#[tokio::test]
async fn what_begins_work_is_refused_before_what_ends_it() {
    let log = MemoryLog::new();
    let led = Led::start(&log, &Followers::default()).await;
    let all = [Class::Outcome, Class::Control, Class::Event, Class::Start];
    for (space, taken) in [
        (Space::Ample, 4),
        (Space::Low, 3),
        (Space::Full, 2),
        (Space::Ample, 4),
    ] {
        log.set_space(space);
        for (n, class) in all.into_iter().enumerate() {
            let answer = led.handle.propose(class, Input::Add(1, 1)).await;
            if n < taken {
                assert!(answer.is_ok(), "{class:?} at {space}: {answer:?}");
            } else {
                assert_eq!(answer, Err(ProposeError::Full), "{class:?} at {space}");
            }
        }
    }
    led.end().await;
}

/// What replaying finds differs from what the leader had: it leads no more, and says what to do.
#[tokio::test]
async fn a_state_that_its_records_do_not_give_ends_the_leadership_at_the_next_snapshot() {
    let (log, followers) = (MemoryLog::new(), Followers::default());
    let led = Led::with(&log, checkpoints(&followers), true).await;
    let mut status = led.handle.status();
    let mut n = 0;
    while led
        .handle
        .propose(Class::Start, Input::Add(n % 3, n))
        .await
        .is_ok()
    {
        n += 1;
        assert!(n < 1_000, "nobody noticed");
    }
    let diverged = |status: &taraf_log::machine::Status| matches!(status.phase, Phase::Diverged(_));
    tokio::time::timeout(LIMIT, status.wait_for(diverged))
        .await
        .unwrap()
        .unwrap();
    let Phase::Diverged(why) = status.borrow().phase.clone() else {
        panic!("it was");
    };
    assert!(why.contains("--accept-replayed-state"), "{why}");
    assert_eq!(
        led.handle.propose(Class::Outcome, Input::Add(1, 1)).await,
        Err(ProposeError::Poisoned(why))
    );
    assert!(
        log.read(P, Position::FIRST, 1).await.is_ok(),
        "nothing is trimmed"
    );
    led.tasks.drain(LIMIT).await;

    // A restart comes to another state, too, and does not lead; the operator may accept it.
    let led = Led::with(&log, checkpoints(&followers), false).await;
    let phase = led.handle.status().borrow().phase.clone();
    assert!(matches!(phase, Phase::Diverged(_)), "{phase:?}");
    assert!(led.handle.read(Clone::clone).await.is_err());
    let accepting = Config {
        accepts_replay: true,
        ..checkpoints(&followers)
    };
    let led = Led::with(&log, accepting.clone(), false).await;
    led.add(40).await;
    led.snapshot_of(20).await;
    led.add(40).await;
    let newest = led.snapshot_of(50).await;
    assert!(newest > Position(20));
    let state = led.end().await;
    let led = Led::with(&log, checkpoints(&followers), false).await;
    assert_eq!(led.end().await, state, "what was accepted is recorded");
}

#[tokio::test]
async fn checkpoints_count_as_records_and_change_nothing() {
    let log = MemoryLog::new();
    let led = Led::with(&log, checkpoints(&Followers::default()), false).await;
    led.add(17).await;
    let state = led.end().await;
    let all = read_all(&log, P, Position::FIRST).await;
    let mut kinds = Vec::new();
    for batch in &all {
        let records = record::decode_all(&batch.frames, batch.first, batch.count).unwrap();
        kinds.extend(records.iter().map(|record| record.header.kind));
    }
    let written = kinds.iter().filter(|kind| **kind == checkpoint::KIND);
    assert_eq!((kinds.len(), written.count()), (20, 3), "after each five");
    let led = Led::with(&log, checkpoints(&Followers::default()), false).await;
    assert_eq!(led.end().await, state);
}

fn checkpoints(followers: &Followers) -> Config {
    Config {
        checkpoint_every: 5,
        ..config(followers)
    }
}
