//! [pure] Answers made from a service's OpenAPI document: its examples, else what its schemas allow.

use std::collections::BTreeMap;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use http::{HeaderMap, Method, Response, StatusCode};
use serde_json::{Map, Value, json};
use taraf_service::{Body, Problem, body, problem};

use super::operation::{self, Found, resolve};

/// The most answers and examples that one operation is made to give.
const EXAMPLES_MAX: usize = 200;
/// How deep a value is made from its schema.
const DEPTH_MAX: usize = 12;
const PREFER: HeaderName = HeaderName::from_static("prefer");
const PREFERENCE_APPLIED: HeaderName = HeaderName::from_static("preference-applied");

/// What each method of a route answers.
#[derive(Debug)]
pub(crate) struct Plan(BTreeMap<String, BTreeMap<u16, Answer>>);

/// The answers of one status.
#[derive(Debug)]
struct Answer {
    media_type: Option<HeaderValue>,
    /// In the order of the document; the first is what is answered unasked.
    examples: Vec<(String, Bytes)>,
}

/// What a caller would rather have (RFC 7240).
#[derive(Debug, Default)]
struct Wish {
    code: Option<String>,
    example: Option<String>,
}

impl Plan {
    /// The answers of the operations at `to`, or why there are none.
    pub(crate) fn build(document: &Value, methods: &[Method], to: &str) -> Result<Self, String> {
        let mut answers = BTreeMap::new();
        for method in methods {
            let found = operation::find(document, method, to);
            let found =
                found.ok_or_else(|| format!("the service's document has no {method} {to}"))?;
            let of = answers_of(&found);
            if of.is_empty() {
                return Err(format!(
                    "the service's document has no answer of {method} {to}"
                ));
            }
            answers.insert(method.to_string(), of);
        }
        Ok(Self(answers))
    }

    /// The answer to a call: the one that it would rather have, else the first that went well.
    pub(crate) fn answer(
        &self,
        method: &Method,
        headers: &HeaderMap,
    ) -> Result<Response<Body>, Problem> {
        let of = self.0.get(method.as_str());
        // HEAD is GET without the body, which the connection leaves out.
        let of = of.or_else(|| self.0.get(Method::GET.as_str()));
        let of = of.ok_or_else(|| problem::METHOD_NOT_ALLOWED.new())?;
        let wish = Wish::read(headers);
        let (status, answer) = chosen(of, &wish)?;
        let example = match &wish.example {
            None => answer.examples.first(),
            Some(name) => {
                let named = answer.examples.iter().find(|(known, _)| known == name);
                Some(named.ok_or_else(|| {
                    let known = answer.examples.iter().map(|(known, _)| known.as_str());
                    unknown("example", name, known.filter(|name| !name.is_empty()))
                })?)
            }
        };
        let mut response = Response::new(body::empty());
        *response.status_mut() =
            StatusCode::from_u16(status).map_err(|_odd| problem::INTERNAL.new())?;
        let told = response.headers_mut();
        if let Some(media_type) = &answer.media_type {
            told.insert(CONTENT_TYPE, media_type.clone());
        }
        for (name, value) in [("code", &wish.code), ("example", &wish.example)] {
            if let Some(value) = value
                && let Ok(applied) = HeaderValue::try_from(format!("{name}={value}"))
            {
                told.append(PREFERENCE_APPLIED, applied);
            }
        }
        if let Some((_, bytes)) = example {
            *response.body_mut() = body::full(bytes.clone());
        }
        Ok(response)
    }
}

fn chosen<'a>(of: &'a BTreeMap<u16, Answer>, wish: &Wish) -> Result<(u16, &'a Answer), Problem> {
    let named = |(_, answer): &(&u16, &Answer)| {
        let example = wish.example.as_ref();
        example.is_none_or(|name| answer.examples.iter().any(|(known, _)| known == name))
    };
    let found = match &wish.code {
        Some(code) => {
            let found = code.parse().ok().and_then(|code| of.get_key_value(&code));
            let codes: Vec<_> = of.keys().map(u16::to_string).collect();
            Some(found.ok_or_else(|| unknown("code", code, codes.iter().map(String::as_str)))?)
        }
        // An example's name may be that of another status than the first.
        None => of.iter().find(named).or_else(|| of.iter().next()),
    };
    found
        .map(|(status, answer)| (*status, answer))
        .ok_or_else(|| problem::INTERNAL.new())
}

fn unknown<'a>(what: &str, wanted: &str, known: impl Iterator<Item = &'a str>) -> Problem {
    let known: Vec<_> = known.collect();
    problem::BAD_REQUEST.with_detail(format!(
        "Prefer: there is no {what} `{wanted}`; there is {}",
        if known.is_empty() {
            "none".to_owned()
        } else {
            known.join(", ")
        }
    ))
}

