//! [pure] Who uses the system from outside: starts runs (again, with the same key, when no answer comes),
//! cancels, holds and resumes them, makes and revokes API keys; and remembers what was acknowledged.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::json;
use taraf_engine::partition::{Begin, Control, Input, Reply, What};
use taraf_engine::{FlowId, RunId};
use taraf_flow::{Data, Definition};
use taraf_gateway::quota::Plan as Allowance;
use taraf_gateway::registry::{
    AccountId, Input as KeyInput, KeyHash, KeyId, NewKey, Reply as KeyReply,
};
use taraf_log::PartitionId;
use taraf_log::machine::{Class, ProposeError};

use crate::bug::Bug;
use crate::context::{Answer, Context};
use crate::event::{Ask, Event, Key};
use crate::plan::{MS, SECOND};
use crate::process::Process;

/// How long a client waits for an answer.
const PATIENCE: u64 = 3 * SECOND;
const PLAN: &str = "small";
const QUOTA: u64 = 1_000;

/// One run that somebody wants.
pub(crate) struct Wanted {
    pub(crate) definition: Arc<Definition>,
    pub(crate) input: Data,
    partition: PartitionId,
    key: Option<String>,
    /// The run that was acknowledged.
    pub(crate) id: Option<RunId>,
    /// Nobody will ask again.
    is_settled: bool,
}

/// What an operation was, until it is answered or given up.
enum Operation {
    Start(usize),
    Control(RunId, Control),
    Plan,
    CreateKey(KeyId),
    Revoke(KeyId),
}

/// All clients.
#[derive(Default)]
pub(crate) struct Clients {
    pub(crate) wanted: Vec<Wanted>,
    operations: BTreeMap<u64, Operation>,
    next: u64,
    controls: Vec<(RunId, Control)>,
    keys: BTreeSet<KeyId>,
    revoked: BTreeSet<KeyId>,
    has_plan: bool,
}

impl Clients {
    /// Decides what will be wanted and when.
    pub(crate) fn new(context: &mut Context) -> Self {
        let mut clients = Self::default();
        for n in 0..context.plan.runs {
            let flows = context.plan.library.flows.clone();
            let definition = Arc::clone(context.dice.pick(&flows));
            let input = json!({"n": context.dice.between(0, 20)});
            let partition = context.plan.partitions[n % context.plan.partitions.len()];
            let key = context.dice.percent(70).then(|| format!("order-{n}"));
            clients.wanted.push(Wanted {
                definition,
                input: Data::from(input),
                partition,
                key,
                id: None,
                is_settled: false,
            });
            let at = context.plan.faults_until * 7 / 10;
            let at = context.dice.between(0, at);
            context.after(at, Event::Start(n));
        }
        for _ in 0..context.dice.between(0, 6) {
            let at = context.dice.between(0, context.plan.faults_until);
            context.after(at, Event::Control(None));
        }
        if context.plan.keys > 0 {
            for _ in 0..context.plan.keys * 3 {
                let at = context.dice.between(0, context.plan.faults_until);
                context.after(at, Event::Key);
            }
            for _ in 0..context.dice.between(10, 200) {
                let at = context.dice.between(0, context.plan.faults_until);
                let which = context.dice.number();
                context.after(at, Event::Use(which));
            }
        }
        clients
    }

    /// Whether everybody has an answer or has given up.
    pub(crate) fn are_settled(&self) -> bool {
        self.wanted.iter().all(|wanted| wanted.is_settled)
    }

    fn operation(&mut self, context: &mut Context, operation: Operation) -> u64 {
        self.next += 1;
        self.operations.insert(self.next, operation);
        context.after(PATIENCE, Event::GiveUp(self.next));
        self.next
    }

    /// A client asks for its run.
    pub(crate) fn start(&mut self, context: &mut Context, process: Option<&Process>, n: usize) {
        let id = self.operation(context, Operation::Start(n));
        let (Some(process), Some(wanted)) = (process, self.wanted.get(n)) else {
            return;
        };
        let document = &wanted.definition.document;
        let begin = Begin {
            id: RunId::compose(wanted.partition, context.wall(), context.dice.number()),
            flow: FlowId {
                namespace: document.namespace.clone(),
                name: document.name.clone(),
                version: document.version.clone(),
            },
            versioned: false,
            hash: wanted.definition.hash.clone(),
            input: wanted.input.clone(),
            owner: None,
            key: wanted.key.clone(),
            traceparent: None,
            moved: 0,
            expired: None,
        };
        context.note(format_args!("client asks for run {n}"));
        let input = Input::Start(Box::new(begin));
        process.ask_runs(
            context,
            wanted.partition,
            Class::Start,
            input,
            Ask::Client(id),
        );
    }

