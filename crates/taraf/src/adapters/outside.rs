//! The client by which a node calls services and hosts outside.

use std::sync::Arc;

use anyhow::Context as _;
use taraf_base::Tasks;
use taraf_service::client::{Config, Roots};
use taraf_service::{Client, Directory};
use tokio::sync::watch;

/// A client that trusts the authorities which its settings name.
pub(crate) fn client(
    directory: watch::Receiver<Arc<Directory>>,
    config: &Config,
    tasks: &Tasks,
) -> anyhow::Result<Client> {
    let roots = match &config.root_certificates {
        Some(file) => Roots::read(file).context("failed to start the client of services")?,
        None => Roots::default(),
    };
    Ok(Client::with_roots(directory, config.clone(), roots, tasks))
}
