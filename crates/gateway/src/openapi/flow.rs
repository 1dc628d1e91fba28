//! [pure] The operation of a route that leads to a flow, made from the flow's schemas.

use http::Method;
use serde_json::{Map, Value, json};

use super::{FlowDescription, parts, path_parameters};
use crate::path::Pattern;
use crate::routes::{Route, Target};

const REF: &str = "$ref";

/// The flow of a route: its version, or the last of the list that has its name.
pub(super) fn find<'f>(
    flows: &'f [FlowDescription],
    target: &Target,
) -> Option<&'f FlowDescription> {
    let Target::Flow {
        namespace,
        name,
        version,
        ..
    } = target
    else {
        return None;
    };
    flows.iter().rev().find(|flow| {
        let is_version = version
            .as_ref()
            .is_none_or(|version| *version == flow.version);
        flow.namespace == *namespace && flow.name == *name && is_version
    })
}

pub(super) fn describe(
    document: &mut Value,
    route: &Route,
    path: &str,
    flow: Option<&FlowDescription>,
) {
    let input = flow.and_then(|flow| flow.input.as_ref());
    let output = flow.and_then(|flow| flow.output.as_ref());
    let name = |end: &str| match flow {
        Some(flow) => component_name(&[&flow.namespace, &flow.name, end]),
        None => component_name(&[&route.id, end]),
    };
    let output = match output {
        Some(schema) => component(document, &name("output"), schema),
        None => json!({}),
    };
    let mut operation = json!({
        "responses": {
            "200": {
                "description": "The flow's output.",
                "content": {"application/json": {"schema": output}},
            },
            "default": {"$ref": "#/components/responses/Refused"},
        },
    });
    let mut parameters = path_parameters(path);
    for parameter in &mut parameters {
        describe_parameter(parameter, input);
    }
    if let Some(flow) = flow {
        if flow.is_durable {
            operation["responses"]["202"] = accepted();
            parameters.push(idempotency_key());
        }
        operation["summary"] = Value::from(flow.title.as_ref().unwrap_or(&flow.name).as_str());
        if let Some(summary) = &flow.summary {
            operation["description"] = Value::from(summary.as_str());
        }
        operation["tags"] = json!([flow.namespace]);
    }
    let rest = input.map(|schema| without_path(schema, path));
    let takes_body = |method: &Method| *method != Method::GET && *method != Method::HEAD;
    match rest {
        Some(schema) if route.methods.iter().any(takes_body) => {
            let schema = component(document, &name("input"), &schema);
            operation["requestBody"] = json!({"content": {"application/json": {"schema": schema}}});
        }
        Some(schema) => parameters.extend(query_parameters(&schema)),
        None => {}
    }
    if !parameters.is_empty() {
        operation["parameters"] = Value::from(parameters);
    }
    parts::enter(document, route, path, &operation);
}

/// What the flow's input says of a parameter of the path, unless that leads elsewhere.
fn describe_parameter(parameter: &mut Value, input: Option<&Value>) {
    let name = parameter["name"].as_str().unwrap_or_default();
    let schema = input.and_then(|input| input.get("properties")?.get(name));
    if let Some(schema) = schema.filter(|schema| is_whole(schema)) {
        parameter["schema"] = schema.clone();
    }
}

/// A schema that refers to another part of the flow's would lead nowhere beside it.
fn is_whole(schema: &Value) -> bool {
    !schema.to_string().contains(REF)
}

fn accepted() -> Value {
    json!({
        "description": "The run goes on; ask for it at `Location`.",
        "headers": {"Location": {"schema": {"type": "string"}}},
        "content": {"application/json": {"schema": {
            "type": "object",
            "required": ["id", "status"],
            "properties": {
                "id": {"type": "string", "examples": ["run_01h455vb4pex5vsknk084sn02q"]},
                "status": {"type": "string", "examples": ["running"]},
            },
        }}},
    })
}

fn idempotency_key() -> Value {
    json!({
        "name": "Idempotency-Key",
        "in": "header",
        "description": "Makes the call safe to repeat: the same key starts one run.",
        "schema": {"type": "string", "maxLength": 255},
    })
}

/// The schema without what the path gives.
fn without_path(schema: &Value, path: &str) -> Value {
    let mut schema = schema.clone();
    let Ok(pattern) = Pattern::parse(path) else {
        return schema;
    };
    for name in pattern.parameters() {
        if let Some(properties) = schema.get_mut("properties").and_then(Value::as_object_mut) {
            properties.shift_remove(name);
        }
        if let Some(required) = schema.get_mut("required").and_then(Value::as_array_mut) {
            required.retain(|required| required.as_str() != Some(name));
        }
    }
    // JSON Schema 2020-12 allows an empty list; the older drafts that tools know do not.
    if schema
        .get("required")
        .and_then(Value::as_array)
        .is_some_and(Vec::is_empty)
        && let Some(members) = schema.as_object_mut()
    {
        members.shift_remove("required");
    }
    schema
}

fn query_parameters(schema: &Value) -> Vec<Value> {
    let properties = schema.get("properties").and_then(Value::as_object);
    let required = schema.get("required").and_then(Value::as_array);
    let is_required = |name: &str| {
        required.is_some_and(|names| names.iter().any(|required| required.as_str() == Some(name)))
    };
    properties
        .into_iter()
        .flatten()
        .filter(|(_, schema)| is_whole(schema))
        .map(|(name, schema)| {
            json!({"name": name, "in": "query", "required": is_required(name), "schema": schema})
        })
        .collect()
}

/// Puts a schema among the components, with its references made to lead there, and refers to it.
fn component(document: &mut Value, name: &str, schema: &Value) -> Value {
    let place = format!("#/components/schemas/{name}");
    let mut schema = schema.clone();
    rebase(&mut schema, &place);
    if let Some(members) = schema.as_object_mut() {
        // The document states the dialect; an id would start a resource of its own.
        members.shift_remove("$schema");
        members.shift_remove("$id");
    }
    document["components"]["schemas"][name] = schema;
    json!({ REF: place })
}

fn rebase(schema: &mut Value, place: &str) {
    match schema {
        Value::Object(members) => rebase_object(members, place),
        Value::Array(values) => values.iter_mut().for_each(|value| rebase(value, place)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn rebase_object(members: &mut Map<String, Value>, place: &str) {
    for (name, value) in members {
        match value.as_str().and_then(|text| text.strip_prefix('#')) {
            Some(pointer) if name == REF => *value = Value::from(format!("{place}{pointer}")),
            Some(_) | None => rebase(value, place),
        }
    }
}

/// Components are named with letters, digits, `.`, `-` and `_` alone.
fn component_name(parts: &[&str]) -> String {
    let keep = |c: char| {
        let is_kept = c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
        if is_kept { c } else { '_' }
    };
    parts.join("_").chars().map(keep).collect()
}
