//! Documents that lie beside a flow's file: read for whoever holds the file, and for nobody else.

use std::fs;
use std::path::{Path, PathBuf};

use taraf_engine::Beside;
use taraf_flow::{Contents, Definition, Finding, Resource};
use url::Url;

/// The largest document; the checker says the same with its place.
const DOCUMENT_BYTES_MAX: u64 = 1 << 20;

/// The documents beside that file which the definition names, by the names that it has for them.
/// They lie in the folder of the file or below it: a document from elsewhere cannot make its reader
/// send other files along.
pub(crate) fn read(file: &Path, definition: &Definition) -> Result<Beside, Vec<Finding>> {
    let mut beside = Beside::new();
    let mut findings = Vec::new();
    for resource in &definition.resources {
        let Some(address) = resource.local() else {
            continue;
        };
        match document(file, &address) {
            Ok(text) => {
                beside.insert(address, text);
            }
            Err(why) => findings.push(resource.finding(format!("`{address}` {why}"))),
        }
    }
    if findings.is_empty() {
        Ok(beside)
    } else {
        Err(findings)
    }
}

/// The same documents, by their places in the definition.
pub(crate) fn contents(definition: &Definition, beside: &Beside) -> Contents {
    let mut contents = Contents::new();
    for resource in &definition.resources {
        if let Some(text) = text(resource, beside) {
            contents.insert(&resource.pointer, text.clone());
        }
    }
    contents
}

fn text<'a>(resource: &Resource, beside: &'a Beside) -> Option<&'a String> {
    beside.get(&resource.local()?)
}

fn document(file: &Path, address: &str) -> Result<String, String> {
    let failed = |error: std::io::Error| format!("cannot be read: {error}");
    let folder = match file.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    };
    let folder = fs::canonicalize(folder).map_err(failed)?;
    let base = Url::from_directory_path(&folder);
    let path = base
        .ok()
        .and_then(|base| base.join(address).ok())
        .and_then(|url| url.to_file_path().ok())
        .ok_or("is not the name of a file")?;
    // Links are followed before it is judged where they lead.
    let path = fs::canonicalize(path).map_err(failed)?;
    if !path.starts_with(&folder) {
        return Err("lies outside the folder of the flow; put it beside the flow".to_owned());
    }
    let about = fs::metadata(&path).map_err(failed)?;
    if !about.is_file() {
        return Err("is not a file".to_owned());
    }
    if about.len() > DOCUMENT_BYTES_MAX {
        return Err(format!("has more than {DOCUMENT_BYTES_MAX} bytes"));
    }
    fs::read_to_string(&path).map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn definition(address: &str) -> std::sync::Arc<Definition> {
        let source = format!(
            "document: {{dsl: '1.0.3', namespace: n, name: f, version: 1.0.0}}\n\
             input: {{schema: {{resource: {{endpoint: '{address}'}}}}}}\ndo: []\n"
        );
        taraf_flow::check(&source).definition.unwrap()
    }

    #[test]
    fn documents_are_read_in_the_folder_of_the_flow_and_below_it_only() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::create_dir_all(at("flows/my schemas")).unwrap();
        fs::write(at("flows/my schemas/a.json"), "inside").unwrap();
        fs::write(at("outside.json"), "outside").unwrap();
        std::os::unix::fs::symlink(at("outside.json"), at("flows/link.json")).unwrap();
        let flow = at("flows/flow.yaml");
        let whole = Url::from_file_path(at("flows/my schemas/a.json")).unwrap();
        for address in [
            "my%20schemas/a.json",
            "./my%20schemas/../my%20schemas/a.json",
            whole.as_str(),
        ] {
            let definition = definition(address);
            let beside = read(&flow, &definition).unwrap();
            assert_eq!(beside[address], "inside");
            let contents = contents(&definition, &beside);
            assert_eq!(contents.get("/input/schema/resource"), Some("inside"));
        }
        for (address, told) in [
            ("../outside.json", "lies outside the folder"),
            ("link.json", "lies outside the folder"),
            ("/etc/passwd", "lies outside the folder"),
            ("file:///etc/passwd", "lies outside the folder"),
            ("file://elsewhere/x", "is not the name of a file"),
            ("none.json", "cannot be read"),
            ("my%20schemas", "is not a file"),
        ] {
            let findings = read(&flow, &definition(address)).unwrap_err();
            assert_eq!((findings[0].code, findings[0].line), ("T0417", 2));
            assert!(
                findings[0].message.contains(told),
                "{}",
                findings[0].message
            );
        }
        assert!(
            read(&flow, &definition("http://a.example/x"))
                .unwrap()
                .is_empty()
        );
    }
}
