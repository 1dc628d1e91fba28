//! The engine as its users hold it.

use std::sync::Arc;
use std::time::Duration;

use taraf_base::{Tasks, Timestamp};
use taraf_flow::event::CloudEvent;
use taraf_flow::{Definition, Finding};
use taraf_log::Log;
use taraf_service::Client;
use taraf_service::metrics::Registry;
use tokio::sync::{broadcast, watch};

use crate::{
    Config, Error, Filter, FlowId, FlowRef, JournalEntry, Page, Run, RunId, RunPage, Start, Started,
};

/// Executes flows durably. Cheap to clone.
#[derive(Clone)]
pub struct Engine;

/// A definition that was accepted.
#[derive(Clone, Debug)]
pub struct Published {
    /// Which version of which flow.
    pub flow: FlowId,
    /// SHA-256 of its text, in hexadecimal.
    pub hash: String,
    /// False when the same content was published before.
    pub created: bool,
    /// What is allowed but questionable.
    pub warnings: Vec<Finding>,
}

/// One published version.
#[derive(Clone, Debug)]
pub struct FlowInfo {
    /// Which version of which flow.
    pub id: FlowId,
    /// The checked definition (its text is `definition.source`).
    pub definition: Arc<Definition>,
    /// When it was published.
    pub published: Timestamp,
}

/// All published flows at one moment.
#[derive(Debug, Default)]
pub struct Catalog;

impl Catalog {
    /// One version.
    #[must_use]
    pub fn get(&self, _id: &FlowId) -> Option<&FlowInfo> {
        todo!()
    }

    /// The version that a caller means.
    #[must_use]
    pub fn resolve(&self, _flow: &FlowRef) -> Option<&FlowInfo> {
        todo!()
    }

    /// All versions of all flows, in order.
    pub fn iter(&self) -> impl Iterator<Item = &FlowInfo> {
        std::iter::empty()
    }

    /// The highest version of each flow, in order.
    pub fn latest(&self) -> impl Iterator<Item = &FlowInfo> {
        std::iter::empty()
    }
}

impl Engine {
    /// Opens the log, rebuilds what it holds and goes on with what is outstanding.
    pub async fn start<L: Log>(
        _log: Arc<L>,
        _config: Config,
        _client: Client,
        _tasks: &Tasks,
    ) -> Result<Self, Error> {
        todo!()
    }
    /// Publishes a definition.
    pub async fn publish(&self, _source: &str) -> Result<Published, Error> {
        todo!()
    }
    /// All published flows now.
    #[must_use]
    pub fn flows(&self) -> Arc<Catalog> {
        todo!()
    }
    /// All published flows, as they change.
    #[must_use]
    pub fn watch_flows(&self) -> watch::Receiver<Arc<Catalog>> {
        todo!()
    }
    /// Starts a run. `Ok` means that it is durable.
    pub async fn start_run(&self, _start: Start) -> Result<Started, Error> {
        todo!()
    }
    /// The run when it has ended, or as it is when the limit has passed.
    pub async fn wait(&self, _id: RunId, _limit: Duration) -> Result<Run, Error> {
        todo!()
    }
    /// One run.
    pub async fn get(&self, _id: RunId) -> Result<Option<Run>, Error> {
        todo!()
    }
    /// Runs, newest first.
    pub async fn list(&self, _filter: &Filter, _page: &Page) -> Result<RunPage, Error> {
        todo!()
    }
    /// What happened in a run.
    pub async fn journal(&self, _id: RunId) -> Result<Vec<JournalEntry>, Error> {
        todo!()
    }
    /// Ends a run.
    pub async fn cancel(&self, _id: RunId) -> Result<Run, Error> {
        todo!()
    }
    /// Holds a run between tasks.
    pub async fn suspend(&self, _id: RunId) -> Result<Run, Error> {
        todo!()
    }
    /// Lets a held run go on.
    pub async fn resume(&self, _id: RunId) -> Result<Run, Error> {
        todo!()
    }
    /// Runs a flow without recording anything; over the deadline it is cancelled.
    pub async fn run_ephemeral(&self, _start: Start, _deadline: Duration) -> Result<Run, Error> {
        todo!()
    }
    /// Lifecycle CloudEvents from now on.
    #[must_use]
    pub fn subscribe(&self) -> broadcast::Receiver<Arc<CloudEvent>> {
        todo!()
    }
    /// What the engine counts, for `/metrics`.
    #[must_use]
    pub fn metrics(&self) -> &Registry {
        todo!()
    }
}
