//! [pure] The state of one run, and how its events change it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use taraf_base::Timestamp;
use taraf_flow::{Data, FlowError};

use super::event::{
    Begun, BranchOutcome, CallClass, Entered, Given, Lane, Outcome, StepKind, What, as_json,
};
use crate::{RunId, Status};

/// One run. Cheap to clone: its data are shared.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Run {
    /// Its id.
    pub id: RunId,
    /// How it began.
    pub begun: Arc<Begun>,
    /// When it began.
    pub created: Timestamp,
    /// When something last happened to it.
    pub updated: Timestamp,
    /// How and when it ended.
    pub ended: Option<(Timestamp, Ending)>,
    /// Since when a person holds it.
    pub suspended: Option<Timestamp>,
    /// `$context`
    pub context: Data,
    /// When it times out.
    pub deadline: Option<Timestamp>,
    /// The number of the next step.
    pub next_step: u32,
    /// Tasks begun or skipped so far.
    pub starts: u64,
    /// Entries in its journal so far.
    pub history: u64,
    /// The tasks that have begun and not ended. A step's number is greater than its owner's.
    pub steps: BTreeMap<u32, Step>,
    /// The lanes in which something has happened.
    pub lanes: BTreeMap<Lane, LaneState>,
    /// Lanes that wait for the run's next turn, and the task that comes next in each.
    pub paused: BTreeMap<Lane, u32>,
    /// Effect keys of at-most-once calls that were made or may have been, by the outermost `try`
    /// around them. A later attempt of that `try` meets the same keys and does not call again.
    #[serde(default)]
    pub spent: BTreeMap<u32, BTreeSet<Arc<str>>>,
}

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Ending {
    /// With an output.
    Completed(Data),
    /// By an error.
    Faulted(#[serde(with = "as_json")] FlowError),
    /// By a person, or with its caller.
    Cancelled(String),
}

/// A task that has begun and not ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// Where it is done.
    pub lane: Lane,
    /// Its place in the list.
    pub index: u32,
    /// JSON Pointer of the task.
    pub task: Arc<str>,
    /// Iterations and repeated visits of the lists around it.
    pub iteration: Arc<str>,
    /// Attempt of the innermost `try` around it.
    pub attempt: u32,
    /// Raw input.
    pub raw: Data,
    /// Transformed input.
    pub input: Data,
    /// When it began.
    pub started: Timestamp,
    /// When it times out.
    pub deadline: Option<Timestamp>,
    /// What it does.
    pub doing: Doing,
}

impl Step {
    /// Its phase while nobody holds the run.
    #[must_use]
    pub const fn phase(&self) -> Status {
        match &self.doing {
            Doing::Wait { until: Some(_) }
            | Doing::Try {
                phase: TryPhase::Delayed { .. },
                ..
            } => Status::Waiting,
            _ => Status::Running,
        }
    }
}

/// What a step does.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Doing {
    /// Ends in the group in which it began.
    Instant,
    /// Runs its list.
    Do,
    /// Runs its list for each item.
    For {
        /// The items.
        items: Arc<[Data]>,
        /// The iteration under way.
        index: u32,
    },
    /// Runs branches; those that ended are here.
    Fork {
        /// By the branch's place.
        ended: BTreeMap<u32, BranchOutcome>,
    },
    /// Tries its list.
    Try {
        /// From 1.
        attempt: u32,
        /// Where it stands.
        phase: TryPhase,
        /// When this attempt times out.
        attempt_until: Option<Timestamp>,
    },
    /// Makes a call.
    Call {
        /// How often it may be made.
        class: CallClass,
        /// Its effect key; none before it is scheduled.
        key: Option<Arc<str>>,
        /// What was evaluated when it was scheduled.
        request: Data,
        /// How it ended, while the run is held.
        answer: Option<Outcome>,
    },
    /// Waits.
    Wait {
        /// Until then.
        until: Option<Timestamp>,
    },
}

/// Where a `try` stands.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum TryPhase {
    /// Runs its list.
    Trying,
    /// Waits for the next attempt.
    Delayed {
        /// Until then.
        until: Timestamp,
    },
    /// Has caught an error for good.
    Handling {
        /// The error.
        #[serde(with = "as_json")]
        error: FlowError,
    },
}

