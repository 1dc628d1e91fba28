//! An engine of one's own for one document: in this process, kept nowhere.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use serde_json::Value;
use taraf_base::{Secret, Tasks};
use taraf_engine::{Beside, Engine, FlowRef, Run, Start, Status};
use taraf_flow::{Data, Definition};
use taraf_log::NullLog;
use taraf_service::client::{Config as ClientConfig, Egress, Rewrite};
use taraf_service::{Client, Directory, retry};
use tokio::sync::watch;
use url::Url;

/// How long the engine may take to stop; a run that was given up is not waited for.
const STOP_LIMIT: Duration = Duration::from_secs(2);
/// Lifecycle events that a trace may fall behind.
const EVENT_BACKLOG: usize = 65_536;

/// A flow that is tried or tested shows the calls that it asks for itself, each once.
const NO_RETRIES: retry::Config = retry::Config {
    percent: 0,
    per_second_min: 0,
    saved_max: 0,
    wait_first: Duration::ZERO,
    wait_max: Duration::ZERO,
};

/// What a flow meets outside.
#[derive(Default)]
pub(super) struct Surroundings {
    pub(super) secrets: BTreeMap<String, Secret>,
    /// Beginnings of outgoing URIs and what replaces them.
    pub(super) rewrites: Vec<(String, String)>,
    /// Documents beside the flow's file.
    pub(super) beside: Beside,
    /// Whether only rewritten URIs may be called.
    pub(super) is_closed: bool,
    /// Whether waits end at once when nothing else is under way.
    pub(super) skips_waits: bool,
}

/// The engine with the one flow in it.
pub(super) struct Bench {
    pub(super) engine: Engine,
    flow: FlowRef,
    tasks: Tasks,
    /// Kept, so that the client goes on seeing the services.
    _directory: watch::Sender<Arc<Directory>>,
}

/// How a run ended, or that it was given up.
pub(super) enum Ended {
    Run(Box<Run>),
    TimedOut,
}

impl Bench {
    pub(super) async fn start(
        definition: &Definition,
        around: Surroundings,
        tasks: &Tasks,
    ) -> anyhow::Result<Self> {
        let tasks = tasks.child();
        // Services are met through rewrites alone: nothing else is known here.
        let (directory, services) = watch::channel(Arc::new(Directory::new()));
        let client = Client::new(services, client_config(&around), &tasks);
        let config = taraf_engine::Config {
            partitions: 1,
            secrets: around.secrets,
            event_backlog: EVENT_BACKLOG,
            skip_waits: around.skips_waits,
            ..taraf_engine::Config::default()
        };
        let engine = Engine::start(Arc::new(NullLog), config, client, &tasks)
            .await
            .context("failed to start the engine")?;
        engine
            .publish_with(&definition.source, &around.beside)
            .await
            .context("the engine refused the flow")?;
        let id = &definition.document;
        let flow = FlowRef {
            namespace: id.namespace.clone(),
            name: id.name.clone(),
            version: Some(id.version.clone()),
        };
        Ok(Self {
            engine,
            flow,
            tasks,
            _directory: directory,
        })
    }

    /// Runs the flow. Over the limit the engine cancels the run, which is told from a run that was
    /// cancelled otherwise by the time that it took.
    pub(super) async fn run(
        &self,
        input: Option<&Value>,
        limit: Duration,
    ) -> Result<Ended, taraf_engine::Error> {
        let start = Start::new(self.flow.clone(), input.map(Data::from_json));
        let started = Instant::now();
        let run = self.engine.run_ephemeral(start, limit);
        let Ok(run) = tokio::time::timeout(limit + STOP_LIMIT, run).await else {
            return Ok(Ended::TimedOut);
        };
        let run = run?;
        let is_given_up = match run.status {
            Status::Completed | Status::Faulted => false,
            Status::Cancelled => started.elapsed() >= limit,
            Status::Pending | Status::Running | Status::Waiting | Status::Suspended => true,
        };
        Ok(if is_given_up {
            Ended::TimedOut
        } else {
            Ended::Run(Box::new(run))
        })
    }

    pub(super) async fn stop(self) {
        // A task that had to be aborted belongs to a run that nobody waits for.
        drop(self.tasks.drain(STOP_LIMIT).await);
    }
}

fn client_config(around: &Surroundings) -> ClientConfig {
    let rewrites = around.rewrites.iter();
    let rewrites = rewrites.map(|(from, to)| Rewrite {
        from: from.clone(),
        to: to.clone(),
    });
    let egress = if around.is_closed {
        let both = around.rewrites.iter().flat_map(|(from, to)| [from, to]);
        let hosts = both.filter_map(|url| Url::parse(url).ok()?.host_str().map(str::to_owned));
        Egress::Only(hosts.collect())
    } else {
        Egress::Any
    };
    ClientConfig {
        rewrites: rewrites.collect(),
        egress,
        retry: NO_RETRIES,
        ..ClientConfig::default()
    }
}
