//! Runs that rest and wake: nobody can tell which do.

use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use taraf_flow::Data;
use taraf_log::PartitionId;

use super::*;
use crate::FlowId;
use crate::partition::event::{Begun, Entered, Lane, StepKind};
use crate::partition::rest::Attic;

/// An attic in memory that counts what lies in it.
#[derive(Debug, Default)]
struct Shelf(Mutex<BTreeMap<u64, Vec<u8>>>);

impl Attic for Shelf {
    fn put(&self, bytes: &[u8]) -> Option<Spot> {
        let mut shelf = self.0.lock().unwrap();
        let at = shelf.last_key_value().map_or(0, |(at, _)| at + 1);
        shelf.insert(at, bytes.to_vec());
        let len = u32::try_from(bytes.len()).unwrap();
        Some(Spot { at, len })
    }

    fn get(&self, spot: Spot) -> Option<Vec<u8>> {
        self.0.lock().unwrap().get(&spot.at).cloned()
    }

    fn free(&self, spot: Spot) {
        assert!(self.0.lock().unwrap().remove(&spot.at).is_some());
    }

    fn another(&self) -> Option<Arc<dyn Attic>> {
        None
    }
}

const NOW: Timestamp = Timestamp::from_millis(1_790_000_000_000);
const AWAKE_MAX: usize = 20;
const RUNS: u64 = 60;

fn rest(shelf: Option<&Arc<Shelf>>) -> Rest {
    Rest {
        awake_max: AWAKE_MAX,
        awake_bytes_max: usize::MAX,
        here_bytes_max: 500,
        attic: shelf.map(|shelf| Arc::clone(shelf) as Arc<dyn Attic>),
    }
}

fn id(n: u64) -> RunId {
    let at = NOW.plus(std::time::Duration::from_millis(n));
    RunId::compose(PartitionId(16), at, n)
}

fn begin(runs: &mut Runs, n: u64, input: &str) {
    let begun = Arc::new(Begun {
        flow: FlowId {
            namespace: "n".to_owned(),
            name: "f".to_owned(),
            version: "1.0.0".to_owned(),
        },
        hash: "hash".into(),
        raw: Data::string(input),
        input: None,
        owner: None,
        key: None,
        traceparent: None,
        deadline: None,
    });
    let mut run = Run::new(id(n), begun, NOW);
    run.context = Data::string(input);
    runs.insert(run);
    wait(runs, n, 1);
}

/// A step that waits.
fn wait(runs: &mut Runs, n: u64, step: u32) {
    let entered = Entered {
        step,
        lane: Lane::ROOT,
        index: 0,
        task: "/do/0/w".into(),
        kind: StepKind::Wait,
        iteration: "".into(),
        attempt: 1,
        input: None,
        deadline: None,
    };
    let until = NOW.plus(std::time::Duration::from_secs(n));
    for what in [What::Entered(entered), What::Waiting { step, until }] {
        assert_eq!(runs.evolve(id(n), &what, NOW), Some(false));
    }
}

/// Many runs, every second of them long.
fn many(rest: Rest) -> Runs {
    let mut runs = Runs::new(rest);
    for n in 0..RUNS {
        let text = if n % 2 == 0 { "short" } else { "long" };
        let times = if n % 2 == 0 { 1 } else { 500 };
        begin(&mut runs, n, &text.repeat(times));
        runs.rest();
    }
    for _ in 0..RUNS {
        runs.rest();
    }
    runs
}

fn packed(runs: &Runs) -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    let done: Result<(), Infallible> = runs.each_packed(|bytes| {
        all.push(bytes.to_vec());
        Ok(())
    });
    done.unwrap();
    all
}

fn wakes(runs: &Runs) -> BTreeMap<RunId, Vec<(u32, Purpose, Timestamp)>> {
    let mut all = BTreeMap::new();
    runs.each_waiting(|waiting| {
        let (id, timers) = match waiting {
            Waiting::Timers(id, timers) => (id, timers.to_vec()),
            Waiting::Run(run) => {
                let label = Label::read(&packed::pack(run)).unwrap();
                (run.id, label.timers.unwrap())
            }
        };
        all.insert(id, timers);
    });
    all
}

