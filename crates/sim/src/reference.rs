//! [pure] A naive interpreter of flows: a recursion over the definition, without log, events, time or faults.
//! It shares no code with the partition; what only chance could decide it is told.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use taraf_engine::RunId;
use taraf_engine::partition::{BranchOutcome, CallClass, Outcome, What};
use taraf_flow::tasks::{Case, For, Fork, Try};
use taraf_flow::{
    Data, Definition, Directive, Expression, FlowError, Kind, Scope, Task, TaskList, Template,
};

use crate::service;

/// How a run must end.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum End {
    Completed(Data),
    Faulted(FlowError),
}

/// What the history alone can tell: in which order branches ended, which calls stayed uncertain.
#[derive(Default)]
struct Told {
    /// Steps in the order in which they began, by where: the step around, its lane, the place.
    steps: BTreeMap<(u32, u32, u32), VecDeque<u32>>,
    /// Branches of a fork in the order in which they ended, and whether well.
    joined: BTreeMap<u32, Vec<(u32, bool)>>,
    /// At-most-once calls that may or may not have been made, or must not be made again.
    uncertain: BTreeMap<u32, FlowError>,
    /// At-most-once calls that were made or may have been: step and effect key.
    spent: Vec<(u32, String)>,
}

/// Why the recursion leaves a list early.
enum Leave {
    /// The run is completed with this.
    End(Data),
    Error(FlowError),
    /// The history does not hold what must have happened.
    Missing(String),
}

impl From<FlowError> for Leave {
    fn from(error: FlowError) -> Self {
        Self::Error(error)
    }
}

impl From<taraf_flow::ExpressionError> for Leave {
    fn from(error: taraf_flow::ExpressionError) -> Self {
        Self::Error(error.into())
    }
}

struct Walk<'a> {
    run: RunId,
    told: Told,
    context: Data,
    locals: Vec<(Arc<str>, Data)>,
    /// The outermost `try` around.
    outermost: Option<u32>,
    definition: &'a Definition,
}

/// A task's surroundings that its calls are named by.
#[derive(Clone)]
struct Around {
    step: u32,
    slot: u32,
    iteration: String,
    attempt: u32,
}

/// How the run of that history must have ended, or what its history lacks.
pub(crate) fn expected(
    run: RunId,
    definition: &Definition,
    input: &Data,
    history: &[What],
) -> Result<End, String> {
    let mut walk = Walk {
        run,
        told: Told::new(history),
        context: Data::object(),
        locals: Vec::new(),
        outermost: None,
        definition,
    };
    let around = Around {
        step: 0,
        slot: 0,
        iteration: String::new(),
        attempt: 1,
    };
    match walk.list(&walk.definition.tasks, input.clone(), &around) {
        Ok(output) | Err(Leave::End(output)) => Ok(End::Completed(output)),
        Err(Leave::Error(error)) => Ok(End::Faulted(error)),
        Err(Leave::Missing(what)) => Err(what),
    }
}

impl Told {
    fn new(history: &[What]) -> Self {
        let mut told = Self::default();
        for what in history {
            match what {
                What::Entered(entered) => {
                    let place = (entered.lane.step, entered.lane.slot, entered.index);
                    told.steps.entry(place).or_default().push_back(entered.step);
                }
                What::Joined {
                    step,
                    branch,
                    outcome,
                } => {
                    let is_done = matches!(outcome, BranchOutcome::Done);
                    told.joined
                        .entry(*step)
                        .or_default()
                        .push((*branch, is_done));
                }
                What::Scheduled {
                    step,
                    class: CallClass::AtMostOnce,
                    key,
                    ..
                } => told.spent.push((*step, key.as_ref().to_owned())),
                What::Answered {
                    step,
                    outcome: Outcome::Err(error),
                    ..
                }
                | What::TaskFaulted { step, error }
                    if error.type_.ends_with("uncertain") =>
                {
                    told.uncertain.insert(*step, error.clone());
                }
                _ => {}
            }
        }
        told
    }
}