/// What a lane has come to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LaneState {
    /// What the last task of it left: the raw input of the next.
    pub data: Data,
    /// How often each task of the list was begun, by its place.
    pub visits: BTreeMap<u32, u32>,
}

impl Run {
    /// A run that begins.
    #[must_use]
    pub fn new(id: RunId, begun: Arc<Begun>, at: Timestamp) -> Self {
        Self {
            id,
            created: at,
            updated: at,
            ended: None,
            suspended: None,
            context: Data::object(),
            deadline: begun.deadline,
            next_step: 1,
            starts: 0,
            history: 1,
            steps: BTreeMap::new(),
            lanes: BTreeMap::new(),
            paused: BTreeMap::new(),
            spent: BTreeMap::new(),
            begun,
        }
    }

    /// `$input` of the run.
    #[must_use]
    pub fn input(&self) -> &Data {
        self.begun.input.as_ref().unwrap_or(&self.begun.raw)
    }

    /// The raw input of a lane's next task, which is what its last one left.
    #[must_use]
    pub fn lane_data(&self, lane: Lane) -> Data {
        if let Some(state) = self.lanes.get(&lane) {
            return state.data.clone();
        }
        match self.steps.get(&lane.step) {
            Some(owner) => owner.input.clone(),
            None => self.input().clone(),
        }
    }

    /// How often the task at that place of the lane has begun.
    #[must_use]
    pub fn visits(&self, lane: Lane, index: u32) -> u32 {
        let visits = self
            .lanes
            .get(&lane)
            .and_then(|state| state.visits.get(&index));
        visits.copied().unwrap_or(0)
    }

    /// The step and those around it, from the inside out.
    pub fn around(&self, step: u32) -> impl Iterator<Item = (u32, &Step)> {
        let find = move |id: u32| self.steps.get(&id).map(|step| (id, step));
        std::iter::successors(find(step), move |(_, step)| find(step.lane.step))
    }

    /// The steps inside that one, those that began last first.
    #[must_use]
    pub fn below(&self, step: u32) -> Vec<u32> {
        let within = |id: &u32| self.around(*id).any(|(_, inner)| inner.lane.step == step);
        self.steps.keys().rev().copied().filter(within).collect()
    }

    /// Its phase.
    #[must_use]
    pub fn status(&self) -> Status {
        match &self.ended {
            Some((_, Ending::Completed(_))) => return Status::Completed,
            Some((_, Ending::Faulted(_))) => return Status::Faulted,
            Some((_, Ending::Cancelled(_))) => return Status::Cancelled,
            None => {}
        }
        if self.suspended.is_some() {
            return Status::Suspended;
        }
        let calls = |step: &Step| matches!(step.doing, Doing::Call { .. });
        if self.steps.values().any(calls) || !self.paused.is_empty() || self.steps.is_empty() {
            Status::Running
        } else {
            Status::Waiting
        }
    }

    /// Applies what is written. Total: an event that does not fit the state changes nothing.
    pub fn evolve(&mut self, what: &What, at: Timestamp) {
        self.updated = at;
        self.history = self.history.saturating_add(1);
        match what {
            What::Started(_) | What::Removed | What::Moved => {}
            What::Entered(entered) => self.enter(entered, at),
            What::Skipped { lane, index, .. } => self.visit(*lane, *index),
            What::Looped { step, items } => self.loop_over(*step, items),
            What::Iterated { step, index, input } => self.iterate(*step, *index, input),
            What::Scheduled {
                step,
                class,
                key,
                request,
            } => self.schedule(*step, *class, key, request),
            What::Answered { step, outcome, .. } => {
                if matches!(outcome, Outcome::Unsent(_)) {
                    self.unspend(*step);
                }
                if let Some(Doing::Call { answer, .. }) = self.doing(*step) {
                    *answer = Some(outcome.clone());
                }
            }
            What::Waiting { step, until } => {
                if let Some(doing) = self.doing(*step) {
                    *doing = Doing::Wait {
                        until: Some(*until),
                    };
                }
            }
            What::Joined {
                step,
                branch,
                outcome,
            } => {
                if let Some(Doing::Fork { ended }) = self.doing(*step) {
                    ended.insert(*branch, outcome.clone());
                }
            }
            What::Caught(caught) => self.catch(caught.step, &caught.error, caught.retry),
            What::Retried {
                step,
                attempt,
                until,
            } => self.retry(*step, *attempt, *until),
            What::TaskCompleted {
                step,
                output,
                context,
            } => {
                self.complete(*step, output, context.as_ref());
            }
            What::TaskFaulted { step, .. } | What::TaskCancelled { step } => self.leave(*step),
            What::Paused { lane, index } => {
                self.paused.insert(*lane, *index);
            }
            What::Suspended => self.suspended = Some(at),
            What::Resumed { held } => self.resume(*held),
            What::Completed { output } => self.end(Ending::Completed(output.clone()), at),
            What::Faulted { error } => self.end(Ending::Faulted(error.clone()), at),
            What::Cancelled { why } => self.end(Ending::Cancelled(why.clone()), at),
        }
    }