    /// No answer came in time.
    pub(crate) fn give_up(&mut self, context: &mut Context, id: u64) {
        if let Some(Operation::Start(n)) = self.operations.remove(&id) {
            self.start_again(context, n);
        }
    }

    /// With a key it is safe to ask again; without one there might be two runs.
    fn start_again(&mut self, context: &mut Context, n: usize) {
        let Some(wanted) = self.wanted.get_mut(n) else {
            return;
        };
        if wanted.key.is_some() {
            let delay = context.dice.between(100 * MS, 2 * SECOND);
            context.after(delay, Event::Start(n));
        } else {
            wanted.is_settled = true;
        }
    }

    /// A person's word about some run, or about that one.
    pub(crate) fn control(
        &mut self,
        context: &mut Context,
        process: Option<&Process>,
        chosen: Option<(RunId, Control)>,
    ) {
        let (run, control) = if let Some(chosen) = chosen {
            chosen
        } else {
            let known: Vec<RunId> = self.wanted.iter().filter_map(|w| w.id).collect();
            if known.is_empty() {
                return;
            }
            let run = *context.dice.pick(&known);
            let control =
                *context
                    .dice
                    .pick(&[Control::Cancel, Control::Suspend, Control::Suspend]);
            if control == Control::Suspend {
                let delay = context.dice.between(100 * MS, 10 * SECOND);
                context.after(delay, Event::Control(Some((run, Control::Resume))));
            }
            (run, control)
        };
        let id = self.operation(context, Operation::Control(run, control));
        if let Some(process) = process {
            context.note(format_args!("a person says {control:?} to {run}"));
            let input = Input::Control(run, control);
            process.ask_runs(
                context,
                run.partition(),
                Class::Control,
                input,
                Ask::Client(id),
            );
        }
    }

    /// Someone asks something of the accounts.
    pub(crate) fn key(&mut self, context: &mut Context, process: Option<&Process>) {
        let Some(process) = process else {
            return;
        };
        let (operation, input) = if !self.has_plan {
            let plan = Allowance {
                rate_per_second: 10,
                burst: 10,
                quota_per_month: Some(QUOTA),
            };
            let name = PLAN.to_owned();
            (Operation::Plan, KeyInput::SetPlan { name, plan })
        } else if !self.keys.is_empty() && context.dice.percent(25) {
            let keys: Vec<KeyId> = self.keys.iter().copied().collect();
            let id = *context.dice.pick(&keys);
            (Operation::Revoke(id), KeyInput::Revoke { id })
        } else if !self.keys.is_empty() && context.dice.percent(30) {
            let keys: Vec<KeyId> = self.keys.iter().copied().collect();
            let id = *context.dice.pick(&keys);
            let new = KeyId::new(u128::from(context.dice.number()));
            let input = KeyInput::Rotate {
                id,
                new,
                hash: hash(new),
                overlap_until: context.wall().plus(std::time::Duration::from_secs(5)),
            };
            (Operation::CreateKey(new), input)
        } else {
            let id = KeyId::new(u128::from(context.dice.number()));
            let key = NewKey {
                id,
                hash: hash(id),
                plan: PLAN.to_owned(),
                label: String::new(),
            };
            let input = KeyInput::CreateKey {
                account: AccountId::new(u128::from(context.dice.number())),
                name: format!("account-{}", context.dice.between(1, 3)),
                email: None,
                key,
            };
            (Operation::CreateKey(id), input)
        };
        let is_revoke = matches!(operation, Operation::Revoke(_));
        let id = self.operation(context, operation);
        if is_revoke && context.bug == Some(Bug::RevocationNotRecorded) {
            context.answers.push(Answer::Key(id, Ok(KeyReply::Done)));
            return;
        }
        process.ask_keys(context, input, Ask::Client(id));
    }

    /// A call is made with some key.
    pub(crate) fn spend(&self, context: &mut Context, process: Option<&Process>, which: u64) {
        let count = u64::try_from(self.keys.len()).unwrap_or(0);
        let place = usize::try_from(which % count.max(1)).unwrap_or(0);
        if let (Some(process), Some(key)) = (process, self.keys.iter().nth(place)) {
            process.key_event(context, Key::Spend(*key, 0));
        }
    }

    /// Answers arrive.
    pub(crate) fn answered(&mut self, context: &mut Context) {
        for answer in std::mem::take(&mut context.answers) {
            match answer {
                Answer::Run(id, answer) => self.run_answered(context, id, answer),
                Answer::Key(id, answer) => self.key_answered(context, id, answer),
            }
        }
    }

