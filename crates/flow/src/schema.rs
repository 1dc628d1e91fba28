//! [pure] JSON Schema: draft 2020-12 unless the schema says otherwise; nothing is fetched here.

use std::fmt;

use jsonschema::ReferencingError;
use jsonschema::error::ValidationErrorKind;

use crate::data::Data;

/// What of a document does not hold.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", self.violations.join("; "))]
pub struct SchemaError {
    /// Each with the pointer of the member.
    pub violations: Vec<String>,
}

/// The most violations that are told.
const MAX_VIOLATIONS: usize = 10;

/// A compiled schema.
pub struct Schema {
    /// Absent as long as the document that holds it was not fetched.
    validator: Option<jsonschema::Validator>,
}

impl Schema {
    /// Compiles a schema.
    ///
    /// # Errors
    /// When it is none, or refers to another document.
    pub fn new(schema: &serde_json::Value) -> Result<Self, String> {
        // Not `options()`: that would compile the whole validator once more, into this crate.
        jsonschema::draft202012::new(schema)
            .map(|validator| Self {
                validator: Some(validator),
            })
            .map_err(|error| match error.kind() {
                ValidationErrorKind::Referencing(ReferencingError::Unretrievable {
                    uri, ..
                }) => format!("`{uri}` lies elsewhere; schemas are not fetched"),
                _ => error.to_string(),
            })
    }

    /// A schema whose document was not fetched: nothing satisfies it.
    pub(crate) const fn absent() -> Self {
        Self { validator: None }
    }

    /// Whether the document satisfies it.
    ///
    /// # Errors
    /// What does not hold.
    pub fn validate(&self, data: &Data) -> Result<(), SchemaError> {
        let Some(validator) = &self.validator else {
            let violation = "the schema lies elsewhere and was not fetched".to_owned();
            return Err(SchemaError {
                violations: vec![violation],
            });
        };
        let json = data.to_json();
        let violations: Vec<String> = validator
            .iter_errors(&json)
            .take(MAX_VIOLATIONS)
            .map(|error| {
                let place = error.instance_path().to_string();
                let place = if place.is_empty() { "/" } else { &place };
                format!("{place}: {}", short(&error.to_string()))
            })
            .collect();
        if violations.is_empty() {
            Ok(())
        } else {
            Err(SchemaError { violations })
        }
    }
}

fn short(text: &str) -> String {
    const LONGEST: usize = 200;
    if text.chars().count() <= LONGEST {
        return text.to_owned();
    }
    text.chars().take(LONGEST).chain(['…']).collect()
}

impl fmt::Debug for Schema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Schema")
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn violations_name_their_member() {
        let schema = Schema::new(&json!({
            "type": "object", "required": ["id"], "properties": {"id": {"type": "integer"}}
        }))
        .unwrap();
        assert_eq!(schema.validate(&json!({"id": 1}).into()), Ok(()));
        let error = schema.validate(&json!({"id": "x"}).into()).unwrap_err();
        assert!(error.to_string().starts_with("/id: "), "{error}");
    }

    #[test]
    fn nothing_is_fetched() {
        for place in ["http://example.com/schema.json", "file:///etc/hostname"] {
            let error = Schema::new(&json!({"$ref": place})).unwrap_err();
            assert!(
                error.starts_with(&format!("`{place}` lies elsewhere")),
                "{error}"
            );
        }
        assert!(Schema::new(&json!({"type": 7})).is_err());
    }
}
