//! `flow check`: silence for the sound, one finding a line for all else.

use std::path::{Path, PathBuf};

use crate::golden;
use crate::program::Place;

const SOUND: &str = "\
document: { dsl: '1.0.3', namespace: test, name: sound, version: '1.0.0' }
do:
  - greet: { set: { text: '${ \"hello \\(.name)\" }' } }
";

/// Documents with one mistake each.
const BROKEN: [(&str, &str); 8] = [
    ("not-yaml.yaml", "document: {dsl: '1.0.3'\ndo: [\n"),
    ("no-document.yaml", "do:\n  - a: { set: { x: 1 } }\n"),
    (
        "unknown-member.yaml",
        "document: { dsl: '1.0.3', namespace: t, name: n, version: '1.0.0' }\ndo:\n  - a:\n      \
         set: { x: 1 }\n      outptu: { as: . }\n",
    ),
    (
        "unknown-target.yaml",
        "document: { dsl: '1.0.3', namespace: t, name: n, version: '1.0.0' }\ndo:\n  - notify:\n      \
         set: { x: 1 }\n      then: notfy\n",
    ),
    (
        "bad-expression.yaml",
        "document: { dsl: '1.0.3', namespace: t, name: n, version: '1.0.0' }\ndo:\n  - a:\n      \
         set: { x: '${ .a | }' }\n",
    ),
    (
        "recursive-expression.yaml",
        "document: { dsl: '1.0.3', namespace: t, name: n, version: '1.0.0' }\ndo:\n  - a:\n      \
         set: { x: '${ def f: f; f }' }\n",
    ),
    (
        "two-kinds.yaml",
        "document: { dsl: '1.0.3', namespace: t, name: n, version: '1.0.0' }\ndo:\n  - a:\n      \
         set: { x: 1 }\n      wait: { seconds: 1 }\n",
    ),
    (
        "duplicate-key.yaml",
        "document: { dsl: '1.0.3', namespace: t, name: n, version: '1.0.0' }\ndo: []\ndo: []\n",
    ),
];

#[test]
fn a_sound_document_is_met_with_silence() {
    let place = Place::new();
    place.write("sound.yaml", SOUND);
    let ended = place.run(&["flow", "check", "sound.yaml"]).expect(0);
    assert_eq!((ended.out.as_str(), ended.err.as_str()), ("", ""));
}

#[test]
fn golden_findings_of_documents_with_one_mistake_each() {
    let place = Place::new();
    let mut text = String::new();
    for (name, source) in BROKEN {
        place.write(name, source);
        let ended = place.run(&["flow", "check", name]).expect(1);
        assert_eq!(ended.err, "", "{name}");
        for line in ended.out.lines() {
            assert!(is_finding(line, name), "{line}");
        }
        text += &ended.out;
    }
    golden::check("findings.txt", &text);
}

/// `FILE:LINE:COL: error[CODE]: message`.
fn is_finding(line: &str, file: &str) -> bool {
    let Some(rest) = line.strip_prefix(&format!("{file}:")) else {
        return false;
    };
    let mut parts = rest.splitn(3, ':');
    let is_number = |part: Option<&str>| part.is_some_and(|part| part.parse::<u32>().is_ok());
    is_number(parts.next())
        && is_number(parts.next())
        && parts
            .next()
            .is_some_and(|rest| rest.starts_with(" error[") && rest.contains("]: "))
}

#[test]
fn findings_are_told_as_json_too() {
    let place = Place::new();
    let (name, source) = BROKEN[3];
    place.write(name, source);
    place.write("sound.yaml", SOUND);
    let arguments = ["flow", "check", "sound.yaml", name, "--format", "json"];
    let found = place.run(&arguments).expect(1).json();
    assert_eq!(found[0]["file"], name);
    assert_eq!(found[0]["line"], 5);
    assert!(
        found[0]["code"]
            .as_str()
            .is_some_and(|code| code.starts_with('T'))
    );
    let sound = ["flow", "check", "sound.yaml", "--format", "json"];
    assert_eq!(place.run(&sound).expect(0).json(), serde_json::json!([]));
}

/// A definition whose input must satisfy the schema at that address.
pub(crate) fn with_schema(address: &str) -> String {
    format!(
        "document: {{ dsl: '1.0.3', namespace: test, name: order, version: '1.0.0' }}\n\
         input: {{ schema: {{ resource: {{ endpoint: '{address}' }} }} }}\n\
         do:\n  - take: {{ set: {{ taken: '${{ .id }}' }} }}\n"
    )
}

#[test]
fn schemas_beside_a_document_are_looked_at_and_no_others() {
    let place = Place::new();
    place.write("schemas/order.json", "{\"required\": [\"id\"]}");
    place.write("schemas/broken.yaml", "type: 7\n");
    place.write("flow.yaml", &with_schema("schemas/order.json"));
    let sound = place.run(&["flow", "check", "flow.yaml"]).expect(0);
    assert_eq!((sound.out.as_str(), sound.err.as_str()), ("", ""));
    place.write("flow.yaml", &with_schema("http://127.0.0.1:1/never-asked"));
    place.run(&["flow", "check", "flow.yaml"]).expect(0);
    for (address, told) in [
        ("schemas/broken.yaml", "not a JSON Schema"),
        ("schemas/none.json", "cannot be read"),
        (
            "../../../../../../../../etc/passwd",
            "lies outside the folder of the flow",
        ),
    ] {
        place.write("flow.yaml", &with_schema(address));
        let ended = place.run(&["flow", "check", "flow.yaml"]).expect(1);
        assert!(ended.out.starts_with("flow.yaml:2:"), "{}", ended.out);
        assert!(ended.out.contains("error[T0417]"), "{}", ended.out);
        assert!(ended.out.contains(told), "{}", ended.out);
    }
}

#[test]
fn the_examples_of_the_language_are_sound_and_the_invalid_ones_are_not() {
    let kit = Path::new(env!("CARGO_MANIFEST_DIR")).join("../flow/tests/ctk");
    let check = |folder: &str, code: i32| {
        let files = files(&kit.join(folder));
        assert!(!files.is_empty(), "{folder} is empty");
        for file in files {
            let file = file.to_str().unwrap();
            Place::new().run(&["flow", "check", file]).expect(code);
        }
    };
    check("examples", 0);
    check("invalid", 1);
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    paths
        .filter(|path| path.extension().is_some_and(|end| end == "yaml"))
        .collect()
}