    fn run_answered(
        &mut self,
        context: &mut Context,
        id: u64,
        answer: Result<Reply, ProposeError>,
    ) {
        if context.dice.percent(4) {
            return; // The answer is lost on its way.
        }
        match self.operations.remove(&id) {
            Some(Operation::Start(n)) => self.started(context, n, answer),
            Some(Operation::Control(run, control)) => match answer {
                Ok(Reply::Done) => {
                    context.note(format_args!("{control:?} of {run} is acknowledged"));
                    self.controls.push((run, control));
                }
                // A held run must not stay held because a person's word was lost.
                Err(_) if control == Control::Resume => {
                    context.after(SECOND, Event::Control(Some((run, control))));
                }
                Ok(_) | Err(_) => {}
            },
            _ => {}
        }
    }

    fn started(&mut self, context: &mut Context, n: usize, answer: Result<Reply, ProposeError>) {
        let Some(wanted) = self.wanted.get_mut(n) else {
            return;
        };
        match answer {
            Ok(Reply::Started { id, .. }) => {
                context.note(format_args!("run {n} is {id}"));
                if wanted.id.is_some_and(|known| known != id) {
                    let what = format!("run {n} was {:?} and is {id}", wanted.id);
                    context.fail("a key names one run", what);
                }
                if context.history.line(id).is_none() {
                    context.fail(
                        "what is acknowledged is durable",
                        format!("the start of {id}"),
                    );
                }
                wanted.id = Some(id);
                wanted.is_settled = true;
                if wanted.key.is_some() && context.dice.percent(30) {
                    let delay = context.dice.between(MS, 20 * SECOND);
                    context.after(delay, Event::Start(n));
                }
            }
            Ok(Reply::Overloaded(_)) | Err(ProposeError::Full | ProposeError::Overloaded) => {
                let delay = context.dice.between(100 * MS, 2 * SECOND);
                context.after(delay, Event::Start(n));
            }
            // It will not be smaller the next time.
            Err(error @ ProposeError::TooLarge { .. }) => {
                context.note(format_args!("run {n} is refused: {error}"));
                wanted.is_settled = true;
            }
            Err(_) => self.start_again(context, n),
            Ok(other) => context.fail("starts are answered", format!("run {n}: {other:?}")),
        }
    }

    fn key_answered(
        &mut self,
        context: &mut Context,
        id: u64,
        answer: Result<KeyReply, ProposeError>,
    ) {
        match (self.operations.remove(&id), answer) {
            (Some(Operation::Plan), Ok(_)) => self.has_plan = true,
            (Some(Operation::CreateKey(id)), Ok(KeyReply::Key { .. })) => {
                context.note(format_args!("{id} is acknowledged"));
                self.keys.insert(id);
            }
            (Some(Operation::Revoke(id)), Ok(KeyReply::Done)) => {
                context.note(format_args!("the revocation of {id} is acknowledged"));
                self.revoked.insert(id);
            }
            _ => {}
        }
        self.check_keys(context);
    }

    /// Keys that were acknowledged exist; those that were revoked stay so.
    pub(crate) fn check_keys(&self, context: &mut Context) {
        let mut missing = None;
        for id in &self.keys {
            match context.keys.mirror().key(*id) {
                None => missing = Some(format!("{id} was acknowledged and is not there")),
                // It ends at the time of the record, whatever the clock says now.
                Some(key) if self.revoked.contains(id) && key.ends.is_none() => {
                    missing = Some(format!("{id} was revoked and is taken"));
                }
                Some(_) => {}
            }
        }
        if let Some(what) = missing {
            context.fail("keys are what was acknowledged", what);
        }
    }

    /// What was acknowledged is in the final history.
    pub(crate) fn check_runs(&self, context: &mut Context) {
        for wanted in &self.wanted {
            if let Some(id) = wanted.id
                && context.history.line(id).is_none()
            {
                context.fail(
                    "what is acknowledged stays",
                    format!("there is no run {id}"),
                );
            }
        }
        for (run, control) in &self.controls {
            let events = context.history.line(*run).map(|line| &line.events);
            let is_it = |what: &What| match control {
                Control::Cancel => matches!(what, What::Cancelled { .. }),
                Control::Suspend => matches!(what, What::Suspended),
                Control::Resume => matches!(what, What::Resumed { .. }),
            };
            if !events.is_some_and(|events| events.iter().any(is_it)) {
                context.fail(
                    "what is acknowledged stays",
                    format!("{control:?} of {run}"),
                );
            }
        }
    }
}

fn hash(id: KeyId) -> KeyHash {
    let mut bytes = [7; 32];
    bytes[..16].copy_from_slice(&id.get().to_le_bytes());
    KeyHash(bytes)
}
