//! [pure] Errors of runs: RFC 9457 objects, their kinds, and the filters that catch them.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::data::Data;
use crate::expression::ExpressionError;

/// Where our error types lie.
const TYPES: &str = "https://serverlessworkflow.io/spec/1.0.0/errors/";

/// Prefixes of the same types in other versions of the language, upstream's misspelt one included.
const FAMILIES: [&str; 5] = [
    TYPES,
    "https://open-workflow-specification.org/spec/1.0.0/errors/",
    "https://serverlessworkflow.io/dsl/errors/types/",
    "https://open-workflow-specification.org/dsl/errors/types/",
    "https://serverlessworkflow.io.io/dsl/errors/types/",
];

/// The kinds of error that the language knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// Unsupported protocol, missing function, unreadable document, bad setting.
    Configuration,
    /// A schema does not hold.
    Validation,
    /// An expression or template failed.
    Expression,
    /// Credentials were rejected.
    Authentication,
    /// A secret is missing or not granted; egress refused.
    Authorization,
    /// A task or the workflow took too long.
    Timeout,
    /// A call failed.
    Communication,
    /// All else.
    Runtime,
}

impl ErrorKind {
    /// All kinds.
    pub const ALL: [Self; 8] = [
        Self::Configuration,
        Self::Validation,
        Self::Expression,
        Self::Authentication,
        Self::Authorization,
        Self::Timeout,
        Self::Communication,
        Self::Runtime,
    ];

    /// The short name: the last segment of the type.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Configuration => "configuration",
            Self::Validation => "validation",
            Self::Expression => "expression",
            Self::Authentication => "authentication",
            Self::Authorization => "authorization",
            Self::Timeout => "timeout",
            Self::Communication => "communication",
            Self::Runtime => "runtime",
        }
    }

    /// The status when nothing better is known.
    #[must_use]
    pub fn status(self) -> u16 {
        match self {
            Self::Configuration | Self::Validation | Self::Expression => 400,
            Self::Authentication => 401,
            Self::Authorization => 403,
            Self::Timeout => 408,
            Self::Communication | Self::Runtime => 500,
        }
    }

    /// The type's URI.
    #[must_use]
    pub fn uri(self) -> String {
        format!("{TYPES}{}", self.name())
    }

    fn title(self) -> &'static str {
        match self {
            Self::Configuration => "Configuration Error",
            Self::Validation => "Validation Error",
            Self::Expression => "Expression Error",
            Self::Authentication => "Authentication Error",
            Self::Authorization => "Authorization Error",
            Self::Timeout => "Timeout Error",
            Self::Communication => "Communication Error",
            Self::Runtime => "Runtime Error",
        }
    }
}

/// An error of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FlowError {
    /// A URI that says what kind of error it is.
    #[serde(rename = "type")]
    pub type_: String,
    /// A status as in HTTP.
    pub status: u16,
    /// A short sentence for the type.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// What happened this time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// JSON Pointer into the definition.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance: Option<String>,
    /// Further members.
    #[serde(flatten)]
    pub extensions: Box<Map<String, Value>>,
}

macro_rules! constructors {
    ($($name:ident: $kind:ident),*) => {$(
        #[doc = concat!("An error of kind `", stringify!($name), "`.")]
        #[must_use]
        pub fn $name(detail: impl Into<String>) -> Self {
            Self::new(ErrorKind::$kind, detail)
        }
    )*};
}

impl FlowError {
    /// An error of that kind with the kind's status.
    #[must_use]
    pub fn new(kind: ErrorKind, detail: impl Into<String>) -> Self {
        Self {
            type_: kind.uri(),
            status: kind.status(),
            title: Some(kind.title().to_owned()),
            detail: Some(detail.into()),
            instance: None,
            extensions: Box::default(),
        }
    }

    constructors! {
        configuration: Configuration, validation: Validation, expression: Expression,
        authentication: Authentication, authorization: Authorization, timeout: Timeout,
        communication: Communication, runtime: Runtime
    }

    /// The same error with that status.
    #[must_use]
    pub fn with_status(mut self, status: u16) -> Self {
        self.status = status;
        self
    }

    /// The same error with that title.
    #[must_use]
    pub fn with_title(mut self, title: impl Into<String>) -> Self {
        self.title = Some(title.into());
        self
    }

    /// The same error, placed at that pointer unless it has a place already.
    #[must_use]
    pub fn at(mut self, instance: &str) -> Self {
        self.instance.get_or_insert_with(|| instance.to_owned());
        self
    }

