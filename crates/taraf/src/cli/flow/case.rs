//! [pure] A case: what goes into a flow, what the services around it answer, what must come out.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;

/// One file of `cases/`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Case {
    pub(super) name: String,
    /// Input of the run; absent is `{}`, as the language has it.
    #[serde(default)]
    pub(super) input: Option<Value>,
    #[serde(default)]
    pub(super) secrets: BTreeMap<String, String>,
    #[serde(default)]
    pub(super) mocks: Vec<Mock>,
    #[serde(default)]
    pub(super) expect: Expect,
    /// How long the run may take in real time.
    #[serde(default, with = "optional_duration")]
    pub(super) timeout: Option<Duration>,
}

/// What a service answers. The first mock that matches a request and has answers left gives it.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Mock {
    pub(super) request: Request,
    #[serde(default)]
    pub(super) answer: Answer,
    /// How often this mock answers; without it, always.
    #[serde(default)]
    pub(super) times: Option<u32>,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Request {
    #[serde(default = "get")]
    pub(super) method: String,
    /// The URI as the flow calls it. Without a query any query matches.
    pub(super) uri: String,
    /// Members that the JSON body must contain.
    #[serde(default)]
    pub(super) body: Option<Value>,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) json: Option<Value>,
    pub(super) text: Option<String>,
    pub(super) headers: BTreeMap<String, String>,
    #[serde(with = "optional_duration")]
    pub(super) delay: Option<Duration>,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Expect {
    /// A word of the specification.
    pub(super) status: String,
    /// The output, whole.
    pub(super) output: Option<Value>,
    /// Members that the output must contain, at any depth.
    pub(super) contains: Option<Value>,
    /// Members that the error must contain.
    pub(super) error: Option<Value>,
    pub(super) calls: Option<Calls>,
}

/// How many requests were made: in all, or by `METHOD URI`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(untagged)]
pub(super) enum Calls {
    Total(usize),
    Each(BTreeMap<String, usize>),
}

impl Default for Answer {
    fn default() -> Self {
        Self {
            status: 200,
            json: None,
            text: None,
            headers: BTreeMap::new(),
            delay: None,
        }
    }
}

impl Default for Expect {
    fn default() -> Self {
        Self {
            status: "completed".to_owned(),
            output: None,
            contains: None,
            error: None,
            calls: None,
        }
    }
}

fn get() -> String {
    "GET".to_owned()
}

mod optional_duration {
    use std::time::Duration;

    use serde::{Deserialize as _, Deserializer, de};

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Option<Duration>, D::Error> {
        let text = Option::<String>::deserialize(from)?;
        let parse = |text: String| taraf_base::duration::parse(&text).map_err(de::Error::custom);
        text.map(parse).transpose()
    }
}

/// Reads a case from its JSON value.
pub(super) fn read(value: Value) -> Result<Case, String> {
    const STATUSES: [&str; 3] = ["completed", "faulted", "cancelled"];
    let case: Case = serde_json::from_value(value).map_err(|error| error.to_string())?;
    let status = case.expect.status.as_str();
    if !STATUSES.contains(&status) {
        return Err(format!(
            "expect.status `{status}` is not one of {}",
            STATUSES.join(", ")
        ));
    }
    for mock in &case.mocks {
        let uri = &mock.request.uri;
        url::Url::parse(uri).map_err(|error| format!("mock of `{uri}`: {error}"))?;
        if mock.answer.json.is_some() && mock.answer.text.is_some() {
            return Err(format!("mock of `{uri}` answers both json and text"));
        }
        if !(100..600).contains(&mock.answer.status) {
            return Err(format!(
                "mock of `{uri}`: {} is no status",
                mock.answer.status
            ));
        }
    }
    Ok(case)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_small_case_gets_the_defaults() {
        let case = read(json!({
            "name": "small",
            "mocks": [{"request": {"uri": "http://a.service/x"}, "answer": {"delay": "1s"}}],
        }))
        .unwrap();
        assert_eq!(case.expect.status, "completed");
        assert_eq!(case.mocks[0].request.method, "GET");
        assert_eq!(case.mocks[0].answer.status, 200);
        assert_eq!(case.mocks[0].answer.delay, Some(Duration::from_secs(1)));
    }

    #[test]
    fn calls_are_a_number_or_a_number_each() {
        let check = |calls: Value, expected: Calls| {
            let case = read(json!({"name": "x", "expect": {"calls": calls}})).unwrap();
            assert_eq!(case.expect.calls, Some(expected));
        };
        check(json!(2), Calls::Total(2));
        let each = BTreeMap::from([("GET http://a.service/x".to_owned(), 1)]);
        check(json!({"GET http://a.service/x": 1}), Calls::Each(each));
    }

    #[test]
    fn what_a_case_cannot_say_is_refused_by_name() {
        for (value, part) in [
            (json!({}), "name"),
            (json!({"name": "x", "expects": {}}), "expects"),
            (
                json!({"name": "x", "expect": {"status": "failed"}}),
                "failed",
            ),
            (
                json!({"name": "x", "mocks": [{"request": {"uri": "/x"}}]}),
                "/x",
            ),
            (
                json!({"name": "x", "mocks": [{"request": {"uri": "http://a/"},
                       "answer": {"json": 1, "text": "1"}}]}),
                "both",
            ),
            (json!({"name": "x", "timeout": "5"}), "`5`"),
        ] {
            let error = read(value.clone()).unwrap_err();
            assert!(error.contains(part), "{value}: {error}");
        }
    }
}
