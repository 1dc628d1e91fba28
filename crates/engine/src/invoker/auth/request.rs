//! [pure] Requests to a token endpoint, and what its answers say.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use http::{Method, Request};
use serde_json::{Map, Value};
use taraf_base::Secret;
use taraf_flow::FlowError;
use taraf_flow::auth::{ClientMethod, Encoding, Grant, TokenPolicy};
use taraf_service::{Body, body};
use url::Url;
use url::form_urlencoded::{Serializer, byte_serialize};

/// How an assertion of RFC 7523 is named.
const JWT_BEARER: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// Members of a request, in order; a name may come more than once.
pub(super) type Members = Vec<(&'static str, String)>;

/// What is asked for with a grant.
pub(super) fn grant(policy: &TokenPolicy, grant: Grant, refresh: Option<&Secret>) -> Members {
    let mut members = vec![("grant_type", grant.name().to_owned())];
    match grant {
        Grant::Password => {
            members.extend(policy.username.clone().map(|name| ("username", name)));
            let password = policy.password.as_ref();
            members.extend(password.map(|word| ("password", word.expose().clone())));
        }
        Grant::RefreshToken => {
            members.extend(refresh.map(|token| ("refresh_token", token.expose().clone())));
        }
        Grant::AuthorizationCode | Grant::ClientCredentials | Grant::TokenExchange => {}
    }
    // A refresh asks for what was granted before.
    let is_renewal = grant == Grant::RefreshToken && policy.grant != Grant::RefreshToken;
    if is_renewal {
        return members;
    }
    if !policy.scopes.is_empty() {
        members.push(("scope", policy.scopes.join(" ")));
    }
    let audiences = policy.audiences.iter();
    members.extend(audiences.map(|audience| ("audience", audience.clone())));
    if grant != Grant::RefreshToken
        && let Some(subject) = &policy.subject
    {
        members.push(("subject_token", subject.token.expose().clone()));
        members.push(("subject_token_type", subject.type_.clone()));
    }
    if let Some(actor) = &policy.actor {
        members.push(("actor_token", actor.token.expose().clone()));
        members.push(("actor_token_type", actor.type_.clone()));
    }
    members
}

/// The request, with the client's proof of who it is: in the body, or in the header.
pub(super) fn build(
    policy: &TokenPolicy,
    url: &Url,
    mut members: Members,
    assertion: Option<&Secret>,
) -> Result<Request<Body>, FlowError> {
    let client = &policy.client;
    let mut authorization = None;
    match (client.method, &client.id, &client.secret) {
        (ClientMethod::Basic, Some(id), Some(secret)) => {
            // RFC 6749 §2.3.1: both are form-encoded first.
            let coded = |text: &str| byte_serialize(text.as_bytes()).collect::<String>();
            let pair = format!("{}:{}", coded(id), coded(secret.expose()));
            authorization = Some(format!("Basic {}", STANDARD.encode(pair)));
        }
        (method, id, secret) => {
            members.extend(id.clone().map(|id| ("client_id", id)));
            if method == ClientMethod::Post {
                let secret = secret.as_ref().map(|secret| secret.expose().clone());
                members.extend(secret.map(|secret| ("client_secret", secret)));
            }
        }
    }
    if let Some(assertion) = assertion {
        members.push(("client_assertion_type", JWT_BEARER.to_owned()));
        members.push(("client_assertion", assertion.expose().clone()));
    }
    let (type_, bytes) = match policy.encoding {
        Encoding::Form => ("application/x-www-form-urlencoded", form(&members)),
        Encoding::Json => ("application/json", json(&members).to_string()),
    };
    let mut request = Request::new(body::full(bytes));
    *request.method_mut() = Method::POST;
    *request.uri_mut() = url.as_str().parse().map_err(|error| {
        FlowError::configuration(format!("`{}` cannot be asked: {error}", shown(url)))
    })?;
    let headers = request.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(type_));
    headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
    if let Some(value) = authorization.and_then(|value| HeaderValue::try_from(value).ok()) {
        headers.insert(AUTHORIZATION, value);
    }
    Ok(request)
}

fn form(members: &Members) -> String {
    let mut form = Serializer::new(String::new());
    form.extend_pairs(members);
    form.finish()
}

/// A name that comes more than once is a list.
fn json(members: &Members) -> Value {
    let mut object = Map::new();
    for (name, value) in members {
        let value = Value::String(value.clone());
        match object.get_mut(*name) {
            None => {
                object.insert((*name).to_owned(), value);
            }
            Some(Value::Array(values)) => values.push(value),
            Some(one) => *one = Value::Array(vec![one.take(), value]),
        }
    }
    Value::Object(object)
}

