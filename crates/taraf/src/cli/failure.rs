//! Why a command did not do what it was asked, and the exit code that says so.

use std::fmt;
use std::process::ExitCode;

use serde_json::{Value, json};

/// How a command ended: the exit codes of the whole command line (`flow try` has the meanings of
/// its own beside).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    Done,
    /// The asked thing failed: the run failed, a check found problems.
    Failed,
    Usage,
    /// Not found; of `flow try`: the run was cancelled.
    NotFound,
    NotAllowed,
    Conflict,
    CannotReach,
    TimedOut,
    Interrupted,
}

impl Exit {
    pub(crate) fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Failed => 1,
            Self::Usage => 2,
            Self::NotFound => 3,
            Self::NotAllowed => 4,
            Self::Conflict => 5,
            Self::CannotReach => 6,
            Self::TimedOut => 7,
            Self::Interrupted => 130,
        }
    }

    /// The exit code that fits the status of an HTTP answer.
    pub(crate) fn of_status(status: u16) -> Self {
        match status {
            401 | 403 => Self::NotAllowed,
            404 | 410 => Self::NotFound,
            409 | 412 | 428 => Self::Conflict,
            408 | 504 => Self::TimedOut,
            _ => Self::Failed,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

/// What is told about a command that failed: one line, then what helps.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) exit: Exit,
    told: Box<Told>,
}

#[derive(Debug, Default)]
struct Told {
    /// A stable code, such as `quota_exceeded`, where the server gave one.
    code: Option<String>,
    message: String,
    details: Vec<String>,
    help: Option<String>,
    /// The problem document of the server.
    problem: Option<Value>,
}

impl Failure {
    pub(crate) fn new(exit: Exit, message: impl Into<String>) -> Self {
        let told = Told {
            message: message.into(),
            ..Told::default()
        };
        Self {
            exit,
            told: Box::new(told),
        }
    }

    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::new(Exit::Usage, message)
    }

    pub(crate) fn not_found(message: impl Into<String>) -> Self {
        Self::new(Exit::NotFound, message)
    }

    /// A failure that needs no words: whoever read our output has gone, or it was said already.
    pub(crate) fn silent(exit: Exit) -> Self {
        Self::new(exit, "")
    }

    /// The answer of a server that is not a success.
    pub(crate) fn of_answer(status: u16, body: Option<Value>) -> Self {
        let member = |name: &str| {
            let value = body.as_ref()?.get(name)?.as_str()?;
            Some(value.to_owned())
        };
        let message = match (member("title"), member("detail")) {
            (Some(title), Some(detail)) => format!("{title}: {detail}"),
            (Some(one), None) | (None, Some(one)) => one,
            (None, None) => format!("the server answered {status}"),
        };
        let told = Told {
            code: member("code"),
            message,
            details: body.as_ref().map(findings_of).unwrap_or_default(),
            help: None,
            problem: body,
        };
        Self {
            exit: Exit::of_status(status),
            told: Box::new(told),
        }
    }

    pub(crate) fn with_help(mut self, help: impl Into<String>) -> Self {
        self.told.help = Some(help.into());
        self
    }

    /// The failure as a problem document, for `--format json`.
    pub(crate) fn to_json(&self) -> Value {
        let told = &self.told;
        if let Some(problem) = &told.problem
            && problem.is_object()
        {
            return problem.clone();
        }
        let mut problem = json!({ "title": told.message, "exit": self.exit.code() });
        if let Some(help) = &told.help {
            problem["help"] = json!(help);
        }
        problem
    }

    pub(crate) fn is_silent(&self) -> bool {
        self.told.message.is_empty()
    }
}

/// The findings that a server put into its problem, one a line.
fn findings_of(problem: &Value) -> Vec<String> {
    let list = ["findings", "errors"]
        .iter()
        .find_map(|name| problem.get(name)?.as_array());
    let line = |finding: &Value| {
        let text = |name: &str| finding.get(name).and_then(Value::as_str).unwrap_or("");
        match (finding.get("line"), finding.get("column")) {
            (Some(line), Some(column)) => {
                format!(
                    "{line}:{column}: {}[{}]: {}",
                    text("severity"),
                    text("code"),
                    text("message")
                )
            }
            _ => finding
                .as_str()
                .map_or_else(|| finding.to_string(), str::to_owned),
        }
    };
    list.map(|list| list.iter().map(line).collect())
        .unwrap_or_default()
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let told = &self.told;
        match &told.code {
            Some(code) => write!(f, "error[{code}]: {}", told.message)?,
            None => write!(f, "error: {}", told.message)?,
        }
        for detail in &told.details {
            write!(f, "\n  {detail}")?;
        }
        if let Some(help) = &told.help {
            write!(f, "\n  help: {help}")?;
        }
        Ok(())
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self::new(Exit::Failed, format!("{error:#}"))
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        if error.kind() == std::io::ErrorKind::BrokenPipe {
            return Self::silent(Exit::Done);
        }
        Self::new(Exit::Failed, format!("failed to write the output: {error}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_of_answers_become_exit_codes() {
        let check = |status, code| assert_eq!(Exit::of_status(status).code(), code, "{status}");
        check(400, 1);
        check(401, 4);
        check(403, 4);
        check(404, 3);
        check(409, 5);
        check(504, 7);
        check(500, 1);
    }

    #[test]
    fn a_problem_of_the_server_is_told_in_its_own_words() {
        let problem = json!({
            "title": "Flow is not sound", "detail": "1 finding", "code": "flow_invalid",
            "findings": [{"line": 3, "column": 5, "severity": "error", "code": "T0312",
                          "message": "task `notfy` does not exist"}],
        });
        let failure = Failure::of_answer(422, Some(problem.clone()));
        assert_eq!(
            failure.to_string(),
            "error[flow_invalid]: Flow is not sound: 1 finding\n  \
             3:5: error[T0312]: task `notfy` does not exist"
        );
        assert_eq!(failure.to_json(), problem);
    }

    #[test]
    fn a_reader_that_went_away_is_no_failure() {
        let failure = Failure::from(std::io::Error::from(std::io::ErrorKind::BrokenPipe));
        assert!(failure.is_silent());
        assert_eq!(failure.exit, Exit::Done);
    }
}
