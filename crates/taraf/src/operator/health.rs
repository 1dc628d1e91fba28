//! Whether the node lives, has started and takes calls, with the reasons when it does not.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use serde_json::json;

use super::Shared;

/// The process answers; that is all it says.
pub(crate) async fn live() -> Response {
    answer(&[])
}

/// The node takes calls.
pub(crate) async fn ready(State(parts): State<Shared>) -> Response {
    answer(&parts.reasons.borrow())
}

/// The operator API is served once everything else has started.
pub(crate) async fn startup() -> Response {
    answer(&[])
}

fn answer(reasons: &[String]) -> Response {
    let (status, word) = if reasons.is_empty() {
        (StatusCode::OK, "ok")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "unavailable")
    };
    (status, Json(json!({"status": word, "reasons": reasons}))).into_response()
}
