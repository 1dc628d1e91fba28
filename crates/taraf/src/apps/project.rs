//! The files of a project: flows, services and settings, read as one whole.

use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use anyhow::Context as _;

/// The settings.
pub(crate) const CONFIG_FILE: &str = "taraf.toml";

/// The folder of flows, read with all below it.
pub(crate) const FLOWS: &str = "flows";

/// The folder of manifests.
pub(crate) const SERVICES: &str = "services";

/// Folders beside a flow whose files are no flows: its cases, and schemas that it names.
const BESIDE: [&str; 2] = ["cases", "schemas"];

/// The folder of the services' OpenAPI documents.
pub(crate) const DOCUMENTS: &str = "openapi";

/// The most files of a project, its folders included, and how deep they may lie.
const FILES_MAX: usize = 10_000;
const DEPTH_MAX: usize = 16;

/// The largest file that is read.
const FILE_BYTES_MAX: u64 = 4 << 20;

/// A project as its files are now. Paths are relative to its folder.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Project {
    pub(crate) flows: BTreeMap<String, String>,
    pub(crate) services: BTreeMap<String, String>,
    pub(crate) documents: BTreeMap<String, String>,
    pub(crate) config: Option<String>,
}

impl Project {
    /// Reads the folder. What is missing is empty.
    pub(crate) fn read(dir: &Path) -> anyhow::Result<Self> {
        let config = dir.join(CONFIG_FILE);
        Ok(Self {
            flows: read_all(dir, FLOWS)?,
            services: read_all(dir, SERVICES)?,
            documents: read_all(dir, DOCUMENTS)?,
            config: if config.is_file() {
                Some(read(&config)?)
            } else {
                None
            },
        })
    }
}

/// All YAML files below a folder of the project.
fn read_all(dir: &Path, folder: &str) -> anyhow::Result<BTreeMap<String, String>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![(dir.join(folder), 0)];
    let mut seen = 0;
    while let Some((folder, depth)) = folders.pop() {
        let entries = match fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == ErrorKind::NotFound => continue,
            Err(error) => {
                return Err(error).with_context(|| format!("failed to read {}", folder.display()));
            }
        };
        for entry in entries {
            let path = entry?.path();
            seen += 1;
            anyhow::ensure!(
                seen <= FILES_MAX,
                "{} has more than {FILES_MAX} files",
                dir.display()
            );
            if path.is_dir() {
                let is_beside = BESIDE.iter().any(|name| path.ends_with(name));
                if depth < DEPTH_MAX && !is_beside {
                    folders.push((path, depth + 1));
                }
            } else if is_yaml(&path) {
                let name = path
                    .strip_prefix(dir)
                    .unwrap_or(&path)
                    .display()
                    .to_string();
                // A file may be gone again: editors replace files by others.
                if let Some(text) = read_if_there(&path)? {
                    found.insert(name, text);
                }
            }
        }
    }
    Ok(found)
}

fn is_yaml(path: &Path) -> bool {
    let extension = path.extension().and_then(|extension| extension.to_str());
    let is_hidden = path
        .file_name()
        .is_some_and(|name| name.to_string_lossy().starts_with('.'));
    matches!(extension, Some("yaml" | "yml" | "json")) && !is_hidden
}

fn read_if_there(path: &Path) -> anyhow::Result<Option<String>> {
    match read(path) {
        Ok(text) => Ok(Some(text)),
        Err(_) if !path.exists() => Ok(None),
        Err(error) => Err(error),
    }
}

fn read(path: &Path) -> anyhow::Result<String> {
    let doing = || format!("failed to read {}", path.display());
    let length = fs::metadata(path).with_context(doing)?.len();
    anyhow::ensure!(
        length <= FILE_BYTES_MAX,
        "{} is longer than {FILE_BYTES_MAX} bytes",
        path.display()
    );
    fs::read_to_string(path).with_context(doing)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_folder_is_an_empty_project() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(Project::read(folder.path()).unwrap(), Project::default());
    }

    #[test]
    fn flows_are_found_below_and_cases_and_schemas_are_none() {
        let folder = tempfile::tempdir().unwrap();
        let write = |path: &str| {
            let path = folder.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "x").unwrap();
        };
        write("flows/one/flow.yaml");
        write("flows/one/cases/first.yaml");
        write("flows/one/schemas/input.json");
        write("flows/.hidden.yaml");
        write("flows/readme.md");
        write("services/mine.yaml");
        write("taraf.toml");
        let project = Project::read(folder.path()).unwrap();
        let flows: Vec<_> = project.flows.keys().map(String::as_str).collect();
        assert_eq!(flows, ["flows/one/flow.yaml"]);
        assert_eq!(project.services.len(), 1);
        assert_eq!(project.config.as_deref(), Some("x"));
    }
}
