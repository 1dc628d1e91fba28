//! What the gateway itself answers: JSON, problems in the form that was asked for, plan headers.

use std::time::Duration;

use bytes::Bytes;
use http::header::{
    ACCEPT, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER,
};
use http::{HeaderMap, Response, StatusCode};
use taraf_service::{Body, BoxError, Problem, body, problem};

use crate::forward;
use crate::usage::{OverPlan, Standing};

const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
const X_LIMIT: HeaderName = HeaderName::from_static("x-ratelimit-limit");
const X_REMAINING: HeaderName = HeaderName::from_static("x-ratelimit-remaining");
const X_RESET: HeaderName = HeaderName::from_static("x-ratelimit-reset");
static STANDING: [HeaderName; 5] = [RATE_LIMIT, RATE_LIMIT_POLICY, X_LIMIT, X_REMAINING, X_RESET];
/// Enough for them in most cases.
const STANDING_BYTES: usize = 320;
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
    let mut lines = Vec::with_capacity(STANDING_BYTES);
    write_standing(&mut lines, standing);
    forward::insert_lines(headers, &lines);
}

/// Whether a header of this name tells it.
pub(crate) fn tells_standing(name: &str) -> bool {
    STANDING
        .iter()
        .any(|known| known.as_str().eq_ignore_ascii_case(name))
}

/// Writes the headers that tell it, each a line of a head. Without the machinery of formatting: each
/// answer has five.
pub(crate) fn write_standing(out: &mut Vec<u8>, standing: &Standing) {
    let rate = standing.plan.rate();
    let burst_window = whole_seconds(rate.window()).max(1);
    let reset_in = whole_seconds(standing.reset_in);
    let month = standing.plan.quota_per_month.zip(standing.remaining);
    add(out, "ratelimit-policy: ");
    if let Some((quota, _)) = month {
        let window = DAYS_PER_MONTH_POLICY * SECONDS_PER_DAY;
        add_number(out, "\"month\";q=", quota);
        add_number(out, ";w=", window);
        add(out, ", ");
    }
    add_number(out, "\"burst\";q=", rate.burst().into());
    add_number(out, ";w=", burst_window);
    add(out, "\r\nratelimit: ");
    if let Some((_, remaining)) = month {
        add_number(out, "\"month\";r=", remaining);
        add_number(out, ";t=", reset_in);
        add(out, ", ");
    }
    add_number(out, "\"burst\";r=", standing.burst_left.into());
    add_number(out, ";t=", burst_window);
    let (limit, left, reset) = match month {
        Some((quota, remaining)) => (quota, remaining, standing.reset.as_millis() / 1_000),
        None => {
            let now_ms = standing.reset.as_millis()
                - i64::try_from(standing.reset_in.as_millis()).unwrap_or(0);
            let at = now_ms / 1_000 + i64::try_from(burst_window).unwrap_or(0);
            (rate.burst().into(), standing.burst_left.into(), at)
        }
    };
    add_number(out, "\r\nx-ratelimit-limit: ", limit);
    add_number(out, "\r\nx-ratelimit-remaining: ", left);
    add_number(
        out,
        "\r\nx-ratelimit-reset: ",
        u64::try_from(reset).unwrap_or(0),
    );
    add(out, "\r\n");
}

fn add(text: &mut Vec<u8>, words: &str) {
    text.extend_from_slice(words.as_bytes());
}

fn add_number(text: &mut Vec<u8>, words: &str, number: u64) {
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
            add_number(&mut text, "q=", number);
            add_number(&mut text, ";w=", 1);
            assert_eq!(text, format!("q={number};w=1").as_bytes());
        }
    }

    #[test]
    fn how_a_caller_stands_is_told_by_headers_that_are_known() {
        let plan = crate::quota::Plan {
            rate_per_second: 10,
            burst: 20,
            quota_per_month: Some(1_000),
        };
        let standing = Standing {
            plan,
            used: 1,
            remaining: Some(999),
            reset: taraf_base::Timestamp::from_millis(1_800_000_000_000),
            reset_in: Duration::from_millis(1_500),
            burst_left: 19,
        };
        let mut headers = HeaderMap::new();
        add_standing(&mut headers, &standing);
        assert_eq!(
            headers[RATE_LIMIT_POLICY],
            "\"month\";q=1000;w=2592000, \"burst\";q=20;w=2"
        );
        assert_eq!(
            headers[RATE_LIMIT],
            "\"month\";r=999;t=2, \"burst\";r=19;t=2"
        );
        assert_eq!(headers[X_LIMIT], "1000");
        assert_eq!(headers[X_REMAINING], "999");
        assert_eq!(headers[X_RESET], "1800000000");
        assert_eq!(headers.len(), STANDING.len());
        assert!(headers.keys().all(|name| tells_standing(name.as_str())));
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
