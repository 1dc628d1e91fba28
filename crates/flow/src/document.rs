//! [pure] A definition as the engine walks it: identity, shared parts, task lists and the index of tasks.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use crate::auth::Authentication;
use crate::data::Data;
use crate::duration::TimeSpan;
use crate::expression::Expression;
use crate::finding::Finding;
use crate::resource::Resource;
use crate::retry;
use crate::schema::Schema;
use crate::tasks::{self, Kind};
use crate::template::Template;

/// A checked definition. Immutable; cheap to share.
#[derive(Debug)]
pub struct Definition {
    /// Who it is.
    pub document: Document,
    /// What its tasks share.
    pub use_: Use,
    /// What is asked of the run's input, and how it is shaped.
    pub input: Input,
    /// How the run's output is shaped, and what is asked of it.
    pub output: Output,
    /// How long a run may take.
    pub timeout: Option<TimeSpan>,
    /// The tasks, in order.
    pub tasks: Arc<TaskList>,
    /// When runs start by themselves.
    pub schedule: Option<Schedule>,
    /// The text that was read.
    pub source: Arc<str>,
    /// SHA-256 in hexadecimal: of the text, and of the documents elsewhere when it needs some.
    pub hash: String,
    /// Documents that it needs and that lie elsewhere.
    pub resources: Vec<Resource>,
    /// The definition as JSON: `$workflow.definition`.
    pub json: Data,
    pub(crate) index: HashMap<Arc<str>, Arc<Task>>,
    pub(crate) unsupported: Vec<Finding>,
}

/// Who a definition is and what language it is written in.
#[derive(Clone, Debug)]
pub struct Document {
    /// The language version.
    pub dsl: String,
    /// Where the name is unique.
    pub namespace: String,
    /// The name.
    pub name: String,
    /// The version, a semantic one.
    pub version: String,
    /// A title for people.
    pub title: Option<String>,
    /// A description in Markdown.
    pub summary: Option<String>,
    /// Free words about it.
    pub tags: Data,
    /// Free settings; ours lie under `taraf`.
    pub metadata: Data,
}

/// What tasks refer to by name.
#[derive(Debug, Default)]
pub struct Use {
    /// Authentication policies.
    pub authentications: HashMap<String, Arc<Authentication>>,
    /// Errors that `raise` names.
    pub errors: HashMap<String, Arc<tasks::RaisedError>>,
    /// Functions: one task each, called by name.
    pub functions: HashMap<String, Arc<Task>>,
    /// Retry policies.
    pub retries: HashMap<String, Arc<retry::Policy>>,
    /// Timeouts.
    pub timeouts: HashMap<String, TimeSpan>,
    /// Names of the secrets that the definition may read.
    pub secrets: Vec<String>,
    /// Catalogs: where each one lies.
    pub catalogs: HashMap<String, crate::uri::Endpoint>,
    /// What is done around tasks, in order.
    pub extensions: Vec<Extension>,
}

/// Tasks done before and after the tasks of a kind.
#[derive(Debug)]
pub struct Extension {
    /// Its name.
    pub name: String,
    /// The kind that it extends, `composite`, or `all`.
    pub extend: String,
    /// When it applies; absent: always.
    pub when: Option<Expression>,
    /// Done before.
    pub before: Option<Arc<TaskList>>,
    /// Done after.
    pub after: Option<Arc<TaskList>>,
}

/// What enters: `schema` and `from`.
#[derive(Debug, Default)]
pub struct Input {
    /// What the raw input must satisfy.
    pub schema: Option<Schema>,
    /// How the raw input is shaped.
    pub from: Option<Template>,
}

/// What leaves, or is exported: `as` and `schema`.
#[derive(Debug, Default)]
pub struct Output {
    /// How the raw output is shaped.
    pub as_: Option<Template>,
    /// What the shaped output must satisfy.
    pub schema: Option<Schema>,
}

/// When runs start by themselves.
#[derive(Debug)]
pub enum Schedule {
    /// At a fixed rate.
    Every(TimeSpan),
    /// By a calendar, in cron's notation.
    Cron(String),
    /// That long after the run before ended.
    After(TimeSpan),
    /// On events.
    On(tasks::Strategy),
}

/// Where to go after a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Directive {
    /// The next task of the list, or the list's end.
    Continue,
    /// Out of the innermost list.
    Exit,
    /// The run is completed.
    End,
    /// The task with that index in the same list.
    Goto(usize),
}

/// Tasks in order, found by index or name.
#[derive(Debug, Default)]
pub struct TaskList {
    pub(crate) tasks: Vec<Arc<Task>>,
    pub(crate) names: HashMap<String, usize>,
    /// JSON Pointer of the list: `/do`, `/do/0/x/try`.
    pub reference: Arc<str>,
}

impl TaskList {
    /// The task at that place.
    #[must_use]
    pub fn get(&self, index: usize) -> Option<&Arc<Task>> {
        self.tasks.get(index)
    }

    /// The place of the task of that name.
    #[must_use]
    pub fn index_of(&self, name: &str) -> Option<usize> {
        self.names.get(name).copied()
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.tasks.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.tasks.is_empty()
    }

    /// The tasks in order.
    pub fn iter(&self) -> std::slice::Iter<'_, Arc<Task>> {
        self.tasks.iter()
    }
}

/// One task: what every kind has, and what its own has.
#[derive(Debug)]
pub struct Task {
    /// Its name in its list.
    pub name: Arc<str>,
    /// JSON Pointer into the definition: `/do/0/fetch`. It is also `$task.reference`.
    pub reference: Arc<str>,
    /// Whether it runs at all.
    pub condition: Option<Expression>,
    /// What enters.
    pub input: Input,
    /// What leaves.
    pub output: Output,
    /// What the context becomes.
    pub export: Output,
    /// How long it may take.
    pub timeout: Option<TimeSpan>,
    /// Where to go afterwards.
    pub then: Directive,
    /// Free data.
    pub metadata: Data,
    /// What it does.
    pub kind: Kind,
    /// Line and column of its name, from 1.
    pub position: (u32, u32),
    /// The task as JSON: `$task.definition`.
    pub json: Data,
}

impl Definition {
    /// The task at that JSON Pointer.
    #[must_use]
    pub fn task(&self, reference: &str) -> Option<&Arc<Task>> {
        self.index.get(reference)
    }

    /// Whether runs survive a crash: `metadata.taraf.durable`, by default true.
    #[must_use]
    pub fn is_durable(&self) -> bool {
        self.document
            .metadata
            .get("taraf")
            .and_then(|ours| ours.get("durable"))
            .and_then(|durable| durable.as_bool())
            .unwrap_or(true)
    }

    /// How long finished runs are kept: `metadata.taraf.retention`, such as `30d`; none when the
    /// flow does not say. The check refuses what is no duration.
    #[must_use]
    pub fn retention(&self) -> Option<Duration> {
        let ours = self.document.metadata.get("taraf")?;
        let text = ours.get("retention")?.as_str()?;
        taraf_base::duration::parse(&text).ok()
    }

    /// What an engine that runs `do`, `set`, `call: http`, `switch`, `for`, `fork`, `try`, `raise` and
    /// `wait` cannot run, as findings of code `T0600`.
    #[must_use]
    pub fn unsupported(&self) -> Vec<Finding> {
        crate::check::unsupported(self)
    }
}
