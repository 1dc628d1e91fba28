//! [pure] OpenAPI 3.0 documents said in 3.1, where schemas are JSON Schema 2020-12.

use serde_json::{Map, Value, json};

use super::{Error, VERSION};

/// The document in 3.1.
pub(super) fn to_3_1(source: &str, mut document: Value) -> Result<Value, Error> {
    let version = document.get("openapi").and_then(Value::as_str);
    match version {
        Some(version) if version.starts_with("3.1") => Ok(document),
        Some(version) if version.starts_with("3.0") => {
            lift(&mut document);
            document["openapi"] = VERSION.into();
            Ok(document)
        }
        Some(_) | None => Err(Error::Version {
            source_name: source.to_owned(),
        }),
    }
}

fn lift(part: &mut Value) {
    match part {
        Value::Array(items) => items.iter_mut().for_each(lift),
        Value::Object(members) => {
            for (member, value) in members.iter_mut() {
                match (member.as_str(), &mut *value) {
                    ("schema", schema) => lift_schema(schema),
                    ("schemas", Value::Object(schemas)) => {
                        schemas.values_mut().for_each(lift_schema);
                    }
                    ("example" | "examples", _) => {}
                    _other => lift(value),
                }
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn lift_schema(schema: &mut Value) {
    let Value::Object(members) = schema else {
        return;
    };
    for (member, value) in members.iter_mut() {
        match (member.as_str(), &mut *value) {
            ("properties", Value::Object(properties)) => {
                properties.values_mut().for_each(lift_schema);
            }
            ("allOf" | "anyOf" | "oneOf", Value::Array(schemas)) => {
                schemas.iter_mut().for_each(lift_schema);
            }
            ("items" | "not" | "additionalProperties", schema) => lift_schema(schema),
            _other => {}
        }
    }
    lift_bound(members, "minimum", "exclusiveMinimum");
    lift_bound(members, "maximum", "exclusiveMaximum");
    if let Some(example) = members.remove("example") {
        members.insert("examples".to_owned(), json!([example]));
    }
    if members.remove("nullable") == Some(Value::Bool(true)) {
        allow_null(members);
    }
}

/// `exclusiveMinimum: true` beside `minimum` becomes the bound itself.
fn lift_bound(members: &mut Map<String, Value>, bound: &str, exclusive: &str) {
    if let Some(Value::Bool(is_exclusive)) = members.get(exclusive) {
        let is_exclusive = *is_exclusive;
        members.remove(exclusive);
        if is_exclusive && let Some(value) = members.remove(bound) {
            members.insert(exclusive.to_owned(), value);
        }
    }
}

fn allow_null(members: &mut Map<String, Value>) {
    if let Some(Value::Array(values)) = members.get_mut("enum")
        && !values.contains(&Value::Null)
    {
        values.push(Value::Null);
    }
    match members.get_mut("type") {
        Some(Value::String(type_)) => {
            let types = json!([type_, "null"]);
            members.insert("type".to_owned(), types);
        }
        Some(Value::Array(types)) if !types.contains(&json!("null")) => types.push("null".into()),
        Some(_) => {}
        // Without a type, 3.0 lets `nullable` have no effect; beside combinations it is meant.
        None => {
            for combination in ["anyOf", "oneOf"] {
                if let Some(Value::Array(schemas)) = members.get_mut(combination) {
                    schemas.push(json!({"type": "null"}));
                }
            }
        }
    }
}
