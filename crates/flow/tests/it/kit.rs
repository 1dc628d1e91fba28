//! Documents of the kit, read and written again.

use std::fs;
use std::path::{Path, PathBuf};

use taraf_flow::{check, yaml};

pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/ctk")
}

/// The YAML documents of a folder, by name.
pub(crate) fn documents(folder: &str) -> Vec<(String, String)> {
    let mut found: Vec<(String, String)> = fs::read_dir(root().join(folder))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "yaml")
        })
        .map(|path| {
            (
                path.display().to_string(),
                fs::read_to_string(&path).unwrap(),
            )
        })
        .collect();
    found.sort();
    assert!(!found.is_empty(), "{folder}");
    found
}

/// The definitions within the feature files of a folder.
pub(crate) fn scenarios(folder: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(root().join(folder)).unwrap() {
        let path = entry.unwrap().path();
        let text = fs::read_to_string(&path).unwrap();
        let mut lines = text.lines();
        while let Some(line) = lines.next() {
            if !line.trim().ends_with("a workflow with definition:") {
                continue;
            }
            lines.next();
            let inner: Vec<&str> = lines
                .by_ref()
                .take_while(|line| line.trim() != "\"\"\"")
                .collect();
            let indent = inner
                .iter()
                .filter(|line| !line.trim().is_empty())
                .map(|line| line.len() - line.trim_start().len())
                .min()
                .unwrap_or(0);
            let inner = inner.iter().map(|line| line.get(indent..).unwrap_or(""));
            let definition = inner.collect::<Vec<_>>().join("\n");
            found.push((format!("{}#{}", path.display(), found.len()), definition));
        }
    }
    assert!(!found.is_empty(), "{folder}");
    found
}

/// Every sound document of the kit.
pub(crate) fn sound() -> Vec<(String, String)> {
    let folders = ["examples", "reference", "use-cases", "next/examples"];
    let documents = folders.into_iter().flat_map(documents);
    let features = ["features", "next/features"];
    documents
        .filter(|(name, _)| !name.contains(".broken."))
        .chain(features.into_iter().flat_map(scenarios))
        .collect()
}

#[test]
fn every_sound_document_is_read_and_survives_writing() {
    let mut failures = Vec::new();
    for (name, source) in sound() {
        let report = check(&source);
        let errors: Vec<String> = report.errors().map(|finding| finding.line(&name)).collect();
        let Some(definition) = report.definition.filter(|_| errors.is_empty()) else {
            failures.extend(errors);
            continue;
        };
        let written = definition.json.to_string();
        let again = check(&written).definition.unwrap();
        assert_eq!(again.json, definition.json, "{name}");
        let json = yaml::parse(&source).unwrap().to_json();
        assert_eq!(definition.json.to_json(), json, "{name}");
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn every_broken_document_is_refused_with_a_place() {
    let broken = documents("use-cases")
        .into_iter()
        .filter(|(name, _)| name.contains(".broken."))
        .chain(documents("invalid"));
    for (name, source) in broken {
        let report = check(&source);
        let error = report
            .errors()
            .next()
            .unwrap_or_else(|| panic!("{name} is taken"));
        assert!(error.line > 1, "{}", error.line(&name));
        assert!(report.definition.is_none(), "{name}");
    }
}

#[test]
fn every_task_is_found_by_its_pointer() {
    for (name, source) in sound() {
        let definition = check(&source).definition.unwrap();
        for task in definition.tasks.iter() {
            let found = definition.task(&task.reference).unwrap();
            assert_eq!(found.name, task.name, "{name}");
            let json = definition.json.to_json();
            assert_eq!(
                json.pointer(&task.reference),
                Some(&task.json.to_json()),
                "{name}"
            );
        }
    }
}
