//! [pure] The partition as a machine of the log.

use std::hash::Hasher as _;
use std::sync::Arc;
use std::time::Duration;

use taraf_base::Timestamp;
use taraf_flow::Definition;
use taraf_log::machine::{Decision, DecodeError, Header, Machine};

use super::action::{Action, Wake};
use super::codec;
use super::event::{CallClass, Event};
use super::input::{Input, Reply};
use super::run::Doing;
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
            settings,
            definitions,
            state: State::default(),
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
}

impl Machine for Partition {
    type Input = Input;
    type Event = Event;
    type Action = Action;
    type Reply = Reply;

    fn decide(&self, input: Input, now: Timestamp) -> Decision<Self> {
        self.decide_input(input, now)
    }

    fn evolve(&mut self, event: &Event, at: Timestamp) {
        self.state.evolve(event, at);
    }

    fn outstanding(&self, now: Timestamp) -> Vec<Action> {
        let mut actions = Vec::new();
        for run in self.state.runs.values() {
            for wake in run.wakes() {
                // An at-most-once call that was scheduled may have been made: it is not made again.
                let uncertain = match wake {
                    Wake::Call { step } => run.steps.get(&step).is_some_and(|step| {
                        matches!(
                            step.doing,
                            Doing::Call {
                                class: CallClass::AtMostOnce,
                                ..
                            }
                        )
                    }),
                    Wake::Timer { .. } | Wake::Continue { .. } => false,
                };
                match wake {
                    Wake::Call { step } if uncertain => {
                        actions.push(Action::Uncertain { run: run.id, step });
                    }
                    wake => {
                        let definition = self.definitions.definition(&run.begun.hash);
                        actions.extend(scope::action(run, definition.as_deref(), wake, now));
                    }
                }
            }
        }
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
        self.state = State::load(snapshot)?;
        Ok(())
    }

    fn is_current(snapshot: &[u8]) -> bool {
        snapshot.first() == Some(&codec::SNAPSHOT_VERSION)
    }

    fn empty(&self) -> Option<Self> {
        let definitions = Arc::clone(&self.definitions);
        Some(Self::new(self.settings.clone(), definitions))
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
