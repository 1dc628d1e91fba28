//! [pure] One OpenAPI document (3.1) of all that the routes lead to: the services' own documents, the
//! flows' schemas, the gateway's own pages.

use http::Method;
use serde_json::{Value, json};
use taraf_service::openapi::{Operation, merge};

use crate::features::operation::same_shape;
use crate::path::{Pattern, Segment};
use crate::routes::{Auth, Builtin, Route, Routes, Target};

mod flow;
mod parts;

pub use taraf_service::openapi::{Error, Source};

/// What the document says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct About {
    /// The title.
    pub title: String,
    /// The version of what is offered.
    pub version: String,
    /// A few sentences, Markdown.
    pub description: String,
}

/// What is known of a flow that a route leads to.
#[derive(Clone, Debug, PartialEq)]
pub struct FlowDescription {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// A line for people.
    pub title: Option<String>,
    /// More for people, Markdown.
    pub summary: Option<String>,
    /// JSON Schema of its input.
    pub input: Option<Value>,
    /// JSON Schema of its output.
    pub output: Option<Value>,
    /// Whether runs are recorded, so that a call may be answered 202.
    pub is_durable: bool,
}

/// Makes the document. A route whose service has no document, or none of this operation, is left out:
/// it works and is not described.
///
/// # Errors
/// When a document cannot be merged; see [`Error`].
pub fn build(
    about: &About,
    routes: &Routes,
    services: &[Source],
    flows: &[FlowDescription],
) -> Result<Value, Error> {
    let mut base = parts::base(about);
    parts::schemes(&mut base, routes.iter());
    let mut operations = Vec::new();
    let mut described = Vec::new();
    for route in routes.iter() {
        let Some(path) = template(&route.path) else {
            continue;
        };
        match &route.target {
            Target::Service { service, path: to } => {
                let to = to.as_deref().unwrap_or(&route.path);
                for found in service_operations(route, service, to, services) {
                    described.push((found.method.clone(), found.path.clone(), route));
                    operations.push(found);
                }
            }
            Target::Flow { .. } => {
                flow::describe(&mut base, route, &path, flow::find(flows, &route.target));
            }
            Target::Account(view) => parts::account(&mut base, route, &path, *view),
            Target::Builtin(Builtin::Run) => parts::run(&mut base, route, &path),
            Target::Builtin(_) => {}
        }
    }
    let mut document = merge(base, services, &operations)?;
    for (method, path, route) in described {
        if let Some(operation) = parts::operation(&mut document, &method, &path) {
            parts::enrich(operation, route);
        }
    }
    Ok(document)
}

/// The operations of a service's document that a route leads to. Parameters are named as the service
/// names them, so that their descriptions fit.
fn service_operations(
    route: &Route,
    service: &str,
    to: &str,
    services: &[Source],
) -> Vec<Operation> {
    let Some((at, source)) = services
        .iter()
        .enumerate()
        .find(|(_, source)| source.name == service)
    else {
        return Vec::new();
    };
    let Some((source_path, item)) = same_shape(&source.document, to) else {
        return Vec::new();
    };
    let Some(path) = renamed(&route.path, to, source_path) else {
        return Vec::new();
    };
    let of = |method: &Method| {
        let method = method.as_str().to_lowercase();
        item.contains_key(&method).then(|| Operation {
            method,
            path: path.clone(),
            source: at,
            source_path: source_path.to_owned(),
        })
    };
    route.methods.iter().filter_map(of).collect()
}

/// The route's path with each parameter named as in the service's path at the same place of `to`.
fn renamed(route: &str, to: &str, source: &str) -> Option<String> {
    let (route, to) = (Pattern::parse(route).ok()?, Pattern::parse(to).ok()?);
    let source = Pattern::parse(source).ok()?;
    let names: Vec<_> = to.parameters().zip(source.parameters()).collect();
    let mut path = String::new();
    for segment in route.segments() {
        path.push('/');
        match segment {
            Segment::Literal(text) => path.push_str(text),
            Segment::Parameter(name) => {
                let (_, theirs) = names.iter().find(|(ours, _)| ours == name)?;
                path.push('{');
                path.push_str(theirs);
                path.push('}');
            }
            Segment::Tail(_) => return None,
        }
    }
    Some(path)
}

/// A route's path as OpenAPI writes it; nothing for one with a tail, which it cannot write.
fn template(path: &str) -> Option<String> {
    let pattern = Pattern::parse(path).ok()?;
    let mut template = String::new();
    for segment in pattern.segments() {
        template.push('/');
        match segment {
            Segment::Literal(text) => template.push_str(text),
            Segment::Parameter(name) => {
                template.push('{');
                template.push_str(name);
                template.push('}');
            }
            Segment::Tail(_) => return None,
        }
    }
    if template.is_empty() {
        template.push('/');
    }
    Some(template)
}

/// The path's parameters as the document lists them.
fn path_parameters(path: &str) -> Vec<Value> {
    let Ok(pattern) = Pattern::parse(path) else {
        return Vec::new();
    };
    pattern
        .parameters()
        .map(|name| {
            json!({"name": name, "in": "path", "required": true, "schema": {"type": "string"}})
        })
        .collect()
}

fn is_open(route: &Route) -> bool {
    route.auth == Auth::Open
}

#[cfg(test)]
mod tests;
