//! One simulation: events in the order of their time, faults among them, and the questions at the end.

use std::collections::BTreeMap;

use taraf_engine::partition::{Control, What};
use taraf_engine::{RunId, Status};
use taraf_gateway::registry::{Input as KeyInput, Registry};

use crate::bug::Bug;
use crate::clients::Clients;
use crate::context::Context;
use crate::event::{Ask, Event, Inside, Lead, OnWire, Run};
use crate::history::Executed;
use crate::opening::Trouble;
use crate::plan::{Fault, MS, SECOND};
use crate::process::Process;
use crate::reference::{self, End};
use crate::report::Outcome;

/// After the last fault every run ends within this time.
const ENDS_WITHIN: u64 = 2 * 3_600 * SECOND;
/// More events than this mean that something goes round in circles.
const EVENTS_MAX: u64 = 400_000;
const AUDIT_EVERY: u64 = 2 * SECOND;
/// A block of the plan's quota: what a crash may cost a key at most.
const BLOCK: u64 = 10;

struct World {
    context: Context,
    clients: Clients,
    process: Option<Process>,
    processes: u64,
    healed_at: Option<u64>,
    is_done: bool,
    /// Months that began while a process held blocks of the one before.
    crossings: u64,
}

/// Runs the simulation of a seed.
#[must_use]
pub fn simulate(seed: u64, bug: Option<Bug>, is_printed: bool) -> Outcome {
    let mut context = Context::new(seed, bug, is_printed);
    let clients = Clients::new(&mut context);
    let mut world = World {
        context,
        clients,
        process: None,
        processes: 0,
        healed_at: None,
        is_done: false,
        crossings: 1,
    };
    world.begin();
    world.run();
    let context = &world.context;
    Outcome {
        seed,
        failure: context.failure.clone(),
        trace: context.trace_hash(),
        events: context.events,
        simulated_us: context.now,
        runs: context.history.lines().count(),
        calls: context.history.executions(),
        processes: world.processes,
    }
}

impl World {
    fn begin(&mut self) {
        let context = &mut self.context;
        let (count, bytes) = (
            context.plan.partitions.len(),
            context.plan.file.segment_bytes,
        );
        let faults = context.plan.faults.clone();
        context.note(format_args!(
            "{count} partitions, segments of {bytes} bytes, faults {faults:?}"
        ));
        context.after(0, Event::Boot);
        if !context.plan.faults.is_empty() {
            context.after(context.plan.fault_every, Event::Fault);
        }
        context.after(context.plan.faults_until, Event::Heal);
        context.after(AUDIT_EVERY, Event::Audit);
    }

    fn run(&mut self) {
        while self.context.failure.is_none() && !self.is_done {
            let Some(event) = self.context.next_event() else {
                self.context
                    .fail("all runs end", "nothing is left to happen");
                return;
            };
            if self.context.events > EVENTS_MAX {
                let what = format!("{EVENTS_MAX} events");
                self.context.fail("all runs end within bounded time", what);
                return;
            }
            self.happen(event);
            self.clients.answered(&mut self.context);
            if self.context.disk.is_dead() {
                let has_power = self.context.dice.percent(30);
                self.die(has_power);
            }
        }
        if self.context.failure.is_none() {
            self.question();
        }
    }

    fn happen(&mut self, event: Event) {
        let context = &mut self.context;
        let process = self.process.as_ref();
        match event {
            Event::Boot => self.boot(),
            Event::Fault => self.next_fault(),
            Event::Inject(fault) => self.inject(fault),
            Event::Room => context.disk.set_room(None),
            Event::TakeOver(lead) => self.take_over(lead),
            Event::GoOn(lead) => self.go_on(lead),
            Event::Heal => self.heal(),
            Event::Look => self.look(),
            Event::Audit => {
                if let Some(process) = &mut self.process {
                    process.audit(context);
                    process.look(context);
                }
                context.after(AUDIT_EVERY, Event::Audit);
            }
            Event::Start(n) => self.clients.start(context, process, n),
            Event::GiveUp(id) => self.clients.give_up(context, id),
            Event::Control(chosen) => self.clients.control(context, process, chosen),
            Event::Key => self.clients.key(context, process),
            Event::Use(which) => self.clients.spend(context, process, which),
            Event::Execute(call) => self.execute(*call),
            Event::Process(number, what) => self.inside(number, what),
        }
    }

