//! What holds for any documents that are merged: nothing is lost, nothing leads nowhere, nothing is
//! said twice, and the order of what is asked does not matter.

use std::collections::BTreeMap;

use proptest::collection::{btree_map, vec};
use proptest::prelude::*;

use super::*;

/// How deep references are followed when two schemas are compared: they may lead in circles.
const DEPTH: usize = 5;

/// A schema with references to some of the names.
fn schema() -> impl Strategy<Value = Value> {
    let name = || prop::sample::select(vec!["A", "B", "C"]);
    let reference = name().prop_map(|name| json!({"$ref": format!("#/components/schemas/{name}")}));
    let plain =
        prop::sample::select(vec!["string", "integer"]).prop_map(|kind| json!({"type": kind}));
    prop_oneof![
        plain,
        reference
            .clone()
            .prop_map(|item| json!({"type": "array", "items": item})),
        (name(), reference).prop_map(|(member, of)| {
            json!({"type": "object", "properties": {member: of}, "example": {"$ref": "left alone"}})
        }),
    ]
}

/// All three names are there, so that no reference dangles.
fn a_source(name: &'static str) -> impl Strategy<Value = Source> {
    let components = vec(schema(), 3);
    let operations = btree_map("/[ab]", prop::sample::select(vec!["A", "B", "C"]), 1..3);
    (components, operations).prop_map(move |(schemas, operations)| {
        let schemas: Map<String, Value> = ["A", "B", "C"]
            .into_iter()
            .map(str::to_owned)
            .zip(schemas)
            .collect();
        let paths: Map<String, Value> = operations
            .into_iter()
            .map(|(path, of)| {
                let schema = json!({"$ref": format!("#/components/schemas/{of}")});
                let answer =
                    json!({"description": "", "content": {"application/json": {"schema": schema}}});
                (path, json!({"get": {"responses": {"200": answer}}}))
            })
            .collect();
        Source {
            name: name.to_owned(),
            document: json!({"openapi": "3.1.0", "info": {"title": name, "version": "1"},
                             "paths": paths, "components": {"schemas": schemas}}),
        }
    })
}

fn sources() -> impl Strategy<Value = Vec<Source>> {
    (a_source("a"), a_source("b"), a_source("c")).prop_map(|(a, b, c)| vec![a, b, c])
}

/// Every operation of every source, each below a path of its own.
fn all(sources: &[Source]) -> Vec<Operation> {
    let of = |(at, source): (usize, &Source)| {
        let operations = operations_of(at, &source.document).into_iter();
        let name = source.name.clone();
        operations.map(move |operation| Operation {
            path: format!("/{name}{}", operation.path),
            ..operation
        })
    };
    sources.iter().enumerate().flat_map(of).collect()
}

fn base() -> Value {
    json!({"openapi": "3.1.0", "info": {"title": "All", "version": "1"}})
}

/// What a part says when its references are written out.
fn written_out(document: &Value, part: &Value, depth: usize) -> Value {
    match part {
        Value::Object(members) => {
            if let Some(reference) = members.get("$ref").and_then(Value::as_str)
                && let Some(pointer) = reference.strip_prefix('#')
            {
                let target = document
                    .pointer(pointer)
                    .expect("a reference leads somewhere");
                return if depth == 0 {
                    json!("deeper")
                } else {
                    written_out(document, target, depth - 1)
                };
            }
            let members = members.iter().map(|(name, value)| {
                let is_data = name == "example";
                (
                    name.clone(),
                    if is_data {
                        value.clone()
                    } else {
                        written_out(document, value, depth)
                    },
                )
            });
            Value::Object(members.collect())
        }
        Value::Array(items) => items
            .iter()
            .map(|item| written_out(document, item, depth))
            .collect(),
        other => other.clone(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn every_operation_says_what_it_said_before(sources in sources()) {
        let operations = all(&sources);
        let merged = merge(base(), &sources, &operations).unwrap();
        for operation in &operations {
            let before = &sources[operation.source].document;
            let said = &before["paths"][&operation.source_path][&operation.method];
            let says = &merged["paths"][&operation.path][&operation.method];
            prop_assert_eq!(written_out(before, said, DEPTH), written_out(&merged, says, DEPTH));
        }
    }

    #[test]
    fn the_bytes_do_not_depend_on_the_order_of_operations(sources in sources(), turn in 0_usize..6) {
        let mut operations = all(&sources);
        let first = merge(base(), &sources, &operations).unwrap().to_string();
        let count = operations.len();
        operations.rotate_left(turn % count);
        operations.reverse();
        prop_assert_eq!(merge(base(), &sources, &operations).unwrap().to_string(), first);
    }

    #[test]
    fn names_are_sorted_and_nothing_is_carried_that_nobody_needs(sources in sources()) {
        let operations = all(&sources);
        let merged = merge(base(), &sources, &operations).unwrap();
        let schemas = merged["components"]["schemas"].as_object().unwrap();
        let names: Vec<_> = schemas.keys().cloned().collect();
        prop_assert!(names.is_sorted());
        prop_assert!(merged["paths"].as_object().unwrap().keys().is_sorted());
        let text = merged.to_string();
        for name in &names {
            prop_assert!(text.contains(&format!("\"#/components/schemas/{name}\"")), "{} is unused", name);
        }
    }

    #[test]
    fn a_source_beside_its_twin_adds_no_component(source in a_source("a")) {
        let twin = Source { name: "twin".to_owned(), document: source.document.clone() };
        let alone = all(std::slice::from_ref(&source));
        let both = all(&[source.clone(), twin.clone()]);
        let count = |sources: &[Source], operations: &[Operation]| {
            let merged = merge(base(), sources, operations).unwrap();
            let schemas: BTreeMap<String, Value> =
                serde_json::from_value(merged["components"]["schemas"].clone()).unwrap();
            schemas
        };
        let before = count(std::slice::from_ref(&source), &alone);
        prop_assert_eq!(before, count(&[source, twin], &both));
    }
}
