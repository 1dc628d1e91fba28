//! What authorities say of themselves: where their endpoints are (OpenID Connect Discovery 1.0).

use std::time::Duration;

use http::header::ACCEPT;
use http::{HeaderValue, Request};
use serde_json::Value;
use taraf_flow::FlowError;
use taraf_flow::auth::TokenPolicy;
use taraf_service::{Body, CallError, CallPolicy, Client, body};
use tokio::time::Instant;
use url::Url;

use super::request::{refused, shown, unusable};

const WELL_KNOWN: &str = "/.well-known/openid-configuration";
/// How long a description is kept.
pub(super) const DESCRIPTION_KEPT: Duration = Duration::from_secs(3_600);
/// Longest answer of an authority.
const ANSWER_BYTES_MAX: usize = 256 * 1024;
/// For one answer of an authority.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// Where an authority answers.
#[derive(Clone, Debug)]
pub(super) struct Authority {
    pub(super) token: Url,
    pub(super) introspection: Option<Url>,
    pub(super) revocation: Option<Url>,
    /// Who it says that it is, when it describes itself.
    pub(super) issuer: Option<String>,
    pub(super) read_at: Instant,
}

impl Authority {
    /// From the policy's own words.
    pub(super) fn told(policy: &TokenPolicy) -> Result<Self, FlowError> {
        let at = |path: &str| {
            let text = match Url::parse(path) {
                Ok(_) => path.to_owned(),
                Err(_relative) => format!("{}/{}", policy.authority, path.trim_start_matches('/')),
            };
            address(&text)
        };
        let revocation = policy.endpoints.revocation.as_deref();
        Ok(Self {
            token: at(&policy.endpoints.token)?,
            introspection: Some(at(&policy.endpoints.introspection)?),
            revocation: revocation.map(at).transpose()?,
            issuer: None,
            read_at: Instant::now(),
        })
    }

    /// From the authority's description, whose issuer must be the authority or one that the policy
    /// names.
    pub(super) async fn discover(client: &Client, policy: &TokenPolicy) -> Result<Self, FlowError> {
        let issuer = policy
            .authority
            .trim_end_matches(WELL_KNOWN)
            .trim_end_matches('/');
        let url = address(&format!("{issuer}{WELL_KNOWN}"))?;
        let mut request = Request::new(body::empty());
        *request.uri_mut() = url.as_str().parse().map_err(|error| {
            FlowError::configuration(format!("`{}` cannot be asked: {error}", shown(&url)))
        })?;
        let json = HeaderValue::from_static("application/json");
        request.headers_mut().insert(ACCEPT, json);
        let description = ask(client, &url, request).await?;
        let said = description.get("issuer").and_then(Value::as_str);
        let said = said.ok_or_else(|| unusable(&url, "its description names no `issuer`"))?;
        let is_expected = said.trim_end_matches('/') == issuer
            || policy.issuers.iter().any(|expected| expected == said);
        if !is_expected {
            let what = format!("its description is that of `{said}`, not of `{issuer}`");
            return Err(unusable(&url, &what));
        }
        let endpoint = |name: &str| {
            let Some(text) = description.get(name).and_then(Value::as_str) else {
                return Ok(None);
            };
            let found = address(text)?;
            if url.scheme() == "https" && found.scheme() != "https" {
                return Err(unusable(&url, &format!("its `{name}` is not https")));
            }
            Ok(Some(found))
        };
        let token = endpoint("token_endpoint")?;
        Ok(Self {
            token: token
                .ok_or_else(|| unusable(&url, "its description has no `token_endpoint`"))?,
            introspection: endpoint("introspection_endpoint")?,
            revocation: endpoint("revocation_endpoint")?,
            issuer: Some(said.to_owned()),
            read_at: Instant::now(),
        })
    }
}

fn address(text: &str) -> Result<Url, FlowError> {
    let unusable = |why: &str| FlowError::configuration(format!("the authority `{text}` {why}"));
    let url = Url::parse(text).map_err(|error| unusable(&format!("is not an address: {error}")))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(unusable("is neither http nor https"));
    }
    Ok(url)
}

/// Asks an authority for JSON.
pub(super) async fn ask(
    client: &Client,
    url: &Url,
    request: Request<Body>,
) -> Result<Value, FlowError> {
    let policy = CallPolicy {
        deadline: ANSWER_TIMEOUT,
        body_idle: ANSWER_TIMEOUT,
        ..CallPolicy::default()
    };
    let asked = async {
        let response = client.call(request, &policy).await;
        let (head, body) = response.map_err(|error| lost(url, &error))?.into_parts();
        let bytes = body::collect(body, ANSWER_BYTES_MAX).await;
        let bytes = bytes.map_err(|error| unusable(url, &error.to_string()))?;
        let json = serde_json::from_slice::<Value>(&bytes).ok();
        if !head.status.is_success() {
            return Err(refused(url, head.status.as_u16(), json.as_ref()));
        }
        json.ok_or_else(|| unusable(url, "it answers what is not JSON"))
    };
    match tokio::time::timeout(ANSWER_TIMEOUT, asked).await {
        Ok(answer) => answer,
        Err(_elapsed) => Err(slow(url)),
    }
}

fn slow(url: &Url) -> FlowError {
    let limit = taraf_base::duration::format(ANSWER_TIMEOUT);
    let detail = format!("no whole answer from {} within {limit}", shown(url));
    FlowError::authentication(detail).with_status(504)
}

fn lost(url: &Url, error: &CallError) -> FlowError {
    let detail = format!("{}: {}", shown(url), taraf_base::with_causes(error));
    match error {
        CallError::Denied(_) => FlowError::authorization(detail),
        CallError::Invalid(_) => FlowError::configuration(detail),
        CallError::Resolve { .. } | CallError::Connect { .. } => {
            FlowError::authentication(detail).with_status(503)
        }
        _ => FlowError::authentication(detail).with_status(error.status()),
    }
}