    /// What a step's event stands for.
    #[must_use]
    pub fn given(&self, step: u32, given: &Given) -> Data {
        let state = self.steps.get(&step);
        match given {
            Given::Data(data) => data.clone(),
            Given::Lane(slot) => self.lane_data(Lane { step, slot: *slot }),
            Given::Input => state.map(|step| step.input.clone()).unwrap_or_default(),
            Given::Answer => match state.map(|step| &step.doing) {
                Some(Doing::Call {
                    answer: Some(Outcome::Ok(data)),
                    ..
                }) => data.clone(),
                _ => Data::null(),
            },
        }
    }

    /// Whether the at-most-once call with this effect key was made or may have been.
    #[must_use]
    pub fn is_spent(&self, key: &str) -> bool {
        self.spent.values().any(|keys| keys.contains(key))
    }

    /// Whether an at-most-once call of the task at this pointer was made or may have been.
    #[must_use]
    pub fn has_spent(&self, task: &str) -> bool {
        let place = format!("{}{task}", self.id);
        let mut keys = self.spent.values().flatten();
        keys.any(|key| {
            let iteration = key.strip_prefix(place.as_str());
            iteration.is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '~']))
        })
    }

    fn outermost_try(&self, step: u32) -> Option<u32> {
        let tries = |(_, step): &(u32, &Step)| matches!(step.doing, Doing::Try { .. });
        self.around(step).filter(tries).last().map(|(id, _)| id)
    }

    fn unspend(&mut self, step: u32) {
        let Some(Doing::Call { key: Some(key), .. }) = self.steps.get(&step).map(|s| &s.doing)
        else {
            return;
        };
        let key = Arc::clone(key);
        for keys in self.spent.values_mut() {
            keys.remove(&key);
        }
    }

    fn doing(&mut self, step: u32) -> Option<&mut Doing> {
        self.steps.get_mut(&step).map(|step| &mut step.doing)
    }

    fn lane(&mut self, lane: Lane) -> &mut LaneState {
        let data = self.lane_data(lane);
        self.lanes.entry(lane).or_insert_with(|| LaneState {
            data,
            visits: BTreeMap::new(),
        })
    }

    fn visit(&mut self, lane: Lane, index: u32) {
        self.starts = self.starts.saturating_add(1);
        self.paused.remove(&lane);
        let visits = self.lane(lane).visits.entry(index).or_insert(0);
        *visits = visits.saturating_add(1);
    }

    fn schedule(&mut self, step: u32, class: CallClass, key: &Arc<str>, request: &Data) {
        if class == CallClass::AtMostOnce
            && let Some(outermost) = self.outermost_try(step)
        {
            let keys = self.spent.entry(outermost).or_default();
            keys.insert(Arc::clone(key));
        }
        if let Some(doing) = self.doing(step) {
            *doing = Doing::Call {
                class,
                key: Some(Arc::clone(key)),
                request: request.clone(),
                answer: None,
            };
        }
    }

    fn enter(&mut self, entered: &Entered, at: Timestamp) {
        self.visit(entered.lane, entered.index);
        let raw = self.lane_data(entered.lane);
        let doing = match entered.kind {
            StepKind::Instant => Doing::Instant,
            StepKind::Do => Doing::Do,
            StepKind::For => Doing::For {
                items: Arc::from([]),
                index: 0,
            },
            StepKind::Fork => Doing::Fork {
                ended: BTreeMap::new(),
            },
            StepKind::Try => Doing::Try {
                attempt: 1,
                phase: TryPhase::Trying,
                attempt_until: None,
            },
            StepKind::Call => Doing::Call {
                class: CallClass::AtLeastOnce,
                key: None,
                request: Data::null(),
                answer: None,
            },
            StepKind::Wait => Doing::Wait { until: None },
        };
        let step = Step {
            lane: entered.lane,
            index: entered.index,
            task: Arc::clone(&entered.task),
            iteration: Arc::clone(&entered.iteration),
            attempt: entered.attempt,
            input: entered.input.clone().unwrap_or_else(|| raw.clone()),
            raw,
            started: at,
            deadline: entered.deadline,
            doing,
        };
        self.steps.insert(entered.step, step);
        self.next_step = self.next_step.max(entered.step.saturating_add(1));
    }

    fn loop_over(&mut self, step: u32, items: &Arc<[Data]>) {
        if let Some(Doing::For { items: place, .. }) = self.doing(step) {
            *place = Arc::clone(items);
        }
    }

    fn iterate(&mut self, step: u32, index: u32, input: &Given) {
        let data = self.given(step, input);
        if let Some(Doing::For { index: place, .. }) = self.doing(step) {
            *place = index;
        }
        let fresh = LaneState {
            data,
            visits: BTreeMap::new(),
        };
        self.lanes.insert(Lane::first(step), fresh);
    }

    fn catch(&mut self, step: u32, error: &FlowError, retry: Option<Timestamp>) {
        if let Some(Doing::Try {
            phase,
            attempt_until,
            ..
        }) = self.doing(step)
        {
            *attempt_until = None;
            *phase = match retry {
                Some(until) => TryPhase::Delayed { until },
                None => TryPhase::Handling {
                    error: error.clone(),
                },
            };
        }
        self.forget(Lane::first(step));
    }

    fn retry(&mut self, step: u32, number: u32, until: Option<Timestamp>) {
        if let Some(Doing::Try {
            attempt,
            phase,
            attempt_until,
        }) = self.doing(step)
        {
            *attempt = number;
            *phase = TryPhase::Trying;
            *attempt_until = until;
        }
        self.forget(Lane::first(step));
    }

    fn complete(&mut self, step: u32, output: &Given, context: Option<&Data>) {
        let data = self.given(step, output);
        if let Some(context) = context {
            self.context = context.clone();
        }
        let lane = self.steps.get(&step).map(|step| step.lane);
        self.leave(step);
        if let Some(lane) = lane {
            self.lane(lane).data = data;
        }
    }

    /// Takes a step away with all its lanes.
    fn leave(&mut self, step: u32) {
        if self.steps.remove(&step).is_none() {
            return;
        }
        self.spent.remove(&step);
        let lanes = Lane::first(step)..=Lane {
            step,
            slot: u32::MAX,
        };
        let gone: Vec<Lane> = self
            .lanes
            .range(lanes.clone())
            .map(|(lane, _)| *lane)
            .collect();
        for lane in gone {
            self.lanes.remove(&lane);
        }
        let gone: Vec<Lane> = self.paused.range(lanes).map(|(lane, _)| *lane).collect();
        for lane in gone {
            self.paused.remove(&lane);
        }
    }

    fn forget(&mut self, lane: Lane) {
        self.lanes.remove(&lane);
        self.paused.remove(&lane);
    }

    fn resume(&mut self, held: u64) {
        self.suspended = None;
        let later = |deadline: &mut Option<Timestamp>| {
            if let Some(deadline) = deadline {
                *deadline = deadline.plus(std::time::Duration::from_millis(held));
            }
        };
        later(&mut self.deadline);
        for step in self.steps.values_mut() {
            later(&mut step.deadline);
            if let Doing::Try { attempt_until, .. } = &mut step.doing {
                later(attempt_until);
            }
        }
    }

    fn end(&mut self, ending: Ending, at: Timestamp) {
        self.ended = Some((at, ending));
        self.suspended = None;
        self.deadline = None;
        self.steps.clear();
        self.lanes.clear();
        self.paused.clear();
        self.spent.clear();
    }
}
