//! [pure] What performs a partition's actions: timers, calls, and inputs that are insisted on, as the
//! engine's own drivers do, on the simulation's time.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use taraf_base::Timestamp;
use taraf_engine::RunId;
use taraf_engine::partition::{
    Action, Event as RunEvent, Input, Insist, Insistence, Outcome, Reply, Timers, Wake,
};
use taraf_flow::{Data, FlowError};
use taraf_log::machine::{Class, ProposeError};

use crate::bug::Bug;
use crate::context::{Answer, Context};
use crate::event::{Ask, Event, Lead, OnWire, Run};
use crate::planted::{Planted, Strings};
use crate::seat::{Driver, Owner, Seat};
use crate::service;

/// A leader of runs.
pub(crate) type RunSeat = Seat<Planted, Runs>;

/// What one leader has under way.
pub(crate) struct Runs {
    pub(crate) strings: Arc<Strings>,
    timers: Timers,
    /// The newest look at the timers; older ones are void.
    look: u64,
    /// Inputs of due timers: the next are taken when these were.
    due: BTreeSet<u64>,
    calls: BTreeMap<u64, OnWire>,
    places: BTreeMap<(RunId, u32), u64>,
    insists: BTreeMap<u64, Insistence>,
    next: u64,
}

impl Runs {
    pub(crate) fn new(strings: Arc<Strings>) -> Self {
        Self {
            strings,
            timers: Timers::default(),
            look: 0,
            due: BTreeSet::new(),
            calls: BTreeMap::new(),
            places: BTreeMap::new(),
            insists: BTreeMap::new(),
            next: 0,
        }
    }

    fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    fn insist(&mut self, context: &mut Context, of: Owner, input: Input) -> u64 {
        let id = self.number();
        let rng = context.dice.split();
        self.insists.insert(id, Insistence::new(input, rng));
        let delay = context.dice.latency(50);
        context.after(delay, of.event(Lead::Run(Run::Propose(id))));
        id
    }

    fn look_at_timers(&mut self, context: &mut Context, of: Owner, after: Duration) {
        self.look += 1;
        let delay = u64::try_from(after.as_micros()).unwrap_or(u64::MAX);
        context.after(delay.max(1), of.event(Lead::Run(Run::Timers(self.look))));
    }

    fn taken(&mut self, context: &mut Context, of: Owner, id: u64) {
        self.insists.remove(&id);
        if self.due.remove(&id) && self.due.is_empty() {
            self.look_at_timers(context, of, Duration::ZERO);
        }
    }

    fn timers(&mut self, context: &mut Context, of: Owner) {
        if !self.due.is_empty() {
            return;
        }
        let (due, rest) = self.timers.take_due(context.wall());
        for (due, run, step, purpose) in due {
            let input = Input::TimerDue {
                run,
                step,
                purpose,
                due,
            };
            let id = self.insist(context, of, input);
            self.due.insert(id);
        }
        if let (true, Some(rest)) = (self.due.is_empty(), rest) {
            self.look_at_timers(context, of, rest);
        }
    }

    fn call(&mut self, context: &mut Context, of: Owner, call: &taraf_engine::partition::Call) {
        let id = self.number();
        let on_wire = OnWire {
            process: of.process,
            lead: of.lead,
            call: id,
            run: call.run,
            step: call.step,
            attempt: call.attempt,
            key: call.key.as_ref().to_owned(),
        };
        self.places.insert((call.run, call.step), id);
        self.calls.insert(id, on_wire);
        let delay = context.dice.latency(500);
        context.after(delay, of.event(Lead::Run(Run::Send(id))));
    }

    fn send(&self, context: &mut Context, id: u64) {
        // Given up before it went out.
        if let Some(call) = self.calls.get(&id) {
            let delay = context.dice.latency(3_000);
            context.after(delay, Event::Execute(Box::new(call.clone())));
        }
    }

    fn answered(&mut self, context: &mut Context, of: Owner, call: &OnWire) {
        let now = context.wall();
        if self.calls.remove(&call.call).is_none() {
            // Given up, or told once more: late, and it must change nothing. What it says is wrong,
            // so that it would be seen if it did.
            if context.has_answered(call.run, call.step) {
                let wrong = Outcome::Ok(Data::string("an outcome that came too late"));
                self.insist(context, of, outcome(call, wrong, now));
            }
            return;
        }
        self.places.remove(&(call.run, call.step));
        let answer = match service::answer(&call.key, call.attempt) {
            Ok(data) => Outcome::Ok(data),
            Err(error) => Outcome::Err(error),
        };
        self.insist(context, of, outcome(call, answer.clone(), now));
        if context.dice.percent(10) {
            self.insist(context, of, outcome(call, answer, now));
        }
        if context.dice.percent(30) {
            let delay = context.dice.latency(100_000);
            let again = Lead::Run(Run::Answered(Box::new(call.clone())));
            context.after(delay, of.event(again));
        }
    }

