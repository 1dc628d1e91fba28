//! [pure] `listen`: events that are awaited.

use std::sync::Arc;

use crate::document::{Output, TaskList};
use crate::expression::Expression;
use crate::template::Template;

/// Events that are awaited.
#[derive(Debug)]
pub struct Listen {
    /// Which events.
    pub to: Strategy,
    /// What is read of each one.
    pub read: Read,
    /// What is done with each one.
    pub foreach: Option<Foreach>,
}

/// What is read of an event.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Read {
    /// Its data.
    #[default]
    Data,
    /// All its attributes and its data.
    Envelope,
    /// Its data as they came.
    Raw,
}

/// Which events, and how many of them.
#[derive(Debug)]
pub enum Strategy {
    /// The first that matches.
    One(EventFilter),
    /// The first that matches any, or all until something.
    Any(Vec<EventFilter>, Option<Until>),
    /// One for each filter.
    All(Vec<EventFilter>),
}

/// When to stop collecting.
#[derive(Debug)]
pub enum Until {
    /// When the condition on what was collected is true.
    Condition(Expression),
    /// When another strategy is met.
    Strategy(Box<Strategy>),
}

/// Which events match.
#[derive(Debug)]
pub struct EventFilter {
    /// Attributes and what they must be.
    pub with: Vec<(Arc<str>, Template)>,
    /// Keys that must agree.
    pub correlate: Vec<Correlation>,
}

/// A key that must agree.
#[derive(Debug)]
pub struct Correlation {
    /// Its name.
    pub name: Arc<str>,
    /// Its value, of the event's envelope.
    pub from: Expression,
    /// What it must be; absent: what the first event says.
    pub expect: Option<Template>,
}

/// What is done with each event.
#[derive(Debug)]
pub struct Foreach {
    /// Name of the item's variable, without `$`.
    pub item: Arc<str>,
    /// Name of the index's variable, without `$`.
    pub at: Arc<str>,
    /// What is run.
    pub tasks: Option<Arc<TaskList>>,
    /// How the result is shaped.
    pub output: Output,
    /// What the context becomes.
    pub export: Output,
}
