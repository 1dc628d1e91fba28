//! API keys of the gateway: made, listed, rotated, revoked, and what they spent.

use std::time::Duration;

use axum::Json;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};
use taraf_gateway::registry::KeyId;
use taraf_service::Problem;

use super::request::{self, Body, Parameters};
use super::{Shared, page};
use crate::adapters::problems;

/// How long a rotated key stays valid where the call does not say.
const OVERLAP_DEFAULT: Duration = Duration::from_secs(24 * 60 * 60);

#[derive(Deserialize)]
pub(crate) struct ListQuery {
    account: Option<String>,
}

/// `GET /v1/keys`.
pub(crate) async fn list(
    State(parts): State<Shared>,
    Parameters(query): Parameters<ListQuery>,
) -> Result<Json<Value>, Problem> {
    let keys = parts.accounts.list_keys(query.account.as_deref()).await;
    let keys = keys.map_err(|error| problems::accounts(&error))?;
    Ok(page(keys.iter().map(|key| json!(key)).collect(), None))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Create {
    account: String,
    plan: Option<String>,
    #[serde(default)]
    label: String,
}

/// `POST /v1/keys`: the secret is in this answer only.
pub(crate) async fn create(State(parts): State<Shared>, body: Body) -> Result<Response, Problem> {
    let wanted: Create = body.json()?;
    let made = parts
        .accounts
        .create_key(&wanted.account, wanted.plan.as_deref(), &wanted.label)
        .await
        .map_err(|error| problems::accounts(&error))?;
    Ok(created(json!({
        "id": made.id,
        "key": made.secret.expose(),
        "account": wanted.account,
        "plan": made.plan,
    })))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Rotate {
    overlap: Option<String>,
}

/// `POST /v1/keys/{id}/rotate`.
pub(crate) async fn rotate(
    State(parts): State<Shared>,
    Path(id): Path<String>,
    body: Body,
) -> Result<Response, Problem> {
    let id: KeyId = request::parse("id", &id)?;
    let wanted: Rotate = body.json()?;
    let overlap = match &wanted.overlap {
        Some(text) => request::duration("overlap", text)?,
        None => OVERLAP_DEFAULT,
    };
    let refused = |error| problems::accounts(&error);
    let old = parts.accounts.key(id).await.map_err(refused)?;
    let made = parts.accounts.rotate(id, overlap).await.map_err(refused)?;
    Ok(created(json!({
        "id": made.id,
        "key": made.secret.expose(),
        "account": old.account,
        "plan": made.plan,
    })))
}

/// `DELETE /v1/keys/{id}`.
pub(crate) async fn revoke(
    State(parts): State<Shared>,
    Path(id): Path<String>,
) -> Result<StatusCode, Problem> {
    let revoked = parts.accounts.revoke(request::parse("id", &id)?).await;
    revoked
        .map(|()| StatusCode::NO_CONTENT)
        .map_err(|error| problems::accounts(&error))
}

/// `GET /v1/keys/{id}/usage`.
pub(crate) async fn usage(
    State(parts): State<Shared>,
    Path(id): Path<String>,
) -> Result<Json<Value>, Problem> {
    let usage = parts.accounts.key_usage(request::parse("id", &id)?).await;
    usage
        .map(|usage| Json(json!(usage)))
        .map_err(|error| problems::accounts(&error))
}

fn created(key: Value) -> Response {
    (StatusCode::CREATED, Json(key)).into_response()
}
