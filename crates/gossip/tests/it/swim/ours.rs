//! An agent of ours on real sockets, that ends with the test.

use std::net::SocketAddr;
use std::sync::Arc;

use taraf_base::Tasks;
use taraf_gossip::agent::{self, Handle, Settings};
use taraf_gossip::cluster;
use taraf_gossip::rpc::event::{Event, Member, Status, Tags};
use taraf_gossip::rpc::{Agent as _, Joined};
use taraf_gossip::swim::Name;
use taraf_gossip::wire::keyring::Keyring;
use taraf_gossip::wire::{Address, Envelope};
use taraf_gossip::{serf, swim};
use tokio::sync::broadcast;

use super::{LIMIT, PORT, address, eventually};

/// A running agent. It ends without a word when it is dropped.
pub(super) struct Ours {
    pub(super) address: SocketAddr,
    pub(super) handle: Handle,
    pub(super) events: broadcast::Receiver<Arc<Event>>,
    tasks: Tasks,
}

impl Drop for Ours {
    fn drop(&mut self) {
        self.tasks.stop();
    }
}

/// The settings of an agent with the profile for one machine, that tells each event at once.
pub(super) fn settings(name: &str, bind: SocketAddr) -> Settings {
    let name = Name::from(name);
    let swim = swim::Config::local(name.clone(), Address::from(bind.ip()), bind.port());
    let mut serf = serf::Config::serf(name, serf::Tags::default());
    serf.retransmit_mult = swim.retransmit_mult;
    serf.gossip_interval = swim.gossip_interval;
    serf.member_window = None;
    serf.user_window = None;
    Settings {
        bind,
        advertise: None,
        cluster: cluster::Config::new(swim, serf, Envelope::default()),
        snapshot: None,
        rejoins_after_leave: false,
        keyring: None,
    }
}

impl Ours {
    pub(super) fn start(name: &str, key: Option<&[u8]>, compress: bool) -> Self {
        Self::start_at(name, SocketAddr::new(address(), PORT), key, compress)
    }

    pub(super) fn start_at(
        name: &str,
        bind: SocketAddr,
        key: Option<&[u8]>,
        compress: bool,
    ) -> Self {
        let mut settings = settings(name, bind);
        settings.cluster.swim.compress = compress;
        let keyring = key.map(|key| Keyring::new(key).unwrap());
        settings.cluster.envelope = Envelope::new(b"", keyring).unwrap();
        Self::with(settings)
    }

    pub(super) fn with(settings: Settings) -> Self {
        let tasks = Tasks::new();
        let handle = agent::start(settings, &tasks).unwrap();
        let (address, events) = (handle.address(), handle.subscribe());
        Self {
            address,
            handle,
            events,
            tasks,
        }
    }

    pub(super) async fn join(&self, addresses: &[SocketAddr]) -> Joined {
        let written = addresses.iter().map(SocketAddr::to_string).collect();
        self.handle.join(written, false).await
    }

    pub(super) async fn tag(&self, name: &str, value: &str) {
        let set = Tags::from([(name.to_owned(), value.to_owned())]);
        self.handle.change_tags(set, Vec::new()).await.unwrap();
    }

    pub(super) fn member(&self, name: &str) -> Option<Member> {
        let members = self.handle.members();
        members
            .into_iter()
            .find(|member| member.name == Name::from(name))
    }

    pub(super) async fn until(&self, name: &str, status: Status) -> Member {
        eventually(&format!("we see {name} {status}"), async || {
            self.member(name).filter(|member| member.status == status)
        })
        .await
    }

    /// Ends it without a word, and gives its address free.
    pub(super) async fn kill(self) -> SocketAddr {
        self.handle.stop(LIMIT).await;
        self.address
    }
}
