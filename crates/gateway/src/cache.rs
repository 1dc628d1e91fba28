//! Answers that are kept for the next call (RFC 9111, as a shared cache): which, for how long, for whom.

mod directives;
mod flight;
mod freshness;
mod settings;
mod store;
mod vary;

use std::sync::Arc;

pub use settings::{Cache as Settings, Config};

pub(crate) use directives::Directives;
pub(crate) use flight::{Flights, Place};
pub(crate) use freshness::{Freshness, Received, Verdict};
pub(crate) use settings::Plan;
pub(crate) use store::{Kept, Key, Store};
pub(crate) use vary::Vary;

/// The kept answers of a gateway, and who fetches what now.
#[derive(Debug)]
pub(crate) struct Cache {
    pub(crate) store: Arc<Store>,
    pub(crate) flights: Flights,
}

impl Cache {
    pub(crate) fn new(config: &Config) -> Self {
        Self {
            store: Arc::new(Store::new(config)),
            flights: Flights::default(),
        }
    }
}
