//! [pure] Requests checked against the service's OpenAPI document before they reach it.

use std::collections::BTreeMap;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, Method, Uri};
use serde::Deserialize;
use serde::de::{Deserializer, Error as _};
use serde_json::{Value, json};
use taraf_flow::{Data, Schema};
use taraf_service::{Problem, problem};
use url::form_urlencoded;

use super::canary::cookie;
use super::operation::{self, Found, resolve};
use crate::path::{Pattern, Segments};

/// The most bytes of a body that is checked.
const BODY_BYTES_MAX: usize = 16 << 20;
/// The most faults that are told.
const FAULTS_MAX: usize = 10;
/// The most parameters of one operation.
const PARAMETERS_MAX: usize = 200;

/// What of a request is checked; `true` for all of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Validate {
    /// Path, query, headers and cookies: true.
    pub parameters: bool,
    /// The body and its type: true.
    pub body: bool,
    /// The most bytes of a body that is checked: 1 MiB; at most 16 MiB.
    pub body_max: usize,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Written {
    parameters: bool,
    body: bool,
    body_max: usize,
}

impl Default for Written {
    fn default() -> Self {
        Self {
            parameters: true,
            body: true,
            body_max: 1 << 20,
        }
    }
}

impl<'de> Deserialize<'de> for Validate {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let written = match Value::deserialize(deserializer)? {
            Value::Bool(true) => Written::default(),
            value @ Value::Object(_) => Written::deserialize(value).map_err(D::Error::custom)?,
            _other => return Err(D::Error::custom("`true` or a mapping is expected")),
        };
        let Written {
            parameters,
            body,
            body_max,
        } = written;
        Ok(Self {
            parameters,
            body,
            body_max: body_max.min(BODY_BYTES_MAX),
        })
    }
}

/// The checks of each method of a route.
#[derive(Debug)]
pub(crate) struct Plan {
    operations: BTreeMap<String, Checks>,
    pub(crate) body_bytes_max: usize,
}

#[derive(Debug)]
struct Checks {
    /// The path at the service, for the values of its parameters.
    path: Pattern,
    parameters: Vec<Parameter>,
    body: Option<BodyCheck>,
}

#[derive(Debug)]
struct Parameter {
    name: String,
    place: Place,
    is_required: bool,
    /// How a list is written: repeated, or with commas.
    is_repeated: bool,
    types: Vec<String>,
    item_types: Vec<String>,
    schema: Schema,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Path,
    Query,
    Header,
    Cookie,
}

#[derive(Debug)]
struct BodyCheck {
    is_required: bool,
    /// By media type, in small letters; nothing for one whose content is not checked.
    contents: Vec<(String, Option<Schema>)>,
}

/// A fault of a request.
struct Fault {
    place: &'static str,
    pointer: String,
    reason: String,
}

impl Plan {
    pub(crate) fn build(
        validate: &Validate,
        document: &Value,
        methods: &[Method],
        to: &str,
    ) -> Result<Self, String> {
        let mut operations = BTreeMap::new();
        for method in methods {
            let found = operation::find(document, method, to);
            let found =
                found.ok_or_else(|| format!("the service's document has no {method} {to}"))?;
            operations.insert(method.to_string(), Checks::build(validate, &found)?);
        }
        Ok(Self {
            operations,
            body_bytes_max: validate.body_max,
        })
    }

    fn of(&self, method: &Method) -> Option<&Checks> {
        let own = self.operations.get(method.as_str());
        own.or_else(|| {
            self.operations
                .get("GET")
                .filter(|_| *method == Method::HEAD)
        })
    }

    /// Whether the body must be read for the checks.
    pub(crate) fn reads_body(&self, method: &Method) -> bool {
        self.of(method).is_some_and(|checks| checks.body.is_some())
    }

    /// Checks a request; `to` is its path at the service.
    pub(crate) fn check(
        &self,
        method: &Method,
        to: &str,
        uri: &Uri,
        headers: &HeaderMap,
        body: Option<&Bytes>,
    ) -> Result<(), Problem> {
        let Some(checks) = self.of(method) else {
            return Ok(());
        };
        let mut faults = Vec::new();
        checks.check_parameters(to, uri, headers, &mut faults);
        if let (Some(check), Some(body)) = (&checks.body, body) {
            check.check(headers, body, &mut faults)?;
        }
        if faults.is_empty() {
            return Ok(());
        }
        faults.truncate(FAULTS_MAX);
        let told: Vec<_> = faults
            .iter()
            .map(|fault| format!("{} {}: {}", fault.place, fault.pointer, fault.reason))
            .collect();
        let errors: Vec<_> = faults.iter().map(|fault| {
            json!({"in": fault.place, "pointer": fault.pointer, "reason": fault.reason})
        }).collect();
        Err(problem::VALIDATION_FAILED
            .with_detail(told.join("; "))
            .with("errors", errors))
    }
}

