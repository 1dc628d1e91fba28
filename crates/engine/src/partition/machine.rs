//! [pure] The partition as a machine of the log.

use std::hash::Hasher as _;
use std::sync::Arc;
use std::time::Duration;

use taraf_base::Timestamp;
use taraf_flow::Definition;
use taraf_log::machine::{Decision, DecodeError, Header, Machine};

use super::action::{Action, Wake};
use super::announce::Audience;
use super::codec;
use super::event::{CallClass, Event};
use super::input::{Input, Reply};
use super::rest::Rest;
use super::run::{Doing, Run};
use super::runs::Waiting;
use super::scope;
use super::state::State;
use crate::Limits;

/// Where a partition finds the definitions that its runs follow.
pub trait Definitions: Send + Sync + 'static {
    /// The definition with this hash.
    fn definition(&self, hash: &str) -> Option<Arc<Definition>>;
}

/// What `decide` may depend on beside the state.
#[derive(Clone, Debug)]
pub struct Settings {
    /// What one run may use.
    pub limits: Limits,
    /// Ended runs kept.
    pub keep: usize,
    /// How long they are kept.
    pub keep_for: Duration,
    /// Whether runs that have ended move to an archive, rather than being kept here.
    pub archives: bool,
    /// Whether lifecycle events are asked for.
    pub audience: Audience,
    /// When runs rest, and where.
    pub rest: Rest,
}

/// A partition of runs.
pub struct Partition {
    pub(super) settings: Settings,
    pub(super) definitions: Arc<dyn Definitions>,
    pub(super) state: State,
}

impl Partition {
    /// A partition without runs.
    #[must_use]
    pub fn new(settings: Settings, definitions: Arc<dyn Definitions>) -> Self {
        Self {
            state: State::new(settings.rest.clone()),
            settings,
            definitions,
        }
    }

    /// What it remembers.
    #[must_use]
    pub const fn state(&self) -> &State {
        &self.state
    }

    /// Where it finds definitions.
    #[must_use]
    pub fn definitions(&self) -> &dyn Definitions {
        &*self.definitions
    }

    fn outstanding_of(&self, run: &Run, now: Timestamp, actions: &mut Vec<Action>) {
        for wake in run.wakes() {
            // An at-most-once call that was scheduled may have been made: it is not made again.
            let class = |step| match run.steps.get(&step).map(|step| &step.doing) {
                Some(Doing::Call { class, .. }) => Some(*class),
                _ => None,
            };
            match wake {
                Wake::Call { step } if class(step) == Some(CallClass::AtMostOnce) => {
                    actions.push(Action::Uncertain { run: run.id, step });
                }
                wake => {
                    let definition = self.definitions.definition(&run.begun.hash);
                    actions.extend(scope::action(run, definition.as_deref(), wake, now));
                }
            }
        }
    }
}

impl Machine for Partition {
    type Input = Input;
    type Event = Event;
    type Action = Action;
    type Reply = Reply;

    fn decide(&self, input: Input, now: Timestamp) -> Decision<Self> {
        let mut decision = self.decide_input(input, now);
        self.announce(&mut decision, now);
        decision
    }

    fn evolve(&mut self, event: &Event, at: Timestamp) {
        self.state.evolve(event, at);
    }

    fn outstanding(&self, now: Timestamp) -> Vec<Action> {
        let mut actions = Vec::new();
        self.state.runs.each_waiting(|waiting| match waiting {
            Waiting::Timers(run, timers) => {
                let timers = timers.iter().copied();
                actions.extend(timers.map(|(step, purpose, due)| Action::SetTimer {
                    run,
                    step,
                    purpose,
                    due,
                }));
            }
            Waiting::Run(run) => self.outstanding_of(run, now, &mut actions),
        });
        actions
    }

    fn encode(event: &Event, body: &mut Vec<u8>) -> Header {
        codec::encode(event, body)
    }

    fn decode(header: &Header, body: &[u8]) -> Result<Event, DecodeError> {
        codec::decode(header, body)
    }

    fn snapshot(&self) -> Vec<u8> {
        self.state.save()
    }

    fn restore(&mut self, snapshot: &[u8]) -> Result<(), DecodeError> {
        self.state = State::load(snapshot, self.settings.rest.clone())?;
        Ok(())
    }

    fn is_current(snapshot: &[u8]) -> bool {
        snapshot.first() == Some(&codec::SNAPSHOT_VERSION)
    }

    fn empty(&self) -> Option<Self> {
        let definitions = Arc::clone(&self.definitions);
        let settings = Settings {
            rest: self.settings.rest.another(),
            ..self.settings.clone()
        };
        Some(Self::new(settings, definitions))
    }

    fn state_hash(&self) -> u64 {
        let mut hasher = Fnv(0xCBF2_9CE4_8422_2325);
        hasher.write(&self.state.save());
        hasher.finish()
    }
}

/// FNV-1a, the same on every machine and build.
struct Fnv(u64);

impl std::hash::Hasher for Fnv {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01B3);
        }
    }
}
