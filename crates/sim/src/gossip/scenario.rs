//! [pure] One simulation from start to end: all join, speak, suffer, heal, and some die.

use std::time::Duration;

use taraf_gossip::moment::Moment;
use taraf_gossip::swim::{Config, Name};
use taraf_gossip::wire::Address;

use super::bug::Bug;
use super::faults::{self, Planned};
use super::formulae::{self, Foretold};
use super::ledger::Verdicts;
use super::world::World;

/// How exactly the time is taken at which all agree.
const STEP: Duration = Duration::from_millis(20);
/// How long all may take to see all after a join at once: several exchanges of state, which become rarer with members.
const JOIN_LIMIT: Duration = Duration::from_secs(1_800);
/// How long all may take to see all after everything has healed: failed members are tried again every 30 s.
const HEAL_LIMIT: Duration = Duration::from_secs(3_600);
/// How long an event may take to everybody, exchanges of state included.
const EVENT_LIMIT: Duration = Duration::from_secs(1_800);

/// What is simulated.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Decides everything that chance decides.
    pub seed: u64,
    /// How many members.
    pub members: usize,
    /// How many faults, at any time within `fault_time`.
    pub faults: usize,
    /// How long things go wrong.
    pub fault_time: Duration,
    /// How many user events in each phase.
    pub events: usize,
    /// How many die in the end.
    pub deaths: usize,
    /// Packets lost all the time, of a hundred.
    pub loss_percent: u64,
    /// About how long a packet is under way, in microseconds.
    pub mean_us: u64,
    /// What is wrong on purpose.
    pub bug: Option<Bug>,
    /// Whether everything that happens is printed.
    pub prints: bool,
}

impl Plan {
    /// A plan of the usual size for so many members.
    #[must_use]
    pub fn new(seed: u64, members: usize) -> Self {
        Self {
            seed,
            members,
            faults: 6,
            fault_time: Duration::from_secs(120),
            events: 20,
            deaths: (members / 20).max(1),
            loss_percent: 0,
            mean_us: 500,
            bug: None,
            prints: false,
        }
    }
}

/// What came of it.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// What was simulated.
    pub seed: u64,
    /// How many members.
    pub members: usize,
    /// The first thing that was not as it must be.
    pub failure: Option<String>,
    /// From the first start to the moment at which all see all.
    pub joined: Duration,
    /// From saying an event to the last one's hearing it, in quiet, sorted.
    pub events: Vec<Duration>,
    /// From the end of the last fault to the moment at which all see all.
    pub healed: Duration,
    /// From each death to the first and the last verdict, sorted.
    pub verdicts: Vec<(Duration, Duration)>,
    /// Verdicts about members that ran, whatever was wrong with the network.
    pub false_failures: u64,
    /// Time simulated.
    pub simulated: Duration,
    /// Packets sent, with their bytes, and streams opened.
    pub packets: (u64, u64, u64),
    /// What the papers foretell.
    pub(super) foretold: Option<Foretold>,
}

/// Simulates a plan. The same plan comes to the same end.
#[must_use]
pub fn simulate(plan: &Plan) -> Report {
    let mut world = World::new(plan.seed, plan.members, plan.mean_us, plan.prints);
    world.bug = plan.bug;
    world.conditions.loss_percent = plan.loss_percent;
    let mut report = Report {
        seed: plan.seed,
        members: plan.members,
        ..Report::default()
    };
    let config = Config::lan(Name::default(), Address::Four([0; 4]), 0);
    report.foretold = Some(formulae::foretell(&config, plan.members));
    if let Err(why) = run(&mut world, plan, &mut report) {
        world.ledger.fail(|| why);
    }
    report.failure = world.ledger.failure.take();
    report.verdicts = world.ledger.verdict_times();
    report.false_failures = world.ledger.false_failures;
    report.simulated = world.now - Moment::START;
    let ledger = &world.ledger;
    report.packets = (ledger.packets, ledger.packet_bytes, ledger.streams);
    report
}

