//! [pure] `try`: a list whose errors are caught, retried or handled.

use std::sync::Arc;

use crate::document::{Directive, TaskList};
use crate::error::ErrorFilter;
use crate::expression::Expression;
use crate::retry;

/// A list and what is done about its errors.
#[derive(Debug)]
pub struct Try {
    /// What is tried.
    pub tasks: Arc<TaskList>,
    /// What is done about errors.
    pub catch: Catch,
}

/// Which errors are caught, and what follows.
#[derive(Debug)]
pub struct Catch {
    /// The errors that match; absent: all.
    pub errors: Option<ErrorFilter>,
    /// Name of the error's variable, without `$`.
    pub as_: Arc<str>,
    /// Caught only if true.
    pub when: Option<Expression>,
    /// Not caught if true.
    pub except_when: Option<Expression>,
    /// How to try again.
    pub retry: Option<Arc<retry::Policy>>,
    /// What is run when no retry is left.
    pub tasks: Option<Arc<TaskList>>,
    /// Where to go after an error was caught; absent: the task's own `then`.
    pub then: Option<Directive>,
}
