//! [pure] Members that stand still: how soon the others know, and whether they ever take one that runs for one of them.

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use taraf_gossip::moment::Moment;

use super::ledger::Verdicts;
use super::scenario::{self, Plan};
use super::text::{middle, shown};
use super::world::World;

/// How long all may take to see all.
const GATHER_LIMIT: Duration = Duration::from_secs(600);
/// How long the others may take to know of one that stands still.
const KNOWN_LIMIT: Duration = Duration::from_secs(300);
/// Between two that stand still.
const REST: Duration = Duration::from_secs(5);

/// What is simulated.
#[derive(Clone, Debug)]
pub struct FrozenPlan {
    /// Decides everything that chance decides.
    pub seed: u64,
    /// How many members.
    pub members: usize,
    /// How many of them do nothing that Serf does not do.
    pub plain: usize,
    /// Packets lost all the time, of a hundred.
    pub loss_percent: u64,
    /// How many stand still, one after the other, until all know it.
    pub single: usize,
    /// Then one of so many stands still again and again, all at the same time.
    pub one_of: usize,
    /// How often.
    pub turns: usize,
    /// How long each time, and how long they run in between.
    pub still: (Duration, Duration),
}

impl FrozenPlan {
    /// A plan of the usual size for so many members.
    #[must_use]
    pub fn new(seed: u64, members: usize) -> Self {
        Self {
            seed,
            members,
            plain: 0,
            loss_percent: 0,
            single: 8,
            one_of: 5,
            turns: 6,
            still: (Duration::from_secs(8), Duration::from_secs(1)),
        }
    }
}

/// What came of it.
#[derive(Clone, Debug, Default)]
pub struct FrozenReport {
    plan: String,
    /// The first thing that was not as it must be.
    pub failure: Option<String>,
    /// From the moment one stood still to the first and the last verdict.
    pub verdicts: Vec<(Duration, Duration)>,
    /// Verdicts of anybody about members that never stood still.
    pub false_failures: u64,
}

/// Simulates a plan. The same plan comes to the same end.
#[must_use]
pub fn simulate_frozen(plan: &FrozenPlan) -> FrozenReport {
    let mut world = World::new(plan.seed, plan.members, 500, false);
    for process in world.processes.iter_mut().take(plan.plain) {
        process.is_plain = true;
    }
    let mut report = FrozenReport {
        plan: format!(
            "seed {}, {} members, {} of them plain, {} % loss",
            plan.seed, plan.members, plan.plain, plan.loss_percent
        ),
        ..FrozenReport::default()
    };
    let ended = run(&mut world, plan, &mut report);
    report.failure = ended.err().or_else(|| world.ledger.failure.take());
    report.false_failures = world.ledger.false_failures;
    report
}

fn run(world: &mut World, plan: &FrozenPlan, report: &mut FrozenReport) -> Result<(), String> {
    scenario::join(world, &Plan::new(plan.seed, plan.members));
    let all = "all see all";
    world.until(all, GATHER_LIMIT, World::wrong_view)?;
    world.conditions.loss_percent = plan.loss_percent;
    for _ in 0..plan.single {
        world.rest(REST);
        let number = world.dice.place(plan.members);
        report.verdicts.push(one_stands_still(world, number)?);
        world.until(all, GATHER_LIMIT, World::wrong_view)?;
    }
    report.verdicts.sort_unstable();
    let step = plan.one_of.max(2);
    let some: BTreeSet<usize> = (0..plan.members).step_by(step).collect();
    world.ledger.frozen.clone_from(&some);
    for _ in 0..plan.turns {
        some.iter().for_each(|&number| world.pause(number));
        world.rest(plan.still.0);
        some.iter().for_each(|&number| world.resume(number));
        world.rest(plan.still.1);
    }
    world.until("all see all in the end", GATHER_LIMIT, World::wrong_view)?;
    Ok(())
}

fn one_stands_still(world: &mut World, number: usize) -> Result<(Duration, Duration), String> {
    let begun = world.now;
    let death = Verdicts {
        died: begun,
        ..Verdicts::default()
    };
    world.ledger.deaths.insert(number, death);
    world.pause(number);
    let others = world.processes.len().saturating_sub(1);
    let unknown = |world: &mut World| {
        let known = world.ledger.deaths.get(&number).map_or(0, |it| it.count);
        (known < others).then(|| format!("{known} of {others} know that m{number} stands still"))
    };
    world.until("all know who stands still", KNOWN_LIMIT, unknown)?;
    world.resume(number);
    let verdicts = world.ledger.deaths.remove(&number).unwrap_or_default();
    let after = |at: Option<Moment>| at.map_or(Duration::MAX, |at| at - begun);
    Ok((after(verdicts.first), after(verdicts.last)))
}

impl fmt::Display for FrozenReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (first, last): (Vec<Duration>, Vec<Duration>) = self.verdicts.iter().copied().unzip();
        let worst = last.iter().max().copied().unwrap_or_default();
        write!(
            f,
            "{}: one that stands still to the first verdict p50 {}, to the last p50 {}, worst {}; \
             verdicts about members that run {}",
            self.plan,
            shown(middle(&first)),
            shown(middle(&last)),
            shown(worst),
            self.false_failures
        )?;
        match &self.failure {
            None => Ok(()),
            Some(why) => write!(f, "; FAILED: {why}"),
        }
    }
}