    fn inside(&mut self, number: u64, what: Inside) {
        let Some(process) = self.process.as_mut().filter(|_| self.processes == number) else {
            return; // That process has ended.
        };
        if let Err(trouble) = process.happen(&mut self.context, what) {
            self.trouble(&trouble);
        }
    }

    /// A process cannot go on. A dead one is noticed by its disk.
    fn trouble(&mut self, trouble: &Trouble) {
        match trouble {
            Trouble::Dead => {}
            Trouble::Disk(what) => {
                self.context.note(format_args!("the process ends: {what}"));
                let has_power = self.context.dice.percent(50);
                self.die(has_power);
            }
        }
    }

    /// The process ends at once; without power what was not synced may be lost.
    fn die(&mut self, has_power: bool) {
        self.process = None;
        let context = &mut self.context;
        if has_power {
            context.disk.end_process();
        } else {
            context.disk.lose_power();
        }
        let how = if has_power {
            "is killed"
        } else {
            "loses power"
        };
        context.note(format_args!("process {} {how}", self.processes));
        let delay = context.dice.between(50 * MS, 5 * SECOND);
        context.after(delay, Event::Boot);
    }

    fn boot(&mut self) {
        if self.process.is_some() {
            return;
        }
        self.processes += 1;
        self.crossings += 1;
        let (context, number) = (&mut self.context, self.processes);
        context.note(format_args!("process {number} starts"));
        match Process::start(context, number) {
            Ok(process) => {
                if context.bug == Some(Bug::QuotaGivenBack) {
                    give_back(context, &process);
                }
                self.process = Some(process);
            }
            Err(trouble) => self.trouble(&trouble),
        }
    }

    fn next_fault(&mut self) {
        let context = &mut self.context;
        if self.healed_at.is_some() {
            return;
        }
        let faults = context.plan.faults.clone();
        let fault = *context.dice.pick(&faults);
        context.after(0, Event::Inject(fault));
        let every = context.plan.fault_every;
        let delay = context.dice.between(every / 4, every * 2);
        context.after(delay, Event::Fault);
    }

    fn inject(&mut self, fault: Fault) {
        if self.healed_at.is_some() {
            return;
        }
        let context = &mut self.context;
        context.note(format_args!("fault: {fault:?}"));
        match fault {
            Fault::Kill => self.die_if_up(true),
            Fault::PowerLoss => self.die_if_up(false),
            Fault::DieInDisk => {
                let operations = context.dice.between(1, 40);
                context.disk.die_in(operations);
            }
            Fault::FailedSync => {
                let syncs = context.dice.between(1, 4);
                context.disk.fail_sync_in(syncs);
            }
            Fault::FullDisk => {
                // The spare segment that is there already is used up first.
                let room = context.dice.between(0, context.plan.file.segment_bytes);
                context.disk.set_room(Some(room));
                let delay = context.dice.between(2 * SECOND, 30 * SECOND);
                context.after(delay, Event::Room);
            }
            Fault::Pause => self.pause(),
            Fault::ClockStep => {
                let far = context.dice.between(1, 60_000);
                let step = i64::try_from(far).unwrap_or(0);
                context.offset += if context.dice.percent(50) {
                    step
                } else {
                    -step
                };
            }
            Fault::Rot => {
                if self.process.is_some() {
                    self.die(true);
                    let rotten = self.context.disk.rot();
                    self.context.note(format_args!("a bit flips in {rotten:?}"));
                }
            }
        }
    }

    fn die_if_up(&mut self, has_power: bool) {
        if self.process.is_some() {
            self.die(has_power);
        }
    }

