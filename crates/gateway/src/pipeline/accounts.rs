//! The account views: register, usage, keys.

use http::{Request, Response, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::json;
use taraf_service::{Body, Problem, problem};

use super::Call;
use crate::accounts::Error;
use crate::registry::Refusal;
use crate::routes::AccountView;
use crate::server::Shared;
use crate::{answer, flows, forward};

/// More than any registration needs.
const REGISTRATION_BYTES_MAX: usize = 4 << 10;

#[derive(Deserialize)]
struct Registration {
    email: String,
}

pub(super) async fn answer(
    gateway: &Shared,
    call: &Call,
    view: AccountView,
    request: Request<Body>,
) -> Result<Response<Body>, Problem> {
    match view {
        AccountView::Register => register(gateway, call, request).await,
        AccountView::Usage => usage(gateway, call).await,
        AccountView::Keys => keys(gateway, call).await,
    }
}

async fn register(
    gateway: &Shared,
    call: &Call,
    request: Request<Body>,
) -> Result<Response<Body>, Problem> {
    let (parts, body) = request.into_parts();
    let trusts = gateway.config.trust_forwarded;
    let from = forward::source(&parts.headers, call.peer.address.ip(), trusts);
    let body = flows::json_body(&parts.headers, body, REGISTRATION_BYTES_MAX).await?;
    let wanted = || problem::VALIDATION_FAILED.with_detail("the body must be {\"email\": ADDRESS}");
    let registration: Registration = match body.map(serde_json::from_value) {
        Some(Ok(registration)) => registration,
        Some(Err(_)) | None => return Err(wanted()),
    };
    let registered = gateway.accounts.register(&registration.email, from);
    let created = registered.await.map_err(|error| problem_of(&error))?;
    let told = json!({ "key": created.secret.expose(), "plan": created.plan });
    Ok(answer::json(StatusCode::CREATED, told.to_string()))
}

async fn usage(gateway: &Shared, call: &Call) -> Result<Response<Body>, Problem> {
    let Some(caller) = &call.caller else {
        return Err(problem::API_KEY_MISSING.new());
    };
    let usage = gateway.accounts.usage(caller.account).await;
    let usage = usage.map_err(|error| problem_of(&error))?;
    told(&usage.ok_or_else(|| problem::NOT_FOUND.new())?)
}

async fn keys(gateway: &Shared, call: &Call) -> Result<Response<Body>, Problem> {
    let Some(caller) = &call.caller else {
        return Err(problem::API_KEY_MISSING.new());
    };
    let keys = gateway.accounts.list_keys(Some(&caller.account_name)).await;
    let keys = keys.map_err(|error| problem_of(&error))?;
    told(&json!({ "keys": keys }))
}

fn told(value: &impl Serialize) -> Result<Response<Body>, Problem> {
    match serde_json::to_vec(value) {
        Ok(bytes) => Ok(answer::json(StatusCode::OK, bytes)),
        Err(error) => {
            tracing::error!(%error, "an account view cannot be written");
            Err(problem::INTERNAL.new())
        }
    }
}

fn problem_of(error: &Error) -> Problem {
    match error {
        Error::Refused(refusal) => match refusal {
            Refusal::KnownEmail | Refusal::KnownAccount(_) | Refusal::KnownKey => {
                problem::CONFLICT.with_detail(refusal.to_string())
            }
            Refusal::UnknownKey(_) | Refusal::RevokedKey(_) => {
                problem::NOT_FOUND.with_detail(refusal.to_string())
            }
            Refusal::UnknownPlan(_) | Refusal::Text { .. } | Refusal::Plan => {
                problem::VALIDATION_FAILED.with_detail(refusal.to_string())
            }
            Refusal::TooMany(_) => problem::OVERLOADED.with_detail(refusal.to_string()),
        },
        Error::Email | Error::KeyForm => problem::VALIDATION_FAILED.with_detail(error.to_string()),
        Error::TooManyRegistrations { wait } => {
            let problem = problem::RATE_LIMITED.with_detail(error.to_string());
            answer::retry_after(problem, *wait)
        }
        Error::Log(_) | Error::Open(_) => {
            tracing::warn!(%error, "the account log did not answer");
            problem::OVERLOADED.with_detail("accounts cannot be read or changed now")
        }
    }
}
