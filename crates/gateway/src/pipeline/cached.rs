//! A call of a route that keeps its answers: from the kept ones, or fetched and kept.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::{
    AGE, CONTENT_LENGTH, ETAG, HeaderName, HeaderValue, IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH,
    IF_RANGE, IF_UNMODIFIED_SINCE, LAST_MODIFIED, RANGE,
};
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body_util::BodyExt as _;
use taraf_base::Timestamp;
use taraf_service::{Body, Problem, body, problem};
use tokio::time::Instant;

use super::onward::Onward;
use crate::bodies::Chained;
use crate::cache::{Directives, Freshness, Kept, Key, Place, Plan, Received, Vary, Verdict};
use crate::registry::KeyId;

const CACHE_STATUS: HeaderName = HeaderName::from_static("cache-status");
const X_CACHE: HeaderName = HeaderName::from_static("x-cache");

/// Where an answer came from (RFC 9211).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Whence {
    /// Kept and fresh.
    Hit { was_awaited: bool },
    /// Kept and stale, asked for anew beside the call.
    Stale,
    /// Kept and stale, as the service failed.
    InsteadOfError,
    /// Kept, and the service said that it is still so.
    Revalidated,
    /// Fetched.
    Miss { is_kept: bool },
    /// Fetched, as the request is not one for a cache.
    Bypass(&'static str),
}

/// What is asked, and by whom.
struct Question {
    key: Key,
    route: u64,
    owner: Option<KeyId>,
    /// The caller's head, as it came.
    head: HeaderMap,
    is_head: bool,
    wishes: Directives,
}

/// Answers from what is kept, or fetches and keeps.
pub(super) async fn answer(
    onward: &Arc<Onward>,
    plan: Plan,
    request: Request<Body>,
) -> Result<Response<Body>, Problem> {
    let question = match Question::of(onward, &request) {
        Ok(question) => question,
        Err(why) => {
            let response = onward.fetch(request).await?;
            return Ok(told(onward, response, Whence::Bypass(why)));
        }
    };
    let mut was_awaited = false;
    loop {
        let stale = match question.kept(onward, was_awaited, plan) {
            Ok(answer) => return Ok(answer),
            Err(stale) => stale,
        };
        if question.wishes.flags.only_if_cached {
            let detail = "only a kept answer was wanted, and there is none";
            return Err(problem::UPSTREAM_TIMEOUT.with_detail(detail));
        }
        if question.is_head && stale.is_none() {
            let response = onward.fetch(request).await?;
            return Ok(told(onward, response, Whence::Bypass("method")));
        }
        if was_awaited || question.wishes.flags.no_cache {
            return fetched(onward, plan, &question, stale, request).await;
        }
        let flights = &onward.gateway.cache.flights;
        match flights.enter(&question.key, question.route, question.owner) {
            Place::First(first) => {
                let answer = fetched(onward, plan, &question, stale, request).await;
                drop(first);
                return answer;
            }
            Place::Next(mut under_way) => {
                // Who waits in vain goes itself: the first may be slow for reasons of its own.
                let ended = under_way.changed();
                drop(tokio::time::timeout(onward.policy().deadline, ended).await);
                was_awaited = true;
            }
        }
    }
}

