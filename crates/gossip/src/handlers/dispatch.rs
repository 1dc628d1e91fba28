//! Takes what happens to the scripts that are run for it.
//!
//! Every handler has a lane: events wait in it in order, and one after another is handled. Lanes go side by side,
//! so that a handler that takes long holds up itself alone. Serf has one lane for all, which a setting keeps.

use std::sync::Arc;
use std::time::Duration;

use taraf_base::Tasks;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{Semaphore, mpsc, watch};

use super::run::run;
use super::spec::Spec;
use crate::rpc::Agent;
use crate::rpc::event::{Event, Member};

/// How scripts are run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Whether all scripts are run one after another, without a time limit, as in Serf.
    pub one_after_another: bool,
    /// How long a script may take before it is killed. Not where all are run one after another.
    pub time_max: Duration,
    /// How many scripts run at the same time.
    pub running_max: usize,
    /// How many events may wait for one handler; further ones are lost, with a warning.
    pub waiting_max: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            one_after_another: false,
            time_max: Duration::from_secs(300),
            running_max: 16,
            waiting_max: 512,
        }
    }
}

/// The handlers of a running agent. They stop with the tasks that they were started in.
#[derive(Clone, Debug)]
pub struct Handlers {
    specs: Arc<watch::Sender<Arc<[Spec]>>>,
}

/// An event, and what our own member was when it happened.
struct Happening {
    event: Arc<Event>,
    own: Member,
}

/// One handler, or all of them, with what waits for it.
struct Lane {
    specs: Arc<[Spec]>,
    waiting: mpsc::Sender<Arc<Happening>>,
}

struct Dispatcher<A> {
    agent: Arc<A>,
    settings: Settings,
    tasks: Tasks,
    room: Arc<Semaphore>,
    lanes: Vec<Lane>,
}

impl Handlers {
    /// Runs scripts for the events of an agent from now on.
    pub fn start<A: Agent>(agent: A, specs: Vec<Spec>, settings: Settings, tasks: &Tasks) -> Self {
        let specs: watch::Sender<Arc<[Spec]>> = watch::Sender::new(specs.into());
        let mut changes = specs.subscribe();
        // Before anything else can happen.
        let mut events = agent.events();
        let mut dispatcher = Dispatcher {
            agent: Arc::new(agent),
            settings,
            tasks: tasks.clone(),
            room: Arc::new(Semaphore::new(settings.running_max)),
            lanes: Vec::new(),
        };
        let token = tasks.token();
        tasks.spawn("event handlers", async move {
            dispatcher.lay(&changes.borrow_and_update().clone());
            loop {
                tokio::select! {
                    () = token.cancelled() => return,
                    changed = changes.changed() => match changed {
                        Ok(()) => dispatcher.lay(&changes.borrow_and_update().clone()),
                        Err(_nobody_changes_them) => std::future::pending().await,
                    },
                    event = events.recv() => match event {
                        Ok(event) => dispatcher.dispatch(&event),
                        Err(RecvError::Lagged(count)) => {
                            tracing::warn!("{count} events were lost: the agent is too busy");
                        }
                        Err(RecvError::Closed) => return,
                    },
                }
            }
        });
        Self {
            specs: Arc::new(specs),
        }
    }

    /// Runs these scripts from now on. A handler that was there before keeps what waits for it.
    pub fn replace(&self, specs: Vec<Spec>) {
        self.specs.send_replace(specs.into());
    }

    /// Which there are.
    #[must_use]
    pub fn specs(&self) -> Arc<[Spec]> {
        self.specs.borrow().clone()
    }
}

impl<A: Agent> Dispatcher<A> {
    /// Makes the lanes for these handlers. Lanes that are not wanted any more end when they are empty.
    fn lay(&mut self, specs: &Arc<[Spec]>) {
        let wanted: Vec<Arc<[Spec]>> = if self.settings.one_after_another {
            vec![Arc::clone(specs)]
        } else {
            specs.iter().map(|spec| [spec.clone()].into()).collect()
        };
        let mut before = std::mem::take(&mut self.lanes);
        for specs in wanted {
            let same = before.iter().position(|lane| lane.specs == specs);
            let lane = match same {
                Some(index) => before.swap_remove(index),
                None => self.open(specs),
            };
            self.lanes.push(lane);
        }
    }

    fn open(&self, specs: Arc<[Spec]>) -> Lane {
        let (waiting, mut next) = mpsc::channel::<Arc<Happening>>(self.settings.waiting_max);
        let worker = Worker {
            agent: Arc::clone(&self.agent),
            specs: Arc::clone(&specs),
            room: Arc::clone(&self.room),
            limit: (!self.settings.one_after_another).then_some(self.settings.time_max),
        };
        // What waits when the agent stops is handled still, as long as the agent waits for it.
        self.tasks.spawn("event handler", async move {
            while let Some(happening) = next.recv().await {
                worker.handle(&happening).await;
            }
        });
        Lane { specs, waiting }
    }

    fn dispatch(&self, event: &Arc<Event>) {
        tracing::info!("Received event: {event}");
        let is_wanted = |lane: &&Lane| lane.specs.iter().any(|spec| spec.filter.takes(event));
        let mut lanes = self.lanes.iter().filter(is_wanted).peekable();
        if lanes.peek().is_none() {
            return;
        }
        let happening = Arc::new(Happening {
            own: self.own(),
            event: Arc::clone(event),
        });
        for lane in lanes {
            if lane.waiting.try_send(Arc::clone(&happening)).is_err() {
                let scripts: Vec<&str> =
                    lane.specs.iter().map(|spec| spec.script.as_str()).collect();
                let script = scripts.join("', '");
                tracing::warn!("Dropping event {event} to script '{script}': too many wait for it");
            }
        }
    }

    fn own(&self) -> Member {
        let name = self.agent.name();
        let members = self.agent.members();
        let own = members.into_iter().find(|member| member.name == name);
        own.unwrap_or_else(|| Member {
            name,
            ..Member::default()
        })
    }
}

struct Worker<A> {
    agent: Arc<A>,
    specs: Arc<[Spec]>,
    room: Arc<Semaphore>,
    limit: Option<Duration>,
}

impl<A: Agent> Worker<A> {
    async fn handle(&self, happening: &Happening) {
        let Happening { event, own } = happening;
        for spec in self.specs.iter().filter(|spec| spec.filter.takes(event)) {
            // Never closed.
            let place = self.room.acquire().await;
            let script = &spec.script;
            let printed = run(script, own, event, self.limit).await;
            drop(place);
            match printed {
                Ok(Some(output)) => self.answer(event, output).await,
                Ok(None) => {}
                Err(fault) => tracing::error!("Error invoking script '{script}': {fault}"),
            }
        }
    }

    /// What was printed for a query is its answer.
    async fn answer(&self, event: &Event, output: Vec<u8>) {
        let Event::Query(query) = event else { return };
        if let Err(refused) = self.agent.respond(query.key, output.into()).await {
            tracing::warn!("Failed to respond to query '{event}': {refused}");
        }
    }
}