    /// A leader of runs stands still; later another takes its place, and later still it goes on.
    fn pause(&mut self) {
        let Some(process) = &mut self.process else {
            return;
        };
        let leads: Vec<u64> = process.current.values().copied().collect();
        let lead = *self.context.dice.pick(&leads);
        let Some(seat) = process.runs.get_mut(&lead).filter(|seat| !seat.is_paused) else {
            return;
        };
        seat.is_paused = true;
        let context = &mut self.context;
        context.note(format_args!("leader {lead} is paused"));
        let taken = context.dice.between(MS, 4 * SECOND);
        // Soon enough, often, that its position is still the one at the tail.
        let more = if context.dice.percent(50) {
            20 * MS
        } else {
            10 * SECOND
        };
        let goes_on = taken + context.dice.between(1, more);
        context.after(taken, Event::TakeOver(lead));
        context.after(goes_on, Event::GoOn(lead));
    }

    fn take_over(&mut self, lead: u64) {
        let Some(process) = &mut self.process else {
            return;
        };
        let seat = process.runs.get(&lead).filter(|seat| seat.is_paused);
        let Some(partition) = seat.map(|seat| seat.owner.partition) else {
            return;
        };
        if process.current.get(&partition) != Some(&lead) {
            return;
        }
        if let Err(trouble) = process.lead_runs(&mut self.context, partition) {
            self.trouble(&trouble);
        }
    }

    fn go_on(&mut self, lead: u64) {
        let number = self.processes;
        let Some(seat) = self.process.as_mut().and_then(|p| p.runs.get_mut(&lead)) else {
            return;
        };
        if !std::mem::replace(&mut seat.is_paused, false) {
            return;
        }
        let deferred = std::mem::take(&mut seat.deferred);
        self.context.note(format_args!(
            "leader {lead} goes on with {} events",
            deferred.len()
        ));
        for what in deferred {
            self.context
                .after(1, Event::Process(number, Inside::Lead(lead, what)));
        }
    }

    fn heal(&mut self) {
        self.healed_at = Some(self.context.now);
        self.context.note(format_args!("no faults from now on"));
        self.context.disk.heal();
        if let Some(process) = &mut self.process {
            let paused: Vec<u64> = process.runs.keys().copied().collect();
            process.forget_replaced();
            for lead in paused {
                self.go_on(lead);
            }
        }
        self.context.after(SECOND, Event::Look);
    }

    /// Lets held runs go on, and sees whether all have ended.
    fn look(&mut self) {
        let context = &mut self.context;
        let mut held: Vec<RunId> = Vec::new();
        for shadow in context.runs.values() {
            let runs = shadow.mirror().state().runs.statuses(..);
            let runs = runs.filter(|(_, status)| *status == Status::Suspended);
            held.extend(runs.map(|(id, _)| id));
        }
        for run in &held {
            context.after(MS, Event::Control(Some((*run, Control::Resume))));
        }
        let all = context.history.lines().all(|(_, line)| line.has_ended);
        if all && self.clients.are_settled() && self.process.is_some() {
            self.is_done = true;
            return;
        }
        let healed = self.healed_at.unwrap_or(context.now);
        if context.now > healed + ENDS_WITHIN {
            let live = context.history.lines().filter(|(_, line)| !line.has_ended);
            let live: Vec<String> = live.map(|(run, _)| run.to_string()).collect();
            let process = if self.process.is_some() { "up" } else { "down" };
            let what = format!("{} go on; the process is {process}", live.join(", "));
            context.fail("all runs end within bounded time", what);
        }
        let delay = context.dice.between(SECOND, 30 * SECOND);
        context.after(delay, Event::Look);
    }

    /// A call reaches its service.
    fn execute(&mut self, call: OnWire) {
        let context = &mut self.context;
        context.note(format_args!(
            "executed {} attempt {}",
            call.key, call.attempt
        ));
        let executed = context.history.executed(&Executed {
            run: call.run,
            step: call.step,
            key: &call.key,
        });
        context.check("effects have a durable cause", executed);
        let service = context.plan.service_us;
        let delay = context.dice.latency(service);
        let (process, lead) = (call.process, call.lead);
        let answered = Lead::Run(Run::Answered(Box::new(call)));
        context.after(delay, Event::Process(process, Inside::Lead(lead, answered)));
    }

