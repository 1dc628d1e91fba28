//! Decisions of a partition, one input at a time.

use taraf_flow::{Data, Definition, check};
use taraf_log::PartitionId;
use taraf_log::machine::Machine as _;

use super::*;
use crate::partition::{Audience, Definitions, Rest, Settings};
use crate::{FlowId, Limits, Status};

const NOW: Timestamp = Timestamp::from_millis(1_790_000_000_000);
const SOURCE: &str = "document: {dsl: '1.0.3', namespace: test, name: flow, version: 1.0.0}\ndo:\n- w: {wait: PT1S}\n";

struct One(Arc<Definition>);

impl Definitions for One {
    fn definition(&self, _hash: &str) -> Option<Arc<Definition>> {
        Some(Arc::clone(&self.0))
    }
}

fn partition() -> Partition {
    let settings = Settings {
        limits: Limits::default(),
        keep: 10,
        keep_for: std::time::Duration::from_secs(60),
        archives: false,
        payloads: None,
        audience: Audience::none(),
        rest: Rest::default(),
    };
    let definition = check(SOURCE).definition.unwrap();
    Partition::new(settings, Arc::new(One(definition)))
}

fn evolve(partition: &mut Partition, decided: Decided) -> Reply {
    for event in &decided.events {
        partition.evolve(event, NOW);
    }
    decided.reply
}

fn begin(partition: &mut Partition, n: u64) -> RunId {
    let id = RunId::compose(PartitionId(16), NOW, n);
    let begin = Begin {
        id,
        flow: FlowId {
            namespace: "test".to_owned(),
            name: "flow".to_owned(),
            version: "1.0.0".to_owned(),
        },
        versioned: false,
        hash: String::new(),
        input: Data::object(),
        owner: None,
        key: None,
        traceparent: None,
        moved: 0,
        expired: None,
    };
    let decided = partition.decide(Input::Start(Box::new(begin)), NOW);
    evolve(partition, decided);
    id
}

#[test]
fn a_panic_while_deciding_faults_that_run_and_no_other() {
    let mut partition = partition();
    let (poisoned, other) = (begin(&mut partition, 1), begin(&mut partition, 2));
    let decided = partition.on_run(poisoned, NOW, |_| panic!("a mistake of ours"));
    let [Action::ClearTimer { .. }, Action::Ended(ended)] = decided.actions.as_slice() else {
        panic!(
            "its timer is cleared and its end told: {:?}",
            decided.actions
        );
    };
    assert_eq!(ended.status(), Status::Faulted);
    evolve(&mut partition, decided);
    let run = partition.state.runs.get(&poisoned).unwrap().view();
    assert_eq!(run.status, Status::Faulted);
    assert!(run.error.unwrap().detail.unwrap().contains("panicked"));
    assert_eq!(
        partition.state.runs.get(&other).unwrap().status(),
        Status::Waiting
    );
    let due = NOW.plus(std::time::Duration::from_secs(1));
    let timer = Input::TimerDue {
        run: other,
        step: 1,
        purpose: Purpose::Delay,
        due,
    };
    let decided = partition.decide(timer, due);
    assert_eq!(evolve(&mut partition, decided), Reply::Done);
    assert_eq!(
        partition.state.runs.get(&other).unwrap().status(),
        Status::Completed
    );
}

#[test]
fn a_run_that_nothing_would_wake_is_an_error_of_that_run() {
    let mut partition = partition();
    let id = begin(&mut partition, 1);
    let decided = partition.on_run(id, NOW, |work| {
        work.cancel_below(0);
        Reply::Done
    });
    evolve(&mut partition, decided);
    assert_eq!(
        partition.state.runs.get(&id).unwrap().status(),
        Status::Faulted
    );
}

#[test]
fn a_fault_ends_a_held_run_and_tells_of_the_run_alone_when_it_has_very_many_steps() {
    let mut partition = partition();
    let id = begin(&mut partition, 1);
    let decided = partition.decide(Input::Control(id, Control::Suspend), NOW);
    evolve(&mut partition, decided);
    let mut many = partition.state.runs.get(&id).unwrap().into_owned();
    let step = many.steps[&1].clone();
    for n in 2..=u32::try_from(CANCELLED_MAX).unwrap() + 1 {
        many.steps.insert(n, step.clone());
    }
    let error = || FlowError::runtime("too large");
    assert_eq!(
        ended(&many, What::Faulted { error: error() }).events.len(),
        1
    );
    let decided = partition.decide(Input::Fault(id, error()), NOW);
    assert_eq!(decided.events.len(), 2);
    evolve(&mut partition, decided);
    assert_eq!(
        partition.state.runs.get(&id).unwrap().status(),
        Status::Faulted
    );
    let late = partition.decide(Input::Fault(id, error()), NOW);
    assert_eq!(evolve(&mut partition, late), Reply::Late);
}

#[test]
fn a_sweep_says_whether_others_are_left() {
    let mut partition = partition();
    partition.settings.keep = 0;
    for n in 0..u64::try_from(SWEEP_MAX).unwrap() + 1 {
        let id = begin(&mut partition, n);
        let decided = partition.decide(Input::Control(id, Control::Cancel), NOW);
        evolve(&mut partition, decided);
    }
    let mut sweep = || {
        let decided = partition.decide(Input::Sweep, NOW);
        evolve(&mut partition, decided)
    };
    assert_eq!(sweep(), Reply::Swept { more: true });
    assert_eq!(sweep(), Reply::Swept { more: false });
    assert_eq!(partition.state.runs.len(), 0);
}

#[test]
fn a_delay_that_ends_at_the_instant_of_the_one_before_is_a_timer_of_its_own() {
    let source = SOURCE.replace(
        "- w: {wait: PT1S}",
        "- t: {try: [{r: {raise: {error: {type: 'https://example.org/x', status: 503}}}}], \
         catch: {retry: {delay: PT1S, limit: {attempt: {count: 3}}}}}",
    );
    let mut partition = Partition::new(
        partition().settings,
        Arc::new(One(check(&source).definition.unwrap())),
    );
    let id = begin(&mut partition, 1);
    // It comes before its time, as where waits are skipped.
    let due = NOW.plus(std::time::Duration::from_secs(1));
    let timer = Input::TimerDue {
        run: id,
        step: 1,
        purpose: Purpose::Delay,
        due,
    };
    for _ in 0..2 {
        let decided = partition.decide(timer.clone(), NOW);
        let is_set =
            |action: &Action| matches!(action, Action::SetTimer { due: at, .. } if *at == due);
        assert!(decided.actions.iter().any(is_set), "{:?}", decided.actions);
        evolve(&mut partition, decided);
    }
    let decided = partition.decide(timer, NOW);
    evolve(&mut partition, decided);
    assert_eq!(
        partition.state.runs.get(&id).unwrap().status(),
        Status::Faulted
    );
}
