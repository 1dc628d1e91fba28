//! A call of a service on a route that does more with it than passing it on.

use std::sync::Arc;

use http::{Request, Response};
use taraf_service::body::{self, Error};
use taraf_service::{Body, Problem, problem};

use super::onward::Onward;
use super::{Call, cached};
use crate::features::validate;
use crate::path::Segments;
use crate::routes::Match;
use crate::server::Shared;

/// Checks the request, then answers it from an example, from what is kept, or from the service.
pub(super) async fn service(
    gateway: &Arc<Shared>,
    call: &Call,
    route: &Match<'_>,
    path: &Segments<'_>,
    request: Request<Body>,
) -> Result<Response<Body>, Problem> {
    let Some(features) = route.entry.features.as_deref() else {
        return Err(problem::INTERNAL.new());
    };
    let onward = Onward::of(gateway, call, route, path, &request);
    let request = match &features.validate {
        Some(plan) => validated(plan, &onward, request).await?,
        None => request,
    };
    if let Some(mock) = &features.mock {
        return mock.answer(request.method(), request.headers());
    }
    match &features.cache {
        Some(plan) => cached::answer(&Arc::new(onward), *plan, request).await,
        None => onward.fetch(request).await,
    }
}

/// The request, when the service's document allows it.
async fn validated(
    plan: &validate::Plan,
    onward: &Onward,
    request: Request<Body>,
) -> Result<Request<Body>, Problem> {
    let (parts, incoming) = request.into_parts();
    let (bytes, incoming) = if plan.reads_body(&parts.method) {
        let bytes = body::collect(incoming, plan.body_bytes_max).await;
        let bytes = bytes.map_err(|error| match error {
            Error::TooLarge { max } => problem::PAYLOAD_TOO_LARGE
                .with_detail(format!("a body that is checked here may have {max} bytes")),
            Error::Broken(_) => problem::BAD_REQUEST.with_detail("the body broke off"),
        })?;
        (Some(bytes.clone()), body::full(bytes))
    } else {
        (None, incoming)
    };
    plan.check(
        &parts.method,
        &onward.target_path(),
        &parts.uri,
        &parts.headers,
        bytes.as_ref(),
    )?;
    Ok(Request::from_parts(parts, incoming))
}
