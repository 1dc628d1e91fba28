//! [pure] What goes wrong in a simulation, when, and that it ends.

use std::time::Duration;

use taraf_gossip::moment::Moment;

use super::world::World;
use crate::dice::Dice;

/// One thing that goes wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// Packets are lost.
    Loss(u64),
    /// Two sides do not hear each other.
    Split(u64),
    /// These are not heard.
    Mute(Vec<usize>),
    /// These stand still.
    Pause(Vec<usize>),
    /// The clocks of these go forward at once.
    Jump(Vec<usize>, Duration),
    /// These die and come back.
    Restart(Vec<usize>),
}

/// When it begins and ends.
#[derive(Clone, Debug)]
pub(super) struct Planned {
    pub(super) begins: Moment,
    pub(super) ends: Moment,
    pub(super) fault: Fault,
}

/// Some faults between now and `until`, of every kind sooner or later.
pub(super) fn plan(world: &mut World, count: usize, until: Duration) -> Vec<Planned> {
    let members = world.processes.len();
    let span = u64::try_from(until.as_millis()).unwrap_or(u64::MAX);
    let now = world.now;
    let dice = &mut world.dice;
    let mut planned: Vec<Planned> = (0..count)
        .map(|_| {
            let begins = dice.between(0, span / 2);
            let ends = begins + dice.between(100, span / 2);
            Planned {
                begins: now + Duration::from_millis(begins),
                ends: now + Duration::from_millis(ends.min(span)),
                fault: fault(dice, members),
            }
        })
        .collect();
    planned.sort_by_key(|planned| planned.begins);
    planned
}

fn fault(dice: &mut Dice, members: usize) -> Fault {
    match dice.between(0, 5) {
        0 => Fault::Loss(dice.between(1, 40)),
        1 => Fault::Split(dice.number()),
        2 => Fault::Mute(some(dice, members)),
        3 => Fault::Pause(some(dice, members)),
        4 => Fault::Jump(
            some(dice, members),
            Duration::from_millis(dice.between(1, 60_000)),
        ),
        _ => Fault::Restart(some(dice, members)),
    }
}

/// A few members, never most of them.
fn some(dice: &mut Dice, members: usize) -> Vec<usize> {
    let most = u64::try_from(members / 5).unwrap_or(1).max(1);
    let count = dice.between(1, most);
    let mut chosen: Vec<usize> = (0..count).map(|_| dice.place(members)).collect();
    chosen.sort_unstable();
    chosen.dedup();
    chosen
}

impl World {
    /// Lets it go wrong.
    pub(super) fn begin(&mut self, fault: &Fault) {
        self.say(|| format!("begins: {fault:?}"));
        match fault {
            Fault::Loss(percent) => self.conditions.loss_percent = *percent,
            Fault::Split(seed) => {
                let mut dice = Dice::new(*seed);
                let share = dice.between(5, 95);
                let side = |_: &_| u8::from(dice.percent(share));
                self.conditions.sides = self.processes.iter().map(side).collect();
            }
            Fault::Mute(whom) => self.conditions.mute.extend(whom),
            Fault::Pause(whom) => whom.iter().for_each(|&number| self.pause(number)),
            Fault::Jump(whom, by) => {
                for &number in whom {
                    if self.processes[number].is_up() && !self.processes[number].is_paused {
                        self.jump(number, *by);
                    }
                }
            }
            Fault::Restart(whom) => whom.iter().for_each(|&number| self.kill(number)),
        }
    }

    /// Ends it.
    pub(super) fn end(&mut self, fault: &Fault) {
        self.say(|| format!("ends: {fault:?}"));
        match fault {
            Fault::Loss(_) => self.conditions.loss_percent = 0,
            Fault::Split(_) => self.conditions.sides.clear(),
            Fault::Mute(whom) => self.conditions.mute.retain(|number| !whom.contains(number)),
            Fault::Pause(whom) => {
                for &number in whom {
                    if self.processes[number].is_paused {
                        self.resume(number);
                    }
                }
            }
            Fault::Jump(..) => {}
            Fault::Restart(whom) => {
                for &number in whom {
                    if !self.processes[number].is_up() {
                        let through = self.anyone_but(number);
                        self.start(number, through);
                    }
                }
            }
        }
    }

    /// Somebody who runs, but for that one.
    pub(super) fn anyone_but(&mut self, number: usize) -> Option<usize> {
        let there = |other: &usize| *other != number && self.processes[*other].is_up();
        let others: Vec<usize> = (0..self.processes.len()).filter(there).collect();
        (!others.is_empty()).then(|| *self.dice.pick(&others))
    }
}
