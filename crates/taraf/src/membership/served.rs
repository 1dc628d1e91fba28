//! The agent as RPC and handlers see it: what it is asked is told in the log, and tags are kept in their file.

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use taraf_base::with_causes;
use taraf_gossip::agent::Handle;
use taraf_gossip::handlers::Handlers;
use taraf_gossip::rpc::event::{Event, Member, Tags};
use taraf_gossip::rpc::{
    Agent, Answered, Coordinate, Joined, KeyCommand, KeysAnswer, QueryKey, QueryRequest, Refused,
    Stats,
};
use taraf_gossip::serf;
use taraf_gossip::snapshot::tags_file;
use taraf_gossip::wire::Name;
use tokio::sync::broadcast;

/// An agent and what belongs to it.
#[derive(Clone)]
pub(crate) struct Served {
    handle: Handle,
    tags_file: Option<PathBuf>,
    handlers: Arc<OnceLock<Handlers>>,
}

impl Served {
    pub(crate) fn new(handle: Handle, tags_file: Option<PathBuf>) -> Self {
        Self {
            handle,
            tags_file,
            handlers: Arc::default(),
        }
    }

    /// The handlers that run for its events, which it tells in its figures. Once.
    pub(crate) fn set_handlers(&self, handlers: Handlers) {
        if self.handlers.set(handlers).is_err() {
            tracing::debug!("there were handlers already");
        }
    }

    pub(crate) fn handlers(&self) -> Option<&Handlers> {
        self.handlers.get()
    }

    pub(crate) const fn handle(&self) -> &Handle {
        &self.handle
    }

    /// Makes these the tags, and no others.
    pub(crate) async fn set_tags(&self, tags: Tags) -> Result<(), Refused> {
        let before = self.tags().into_keys().collect();
        self.change_tags(tags, before).await
    }

    fn tags(&self) -> Tags {
        let mut stats = self.handle.stats();
        stats.remove("tags").unwrap_or_default()
    }
}

fn warned(outcome: Result<(), Refused>, what: &str) -> Result<(), Refused> {
    if let Err(refused) = &outcome {
        tracing::warn!("{what}: {refused}");
    }
    outcome
}

impl Agent for Served {
    fn members(&self) -> Vec<Member> {
        self.handle.members()
    }

    fn name(&self) -> Name {
        self.handle.name()
    }

    async fn join(&self, addresses: Vec<String>, replay: bool) -> Joined {
        tracing::info!("joining: [{}] replay: {replay}", addresses.join(" "));
        let joined = self.handle.join(addresses, replay).await;
        if joined.count > 0 {
            tracing::info!("joined: {} nodes", joined.count);
        }
        if let Some(error) = &joined.error {
            tracing::warn!("error joining: {error}");
        }
        joined
    }

    async fn leave(&self) -> Result<(), Refused> {
        tracing::info!("requesting graceful leave from Serf");
        self.handle.leave().await
    }

    fn shutdown(&self) {
        self.handle.shutdown();
    }

    async fn force_leave(&self, node: Name, prune: bool) -> Result<(), Refused> {
        let how = if prune { " (prune)" } else { "" };
        tracing::info!("Force leaving node{how}: {node}");
        let left = self.handle.force_leave(node, prune).await;
        warned(left, "failed to remove node")
    }

    async fn user_event(&self, name: Name, payload: Bytes, coalesce: bool) -> Result<(), Refused> {
        let text = String::from_utf8_lossy(&payload);
        tracing::debug!(
            "Requesting user event send: {name}. Coalesced: {coalesce}. Payload: {text:?}"
        );
        let sent = self.handle.user_event(name, payload, coalesce).await;
        warned(sent, "failed to send user event")
    }

    async fn query(&self, request: QueryRequest) -> Result<Answered, Refused> {
        let payload = request.payload.clone().unwrap_or_default();
        let (name, text) = (&request.name, String::from_utf8_lossy(&payload));
        tracing::debug!("Requesting query send: {name}. Payload: {text:?}");
        let asked = self.handle.query(request).await;
        if let Err(refused) = &asked {
            tracing::warn!("failed to start user query: {refused}");
        }
        asked
    }

    async fn respond(&self, query: QueryKey, payload: Bytes) -> Result<(), Refused> {
        self.handle.respond(query, payload).await
    }

    /// What others do not hear because it does not fit is not kept either.
    async fn change_tags(&self, set: Tags, delete: Vec<String>) -> Result<(), Refused> {
        self.handle.change_tags(set, delete).await?;
        let Some(path) = &self.tags_file else {
            return Ok(());
        };
        tags_file::save(path, &serf::Tags(self.tags())).map_err(|error| {
            let error = format!("Failed to write tags file: {}", with_causes(&error));
            tracing::error!("{error}");
            Refused(error)
        })
    }

    async fn keys(&self, command: KeyCommand) -> KeysAnswer {
        let what = match &command {
            KeyCommand::Install(_) => "key installation",
            KeyCommand::Use(_) => "primary key change",
            KeyCommand::Remove(_) => "key removal",
            KeyCommand::List => "key listing",
        };
        tracing::info!("Initiating {what}");
        self.handle.keys(command).await
    }

    fn coordinate(&self, node: &Name) -> Option<Coordinate> {
        self.handle.coordinate(node)
    }

    fn stats(&self) -> Stats {
        let mut stats = self.handle.stats();
        let handlers = self.handlers().map(Handlers::specs);
        let specs = handlers.iter().flat_map(|specs| specs.iter());
        let scripts = specs.map(|spec| (spec.filter.to_string(), spec.script.clone()));
        stats.insert("event_handlers".to_owned(), scripts.collect());
        stats
    }

    fn events(&self) -> broadcast::Receiver<Arc<Event>> {
        self.handle.events()
    }
}
