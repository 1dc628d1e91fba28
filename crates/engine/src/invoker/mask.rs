//! [pure] Secrets of a call are hidden in what is recorded of it.

use serde_json::Value;
use taraf_flow::{Data, FlowError};
use url::form_urlencoded;

/// What stands for a secret.
const MASK: &str = "***";
/// Shorter texts would hide half of every message, and no secret has so few bytes.
const LENGTH_MIN: usize = 4;

/// Knows the secrets that one call may have used.
pub(super) struct Mask {
    hidden: Vec<String>,
}

impl Mask {
    /// Hides every text within these data (`$secrets`, `$authorization`).
    pub(super) fn new(secrets: &[Data]) -> Self {
        let mut hidden = Vec::new();
        for data in secrets {
            collect(&data.to_json(), &mut hidden);
        }
        // A secret within another must not leave the rest of the longer one.
        hidden.sort_by_key(|text| std::cmp::Reverse(text.len()));
        hidden.dedup();
        Self { hidden }
    }

    /// The error without secrets: its text may be what an expression or a server said of them.
    pub(super) fn error(&self, error: FlowError) -> FlowError {
        let mut json = error.to_data().to_json();
        if !self.hide(&mut json) {
            return error;
        }
        FlowError::from_data(&Data::from_json(&json)).unwrap_or_else(|mistake| mistake)
    }

    /// A `response` output without secrets in the request that it shows. What the server answered
    /// is the flow's data and stays.
    pub(super) fn response(&self, output: Data) -> Data {
        let mut json = output.to_json();
        let request = json.get_mut("request");
        if request.is_some_and(|request| self.hide(request)) {
            return Data::from_json(&json);
        }
        output
    }

    /// Whether anything was hidden.
    fn hide(&self, json: &mut Value) -> bool {
        match json {
            Value::String(text) => {
                let mut found = false;
                for secret in &self.hidden {
                    if text.contains(secret.as_str()) {
                        *text = text.replace(secret.as_str(), MASK);
                        found = true;
                    }
                }
                found
            }
            // Every one of them, also after the first.
            Value::Array(items) => {
                let mut found = false;
                for item in items {
                    found |= self.hide(item);
                }
                found
            }
            Value::Object(members) => {
                let mut found = false;
                for member in members.values_mut() {
                    found |= self.hide(member);
                }
                found
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => false,
        }
    }
}

/// All texts, as they are and as an address or an expression's error holds them.
fn collect(json: &Value, hidden: &mut Vec<String>) {
    match json {
        Value::String(text) if text.len() >= LENGTH_MIN => {
            let form: String = form_urlencoded::byte_serialize(text.as_bytes()).collect();
            let quoted = json.to_string();
            hidden.push(quoted.trim_matches('"').to_owned());
            hidden.push(form.replace('+', "%20"));
            hidden.push(form);
            hidden.push(text.clone());
        }
        Value::Array(items) => items.iter().for_each(|item| collect(item, hidden)),
        Value::Object(members) => members.values().for_each(|member| collect(member, hidden)),
        Value::String(_) | Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn secrets_are_hidden_in_errors_and_in_the_request_that_was_sent() {
        let secrets = Data::from(json!({"login": {"password": "p&ss w\"rd"}, "short": "ab"}));
        let mask = Mask::new(&[secrets]);
        let error = FlowError::communication("said: p&ss w\"rd, p\\u0026, p%26ss+w%22rd, ab")
            .with("extra", json!(["p&ss w\\\"rd"]));
        let error = mask.error(error).to_data().to_json();
        assert_eq!(error["detail"], "said: ***, p\\u0026, ***, ab");
        assert_eq!(error["extra"], json!(["***"]));
        let output =
            json!({"request": {"uri": "http://a/?t=p%26ss%20w%22rd"}, "content": "p&ss w\"rd"});
        let output = mask.response(Data::from(output)).to_json();
        assert_eq!(output["request"]["uri"], "http://a/?t=***");
        assert_eq!(output["content"], "p&ss w\"rd");
    }
}
