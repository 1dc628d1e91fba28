//! Asking an institution over HTTP: limits, failures told apart, and where an answer comes from.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE, USER_AGENT};
use http::{HeaderMap, Method, Request, Response, StatusCode};
use taraf_service::{Body, CallError, CallPolicy, Client, Problem, body};

use crate::metrics::SourceMetrics;
use crate::problems;

/// Says that an answer was recorded earlier.
pub const RECORDED_HEADER: &str = "x-taraf-recorded";
/// Names, separated by blanks, the entries of a recorded answer that are made up.
pub const SAMPLE_HEADER: &str = "x-taraf-sample";

const AGENT: &str = concat!("taraf/", env!("CARGO_PKG_VERSION"));

/// One institution's web address and how it is called.
#[derive(Clone)]
pub(crate) struct Source {
    client: Client,
    base: Arc<str>,
    timeout: Duration,
    metrics: SourceMetrics,
}

/// What a source answered.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    /// The status, 2xx or one that the caller expects.
    pub(crate) status: StatusCode,
    /// Whole, within the limit.
    pub(crate) body: Bytes,
    /// Where it comes from.
    pub(crate) provenance: Provenance,
}

/// Where an answer comes from, as its headers say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Provenance {
    /// Recorded earlier, not fetched from the institution now.
    pub(crate) is_recorded: bool,
    samples: Arc<BTreeSet<String>>,
}

impl Provenance {
    fn read(headers: &HeaderMap) -> Self {
        let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
        let samples = text(SAMPLE_HEADER).unwrap_or_default();
        let samples = samples.split_whitespace().map(str::to_owned).collect();
        Self::new(text(RECORDED_HEADER).is_some(), samples)
    }

    pub(crate) fn new(is_recorded: bool, samples: BTreeSet<String>) -> Self {
        Self {
            is_recorded,
            samples: Arc::new(samples),
        }
    }

    /// Whether this entry of the answer is made up.
    #[must_use]
    pub(crate) fn is_sample(&self, entry: &str) -> bool {
        self.samples.contains(entry)
    }
}

/// Why a source gave no data.
#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum SourceError {
    /// It does not answer.
    #[error("{0} cannot be reached")]
    Unreachable(&'static str, #[source] Arc<CallError>),
    /// It took too long.
    #[error("{0} did not answer in time")]
    Timeout(&'static str),
    /// It refuses for now: too many requests, or out of order.
    #[error("{0} answered with status {1}")]
    Refused(&'static str, u16),
    /// Its answer is cut, too large, a web page or not in its documented form.
    #[error("{0} answered nonsense: {1}")]
    Broken(&'static str, String),
    /// Too many questions are waiting already.
    #[error("too many questions wait for {0}")]
    Overloaded(&'static str),
}

impl SourceError {
    /// The answer that tells a caller.
    #[must_use]
    pub(crate) fn problem(&self) -> Problem {
        match self {
            Self::Unreachable(..) | Self::Refused(..) => problems::SOURCE_UNAVAILABLE,
            Self::Timeout(_) => problems::SOURCE_TIMEOUT,
            Self::Broken(..) => problems::SOURCE_BROKEN,
            Self::Overloaded(_) => taraf_service::problem::OVERLOADED,
        }
        .with_detail(self.to_string())
    }
}

/// What to ask.
pub(crate) struct Question {
    /// Who is asked, for messages.
    pub(crate) who: &'static str,
    pub(crate) method: Method,
    /// Path and query behind the base address.
    pub(crate) path: String,
    pub(crate) body: Option<Bytes>,
    /// The largest answer that is read.
    pub(crate) max_bytes: usize,
}

impl Source {
    /// A source below `base` (without a slash at the end).
    pub(crate) fn new(
        client: Client,
        base: &str,
        timeout: Duration,
        metrics: SourceMetrics,
    ) -> Self {
        Self {
            client,
            base: base.trim_end_matches('/').into(),
            timeout,
            metrics,
        }
    }

    /// Asks once. Every question here can be repeated without effect, so that the client sends it
    /// once more on a fresh connection when a kept one turns out to be closed; other retries are
    /// left to callers, as the institutions count requests.
    ///
    /// What the answer means is for `read`, so that an answer that means nothing is counted as
    /// broken.
    pub(crate) async fn ask<T, E: std::fmt::Display>(
        &self,
        question: &Question,
        read: impl FnOnce(Answer) -> Result<T, E>,
    ) -> Result<T, SourceError> {
        let who = question.who;
        let outcome = match tokio::time::timeout(self.timeout, self.send(question)).await {
            Err(_elapsed) => Err(SourceError::Timeout(who)),
            Ok(Ok(answer)) if !answer.status.is_success() => {
                Err(SourceError::Refused(who, answer.status.as_u16()))
            }
            Ok(Ok(answer)) => {
                read(answer).map_err(|error| SourceError::Broken(who, error.to_string()))
            }
            Ok(Err(error)) => Err(told(who, error)),
        };
        self.metrics.count(&outcome);
        outcome
    }

    async fn send(&self, question: &Question) -> Result<Answer, CallError> {
        let mut request = Request::builder()
            .method(question.method.clone())
            .uri(format!("{}{}", self.base, question.path))
            .header(USER_AGENT, AGENT)
            .header(ACCEPT, "application/json, application/xml, text/xml");
        if question.body.is_some() {
            request = request.header(CONTENT_TYPE, "application/json");
        }
        let request = request
            .body(question.body.clone().map_or_else(body::empty, body::full))
            .map_err(|error| CallError::Invalid(error.to_string()))?;
        let response: Response<Body> = self.client.call(request, &self.policy()).await?;
        let (parts, body) = response.into_parts();
        Ok(Answer {
            status: parts.status,
            provenance: Provenance::read(&parts.headers),
            body: body::collect(body, question.max_bytes).await?,
        })
    }

    fn policy(&self) -> CallPolicy {
        CallPolicy {
            deadline: self.timeout,
            idempotent: true,
            retries: 0,
            ..CallPolicy::default()
        }
    }
}

fn told(who: &'static str, error: CallError) -> SourceError {
    match error {
        CallError::Timeout { .. } => SourceError::Timeout(who),
        CallError::TooLarge { max } => SourceError::Broken(who, format!("more than {max} bytes")),
        CallError::Closed(_) => SourceError::Broken(who, "the answer broke off".to_owned()),
        other => SourceError::Unreachable(who, Arc::new(other)),
    }
}
