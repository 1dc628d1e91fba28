//! Changed files of the project become changed flows, routes and endpoints; a broken one is told,
//! and the last good version runs on.

use std::collections::BTreeMap;
use std::io::{IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};

use serde_json::json;
use taraf_base::Timestamp;
use taraf_engine::Beside;
use tokio::sync::mpsc;

use crate::apps::{self, App, CONFIG_FILE, FlowSource, Manifests, OnConflict, Project};
use crate::config::Config;
use crate::node::Node;

/// What runs, and the files that it was made of.
pub(crate) struct Reloader {
    config: Config,
    shipped: Vec<App>,
    /// The last sound version of each manifest.
    manifests: Manifests,
    /// As the files were when they were last looked at.
    seen: Project,
    /// Documents beside flows, by the flows' places.
    beside: BTreeMap<String, Beside>,
}

impl Reloader {
    pub(crate) fn new(config: Config, shipped: Vec<App>) -> Self {
        Self {
            config,
            shipped,
            manifests: Manifests::default(),
            seen: Project::default(),
            beside: BTreeMap::new(),
        }
    }

    /// What runs at first: a broken manifest is an error, as there is no good version yet.
    pub(crate) fn first(&mut self, project: &Project) -> anyhow::Result<Vec<App>> {
        self.manifests = Manifests::read(project).map_err(anyhow::Error::msg)?;
        self.seen = Project {
            // Flows are published by the first look, which tells of broken ones and goes on.
            flows: BTreeMap::new(),
            ..project.clone()
        };
        Ok(self.apps())
    }

    /// Follows the files until the watcher ends.
    pub(crate) async fn follow(
        &mut self,
        node: &Node,
        dir: &Path,
        mut changes: mpsc::Receiver<()>,
    ) {
        loop {
            match Project::read(dir) {
                Ok(project) => self.take(node, dir, project).await,
                Err(error) => say("files", &format!("{error:#}"), None),
            }
            if changes.recv().await.is_none() {
                // The watcher is gone: run on as things are.
                std::future::pending::<()>().await;
            }
        }
    }

    async fn take(&mut self, node: &Node, dir: &Path, project: Project) {
        if project.config != self.seen.config {
            self.take_config(dir);
        }
        self.manifests.take(&self.seen, &project, |place, result| {
            let text = result.err().unwrap_or_else(|| "taken over".to_owned());
            say("services", &text, Some(place));
        });
        for (place, source) in &project.flows {
            let beside = beside(dir, place, source);
            let known = self.beside.insert(place.clone(), beside.clone());
            if self.seen.flows.get(place) != Some(source) || known.as_ref() != Some(&beside) {
                publish(node, place, source, beside).await;
            }
        }
        let is_changed = project.services != self.seen.services
            || project.documents != self.seen.documents
            || project.config != self.seen.config;
        if is_changed && let Err(error) = node.change(&self.config, &self.apps()).await {
            say("routes", &format!("{error:#}"), None);
        }
        self.seen = project;
    }

    /// Endpoints of services, plans and who may call change at once; all else in the file needs a
    /// restart.
    fn take_config(&mut self, dir: &Path) {
        let file: PathBuf = dir.join(CONFIG_FILE);
        let read = if file.exists() {
            Config::load(&file, std::env::vars())
        } else {
            Config::from_environment(std::env::vars())
        };
        match read {
            Ok(config) => {
                self.config.take(config);
                let text = "services, plans and gateway.auth are taken over; other settings need a restart";
                say("config", text, Some(CONFIG_FILE));
            }
            Err(error) => say("config", &error.to_string(), Some(CONFIG_FILE)),
        }
    }

    fn apps(&self) -> Vec<App> {
        let shipped = self.shipped.iter();
        shipped.chain(self.manifests.apps()).cloned().collect()
    }
}

/// The documents beside a flow of the project, as far as they can be read; what cannot is told.
fn beside(dir: &Path, place: &str, source: &str) -> Beside {
    let Some(definition) = taraf_flow::check(source).definition else {
        return Beside::new();
    };
    apps::beside::read(&dir.join(place), &definition).unwrap_or_else(|findings| {
        for finding in &findings {
            say("flow", &finding.line(place), Some(place));
        }
        Beside::new()
    })
}

/// Publishes a changed flow, or tells what is wrong with it.
async fn publish(node: &Node, place: &str, source: &str, beside: Beside) {
    let report = taraf_flow::check(source);
    for finding in &report.findings {
        say("flow", &finding.line(place), Some(place));
    }
    if report.definition.is_none() {
        return;
    }
    let flow = FlowSource {
        place: place.to_owned(),
        source: source.to_owned(),
        beside,
    };
    match apps::publish(&node.engine, &flow, OnConflict::Number).await {
        Ok(Some(id)) => {
            let text = format!("{} {} published", id.name, id.version);
            say("flow", &text, Some(place));
        }
        Ok(None) => {}
        Err(error) => say("flow", &format!("{error:#}"), Some(place)),
    }
}

/// Tells people in a line of text, programs in a line of JSON.
fn say(what: &str, text: &str, file: Option<&str>) {
    let now = Timestamp::now();
    let mut out = std::io::stdout();
    let line = if out.is_terminal() {
        let time = now.to_string();
        let time = time.get(11..19).unwrap_or(&time);
        match file {
            Some(file) if !text.starts_with(file) => format!("{time} {what:<8} {text} ({file})\n"),
            _ => format!("{time} {what:<8} {text}\n"),
        }
    } else {
        format!(
            "{}\n",
            json!({"at": now, "what": what, "message": text, "file": file})
        )
    };
    // Who no longer reads does not stop the work.
    drop(out.write_all(line.as_bytes()));
}
