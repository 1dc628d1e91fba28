//! [pure] What spends API keys: blocks of quota reserved in the log, as the gateway's meters do it.

use std::collections::BTreeMap;

use taraf_base::Timestamp;
use taraf_gateway::quota::{Blocks, Month, Spend};
use taraf_gateway::registry::{Event as KeyEvent, Input, KeyId, Registry, Reply};
use taraf_log::machine::{Class, ProposeError};

use crate::context::{Answer, Context};
use crate::event::{Ask, Key, Lead};
use crate::plan::MS;
use crate::seat::{Driver, Owner, Seat};

/// How often a call waits for a block before it is given up.
const TRIES_MAX: u32 = 8;

/// The leader of accounts.
pub(crate) type KeySeat = Seat<Registry, Meters>;

/// What this process holds of each line's quota.
#[derive(Default)]
pub(crate) struct Meters {
    blocks: BTreeMap<KeyId, Blocks>,
}

impl Driver<Registry> for Meters {
    fn release(
        &mut self,
        _context: &mut Context,
        _of: Owner,
        _actions: Vec<std::convert::Infallible>,
    ) {
    }

    fn committed(&mut self, _machine: &Registry, _events: &[(Timestamp, KeyEvent)]) {}

    fn answer(
        &mut self,
        context: &mut Context,
        _of: Owner,
        _machine: &Registry,
        ask: Ask,
        answer: Result<Reply, ProposeError>,
    ) {
        match ask {
            Ask::Client(id) => context.answers.push(Answer::Key(id, answer)),
            Ask::Meter(line, month) => {
                let Some(blocks) = self.blocks.get_mut(&line) else {
                    return;
                };
                match answer {
                    Ok(Reply::Granted { units, charged }) => blocks.granted(month, units, charged),
                    Ok(_) | Err(_) => blocks.failed(month),
                }
            }
            Ask::Nobody | Ask::Insist(_) => {}
        }
    }
}

impl KeySeat {
    pub(crate) fn happen(&mut self, context: &mut Context, what: Key) {
        match what {
            Key::Input(input) => {
                let (input, ask) = *input;
                self.input(class_of(&input), input, ask, context.wall());
            }
            Key::Spend(key, tries) => self.spend(context, key, tries),
        }
    }

    /// Spends one unit, as `Accounts::charge` does, from a block that is reserved ahead.
    fn spend(&mut self, context: &mut Context, key: KeyId, tries: u32) {
        let now = context.wall();
        let month = Month::of(now);
        let state = self.core.machine();
        let Some(known) = state.key(key).filter(|key| !key.is_ended(now)) else {
            return;
        };
        let (line, plan) = (known.line, known.plan);
        let Some(plan) = state.plan(&plan).cloned() else {
            return;
        };
        let charged = state.charged(line, month);
        let blocks = self.driver.blocks.entry(line);
        let blocks = blocks.or_insert_with(|| Blocks::new(month, charged));
        let wanted = match blocks.spend(&plan, month, 1) {
            Spend::Taken { renew } => {
                *context.counted.entry(line).or_insert(0) += 1;
                context.check_quota(line);
                renew.then_some(0)
            }
            Spend::UsedUp => None,
            Spend::Short => {
                if tries < TRIES_MAX {
                    let again = Lead::Key(Key::Spend(key, tries + 1));
                    context.after(20 * MS, self.owner.event(again));
                }
                Some(1)
            }
        };
        let asked = wanted.and_then(|cost| blocks.ask(&plan, month, cost));
        if let Some((month, units)) = asked {
            let input = Input::Reserve { line, month, units };
            self.input(Class::Outcome, input, Ask::Meter(line, month), now);
        }
    }
}

fn class_of(input: &Input) -> Class {
    match input {
        Input::Reserve { .. } | Input::Return { .. } => Class::Outcome,
        _ => Class::Control,
    }
}
