//! The API's own OpenAPI document, kept as YAML beside this file.

use std::sync::LazyLock;

use axum::Json;
use serde_json::Value;

const SOURCE: &str = include_str!("openapi.yaml");

static DOCUMENT: LazyLock<Value> = LazyLock::new(|| {
    serde_json::from_str(SOURCE).unwrap_or_default()
});

/// `GET /v1/openapi.json`.
pub(crate) async fn show() -> Json<&'static Value> {
    Json(document())
}

/// The document.
pub(crate) fn document() -> &'static Value {
    &DOCUMENT
}
