//! [pure] One input's work on one run: what follows is done until nothing can be done without waiting.

use std::sync::Arc;

use taraf_base::Timestamp;
use taraf_flow::{
    Data, Definition, Directive, Expression, FlowError, Schema, Scope, Task, Template,
};

use super::action::{Action, Wake};
use super::event::{Event, Given, Lane, What};
use super::run::{Run, Step};
use super::{scope, tasks};
use crate::Limits;

/// What is to be done next.
#[derive(Debug)]
pub(super) enum Next {
    /// Begin the task at that place of a lane.
    Enter { lane: Lane, index: u32 },
    /// A task's work is done with this raw output. `then` beats the task's own.
    Raw {
        step: u32,
        raw: Given,
        then: Option<Directive>,
    },
    /// A task failed.
    Failed { step: u32, error: FlowError },
    /// A lane has no further task.
    Ended { lane: Lane },
    /// Begin an iteration of a loop, if there is one left.
    Iterate { step: u32, index: u32, input: Given },
}

/// One input's work on one run.
pub(super) struct Work<'a> {
    pub(super) run: Run,
    pub(super) definition: &'a Definition,
    pub(super) limits: &'a Limits,
    pub(super) now: Timestamp,
    pub(super) events: Vec<Event>,
    /// Bytes of user data in the events.
    pub(super) bytes: usize,
    /// What is left to do, the next last: a branch is followed to its rest before the next begins.
    pub(super) queue: Vec<Next>,
    /// The timer that came with the input: it is not set any more.
    pub(super) came: Option<Wake>,
    workflow: Option<Data>,
    runtime: Option<Data>,
}

impl<'a> Work<'a> {
    pub(super) const fn new(
        run: Run,
        definition: &'a Definition,
        limits: &'a Limits,
        now: Timestamp,
    ) -> Self {
        Self {
            run,
            definition,
            limits,
            now,
            events: Vec::new(),
            bytes: 0,
            queue: Vec::new(),
            came: None,
            workflow: None,
            runtime: None,
        }
    }

    /// Writes down what happened, and applies it exactly as a replay will.
    pub(super) fn record(&mut self, what: What) {
        self.run.evolve(&what, self.now);
        self.events.push(Event {
            run: self.run.id,
            what,
        });
    }

    /// Does what is left to do until the run has ended or waits.
    pub(super) fn go_on(&mut self) {
        while let Some(next) = self.queue.pop() {
            if self.run.ended.is_some() {
                self.queue.clear();
                return;
            }
            if self.run.history > self.limits.history {
                let limit = self.limits.history;
                self.fault(FlowError::runtime(format!(
                    "the journal of the run has more than {limit} entries"
                )));
                return;
            }
            match next {
                Next::Enter { lane, index } => self.enter(lane, index),
                Next::Raw { step, raw, then } => self.complete(step, &raw, then),
                Next::Failed { step, error } => self.fail(step, error),
                Next::Ended { lane } => self.lane_ended(lane),
                Next::Iterate { step, index, input } => {
                    tasks::each::iterate(self, step, index, input);
                }
            }
        }
    }

    /// Whether the group is as large as one input may make it.
    pub(super) fn is_full(&self) -> bool {
        self.events.len() >= self.limits.group_events || self.bytes >= self.limits.group_bytes
    }

    /// The step, with its task.
    pub(super) fn step(&self, step: u32) -> Option<(Step, Arc<Task>)> {
        let state = self.run.steps.get(&step)?;
        let task = self.definition.task(&state.task)?;
        Some((state.clone(), Arc::clone(task)))
    }

    /// What the expressions of a step see.
    pub(super) fn scope(&mut self, step: &Step, task: &Task) -> Scope {
        let mut found = self.lane_scope(step.lane);
        found.input = Some(step.input.clone());
        found.task = Some(scope::task(task, &step.raw, None, step.started));
        found
    }

    /// What the expressions of a lane's tasks see before they begin.
    pub(super) fn lane_scope(&mut self, lane: Lane) -> Scope {
        let (run, definition) = (&self.run, self.definition);
        let workflow = self
            .workflow
            .get_or_insert_with(|| scope::workflow(run, definition));
        let runtime = self.runtime.get_or_insert_with(scope::runtime);
        Scope {
            context: Some(run.context.clone()),
            workflow: Some(workflow.clone()),
            runtime: Some(runtime.clone()),
            locals: scope::locals(run, definition, lane),
            now: self.now,
            ..Scope::default()
        }
    }

