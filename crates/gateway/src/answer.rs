//! What the gateway itself answers: JSON, problems in the form that was asked for, plan headers.

use std::time::Duration;

use bytes::Bytes;
use http::header::{
    ACCEPT, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER,
};
use http::{HeaderMap, Response, StatusCode};
use taraf_service::{Body, BoxError, Problem, body, problem};

use crate::usage::{OverPlan, Standing};

const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
const X_LIMIT: HeaderName = HeaderName::from_static("x-ratelimit-limit");
const X_REMAINING: HeaderName = HeaderName::from_static("x-ratelimit-remaining");
const X_RESET: HeaderName = HeaderName::from_static("x-ratelimit-reset");
static STANDING: [HeaderName; 5] = [RATE_LIMIT, RATE_LIMIT_POLICY, X_LIMIT, X_REMAINING, X_RESET];
/// Enough for the longest of their values in most cases.
const STANDING_BYTES: usize = 96;
/// The largest problem of a service that is put into the other form.
const PROBLEM_BYTES_MAX: usize = 64 << 10;
const DAYS_PER_MONTH_POLICY: u64 = 30;
const SECONDS_PER_DAY: u64 = 86_400;

/// JSON that no cache may keep.
pub(crate) fn json(status: StatusCode, json: impl Into<Bytes>) -> Response<Body> {
    let mut response = Response::new(body::full(json.into()));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// The form in which a caller reads errors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ErrorForm {
    /// RFC 9457.
    Problem,
    /// `{"error":{"code","title","description"}}`, for the older clients under `/api/`.
    Error,
}

impl ErrorForm {
    pub(crate) fn of(path: &str, headers: &HeaderMap) -> Self {
        let accept = headers.get_all(ACCEPT).iter();
        Self::of_values(path, accept.filter_map(|value| value.to_str().ok()))
    }

    /// The same of the values of `Accept`.
    pub(crate) fn of_values<'h>(path: &str, mut accept: impl Iterator<Item = &'h str>) -> Self {
        if has_error_form(path) && !accept.any(|value| holds(value, problem::MEDIA_TYPE)) {
            Self::Error
        } else {
            Self::Problem
        }
    }

    pub(crate) fn response(self, problem: &Problem) -> Response<Body> {
        match self {
            Self::Problem => problem.response(),
            Self::Error => problem.error_form_response(),
        }
    }

    /// Puts a service's own problem into this form.
    pub(crate) async fn translated(self, response: Response<Body>) -> Response<Body> {
        if self == Self::Problem || !is_problem(&response) {
            return response;
        }
        Box::pin(self.translate(response)).await
    }

    async fn translate(self, response: Response<Body>) -> Response<Body> {
        let (mut parts, body) = response.into_parts();
        let bytes = body::collect(body, PROBLEM_BYTES_MAX).await;
        let read = bytes
            .map_err(BoxError::from)
            .map(|bytes| Problem::from_bytes(&bytes));
        let Ok(Some(problem)) = read else {
            let broken =
                problem::UPSTREAM_BROKEN.with_detail("the service's problem cannot be read");
            return self.response(&broken);
        };
        let (form, body) = self.response(&problem).into_parts();
        parts.headers.remove(CONTENT_LENGTH);
        parts.headers.extend(form.headers);
        Response::from_parts(parts, body)
    }
}

/// Whether the older form is spoken there.
pub(crate) fn has_error_form(path: &str) -> bool {
    path.starts_with("/api/")
}

fn is_problem(response: &Response<Body>) -> bool {
    let media_type = response.headers().get(CONTENT_TYPE);
    let media_type = media_type.and_then(|value| value.to_str().ok());
    let is_error = response.status().is_client_error() || response.status().is_server_error();
    is_error && media_type.is_some_and(|value| value.starts_with(problem::MEDIA_TYPE))
}

/// Whether a text holds another in any case, looked for without a copy.
fn holds(text: &str, wanted: &str) -> bool {
    let mut windows = text.as_bytes().windows(wanted.len());
    windows.any(|window| window.eq_ignore_ascii_case(wanted.as_bytes()))
}

/// The refusal of a call that its plan does not allow, with the time to try again.
pub(crate) fn over_plan(over: &OverPlan, standing: &Standing) -> Problem {
    let (problem, wait) = match over {
        OverPlan::Rate { wait } => (
            problem::RATE_LIMITED.with_detail(format!(
                "the plan allows {} calls a second, {} at once",
                standing.plan.rate_per_second, standing.plan.burst
            )),
            *wait,
        ),
        OverPlan::Quota => (
            problem::QUOTA_EXCEEDED.with_detail(format!(
                "the plan's {} calls of this month are used up; the next month begins {}",
                standing.plan.quota_per_month.unwrap_or_default(),
                standing.reset
            )),
            standing.reset_in,
        ),
    };
    retry_after(problem, wait)
}

/// Says when to try again, in whole seconds, at least one.
pub(crate) fn retry_after(problem: Problem, wait: Duration) -> Problem {
    let seconds = whole_seconds(wait).max(1);
    problem.with_header(RETRY_AFTER, HeaderValue::from(seconds))
}

