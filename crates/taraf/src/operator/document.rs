//! The API's own OpenAPI document, kept as YAML beside this file.

use std::sync::LazyLock;

use axum::Json;
use serde_json::Value;
use taraf_flow::yaml;

const SOURCE: &str = include_str!("openapi.yaml");

static DOCUMENT: LazyLock<Value> = LazyLock::new(|| {
    yaml::parse(SOURCE)
        .expect("a test reads the document that is built in")
        .to_json()
});

/// `GET /v1/openapi.json`.
pub(crate) async fn show() -> Json<&'static Value> {
    Json(document())
}

/// The document.
pub(crate) fn document() -> &'static Value {
    &DOCUMENT
}