impl Wish {
    fn read(headers: &HeaderMap) -> Self {
        let mut wish = Self::default();
        let all = headers
            .get_all(PREFER)
            .iter()
            .filter_map(|value| value.to_str().ok());
        for preference in all.flat_map(|value| value.split([',', ';'])) {
            let Some((name, value)) = preference.split_once('=') else {
                continue;
            };
            let value = value.trim().trim_matches('"').to_owned();
            match name.trim().to_ascii_lowercase().as_str() {
                "code" => wish.code = Some(value),
                "example" => wish.example = Some(value),
                _other => {}
            }
        }
        wish
    }
}

/// By status; those that went well come first, as 2xx is the least of what an operation lists.
fn answers_of(found: &Found<'_>) -> BTreeMap<u16, Answer> {
    let responses = found.operation.get("responses").and_then(Value::as_object);
    let mut answers = BTreeMap::new();
    for (code, response) in responses.into_iter().flatten() {
        let status = match code.to_ascii_lowercase().as_str() {
            // What stands for all other answers is shown as the most common error.
            "default" => Some(500),
            range if range.ends_with("xx") => range[..1].parse().ok().map(|class: u16| class * 100),
            code => code.parse().ok(),
        };
        let response = resolve(found.document, response);
        if let (Some(status), Some(response)) = (status, response)
            && (200..600).contains(&status)
            && answers.len() < EXAMPLES_MAX
        {
            answers
                .entry(status)
                .or_insert_with(|| answer_of(found.document, response));
        }
    }
    answers
}

fn answer_of(document: &Value, response: &Value) -> Answer {
    let contents = response.get("content").and_then(Value::as_object);
    let is_json = |name: &str| name.to_ascii_lowercase().contains("json");
    let content = contents.and_then(|contents| {
        contents
            .iter()
            .find(|(name, _)| is_json(name))
            .or_else(|| contents.iter().next())
    });
    let Some((media_type, content)) = content else {
        return Answer {
            media_type: None,
            examples: Vec::new(),
        };
    };
    let bytes = |value: &Value| match value {
        Value::String(text) if !is_json(media_type) => Bytes::from(text.clone()),
        value => Bytes::from(value.to_string()),
    };
    let mut examples = Vec::new();
    let named = content.get("examples").and_then(Value::as_object);
    for (name, example) in named.into_iter().flatten().take(EXAMPLES_MAX) {
        let example = resolve(document, example);
        if let Some(value) = example.and_then(|example| example.get("value")) {
            examples.push((name.clone(), bytes(value)));
        }
    }
    if let Some(value) = content.get("example") {
        examples.push((String::new(), bytes(value)));
    }
    if examples.is_empty()
        && let Some(schema) = content.get("schema")
    {
        examples.push((String::new(), bytes(&made(document, schema, 0))));
    }
    Answer {
        media_type: HeaderValue::try_from(media_type.as_str()).ok(),
        examples,
    }
}

/// A value that a schema allows, as far as its words say: what it gives as an example, else the least
/// of its type. It need not satisfy patterns and dependencies.
fn made(document: &Value, schema: &Value, depth: usize) -> Value {
    let Some(schema) = resolve(document, schema).filter(|_| depth < DEPTH_MAX) else {
        return Value::Null;
    };
    let first = |list: &str| schema.get(list).and_then(Value::as_array)?.first().cloned();
    let given = first("examples")
        .or_else(|| schema.get("example").cloned())
        .or_else(|| schema.get("default").cloned())
        .or_else(|| schema.get("const").cloned())
        .or_else(|| first("enum"));
    if let Some(given) = given {
        return given;
    }
    for list in ["oneOf", "anyOf"] {
        if let Some(one) = schema
            .get(list)
            .and_then(Value::as_array)
            .and_then(|list| list.first())
        {
            return made(document, one, depth + 1);
        }
    }
    if let Some(all) = schema.get("allOf").and_then(Value::as_array) {
        let mut members = Map::new();
        for part in all {
            match made(document, part, depth + 1) {
                Value::Object(part) => members.extend(part),
                Value::Null => {}
                // A value that is no object has nothing to be joined with.
                other => return other,
            }
        }
        members.extend(members_of(document, schema, depth));
        return Value::Object(members);
    }
    let kind = match schema.get("type") {
        Some(Value::String(kind)) => kind.as_str(),
        Some(Value::Array(kinds)) => kinds.first().and_then(Value::as_str).unwrap_or("null"),
        _none if schema.get("properties").is_some() => "object",
        _none => "null",
    };
    match kind {
        "object" => Value::Object(members_of(document, schema, depth)),
        "array" => match schema.get("items") {
            Some(items) => json!([made(document, items, depth + 1)]),
            None => json!([]),
        },
        "string" => json!(text_of(schema)),
        "integer" => schema.get("minimum").cloned().unwrap_or_else(|| json!(0)),
        "number" => schema.get("minimum").cloned().unwrap_or_else(|| json!(0.5)),
        "boolean" => json!(true),
        _null => Value::Null,
    }
}

