//! [pure] How tasks of every kind begin and end.

use std::sync::Arc;

use taraf_base::Timestamp;
use taraf_flow::{Data, Directive, FlowError, Kind, Scope, Task};

use super::event::{Entered, Given, Lane, StepKind, What};
use super::run::Doing;
use super::scope;
use super::tasks;
use super::work::{Next, Work, check, condition, same, template};

impl Work<'_> {
    /// Begins the task at that place, unless its `if` is false or it is another run's turn.
    pub(super) fn enter(&mut self, lane: Lane, index: u32) {
        if lane.step != 0 && !self.run.steps.contains_key(&lane.step) {
            return; // The lane was ended by a task that ran before it.
        }
        let Some(list) = scope::list(&self.run, self.definition, lane) else {
            return;
        };
        let place = usize::try_from(index).unwrap_or(usize::MAX);
        let Some(task) = list.get(place).map(Arc::clone) else {
            self.queue.push(Next::Ended { lane });
            return;
        };
        if self.run.starts >= self.limits.task_starts {
            let limit = self.limits.task_starts;
            let error = FlowError::runtime(format!("the run has started more than {limit} tasks"));
            self.fault(error.at(&task.reference));
            return;
        }
        if self.is_full() {
            self.record(What::Paused { lane, index });
            return;
        }
        let raw = self.run.lane_data(lane);
        let mut scope = self.lane_scope(lane);
        scope.task = Some(scope::task(&task, &raw, None, self.now));
        match condition(task.condition.as_ref(), &raw, &scope, true) {
            Ok(true) => self.begin(lane, index, &task, &raw, &scope),
            Ok(false) => {
                let reference = Arc::clone(&task.reference);
                self.record(What::Skipped {
                    lane,
                    task: reference,
                    index,
                });
                self.follow(lane, index, Directive::Continue);
            }
            Err(error) => {
                let step = self.entered(lane, index, &task, None, None);
                self.queue.push(Next::Failed { step, error });
            }
        }
    }

    fn begin(&mut self, lane: Lane, index: u32, task: &Task, raw: &Data, scope: &Scope) {
        let prepared = self.prepare(task, raw, scope);
        let (input, deadline) = match prepared {
            Ok(prepared) => prepared,
            Err(error) => {
                let step = self.entered(lane, index, task, None, None);
                self.queue.push(Next::Failed { step, error });
                return;
            }
        };
        let changed = (!same(&input, raw)).then_some(input);
        let step = self.entered(lane, index, task, changed, deadline);
        if let Err(error) = tasks::begin(self, step) {
            self.queue.push(Next::Failed { step, error });
        }
    }

    fn prepare(
        &self,
        task: &Task,
        raw: &Data,
        scope: &Scope,
    ) -> Result<(Data, Option<Timestamp>), FlowError> {
        check(task.input.schema.as_ref(), raw)?;
        let input = template(task.input.from.as_ref(), raw, scope)?;
        self.fits("input", &input)?;
        let mut scope = scope.clone();
        scope.input = Some(input.clone());
        let span = task
            .timeout
            .as_ref()
            .map(|span| span.eval(&input, &scope))
            .transpose()?;
        Ok((input, span.map(|span| span.end(self.now))))
    }

    fn entered(
        &mut self,
        lane: Lane,
        index: u32,
        task: &Task,
        input: Option<Data>,
        deadline: Option<Timestamp>,
    ) -> u32 {
        let step = self.run.next_step;
        let mut iteration = String::new();
        let mut attempt = 1;
        if let Some(owner) = self.run.steps.get(&lane.step) {
            iteration.push_str(&owner.iteration);
            attempt = owner.attempt;
            match &owner.doing {
                Doing::For { index, .. } => iteration.extend([".", &index.to_string()]),
                Doing::Try {
                    attempt: number, ..
                } => attempt = *number,
                _ => {}
            }
        }
        let visits = self.run.visits(lane, index);
        if visits > 0 {
            iteration.extend(["~", &visits.to_string()]);
        }
        self.bytes += input.as_ref().map_or(0, Data::size);
        self.record(What::Entered(Entered {
            step,
            lane,
            index,
            task: Arc::clone(&task.reference),
            kind: kind_of(&task.kind),
            iteration: iteration.into(),
            attempt,
            input,
            deadline,
        }));
        step
    }

    /// A task's work is done: shape, check and export its output, then go where it says.
    pub(super) fn complete(&mut self, id: u32, raw: &Given, then: Option<Directive>) {
        let Some((step, task)) = self.step(id) else {
            return;
        };
        let raw = self.run.given(id, raw);
        match self.leave(id, &task, &raw) {
            Ok((output, context)) => {
                let given = self.give(&step, id, &output);
                self.bytes += context.as_ref().map_or(0, Data::size);
                self.record(What::TaskCompleted {
                    step: id,
                    output: given,
                    context,
                });
                self.follow(step.lane, step.index, then.unwrap_or(task.then));
            }
            Err(error) => self.queue.push(Next::Failed { step: id, error }),
        }
    }

    fn leave(
        &mut self,
        id: u32,
        task: &Task,
        raw: &Data,
    ) -> Result<(Data, Option<Data>), FlowError> {
        let step = self.run.steps.get(&id).cloned();
        let Some(step) = step else {
            return Ok((raw.clone(), None));
        };
        let plain = task.output.as_.is_none() && task.export.as_.is_none();
        if plain && task.output.schema.is_none() && task.export.schema.is_none() {
            self.fits("output", raw)?;
            return Ok((raw.clone(), None));
        }
        let mut scope = self.scope(&step, task);
        scope.task = Some(scope::task(task, &step.raw, Some(raw), step.started));
        let output = template(task.output.as_.as_ref(), raw, &scope)?;
        check(task.output.schema.as_ref(), &output)?;
        self.fits("output", &output)?;
        let context = match &task.export.as_ {
            None => None,
            Some(export) => {
                scope.output = Some(output.clone());
                let context = template(Some(export), &output, &scope)?;
                self.fits("context", &context)?;
                Some(context)
            }
        };
        check(
            task.export.schema.as_ref(),
            context.as_ref().unwrap_or(&self.run.context),
        )?;
        Ok((output, context))
    }

    /// Goes on in a lane after its task at `index`.
    pub(super) fn follow(&mut self, lane: Lane, index: u32, directive: Directive) {
        let in_fork = self
            .run
            .steps
            .get(&lane.step)
            .is_some_and(|owner| matches!(owner.doing, Doing::Fork { .. }));
        match directive {
            Directive::End => {
                let output = self.run.lane_data(lane);
                self.finish(&output);
            }
            // A branch is one task: wherever it wants to go, the branch has ended.
            Directive::Exit => self.queue.push(Next::Ended { lane }),
            Directive::Continue | Directive::Goto(_) if in_fork => {
                self.queue.push(Next::Ended { lane });
            }
            Directive::Continue => {
                self.queue.push(Next::Enter {
                    lane,
                    index: index.saturating_add(1),
                });
            }
            Directive::Goto(to) => {
                let index = u32::try_from(to).unwrap_or(u32::MAX);
                self.queue.push(Next::Enter { lane, index });
            }
        }
    }

    /// A lane has no further task: its owner goes on.
    pub(super) fn lane_ended(&mut self, lane: Lane) {
        if lane.step == 0 {
            let output = self.run.lane_data(lane);
            self.finish(&output);
            return;
        }
        let Some((owner, task)) = self.step(lane.step) else {
            return;
        };
        let (step, raw) = (lane.step, Given::Lane(lane.slot));
        match (&owner.doing, &task.kind) {
            (Doing::For { index, .. }, _) => {
                let index = index.saturating_add(1);
                self.queue.push(Next::Iterate {
                    step,
                    index,
                    input: raw,
                });
            }
            (Doing::Fork { .. }, Kind::Fork(fork)) => {
                tasks::fork::branch_done(self, step, lane.slot, fork);
            }
            (_, Kind::Try(tried)) if lane.slot == Lane::CATCH => {
                self.queue.push(Next::Raw {
                    step,
                    raw,
                    then: tried.catch.then,
                });
            }
            _ => self.queue.push(Next::Raw {
                step,
                raw,
                then: None,
            }),
        }
    }

    /// A task failed: what is inside it ends, and whoever is around it decides.
    pub(super) fn fail(&mut self, id: u32, error: FlowError) {
        let Some((step, task)) = self.step(id) else {
            return;
        };
        let error = error.at(&task.reference);
        self.cancel_below(id);
        self.record(What::TaskFaulted {
            step: id,
            error: error.clone(),
        });
        let parent = step.lane.step;
        let Some((owner, around)) = self.step(parent) else {
            self.fault(error);
            return;
        };
        match (&owner.doing, &around.kind) {
            (Doing::Fork { .. }, Kind::Fork(fork)) => {
                tasks::fork::branch_failed(self, parent, step.lane.slot, fork, error);
            }
            (Doing::Try { .. }, Kind::Try(tried)) if step.lane.slot != Lane::CATCH => {
                self.caught(parent, tried, error);
            }
            _ => self.queue.push(Next::Failed {
                step: parent,
                error,
            }),
        }
    }
}

const fn kind_of(kind: &Kind) -> StepKind {
    match kind {
        Kind::Do(_) => StepKind::Do,
        Kind::For(_) => StepKind::For,
        Kind::Fork(_) => StepKind::Fork,
        Kind::Try(_) => StepKind::Try,
        Kind::Call(_) => StepKind::Call,
        Kind::Wait(_) => StepKind::Wait,
        Kind::Set(_)
        | Kind::Switch(_)
        | Kind::Raise(_)
        | Kind::Listen(_)
        | Kind::Emit(_)
        | Kind::Run(_) => StepKind::Instant,
    }
}