#[test]
fn what_rests_is_what_was_and_long_runs_leave_memory() {
    let shelf = Arc::new(Shelf::default());
    let mut runs = many(rest(Some(&shelf)));
    let awake = many(Rest {
        awake_max: usize::MAX,
        ..rest(None)
    });
    let resting = usize::try_from(RUNS).unwrap() - AWAKE_MAX;
    assert_eq!((runs.resting(), awake.resting()), (resting, 0));
    assert_eq!(shelf.0.lock().unwrap().len(), resting / 2);
    assert_eq!((runs.len(), packed(&runs)), (awake.len(), packed(&awake)));
    assert_eq!(wakes(&runs), wakes(&awake));
    for n in 0..RUNS {
        let (one, other) = (runs.get(&id(n)).unwrap(), awake.get(&id(n)).unwrap());
        assert_eq!(one, other, "{n}");
    }
    let behind = (Bound::Excluded(id(7)), Bound::Unbounded);
    assert!(runs.statuses(behind).eq(awake.statuses(behind)));
    let end = Bound::Excluded(id(50));
    assert!(
        runs.statuses_back_from(end)
            .eq(awake.statuses_back_from(end))
    );
    assert_eq!(
        runs.statuses_back_from(end).next(),
        Some((id(49), Status::Waiting))
    );

    // One that moves wakes, and its place is free again.
    wait(&mut runs, 1, 2);
    assert_eq!(runs.get(&id(1)).unwrap().steps.len(), 2);
    assert!(runs.remove(id(3)).is_some() && !runs.contains(&id(3)));
    assert_eq!(shelf.0.lock().unwrap().len(), resting / 2 - 2);
    drop(runs);
    assert!(
        shelf.0.lock().unwrap().is_empty(),
        "what goes leaves nothing"
    );
}

#[test]
fn runs_of_a_snapshot_rest_until_they_move() {
    let before = many(rest(None));
    let mut after = Runs::new(rest(None));
    for bytes in packed(&before) {
        assert_eq!(
            after.insert_packed(bytes.clone()).unwrap().0.status,
            Status::Waiting
        );
    }
    assert_eq!(after.resting(), after.len());
    assert_eq!(packed(&before), packed(&after));
    wait(&mut after, 5, 2);
    assert_eq!(after.resting(), after.len() - 1);
    assert!(after.insert_packed(b"no run".to_vec()).is_err());
}

#[test]
fn runs_that_move_stay_awake_and_ended_ones_do_not_count() {
    let mut runs = Runs::new(rest(None));
    let count = u64::try_from(AWAKE_MAX).unwrap() + 1;
    for n in 0..count {
        begin(&mut runs, n, "x");
    }
    let output = Data::null();
    assert_eq!(
        runs.evolve(id(1), &What::Completed { output }, NOW),
        Some(true)
    );
    runs.rest();
    assert_eq!(runs.resting(), 0, "as many as may be awake have not ended");
    begin(&mut runs, count, "x");
    for _ in 0..count {
        wait(&mut runs, 0, 2);
        runs.rest();
    }
    assert!(runs.awake.contains_key(&id(0)) && runs.awake.contains_key(&id(1)));
    assert_eq!((runs.resting(), runs.live()), (1, runs.len() - 1));
}

#[test]
fn long_runs_rest_earlier_and_the_sum_of_all_is_known() {
    let mut runs = Runs::new(Rest {
        awake_bytes_max: 64 << 10,
        ..rest(None)
    });
    for n in 0..10 {
        begin(&mut runs, n, &"long".repeat(2_500));
        runs.rest();
    }
    for _ in 0..100 {
        runs.rest();
    }
    assert!(
        runs.resting() > 0 && runs.live.bytes <= 64 << 10,
        "{runs:?}"
    );
    assert!(runs.live_bytes() >= 100_000);
    for n in 0..10 {
        runs.remove(id(n)).unwrap();
    }
    assert_eq!((runs.live_bytes(), runs.ended_bytes()), (0, 0));
}
