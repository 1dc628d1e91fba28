//! Keeps the public OpenAPI document in step with routes, services and flows.

use std::sync::Arc;

use bytes::Bytes;
use taraf_base::Tasks;
use taraf_engine::Engine;
use taraf_gateway::Routes;
use taraf_gateway::openapi::Source;
use tokio::sync::watch;

use crate::adapters::documents;

/// The document as it is now and from now on. The first must be sound; a later change that cannot
/// be described leaves the last one in place.
pub(crate) fn keep(
    mut routes: watch::Receiver<Arc<Routes>>,
    engine: &Engine,
    mut services: watch::Receiver<Arc<Vec<Source>>>,
    tasks: &Tasks,
) -> anyhow::Result<watch::Receiver<Arc<Bytes>>> {
    let mut flows = engine.watch_flows();
    let first = documents::public(
        &routes.borrow_and_update(),
        &services.borrow_and_update(),
        &flows.borrow_and_update(),
    )?;
    let (sender, follow) = watch::channel(Arc::new(first));
    let token = tasks.token();
    tasks.spawn("OpenAPI document", async move {
        loop {
            // Nothing is lost by dropping a wait: what changed is read as a whole below.
            let changed = tokio::select! {
                () = token.cancelled() => return,
                changed = routes.changed() => changed,
                changed = services.changed() => changed,
                changed = flows.changed() => changed,
            };
            if changed.is_err() {
                return;
            }
            let table = routes.borrow_and_update().clone();
            let sources = services.borrow_and_update().clone();
            let catalog = flows.borrow_and_update().clone();
            match documents::public(&table, &sources, &catalog) {
                Ok(document) => {
                    sender.send_replace(Arc::new(document));
                }
                Err(error) => tracing::warn!(%error, "the OpenAPI document stays as it was"),
            }
        }
    });
    Ok(follow)
}
