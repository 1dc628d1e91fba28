//! [pure] Walking a document with findings: closed objects, required members, types, near names.

use crate::finding::{Finding, Severity, nearest};
use crate::template::Mode;
use crate::yaml::{Node, Span, Value, escape};

/// What is known while a document is walked.
pub(super) struct Checker {
    pub(super) findings: Vec<Finding>,
    pub(super) unsupported: Vec<Finding>,
    pub(super) mode: Mode,
    pub(super) names: Names,
    pub(super) task_count: usize,
    pub(super) index:
        std::collections::HashMap<std::sync::Arc<str>, std::sync::Arc<crate::document::Task>>,
    /// Namespace, name and version: what a subflow cycle leads back to.
    pub(super) identity: (String, String),
    pub(super) has_timeout: bool,
    /// Documents that lie elsewhere, as far as they are at hand.
    pub(super) contents: crate::resource::Contents,
    pub(super) resources: Vec<crate::resource::Resource>,
}

/// Names that the document defines under `use`.
#[derive(Default)]
pub(super) struct Names {
    pub(super) functions: Vec<String>,
    pub(super) secrets: Vec<String>,
    pub(super) catalogs: Vec<String>,
    pub(super) use_: crate::document::Use,
}

/// A node and its pointer.
#[derive(Clone)]
pub(super) struct At<'a> {
    pub(super) node: &'a Node,
    pub(super) pointer: String,
}

impl<'a> At<'a> {
    pub(super) fn member(&self, key: &str) -> Option<Self> {
        let node = self.node.get(key)?;
        Some(At {
            node,
            pointer: self.below(key),
        })
    }

    pub(super) fn below(&self, key: &str) -> String {
        format!("{}/{}", self.pointer, escape(key))
    }

    /// The members with the places of their names.
    pub(super) fn members(&self) -> impl Iterator<Item = (&'a str, Span, At<'a>)> + use<'a> {
        let pointer = self.pointer.clone();
        let members = self.node.as_object().unwrap_or_default();
        members.iter().map(move |member| {
            let at = At {
                node: &member.node,
                pointer: format!("{pointer}/{}", escape(&member.key)),
            };
            (member.key.as_str(), member.span, at)
        })
    }

    pub(super) fn items(&self) -> impl Iterator<Item = At<'a>> + use<'a> {
        let pointer = self.pointer.clone();
        let items = self.node.as_array().unwrap_or_default();
        items.iter().enumerate().map(move |(index, node)| At {
            node,
            pointer: format!("{pointer}/{index}"),
        })
    }

    /// Where the name of a member stands, or the object itself.
    pub(super) fn key_span(&self, key: &str) -> Span {
        let members = self.node.as_object().unwrap_or_default();
        let member = members.iter().find(|member| member.key == key);
        member.map_or(self.node.span, |member| member.span)
    }
}

impl Checker {
    pub(super) fn error(&mut self, code: &'static str, span: Span, pointer: &str, message: String) {
        self.findings
            .push(Finding::error(code, span, pointer, message));
    }

    pub(super) fn error_at(&mut self, code: &'static str, at: &At<'_>, message: String) {
        self.error(code, at.node.span, &at.pointer, message);
    }

    /// Adds help to what was found last.
    pub(super) fn help(&mut self, help: Option<String>) {
        if let Some(last) = self.findings.last_mut() {
            last.help = help;
        }
    }

    pub(super) fn warn(&mut self, code: &'static str, span: Span, pointer: &str, message: String) {
        self.error(code, span, pointer, message);
        if let Some(last) = self.findings.last_mut() {
            last.severity = Severity::Warning;
        }
    }

    pub(super) fn cannot_run(&mut self, span: Span, pointer: &str, what: &str) {
        let message = format!("{what} cannot be run by this engine yet");
        self.unsupported
            .push(Finding::error("T0600", span, pointer, message));
    }

    /// A closed object: every member is known.
    pub(super) fn object(&mut self, at: &At<'_>, what: &str, known: &[&str]) -> bool {
        if !self.map(at, what) {
            return false;
        }
        for (key, span, member) in at.members() {
            if !known.contains(&key) {
                let message = format!("{what} has no member `{key}`");
                self.error("T0101", span, &member.pointer, message);
                let near = nearest(key, known.iter().copied());
                self.help(Some(match near {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => format!("known are {}", known.join(", ")),
                }));
            }
        }
        true
    }