impl Question {
    /// What a request asks of the cache, or why it is not for a cache.
    fn of(onward: &Onward, request: &Request<Body>) -> Result<Self, &'static str> {
        let is_head = *request.method() == Method::HEAD;
        if !is_head && *request.method() != Method::GET {
            return Err("method");
        }
        let headers = request.headers();
        let is_for_part = [RANGE, IF_RANGE, IF_MATCH, IF_UNMODIFIED_SINCE];
        if !request.body().is_empty() || is_for_part.iter().any(|name| headers.contains_key(name)) {
            return Err("bypass");
        }
        Ok(Self {
            key: Key {
                path: onward.path.as_str().into(),
                query: request.uri().query().map(Into::into),
            },
            // The canary's answers are not those of the others.
            route: onward.entry.fingerprint() ^ u64::from(onward.is_canary),
            owner: onward.caller.as_ref().map(|caller| caller.key),
            head: headers.clone(),
            is_head,
            wishes: Directives::read(headers),
        })
    }

    /// The answer that is kept, when it may be used; else what could be asked for anew, and whether it
    /// may stand in for a failure.
    fn kept(
        &self,
        onward: &Arc<Onward>,
        was_awaited: bool,
        plan: Plan,
    ) -> Result<Response<Body>, Option<(Arc<Kept>, bool)>> {
        let store = &onward.gateway.cache.store;
        let found = store
            .find(&self.key, self.route, self.owner, &self.head)
            .ok_or(None)?;
        match found.freshness.verdict(found.since.elapsed(), &self.wishes) {
            Verdict::Fresh => Ok(self.answer(onward, &found, Whence::Hit { was_awaited })),
            Verdict::Stale => {
                self.renew(onward, Arc::clone(&found), plan);
                Ok(self.answer(onward, &found, Whence::Stale))
            }
            Verdict::Revalidate { if_error } => Err(Some((found, if_error))),
        }
    }

    /// Asks for an answer anew beside the call that got the stale one, unless that is under way.
    fn renew(&self, onward: &Arc<Onward>, stale: Arc<Kept>, plan: Plan) {
        let flights = &onward.gateway.cache.flights;
        let Place::First(first) = flights.enter(&self.key, self.route, self.owner) else {
            return;
        };
        let uri = match &self.key.query {
            Some(query) => format!("{}?{query}", self.key.path),
            None => self.key.path.to_string(),
        };
        let mut request = Request::new(body::empty());
        let Ok(uri) = uri.try_into() else {
            return;
        };
        *request.uri_mut() = uri;
        request.headers_mut().clone_from(&self.head);
        let question = Self {
            key: self.key.clone(),
            head: self.head.clone(),
            wishes: Directives::default(),
            is_head: false,
            ..*self
        };
        let (onward, tasks) = (Arc::clone(onward), onward.gateway.background.clone());
        tasks.spawn("cache renewal", async move {
            let renewed = fetched(&onward, plan, &question, Some((stale, true)), request).await;
            if let Err(problem) = renewed {
                tracing::debug!(path = %question.key.path, %problem, "a kept answer was not renewed");
            }
            drop(first);
        });
    }

    /// A kept answer as the answer to this request.
    fn answer(&self, onward: &Onward, kept: &Kept, from: Whence) -> Response<Body> {
        let mut response = Response::new(body::empty());
        *response.status_mut() = kept.status;
        response.headers_mut().clone_from(&kept.headers);
        let age = kept.freshness.age(kept.since.elapsed());
        // What was fetched just now is as old as a cache before this one says.
        if !matches!(from, Whence::Miss { .. }) || !age.as_secs().eq(&0) {
            response
                .headers_mut()
                .insert(AGE, HeaderValue::from(age.as_secs()));
        }
        if kept.status.is_success() && is_known(&self.head, &kept.headers) {
            *response.status_mut() = StatusCode::NOT_MODIFIED;
        } else if self.is_head {
            let length = HeaderValue::from(kept.body.len());
            response.headers_mut().insert(CONTENT_LENGTH, length);
        } else {
            *response.body_mut() = body::full(kept.body.clone());
        }
        let left = kept.freshness.left(kept.since.elapsed());
        told_with(onward, response, from, Some(left))
    }
}

