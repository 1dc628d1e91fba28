//! Starts the rates service and asks the National Bank at the planned instants.

use std::time::Duration;

use taraf_base::Tasks;
use taraf_service::metrics::Registry;
use taraf_service::{Client, Service};

use super::api;
use super::schedule::{State, next_fetch};
use super::store::Store;
use crate::config::Config;
use crate::document;
use crate::error::Error;
use crate::metrics::SourceMetrics;
use crate::source::Source;

/// However far away the next attempt is, the clock is looked at again after this: it may be set.
const LONGEST_SLEEP: Duration = Duration::from_secs(3600);

/// Starts the service.
pub(crate) fn start(config: &Config, client: Client, tasks: &Tasks) -> Result<Service, Error> {
    let registry = Registry::new();
    let source = Source::new(
        client,
        document::base_url("bnr_base_url", &config.bnr_base_url)?,
        config.source_timeout,
        SourceMetrics::new(&registry, "bnr"),
    );
    let store = Store::open(source, config);
    let router = api::router(store.clone());
    let service = Service::new(document::rates()?, router).with_metrics(registry);
    let token = tasks.token();
    tasks.spawn("exchange rate schedule", async move {
        tokio::select! {
            // Nothing is lost: the next start asks again.
            () = token.cancelled() => {}
            () = follow(&store) => {}
        }
    });
    Ok(service)
}

async fn follow(store: &Store) {
    let mut asked = None;
    loop {
        let now = store.now();
        let state = State {
            newest: store.newest_day(),
            asked,
        };
        let wait = Duration::try_from(now.duration_until(next_fetch(now, state)));
        let wait = wait.unwrap_or_default();
        if wait.is_zero() {
            // Failures are logged and kept by the store, which answers with them.
            let _outcome: Result<(), _> = store.fetch_newest().await;
            asked = Some(store.now());
        } else {
            tokio::time::sleep(wait.min(LONGEST_SLEEP)).await;
        }
    }
}
