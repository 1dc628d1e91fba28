//! One call as it goes out: what was recorded, what only the sender may see, and the secrets.

use std::collections::BTreeMap;
use std::time::Duration;

use taraf_base::{Secret, Timestamp};
use taraf_flow::tasks::{Call as TaskCall, HttpCall, HttpOutput};
use taraf_flow::{Data, FlowError, Kind, Scope, Template};
use tokio::time::Instant;
use url::Url;

use super::Means;
use super::auth::Authorization;
use super::http::{Effect, Failure, HttpRequest, address, is_unauthorized, perform, with_query};
use super::mask::Mask;
use crate::partition::Call;
use crate::partition::tasks::call::is_deferred;

/// How much longer than its task a call may take: the answer to a task that takes too long is the
/// `timeout` of its timer, not whatever the connection says at the same instant.
const GRACE: Duration = Duration::from_secs(5);

/// Where a call goes, when that is no secret of the sender's.
pub(super) fn recorded_url(call: &Call) -> Option<Url> {
    let uri = call.request.get("uri")?;
    Url::parse(&uri.as_str()?).ok()
}

/// Makes the call, to the address that was recorded if there is one. What comes back never holds a secret
/// of ours.
pub(super) async fn send(
    means: &Means,
    call: &Call,
    url: Option<Url>,
    epoch: u64,
) -> Result<Data, Failure> {
    let unsent = |what| Failure::unsent(FlowError::configuration(what));
    let Kind::Call(kind) = &call.task.kind else {
        return Err(unsent("the step is no call"));
    };
    let TaskCall::Http(http) = &**kind else {
        return Err(unsent("only calls of `http` are built"));
    };
    let secrets = secrets(&call.secrets, &means.config.secrets);
    let mut scope = call.scope.clone();
    scope.secrets = Some(secrets.clone());
    let deadline = match call.until {
        // The timer of that timeout ends the call; this limit is for a run that is held.
        Some(until) => until.since(Timestamp::now()) + GRACE,
        None => means.config.call_deadline,
    };
    let mut sending = Sending {
        means,
        call,
        http,
        url,
        scope,
        epoch,
        until: Instant::now() + deadline,
        hidden: vec![secrets],
    };
    let answer = sending.perform().await;
    let mask = Mask::new(&sending.hidden);
    match answer {
        Ok(output) if http.output == HttpOutput::Response => Ok(mask.response(output)),
        Ok(output) => Ok(output),
        Err(failure) => Err(Failure {
            error: mask.error(failure.error),
            ..failure
        }),
    }
}

/// One call under way.
struct Sending<'a> {
    means: &'a Means,
    call: &'a Call,
    http: &'a HttpCall,
    /// The address, when it was recorded.
    url: Option<Url>,
    scope: Scope,
    epoch: u64,
    until: Instant,
    /// What must not be stored.
    hidden: Vec<Data>,
}

impl Sending<'_> {
    /// Makes the call; once more when the service refused what was shown and there is another token.
    /// What fails before, or after a refusal, was not performed.
    async fn perform(&mut self) -> Result<Data, Failure> {
        let client = &self.means.client;
        let Some(policy) = &self.http.endpoint.authentication else {
            let request = self.request(Authorization::Absent);
            return perform(client, request.map_err(Failure::unsent)?).await;
        };
        let authenticator = &self.means.authenticator;
        let prover = authenticator.prover(policy, &self.call.input, &self.scope);
        let mut prover = prover.map_err(Failure::unsent)?;
        let mut is_first = true;
        loop {
            self.hidden.push(prover.sensitive());
            let proof = prover.prove(self.until).await;
            let (authorization, seen) = proof.map_err(Failure::unsent)?;
            self.hidden.push(prover.sensitive());
            self.scope.authorization = Some(seen);
            let request = self.request(authorization).map_err(Failure::unsent)?;
            let answer = perform(client, request).await;
            if is_first
                && matches!(&answer, Err(failed) if is_unauthorized(&failed.error))
                && prover.refused().await
            {
                is_first = false;
                continue;
            }
            return answer;
        }
    }

    fn request(&self, authorization: Authorization) -> Result<HttpRequest, FlowError> {
        let (call, http, means) = (self.call, self.http, self.means);
        let scope = &self.scope;
        let part = |name: &str, template: Option<&Template>| match template {
            Some(template) if is_deferred(template) => deferred(template, call, scope, means),
            _ => Ok(call.request.get(name)),
        };
        let recorded = |name: &str| call.request.get(name).and_then(|value| value.as_str());
        let url = match &self.url {
            Some(url) => url.clone(),
            None => address(&match recorded("uri") {
                Some(uri) => uri,
                None => http.endpoint.uri.eval(&call.input, scope)?,
            })?,
        };
        let query = pairs("query", part("query", http.query.as_ref())?)?;
        let request = HttpRequest {
            method: recorded("method").unwrap_or_default(),
            url: with_query(url, &query)?,
            headers: pairs("headers", part("headers", http.headers.as_ref())?)?,
            body: part("body", http.body.as_ref())?,
            output: http.output,
            redirect: http.redirect,
            authorization,
            effect: Some(Effect {
                key: call.key.as_ref().to_owned(),
                attempt: call.attempt,
                epoch: self.epoch,
                run: call.run,
            }),
            traceparent: call.traceparent.clone(),
            deadline: self.until.saturating_duration_since(Instant::now()),
            response_bytes_max: means.config.response_bytes,
            class: call.class,
        };
        // A part that could not be read was seen as `null`: a call without it is none that was asked for.
        match call.looking.as_ref().and_then(|looking| looking.failed()) {
            Some(error) => Err(FlowError::runtime(error.to_string())),
            None => Ok(request),
        }
    }
}