impl Checks {
    fn build(validate: &Validate, found: &Found<'_>) -> Result<Self, String> {
        let path = Pattern::parse(found.path).map_err(|error| error.to_string())?;
        let mut parameters = Vec::new();
        if validate.parameters {
            for written in written_parameters(found)? {
                parameters.extend(Parameter::build(found.document, written)?);
            }
        }
        let body = found.operation.get("requestBody").filter(|_| validate.body);
        let body = body
            .map(|body| BodyCheck::build(found.document, body))
            .transpose()?;
        Ok(Self {
            path,
            parameters,
            body,
        })
    }

    fn check_parameters(&self, to: &str, uri: &Uri, headers: &HeaderMap, faults: &mut Vec<Fault>) {
        if self.parameters.is_empty() {
            return;
        }
        let segments = Segments::read(to).ok();
        let values = segments.map(|segments| self.path.capture(segments.as_slice()));
        let in_path: BTreeMap<&str, String> = self
            .path
            .parameters()
            .zip(values.unwrap_or_default())
            .collect();
        let query: Vec<(String, String)> =
            form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes())
                .into_owned()
                .collect();
        for parameter in &self.parameters {
            let name = parameter.name.as_str();
            let texts: Vec<String> = match parameter.place {
                Place::Path => in_path.get(name).cloned().into_iter().collect(),
                Place::Query => query
                    .iter()
                    .filter(|(known, _)| known == name)
                    .map(|(_, value)| value.clone())
                    .collect(),
                Place::Header => headers
                    .get_all(name)
                    .iter()
                    .map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
                    .collect(),
                Place::Cookie => cookie(headers, name)
                    .map(str::to_owned)
                    .into_iter()
                    .collect(),
            };
            parameter.check(texts, faults);
        }
    }
}

/// The operation's own parameters, then those of its path that it does not replace.
fn written_parameters<'d>(found: &Found<'d>) -> Result<Vec<&'d Value>, String> {
    let lists = [
        found.operation.get("parameters"),
        found.item.get("parameters"),
    ];
    let mut written: Vec<&Value> = Vec::new();
    for parameter in lists
        .into_iter()
        .flatten()
        .filter_map(Value::as_array)
        .flatten()
    {
        let parameter = resolve(found.document, parameter)
            .ok_or_else(|| "a parameter of the service's document refers to nothing".to_owned())?;
        let same = |other: &&Value| {
            ["name", "in"]
                .iter()
                .all(|member| other.get(member) == parameter.get(member))
        };
        if !written.iter().any(same) {
            written.push(parameter);
        }
    }
    if written.len() > PARAMETERS_MAX {
        return Err(format!(
            "an operation of the service's document has more than {PARAMETERS_MAX} parameters"
        ));
    }
    Ok(written)
}

impl Parameter {
    /// Nothing for a parameter that is not checked: an object, or one in another media type.
    fn build(document: &Value, written: &Value) -> Result<Option<Self>, String> {
        let text = |member: &str| {
            written
                .get(member)
                .and_then(Value::as_str)
                .unwrap_or_default()
        };
        let place = match text("in") {
            "path" => Place::Path,
            "query" => Place::Query,
            "header" => Place::Header,
            "cookie" => Place::Cookie,
            _other => return Ok(None),
        };
        let Some(schema) = written.get("schema") else {
            return Ok(None);
        };
        let types = types(document, schema);
        // RFC 9110's own headers are not parameters (OpenAPI 3.1 §4.8.12.2.1); objects have many forms.
        let is_standard = ["accept", "content-type", "authorization"]
            .iter()
            .any(|name| place == Place::Header && text("name").eq_ignore_ascii_case(name));
        if is_standard || types.iter().any(|kind| kind == "object") {
            return Ok(None);
        }
        let items = resolve(document, schema).and_then(|schema| schema.get("items"));
        let style = text("style");
        let is_form = style.is_empty() || style == "form";
        let explodes = written
            .get("explode")
            .and_then(Value::as_bool)
            .unwrap_or(is_form);
        Ok(Some(Self {
            name: text("name").to_owned(),
            place,
            is_required: written
                .get("required")
                .and_then(Value::as_bool)
                .unwrap_or(false),
            is_repeated: matches!(place, Place::Query) && explodes,
            item_types: items.map_or_else(Vec::new, |items| self::types(document, items)),
            types,
            schema: compile(document, schema)?,
        }))
    }

    fn check(&self, mut texts: Vec<String>, faults: &mut Vec<Fault>) {
        let place = match self.place {
            Place::Path => "path",
            Place::Query => "query",
            Place::Header => "header",
            Place::Cookie => "cookie",
        };
        let mut fault = |pointer: &str, reason: String| {
            let pointer = format!(
                "/{}{}",
                self.name.replace('~', "~0").replace('/', "~1"),
                pointer
            );
            faults.push(Fault {
                place,
                pointer,
                reason,
            });
        };
        if texts.is_empty() {
            if self.is_required {
                fault("", "is missing".to_owned());
            }
            return;
        }
        let is_list = self.types.iter().any(|kind| kind == "array");
        let value = if is_list {
            if !self.is_repeated {
                let all = texts.join(",");
                texts = all.split(',').map(|item| item.trim().to_owned()).collect();
            }
            let items = texts.iter().map(|text| read_as(text, &self.item_types));
            Value::Array(items.collect())
        } else if texts.len() > 1 && self.place == Place::Query {
            fault("", "is given more than once".to_owned());
            return;
        } else {
            read_as(&texts.join(", "), &self.types)
        };
        for (pointer, reason) in faults_of(&self.schema, &Data::from_json(&value)) {
            fault(&pointer, reason);
        }
    }
}

