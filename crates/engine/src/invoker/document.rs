//! A document of a definition, asked for over HTTP as a call would ask for it.

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::response;
use taraf_flow::auth::Authentication;
use taraf_flow::tasks::HttpOutput;
use taraf_flow::{Data, FlowError, Scope};
use tokio::time::Instant;

use super::Means;
use super::auth::{Authorization, Prover};
use super::http::{HttpRequest, address, exchange, is_unauthorized, shown, with_query};
use super::mask::Mask;
use crate::partition::CallClass;

/// Longest document.
const DOCUMENT_BYTES_MAX: usize = 1 << 20;
const ACCEPTED: &str = "application/schema+json, application/json, application/yaml, text/yaml, text/plain;q=0.5, */*;q=0.1";

/// What is asked for.
pub(crate) struct Document<'a> {
    pub(crate) uri: &'a str,
    pub(crate) policy: Option<&'a Authentication>,
    pub(crate) scope: &'a Scope,
    pub(crate) until: Instant,
}

impl Document<'_> {
    /// Its text.
    pub(crate) async fn get(&self, means: &Means) -> Result<String, FlowError> {
        let mut hidden: Vec<Data> = self.scope.secrets.iter().cloned().collect();
        let got = self.fetch(means, &mut hidden).await;
        got.and_then(|(head, bytes)| text(&shown(self.uri), &head, &bytes))
            .map_err(|error| Mask::new(&hidden).error(error))
    }

    async fn fetch(
        &self,
        means: &Means,
        hidden: &mut Vec<Data>,
    ) -> Result<(response::Parts, Bytes), FlowError> {
        let Some(policy) = self.policy else {
            return self.ask(means, Authorization::Absent).await;
        };
        let prover = means
            .authenticator
            .prover(policy, &Data::null(), self.scope);
        let mut prover: Prover<'_> = prover?;
        let mut is_first = true;
        loop {
            hidden.push(prover.sensitive());
            let (authorization, _) = prover.prove(self.until).await?;
            hidden.push(prover.sensitive());
            let got = self.ask(means, authorization).await;
            if is_first
                && matches!(&got, Err(error) if is_unauthorized(error))
                && prover.refused().await
            {
                is_first = false;
                continue;
            }
            return got;
        }
    }

    async fn ask(
        &self,
        means: &Means,
        authorization: Authorization,
    ) -> Result<(response::Parts, Bytes), FlowError> {
        let request = HttpRequest {
            method: "GET".to_owned(),
            url: with_query(address(self.uri)?, &[])?,
            headers: vec![("accept".to_owned(), ACCEPTED.to_owned())],
            body: None,
            output: HttpOutput::Raw,
            redirect: true,
            authorization,
            effect: None,
            traceparent: None,
            deadline: self.until.saturating_duration_since(Instant::now()),
            response_bytes_max: DOCUMENT_BYTES_MAX,
            class: CallClass::Idempotent,
        };
        let answer = exchange(&means.client, &request).await;
        let (_, head, bytes) = answer.map_err(|failed| failed.error)?;
        Ok((head, bytes))
    }
}

/// JSON and YAML have many media types; what is certainly something else is refused by its name.
fn text(uri: &str, head: &response::Parts, bytes: &[u8]) -> Result<String, FlowError> {
    let refuse =
        |why: String| Err(FlowError::communication(format!("{uri} {why}")).with_status(502));
    if !head.status.is_success() {
        return refuse(format!("answers {} and nothing else", head.status));
    }
    let given = head.headers.get(CONTENT_TYPE);
    let given = given
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let essence = given
        .split(';')
        .next()
        .unwrap_or_default()
        .trim()
        .to_ascii_lowercase();
    let is_known = essence.is_empty()
        || ["json", "yaml", "x-yaml"].iter().any(|name| {
            let rest = essence.strip_suffix(name);
            rest.is_some_and(|rest| rest.ends_with(['/', '+']))
        })
        || matches!(&*essence, "text/plain" | "application/octet-stream");
    if !is_known {
        return refuse(format!(
            "is of the type `{essence}`, which is neither JSON nor YAML"
        ));
    }
    let text = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    match std::str::from_utf8(text) {
        Ok(text) => Ok(text.to_owned()),
        Err(_) => refuse("is not UTF-8".to_owned()),
    }
}
