//! [pure] Lifecycle CloudEvents, a projection of what was recorded.

use serde_json::{Map, Value, json};
use taraf_base::Timestamp;
use taraf_flow::event::CloudEvent;
use taraf_flow::lifecycle::{self, MAX_OUTPUT, Subject, What as Phase};
use taraf_flow::{Data, FlowError};

use crate::Status;
use crate::partition::{Run, Step, What};

/// `source` of the events.
const SOURCE: &str = "taraf://engine";

/// Tells of one group of a run's events, in order, from the state before them.
pub(crate) struct Telling {
    run: Run,
    before: Status,
    told: Vec<CloudEvent>,
}

impl Telling {
    /// Begins with a run as it is before the group.
    pub(crate) fn of(run: Run) -> Self {
        Self {
            before: run.status(),
            run,
            told: Vec::new(),
        }
    }

    /// Begins with a run that begins in the group.
    pub(crate) const fn of_new(run: Run) -> Self {
        Self {
            run,
            before: Status::Pending,
            told: Vec::new(),
        }
    }

    /// Tells of an event and applies it.
    pub(crate) fn tell(&mut self, what: &What, at: Timestamp) {
        // The first entry is in the run already, the others follow those that are.
        let is_first = matches!(what, What::Started(_));
        let entry = self.run.history.saturating_add(u64::from(!is_first));
        // What a task ended with is asked of the state before the event takes the task away.
        let run = &self.run;
        self.told.extend(Teller { run, entry, at }.tell(what));
        if !is_first {
            self.run.evolve(what, at);
        }
    }

    /// What was told. The run's own phase is told once a group: within it tasks that only compute
    /// come and go. The end of a run is the last of all.
    pub(crate) fn told(mut self, at: Timestamp) -> Vec<CloudEvent> {
        let (run, entry) = (&self.run, self.run.history);
        let after = run.status();
        if after != self.before {
            let changed = Teller { run, entry, at }.changed(None, after);
            let behind = usize::from(after.is_final());
            let place = self.told.len().saturating_sub(behind);
            self.told.insert(place, changed);
        }
        self.told
    }
}

struct Teller<'a> {
    run: &'a Run,
    /// Number of the entry in the run's journal that is told.
    entry: u64,
    at: Timestamp,
}

impl Teller<'_> {
    fn tell(&self, what: &What) -> Vec<CloudEvent> {
        let none = Map::new;
        match what {
            What::Started(begun) => {
                let flow = &begun.flow;
                let definition = json!({
                    "namespace": flow.namespace, "name": flow.name, "version": flow.version
                });
                let members = Map::from_iter([("definition".to_owned(), definition)]);
                vec![self.event(None, Phase::Started, members)]
            }
            What::Entered(entered) => {
                let task = Some(&*entered.task);
                vec![
                    self.event(task, Phase::Created, none()),
                    self.changed(task, Status::Pending),
                    self.event(task, Phase::Started, none()),
                    self.changed(task, Status::Running),
                ]
            }
            What::Skipped { task, .. } => {
                let members = Map::from_iter([("skipped".to_owned(), json!(true))]);
                let done = self.event(Some(task), Phase::Completed, members);
                vec![self.changed(Some(task), Status::Completed), done]
            }
            What::Waiting { step, .. } => self.step_changed(*step, Status::Waiting),
            What::Retried { step, attempt, .. } if *attempt > 1 => {
                self.of_step(*step, Phase::Retried, none())
            }
            What::TaskCompleted { step, output, .. } => {
                let output = self.run.given(*step, output);
                let place = format!("/steps/{step}/output");
                let mut told = self.step_changed(*step, Status::Completed);
                told.extend(self.of_step(*step, Phase::Completed, self.output(&place, &output)));
                told
            }
            What::TaskFaulted { step, error } => {
                let mut told = self.step_changed(*step, Status::Faulted);
                told.extend(self.of_step(*step, Phase::Faulted, fault(error)));
                told
            }
            What::TaskCancelled { step } => {
                let mut told = self.step_changed(*step, Status::Cancelled);
                told.extend(self.of_step(*step, Phase::Cancelled, none()));
                told
            }
            What::Suspended => self.all(Phase::Suspended, |_| Status::Suspended),
            What::Resumed { .. } => self.all(Phase::Resumed, Step::phase),
            What::Completed { output } => {
                vec![self.event(None, Phase::Completed, self.output("/output", output))]
            }
            What::Faulted { error } => vec![self.event(None, Phase::Faulted, fault(error))],
            What::Cancelled { .. } => vec![self.event(None, Phase::Cancelled, none())],
            What::Retried { .. }
            | What::Looped { .. }
            | What::Iterated { .. }
            | What::Scheduled { .. }
            | What::Answered { .. }
            | What::Joined { .. }
            | What::Caught(_)
            | What::Paused { .. }
            | What::Removed
            | What::Moved => Vec::new(),
        }
    }

    /// The run and each of its tasks is held, or goes on.
    fn all(&self, what: Phase, after: impl Fn(&Step) -> Status) -> Vec<CloudEvent> {
        let mut told = vec![self.event(None, what, Map::new())];
        for step in self.run.steps.values() {
            told.push(self.event(Some(&step.task), what, Map::new()));
            told.push(self.changed(Some(&step.task), after(step)));
        }
        told
    }

    fn step_changed(&self, step: u32, status: Status) -> Vec<CloudEvent> {
        let step = self.run.steps.get(&step);
        step.map(|step| self.changed(Some(&step.task), status))
            .into_iter()
            .collect()
    }

    fn changed(&self, task: Option<&str>, status: Status) -> CloudEvent {
        let members = Map::from_iter([("status".to_owned(), json!(status.as_str()))]);
        self.event(task, Phase::StatusChanged, members)
    }

    fn of_step(&self, step: u32, what: Phase, members: Map<String, Value>) -> Vec<CloudEvent> {
        let step = self.run.steps.get(&step);
        step.map(|step| self.event(Some(&step.task), what, members))
            .into_iter()
            .collect()
    }

    fn event(&self, task: Option<&str>, what: Phase, members: Map<String, Value>) -> CloudEvent {
        let flow = &self.run.begun.flow;
        let run = self.run.id.to_string();
        let workflow = lifecycle::qualified_name(&flow.namespace, &flow.name, &run);
        // One entry tells at most once of each phase of the run or of one task.
        let about = task.unwrap_or("workflow");
        let status = members.get("status").and_then(Value::as_str).unwrap_or("");
        let id = format!("{run}-{}-{about}-{}{status}", self.entry, what.name());
        let subject = Subject {
            workflow: &workflow,
            task,
        };
        lifecycle::event(&id, SOURCE, subject, what, self.at, members)
    }

    fn output(&self, place: &str, output: &Data) -> Map<String, Value> {
        let uri = format!("/v1/runs/{}{place}", self.run.id);
        let mut members = Map::from_iter([("outputUri".to_owned(), json!(uri))]);
        if output.size() <= MAX_OUTPUT && output.is_to_be_had() {
            members.insert("output".to_owned(), output.to_json());
        }
        members
    }
}

fn fault(error: &FlowError) -> Map<String, Value> {
    Map::from_iter([("error".to_owned(), error.to_data().to_json())])
}