    /// Everything has ended: what must be true now.
    fn question(&mut self) {
        // The power goes once more: what was acknowledged must be there all the same.
        self.die(false);
        self.boot();
        let context = &mut self.context;
        if self.process.is_none() {
            context.fail(
                "what is acknowledged stays",
                "the log does not open any more",
            );
            return;
        }
        self.clients.check_runs(context);
        self.clients.check_keys(context);
        for partition in context.plan.partitions.clone() {
            let empty = context.machine(None, &Default::default(), None);
            let shadow = context.runs.get_mut(&partition);
            if let Some(Err(what)) = shadow.map(|shadow| shadow.replay(empty)) {
                context.fail("replay from the first record gives the same state", what);
                return;
            }
        }
        let replayed = context.keys.replay(Registry::default());
        context.check(
            "replay from the first record gives the same state",
            replayed,
        );
        self.question_quota();
        self.question_outputs();
    }

    /// A key is charged at most one block too much for each process and month.
    fn question_quota(&mut self) {
        let context = &mut self.context;
        let counted = context.counted.clone();
        let lines: BTreeMap<_, _> = context
            .keys
            .mirror()
            .keys()
            .map(|(_, key)| (key.line, ()))
            .collect();
        for line in lines.into_keys() {
            context.check_quota(line);
            let months = context.keys.mirror().months(line);
            let charged: u64 = months.map(|(_, usage)| usage.charged).sum();
            let spent = counted.get(&line).copied().unwrap_or(0);
            let most = spent + BLOCK * self.crossings;
            if charged > most {
                let what =
                    format!("{line} made {spent} calls and was charged {charged}, over {most}");
                context.fail("a crash costs at most a block", what);
            }
        }
    }

    /// Every run has the output that an interpreter without log and faults finds.
    fn question_outputs(&mut self) {
        let library = self.context.plan.library.clone();
        let Some(process) = &self.process else {
            return;
        };
        let looking = process.payloads.look();
        let mut found = Vec::new();
        for (run, line) in self.context.history.lines() {
            let Some(begun) = &line.begun else { continue };
            let flow = library.flows.iter().find(|flow| *flow.hash == *begun.hash);
            let Some(flow) = flow else { continue };
            let end = match line.events.last() {
                Some(What::Completed { output }) => End::Completed(looking.open(output)),
                Some(What::Faulted { error }) => End::Faulted(error.clone()),
                // A person's word is no part of the flow.
                _ => continue,
            };
            if line.events.iter().any(is_of_chance) {
                continue;
            }
            let raw = looking.open(&begun.raw);
            let expected = reference::expected(run, flow, &raw, &line.events);
            let is_same = match (&expected, &end) {
                (Ok(End::Completed(a)), End::Completed(b)) => a == b,
                (Ok(End::Faulted(a)), End::Faulted(b)) => {
                    (&a.type_, a.status, &a.instance) == (&b.type_, b.status, &b.instance)
                }
                _ => false,
            };
            if !is_same {
                let source = flow.source.clone();
                found.push(format!(
                    "{run} ended with {end:?}, not with {expected:?}; its flow: {source}"
                ));
            }
        }
        for what in found {
            self.context
                .fail("outputs are those of the reference", what);
        }
    }
}

/// What took too long, or was too long for a batch, is no part of what the flow says.
fn is_of_chance(what: &What) -> bool {
    let error = match what {
        What::TaskFaulted { error, .. } | What::Faulted { error } => error,
        What::Caught(caught) => &caught.error,
        _ => return false,
    };
    let detail = error.detail.as_deref().unwrap_or_default();
    error.type_.ends_with("timeout") || detail.starts_with("what follows has more than")
}

fn give_back(context: &mut Context, process: &Process) {
    let month = taraf_gateway::quota::Month::of(context.wall());
    let lines: Vec<_> = context.counted.keys().copied().collect();
    for line in lines {
        let input = KeyInput::Return {
            line,
            month,
            units: BLOCK,
        };
        process.ask_keys(context, input, Ask::Nobody);
    }
}
