//! [pure] How old an answer is, how long it is fresh, and whether it may be used (RFC 9111 §4.2).

use std::time::{Duration, UNIX_EPOCH};

use http::header::{AGE, DATE, ETAG, EXPIRES, LAST_MODIFIED, SET_COOKIE, VARY};
use http::{HeaderMap, StatusCode};
use taraf_base::Timestamp;

use super::{Directives, Plan};

/// How long an answer can be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Freshness {
    /// For how long it is fresh, from its making at the service.
    pub(crate) lifetime: Duration,
    /// How old it was when it came.
    pub(crate) initial_age: Duration,
    /// How long after its lifetime it may be used while it is asked for anew.
    while_revalidating: Duration,
    /// How long after its lifetime it may be used when the service fails.
    if_error: Duration,
    /// It may never be used stale, whoever asks.
    must_revalidate: bool,
    /// It may never be used without asking.
    always_revalidate: bool,
    /// Whether it is for all callers, those with credentials too (RFC 9111 §3.5).
    pub(crate) is_public: bool,
}

/// An answer as it came.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Received<'a> {
    pub(crate) status: StatusCode,
    pub(crate) headers: &'a HeaderMap,
    /// From the request to the head of the answer.
    pub(crate) delay: Duration,
    /// The time at which it came.
    pub(crate) now: Timestamp,
}

/// What may be done with a kept answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It is the answer.
    Fresh,
    /// It is the answer, and is to be asked for anew beside the call.
    Stale,
    /// It must be asked for anew first. With `if_error` it is still the answer when that fails.
    Revalidate {
        /// The service's failure may be hidden.
        if_error: bool,
    },
}

impl Freshness {
    /// How long an answer can be used; nothing for one that must not be kept. `request` is what the
    /// caller's request said.
    pub(crate) fn of(answer: &Received<'_>, request: &Directives, plan: &Plan) -> Option<Self> {
        let Received {
            status, headers, ..
        } = *answer;
        let said = Directives::read(headers);
        let flags = said.flags;
        // A cookie is for one caller, whatever else is said.
        let is_refused = request.flags.no_store
            || flags.no_store
            || flags.is_private
            || !status.is_success()
                && !status.is_redirection()
                && !status.is_client_error()
                && status != StatusCode::NOT_IMPLEMENTED
            || matches!(
                status,
                StatusCode::PARTIAL_CONTENT | StatusCode::NOT_MODIFIED
            )
            || headers.contains_key(SET_COOKIE)
            || headers
                .get_all(VARY)
                .iter()
                .any(|value| value.as_bytes().contains(&b'*'));
        if is_refused {
            return None;
        }
        let date = time(headers, DATE.as_str());
        let lifetime = said
            .s_maxage
            .or(said.max_age)
            .or_else(|| expires(answer, date));
        let lifetime = lifetime.or_else(|| plan.ttl.filter(|_| is_cacheable_by_default(status)));
        let can_be_asked_for = headers.contains_key(ETAG) || headers.contains_key(LAST_MODIFIED);
        let is_useless = lifetime.unwrap_or_default().is_zero() || flags.no_cache;
        if lifetime.is_none() && !flags.no_cache || is_useless && !can_be_asked_for {
            return None;
        }
        Some(Self {
            lifetime: lifetime.unwrap_or_default(),
            initial_age: initial_age(answer, date),
            while_revalidating: said
                .stale_while_revalidate
                .unwrap_or(plan.while_revalidating),
            if_error: said.stale_if_error.unwrap_or(plan.if_error),
            must_revalidate: flags.must_revalidate,
            always_revalidate: flags.no_cache,
            is_public: flags.is_public,
        })
    }

    /// How old it is, `resident` after it came.
    pub(crate) fn age(&self, resident: Duration) -> Duration {
        self.initial_age.saturating_add(resident)
    }

    /// How long it is still fresh.
    pub(crate) fn left(&self, resident: Duration) -> Duration {
        self.lifetime.saturating_sub(self.age(resident))
    }

    /// Whether it may be the answer to a request that says `request`, `resident` after it came.
    pub(crate) fn verdict(&self, resident: Duration, request: &Directives) -> Verdict {
        let age = self.age(resident);
        let stale_for = age.saturating_sub(self.lifetime);
        let is_fresh = age < self.lifetime;
        let if_error = !self.must_revalidate
            && !self.always_revalidate
            && (is_fresh || stale_for < self.if_error);
        let must_ask = self.always_revalidate
            || request.flags.no_cache
            || request.max_age.is_some_and(|most| age > most)
            || request
                .min_fresh
                .is_some_and(|least| self.left(resident) < least);
        if must_ask {
            return Verdict::Revalidate { if_error };
        }
        if is_fresh {
            return Verdict::Fresh;
        }
        let may_be_stale = !self.must_revalidate;
        if may_be_stale && request.max_stale.is_some_and(|most| stale_for <= most) {
            return Verdict::Fresh;
        }
        if may_be_stale && stale_for < self.while_revalidating {
            return Verdict::Stale;
        }
        Verdict::Revalidate { if_error }
    }
}

/// RFC 9111 §4.2.3, up to the time at which the answer came.
fn initial_age(answer: &Received<'_>, date: Option<Timestamp>) -> Duration {
    let apparent = date.map(|date| answer.now.since(date)).unwrap_or_default();
    let told = answer.headers.get(AGE).and_then(|age| age.to_str().ok());
    let told = told.and_then(|age| age.split(',').next()?.trim().parse::<u32>().ok());
    let corrected = Duration::from_secs(told.unwrap_or(0).into()).saturating_add(answer.delay);
    apparent.max(corrected)
}

/// The lifetime that `Expires` gives; what cannot be read is expired (RFC 9111 §5.3).
fn expires(answer: &Received<'_>, date: Option<Timestamp>) -> Option<Duration> {
    answer.headers.get(EXPIRES)?;
    let expires = time(answer.headers, EXPIRES.as_str());
    let from = date.unwrap_or(answer.now);
    let lifetime = expires.map(|expires| expires.since(from));
    Some(lifetime.unwrap_or_default())
}

/// Before 1970 nothing was answered: such a date is none.
fn time(headers: &HeaderMap, name: &str) -> Option<Timestamp> {
    let text = headers.get(name)?.to_str().ok()?;
    let since = httpdate::parse_http_date(text)
        .ok()?
        .duration_since(UNIX_EPOCH)
        .ok()?;
    Some(Timestamp::from_millis(
        i64::try_from(since.as_millis()).ok()?,
    ))
}

/// RFC 9110 §15.1, but for partial content.
fn is_cacheable_by_default(status: StatusCode) -> bool {
    matches!(
        status.as_u16(),
        200 | 203 | 204 | 300 | 301 | 308 | 404 | 405 | 410 | 414 | 501
    )
}

#[cfg(test)]
mod tests;
