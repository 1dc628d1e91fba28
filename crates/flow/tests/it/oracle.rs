//! The upstream JSON Schema as oracle: what it rejects is rejected, what is accepted passes it.

use std::fs;

use serde_json::Value;
use taraf_flow::{check, yaml};

use crate::kit::{root, sound};

fn schema(name: &str) -> jsonschema::Validator {
    let text = fs::read_to_string(root().join("schema").join(name)).unwrap();
    let node = yaml::parse(&text).unwrap();
    jsonschema::options()
        .with_draft(jsonschema::Draft::Draft202012)
        .build(&node.to_json())
        .unwrap()
}

/// Every way to break a document by one step: a member removed, renamed, or replaced by another type.
fn broken(document: &Value) -> Vec<Value> {
    let mut all = Vec::new();
    let mut pointers = vec![String::new()];
    while let Some(pointer) = pointers.pop() {
        let here = document.pointer(&pointer).unwrap();
        let keys: Vec<String> = match here {
            Value::Object(members) => members.keys().cloned().collect(),
            Value::Array(items) => (0..items.len()).map(|index| index.to_string()).collect(),
            _ => continue,
        };
        for key in keys {
            let mut change = |change: &dyn Fn(&mut Value)| {
                let mut copy = document.clone();
                change(copy.pointer_mut(&pointer).unwrap());
                all.push(copy);
            };
            if here.is_object() {
                change(&|parent| {
                    parent.as_object_mut().unwrap().remove(&key);
                });
                change(&|parent| {
                    let members = parent.as_object_mut().unwrap();
                    let value = members.remove(&key).unwrap();
                    members.insert(format!("{key}Q"), value);
                });
            }
            for wrong in [
                Value::from(7),
                Value::from(vec![1]),
                serde_json::json!({"q": 1}),
            ] {
                change(&|parent| match parent {
                    Value::Object(members) => {
                        members.insert(key.clone(), wrong.clone());
                    }
                    Value::Array(items) => items[key.parse::<usize>().unwrap()] = wrong.clone(),
                    _ => {}
                });
            }
            pointers.push(format!("{pointer}/{}", yaml::escape(&key)));
        }
    }
    all
}

/// Where more is taken than the schemas take: `for.in` may be any array, and a subflow's version is by
/// default the latest.
fn deliberate(document: &Value) -> bool {
    match document {
        Value::Array(items) => items.iter().any(deliberate),
        Value::Object(members) => members.iter().any(|(key, value)| match key.as_str() {
            "for" => value.get("in").is_some_and(Value::is_array) || deliberate(value),
            "workflow" => value.get("version").is_none(),
            _ => deliberate(value),
        }),
        _ => false,
    }
}

#[test]
fn what_the_schema_rejects_is_rejected() {
    // Either of the two schemas may accept, as both versions of the language are read.
    let schemas = [schema("workflow-1.0.3.yaml"), schema("workflow-next.yaml")];
    let mut missed = Vec::new();
    let mut rejected = 0;
    for (name, source) in sound().into_iter().step_by(3) {
        let document = yaml::parse(&source).unwrap().to_json();
        for broken in broken(&document) {
            if schemas.iter().any(|schema| schema.is_valid(&broken)) {
                continue;
            }
            if deliberate(&broken) {
                continue;
            }
            rejected += 1;
            if check(&broken.to_string()).definition.is_some() {
                missed.push(format!("{name}: {broken}"));
            }
        }
    }
    assert!(rejected > 1_000, "{rejected}");
    assert!(
        missed.is_empty(),
        "{} of {rejected}\n{}",
        missed.len(),
        missed.join("\n")
    );
}

#[test]
fn what_is_accepted_passes_a_schema() {
    let schemas = [schema("workflow-1.0.3.yaml"), schema("workflow-next.yaml")];
    let mut missed = Vec::new();
    for (name, source) in sound() {
        let document = yaml::parse(&source).unwrap().to_json();
        if !schemas.iter().any(|schema| schema.is_valid(&document)) {
            missed.push(name);
        }
    }
    assert!(missed.is_empty(), "{}", missed.join("\n"));
}
