//! Places for calls under way: so many for each target, and none is needed for our own front door.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use url::Url;

/// Hosts that are this machine, whatever the front door listens on.
const THIS_MACHINE: [&str; 3] = ["127.0.0.1", "localhost", "[::1]"];

/// Calls under way, by target. Those that wait hold no socket: they are in the state of their runs.
///
/// Invariant: whoever holds a place ends without anybody else getting one. A call to our own front
/// door may wait for a run that calls in its turn, so it holds none; what bounds such calls is the
/// number of live steps.
pub(crate) struct Places {
    each: usize,
    targets: Arc<Mutex<Targets>>,
}

#[derive(Default)]
struct Targets {
    places: BTreeMap<String, Arc<Semaphore>>,
    /// Ours, as `host:port`.
    doors: BTreeSet<String>,
}

/// A place for one call; given back when dropped.
pub(crate) struct Place {
    target: String,
    targets: Arc<Mutex<Targets>>,
    permit: Option<OwnedSemaphorePermit>,
}

impl Places {
    /// So many for each target.
    pub(crate) fn new(each: usize) -> Self {
        Self {
            each: each.clamp(1, Semaphore::MAX_PERMITS),
            targets: Arc::default(),
        }
    }

    /// Calls to this address need no place.
    pub(crate) fn add_door(&self, address: std::net::SocketAddr) {
        let mut targets = locked(&self.targets);
        targets.doors.insert(address.to_string());
        let port = address.port();
        let names = THIS_MACHINE.map(|host| format!("{host}:{port}"));
        targets.doors.extend(names);
    }

    /// A place for a call of this address, when there is one. None when it needs none.
    pub(crate) async fn take(&self, url: Option<&Url>) -> Option<Place> {
        self.take_for(url.and_then(target).unwrap_or_default())
            .await
    }

    async fn take_for(&self, target: String) -> Option<Place> {
        let places = {
            let mut targets = locked(&self.targets);
            if targets.doors.contains(&target) {
                return None;
            }
            let fresh = || Arc::new(Semaphore::new(self.each));
            Arc::clone(targets.places.entry(target.clone()).or_insert_with(fresh))
        };
        // Made before the wait, so that a wait that is given up is tidied, too.
        let mut place = Place {
            target,
            targets: Arc::clone(&self.targets),
            permit: None,
        };
        // The semaphore is never closed.
        place.permit = places.acquire_owned().await.ok();
        Some(place)
    }
}

/// The last one to leave forgets the target: their number is that of targets in use.
impl Drop for Place {
    fn drop(&mut self) {
        let mut targets = locked(&self.targets);
        drop(self.permit.take());
        let is_last = |places: &Arc<Semaphore>| Arc::strong_count(places) == 1;
        if targets.places.get(&self.target).is_some_and(is_last) {
            targets.places.remove(&self.target);
        }
    }
}

/// `host:port`.
fn target(url: &Url) -> Option<String> {
    let port = url.port_or_known_default().unwrap_or_default();
    Some(format!("{}:{port}", url.host_str()?))
}

fn locked(targets: &Mutex<Targets>) -> std::sync::MutexGuard<'_, Targets> {
    targets.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::future::Future as _;
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    use super::*;

    /// Whether a place is to be had at once.
    fn is_free(places: &Places, target: &str) -> bool {
        let taking = pin!(places.take_for(target.to_owned()));
        let polled = taking.poll(&mut Context::from_waker(Waker::noop()));
        matches!(polled, Poll::Ready(_))
    }

    #[tokio::test]
    async fn each_target_has_places_of_its_own_and_is_forgotten_at_rest() {
        let places = Places::new(1);
        let first = places.take_for("a:80".to_owned()).await.unwrap();
        assert!(!is_free(&places, "a:80"));
        assert!(is_free(&places, "b:80"));
        drop(first);
        assert!(is_free(&places, "a:80"));
        assert!(locked(&places.targets).places.is_empty());
    }

    #[tokio::test]
    async fn our_own_front_door_needs_no_place() {
        let places = Places::new(1);
        places.add_door(([0, 0, 0, 0], 7400).into());
        for host in ["127.0.0.1:7400", "localhost:7400", "0.0.0.0:7400"] {
            assert!(places.take_for(host.to_owned()).await.is_none(), "{host}");
        }
        assert!(places.take_for("127.0.0.1:7401".to_owned()).await.is_some());
    }
}
