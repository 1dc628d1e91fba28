//! An engine of one's own for one document: in this process, kept nowhere.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use serde_json::Value;
use taraf_base::{Secret, Tasks};
use taraf_engine::{Engine, FlowRef, Run, Start};
use taraf_flow::{Data, Definition};
use taraf_log::NullLog;
use taraf_service::{Client, Directory, client};
use tokio::sync::watch;

/// How long the engine may take to stop; a run that was given up is not waited for.
const STOP_LIMIT: Duration = Duration::from_secs(2);
/// Lifecycle events that a trace may fall behind.
const EVENT_BACKLOG: usize = 65_536;

/// What a flow meets outside.
#[derive(Default)]
pub(super) struct Surroundings {
    pub(super) secrets: BTreeMap<String, Secret>,
    /// Beginnings of outgoing URIs and what replaces them.
    pub(super) rewrites: Vec<(String, String)>,
    /// Whether only rewritten URIs may be called.
    pub(super) is_closed: bool,
}

/// The engine with the one flow in it.
pub(super) struct Bench {
    pub(super) engine: Engine,
    flow: FlowRef,
    tasks: Tasks,
}

impl Bench {
    pub(super) async fn start(
        definition: &Definition,
        around: Surroundings,
        tasks: &Tasks,
    ) -> anyhow::Result<Self> {
        let tasks = tasks.child();
        let (_directory, services) = watch::channel(Arc::new(Directory::default()));
        let client = Client::new(services, client_config(&around), &tasks)
            .context("failed to prepare outgoing calls")?;
        let config = taraf_engine::Config {
            partitions: 1,
            secrets: around.secrets,
            event_backlog: EVENT_BACKLOG,
            ..taraf_engine::Config::default()
        };
        let engine = Engine::start(Arc::new(NullLog::new()), config, client, &tasks)
            .await
            .context("failed to start the engine")?;
        engine
            .publish(&definition.source)
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
        })
    }

    /// Runs the flow. A run that has not ended within the limit is answered as it stands.
    pub(super) async fn run(
        &self,
        input: Option<Value>,
        limit: Duration,
    ) -> Result<Run, taraf_engine::Error> {
        let start = Start::new(self.flow.clone(), input.map(Data::from_json));
        self.engine.run_ephemeral(start, limit).await
    }

    pub(super) async fn stop(self) {
        // A task that had to be aborted belongs to a run that nobody waits for.
        drop(self.tasks.drain(STOP_LIMIT).await);
    }
}

fn client_config(around: &Surroundings) -> client::Config {
    client::Config {
        rewrites: around.rewrites.clone(),
        ..client::Config::default()
    }
}
