//! The directory that calls follow: put together anew when settings, members or an operator's word change.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use taraf_base::Tasks;
use taraf_gossip::cluster::Members;
use taraf_service::{Directory, ServiceName};
use tokio::sync::watch;

use crate::adapters::discovery::{Known, Reading, with_members};
use crate::membership::Membership;

/// Publishes the directory.
pub(crate) struct Directories {
    parts: Mutex<Parts>,
    sender: watch::Sender<Arc<Directory>>,
}

/// What it is made of.
#[derive(Default)]
struct Parts {
    known: Known,
    members: Option<(watch::Receiver<Arc<Members>>, Reading)>,
}

impl Directories {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            parts: Mutex::default(),
            sender: watch::Sender::new(Arc::default()),
        })
    }

    pub(crate) fn subscribe(&self) -> watch::Receiver<Arc<Directory>> {
        self.sender.subscribe()
    }

    /// Takes what settings and manifests say now. What an operator drained stays drained.
    pub(crate) fn set_known(&self, known: Known) {
        let mut parts = self.parts();
        let drained = std::mem::take(&mut parts.known.drained);
        parts.known = Known { drained, ..known };
        self.publish(&mut parts);
    }

    /// Follows the members of the cluster from now on.
    pub(crate) fn follow(self: &Arc<Self>, membership: &Membership, tasks: &Tasks) {
        let mut members = membership.members();
        let mut parts = self.parts();
        parts.members = Some((members.clone(), membership.reading().clone()));
        self.publish(&mut parts);
        drop(parts);
        let (directories, token) = (Arc::clone(self), tasks.token());
        tasks.spawn("discovery", async move {
            let follow = async {
                while members.changed().await.is_ok() {
                    members.mark_unchanged();
                    let mut parts = directories.parts();
                    directories.publish(&mut parts);
                }
            };
            token.run_until_cancelled(follow).await;
        });
    }

    /// Takes an endpoint out, or lets it take calls again. Without an address all of the service that are there now.
    /// False when there is none such.
    pub(crate) fn drain(&self, name: &str, address: Option<SocketAddr>, out: bool) -> bool {
        let mut parts = self.parts();
        let directory = Arc::clone(&self.sender.borrow());
        let endpoints = directory.get(name).cloned().unwrap_or_default();
        let endpoints = endpoints.iter().map(|endpoint| endpoint.address);
        let meant: BTreeSet<_> = endpoints
            .filter(|own| address.is_none_or(|address| address == *own))
            .filter_map(|own| Some((ServiceName::new(name).ok()?, own)))
            .collect();
        let drained = &mut parts.known.drained;
        if out {
            drained.extend(meant.iter().cloned());
        } else {
            drained.retain(|one| !meant.contains(one));
        }
        self.publish(&mut parts);
        !meant.is_empty()
    }

    /// The lock is held, so that of two changes the later is published last.
    fn publish(&self, parts: &mut Parts) {
        let directory = match &parts.members {
            Some((members, reading)) => with_members(&parts.known, &members.borrow(), reading),
            None => with_members(&parts.known, &Members::default(), &Reading::alone()),
        };
        // What is gone is forgotten: an address that comes back is another instance.
        parts.known.drained.retain(|(name, address)| {
            let endpoints = directory.get(name.as_str());
            endpoints.is_some_and(|all| all.iter().any(|one| one.address == *address))
        });
        self.sender.send_if_modified(|published| {
            let is_new = **published != directory;
            if is_new {
                *published = Arc::new(directory);
            }
            is_new
        });
    }

    fn parts(&self) -> MutexGuard<'_, Parts> {
        self.parts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use taraf_service::Endpoint;

    use super::*;

    fn known(ports: &[u16]) -> Known {
        let name = ServiceName::new("rates").unwrap();
        let endpoints = ports.iter().map(|port| Endpoint::new(at(*port)));
        Known {
            directory: Directory::new().with(name, endpoints.collect()),
            ..Known::default()
        }
    }

    fn at(port: u16) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], port))
    }

    #[test]
    fn what_is_drained_stays_so_until_it_is_gone_or_told_otherwise() {
        let directories = Directories::new();
        let follow = directories.subscribe();
        let drained = || {
            let directory = follow.borrow().clone();
            let endpoints = directory.get("rates").unwrap().to_vec();
            let drained = endpoints.iter().filter(|endpoint| endpoint.drained);
            drained
                .map(|endpoint| endpoint.address.port())
                .collect::<Vec<_>>()
        };
        directories.set_known(known(&[1, 2]));
        assert!(directories.drain("rates", Some(at(1)), true));
        assert!(!directories.drain("rates", Some(at(3)), true));
        assert!(!directories.drain("other", None, true));
        directories.set_known(known(&[1, 2, 3]));
        assert_eq!(drained(), [1]);
        directories.set_known(known(&[2]));
        directories.set_known(known(&[1, 2]));
        assert!(drained().is_empty());
        assert!(directories.drain("rates", None, true));
        assert_eq!(drained(), [1, 2]);
        assert!(directories.drain("rates", Some(at(2)), false));
        assert_eq!(drained(), [1]);
    }
}
