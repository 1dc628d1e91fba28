//! The document and the operations say the same.

use std::collections::BTreeSet;

use serde_json::json;

use super::*;

/// `METHOD PATH QUERY…` of every operation of the document.
fn described() -> BTreeSet<String> {
    let document = document::document();
    let paths = document["paths"].as_object().unwrap();
    let mut found = BTreeSet::new();
    for (path, item) in paths {
        for (method, operation) in item.as_object().unwrap() {
            if method == "parameters" {
                continue;
            }
            let mut line = format!("{method} {path}");
            let parameters = operation["parameters"].as_array().into_iter().flatten();
            for parameter in parameters.filter(|parameter| parameter["in"] == "query") {
                line = format!("{line} {}", parameter["name"].as_str().unwrap());
            }
            found.insert(line);
        }
    }
    found
}

#[test]
fn the_document_describes_exactly_the_operations() {
    let served: BTreeSet<_> = operations()
        .iter()
        .map(|(operation, _)| {
            let mut line = format!("{} {}", operation.method, operation.path);
            for name in operation.query {
                line = format!("{line} {name}");
            }
            line
        })
        .collect();
    assert_eq!(served, described());
}

#[test]
fn every_reference_of_the_document_leads_somewhere() {
    fn walk(document: &Value, at: &Value) {
        match at {
            Value::Object(members) => {
                if let Some(Value::String(to)) = members.get("$ref") {
                    let pointer = to.strip_prefix('#').unwrap();
                    assert!(document.pointer(pointer).is_some(), "{to}");
                }
                members.values().for_each(|value| walk(document, value));
            }
            Value::Array(items) => items.iter().for_each(|value| walk(document, value)),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }
    let document = document::document();
    walk(document, document);
}

#[test]
fn what_needs_no_token_says_so() {
    let document = document::document();
    for (operation, _) in operations() {
        let described = &document["paths"][operation.path][operation.method];
        let is_open = described["security"] == json!([]);
        assert_eq!(is_open, !operation.needs_token(), "{}", operation.path);
    }
}
