//! [pure] What the engine refuses, as problem documents.

use http::HeaderValue;
use http::header::RETRY_AFTER;
use serde_json::{Value, json};
use taraf_engine::Error;
use taraf_flow::{Finding, FlowError};
use taraf_gateway::AccountsError;
use taraf_gateway::registry::Refusal;
use taraf_service::{Problem, problem};

/// Overload and want of room pass or last; neither is over sooner for being asked about often.
const RETRY_AFTER_SECONDS: &str = "5";

/// The problem that tells a caller what the engine refused.
pub(crate) fn engine(error: &Error) -> Problem {
    let detail = detail(error);
    match error {
        Error::NoSuchFlow(_) => problem::NOT_FOUND.with_detail(detail),
        Error::NoSuchRun(_) => problem::RUN_NOT_FOUND.with_detail(detail),
        Error::Invalid(findings) | Error::Unsupported(findings) => problem::UNPROCESSABLE
            .with_detail(detail)
            .with("findings", self::findings(findings)),
        Error::Conflict(_) | Error::Changed { .. } | Error::NotPossible { .. } => {
            problem::CONFLICT.with_detail(detail)
        }
        Error::KeyConflict { existing } => problem::IDEMPOTENCY_CONFLICT
            .with_detail(detail)
            .with("run", existing.to_string()),
        Error::Refused { .. } => problem::BAD_REQUEST.with_detail(detail),
        Error::Overloaded(_) | Error::Partition(_) => problem::OVERLOADED
            .with_detail(detail)
            .with_header(RETRY_AFTER, HeaderValue::from_static(RETRY_AFTER_SECONDS)),
        Error::TooLarge { .. } => problem::PAYLOAD_TOO_LARGE.with_detail(detail),
        Error::SearchTooLong => problem::OVERLOADED.with_detail(detail),
        Error::Log(_) | Error::Archive(_) | Error::Journals(_) => {
            problem::INTERNAL.with_detail(detail)
        }
        Error::Payload { source, .. } => {
            problem::INTERNAL.with_detail(format!("{detail}: {source}"))
        }
    }
}

/// The engine's messages read well after "failed to".
fn detail(error: &Error) -> String {
    format!("failed to {error}")
}

/// The problem of a run that ended with an error: the flow's own error stands in `error`.
pub(crate) fn fault(error: &FlowError) -> Problem {
    let error = serde_json::to_value(error).unwrap_or_else(|_| json!({}));
    let status = error.get("status").and_then(Value::as_u64);
    let detail = ["detail", "title"]
        .iter()
        .find_map(|member| error.get(member)?.as_str().map(str::to_owned));
    let mut problem = problem::FLOW_FAULTED.new();
    problem.detail = detail;
    // A flow raises errors with statuses of its own; what is no error status is ours to answer for.
    let status = status.and_then(|status| u16::try_from(status).ok());
    if let Some(status) = status.filter(|status| (400..600).contains(status)) {
        problem.status = status;
    }
    problem.with("error", error)
}

/// Findings as a list, as `flow check` prints them.
pub(crate) fn findings(findings: &[Finding]) -> Value {
    findings
        .iter()
        .map(|finding| {
            json!({
                "code": finding.code,
                "severity": finding.severity.to_string(),
                "line": finding.line,
                "column": finding.column,
                "pointer": finding.pointer,
                "message": finding.message,
                "help": finding.help,
            })
        })
        .collect()
}

/// The problem that tells an operator what the accounts refused.
pub(crate) fn accounts(error: &AccountsError) -> Problem {
    use AccountsError as Error;
    let kind = match error {
        Error::Refused(Refusal::UnknownKey(_)) => problem::NOT_FOUND,
        Error::Refused(
            Refusal::KnownAccount(_)
            | Refusal::KnownEmail
            | Refusal::RevokedKey(_)
            | Refusal::KnownKey
            | Refusal::TooMany(_),
        ) => problem::CONFLICT,
        Error::Refused(Refusal::UnknownPlan(_) | Refusal::Text { .. } | Refusal::Plan)
        | Error::Email
        | Error::KeyForm => problem::VALIDATION_FAILED,
        Error::TooManyRegistrations { .. } => problem::RATE_LIMITED,
        Error::Log(_) | Error::Open(_) => problem::OVERLOADED,
    };
    kind.with_detail(error.to_string())
}
