//! [pure] Which events somebody wants: `member-join,user:deploy,query:load=…`, as streams and handlers name them.

use std::fmt;

use super::event::{Event, MemberChange};
use crate::wire::Name;

/// A kind of event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventKind {
    /// Any.
    All,
    /// Something happened to members.
    Members(MemberChange),
    /// A user event.
    User,
    /// A query.
    Query,
}

impl EventKind {
    const NAMED: [Self; 8] = [
        Self::All,
        Self::Members(MemberChange::Join),
        Self::Members(MemberChange::Leave),
        Self::Members(MemberChange::Failed),
        Self::Members(MemberChange::Update),
        Self::Members(MemberChange::Reap),
        Self::User,
        Self::Query,
    ];

    /// As it is written.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::All => "*",
            Self::Members(change) => change.event(),
            Self::User => "user",
            Self::Query => "query",
        }
    }
}

/// One kind of event, perhaps of one name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filter {
    /// The kind.
    pub kind: EventKind,
    /// Only of this name; empty takes all. For user events and queries alone.
    pub name: Name,
}

/// A text names no kind of event.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{kind}` is no kind of event")]
pub struct InvalidFilter {
    /// The text, up to its colon.
    pub kind: String,
}

impl Filter {
    /// Reads a list with commas between; an empty one means everything.
    ///
    /// # Errors
    /// At the first that names no kind of event. There is no trimming: ` user` is none, as to Serf.
    pub fn parse_list(text: &str) -> Result<Vec<Self>, InvalidFilter> {
        let text = if text.is_empty() { "*" } else { text };
        text.split(',').map(Self::parse).collect()
    }

    fn parse(text: &str) -> Result<Self, InvalidFilter> {
        let (kind, name) = match text.split_once(':') {
            Some((kind @ ("user" | "query"), name)) => (kind, name),
            _ => (text, ""),
        };
        let known = EventKind::NAMED.into_iter().find(|one| one.word() == kind);
        let invalid = || InvalidFilter {
            kind: kind.to_owned(),
        };
        Ok(Self {
            kind: known.ok_or_else(invalid)?,
            name: Name::from(name),
        })
    }

    /// Whether the event is one of those wanted.
    #[must_use]
    pub fn takes(&self, event: &Event) -> bool {
        let name = match (self.kind, event) {
            (EventKind::All, _) => return true,
            (EventKind::Members(wanted), Event::Members(change, _)) => return wanted == *change,
            (EventKind::User, Event::User(event)) => &event.name,
            (EventKind::Query, Event::Query(query)) => &query.name,
            _ => return false,
        };
        self.name.is_empty() || self.name == *name
    }
}

/// As in Serf's `info`: `user:deploy`, and a colon also where no name follows.
impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.kind.word(), self.name)
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::super::event::UserEvent;
    use super::*;

    fn user(name: &str) -> Event {
        Event::User(UserEvent {
            ltime: 1,
            name: name.into(),
            payload: Bytes::new(),
            coalesce: false,
        })
    }

    fn check(filters: &str, takes: &[&Event], leaves: &[&Event]) {
        let filters = Filter::parse_list(filters).unwrap();
        let is_taken = |event: &Event| filters.iter().any(|filter| filter.takes(event));
        for event in takes {
            assert!(is_taken(event), "{filters:?} {event}");
        }
        for event in leaves {
            assert!(!is_taken(event), "{filters:?} {event}");
        }
    }

    #[test]
    fn an_event_is_taken_by_its_kind_and_name() {
        let join = &Event::Members(MemberChange::Join, Vec::new());
        let leave = &Event::Members(MemberChange::Leave, Vec::new());
        let (deploy, other) = (&user("deploy"), &user("other"));
        check("", &[join, leave, deploy, other], &[]);
        check("*", &[join, deploy], &[]);
        check("member-join", &[join], &[leave, deploy]);
        check("user", &[deploy, other], &[join]);
        check("user:deploy,member-leave", &[deploy, leave], &[other, join]);
        check("user:", &[deploy, other], &[join]);
        check("query:deploy", &[], &[deploy, join]);
        check("user:a:b", &[&user("a:b")], &[&user("a")]);
    }

    #[test]
    fn what_is_no_kind_of_event_is_refused() {
        for (text, kind) in [
            ("bogus", "bogus"),
            ("user,foo:x", "foo:x"),
            ("member-join, user", " user"),
            ("user,", ""),
            ("member-join:x", "member-join:x"),
        ] {
            assert_eq!(Filter::parse_list(text).unwrap_err().kind, kind);
        }
    }

    #[test]
    fn a_filter_shows_itself_as_in_serfs_info() {
        let shown = |text| Filter::parse_list(text).unwrap()[0].to_string();
        assert_eq!(shown(""), "*:");
        assert_eq!(shown("user:deploy"), "user:deploy");
        assert_eq!(shown("query"), "query:");
    }
}
