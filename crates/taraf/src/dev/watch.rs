//! Watching the project's files: a burst of changes becomes one word that something changed.

use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use notify::{RecommendedWatcher, RecursiveMode, Watcher as _};
use taraf_base::Tasks;
use tokio::sync::mpsc;

use crate::apps::{CONFIG_FILE, DOCUMENTS, FLOWS, SERVICES};

/// Editors write a file in several steps: wait until they have gone quiet.
const QUIET: Duration = Duration::from_millis(100);

/// Says when something in the project has changed, after it has gone quiet.
pub(crate) fn start(dir: &Path, tasks: &Tasks) -> anyhow::Result<mpsc::Receiver<()>> {
    // One waiting word is enough: who hears it reads everything anew.
    let (raw, mut bursts) = mpsc::channel(1);
    let (quiet, changes) = mpsc::channel(1);
    let root = dir.to_owned();
    let mut watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
        if event.is_ok_and(|event| concerns(&root, &event)) {
            // Full means that a word is waiting already.
            raw.try_send(()).ok();
        }
    })
    .context("failed to watch files")?;
    watch(&mut watcher, dir)?;
    let (token, dir) = (tasks.token(), dir.to_owned());
    tasks.spawn("file watcher", async move {
        let forward = async {
            while bursts.recv().await.is_some() {
                while let Ok(Some(())) = tokio::time::timeout(QUIET, bursts.recv()).await {}
                // A folder that has come into being is watched from now on.
                if let Err(error) = watch(&mut watcher, &dir) {
                    tracing::warn!(%error, "some changes may go unseen");
                }
                if quiet.send(()).await.is_err() {
                    return;
                }
            }
        };
        tokio::select! {
            () = forward => {}
            () = token.cancelled() => {}
        }
    });
    Ok(changes)
}

/// The project's folder for `taraf.toml`, and all below the folders of flows and services.
fn watch(watcher: &mut RecommendedWatcher, dir: &Path) -> anyhow::Result<()> {
    let doing = || format!("failed to watch {}", dir.display());
    watcher
        .watch(dir, RecursiveMode::NonRecursive)
        .with_context(doing)?;
    for folder in [FLOWS, SERVICES, DOCUMENTS].map(|name| dir.join(name)) {
        if folder.is_dir() {
            watcher
                .watch(&folder, RecursiveMode::Recursive)
                .with_context(doing)?;
        }
    }
    Ok(())
}

/// Whether an event is about a file that the project is made of; reading files changes nothing.
fn concerns(root: &Path, event: &notify::Event) -> bool {
    if event.kind.is_access() {
        return false;
    }
    event.paths.iter().any(|path| {
        let Ok(inside) = path.strip_prefix(root) else {
            return false;
        };
        let first = inside.iter().next().and_then(|name| name.to_str());
        matches!(first, Some(CONFIG_FILE | FLOWS | SERVICES | DOCUMENTS))
    })
}

#[cfg(test)]
mod tests {
    use notify::EventKind;
    use notify::event::{AccessKind, CreateKind};

    use super::*;

    fn check(kind: EventKind, path: &str, expected: bool) {
        let event = notify::Event::new(kind).add_path(path.into());
        assert_eq!(concerns(Path::new("/p"), &event), expected, "{path}");
    }

    #[test]
    fn only_changes_of_the_projects_files_count() {
        let made = EventKind::Create(CreateKind::File);
        check(made, "/p/flows/a/flow.yaml", true);
        check(made, "/p/services/a.yaml", true);
        check(made, "/p/openapi/a.yaml", true);
        check(made, "/p/taraf.toml", true);
        check(made, "/p/.taraf/log/1", false);
        check(made, "/elsewhere/flows/a.yaml", false);
        check(EventKind::Access(AccessKind::Read), "/p/taraf.toml", false);
    }

    #[tokio::test]
    async fn a_new_file_in_a_new_folder_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path().canonicalize().unwrap();
        let tasks = Tasks::new();
        let mut changes = start(&dir, &tasks).unwrap();
        std::fs::create_dir(dir.join(FLOWS)).unwrap();
        changes.recv().await.unwrap();
        std::fs::write(dir.join(FLOWS).join("a.yaml"), "x").unwrap();
        changes.recv().await.unwrap();
        assert!(tasks.drain(Duration::from_secs(5)).await.is_empty());
    }
}
