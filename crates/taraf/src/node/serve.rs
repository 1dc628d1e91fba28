//! `taraf serve`: the production server, as its file says.

use std::io::Write as _;
use std::path::Path;

use anyhow::Context as _;
use serde_json::json;

use super::signal::{self, Signals};
use super::{DataPlace, Node};
use crate::apps::{self, OnConflict};
use crate::config::Config;
use crate::telemetry;

/// Runs the production server described by the file until a signal ends it. When it is ready, the
/// first line on standard output is one JSON object with its addresses.
pub(crate) async fn serve(file: &Path, hold: bool) -> anyhow::Result<()> {
    let mut config = Config::load(file, std::env::vars())?;
    config.engine.hold = hold;
    telemetry::init(&config.telemetry)?;
    let signals = Signals::catch()?;
    let place = config.data.dir.clone().map(DataPlace::Folder);
    let place = place.with_context(|| {
        format!(
            "{} does not say where the data lie: [data] dir = \"…\"",
            file.display()
        )
    })?;
    let apps = apps::shipped(&config.apps.enabled)?;
    let node = Node::start(&config, &place, &apps, OnConflict::Refuse).await?;
    let line = json!({
        "ready": true,
        "gateway": node.gateway_url(),
        "operator": format!("http://{}", node.operator),
        "pid": std::process::id(),
    });
    writeln!(std::io::stdout(), "{line}").context("failed to say that the node is ready")?;
    if hold {
        tracing::warn!("runs are held: POST /v1/release on the operator API lets them go on");
    }
    tracing::info!(gateway = node.gateway_url(), operator = %node.operator, "ready");
    signal::on_hangup(&node.groups.gateway, {
        let gateway = node.gateway.clone();
        move || gateway.reload_certificates()
    })?;
    signals.wait_then_force().await;
    node.stop().await;
    Ok(())
}