fn members_of(document: &Value, schema: &Value, depth: usize) -> Map<String, Value> {
    let properties = schema.get("properties").and_then(Value::as_object);
    let properties = properties.into_iter().flatten();
    properties
        .map(|(name, schema)| (name.clone(), made(document, schema, depth + 1)))
        .collect()
}

fn text_of(schema: &Value) -> &'static str {
    match schema
        .get("format")
        .and_then(Value::as_str)
        .unwrap_or_default()
    {
        "date-time" => "2026-01-31T12:00:00Z",
        "date" => "2026-01-31",
        "time" => "12:00:00Z",
        "duration" => "PT1M",
        "email" => "ana@example.org",
        "hostname" => "example.org",
        "ipv4" => "192.0.2.1",
        "ipv6" => "2001:db8::1",
        "uri" | "url" => "https://example.org/",
        "uuid" => "6f1c2c1e-9d5e-4a3b-8a57-0c5f1f2f3a4b",
        _other => "text",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document() -> Value {
        json!({"paths": {"/items/{id}": {"get": {"responses": {
            "200": {"description": "", "content": {"application/json": {
                "examples": {"small": {"value": {"n": 1}}, "large": {"$ref": "#/components/examples/Large"}}}}},
            "404": {"$ref": "#/components/responses/Gone"},
            "4XX": {"description": "", "content": {"text/plain": {"example": "no"}}},
        }}, "post": {"responses": {"201": {"description": "", "content": {"application/json": {
            "schema": {"$ref": "#/components/schemas/Item"}}}}}},
            "delete": {"responses": {"204": {"description": ""}}}, "put": {"responses": {}}}},
          "components": {
            "examples": {"Large": {"value": {"n": 100}}},
            "responses": {"Gone": {"description": "", "content": {"application/problem+json": {"example": {"status": 404}}}}},
            "schemas": {"Item": {"type": "object", "properties": {
                "id": {"type": "integer", "minimum": 3}, "at": {"type": "string", "format": "date"},
                "kind": {"enum": ["a", "b"]}, "below": {"type": "array", "items": {"$ref": "#/components/schemas/Item"}},
                "who": {"allOf": [{"type": "object", "properties": {"x": {"type": "boolean"}}}, {"properties": {"y": {"type": ["string", "null"]}}}]},
            }}}}})
    }

    fn ask(method: &Method, prefer: &'static str) -> Result<(u16, Option<Value>), String> {
        let methods = [Method::GET, Method::POST, Method::DELETE];
        let plan = Plan::build(&document(), &methods, "/items/{any}").unwrap();
        let headers = HeaderMap::from_iter([(PREFER, HeaderValue::from_static(prefer))]);
        let response = plan
            .answer(method, &headers)
            .map_err(|problem| problem.detail.unwrap())?;
        let bytes = response.body().try_clone().unwrap();
        let bytes = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap()
            .block_on(body::collect(bytes, 1 << 20))
            .unwrap();
        Ok((
            response.status().as_u16(),
            serde_json::from_slice(&bytes).ok(),
        ))
    }

    #[test]
    fn examples_are_answered_as_preferred() {
        assert_eq!(ask(&Method::GET, "").unwrap(), (200, Some(json!({"n": 1}))));
        assert_eq!(
            ask(&Method::GET, "example=large").unwrap(),
            (200, Some(json!({"n": 100})))
        );
        assert_eq!(
            ask(&Method::GET, "code=404").unwrap(),
            (404, Some(json!({"status": 404})))
        );
        assert_eq!(ask(&Method::GET, "code=400").unwrap(), (400, None));
        assert_eq!(ask(&Method::DELETE, "").unwrap(), (204, None));
        let told = ask(&Method::GET, "code=200, example=none").unwrap_err();
        assert_eq!(
            told,
            "Prefer: there is no example `none`; there is small, large"
        );
        assert!(
            ask(&Method::GET, "code=500")
                .unwrap_err()
                .ends_with("there is 200, 400, 404")
        );
    }

    #[test]
    fn a_schema_without_examples_gives_a_value_of_its_types() {
        let (status, value) = ask(&Method::POST, "").unwrap();
        let value = value.unwrap();
        assert_eq!(status, 201);
        assert_eq!(
            (&value["id"], &value["at"], &value["kind"]),
            (&json!(3), &json!("2026-01-31"), &json!("a"))
        );
        assert_eq!(value["who"], json!({"x": true, "y": "text"}));
        // The circle of its items ends somewhere.
        assert_eq!(value["below"][0]["id"], 3);
    }

    #[test]
    fn an_operation_that_is_not_there_is_told_when_routes_are_built() {
        let why = Plan::build(&document(), &[Method::PATCH], "/items/{id}").unwrap_err();
        assert_eq!(why, "the service's document has no PATCH /items/{id}");
        assert!(Plan::build(&document(), &[Method::GET], "/other").is_err());
        assert!(Plan::build(&document(), &[Method::PUT], "/items/{id}").is_err());
    }
}
