//! [pure] What a document is made of: values, each with the place where it stands in the text.

use serde_json::Value as Json;

use crate::data::Data;
use crate::finding::{Finding, Severity};

/// A value and where it stands.
#[derive(Clone, Debug)]
pub struct Node {
    /// What it is.
    pub value: Value,
    /// Where it begins.
    pub span: Span,
    pub(super) layout: Layout,
}

/// A place in a text: line and column from 1, in characters, and how long it is within its line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// The line, from 1.
    pub line: u32,
    /// The column, from 1.
    pub column: u32,
    /// The number of characters, at least 1.
    pub length: u32,
}

/// What a node is.
#[derive(Clone, Debug)]
pub enum Value {
    /// Nothing.
    Null,
    /// True or false.
    Bool(bool),
    /// A number, as JSON writes it.
    Number(String),
    /// Text.
    String(String),
    /// Items in order.
    Array(Vec<Node>),
    /// Members in order.
    Object(Vec<Member>),
}

/// A member of an object.
#[derive(Clone, Debug)]
pub struct Member {
    /// Its name.
    pub key: String,
    /// Where the name stands.
    pub span: Span,
    /// Its value.
    pub node: Node,
}

/// How a string was written: it decides where its characters stand.
#[derive(Clone, Copy, Debug)]
pub(super) enum Layout {
    Plain,
    Quoted,
    Block { first: u32, indent: u32 },
}

impl Node {
    /// The members, when this is an object.
    #[must_use]
    pub fn as_object(&self) -> Option<&[Member]> {
        match &self.value {
            Value::Object(members) => Some(members),
            _ => None,
        }
    }

    /// The items, when this is an array.
    #[must_use]
    pub fn as_array(&self) -> Option<&[Self]> {
        match &self.value {
            Value::Array(items) => Some(items),
            _ => None,
        }
    }

    /// The text, when this is a string.
    #[must_use]
    pub fn as_str(&self) -> Option<&str> {
        match &self.value {
            Value::String(text) => Some(text),
            _ => None,
        }
    }

    /// The truth, when this is a boolean.
    #[must_use]
    pub fn as_bool(&self) -> Option<bool> {
        match self.value {
            Value::Bool(truth) => Some(truth),
            _ => None,
        }
    }

    /// The number, when this is a whole one that fits.
    #[must_use]
    pub fn as_i64(&self) -> Option<i64> {
        match &self.value {
            Value::Number(number) => number.parse().ok(),
            _ => None,
        }
    }

    /// The member of that name.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Self> {
        let member = self.as_object()?.iter().find(|member| member.key == key)?;
        Some(&member.node)
    }

    /// The value as `serde_json` has it.
    #[must_use]
    pub fn to_json(&self) -> Json {
        match &self.value {
            Value::Null => Json::Null,
            Value::Bool(truth) => Json::Bool(*truth),
            Value::Number(number) => serde_json::from_str(number).unwrap_or_default(),
            Value::String(text) => Json::String(text.clone()),
            Value::Array(items) => Json::Array(items.iter().map(Self::to_json).collect()),
            Value::Object(members) => {
                let member = |member: &Member| (member.key.clone(), member.node.to_json());
                Json::Object(members.iter().map(member).collect())
            }
        }
    }

    /// The value as a document; numbers keep their text.
    #[must_use]
    pub fn to_data(&self) -> Data {
        match &self.value {
            Value::Number(number) => Data::from_bytes(number.clone().into())
                .unwrap_or_else(|_too_long| Data::from(self.to_json())),
            Value::Array(items) => Data::array(items.iter().map(Self::to_data)),
            Value::Object(members) => {
                Data::from_entries(members.iter().map(|m| (&m.key, m.node.to_data())))
            }
            Value::Null | Value::Bool(_) | Value::String(_) => Data::from(self.to_json()),
        }
    }

    /// What kind of value it is, for messages.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self.value {
            Value::Null => "nothing",
            Value::Bool(_) => "a boolean",
            Value::Number(_) => "a number",
            Value::String(_) => "a string",
            Value::Array(_) => "a list",
            Value::Object(_) => "a map",
        }
    }

    /// Where the byte of a string stands in the text.
    #[must_use]
    pub fn span_at(&self, byte: usize) -> Span {
        let Value::String(text) = &self.value else {
            return self.span;
        };
        let before = text.get(..byte.min(text.len())).unwrap_or(text);
        let count = |text: &str| u32::try_from(text.chars().count()).unwrap_or(0);
        let (line, column) = match self.layout {
            Layout::Plain => (self.span.line, self.span.column + count(before)),
            Layout::Quoted => (self.span.line, self.span.column + 1 + count(before)),
            Layout::Block { first, indent } => {
                let lines = u32::try_from(before.matches('\n').count()).unwrap_or(0);
                let last = before.rsplit('\n').next().unwrap_or_default();
                (first + lines, indent + 1 + count(last))
            }
        };
        Span {
            line,
            column,
            length: 1,
        }
    }
}

impl Finding {
    /// An error at a place.
    #[must_use]
    pub fn error(code: &'static str, span: Span, pointer: &str, message: String) -> Self {
        Self {
            code,
            severity: Severity::Error,
            line: span.line,
            column: span.column,
            length: span.length,
            pointer: pointer.to_owned(),
            message,
            help: None,
        }
    }
}