/// Fetches an answer and keeps it when it may be kept.
async fn fetched(
    onward: &Onward,
    plan: Plan,
    question: &Question,
    stale: Option<(Arc<Kept>, bool)>,
    mut request: Request<Body>,
) -> Result<Response<Body>, Problem> {
    // What the caller knows is compared here: the whole answer serves those after it.
    *request.method_mut() = Method::GET;
    request.headers_mut().remove(IF_NONE_MATCH);
    request.headers_mut().remove(IF_MODIFIED_SINCE);
    if let Some((stale, _)) = &stale {
        for (of, name) in [(ETAG, IF_NONE_MATCH), (LAST_MODIFIED, IF_MODIFIED_SINCE)] {
            if let Some(validator) = stale.headers.get(of) {
                request.headers_mut().insert(name, validator.clone());
            }
        }
    }
    let began = Instant::now();
    let answered = onward.fetch(request).await;
    let status = match &answered {
        Ok(response) => response.status().as_u16(),
        Err(problem) => problem.status,
    };
    if let Some((stale, true)) = &stale
        && matches!(status, 500 | 502..=504)
    {
        return Ok(question.answer(onward, stale, Whence::InsteadOfError));
    }
    let response = answered?;
    let delay = began.elapsed();
    if let Some((stale, _)) = &stale
        && response.status() == StatusCode::NOT_MODIFIED
    {
        let kept = renewed(onward, plan, question, stale, response.headers(), delay);
        return Ok(question.answer(onward, &kept, Whence::Revalidated));
    }
    keep(onward, plan, question, response, delay).await
}

/// Puts a fresh answer among the kept ones, as far as it may be, and answers it.
async fn keep(
    onward: &Onward,
    plan: Plan,
    question: &Question,
    response: Response<Body>,
    delay: Duration,
) -> Result<Response<Body>, Problem> {
    let store = &onward.gateway.cache.store;
    let passed = |response| {
        let mut response: Response<Body> = told(onward, response, Whence::Miss { is_kept: false });
        if response.status().is_success() && is_known(&question.head, response.headers()) {
            *response.status_mut() = StatusCode::NOT_MODIFIED;
            *response.body_mut() = body::empty();
            response.headers_mut().remove(CONTENT_LENGTH);
        }
        response
    };
    let headers = response.headers();
    let received = received(response.status(), headers, delay);
    let freshness = Freshness::of(&received, &question.wishes, &plan);
    let (Some(freshness), Some(vary)) = (freshness, Vary::of(headers, &question.head)) else {
        return Ok(passed(response));
    };
    let max = store.body_bytes_max();
    let is_long = |bytes: u64| usize::try_from(bytes).map_or(true, |bytes| bytes > max);
    if is_long(http_body::Body::size_hint(response.body()).lower()) {
        return Ok(passed(response));
    }
    let (mut parts, incoming) = response.into_parts();
    let gathered = tokio::time::timeout(onward.gateway.config.limits.total, gather(incoming, max));
    let bytes = match gathered.await {
        Ok(Gathered::Whole(bytes)) => bytes,
        Ok(Gathered::Long(body)) => return Ok(passed(Response::from_parts(parts, body))),
        Ok(Gathered::Broken) => return Err(problem::UPSTREAM_BROKEN.new()),
        Err(_late) => return Err(problem::UPSTREAM_TIMEOUT.new()),
    };
    for name in [AGE, CONTENT_LENGTH] {
        parts.headers.remove(name);
    }
    let kept = Kept {
        status: parts.status,
        headers: parts.headers,
        body: bytes,
        vary,
        owner: question.owner.filter(|_| !freshness.is_public),
        route: question.route,
        freshness,
        since: Instant::now(),
    };
    let kept = Arc::new(kept);
    let is_kept = store.put(&question.key, Arc::clone(&kept));
    Ok(question.answer(onward, &kept, Whence::Miss { is_kept }))
}

/// The kept answer after the service has said that it is still so (RFC 9111 §4.3.4).
fn renewed(
    onward: &Onward,
    plan: Plan,
    question: &Question,
    stale: &Arc<Kept>,
    said: &HeaderMap,
    delay: Duration,
) -> Arc<Kept> {
    let mut headers = stale.headers.clone();
    for name in said.keys() {
        if *name == CONTENT_LENGTH || *name == AGE {
            continue;
        }
        headers.remove(name);
        for value in said.get_all(name) {
            headers.append(name, value.clone());
        }
    }
    let mut judged = headers.clone();
    if let Some(age) = said.get(AGE) {
        judged.insert(AGE, age.clone());
    }
    let received = received(stale.status, &judged, delay);
    let Some(freshness) = Freshness::of(&received, &question.wishes, &plan) else {
        return Arc::clone(stale);
    };
    let kept = Arc::new(Kept {
        status: stale.status,
        body: stale.body.clone(),
        vary: stale.vary.clone(),
        owner: stale.owner,
        route: stale.route,
        headers,
        freshness,
        since: Instant::now(),
    });
    onward
        .gateway
        .cache
        .store
        .put(&question.key, Arc::clone(&kept));
    kept
}