fn deferred(
    template: &Template,
    call: &Call,
    scope: &Scope,
    means: &Means,
) -> Result<Option<Data>, FlowError> {
    let missing = call
        .secrets
        .iter()
        .find(|name| !means.config.secrets.contains_key(*name));
    match missing {
        Some(name) if template.mentions_secrets() => Err(FlowError::authorization(format!(
            "the secret `{name}` has no value here"
        ))),
        _ => Ok(Some(template.eval(&call.input, scope)?)),
    }
}

/// `$secrets`: those that the definition names and that have a value.
pub(crate) fn secrets(names: &[String], values: &BTreeMap<String, Secret>) -> Data {
    let known = names.iter().filter_map(|name| {
        let text = values.get(name)?.expose();
        // A secret with members is given as JSON text.
        let parsed = serde_json::from_str::<serde_json::Value>(text).ok();
        let value = match parsed.filter(serde_json::Value::is_object) {
            Some(object) => Data::from(object),
            None => Data::string(text),
        };
        Some((name.as_str(), value))
    });
    Data::from_entries(known)
}

/// Names and values; null is dropped, an array repeats the name.
fn pairs(what: &str, data: Option<Data>) -> Result<Vec<(String, String)>, FlowError> {
    let Some(data) = data.filter(|data| !data.is_null()) else {
        return Ok(Vec::new());
    };
    let entries = data
        .entries()
        .ok_or_else(|| FlowError::validation(format!("`{what}` of the call is no object")))?;
    let mut pairs = Vec::with_capacity(entries.len());
    for (name, value) in entries {
        for value in value.items().unwrap_or_else(|| vec![value]) {
            if !value.is_null() {
                pairs.push((
                    name.clone(),
                    value.as_str().unwrap_or_else(|| value.to_string()),
                ));
            }
        }
    }
    Ok(pairs)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn data(json: serde_json::Value) -> Data {
        Data::from(json)
    }

    #[test]
    fn null_is_dropped_and_an_array_repeats_its_name() {
        let given = data(serde_json::json!({"a": [1, "x", null], "b": null, "c": true}));
        let found = pairs("query", Some(given)).unwrap();
        let expected = [("a", "1"), ("a", "x"), ("c", "true")];
        assert_eq!(found, expected.map(|(a, b)| (a.to_owned(), b.to_owned())));
        assert!(pairs("query", Some(data(serde_json::json!("x")))).is_err());
        assert!(pairs("query", None).unwrap().is_empty());
    }

    #[test]
    fn only_named_secrets_are_seen_and_json_has_members() {
        let values = BTreeMap::from([
            ("token".to_owned(), Secret::new("12345".to_owned())),
            (
                "login".to_owned(),
                Secret::new(r#"{"username":"ana"}"#.to_owned()),
            ),
            ("other".to_owned(), Secret::new("hidden".to_owned())),
        ]);
        let seen = secrets(&["token".to_owned(), "login".to_owned()], &values);
        let expected = serde_json::json!({"token": "12345", "login": {"username": "ana"}});
        assert_eq!(seen, data(expected));
    }
}