/// What a token endpoint granted.
#[derive(Debug)]
pub(super) struct Granted {
    pub(super) access: Secret,
    pub(super) refresh: Option<Secret>,
    pub(super) id: Option<Secret>,
    /// In seconds, when it says so.
    pub(super) expires_in: Option<u64>,
}

impl Granted {
    /// Reads a successful answer (RFC 6749 §5.1).
    pub(super) fn read(url: &Url, answer: &Value) -> Result<Self, FlowError> {
        let text = |name: &str| {
            answer
                .get(name)?
                .as_str()
                .map(|s| Secret::new(s.to_owned()))
        };
        let unusable = |what: &str| unusable(url, what);
        if let Some(type_) = answer.get("token_type").and_then(Value::as_str)
            && !type_.eq_ignore_ascii_case("bearer")
            // An exchange for a token that is no access token (RFC 8693 §2.2.1).
            && !type_.eq_ignore_ascii_case("N_A")
        {
            return Err(unusable("it grants tokens of a type that is not Bearer"));
        }
        let expires_in = answer.get("expires_in").and_then(|value| match value {
            Value::String(text) => text.parse().ok(),
            other => other.as_u64(),
        });
        let access = text("access_token").filter(|token| !token.expose().is_empty());
        let access = access.ok_or_else(|| unusable("it answers without an `access_token`"))?;
        if HeaderValue::try_from(access.expose()).is_err() {
            return Err(unusable("it grants a token that no header can carry"));
        }
        Ok(Self {
            access,
            refresh: text("refresh_token"),
            id: text("id_token"),
            expires_in,
        })
    }
}

/// An authority that answers what cannot be used.
pub(super) fn unusable(url: &Url, what: &str) -> FlowError {
    FlowError::authentication(format!("{} cannot be used: {what}", shown(url))).with_status(502)
}

/// An authority that refuses: by RFC 6749 §5.2 it says why.
pub(super) fn refused(url: &Url, status: u16, answer: Option<&Value>) -> FlowError {
    let said = |name: &str| answer?.get(name)?.as_str().map(str::to_owned);
    let words: Vec<String> = [said("error"), said("error_description")]
        .into_iter()
        .flatten()
        .collect();
    let mut detail = format!("{} answers {status}", shown(url));
    if !words.is_empty() {
        detail.push_str(": ");
        detail.push_str(&words.join(": "));
    }
    // What the authority cannot do now may work later; all else are our credentials.
    let status = match status {
        408 | 429 | 500..=599 => status,
        300..=399 => 502,
        _ => 401,
    };
    FlowError::authentication(detail).with_status(status)
}

/// The address without what may be secret in it.
pub(super) fn shown(url: &Url) -> String {
    super::super::http::shown(url.as_str())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn members_that_repeat_are_repeated_in_a_form_and_a_list_in_json() {
        let members = vec![
            ("audience", "a b".to_owned()),
            ("x", "é&".to_owned()),
            ("audience", "c".to_owned()),
            ("audience", "d".to_owned()),
        ];
        assert_eq!(
            form(&members),
            "audience=a+b&x=%C3%A9%26&audience=c&audience=d"
        );
        assert_eq!(
            json(&members),
            json!({"audience": ["a b", "c", "d"], "x": "é&"})
        );
    }

    #[test]
    fn answers_that_cannot_be_used_are_told_without_the_token() {
        let url = Url::parse("https://u:p@id.example/token?x=hidden").unwrap();
        for (answer, told) in [
            (json!({"token_type": "bearer"}), "without an `access_token`"),
            (json!({"access_token": ""}), "without an `access_token`"),
            (
                json!({"access_token": "hidden", "token_type": "mac"}),
                "not Bearer",
            ),
            (json!({"access_token": "hidden\n"}), "no header can carry"),
        ] {
            let error = Granted::read(&url, &answer).unwrap_err();
            assert_eq!(error.status, 502);
            let detail = error.detail.unwrap();
            assert!(
                detail.contains(told) && !detail.contains("hidden"),
                "{detail}"
            );
        }
        let granted = json!({"access_token": "t", "token_type": "Bearer", "expires_in": "60"});
        assert_eq!(Granted::read(&url, &granted).unwrap().expires_in, Some(60));
    }

    #[test]
    fn refusals_keep_a_status_that_may_pass() {
        let url = Url::parse("https://id.example/token").unwrap();
        let said = json!({"error": "invalid_client", "error_description": "unknown"});
        for (given, expected) in [
            (400, 401),
            (401, 401),
            (404, 401),
            (429, 429),
            (503, 503),
            (302, 502),
        ] {
            let error = refused(&url, given, Some(&said));
            assert_eq!(error.status, expected, "{given}");
            assert!(error.is(taraf_flow::ErrorKind::Authentication));
            let detail = error.detail.unwrap();
            assert!(detail.ends_with("invalid_client: unknown"), "{detail}");
        }
    }
}
