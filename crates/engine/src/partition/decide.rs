//! [pure] What follows from an input: its events, the actions they ask for, and the reply.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use taraf_base::Timestamp;
use taraf_flow::{Data, Definition, FlowError, Kind};
use taraf_log::blob;
use taraf_log::machine::Decision;

use super::action::{Action, Purpose, Wake};
use super::event::{Begun, Event, Given, Lane, Outcome, What};
use super::input::{Begin, Control, Input, Reply};
use super::machine::{Partition, look_with};
use super::run::{Doing, Run};
use super::state::key_of;
use super::work::{Next, Work, check, same, template};
use crate::{FlowId, RunId};

/// Runs forgotten by one sweep.
const SWEEP_MAX: usize = 1_000;
/// Steps whose end is told one by one when a run is ended from outside.
const CANCELLED_MAX: usize = 10_000;
/// Cancelled runs say by whom.
const BY_A_PERSON: &str = "cancelled on request";

type Decided = Decision<Partition>;

impl Partition {
    pub(super) fn decide_input(&self, input: Input, now: Timestamp) -> Decided {
        match input {
            Input::Start(begin) => self.start(*begin, now),
            Input::Outcome {
                run,
                step,
                outcome,
                began,
                ended,
            } => self.on_run(run, now, |work| answered(work, step, outcome, began, ended)),
            Input::TimerDue {
                run,
                step,
                purpose,
                due,
            } => self.on_run(run, now, |work| timer(work, step, purpose, due)),
            Input::Continue(run) => self.on_run(run, now, next_turn),
            Input::Fault(run, error) => self.fault(run, error),
            Input::Control(run, control) => self.control(run, control, now),
            Input::Sweep => self.sweep(now),
            Input::Remove(run) => match self.state.runs.get(&run).map(|run| run.ended.is_some()) {
                None => reply(Reply::NotFound),
                Some(false) => reply(Reply::NotPossible(crate::Status::Running)),
                Some(true) => removed(std::iter::once(run), Reply::Done),
            },
            Input::Moved(runs) => self.moved(runs),
        }
    }

    fn start(&self, begin: Begin, now: Timestamp) -> Decided {
        if let Some(known) = self.known(&begin) {
            return reply(known);
        }
        if let Some(run) = self.state.runs.get(&begin.id) {
            return reply(Reply::Started {
                id: run.id,
                existing: true,
            });
        }
        if let Some(what) = self.overloaded() {
            return reply(Reply::Overloaded(what));
        }
        let Some(definition) = self.definitions.definition(&begin.hash) else {
            return reply(Reply::NotFound);
        };
        let id = begin.id;
        let begun = Arc::new(Begun {
            flow: begin.flow,
            hash: begin.hash.into(),
            raw: begin.input,
            input: None,
            owner: begin.owner,
            key: begin.key,
            traceparent: begin.traceparent,
            deadline: None,
        });
        let empty = Run::new(id, Arc::clone(&begun), now);
        let done = self.guarded(&empty, &definition, now, |work| first_steps(work, &begun));
        let mut decided = done.unwrap_or_else(|error| {
            let mut after = empty.clone();
            let faulted = What::Faulted { error };
            after.evolve(&faulted, now);
            let what = [What::Started(Arc::clone(&begun)), faulted];
            Decision {
                events: what.map(|what| Event { run: id, what }).into(),
                actions: vec![Action::Ended(Box::new(after))],
                reply: Reply::Done,
            }
        });
        decided.reply = Reply::Started {
            id,
            existing: false,
        };
        decided
    }

    /// What the key of a start says, when another start may have used it.
    fn known(&self, begin: &Begin) -> Option<Reply> {
        let key = key_of(begin.owner.as_deref(), begin.key.as_deref())?;
        let Some(&existing) = self.state.keys.get(&key) else {
            let look_again = self.state.has_forgotten_since(begin.moved);
            return look_again.then_some(Reply::LookAgain);
        };
        Some(match self.state.runs.get(&existing) {
            Some(run) if begin.is_same(&run.begun.flow, &self.opened(&run).0.begun.raw) => {
                Reply::Started {
                    id: existing,
                    existing: true,
                }
            }
            Some(_) => Reply::KeyConflict { existing },
            None if begin.expired == Some(existing) => return None,
            None => Reply::Moved { existing },
        })
    }