impl BodyCheck {
    fn build(document: &Value, written: &Value) -> Result<Self, String> {
        let written = resolve(document, written)
            .ok_or_else(|| "a body of the service's document refers to nothing".to_owned())?;
        let mut contents = Vec::new();
        let listed = written.get("content").and_then(Value::as_object);
        for (media_type, content) in listed.into_iter().flatten() {
            let name = media_type
                .split(';')
                .next()
                .unwrap_or_default()
                .trim()
                .to_ascii_lowercase();
            let schema = content.get("schema").filter(|_| is_json(&name));
            let schema = schema.map(|schema| compile(document, schema)).transpose()?;
            contents.push((name, schema));
        }
        let is_required = written
            .get("required")
            .and_then(Value::as_bool)
            .unwrap_or(false);
        Ok(Self {
            is_required,
            contents,
        })
    }

    fn check(
        &self,
        headers: &HeaderMap,
        body: &Bytes,
        faults: &mut Vec<Fault>,
    ) -> Result<(), Problem> {
        let mut fault = |pointer: String, reason: String| {
            faults.push(Fault {
                place: "body",
                pointer,
                reason,
            });
        };
        if body.is_empty() {
            if self.is_required {
                fault("/".to_owned(), "is missing".to_owned());
            }
            return Ok(());
        }
        let given = headers
            .get(CONTENT_TYPE)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default();
        let given = given
            .split(';')
            .next()
            .unwrap_or_default()
            .trim()
            .to_ascii_lowercase();
        let Some((_, schema)) = self.contents.iter().find(|(known, _)| takes(known, &given)) else {
            let known: Vec<_> = self
                .contents
                .iter()
                .map(|(known, _)| known.as_str())
                .collect();
            let detail = format!("the body must be {}", known.join(" or "));
            return Err(problem::UNSUPPORTED_MEDIA_TYPE.with_detail(detail));
        };
        let Some(schema) = schema.as_ref().filter(|_| is_json(&given)) else {
            return Ok(());
        };
        match Data::from_bytes(body.clone()) {
            Ok(data) => faults_of(schema, &data)
                .into_iter()
                .for_each(|(at, why)| fault(at, why)),
            Err(error) => fault("/".to_owned(), error.to_string()),
        }
        Ok(())
    }
}

/// Whether a media type or range of the document takes the one that came.
fn takes(known: &str, given: &str) -> bool {
    known == "*/*"
        || known == given
        || known
            .strip_suffix('*')
            .is_some_and(|prefix| prefix.ends_with('/') && given.starts_with(prefix))
}

fn is_json(media_type: &str) -> bool {
    media_type == "application/json" || media_type.ends_with("+json") || media_type == "*/*"
}

/// What of a value does not hold: pointer and reason.
fn faults_of(schema: &Schema, data: &Data) -> Vec<(String, String)> {
    let Err(error) = schema.validate(data) else {
        return Vec::new();
    };
    let part = |violation: String| match violation.split_once(": ") {
        Some(("/", reason)) => (String::new(), reason.to_owned()),
        Some((pointer, reason)) => (pointer.to_owned(), reason.to_owned()),
        None => (String::new(), violation),
    };
    error.violations.into_iter().map(part).collect()
}

/// Compiles a schema of a document beside the components that it may refer to.
fn compile(document: &Value, schema: &Value) -> Result<Schema, String> {
    let mut whole = json!({"allOf": [schema]});
    if let Some(components) = document.get("components") {
        whole["components"] = components.clone();
    }
    Schema::new(&whole).map_err(|error| format!("a schema of the service's document: {error}"))
}

/// The types that a schema allows.
fn types(document: &Value, schema: &Value) -> Vec<String> {
    let kinds = resolve(document, schema).and_then(|schema| schema.get("type"));
    match kinds {
        Some(Value::String(kind)) => vec![kind.clone()],
        Some(Value::Array(kinds)) => kinds
            .iter()
            .filter_map(Value::as_str)
            .map(str::to_owned)
            .collect(),
        Some(_) | None => Vec::new(),
    }
}

/// A text as the value that its types make of it; as text where they make nothing of it, so that the
/// schema says what is wrong.
fn read_as(text: &str, types: &[String]) -> Value {
    for kind in types {
        let value = match kind.as_str() {
            "integer" => text.parse::<i64>().ok().map(Value::from),
            "number" => text
                .parse::<f64>()
                .ok()
                .filter(|number| number.is_finite())
                .map(Value::from),
            "boolean" => text.parse::<bool>().ok().map(Value::from),
            "null" => text.is_empty().then_some(Value::Null),
            _text => None,
        };
        if let Some(value) = value {
            return value;
        }
    }
    Value::from(text)
}
