//! Query strings and bodies as values; what cannot be read is answered as a problem.

use axum::body::Bytes;
use axum::extract::rejection::{BytesRejection, QueryRejection};
use axum::extract::{FromRequest, FromRequestParts, Query, Request};
use http::request::Parts;
use serde::de::DeserializeOwned;
use taraf_service::{Problem, problem};

/// The query string as a value.
pub(crate) struct Params<T>(pub T);

/// The body, which must be JSON whatever its declared type, as a value.
pub(crate) struct Document<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Params<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let Query(params) = Query::from_request_parts(parts, state)
            .await
            .map_err(|error: QueryRejection| problem::BAD_REQUEST.with_detail(error.body_text()))?;
        Ok(Self(params))
    }
}

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Document<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let bytes =
            Bytes::from_request(request, state)
                .await
                .map_err(|error: BytesRejection| {
                    let mut refused = problem::BAD_REQUEST.with_detail(error.body_text());
                    refused.status = error.status().as_u16();
                    refused
                })?;
        // The place is told, the text is not: it may hold personal data.
        let value = serde_json::from_slice(&bytes).map_err(|error| {
            let (line, column) = (error.line(), error.column());
            let what = match error.classify() {
                serde_json::error::Category::Data => "does not have the documented members",
                _ => "is not JSON",
            };
            problem::BAD_REQUEST
                .with_detail(format!("the body {what} (line {line}, column {column})"))
        })?;
        Ok(Self(value))
    }
}
