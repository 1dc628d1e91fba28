//! [pure] The kinds that steer: `do`, `set`, `switch`, `for`, `fork`, `raise`, `wait`.

use std::sync::Arc;

use super::{Call, Emit, Listen, Run, Try};
use crate::document::{Directive, TaskList};
use crate::duration::TimeSpan;
use crate::expression::Expression;
use crate::template::Template;

/// What a task does.
#[derive(Debug)]
pub enum Kind {
    /// Runs a list of tasks.
    Do(Arc<TaskList>),
    /// Replaces the data.
    Set(Template),
    /// Calls a service or a function.
    Call(Box<Call>),
    /// Chooses where to go.
    Switch(Vec<Case>),
    /// Runs a list once for each item.
    For(Box<For>),
    /// Runs branches at the same time.
    Fork(Fork),
    /// Runs a list and catches its errors.
    Try(Box<Try>),
    /// Raises an error.
    Raise(Arc<RaisedError>),
    /// Waits.
    Wait(TimeSpan),
    /// Waits for events.
    Listen(Box<Listen>),
    /// Sends an event.
    Emit(Box<Emit>),
    /// Runs a process or another flow.
    Run(Box<Run>),
}

impl Kind {
    /// The key that names the kind in a definition.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Do(_) => "do",
            Self::Set(_) => "set",
            Self::Call(_) => "call",
            Self::Switch(_) => "switch",
            Self::For(_) => "for",
            Self::Fork(_) => "fork",
            Self::Try(_) => "try",
            Self::Raise(_) => "raise",
            Self::Wait(_) => "wait",
            Self::Listen(_) => "listen",
            Self::Emit(_) => "emit",
            Self::Run(_) => "run",
        }
    }
}

/// One case of a `switch`.
#[derive(Debug)]
pub struct Case {
    /// Its name.
    pub name: Arc<str>,
    /// Its condition; absent: the default.
    pub when: Option<Expression>,
    /// Where it leads.
    pub then: Directive,
}

/// A loop over items.
#[derive(Debug)]
pub struct For {
    /// Name of the item's variable, without `$`.
    pub each: Arc<str>,
    /// Name of the index's variable, without `$`.
    pub at: Arc<str>,
    /// The items: evaluated with [`Template::eval_items`].
    pub in_: Template,
    /// Tested before each iteration.
    pub while_: Option<Expression>,
    /// What is run for each item.
    pub tasks: Arc<TaskList>,
}

/// Branches that run at the same time, one task each.
#[derive(Debug)]
pub struct Fork {
    /// The branches.
    pub branches: Arc<TaskList>,
    /// Whether the first to end wins.
    pub compete: bool,
}

/// The error of a `raise`: each member a data place.
#[derive(Debug)]
pub struct RaisedError {
    /// The members `type`, `status`, `title`, `detail`, `instance` as one template of an object.
    pub template: Template,
}
