//! [pure] Phases of runs and tasks, and the lifecycle CloudEvents that tell of them.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use taraf_base::Timestamp;

use crate::event::CloudEvent;

/// Where a run or a task stands, in the words of the specification.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// Not started.
    Pending,
    /// At work.
    Running,
    /// For time or an event.
    Waiting,
    /// Held by a person.
    Suspended,
    /// Ended by a person.
    Cancelled,
    /// Ended by an error.
    Faulted,
    /// Ended well.
    Completed,
}

impl Phase {
    /// Every phase, in the order of the specification.
    pub const ALL: [Self; 7] = [
        Self::Pending,
        Self::Running,
        Self::Waiting,
        Self::Suspended,
        Self::Cancelled,
        Self::Faulted,
        Self::Completed,
    ];

    /// The word of the specification.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Running => "running",
            Self::Waiting => "waiting",
            Self::Suspended => "suspended",
            Self::Cancelled => "cancelled",
            Self::Faulted => "faulted",
            Self::Completed => "completed",
        }
    }

    /// Whether nothing follows.
    #[must_use]
    pub const fn is_final(self) -> bool {
        matches!(self, Self::Cancelled | Self::Faulted | Self::Completed)
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Phase {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let known = Self::ALL.into_iter().find(|phase| phase.as_str() == text);
        known.ok_or_else(|| format!("`{text}` is not a phase of a run"))
    }
}

/// The largest output that a completed event carries beside its address.
pub const MAX_OUTPUT: usize = 16 * 1024;

/// What a lifecycle event tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum What {
    /// It was made (tasks only).
    Created,
    /// It began.
    Started,
    /// It was held.
    Suspended,
    /// It goes on.
    Resumed,
    /// It is tried again (tasks only).
    Retried,
    /// It was ended.
    Cancelled,
    /// It failed.
    Faulted,
    /// It is done.
    Completed,
    /// Its phase is another; `status` says which.
    StatusChanged,
}

impl What {
    /// The word in the event's type.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Started => "started",
            Self::Suspended => "suspended",
            Self::Resumed => "resumed",
            Self::Retried => "retried",
            Self::Cancelled => "cancelled",
            Self::Faulted => "faulted",
            Self::Completed => "completed",
            Self::StatusChanged => "status-changed",
        }
    }

    /// The member that says when.
    fn time(self) -> String {
        match self {
            Self::StatusChanged => "updatedAt".to_owned(),
            other => format!("{}At", other.name()),
        }
    }
}

/// A run's name in events: `{name}-{id}.{namespace}`.
#[must_use]
pub fn qualified_name(namespace: &str, name: &str, id: &str) -> String {
    format!("{name}-{id}.{namespace}")
}

/// Who an event is about.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    /// The run's qualified name.
    pub workflow: &'a str,
    /// The task's pointer; absent: the run itself.
    pub task: Option<&'a str>,
}

/// The lifecycle event of that instant; `members` are those beyond name and time, such as `error`.
#[must_use]
pub fn event(
    id: &str,
    source: &str,
    subject: Subject<'_>,
    what: What,
    at: Timestamp,
    members: Map<String, Value>,
) -> CloudEvent {
    let mut data = Map::new();
    let part = match subject.task {
        Some(task) => {
            data.insert("workflow".to_owned(), json!(subject.workflow));
            data.insert("task".to_owned(), json!(task));
            "task"
        }
        None => {
            data.insert("name".to_owned(), json!(subject.workflow));
            "workflow"
        }
    };
    data.insert(what.time(), json!(at.to_string()));
    data.extend(members);
    CloudEvent {
        id: id.to_owned(),
        specversion: "1.0".to_owned(),
        time: at.to_string(),
        source: source.to_owned(),
        type_: format!("io.serverlessworkflow.{part}.{}.v1", what.name()),
        subject: Some(subject.workflow.to_owned()),
        datacontenttype: Some("application/json".to_owned()),
        extensions: Map::new(),
        data: Some(Value::Object(data)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_tells_what_happened_to_whom() {
        let workflow = qualified_name("ns", "flow", "run_1");
        let subject = Subject {
            workflow: &workflow,
            task: Some("/do/0/a"),
        };
        let event = event(
            "7",
            "s",
            subject,
            What::Completed,
            Timestamp::EPOCH,
            Map::new(),
        );
        assert_eq!(event.type_, "io.serverlessworkflow.task.completed.v1");
        assert_eq!(event.subject.as_deref(), Some("flow-run_1.ns"));
        assert_eq!(
            event.data,
            Some(json!({
                "workflow": "flow-run_1.ns", "task": "/do/0/a",
                "completedAt": "1970-01-01T00:00:00.000Z"
            }))
        );
    }
}
