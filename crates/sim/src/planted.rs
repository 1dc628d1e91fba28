//! [pure] The engine's machine as the simulation runs it: the real one, behind which bugs may be planted.

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use taraf_log::snapshot::Reader;

use taraf_base::Timestamp;
use taraf_engine::RunId;
use taraf_engine::partition::{
    Action, Call, CallClass, Doing, Event, Input, Partition, Reply, Run, State, What,
};
use taraf_flow::Scope;
use taraf_log::blob::Blob;
use taraf_log::machine::{Decision, DecodeError, Header, Machine};

use crate::bug::Bug;

/// What the driver and the machine of one leader share.
#[derive(Default)]
pub(crate) struct Strings {
    /// Replay runs.
    pub(crate) is_replaying: AtomicBool,
    /// Records are taken for stale.
    pub(crate) is_deaf: AtomicBool,
    /// What a bug lets out early.
    leaked: Mutex<Vec<Action>>,
    evolved: AtomicU64,
}

/// The real partition, with at most one bug before it.
pub(crate) struct Planted {
    real: Partition,
    bug: Option<Bug>,
    strings: Arc<Strings>,
    /// Runs that came from a snapshot.
    restored: BTreeSet<RunId>,
}

impl Planted {
    pub(crate) fn new(real: Partition, bug: Option<Bug>, strings: Arc<Strings>) -> Self {
        Self {
            real,
            bug,
            strings,
            restored: BTreeSet::new(),
        }
    }

    pub(crate) const fn state(&self) -> &State {
        self.real.state()
    }

    fn has(&self, bug: Bug) -> bool {
        self.bug == Some(bug)
    }

    /// The input as a faulty program would take it.
    fn mistaken(&self, input: Input) -> Input {
        match input {
            Input::Start(mut begin) if self.has(Bug::DropKeysAtRestore) => {
                let is_named = |id: &&RunId| {
                    let run = self.real.state().runs.get(id);
                    run.is_some_and(|run| run.begun.key == begin.key)
                };
                if begin.key.is_some() && self.restored.iter().any(|id| is_named(&id)) {
                    begin.key = None;
                }
                Input::Start(begin)
            }
            Input::Outcome {
                run,
                step,
                outcome,
                began,
                ended,
            } if self.has(Bug::AcceptLateOutcome) => {
                let found = self.real.state().runs.get(&run);
                let step = found.and_then(|run| waiting(&run, step)).unwrap_or(step);
                Input::Outcome {
                    run,
                    step,
                    outcome,
                    began,
                    ended,
                }
            }
            input => input,
        }
    }
}

/// The step that waits for an outcome, if that one does not.
fn waiting(run: &Run, step: u32) -> Option<u32> {
    let waits = |doing: &Doing| {
        matches!(
            doing,
            Doing::Call {
                answer: None,
                key: Some(_),
                ..
            }
        )
    };
    if run.steps.get(&step).is_some_and(|step| waits(&step.doing)) {
        return None;
    }
    let found = run.steps.iter().find(|(_, step)| waits(&step.doing));
    found.map(|(step, _)| *step)
}

