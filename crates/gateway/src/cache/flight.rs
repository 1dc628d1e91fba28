//! Equal requests at once: one goes to the service, the others wait for what it brings.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::watch;

use super::Key;
use crate::registry::KeyId;

/// What is equal: the question, the route as it is, and whom the answer is for.
type Of = (Key, u64, Option<KeyId>);

/// The requests that are under way.
#[derive(Clone, Debug, Default)]
pub(crate) struct Flights(Arc<Mutex<HashMap<Of, watch::Receiver<()>>>>);

/// What a request is among its equals.
#[derive(Debug)]
pub(crate) enum Place {
    /// The first: it goes. The others wait until this is dropped.
    First(First),
    /// Another is under way; resolves with an error when that one has ended.
    Next(watch::Receiver<()>),
}

/// Held by the one that goes.
///
/// Invariant: what waits is woken whatever becomes of the first, because its end closes the channel.
#[derive(Debug)]
pub(crate) struct First {
    flights: Flights,
    of: Of,
    _open: watch::Sender<()>,
}

impl Flights {
    pub(crate) fn enter(&self, key: &Key, route: u64, owner: Option<KeyId>) -> Place {
        let of = (key.clone(), route, owner);
        let mut flights = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(under_way) = flights.get(&of) {
            return Place::Next(under_way.clone());
        }
        let (open, under_way) = watch::channel(());
        flights.insert(of.clone(), under_way);
        Place::First(First {
            flights: self.clone(),
            of,
            _open: open,
        })
    }
}

impl Drop for First {
    fn drop(&mut self) {
        let mut flights = self
            .flights
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        flights.remove(&self.of);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn equal_requests_wait_for_the_first_and_others_do_not() {
        let flights = Flights::default();
        let key = Key {
            path: "/a".into(),
            query: None,
        };
        let first = flights.enter(&key, 1, None);
        assert!(matches!(first, Place::First(_)));
        assert!(matches!(flights.enter(&key, 2, None), Place::First(_)));
        assert!(matches!(
            flights.enter(&key, 1, Some(KeyId::new(1))),
            Place::First(_)
        ));
        let Place::Next(mut waiting) = flights.enter(&key, 1, None) else {
            panic!("an equal request must wait");
        };
        drop(first);
        waiting.changed().await.unwrap_err();
        assert!(matches!(flights.enter(&key, 1, None), Place::First(_)));
    }
}
