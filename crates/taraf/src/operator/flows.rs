//! Definitions: published, listed, shown.

use axum::Json;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use http::header::CONTENT_TYPE;
use http::{HeaderMap, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};
use taraf_engine::{Beside, FlowId, FlowRef};
use taraf_service::{Problem, problem};

use super::request::Body;
use super::{Shared, page};
use crate::adapters::{catalog, problems};

/// `GET /v1/flows`.
pub(crate) async fn list(State(parts): State<Shared>) -> Json<Value> {
    let published = parts.engine.flows();
    page(catalog::entries(&published, None), None)
}

/// `GET /v1/flows/{namespace}/{name}`.
pub(crate) async fn versions(
    State(parts): State<Shared>,
    Path((namespace, name)): Path<(String, String)>,
) -> Result<Json<Value>, Problem> {
    let mut items = catalog::entries(&parts.engine.flows(), Some((&namespace, &name)));
    if items.is_empty() {
        let flow = FlowRef {
            namespace,
            name,
            version: None,
        };
        return Err(problems::engine(&taraf_engine::Error::NoSuchFlow(flow)));
    }
    items.reverse();
    Ok(page(items, None))
}

/// `GET /v1/flows/{namespace}/{name}/{version}`.
pub(crate) async fn show(
    State(parts): State<Shared>,
    Path((namespace, name, version)): Path<(String, String, String)>,
) -> Result<Json<Value>, Problem> {
    let published = parts.engine.flows();
    let id = FlowId {
        namespace,
        name,
        version,
    };
    let Some(info) = published.get(&id) else {
        let flow = FlowRef {
            namespace: id.namespace,
            name: id.name,
            version: Some(id.version),
        };
        return Err(problems::engine(&taraf_engine::Error::NoSuchFlow(flow)));
    };
    let mut shown = catalog::entry(&published, info);
    shown["source"] = json!(&*info.definition.source);
    Ok(Json(shown))
}

/// The media type of a document with documents beside it.
pub(crate) const PUBLICATION: &str = "application/vnd.taraf.publication+json";

/// A document with documents beside it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Publication {
    /// The document's text.
    source: String,
    /// Texts of documents beside it, by the addresses that it names them with.
    beside: Beside,
}

/// What is published: the body is the document, or a publication.
fn publication(headers: &HeaderMap, body: &Body) -> Result<Publication, Problem> {
    let type_ = headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    let type_ = type_.and_then(|value| value.split(';').next());
    if type_.is_some_and(|type_| type_.trim().eq_ignore_ascii_case(PUBLICATION)) {
        return body.json();
    }
    let source = std::str::from_utf8(&body.0)
        .map_err(|error| problem::BAD_REQUEST.with_detail(format!("the document: {error}")))?;
    Ok(Publication {
        source: source.to_owned(),
        beside: Beside::new(),
    })
}

/// `PUT /v1/flows/{namespace}/{name}/{version}`: the document must be what the path says.
pub(crate) async fn publish(
    State(parts): State<Shared>,
    Path((namespace, name, version)): Path<(String, String, String)>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let Publication { source, beside } = publication(&headers, &body)?;
    let report = taraf_flow::check(&source);
    let Some(definition) = &report.definition else {
        let invalid = taraf_engine::Error::Invalid(report.findings);
        return Err(problems::engine(&invalid));
    };
    let said = &definition.document;
    if (&said.namespace, &said.name, &said.version) != (&namespace, &name, &version) {
        return Err(problem::UNPROCESSABLE.with_detail(format!(
            "the document is {}/{}/{}, the path says {namespace}/{name}/{version}",
            said.namespace, said.name, said.version
        )));
    }
    let published = parts.engine.publish_with(&source, &beside).await;
    let published = published.map_err(|error| problems::engine(&error))?;
    let status = if published.created {
        StatusCode::CREATED
    } else {
        StatusCode::OK
    };
    let answer = json!({
        "flow": published.flow,
        "hash": published.hash,
        "created": published.created,
        "warnings": problems::findings(&published.warnings),
    });
    Ok((status, Json(answer)).into_response())
}