impl Walk<'_> {
    fn scope(&self) -> Scope {
        Scope {
            context: Some(self.context.clone()),
            locals: self.locals.clone(),
            ..Scope::default()
        }
    }

    fn list(&mut self, list: &TaskList, input: Data, around: &Around) -> Result<Data, Leave> {
        let (mut data, mut at) = (input, 0);
        while let Some(task) = list.get(at) {
            let index = u32::try_from(at).unwrap_or(u32::MAX);
            let (output, then) = self.task(task, index, data, around)?;
            data = output;
            match then {
                Directive::Continue => at += 1,
                Directive::Goto(to) => at = to,
                Directive::Exit => break,
                Directive::End => return Err(Leave::End(data)),
            }
        }
        Ok(data)
    }

    /// One task: its output, and where to go.
    fn task(
        &mut self,
        task: &Task,
        index: u32,
        raw: Data,
        around: &Around,
    ) -> Result<(Data, Directive), Leave> {
        let scope = self.scope();
        let begins = holds(task.condition.as_ref(), &raw, &scope, true);
        if matches!(begins, Ok(false)) {
            return Ok((raw, Directive::Continue));
        }
        let place = (around.step, around.slot, index);
        let step = self
            .told
            .steps
            .get_mut(&place)
            .and_then(VecDeque::pop_front);
        let Some(step) = step else {
            let what = format!("{}{} was never begun", task.reference, around.iteration);
            return Err(Leave::Missing(what));
        };
        let inside = Around {
            step,
            slot: 0,
            ..around.clone()
        };
        let done = begins
            .map_err(Leave::from)
            .and_then(|_true| self.work(task, raw, &inside));
        done.map_err(|leave| match leave {
            Leave::Error(error) => Leave::Error(error.at(&task.reference)),
            other => other,
        })
    }

    fn work(
        &mut self,
        task: &Task,
        raw: Data,
        inside: &Around,
    ) -> Result<(Data, Directive), Leave> {
        let mut scope = self.scope();
        let input = shaped(task.input.from.as_ref(), raw, &scope)?;
        scope.input = Some(input.clone());
        let (output, then) = self.kind(task, &input, &scope, inside)?;
        // The context may have changed inside.
        let mut scope = self.scope();
        scope.input = Some(input);
        let output = shaped(task.output.as_.as_ref(), output, &scope)?;
        if let Some(export) = &task.export.as_ {
            scope.output = Some(output.clone());
            self.context = export.eval(&output, &scope)?;
        }
        Ok((output, then.unwrap_or(task.then)))
    }

    fn kind(
        &mut self,
        task: &Task,
        input: &Data,
        scope: &Scope,
        inside: &Around,
    ) -> Result<(Data, Option<Directive>), Leave> {
        let output = match &task.kind {
            Kind::Set(template) => template.eval(input, scope)?,
            Kind::Do(list) => self.list(list, input.clone(), inside)?,
            Kind::Wait(_) => input.clone(),
            Kind::Raise(raised) => {
                let document = raised.template.eval(input, scope)?;
                let error = FlowError::from_data(&document);
                return Err(error.unwrap_or_else(|mistake| mistake).into());
            }
            Kind::Switch(cases) => return Ok((input.clone(), case(cases, input, scope)?)),
            Kind::Call(_) => self.call(task, inside)?,
            Kind::For(each) => self.each(each, input, scope, inside)?,
            Kind::Fork(fork) => self.fork(fork, input, inside)?,
            Kind::Try(tried) => return self.tried(tried, input, inside),
            Kind::Listen(_) | Kind::Emit(_) | Kind::Run(_) => {
                return Err(Leave::Missing(format!("{} is not made", task.reference)));
            }
        };
        Ok((output, None))
    }

    fn call(&self, task: &Task, inside: &Around) -> Result<Data, Leave> {
        if let Some(error) = self.told.uncertain.get(&inside.step) {
            return Err(error.clone().into());
        }
        let key = format!("{}{}{}", self.run, task.reference, inside.iteration);
        Ok(service::answer(&key, inside.attempt)?)
    }

    fn each(
        &mut self,
        each: &For,
        input: &Data,
        scope: &Scope,
        inside: &Around,
    ) -> Result<Data, Leave> {
        let mut data = input.clone();
        for (index, item) in each.in_.eval_items(input, scope)?.into_iter().enumerate() {
            let depth = self.locals.len();
            self.locals
                .push((Arc::clone(&each.at), Data::from(serde_json::json!(index))));
            self.locals.push((Arc::clone(&each.each), item));
            let mut scope = self.scope();
            scope.input = Some(input.clone());
            let goes_on = holds(each.while_.as_ref(), &data, &scope, true);
            let around = Around {
                iteration: format!("{}.{index}", inside.iteration),
                ..inside.clone()
            };
            let done = match goes_on {
                Ok(true) => self.list(&each.tasks, data.clone(), &around).map(Some),
                Ok(false) => Ok(None),
                Err(error) => Err(error.into()),
            };
            self.locals.truncate(depth);
            match done? {
                Some(output) => data = output,
                None => break,
            }
        }
        Ok(data)
    }

    fn fork(&mut self, fork: &Fork, input: &Data, inside: &Around) -> Result<Data, Leave> {
        let joined = self.told.joined.remove(&inside.step).unwrap_or_default();
        let decides = |(_, is_done): &&(u32, bool)| *is_done == fork.compete;
        let decisive = joined.iter().find(decides);
        // The branch that decided; in a competition that all lost, the one that lost last.
        let decisive = decisive.or_else(|| joined.last().filter(|_| fork.compete));
        if let Some((branch, is_done)) = decisive {
            let output = self.branch(fork, *branch, input, inside);
            return match (output, is_done) {
                (Ok(_), false) => Err(Leave::Missing("a branch ended well".to_owned())),
                (Err(Leave::Error(error)), true) => {
                    Err(Leave::Missing(format!("a branch failed: {error}")))
                }
                (output, _) => output,
            };
        }
        let count = u32::try_from(fork.branches.len()).unwrap_or(u32::MAX);
        if joined.len() < fork.branches.len() {
            return Err(Leave::Missing("a fork has not ended".to_owned()));
        }
        let mut outputs = Vec::new();
        for branch in 0..count {
            outputs.push(self.branch(fork, branch, input, inside)?);
        }
        Ok(Data::array(outputs))
    }

    fn branch(
        &mut self,
        fork: &Fork,
        branch: u32,
        input: &Data,
        inside: &Around,
    ) -> Result<Data, Leave> {
        let around = Around {
            slot: branch,
            ..inside.clone()
        };
        let place = usize::try_from(branch).unwrap_or(usize::MAX);
        let Some(task) = fork.branches.get(place).map(Arc::clone) else {
            return Err(Leave::Missing(format!("there is no branch {branch}")));
        };
        let (output, _) = self.task(&task, branch, input.clone(), &around)?;
        Ok(output)
    }

    fn tried(
        &mut self,
        tried: &Try,
        input: &Data,
        inside: &Around,
    ) -> Result<(Data, Option<Directive>), Leave> {
        let around = self.outermost;
        self.outermost = around.or(Some(inside.step));
        let done = self.attempts(tried, input, inside);
        self.outermost = around;
        done
    }

    /// Whether an at-most-once call of the task that failed was made, in this attempt or before.
    fn is_spent(&self, error: &FlowError, step: u32) -> bool {
        let place = error.instance.as_deref().unwrap_or_default();
        let place = format!("{}{place}", self.run);
        let next = self.told.steps.get(&(step, 0, 0)).and_then(VecDeque::front);
        let from = self.outermost.unwrap_or(step);
        let is_of = |(made, key): &(u32, String)| {
            let rest = key.strip_prefix(place.as_str());
            let is_before = *made > from && next.is_none_or(|next| made < next);
            is_before && rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        };
        self.told.spent.iter().any(is_of)
    }

    fn attempts(
        &mut self,
        tried: &Try,
        input: &Data,
        inside: &Around,
    ) -> Result<(Data, Option<Directive>), Leave> {
        let mut attempt = 1;
        loop {
            let around = Around {
                attempt,
                ..inside.clone()
            };
            let error = match self.list(&tried.tasks, input.clone(), &around) {
                Err(Leave::Error(error)) => error,
                Ok(output) => return Ok((output, None)),
                Err(other) => return Err(other),
            };
            let catch = &tried.catch;
            if catch
                .errors
                .as_ref()
                .is_some_and(|filter| !filter.matches(&error))
            {
                return Err(error.into());
            }
            let retries = catch.retry.as_ref().and_then(|policy| policy.count);
            // A task whose at-most-once call was made cannot be tried again.
            let is_spent = self.is_spent(&error, inside.step);
            if !is_spent && retries.is_some_and(|count| attempt <= count) {
                attempt += 1;
                continue;
            }
            let Some(handler) = &catch.tasks else {
                // An exhausted retry never passes silently; without one the error is swallowed.
                return match catch.retry {
                    Some(_) => Err(error.into()),
                    None => Ok((input.clone(), catch.then)),
                };
            };
            let depth = self.locals.len();
            self.locals.push((Arc::clone(&catch.as_), error.to_data()));
            let around = Around {
                slot: 1,
                attempt,
                ..inside.clone()
            };
            let handled = self.list(handler, input.clone(), &around);
            self.locals.truncate(depth);
            return Ok((handled?, catch.then));
        }
    }
}

fn case(cases: &[Case], input: &Data, scope: &Scope) -> Result<Option<Directive>, Leave> {
    for case in cases {
        if case.when.is_some() && holds(case.when.as_ref(), input, scope, false)? {
            return Ok(Some(case.then));
        }
    }
    let default = cases.iter().rev().find(|case| case.when.is_none());
    Ok(default.map(|case| case.then))
}

fn shaped(template: Option<&Template>, data: Data, scope: &Scope) -> Result<Data, FlowError> {
    match template {
        None => Ok(data),
        Some(template) => Ok(template.eval(&data, scope)?),
    }
}

fn holds(
    condition: Option<&Expression>,
    data: &Data,
    scope: &Scope,
    absent: bool,
) -> Result<bool, FlowError> {
    match condition {
        None => Ok(absent),
        Some(condition) => Ok(condition.eval_condition(data, scope)?),
    }
}
