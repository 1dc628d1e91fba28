//! [pure] Redirects: where the call goes next, and what it takes along (RFC 9110 §15.4).

use http::header::{HeaderMap, LOCATION};
use http::{Method, StatusCode};
use taraf_flow::FlowError;
use url::Url;

/// One request of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Hop {
    pub(super) url: Url,
    pub(super) method: Method,
    pub(super) keeps_body: bool,
    pub(super) keeps_authorization: bool,
}

/// The request that the answer asks for, or `None` when the answer is the end.
pub(super) fn next(
    hop: &Hop,
    status: StatusCode,
    headers: &HeaderMap,
) -> Result<Option<Hop>, FlowError> {
    let is_redirect = matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308);
    let Some(location) = headers.get(LOCATION).filter(|_| is_redirect) else {
        return Ok(None);
    };
    let shown = String::from_utf8_lossy(location.as_bytes());
    let unusable = || {
        FlowError::communication(format!(
            "the redirect leads to `{shown}`, which is no address"
        ))
        .with_status(502)
    };
    let url = hop.url.join(&shown).map_err(|_not_an_address| unusable())?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(unusable());
    }
    let becomes_get = status == StatusCode::SEE_OTHER && hop.method != Method::HEAD
        || matches!(status.as_u16(), 301 | 302) && hop.method == Method::POST;
    let is_same_origin = url.origin() == hop.url.origin();
    Ok(Some(Hop {
        method: if becomes_get {
            Method::GET
        } else {
            hop.method.clone()
        },
        keeps_body: hop.keeps_body && !becomes_get,
        keeps_authorization: hop.keeps_authorization && is_same_origin,
        url,
    }))
}

/// An address without what may be secret in it: user, password and query.
pub(crate) fn shown(uri: &str) -> String {
    Url::parse(uri).map_or_else(
        |_not_an_address| uri.split('?').next().unwrap_or_default().to_owned(),
        |mut url| {
            url.set_query(None);
            // Only addresses without a host refuse this, and those have nobody to hide.
            let _no_host = (url.set_username(""), url.set_password(None));
            url.to_string()
        },
    )
}