    /// Any map.
    pub(super) fn map(&mut self, at: &At<'_>, what: &str) -> bool {
        let fits = matches!(at.node.value, Value::Object(_));
        if !fits {
            self.wrong(at, what, "a map");
        }
        fits
    }

    pub(super) fn list(&mut self, at: &At<'_>, what: &str) -> bool {
        let fits = matches!(at.node.value, Value::Array(_));
        if !fits {
            self.wrong(at, what, "a list");
        }
        fits
    }

    pub(super) fn wrong(&mut self, at: &At<'_>, what: &str, wanted: &str) {
        let message = format!("{what} is {wanted}, not {}", at.node.kind());
        self.error_at("T0103", at, message);
    }

    /// A member that must be there.
    pub(super) fn required<'a>(&mut self, at: &At<'a>, what: &str, key: &str) -> Option<At<'a>> {
        let member = at.member(key);
        if member.is_none() && at.node.as_object().is_some() {
            let message = format!("{what} needs the member `{key}`");
            self.error_at("T0102", at, message);
        }
        member
    }

    pub(super) fn string<'a>(&mut self, at: &At<'a>, what: &str) -> Option<&'a str> {
        let text = at.node.as_str();
        if text.is_none() {
            self.wrong(at, what, "a string");
        }
        text
    }

    pub(super) fn boolean(&mut self, at: &At<'_>, what: &str) -> Option<bool> {
        let truth = at.node.as_bool();
        if truth.is_none() {
            self.wrong(at, what, "true or false");
        }
        truth
    }

    /// An optional boolean member.
    pub(super) fn flag(&mut self, at: &At<'_>, key: &str, default: bool) -> bool {
        let member = at.member(key);
        member
            .and_then(|member| self.boolean(&member, &format!("`{key}`")))
            .unwrap_or(default)
    }

    /// An optional string member without expressions.
    pub(super) fn text(&mut self, at: &At<'_>, key: &str) -> Option<String> {
        let member = at.member(key)?;
        let text = self.string(&member, &format!("`{key}`"))?;
        Some(text.to_owned())
    }

    /// One of certain words.
    pub(super) fn word<'a>(&mut self, at: &At<'a>, what: &str, words: &[&str]) -> Option<&'a str> {
        let text = self.string(at, what)?;
        if words.contains(&text) {
            return Some(text);
        }
        let message = format!("{what} is one of {}, not `{text}`", words.join(", "));
        self.error_at("T0104", at, message);
        let near = nearest(text, words.iter().copied());
        self.help(near.map(|near| format!("did you mean `{near}`?")));
        None
    }

    /// Exactly one of certain members; gives its name.
    pub(super) fn exactly_one<'k>(
        &mut self,
        at: &At<'_>,
        what: &str,
        keys: &[&'k str],
    ) -> Option<&'k str> {
        let mut found = keys.iter().filter(|key| at.node.get(key).is_some());
        let first = found.next();
        let second = found.next();
        let message = match (first, second) {
            (Some(_), None) => return first.copied(),
            (Some(_), Some(second)) => {
                let span = at.key_span(second);
                let message = format!("{what} has only one of {}", keys.join(", "));
                self.error("T0420", span, &at.pointer, message);
                return None;
            }
            (None, _) => format!("{what} needs one of {}", keys.join(", ")),
        };
        if at.node.as_object().is_some() {
            self.error_at("T0420", at, message);
        }
        None
    }

    /// A name that must be among those defined.
    pub(super) fn known(
        &mut self,
        code: &'static str,
        at: &At<'_>,
        what: &str,
        names: &[String],
    ) -> bool {
        let Some(name) = at.node.as_str() else {
            return false;
        };
        if names.iter().any(|known| known == name) {
            return true;
        }
        self.error_at(code, at, format!("{what} `{name}` is not defined"));
        let near = nearest(name, names.iter().map(String::as_str));
        self.help(near.map(|near| format!("did you mean `{near}`?")));
        false
    }
}
