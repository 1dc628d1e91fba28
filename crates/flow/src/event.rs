//! [pure] CloudEvents 1.0: attributes, defaults, and the JSON of the structured mode.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use taraf_base::Timestamp;

use crate::data::Data;

/// A CloudEvent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CloudEvent {
    /// Unique for its source.
    pub id: String,
    /// Always `1.0`.
    pub specversion: String,
    /// When it happened, RFC 3339.
    pub time: String,
    /// Who says so.
    pub source: String,
    /// What kind of event it is.
    #[serde(rename = "type")]
    pub type_: String,
    /// What it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// The media type of the data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub datacontenttype: Option<String>,
    /// Further attributes.
    #[serde(flatten)]
    pub extensions: Map<String, Value>,
    /// What it carries.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<Value>,
}

/// What an event must have and has not.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EventError {
    /// No object.
    #[error("an event is an object of attributes")]
    NoObject,
    /// No type.
    #[error("an event needs a `type` that is text")]
    NoType,
    /// An attribute that is no text.
    #[error("attribute `{0}` of an event is not text")]
    NotText(String),
    /// A name that CloudEvents does not allow.
    #[error("`{0}` is no name of an attribute: lower-case letters and digits only")]
    BadName(String),
}

impl CloudEvent {
    /// The event of an `emit`: what was evaluated, with defaults for what was not given.
    ///
    /// # Errors
    /// When the type is missing, an attribute is no text, or a name is not allowed.
    pub fn from_attributes(
        attributes: &Data,
        id: &str,
        source: &str,
        now: Timestamp,
    ) -> Result<Self, EventError> {
        let Value::Object(mut attributes) = attributes.to_json() else {
            return Err(EventError::NoObject);
        };
        let mut text = |name: &str| match attributes.remove(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(EventError::NotText(name.to_owned())),
        };
        let mut event = Self {
            type_: text("type")?.ok_or(EventError::NoType)?,
            id: text("id")?.unwrap_or_else(|| id.to_owned()),
            source: text("source")?.unwrap_or_else(|| source.to_owned()),
            time: text("time")?.unwrap_or_else(|| now.to_string()),
            specversion: text("specversion")?.unwrap_or_else(|| "1.0".to_owned()),
            subject: text("subject")?,
            datacontenttype: Some(
                text("datacontenttype")?.unwrap_or_else(|| "application/json".to_owned()),
            ),
            extensions: Map::new(),
            data: attributes.remove("data"),
        };
        let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
        if let Some(name) = attributes.keys().find(|name| !name.chars().all(allowed)) {
            return Err(EventError::BadName(name.clone()));
        }
        event.extensions = attributes;
        Ok(event)
    }

    /// The event as a document, as the structured mode writes it.
    #[must_use]
    pub fn to_data(&self) -> Data {
        Data::from(serde_json::to_value(self).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_not_given_gets_its_default() {
        let attributes = Data::from(json!({"type": "a.b", "data": {"x": 1}, "tenant": "t"}));
        let event = CloudEvent::from_attributes(&attributes, "1", "/ns/f/1.0.0", Timestamp::EPOCH);
        assert_eq!(
            event.unwrap().to_data().to_json(),
            json!({
                "id": "1", "specversion": "1.0", "time": "1970-01-01T00:00:00.000Z",
                "source": "/ns/f/1.0.0", "type": "a.b", "datacontenttype": "application/json",
                "tenant": "t", "data": {"x": 1}
            })
        );
    }

    #[test]
    fn an_event_without_type_or_with_a_bad_name_is_refused() {
        let check = |json: Value| {
            CloudEvent::from_attributes(&json.into(), "1", "s", Timestamp::EPOCH).unwrap_err()
        };
        assert_eq!(check(json!({})), EventError::NoType);
        assert_eq!(check(json!([])), EventError::NoObject);
        assert_eq!(
            check(json!({"type": "t", "Bad": 1})),
            EventError::BadName("Bad".to_owned())
        );
    }
}
