//! `GET /health/live` and `/health/ready`: whether the process lives, and whether calls are welcome.

use http::{Response, StatusCode};
use serde_json::json;
use taraf_service::Body;

use crate::answer;
use crate::server::Shared;

pub(crate) fn live() -> Response<Body> {
    answer::json(StatusCode::OK, json!({"status": "live"}).to_string())
}

/// Ready when keys can be charged and no stop is under way.
pub(crate) fn ready(gateway: &Shared) -> Response<Body> {
    let mut reasons = Vec::new();
    if gateway.token.is_cancelled() {
        reasons.push("stopping");
    }
    if !gateway.accounts.is_ready() {
        reasons.push("the account log is not led here");
    }
    let status = if reasons.is_empty() {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    let word = if reasons.is_empty() {
        "ready"
    } else {
        "not ready"
    };
    answer::json(
        status,
        json!({"status": word, "reasons": reasons}).to_string(),
    )
}