    /// Data as an event holds it: by reference when the state has the same already.
    pub(super) fn give(&mut self, step: &Step, id: u32, data: &Data) -> Given {
        if same(data, &step.input) {
            return Given::Input;
        }
        let lanes = [0, Lane::CATCH].into_iter();
        for slot in lanes {
            let lane = Lane { step: id, slot };
            if self
                .run
                .lanes
                .get(&lane)
                .is_some_and(|state| same(&state.data, data))
            {
                return Given::Lane(slot);
            }
        }
        if same(&self.run.given(id, &Given::Answer), data) {
            return Given::Answer;
        }
        self.bytes = self.bytes.saturating_add(data.size());
        Given::Data(data.clone())
    }

    /// Ends the run with this error.
    pub(super) fn fault(&mut self, error: FlowError) {
        self.cancel_below(0);
        let error = error.with("workflow", self.run.id.to_string());
        self.record(What::Faulted { error });
        self.queue.clear();
    }

    /// Ends the run with this output of its last task.
    pub(super) fn finish(&mut self, output: &Data) {
        match self.result(output) {
            Ok(output) => {
                self.cancel_below(0);
                self.record(What::Completed { output });
                self.queue.clear();
            }
            Err(error) => self.fault(error.at("/output")),
        }
    }

    fn result(&mut self, output: &Data) -> Result<Data, FlowError> {
        let scope = self.lane_scope(Lane::ROOT);
        let shaped = template(self.definition.output.as_.as_ref(), output, &scope)?;
        check(self.definition.output.schema.as_ref(), &shaped)?;
        self.fits("output", &shaped)?;
        Ok(shaped)
    }

    /// Ends every step inside `step`, those that began last first.
    pub(super) fn cancel_below(&mut self, step: u32) {
        for inner in self.run.below(step) {
            self.record(What::TaskCancelled { step: inner });
        }
    }

    /// Refuses data over the limit.
    pub(super) fn fits(&self, what: &str, data: &Data) -> Result<(), FlowError> {
        let (len, limit) = (data.size(), self.limits.data_bytes);
        if len > limit {
            return Err(FlowError::runtime(format!(
                "the {what} has {len} bytes, more than the {limit} that are allowed"
            )));
        }
        Ok(())
    }

    /// The actions that the work asks for: what will wake the run now and did not before.
    pub(super) fn actions(&self, before: &Run) -> Vec<Action> {
        let (had, has) = (before.wakes(), self.run.wakes());
        let gone = had
            .difference(&has)
            .filter_map(|wake| before.give_up(*wake, &self.run));
        let new = has.difference(&had);
        let new =
            new.filter_map(|wake| scope::action(&self.run, Some(self.definition), *wake, self.now));
        // A delay may begin again and end at the same instant as the one that came: a timer of its own.
        let again = self
            .came
            .filter(|came| has.contains(came) && !self.events.is_empty());
        let again = again.into_iter().flat_map(|wake| {
            let given_up = before.give_up(wake, &self.run);
            let set = scope::action(&self.run, Some(self.definition), wake, self.now);
            given_up.into_iter().chain(set)
        });
        gone.chain(new).chain(again).collect()
    }
}

/// Whether the bytes are the same; values that are equal in another form count as different.
pub(super) fn same(a: &Data, b: &Data) -> bool {
    a.has_text_of(b)
}

/// What a template makes of data; absent, the data themselves.
pub(super) fn template(
    template: Option<&Template>,
    data: &Data,
    scope: &Scope,
) -> Result<Data, FlowError> {
    match template {
        None => Ok(data.clone()),
        Some(template) if template.mentions_secrets() => Err(no_secrets()),
        Some(template) => Ok(template.eval(data, scope)?),
    }
}

/// What a condition says; absent, `absent`.
pub(super) fn condition(
    condition: Option<&Expression>,
    data: &Data,
    scope: &Scope,
    absent: bool,
) -> Result<bool, FlowError> {
    match condition {
        None => Ok(absent),
        Some(condition) if condition.mentions_secrets() => Err(no_secrets()),
        Some(condition) => Ok(condition.eval_condition(data, scope)?),
    }
}

/// Refuses data that a schema does not allow.
pub(super) fn check(schema: Option<&Schema>, data: &Data) -> Result<(), FlowError> {
    match schema.map(|schema| schema.validate(data)) {
        None | Some(Ok(())) => Ok(()),
        Some(Err(error)) => Err(FlowError::validation(error.to_string())),
    }
}

/// Values of secrets never reach the log, so only what is evaluated at sending time may see them.
fn no_secrets() -> FlowError {
    FlowError::authorization("secrets can be read only in `with` and `authentication` of a call")
}
