//! [pure] The variables of one evaluation.

use std::sync::Arc;

use jaq_json::Val;
use taraf_base::Timestamp;

use crate::data::Data;

/// The variables of one evaluation, and its time. What is absent is `null`.
#[derive(Clone, Debug, Default)]
pub struct Scope {
    /// `$context`
    pub context: Option<Data>,
    /// `$input`
    pub input: Option<Data>,
    /// `$output`
    pub output: Option<Data>,
    /// `$secrets`
    pub secrets: Option<Data>,
    /// `$authorization`
    pub authorization: Option<Data>,
    /// `$task`
    pub task: Option<Data>,
    /// `$workflow`
    pub workflow: Option<Data>,
    /// `$runtime`
    pub runtime: Option<Data>,
    /// Loop variables and errors, without `$`; a later one hides an earlier one of the same name.
    pub locals: Vec<(Arc<str>, Data)>,
    /// What `now` says.
    pub now: Timestamp,
}

impl Scope {
    /// The value of a variable given with `$`.
    pub(crate) fn variable(&self, name: &str) -> Option<Val> {
        let name = name.strip_prefix('$').unwrap_or(name);
        let local = self.locals.iter().rev().find(|(local, _)| &**local == name);
        let data = match local {
            Some((_, data)) => Some(data),
            None => match name {
                "context" => self.context.as_ref(),
                "input" => self.input.as_ref(),
                "output" => self.output.as_ref(),
                "secrets" => self.secrets.as_ref(),
                "authorization" => self.authorization.as_ref(),
                "task" => self.task.as_ref(),
                "workflow" => self.workflow.as_ref(),
                "runtime" => self.runtime.as_ref(),
                _ => None,
            },
        };
        data.map(|data| data.value().clone())
    }

    /// The time in seconds since 1970.
    pub(crate) fn seconds(&self) -> f64 {
        // Milliseconds of any year that a clock shows fit in the 53 bits of a float.
        let millis = i32::try_from(self.now.as_millis().rem_euclid(1_000)).unwrap_or(0);
        let seconds = self.now.as_millis().div_euclid(1_000);
        let high = i32::try_from(seconds.div_euclid(1 << 30)).unwrap_or(i32::MAX);
        let low = i32::try_from(seconds.rem_euclid(1 << 30)).unwrap_or(0);
        f64::from(high) * f64::from(1 << 30) + f64::from(low) + f64::from(millis) / 1_000.0
    }
}
