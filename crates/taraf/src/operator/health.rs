//! Whether the node lives, has started and takes calls, with the reasons when it does not.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use serde_json::json;
use taraf_log::Space;

use super::{Parts, Shared};

/// The process answers; that is all it says.
pub(crate) async fn live() -> Response {
    answer(&[], None)
}

/// The node takes calls.
pub(crate) async fn ready(State(parts): State<Shared>) -> Response {
    let space = *parts.space.borrow();
    answer(&reasons(&parts), warning(space))
}

/// Why calls should not come here, if so: what the node says of itself, and partitions that are not led.
pub(crate) fn reasons(parts: &Parts) -> Vec<String> {
    let mut reasons = parts.reasons.borrow().clone();
    reasons.extend(parts.engine.troubles());
    reasons
}

/// The operator API is served once everything else has started.
pub(crate) async fn startup() -> Response {
    answer(&[], None)
}

/// A node without room still serves calls and ends what runs: that is told beside, not as a reason to
/// send it no calls.
fn warning(space: Space) -> Option<&'static str> {
    match space {
        Space::Ample => None,
        Space::Low => Some("room for data is low: new runs are refused"),
        Space::Full => Some("there is no room for data: new runs are refused and timers wait"),
    }
}

fn answer(reasons: &[String], warning: Option<&str>) -> Response {
    let (status, word) = if reasons.is_empty() {
        (StatusCode::OK, "ok")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "unavailable")
    };
    let mut document = json!({"status": word, "reasons": reasons});
    if let Some(warning) = warning {
        document["warnings"] = json!([warning]);
    }
    (status, Json(document)).into_response()
}