impl Strings {
    pub(crate) fn take_leaked(&self) -> Vec<Action> {
        std::mem::take(&mut self.leaked.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Machine for Planted {
    type Input = Input;
    type Event = Event;
    type Action = Action;
    type Reply = Reply;

    fn decide(&self, input: Input, now: Timestamp) -> Decision<Self> {
        let input = self.mistaken(input);
        if self.has(Bug::ReleaseEarly) {
            // Deciding is pure: asked twice it answers the same.
            let early = self.real.decide(input.clone(), now).actions;
            let mut leaked = self
                .strings
                .leaked
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            leaked.extend(early);
        }
        let decision = self.real.decide(input, now);
        let mut actions = decision.actions;
        if self.has(Bug::ReleaseEarly) {
            actions.clear();
        }
        let joined = |event: &Event| matches!(event.what, What::Joined { .. });
        let cancelled = |event: &Event| matches!(event.what, What::TaskCancelled { .. });
        let is_fork_over =
            decision.events.iter().any(joined) && decision.events.iter().any(cancelled);
        if self.has(Bug::NoWakeAfterCancel) && is_fork_over {
            actions.clear();
        }
        Decision {
            events: decision.events,
            actions,
            reply: decision.reply,
        }
    }

    fn detach(&self, events: &mut [Event], has_room: bool) -> Vec<Arc<Blob>> {
        self.real.detach(events, has_room)
    }

    fn evolve(&mut self, event: &Event, at: Timestamp) {
        let evolved = self.strings.evolved.fetch_add(1, Ordering::Relaxed);
        let is_replaying = self.strings.is_replaying.load(Ordering::Relaxed);
        if self.strings.is_deaf.load(Ordering::Relaxed) {
            return;
        }
        let mut event = event.clone();
        match &mut event.what {
            What::Entered(entered)
                if self.has(Bug::NondeterministicEvolve) && evolved.is_multiple_of(7) =>
            {
                entered.attempt += 1;
            }
            What::Retried { attempt, .. } if self.has(Bug::RetryCounterReset) && is_replaying => {
                *attempt = 1;
            }
            _ => {}
        }
        let late = self.has(Bug::TimeOfReplay) && is_replaying;
        let at = if late {
            Timestamp::from_millis(at.as_millis() + 1)
        } else {
            at
        };
        self.real.evolve(&event, at);
    }

    fn outstanding(&self, now: Timestamp) -> Vec<Action> {
        let actions = self.real.outstanding(now).into_iter();
        let lost = |action: &Action| match action {
            Action::SetTimer { run, .. } => {
                self.has(Bug::LoseTimersAtSnapshot) && self.restored.contains(run)
            }
            _ => false,
        };
        let again = |action: Action| match action {
            Action::Uncertain { run, step } if self.has(Bug::RepeatAtMostOnce) => {
                call_again(&self.real, run, step).unwrap_or(Action::Uncertain { run, step })
            }
            action => action,
        };
        actions.filter(|action| !lost(action)).map(again).collect()
    }

    fn encode(event: &Event, body: &mut Vec<u8>) -> Header {
        Partition::encode(event, body)
    }

    fn decode(header: &Header, body: &[u8]) -> Result<Event, DecodeError> {
        Partition::decode(header, body)
    }

    fn write_snapshot(&self, to: &mut dyn Write) -> io::Result<()> {
        self.real.write_snapshot(to)
    }

    fn read_snapshot(&mut self, from: &mut Reader<'_>) -> Result<(), DecodeError> {
        self.real.read_snapshot(from)?;
        self.restored = self
            .real
            .state()
            .runs
            .statuses(..)
            .map(|(id, _)| id)
            .collect();
        Ok(())
    }

    fn empty(&self) -> Self {
        let strings = Arc::new(Strings::default());
        strings.is_replaying.store(true, Ordering::Relaxed);
        Self::new(self.real.empty(), self.bug, strings)
    }

    fn is_current(head: &[u8]) -> bool {
        Partition::is_current(head)
    }

    const HASHED: Option<u16> = Partition::HASHED;

    fn state_hash(&mut self) -> u64 {
        self.real.state_hash()
    }
}

/// The call as it was made before the crash.
fn call_again(partition: &Partition, run: RunId, step: u32) -> Option<Action> {
    let found = partition.state().runs.get(&run)?;
    let state = found.steps.get(&step)?;
    let definition = partition.definitions().definition(&found.begun.hash)?;
    let Doing::Call {
        key: Some(key),
        request,
        ..
    } = &state.doing
    else {
        return None;
    };
    Some(Action::Call(Box::new(Call {
        run,
        step,
        attempt: state.attempt,
        key: Arc::clone(key),
        task: Arc::clone(definition.task(&state.task)?),
        request: request.clone(),
        input: state.input.clone(),
        scope: Scope::default(),
        class: CallClass::AtMostOnce,
        until: None,
        traceparent: None,
        looking: None,
        secrets: Vec::new(),
    })))
}