fn run(world: &mut World, plan: &Plan, report: &mut Report) -> Result<(), String> {
    join(world, plan);
    report.joined = world.until("all see all after the join", JOIN_LIMIT, World::wrong_view)?;
    speak(world, plan.events);
    world.until("all hear all events", EVENT_LIMIT, |world| world.unheard())?;
    report.events = world.ledger.event_times();
    suffer(world, plan);
    report.healed = world.until(
        "all see all after the faults",
        HEAL_LIMIT,
        World::wrong_view,
    )?;
    world.until(
        "all hear all events after the faults",
        EVENT_LIMIT,
        |world| world.unheard(),
    )?;
    die(world, plan);
    world.until("all know who died", HEAL_LIMIT, World::wrong_view)?;
    Ok(())
}

/// All start within a second and join through one of the first three.
pub(super) fn join(world: &mut World, plan: &Plan) {
    world.start(0, None);
    for number in 1..plan.members {
        let spread = 1_000_000 / u64::try_from(plan.members).unwrap_or(1).max(1);
        let next = world.now + Duration::from_micros(spread);
        world.advance(next);
        let through = world.dice.place(number.min(3));
        world.start(number, Some(through));
    }
}

/// Events from anywhere, a few each second.
fn speak(world: &mut World, events: usize) {
    for _ in 0..events {
        let number = world.dice.place(world.processes.len());
        if !world.processes[number].is_paused {
            world.speak(number);
        }
        let pause = Duration::from_millis(world.dice.between(1, 400));
        let next = world.now + pause;
        world.advance(next);
    }
}

/// Faults begin and end, some at the same time, while events are said.
fn suffer(world: &mut World, plan: &Plan) {
    let planned = faults::plan(world, plan.faults, plan.fault_time);
    let mut changes: Vec<(Moment, bool, &Planned)> = Vec::new();
    for fault in &planned {
        changes.push((fault.begins, true, fault));
        changes.push((fault.ends, false, fault));
    }
    changes.sort_by_key(|(at, begins, _)| (*at, *begins));
    let events = plan.events / changes.len().max(1) + 1;
    for (at, begins, planned) in changes {
        world.advance(at.max(world.now));
        if begins {
            world.begin(&planned.fault);
        } else {
            world.end(&planned.fault);
        }
        speak(world, events);
    }
    world.conditions.loss_percent = plan.loss_percent;
}

fn die(world: &mut World, plan: &Plan) {
    let begun = world.now;
    for _ in 0..plan.deaths.min(plan.members / 2) {
        let number = world.dice.place(world.processes.len());
        if world.processes[number].is_up() {
            world.ledger.deaths.insert(
                number,
                Verdicts {
                    died: begun,
                    ..Verdicts::default()
                },
            );
            world.say(|| format!("m{number} dies"));
            world.kill(number);
        }
    }
}

impl World {
    /// Lets some time pass.
    pub(super) fn rest(&mut self, time: Duration) {
        let end = self.now + time;
        self.advance(end);
    }

    /// Lets the world go on until nothing is wrong; how long that took.
    pub(super) fn until(
        &mut self,
        what: &str,
        limit: Duration,
        wrong: impl Fn(&mut Self) -> Option<String>,
    ) -> Result<Duration, String> {
        let begun = self.now;
        loop {
            if let Some(failure) = self.ledger.failure.take() {
                return Err(failure);
            }
            let Some(why) = wrong(self) else {
                self.say(|| format!("{what}: after {:?}", self.now - begun));
                return Ok(self.now - begun);
            };
            if self.now - begun > limit {
                return Err(format!("{what}: not within {limit:?}: {why}"));
            }
            let next = self.now + STEP;
            self.advance(next);
        }
    }

    /// Who has not heard what was said since they run.
    fn unheard(&self) -> Option<String> {
        let up = self.processes.iter().filter(|process| process.is_up());
        for process in up {
            for (text, said) in &self.ledger.said {
                // A speaker who died since may have taken it along.
                let is_spoken = self.processes[said.by].since < said.at;
                let is_meant = is_spoken && process.is_meant(said.at, said.time);
                if is_meant && !process.heard.contains_key(text) {
                    return Some(format!(
                        "{} has not heard {text:?} of m{}",
                        process.name, said.by
                    ));
                }
            }
        }
        None
    }
}