/// How the caller stands: `RateLimit` and `RateLimit-Policy` (draft-ietf-httpapi-ratelimit-headers-10)
/// and the older `X-RateLimit-*`, which tell the quota, or the rate of a plan without one.
pub(crate) fn add_standing(headers: &mut HeaderMap, standing: &Standing) {
    tell_standing(standing, |name, value| {
        let value = HeaderValue::from_bytes(value);
        let value = value.expect("digits, letters and quotes fit a header");
        headers.insert(name, value);
    });
}

/// Whether a header of this name tells it.
pub(crate) fn tells_standing(name: &str) -> bool {
    STANDING
        .iter()
        .any(|known| known.as_str().eq_ignore_ascii_case(name))
}

/// Hands the headers over that tell it, one after another.
pub(crate) fn tell_standing(standing: &Standing, mut tell: impl FnMut(&HeaderName, &[u8])) {
    let rate = standing.plan.rate();
    let burst_window = whole_seconds(rate.window()).max(1);
    let reset_in = whole_seconds(standing.reset_in);
    // Put together without the machinery of formatting, one text after another in one place: each
    // answer has five.
    let mut text = Vec::with_capacity(STANDING_BYTES);
    let month = standing.plan.quota_per_month.zip(standing.remaining);
    if let Some((quota, _)) = month {
        let window = DAYS_PER_MONTH_POLICY * SECONDS_PER_DAY;
        add(&mut text, "\"month\";q=", quota);
        add(&mut text, ";w=", window);
        text.extend_from_slice(b", ");
    }
    add(&mut text, "\"burst\";q=", rate.burst().into());
    add(&mut text, ";w=", burst_window);
    tell(&RATE_LIMIT_POLICY, &text);
    text.clear();
    if let Some((_, remaining)) = month {
        add(&mut text, "\"month\";r=", remaining);
        add(&mut text, ";t=", reset_in);
        text.extend_from_slice(b", ");
    }
    add(&mut text, "\"burst\";r=", standing.burst_left.into());
    add(&mut text, ";t=", burst_window);
    tell(&RATE_LIMIT, &text);
    let (limit, left, reset) = match month {
        Some((quota, remaining)) => (quota, remaining, standing.reset.as_millis() / 1_000),
        None => {
            let now_ms = standing.reset.as_millis()
                - i64::try_from(standing.reset_in.as_millis()).unwrap_or(0);
            let at = now_ms / 1_000 + i64::try_from(burst_window).unwrap_or(0);
            (rate.burst().into(), standing.burst_left.into(), at)
        }
    };
    let reset = u64::try_from(reset).unwrap_or(0);
    for (name, number) in [(&X_LIMIT, limit), (&X_REMAINING, left), (&X_RESET, reset)] {
        text.clear();
        write_number(&mut text, number);
        tell(name, &text);
    }
}

fn add(text: &mut Vec<u8>, words: &str, number: u64) {
    text.extend_from_slice(words.as_bytes());
    write_number(text, number);
}

/// A number in decimal digits.
pub(crate) fn write_number(text: &mut Vec<u8>, number: u64) {
    let mut digits = [0; 20];
    let mut first = digits.len();
    let mut rest = number;
    while rest > 0 || first == digits.len() {
        first -= 1;
        digits[first] = b'0' + u8::try_from(rest % 10).unwrap_or(0);
        rest /= 10;
    }
    text.extend_from_slice(&digits[first..]);
}

fn whole_seconds(duration: Duration) -> u64 {
    duration
        .as_millis()
        .div_ceil(1_000)
        .try_into()
        .unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_whole() {
        for number in [0, 7, 10, 1_234_567, u64::MAX] {
            let mut text = Vec::new();
            add(&mut text, "q=", number);
            add(&mut text, ";w=", 1);
            assert_eq!(text, format!("q={number};w=1").as_bytes());
        }
    }

    #[test]
    fn errors_under_api_have_the_older_form_unless_problems_are_asked_for() {
        let check = |path: &str, accept: &'static str, expected: ErrorForm| {
            let headers = HeaderMap::from_iter([(ACCEPT, HeaderValue::from_static(accept))]);
            assert_eq!(ErrorForm::of(path, &headers), expected, "{path} {accept}");
        };
        check("/api/x", "*/*", ErrorForm::Error);
        check("/api/x", "application/problem+json", ErrorForm::Problem);
        check(
            "/api/x",
            "text/html, Application/Problem+JSON;q=0.9",
            ErrorForm::Problem,
        );
        check("/runs/x", "*/*", ErrorForm::Problem);
    }

    #[tokio::test]
    async fn a_services_problem_is_put_into_the_form_asked_for() {
        let original = problem::NOT_FOUND.with_detail("no company 1").response();
        let response = ErrorForm::Error.translated(original).await;
        assert_eq!(response.status(), 404);
        assert_eq!(response.headers()[CONTENT_TYPE], "application/json");
        let bytes = body::collect(response.into_body(), 1_000).await.unwrap();
        let json: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
        assert_eq!(json["error"]["description"], "no company 1");
    }
}
