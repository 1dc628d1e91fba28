//! The operator token: asked of every call under `/v1`, compared in constant time.

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::header::{AUTHORIZATION, HeaderValue, WWW_AUTHENTICATE};
use taraf_base::Secret;
use taraf_service::problem;

use super::Shared;

/// Lets the call through when it carries the token.
pub(crate) async fn check(State(parts): State<Shared>, request: Request, next: Next) -> Response {
    let shown = request.headers().get(AUTHORIZATION).and_then(bearer);
    match shown {
        Some(token) if token == parts.token => next.run(request).await,
        Some(_) => refuse("the operator token is not this one"),
        None => refuse("send the operator token as `Authorization: Bearer TOKEN`"),
    }
}

fn bearer(value: &HeaderValue) -> Option<Secret> {
    let (scheme, token) = value.to_str().ok()?.split_once(' ')?;
    let is_bearer = scheme.eq_ignore_ascii_case("bearer");
    is_bearer.then(|| Secret::new(token.trim().to_owned()))
}

fn refuse(detail: &str) -> Response {
    problem::UNAUTHORIZED
        .with_detail(detail)
        .with_header(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))
        .into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(value: &'static str, expected: Option<&str>) {
        let token = bearer(&HeaderValue::from_static(value));
        assert_eq!(
            token.as_ref().map(|token| token.expose().as_str()),
            expected
        );
    }

    #[test]
    fn a_bearer_token_is_read_whatever_the_case_of_its_scheme() {
        check("Bearer abc", Some("abc"));
        check("bearer  abc ", Some("abc"));
        check("Basic abc", None);
        check("abc", None);
    }
}