fn received(status: StatusCode, headers: &HeaderMap, delay: Duration) -> Received<'_> {
    Received {
        status,
        headers,
        delay,
        now: Timestamp::now(),
    }
}

enum Gathered {
    Whole(Bytes),
    /// Longer than is kept: what was read, and the rest behind it.
    Long(Body),
    Broken,
}

async fn gather(mut incoming: Body, max: usize) -> Gathered {
    let mut read = BytesMut::new();
    while let Some(frame) = incoming.frame().await {
        let Ok(frame) = frame else {
            return Gathered::Broken;
        };
        if let Some(data) = frame.data_ref() {
            read.extend_from_slice(data);
        }
        if read.len() > max {
            return Gathered::Long(Body::new(Chained::new(read.freeze(), incoming)));
        }
    }
    Gathered::Whole(read.freeze())
}

/// Whether the caller has this answer already (RFC 9110 §13.1.2, §13.1.3).
fn is_known(request: &HeaderMap, answer: &HeaderMap) -> bool {
    fn opaque(tag: &str) -> &str {
        tag.trim().trim_start_matches("W/")
    }
    if request.contains_key(IF_NONE_MATCH) {
        let Some(tag) = answer.get(ETAG).and_then(|tag| tag.to_str().ok()) else {
            return false;
        };
        let named = request
            .get_all(IF_NONE_MATCH)
            .iter()
            .filter_map(|tags| tags.to_str().ok());
        let mut named = named.flat_map(|tags| tags.split(','));
        return named.any(|named| named.trim() == "*" || opaque(named) == opaque(tag));
    }
    let time = |headers: &HeaderMap, name: &HeaderName| {
        let text = headers.get(name)?.to_str().ok()?;
        httpdate::parse_http_date(text).ok()
    };
    let since = time(request, &IF_MODIFIED_SINCE);
    let modified = time(answer, &LAST_MODIFIED);
    since
        .zip(modified)
        .is_some_and(|(since, modified)| modified <= since)
}

fn told(onward: &Onward, response: Response<Body>, from: Whence) -> Response<Body> {
    told_with(onward, response, from, None)
}

/// Says where the answer came from, after what caches before said.
fn told_with(
    onward: &Onward,
    mut response: Response<Body>,
    from: Whence,
    left: Option<Duration>,
) -> Response<Body> {
    let ttl = left.map_or(0, |left| left.as_secs());
    let (status, word) = match from {
        Whence::Hit { was_awaited: false } => (format!("taraf; hit; ttl={ttl}"), "HIT"),
        Whence::Hit { was_awaited: true } => (format!("taraf; hit; ttl={ttl}; collapsed"), "HIT"),
        Whence::Stale => ("taraf; hit; ttl=0".to_owned(), "STALE"),
        Whence::InsteadOfError => (
            "taraf; hit; ttl=0; detail=stale-if-error".to_owned(),
            "STALE",
        ),
        Whence::Revalidated => (
            "taraf; fwd=stale; fwd-status=304; stored".to_owned(),
            "REVALIDATED",
        ),
        Whence::Miss { is_kept: true } => ("taraf; fwd=uri-miss; stored".to_owned(), "MISS"),
        Whence::Miss { is_kept: false } => ("taraf; fwd=uri-miss".to_owned(), "MISS"),
        Whence::Bypass(why) => (format!("taraf; fwd={why}"), "BYPASS"),
    };
    onward.gateway.metrics.cached(&onward.entry.route.id, word);
    let headers = response.headers_mut();
    if let Ok(status) = HeaderValue::try_from(status) {
        headers.append(CACHE_STATUS, status);
    }
    headers.insert(X_CACHE, HeaderValue::from_static(word));
    response
}
