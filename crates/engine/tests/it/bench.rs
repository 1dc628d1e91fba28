//! A partition on the bench: simulated time, answers made up, every group of records kept as bytes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use taraf_base::Timestamp;
use taraf_engine::partition::{
    Action, Audience, Begin, Call, Definitions, Input, Outcome, Partition, Purpose, Reply, Rest,
    Settings, What,
};
use taraf_engine::{FlowId, Limits, Run, RunId};
use taraf_flow::{Data, Definition, FlowError, check};
use taraf_log::PartitionId;
use taraf_log::machine::{Header, Machine as _};

/// A record as the log keeps it.
pub(crate) type Record = (Timestamp, Header, Vec<u8>);
/// What a call answers.
pub(crate) type Answers = fn(&Call) -> Outcome;

/// The instant at which every run of the bench begins.
pub(crate) const BEGINNING: Timestamp = Timestamp::from_millis(1_790_000_000_000);
/// Steps after which a run is taken to hang.
const STEPS_MAX: usize = 100_000;

#[derive(Clone, Default)]
pub(crate) struct Shelf(BTreeMap<String, Arc<Definition>>);

impl Definitions for Shelf {
    fn definition(&self, hash: &str) -> Option<Arc<Definition>> {
        self.0.get(hash).cloned()
    }
}

/// A partition, its log, and what it asked for and has not got.
pub(crate) struct Bench {
    pub(crate) machine: Partition,
    pub(crate) groups: Vec<Vec<Record>>,
    pub(crate) now: Timestamp,
    pub(crate) calls: Vec<Call>,
    pub(crate) uncertain: Vec<(RunId, u32)>,
    pub(crate) timers: BTreeSet<(Timestamp, RunId, u32, Purpose)>,
    pub(crate) turns: Vec<RunId>,
    shelf: Shelf,
    settings: Settings,
}

pub(crate) fn settings() -> Settings {
    Settings {
        limits: Limits::default(),
        keep: 1_000,
        keep_for: Duration::from_secs(3_600),
        archives: false,
        payloads: None,
        audience: Audience::none(),
        rest: Rest::default(),
    }
}

/// A definition of these tasks (YAML, without indentation).
pub(crate) fn flow(tasks: &str) -> String {
    let tasks: String = tasks.lines().map(|line| format!("  {line}\n")).collect();
    format!("document: {{dsl: '1.0.3', namespace: test, name: flow, version: 1.0.0}}\ndo:\n{tasks}")
}

pub(crate) fn run_id(n: u64) -> RunId {
    RunId::compose(PartitionId(16), BEGINNING, n)
}

pub(crate) fn echo(call: &Call) -> Outcome {
    Outcome::Ok(call.request.get("body").unwrap_or_default())
}

impl Bench {
    pub(crate) fn new() -> Self {
        Self::with(settings())
    }

    pub(crate) fn with(settings: Settings) -> Self {
        let shelf = Shelf::default();
        Self {
            machine: Partition::new(settings.clone(), Arc::new(shelf.clone())),
            groups: Vec::new(),
            now: BEGINNING,
            calls: Vec::new(),
            uncertain: Vec::new(),
            timers: BTreeSet::new(),
            turns: Vec::new(),
            shelf,
            settings,
        }
    }

    /// Makes a definition known. Only between runs: the machine is built again from its log.
    pub(crate) fn publish(&mut self, source: &str) -> (FlowId, String) {
        let report = check(source);
        let definition = report
            .definition
            .unwrap_or_else(|| panic!("{:?}", report.findings));
        let document = &definition.document;
        let id = FlowId {
            namespace: document.namespace.clone(),
            name: document.name.clone(),
            version: document.version.clone(),
        };
        let hash = definition.hash.clone();
        self.shelf.0.insert(hash.clone(), definition);
        let mut machine = Partition::new(self.settings.clone(), Arc::new(self.shelf.clone()));
        machine.restore(&self.machine.snapshot()).unwrap();
        self.machine = machine;
        (id, hash)
    }

    pub(crate) fn begin(&mut self, source: &str, input: Value) -> RunId {
        let id = run_id(u64::try_from(self.groups.len()).unwrap() + 1);
        let (flow, hash) = self.publish(source);
        let begin = Begin {
            id,
            flow,
            versioned: false,
            hash,
            input: Data::from(input),
            owner: None,
            key: None,
            traceparent: None,
            moved: 0,
            expired: None,
        };
        let reply = self.propose(Input::Start(Box::new(begin)));
        assert_eq!(
            reply,
            Reply::Started {
                id,
                existing: false
            }
        );
        id
    }

    /// Decides, encodes, decodes and evolves, as a leader and its log do.
    pub(crate) fn propose(&mut self, input: Input) -> Reply {
        let mut decision = self.machine.decide(input, self.now);
        for blob in self.machine.detach(&mut decision.events, true) {
            let payloads = self.settings.payloads.as_ref().unwrap();
            payloads.store().put_now(&blob).unwrap();
        }
        let mut group = Vec::new();
        for event in &decision.events {
            let mut body = Vec::new();
            let header = Partition::encode(event, &mut body);
            let read = Partition::decode(&header, &body).unwrap();
            assert_eq!(read, *event, "an event is read back as it was written");
            self.machine.evolve(&read, self.now);
            group.push((self.now, header, body));
        }
        if !group.is_empty() {
            self.groups.push(group);
        }
        self.take(decision.actions);
        decision.reply
    }

