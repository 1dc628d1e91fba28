//! The shipped applications and those of a project: manifests, flows, services.

use std::net::SocketAddr;

/// Runs one shipped microservice alone until a signal ends it.
pub async fn serve_one(_name: &str, _listen: Option<SocketAddr>) -> anyhow::Result<()> {
    todo!()
}
