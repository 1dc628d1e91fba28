//! What others may ask of a running agent.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{broadcast, watch};

use super::shared::Shared;
use crate::cluster::Members;
use crate::moment::Moment;
use crate::rpc::event::Event;
use crate::serf::Entry;
use crate::swim::{Counters, Name};

/// A running agent, for everybody who asks or tells it something. Cheap to clone; the agent lives on without it.
///
/// What RPC offers stands in [`rpc::Agent`](crate::rpc::Agent), which this is; here is what the program itself needs.
#[derive(Clone)]
pub struct Handle {
    pub(super) shared: Arc<Shared>,
}

impl std::fmt::Debug for Handle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Handle({})", self.shared.name)
    }
}

impl Handle {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    /// Where others reach us.
    #[must_use]
    pub fn address(&self) -> std::net::SocketAddr {
        self.shared.cluster().swim().me().socket()
    }

    /// All members, as they are at any moment: a late reader sees the present.
    #[must_use]
    pub fn watch_members(&self) -> watch::Receiver<Arc<Members>> {
        self.shared.members.subscribe()
    }

    /// What happens from now on.
    #[must_use]
    pub fn subscribe(&self) -> broadcast::Receiver<Arc<Event>> {
        self.shared.events.subscribe()
    }

    /// What membership has done so far.
    #[must_use]
    pub fn counters(&self) -> Counters {
        *self.shared.cluster().swim().counters()
    }

    /// Who suspected whom lately, and why; the newest last.
    #[must_use]
    pub fn history(&self) -> Vec<Entry> {
        self.shared
            .cluster()
            .serf()
            .history()
            .iter()
            .cloned()
            .collect()
    }

    /// How long ago something was, by the clock of the agent.
    #[must_use]
    pub fn ago(&self, at: Moment) -> Duration {
        self.shared.now().since(at)
    }

    /// What Serf's layer has done so far.
    #[must_use]
    pub fn serf_counters(&self) -> crate::serf::Counters {
        *self.shared.cluster().serf().counters()
    }

    /// The round trip between two members, as their coordinates foretell it.
    #[must_use]
    pub fn round_trip(&self, a: &Name, b: &Name) -> Option<Duration> {
        self.shared
            .cluster()
            .serf()
            .round_trip(a.as_bytes(), b.as_bytes())
    }

    /// Stops without leaving, and waits until all has ended, at most `limit`.
    pub async fn stop(&self, limit: Duration) {
        let deaf = self.shared.tasks.drain(limit).await;
        if !deaf.is_empty() {
            tracing::warn!("did not end in time: {deaf:?}");
        }
    }

    /// Resolves when the agent stops, for whatever reason.
    pub async fn stopping(&self) {
        self.shared.tasks.stopping().await;
    }
}