    pub(crate) fn take(&mut self, actions: Vec<Action>) {
        for action in actions {
            match action {
                Action::Call(call) => self.calls.push(*call),
                Action::CancelCall { run, step } => {
                    self.calls
                        .retain(|call| (call.run, call.step) != (run, step));
                }
                Action::Uncertain { run, step } => self.uncertain.push((run, step)),
                Action::SetTimer {
                    run,
                    step,
                    purpose,
                    due,
                } => {
                    assert!(
                        self.timers.insert((due, run, step, purpose)),
                        "a timer set twice"
                    );
                }
                Action::ClearTimer {
                    run,
                    step,
                    purpose,
                    due,
                } => {
                    assert!(
                        self.timers.remove(&(due, run, step, purpose)),
                        "no such timer"
                    );
                }
                Action::Continue { run } => self.turns.push(run),
                Action::Tell(_) | Action::Ended(_) => {}
            }
        }
    }

    /// A partition that has read the first groups of this one's log and nothing else.
    pub(crate) fn recovered(&self, groups: usize) -> Self {
        self.recovered_with(groups, self.settings.clone())
    }

    /// The same with other settings.
    pub(crate) fn recovered_with(&self, groups: usize, settings: Settings) -> Self {
        let mut other = Self::with(settings.clone());
        other.shelf = self.shelf.clone();
        other.machine = Partition::new(settings, Arc::new(self.shelf.clone()));
        for (at, header, body) in self.groups[..groups].iter().flatten() {
            let event = Partition::decode(header, body).unwrap();
            other.machine.evolve(&event, *at);
            other.now = *at;
        }
        other.groups = self.groups[..groups].to_vec();
        let outstanding = other.machine.outstanding(other.now);
        other.take(outstanding);
        other
    }

    pub(crate) fn answer(&mut self, call: &Call, outcome: Outcome) -> Reply {
        let (run, step) = (call.run, call.step);
        let began = self.now;
        self.propose(Input::Outcome {
            run,
            step,
            outcome,
            began,
            ended: self.now,
        })
    }

    /// Does the next thing that is outstanding. False when nothing is.
    pub(crate) fn step(&mut self, answers: Answers) -> bool {
        if let Some(run) = self.turns.pop() {
            self.propose(Input::Continue(run));
        } else if let Some((run, step)) = self.uncertain.pop() {
            let outcome = Outcome::Err(FlowError::runtime("uncertain"));
            let began = self.now;
            self.propose(Input::Outcome {
                run,
                step,
                outcome,
                began,
                ended: self.now,
            });
        } else if !self.calls.is_empty() {
            let call = self.calls.remove(0);
            let outcome = answers(&call);
            self.answer(&call, outcome);
        } else if let Some(timer) = self.timers.first().copied() {
            let (due, run, step, purpose) = timer;
            self.now = self.now.max(due);
            self.propose(Input::TimerDue {
                run,
                step,
                purpose,
                due,
            });
            assert!(
                !self.timers.contains(&timer),
                "a timer that came is cleared"
            );
        } else {
            return false;
        }
        true
    }

    /// Goes on until nothing is outstanding.
    pub(crate) fn finish(&mut self, answers: Answers) {
        for _ in 0..STEPS_MAX {
            if !self.step(answers) {
                return;
            }
        }
        panic!("the runs do not end");
    }

    pub(crate) fn run(&self, id: RunId) -> Run {
        self.machine.state().runs.get(&id).unwrap().view()
    }

    pub(crate) fn events(&self, id: RunId) -> Vec<What> {
        let recorded = self.recorded(id).into_iter();
        recorded.map(|(_, what)| what).collect()
    }

    /// What was recorded of a run, and when.
    pub(crate) fn recorded(&self, id: RunId) -> Vec<(Timestamp, What)> {
        let records = self.groups.iter().flatten();
        let records = records.filter(|(_, header, _)| header.subject == id.get());
        let what = |(at, header, body): &Record| {
            let event = Partition::decode(header, body).unwrap();
            (*at, event.what)
        };
        records.map(what).collect()
    }

    /// Effect keys of the calls whose outcome is recorded.
    pub(crate) fn recorded_keys(&self, id: RunId) -> Vec<String> {
        let mut keys = BTreeMap::new();
        let mut recorded = Vec::new();
        for what in self.events(id) {
            match what {
                What::Scheduled { step, key, .. } => {
                    keys.insert(step, key.as_ref().to_owned());
                }
                What::Answered { step, .. } => recorded.push(keys[&step].clone()),
                _ => {}
            }
        }
        recorded
    }
}

/// Runs tasks to their end and answers the run.
pub(crate) fn play(tasks: &str, input: Value, answers: Answers) -> Run {
    let mut bench = Bench::new();
    let id = bench.begin(&flow(tasks), input);
    bench.finish(answers);
    bench.run(id)
}

/// The output of a run that must complete.
pub(crate) fn output(tasks: &str, input: Value) -> Value {
    let run = play(tasks, input, echo);
    run.output
        .unwrap_or_else(|| panic!("{}: {:?}", run.why, run.error))
        .to_json()
}

/// The error of a run that must fault, as JSON.
pub(crate) fn fault(tasks: &str, input: Value) -> Value {
    let run = play(tasks, input, echo);
    json!(
        run.error
            .unwrap_or_else(|| panic!("{}: {:?}", run.why, run.output))
    )
}
