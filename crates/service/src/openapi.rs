//! [pure] OpenAPI documents of many services made into one (3.1).

use serde_json::Value;

/// One operation of the merged document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operation {
    /// The public method, lower or upper case.
    pub method: String,
    /// The public path template.
    pub path: String,
    /// Which of the sources answers.
    pub source: usize,
    /// The path template in the source's document.
    pub source_path: String,
}

/// A document and the name that tells its parts from those of others.
#[derive(Clone, Debug)]
pub struct Source {
    /// The service's name: what components are renamed with when they clash.
    pub name: String,
    /// Its document, 3.0 or 3.1.
    pub document: Value,
}

/// Why documents cannot be merged.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Not an OpenAPI document of 3.0 or 3.1.
    #[error("the document of `{source_name}` is not OpenAPI 3.0 or 3.1")]
    Version {
        /// Whose document.
        source_name: String,
    },
    /// Two operations at one public place.
    #[error("two operations answer `{method} {path}`")]
    Clash {
        /// The method.
        method: String,
        /// The path template.
        path: String,
    },
    /// The document does not describe the operation.
    #[error("the document of `{source_name}` has no operation `{method} {path}`")]
    Missing {
        /// Whose document.
        source_name: String,
        /// The method.
        method: String,
        /// The path template.
        path: String,
    },
    /// A reference that leads nowhere.
    #[error("the document of `{source_name}` refers to `{reference}`, which it does not have")]
    Dangling {
        /// Whose document.
        source_name: String,
        /// The reference.
        reference: String,
    },
}

/// Makes one document of the named operations and of all that they refer to. `base` gives `info`,
/// `servers`, `tags`, `security` and components of its own; its paths are kept.
///
/// # Errors
/// When a source is no OpenAPI document, lacks an operation, refers to what it does not have, or two
/// operations clash.
pub fn merge(base: Value, sources: &[Source], operations: &[Operation]) -> Result<Value, Error> {
    todo!()
}
