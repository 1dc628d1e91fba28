//! The manifests of a folder: each as it was when it was last sound, with the documents that it names.

use std::collections::BTreeMap;

use serde_json::Value;
use taraf_flow::yaml;
use taraf_gateway::openapi::Source;

use super::{App, Project};

/// Manifests by file.
#[derive(Clone, Debug, Default)]
pub(crate) struct Manifests(BTreeMap<String, App>);

impl Manifests {
    /// Reads all of a project's manifests, or says what is wrong with the first that is.
    pub(crate) fn read(project: &Project) -> Result<Self, String> {
        let read = project.services.iter().map(|(place, text)| {
            let app = App::parse(place, text).map_err(|error| error.to_string())?;
            Ok((place.clone(), with_documents(app, project)?))
        });
        Ok(Self(read.collect::<Result<_, String>>()?))
    }

    /// Takes over what has changed. A broken manifest stays as it was; each that is new or broken is
    /// told.
    pub(crate) fn take(
        &mut self,
        seen: &Project,
        project: &Project,
        mut tell: impl FnMut(&str, Result<(), String>),
    ) {
        self.0
            .retain(|place, _| project.services.contains_key(place));
        let is_described_anew = seen.documents != project.documents;
        for (place, text) in &project.services {
            if seen.services.get(place) == Some(text) && !is_described_anew {
                continue;
            }
            let app = App::parse(place, text).map_err(|error| error.to_string());
            match app.and_then(|app| with_documents(app, project)) {
                Ok(app) => {
                    self.0.insert(place.clone(), app);
                    tell(place, Ok(()));
                }
                Err(why) => tell(place, Err(why)),
            }
        }
    }

    pub(crate) fn apps(&self) -> impl Iterator<Item = &App> {
        self.0.values()
    }
}

/// The application with the documents that its services name.
fn with_documents(mut app: App, project: &Project) -> Result<App, String> {
    for service in &app.services {
        let Some(file) = &service.openapi else {
            continue;
        };
        let text = project.documents.get(file).ok_or_else(|| {
            format!(
                "the service `{}` names {file}, which is not in the folder openapi/",
                service.name
            )
        })?;
        app.documents.push(Source {
            name: service.name.clone(),
            document: document(file, text)?,
        });
    }
    Ok(app)
}

/// A document in YAML or JSON.
fn document(file: &str, text: &str) -> Result<Value, String> {
    if file.ends_with(".json") {
        let read = serde_json::from_str(text);
        return read
            .map_err(|error| format!("{file}:{}:{}: {error}", error.line(), error.column()));
    }
    let read = yaml::parse(text).map_err(|findings| match findings.into_iter().next() {
        Some(finding) => format!(
            "{file}:{}:{}: {}",
            finding.line, finding.column, finding.message
        ),
        None => format!("{file}:1:1: cannot be read"),
    });
    Ok(read?.to_json())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn project(manifest: &str, document: &str) -> Project {
        Project {
            services: [("services/a.yaml".to_owned(), manifest.to_owned())].into(),
            documents: [("openapi/a.yaml".to_owned(), document.to_owned())].into(),
            ..Project::default()
        }
    }

    const MANIFEST: &str = "app: a\nservices:\n- { name: up, openapi: openapi/a.yaml }\n";

    #[test]
    fn a_service_brings_its_document() {
        let sound = project(MANIFEST, "openapi: 3.1.0\n");
        let manifests = Manifests::read(&sound).unwrap();
        let app = manifests.apps().next().unwrap();
        assert_eq!(app.documents[0].name, "up");
        assert_eq!(app.documents[0].document["openapi"], "3.1.0");
        let missing = project(&MANIFEST.replace("a.yaml", "b.yaml"), "");
        assert!(
            Manifests::read(&missing)
                .unwrap_err()
                .contains("openapi/b.yaml")
        );
        let broken = project(MANIFEST, "a: [");
        assert!(
            Manifests::read(&broken)
                .unwrap_err()
                .starts_with("openapi/a.yaml:1:")
        );
    }

    #[test]
    fn a_broken_change_leaves_the_last_sound_one() {
        let first = project(MANIFEST, "openapi: 3.1.0\n");
        let mut manifests = Manifests::read(&first).unwrap();
        let mut told = Vec::new();
        let broken = project("app: [", "openapi: 3.1.0\n");
        manifests.take(&first, &broken, |place, result| {
            told.push((place.to_owned(), result.is_ok()));
        });
        assert_eq!(told, [("services/a.yaml".to_owned(), false)]);
        assert_eq!(manifests.apps().next().unwrap().name, "a");
        let again = project(MANIFEST, "openapi: 3.1.1\n");
        manifests.take(&broken, &again, |_, result| result.unwrap());
        assert_eq!(
            manifests.apps().next().unwrap().documents[0].document["openapi"],
            "3.1.1"
        );
        manifests.take(&again, &Project::default(), |_, _| {});
        assert_eq!(manifests.apps().count(), 0);
    }
}
