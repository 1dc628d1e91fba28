//! [pure] Lifecycle CloudEvents, a projection of what was recorded.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Map, Value, json};
use taraf_base::Timestamp;
use taraf_flow::event::CloudEvent;
use taraf_flow::lifecycle::{self, MAX_OUTPUT, Subject, What as Phase};
use taraf_flow::{Data, FlowError};

use crate::RunId;
use crate::partition::{Event, Run, State, What};

/// `source` of the events.
const SOURCE: &str = "taraf://engine";

/// The runs that have not ended, evolved a second time so that events can tell of their tasks.
#[derive(Default)]
pub(crate) struct Projection {
    runs: BTreeMap<RunId, Run>,
}

impl Projection {
    pub(crate) fn recover(&mut self, state: &State) {
        let live = state.runs.iter().filter(|(_, run)| run.ended.is_none());
        self.runs = live.map(|(id, run)| (*id, run.clone())).collect();
    }

    /// Applies an event and tells of it, if `wanted`.
    pub(crate) fn tell(&mut self, event: &Event, at: Timestamp, wanted: bool) -> Vec<CloudEvent> {
        if let What::Started(begun) = &event.what {
            let run = Run::new(event.run, Arc::clone(begun), at);
            self.runs.insert(event.run, run);
        }
        let Some(run) = self.runs.get_mut(&event.run) else {
            return Vec::new();
        };
        // What a task ended with is asked of the state before the event takes the task away.
        let told = if wanted {
            // The first entry is in the run already, the others follow those that are.
            let entry = match event.what {
                What::Started(_) => run.history,
                _ => run.history.saturating_add(1),
            };
            Teller { run, entry, at }.tell(&event.what)
        } else {
            Vec::new()
        };
        if !matches!(event.what, What::Started(_)) {
            run.evolve(&event.what, at);
        }
        if run.ended.is_some() || event.what == What::Removed {
            self.runs.remove(&event.run);
        }
        told
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
                let created = self.event(task, Phase::Created, none());
                vec![created, self.event(task, Phase::Started, none())]
            }
            What::Skipped { task, .. } => {
                let members = Map::from_iter([("skipped".to_owned(), json!(true))]);
                vec![self.event(Some(task), Phase::Completed, members)]
            }
            What::Retried { step, attempt, .. } if *attempt > 1 => {
                self.of_step(*step, Phase::Retried, none())
            }
            What::TaskCompleted { step, output, .. } => {
                let output = self.run.given(*step, output);
                let place = format!("/steps/{step}/output");
                self.of_step(*step, Phase::Completed, self.output(&place, &output))
            }
            What::TaskFaulted { step, error } => self.of_step(*step, Phase::Faulted, fault(error)),
            What::TaskCancelled { step } => self.of_step(*step, Phase::Cancelled, none()),
            What::Suspended => vec![self.event(None, Phase::Suspended, none())],
            What::Resumed { .. } => vec![self.event(None, Phase::Resumed, none())],
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
            | What::Waiting { .. }
            | What::Joined { .. }
            | What::Caught(_)
            | What::Paused { .. }
            | What::Removed
            | What::Moved => Vec::new(),
        }
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
        // One entry tells at most once of each phase of the run or of one task, and a replay counts
        // the entries alike.
        let about = task.map_or("workflow", |_| "task");
        let id = format!("{run}-{}-{about}-{}", self.entry, what.name());
        let subject = Subject {
            workflow: &workflow,
            task,
        };
        lifecycle::event(&id, SOURCE, subject, what, self.at, members)
    }

    fn output(&self, place: &str, output: &Data) -> Map<String, Value> {
        let uri = format!("/v1/runs/{}{place}", self.run.id);
        let mut members = Map::from_iter([("outputUri".to_owned(), json!(uri))]);
        if output.as_bytes().len() <= MAX_OUTPUT {
            members.insert("output".to_owned(), output.to_json());
        }
        members
    }
}

fn fault(error: &FlowError) -> Map<String, Value> {
    Map::from_iter([("error".to_owned(), error.to_data().to_json())])
}
