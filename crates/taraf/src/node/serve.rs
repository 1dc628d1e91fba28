//! `taraf serve`: the production server, as its file says.

use std::io::Write as _;
use std::path::Path;

use anyhow::Context as _;
use serde_json::json;

use super::signal::{Hangups, Signals};
use super::{DataPlace, Node};
use crate::apps::{self, App, Manifests, OnConflict, Project};
use crate::config::Config;
use crate::telemetry;

/// What the operator chose for this start alone.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Chosen {
    /// Lead all runs and perform nothing.
    pub(crate) hold: bool,
    /// Go on with what the records say where they give another state than was recorded.
    pub(crate) accepts_replay: bool,
}

/// Runs the production server described by the file until a signal ends it. When it is ready, the
/// first line on standard output is one JSON object with its addresses.
pub(crate) async fn serve(file: &Path, chosen: Chosen) -> anyhow::Result<()> {
    let mut config = Config::load(file, std::env::vars())?;
    config.engine.hold = chosen.hold;
    config.engine.accepts_replay = chosen.accepts_replay;
    config.accounts.accepts_replay = chosen.accepts_replay;
    let lines = telemetry::init(&config.telemetry)?;
    let signals = Signals::catch()?;
    let hangups = Hangups::catch()?;
    let place = config.data.dir.clone().map(DataPlace::Folder);
    let place = place.with_context(|| {
        format!(
            "{} does not say where the data lie: [data] dir = \"…\"",
            file.display()
        )
    })?;
    let apps = all_apps(&config)?;
    let node = Node::start(&config, &place, &apps, OnConflict::Refuse, lines).await?;
    let mut line = json!({
        "ready": true,
        "gateway": node.gateway_url(),
        "operator": format!("http://{}", node.operator),
        "pid": std::process::id(),
    });
    node.add_gossip(&mut line);
    writeln!(std::io::stdout(), "{line}").context("failed to say that the node is ready")?;
    if chosen.hold {
        tracing::warn!("runs are held: POST /v1/release on the operator API lets them go on");
    }
    tracing::info!(gateway = node.gateway_url(), operator = %node.operator, "ready");
    tokio::select! {
        () = signals.wait_then_force() => {}
        () = reload(&node, file, config, hangups) => {}
    }
    node.stop().await;
    Ok(())
}

/// The shipped applications and those of the configured folder.
fn all_apps(config: &Config) -> anyhow::Result<Vec<App>> {
    let mut apps = apps::shipped(&config.apps.enabled)?;
    if let Some(folder) = &config.apps.folder {
        anyhow::ensure!(
            folder.is_dir(),
            "apps.folder: {} is not a folder",
            folder.display()
        );
        let project = Project::read(folder)?;
        let manifests = Manifests::read(&project).map_err(anyhow::Error::msg)?;
        apps.extend(manifests.apps().cloned());
    }
    Ok(apps)
}

/// Reads the configuration anew at each SIGHUP. What is broken changes nothing and is told.
async fn reload(node: &Node, file: &Path, mut config: Config, mut hangups: Hangups) {
    loop {
        hangups.next().await;
        node.reload_certificates();
        let read = Config::load(file, std::env::vars()).map_err(anyhow::Error::from);
        let read = read.and_then(|fresh| {
            let mut next = config.clone();
            next.take(fresh);
            Ok((all_apps(&next)?, next))
        });
        let changed = match read {
            Ok((apps, next)) => node.change(&next, &apps).await.map(|()| config = next),
            Err(error) => {
                node.tell_settings(Some(format!("{error:#}")));
                Err(error)
            }
        };
        match changed {
            Ok(()) => tracing::info!(file = %file.display(), "settings taken over"),
            Err(error) => {
                let error = format!("{error:#}");
                tracing::error!(file = %file.display(), error, "settings stay as they were");
            }
        }
    }
}