    /// The same error with one more member.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.extensions.insert(name.to_owned(), value.into());
        self
    }

    /// What a `raise` evaluated to, as an error. A number or short name may stand for status and type.
    ///
    /// # Errors
    /// An error of kind `expression` when type or status is missing or has the wrong form.
    pub fn from_data(data: &Data) -> Result<Self, Self> {
        let Value::Object(mut members) = data.to_json() else {
            return Err(Self::expression("the error to raise is no object"));
        };
        let mut text = |name: &str| match members.remove(name) {
            Some(Value::String(text)) => Ok(Some(text)),
            None | Some(Value::Null) => Ok(None),
            Some(other) => Err(Self::expression(format!(
                "member `{name}` of the error to raise is {other}, not text"
            ))),
        };
        let type_ = text("type")?;
        let (title, detail) = (text("title")?, text("detail")?);
        let instance = text("instance")?;
        let status = members.remove("status");
        let status = status.as_ref().and_then(|status| match status {
            Value::Number(number) => number.as_u64().and_then(|n| u16::try_from(n).ok()),
            Value::String(text) => text.parse().ok(),
            _ => None,
        });
        let type_ = type_.ok_or_else(|| Self::expression("the error to raise has no type"))?;
        let status = status
            .ok_or_else(|| Self::expression("the status of the error to raise is no number"))?;
        Ok(Self {
            type_: long_type(&type_),
            status,
            title,
            detail,
            instance,
            extensions: Box::new(members),
        })
    }

    /// The error as a document: `$error`.
    #[must_use]
    pub fn to_data(&self) -> Data {
        Data::from(serde_json::to_value(self).unwrap_or_default())
    }

    /// Whether it is of that kind, whatever the version of its type's URI.
    #[must_use]
    pub fn is(&self, kind: ErrorKind) -> bool {
        same_type(&self.type_, kind.name())
    }
}

impl std::fmt::Display for FlowError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let name = short_type(&self.type_);
        write!(f, "{name} ({})", self.status)?;
        match self.detail.as_ref().or(self.title.as_ref()) {
            Some(detail) => write!(f, ": {detail}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for FlowError {}

impl From<ExpressionError> for FlowError {
    fn from(error: ExpressionError) -> Self {
        Self::expression(error.to_string())
    }
}

/// The last segment when the type belongs to a family; else all of it.
fn short_type(type_: &str) -> &str {
    FAMILIES
        .iter()
        .find_map(|family| type_.strip_prefix(family))
        .unwrap_or(type_)
}

/// A bare short name of ours becomes the URI.
fn long_type(type_: &str) -> String {
    let kind = ErrorKind::ALL.into_iter().find(|kind| kind.name() == type_);
    kind.map_or_else(|| type_.to_owned(), ErrorKind::uri)
}

/// Whether two types are the same: equal, or of one family with the same last segment.
fn same_type(a: &str, b: &str) -> bool {
    short_type(a) == short_type(b)
}

/// Which errors a `catch` takes: each given member must equal the error's.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ErrorFilter {
    /// The type, of whatever family.
    pub type_: Option<String>,
    /// The status.
    pub status: Option<u16>,
    /// The place.
    pub instance: Option<String>,
    /// The title.
    pub title: Option<String>,
    /// The detail.
    pub detail: Option<String>,
}

impl ErrorFilter {
    /// Whether the error has all that is asked.
    #[must_use]
    pub fn matches(&self, error: &FlowError) -> bool {
        let same =
            |wanted: &Option<String>, found: &Option<String>| wanted.is_none() || wanted == found;
        self.type_
            .as_ref()
            .is_none_or(|type_| same_type(type_, &error.type_))
            && self.status.is_none_or(|status| status == error.status)
            && same(&self.instance, &error.instance)
            && same(&self.title, &error.title)
            && same(&self.detail, &error.detail)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn filters_match_types_of_every_family_and_short_names() {
        let error = FlowError::communication("no").with_status(404);
        for family in FAMILIES {
            let filter = |name: &str, status| ErrorFilter {
                type_: Some(format!("{family}{name}")),
                status: Some(status),
                ..ErrorFilter::default()
            };
            assert!(filter("communication", 404).matches(&error), "{family}");
            assert!(!filter("timeout", 404).matches(&error));
            assert!(!filter("communication", 500).matches(&error));
        }
        let short = ErrorFilter {
            type_: Some("communication".to_owned()),
            ..ErrorFilter::default()
        };
        assert!(short.matches(&error));
        assert!(ErrorFilter::default().matches(&error));
    }

    #[test]
    fn an_error_is_a_problem_object_and_back() {
        let error = FlowError::timeout("slow")
            .at("/do/0/a")
            .with("workflow", "run_1");
        let data = error.to_data();
        assert_eq!(data.get("status").and_then(|s| s.as_i64()), Some(408));
        assert_eq!(
            data.get("workflow").and_then(|s| s.as_str()).as_deref(),
            Some("run_1")
        );
        assert_eq!(FlowError::from_data(&data).unwrap(), error);
        assert!(error.is(ErrorKind::Timeout));
    }

    #[test]
    fn the_place_that_an_author_gave_is_kept() {
        let data = Data::from(json!({"type": "x:y", "status": "418", "instance": "/mine"}));
        let error = FlowError::from_data(&data).unwrap().at("/do/0/a");
        assert_eq!(
            (error.instance.as_deref(), error.status),
            (Some("/mine"), 418)
        );
        assert!(FlowError::from_data(&Data::from(json!({"status": 1}))).is_err());
    }
}
