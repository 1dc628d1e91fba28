//! [pure] From text to a checked definition, with everything that was found on the way.

use crate::document::Definition;
use crate::finding::{Finding, Report};

/// Codes of findings: code, title, explanation.
pub const CODES: &[(&str, &str, &str)] = &[];

/// Reads and checks a definition.
#[must_use]
pub fn check(source: &str) -> Report {
    todo!("{source}")
}

pub(crate) fn unsupported(definition: &Definition) -> Vec<Finding> {
    todo!("{definition:?}")
}