    /// Works on a run that has not ended.
    fn on_run(
        &self,
        id: RunId,
        now: Timestamp,
        what: impl FnOnce(&mut Work<'_>) -> Reply,
    ) -> Decided {
        let Some(run) = self.state.runs.get(&id) else {
            return reply(Reply::NotFound);
        };
        if run.ended.is_some() {
            return reply(Reply::Late);
        }
        let Some(definition) = self.definitions.definition(&run.begun.hash) else {
            let error = FlowError::configuration("the definition that the run follows is missing");
            return ended(&run, What::Faulted { error });
        };
        let (opened, looking) = self.opened(&run);
        let decided = self.guarded(&opened, &definition, now, what);
        if let Some(error) = looking.as_ref().and_then(|looking| looking.failed()) {
            return unreadable(&run, error);
        }
        let mut decided = decided.unwrap_or_else(|error| ended(&opened, What::Faulted { error }));
        look_with(looking.as_ref(), decided.actions.iter_mut());
        decided
    }

    /// Does the work. A panic or a rest without a reason to wake is an error of the run alone.
    fn guarded(
        &self,
        run: &Run,
        definition: &Definition,
        now: Timestamp,
        what: impl FnOnce(&mut Work<'_>) -> Reply,
    ) -> Result<Decided, FlowError> {
        let work = || {
            let mut work = Work::new(run.clone(), definition, &self.settings.limits, now);
            let reply = what(&mut work);
            work.go_on();
            (work, reply)
        };
        let Ok((work, reply)) = catch_unwind(AssertUnwindSafe(work)) else {
            return Err(FlowError::runtime(
                "internal: deciding what follows panicked",
            ));
        };
        let after = &work.run;
        // Invariant: see `Run::wakes`.
        if after.ended.is_none() && after.suspended.is_none() && after.wakes().is_empty() {
            return Err(FlowError::runtime(
                "internal: nothing would wake the run any more",
            ));
        }
        let mut actions = work.actions(run);
        if after.ended.is_some() {
            actions.push(Action::Ended(Box::new(work.run)));
        }
        Ok(Decision {
            events: work.events,
            actions,
            reply,
        })
    }

    fn control(&self, id: RunId, control: Control, now: Timestamp) -> Decided {
        let Some(run) = self.state.runs.get(&id) else {
            return reply(Reply::NotFound);
        };
        if run.ended.is_some() {
            return reply(Reply::NotPossible(run.status()));
        }
        match control {
            // Needs no definition, so that every run can be ended.
            Control::Cancel => ended(
                &run,
                What::Cancelled {
                    why: BY_A_PERSON.to_owned(),
                },
            ),
            Control::Suspend if run.suspended.is_some() => reply(Reply::Done),
            Control::Suspend => self.on_run(id, now, |work| {
                work.record(What::Suspended);
                Reply::Done
            }),
            Control::Resume if run.suspended.is_none() => reply(Reply::NotPossible(run.status())),
            Control::Resume => self.on_run(id, now, resume),
        }
    }

    /// Ends a run that cannot go on, whatever it does and whether it is held.
    fn fault(&self, id: RunId, error: FlowError) -> Decided {
        match self.state.runs.get(&id) {
            None => reply(Reply::NotFound),
            Some(run) if run.ended.is_some() => reply(Reply::Late),
            Some(run) => ended(
                &run,
                What::Faulted {
                    error: error.with("workflow", id.to_string()),
                },
            ),
        }
    }

    /// What there is too much of for another run.
    fn overloaded(&self) -> Option<&'static str> {
        let (limits, state) = (&self.settings.limits, &self.state);
        if state.live() >= limits.live_runs {
            return Some("too many runs are alive");
        }
        if state.live_bytes() >= limits.live_bytes {
            return Some("the runs that are alive take too much memory");
        }
        let is_kept = state.ended_bytes() >= limits.ended_bytes;
        (is_kept && self.settings.archives).then_some("too many finished runs wait for the archive")
    }

    fn moved(&self, runs: Vec<RunId>) -> Decided {
        let has_ended = |id: &RunId| {
            self.state
                .runs
                .get(id)
                .is_some_and(|run| run.ended.is_some())
        };
        let moved = runs.into_iter().filter(has_ended);
        let events = moved.map(|run| Event {
            run,
            what: What::Moved,
        });
        Decision {
            events: events.collect(),
            actions: Vec::new(),
            reply: Reply::Done,
        }
    }

    fn sweep(&self, now: Timestamp) -> Decided {
        let over = self.state.ended.len().saturating_sub(self.settings.keep);
        let old = |at: &Timestamp| now.since(*at) >= self.settings.keep_for;
        let runs = self.state.ended.iter().enumerate();
        let mut runs = runs.take_while(|(n, (at, _))| *n < over || old(at));
        let now: Vec<RunId> = runs
            .by_ref()
            .take(SWEEP_MAX)
            .map(|(_, (_, run))| *run)
            .collect();
        let more = runs.next().is_some();
        removed(now.into_iter(), Reply::Swept { more })
    }
}

fn reply(reply: Reply) -> Decided {
    Decision {
        events: Vec::new(),
        actions: Vec::new(),
        reply,
    }
}

fn removed(runs: impl Iterator<Item = RunId>, reply: Reply) -> Decided {
    let events = runs
        .map(|run| Event {
            run,
            what: What::Removed,
        })
        .collect();
    Decision {
        events,
        actions: Vec::new(),
        reply,
    }
}

/// A payload of the run cannot be had: what is lost ends it, what may come back is waited for. Nothing
/// that was decided without it counts.
fn unreadable(run: &Run, error: &blob::Error) -> Decided {
    match error {
        blob::Error::Missing(_) | blob::Error::Damaged(..) | blob::Error::TooLarge { .. } => {
            let error = FlowError::runtime(error.to_string());
            let error = error.with("workflow", run.id.to_string());
            ended(run, What::Faulted { error })
        }
        _ => reply(Reply::TryAgain),
    }
}

/// Ends a run whatever it does, without asking its definition. The group always fits: of very many
/// steps only the end of the run tells.
fn ended(run: &Run, how: What) -> Decided {
    let mut after = run.clone();
    let mut events = Vec::new();
    let steps = if run.steps.len() <= CANCELLED_MAX {
        run.below(0)
    } else {
        Vec::new()
    };
    let cancelled = steps.into_iter().map(|step| What::TaskCancelled { step });
    for what in cancelled.chain(std::iter::once(how)) {
        after.evolve(&what, run.updated);
        events.push(Event { run: run.id, what });
    }
    let wakes = run.wakes().into_iter();
    let mut actions: Vec<Action> = wakes.filter_map(|wake| run.give_up(wake, &after)).collect();
    actions.push(Action::Ended(Box::new(after)));
    Decision {
        events,
        actions,
        reply: Reply::Done,
    }
}

impl Begin {
    /// Whether a run of this flow and input is what this would begin.
    pub(crate) fn is_same(&self, flow: &FlowId, input: &Data) -> bool {
        flow.namespace == self.flow.namespace
            && flow.name == self.flow.name
            && (!self.versioned || flow.version == self.flow.version)
            && *input == self.input
    }
}

impl Run {
    /// What is to be done about a wake that is not needed any more.
    pub(super) fn give_up(&self, wake: Wake, after: &Self) -> Option<Action> {
        let run = self.id;
        match wake {
            // A call that answered is still a step while the run is held.
            Wake::Call { step } if after.steps.contains_key(&step) => None,
            Wake::Call { step } => Some(Action::CancelCall { run, step }),
            Wake::Timer { step, purpose, due } => Some(Action::ClearTimer {
                run,
                step,
                purpose,
                due,
            }),
            Wake::Continue { .. } => None,
        }
    }
}

fn first_steps(work: &mut Work<'_>, raw: &Arc<Begun>) -> Reply {
    let mut begun = Begun::clone(raw);
    let input = begin_input(work, &mut begun);
    let begun = Arc::new(begun);
    let (id, now) = (work.run.id, work.now);
    work.run = Run::new(id, Arc::clone(&begun), now);
    work.events.push(Event {
        run: id,
        what: What::Started(begun),
    });
    match input {
        Ok(()) => work.queue.push(Next::Enter {
            lane: Lane::ROOT,
            index: 0,
        }),
        Err(error) => work.fault(error.at("/input")),
    }
    Reply::Done
}

fn begin_input(work: &mut Work<'_>, begun: &mut Begun) -> Result<(), FlowError> {
    let definition = work.definition;
    work.fits("input", &begun.raw)?;
    check(definition.input.schema.as_ref(), &begun.raw)?;
    let mut scope = work.lane_scope(Lane::ROOT);
    scope.context = None;
    let input = template(definition.input.from.as_ref(), &begun.raw, &scope)?;
    work.fits("input", &input)?;
    let span = definition
        .timeout
        .as_ref()
        .map(|span| span.eval(&input, &scope))
        .transpose()?;
    begun.deadline = span.map(|span| span.end(work.now));
    begun.input = (!same(&input, &begun.raw)).then_some(input);
    Ok(())
}

fn answered(
    work: &mut Work<'_>,
    step: u32,
    outcome: Outcome,
    began: Timestamp,
    ended: Timestamp,
) -> Reply {
    let waits = |state: &super::run::Step| {
        matches!(
            state.doing,
            Doing::Call {
                answer: None,
                key: Some(_),
                ..
            }
        )
    };
    if !work.run.steps.get(&step).is_some_and(waits) {
        return Reply::Late;
    }
    let outcome = match outcome {
        Outcome::Ok(data) => match work.fits("answer", &data) {
            Ok(()) => Outcome::Ok(data),
            Err(error) => Outcome::Err(error),
        },
        failed @ (Outcome::Err(_) | Outcome::Unsent(_)) => failed,
    };
    work.record(What::Answered {
        step,
        outcome,
        began,
        ended,
    });
    if work.run.suspended.is_none() {
        go_on_after_call(work, step);
    }
    Reply::Done
}

fn go_on_after_call(work: &mut Work<'_>, step: u32) {
    let Some(state) = work.run.steps.get(&step) else {
        return;
    };
    if let Doing::Call {
        answer: Some(answer),
        ..
    } = &state.doing
    {
        let next = match answer {
            Outcome::Ok(_) => Next::Raw {
                step,
                raw: Given::Answer,
                then: None,
            },
            Outcome::Err(error) | Outcome::Unsent(error) => Next::Failed {
                step,
                error: error.clone(),
            },
        };
        work.queue.push(next);
    }
}

fn next_turn(work: &mut Work<'_>) -> Reply {
    if work.run.suspended.is_some() {
        return Reply::Late;
    }
    let paused = work.run.paused.iter().rev();
    let next = paused.map(|(&lane, &index)| Next::Enter { lane, index });
    work.queue.extend(next);
    Reply::Done
}

fn resume(work: &mut Work<'_>) -> Reply {
    let since = work.run.suspended.unwrap_or(work.now);
    let held = u64::try_from(work.now.since(since).as_millis()).unwrap_or(u64::MAX);
    work.record(What::Resumed { held });
    let steps: Vec<u32> = work.run.steps.keys().rev().copied().collect();
    for step in steps {
        go_on_after_call(work, step);
    }
    Reply::Done
}

fn timer(work: &mut Work<'_>, step: u32, purpose: Purpose, due: Timestamp) -> Reply {
    let came = Wake::Timer { step, purpose, due };
    if !work.run.wakes().contains(&came) {
        return Reply::Late;
    }
    work.came = Some(came);
    if step == 0 {
        let error = FlowError::timeout("the run took longer than its timeout");
        work.fault(error.at("/timeout"));
        return Reply::Done;
    }
    let Some((state, task)) = work.step(step) else {
        return Reply::Late;
    };
    match (purpose, &state.doing, &task.kind) {
        (Purpose::Timeout, _, _) => {
            let error = FlowError::timeout("the task took longer than its timeout");
            work.queue.push(Next::Failed { step, error });
        }
        (Purpose::AttemptTimeout, _, Kind::Try(tried)) => {
            work.cancel_below(step);
            let error = FlowError::timeout("the attempt took longer than it may");
            work.caught(step, tried, error.at(&task.reference));
        }
        (Purpose::Delay, Doing::Wait { .. }, _) => {
            work.queue.push(Next::Raw {
                step,
                raw: Given::Input,
                then: None,
            });
        }
        (Purpose::Delay, _, Kind::Try(tried)) => work.retry(step, tried),
        _ => return Reply::Late,
    }
    Reply::Done
}

#[cfg(test)]
mod tests;
