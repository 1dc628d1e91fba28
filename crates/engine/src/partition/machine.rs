//! [pure] The partition as a machine of the log.

use std::borrow::Cow;
use std::io::{self, Write};
use std::sync::Arc;
use std::time::Duration;
use taraf_log::snapshot::Reader;

use taraf_base::Timestamp;
use taraf_flow::Definition;
use taraf_log::blob::Blob;
use taraf_log::machine::{Decision, DecodeError, Header, Machine};

use super::action::{Action, Wake};
use super::announce::Audience;
use super::codec;
use super::event::{CallClass, Event};
use super::hash;
use super::input::{Input, Reply};
use super::payloads::{Looking, Payloads};
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
    /// Where large payloads are kept; without it all stay in their records.
    pub payloads: Option<Arc<Payloads>>,
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

    /// The run with its payloads in reach, and who looks at them, if there are any.
    pub(super) fn opened<'a>(&self, run: &'a Run) -> (Cow<'a, Run>, Option<Arc<Looking>>) {
        let payloads = self.settings.payloads.as_ref();
        let Some(payloads) = payloads.filter(|_| self.state.names_payloads(run.id)) else {
            return (Cow::Borrowed(run), None);
        };
        let looking = payloads.look();
        let mut run = run.clone();
        run.change_data(&mut |data| *data = looking.open(data));
        (Cow::Owned(run), Some(looking))
    }

    /// Where it finds definitions.
    #[must_use]
    pub fn definitions(&self) -> &dyn Definitions {
        &*self.definitions
    }

    fn outstanding_of(&self, run: &Run, now: Timestamp, actions: &mut Vec<Action>) {
        let begins = actions.len();
        let (run, looking) = self.opened(run);
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
                    actions.extend(scope::action(&run, definition.as_deref(), wake, now));
                }
            }
        }
        look_with(looking.as_ref(), actions.iter_mut().skip(begins));
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

    fn detach(&self, events: &mut [Event], has_room: bool) -> Vec<Arc<Blob>> {
        let payloads = self.settings.payloads.as_ref();
        payloads.map_or_else(Vec::new, |payloads| payloads.detach(events, has_room))
    }

    fn encode(event: &Event, body: &mut Vec<u8>) -> Header {
        codec::encode(event, body)
    }

    fn decode(header: &Header, body: &[u8]) -> Result<Event, DecodeError> {
        codec::decode(header, body)
    }

    fn write_snapshot(&self, to: &mut dyn Write) -> io::Result<()> {
        self.state.save(to)
    }

    fn read_snapshot(&mut self, from: &mut Reader<'_>) -> Result<(), DecodeError> {
        self.state = State::load(from, self.settings.rest.clone())?;
        Ok(())
    }

    fn is_current(head: &[u8]) -> bool {
        head.first() == Some(&codec::SNAPSHOT_VERSION)
    }

    fn empty(&self) -> Self {
        let definitions = Arc::clone(&self.definitions);
        let settings = Settings {
            rest: self.settings.rest.another(),
            ..self.settings.clone()
        };
        Self::new(settings, definitions)
    }

    const HASHED: Option<u16> = Some(hash::WAY);

    fn state_hash(&mut self) -> u64 {
        self.state.hash()
    }
}

/// Tells the calls among these who looks at the payloads of their run.
pub(super) fn look_with<'a>(
    looking: Option<&Arc<Looking>>,
    actions: impl Iterator<Item = &'a mut Action>,
) {
    for action in actions {
        if let Action::Call(call) = action {
            call.looking = looking.cloned();
        }
    }
}