    /// Whether something is under way that will make this wake come.
    fn will_wake(&self, run: RunId, wake: Wake) -> bool {
        let mut insists = self.insists.values().map(Insistence::input);
        match wake {
            Wake::Timer { step, purpose, due } => {
                let is_it = |input: &Input| {
                    matches!(input, Input::TimerDue { run: r, step: s, purpose: p, due: d }
                        if (*r, *s, *p, *d) == (run, step, purpose, due))
                };
                self.timers.contains(&(due, run, step, purpose)) || insists.any(is_it)
            }
            Wake::Call { step } => {
                let is_it = |input: &Input| matches!(input, Input::Outcome { run: r, step: s, .. } if (*r, *s) == (run, step));
                self.places.contains_key(&(run, step)) || insists.any(is_it)
            }
            Wake::Continue { .. } => {
                insists.any(|input| matches!(input, Input::Continue(r) if *r == run))
            }
        }
    }
}

fn outcome(call: &OnWire, outcome: Outcome, now: Timestamp) -> Input {
    Input::Outcome {
        run: call.run,
        step: call.step,
        outcome,
        began: now,
        ended: now,
    }
}

impl Driver<Planted> for Runs {
    fn release(&mut self, context: &mut Context, of: Owner, actions: Vec<Action>) {
        for action in actions {
            match action {
                Action::SetTimer {
                    run,
                    step,
                    purpose,
                    due,
                } => {
                    self.timers.set((due, run, step, purpose));
                    self.look_at_timers(context, of, Duration::ZERO);
                }
                Action::ClearTimer {
                    run,
                    step,
                    purpose,
                    due,
                } => self.timers.clear(&(due, run, step, purpose)),
                Action::Call(call) => self.call(context, of, &call),
                Action::CancelCall { run, step } => {
                    if let Some(id) = self.places.remove(&(run, step)) {
                        self.calls.remove(&id);
                    }
                }
                Action::Uncertain { run, step } => {
                    let now = context.wall();
                    let error = FlowError {
                        type_: "https://taraf.example/errors/uncertain".to_owned(),
                        ..FlowError::runtime("it may or may not have been made")
                    };
                    let input = Input::Outcome {
                        run,
                        step,
                        outcome: Outcome::Err(error),
                        began: now,
                        ended: now,
                    };
                    self.insist(context, of, input);
                }
                Action::Continue { run } => drop(self.insist(context, of, Input::Continue(run))),
                // Nobody listens; who waits here looks at the records.
                Action::Tell(_) | Action::Ended(_) => {}
            }
        }
    }

    fn committed(&mut self, _machine: &Planted, _events: &[(Timestamp, RunEvent)]) {}

    fn answer(
        &mut self,
        context: &mut Context,
        of: Owner,
        _machine: &Planted,
        ask: Ask,
        answer: Result<Reply, ProposeError>,
    ) {
        match ask {
            Ask::Client(id) => context.answers.push(Answer::Run(id, answer)),
            Ask::Insist(id) => {
                let Some(insistence) = self.insists.get_mut(&id) else {
                    return;
                };
                let input = insistence.input();
                if let (Input::Outcome { run, step, .. }, Ok(Reply::Done)) = (input, &answer)
                    && !context.has_answered(*run, *step)
                {
                    let what = format!("the outcome of step {step} of {run} was acknowledged");
                    context.fail("what is acknowledged is durable", what);
                }
                match insistence.answered(answer) {
                    Insist::Propose(after) => {
                        let delay = u64::try_from(after.as_micros()).unwrap_or(u64::MAX);
                        context.after(delay, of.event(Lead::Run(Run::Propose(id))));
                    }
                    Insist::Taken | Insist::GivenUp => self.taken(context, of, id),
                }
            }
            Ask::Nobody | Ask::Meter(..) => {}
        }
    }
}

impl RunSeat {
    /// Something of the runs' driver happens.
    pub(crate) fn happen(&mut self, context: &mut Context, what: Run) {
        let (of, now) = (self.owner, context.wall());
        match what {
            Run::Input(input) => {
                let (class, input, ask) = *input;
                self.input(class, input, ask, now);
            }
            Run::Timers(look) if look == self.driver.look => self.driver.timers(context, of),
            Run::Timers(_) => {}
            Run::Propose(id) => {
                if let Some(insistence) = self.driver.insists.get(&id) {
                    let input = insistence.input().clone();
                    self.input(Class::Outcome, input, Ask::Insist(id), now);
                }
            }
            Run::Send(id) => self.driver.send(context, id),
            Run::Answered(call) => self.driver.answered(context, of, &call),
        }
        if context.bug == Some(Bug::ReleaseEarly) {
            let leaked = self.driver.strings.take_leaked();
            self.driver.release(context, of, leaked);
        }
    }

    /// Compares what the state says will wake its runs with what is under way.
    pub(crate) fn audit(&self) -> Result<(), String> {
        if !self.is_idle() {
            return Ok(());
        }
        let mut found = Ok(());
        self.core.machine().state().runs.each(|run| {
            if found.is_ok() {
                found = self.audit_run(run);
            }
        });
        found
    }

    fn audit_run(&self, run: &taraf_engine::partition::Run) -> Result<(), String> {
        let wakes = run.wakes();
        let may_rest = run.ended.is_some() || run.suspended.is_some();
        if wakes.is_empty() && !may_rest {
            return Err(format!("{} has no reason to wake", run.id));
        }
        for wake in wakes {
            if !self.driver.will_wake(run.id, wake) {
                return Err(format!("{}: nothing will bring {wake:?}", run.id));
            }
        }
        Ok(())
    }
}
