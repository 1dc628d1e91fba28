//! [pure] Values with expressions in them: conditions, templates, durations, schemas, endpoints.

use super::reader::{At, Checker};
use crate::document::{Input, Output};
use crate::duration::{Span, SpanError, TimeSpan, UNITS};
use crate::expression::{CompileErrorKind, Expression, with_dollar};
use crate::resource::{self, RESOURCES_MAX, Resource};
use crate::schema::Schema;
use crate::template::{Mode, Part, Template};
use crate::uri::{Endpoint, Uri, UriTemplate};
use crate::yaml::Value;

/// What is visible in a place.
#[derive(Clone, Debug, Default)]
pub(super) struct Vars {
    names: Vec<String>,
    /// Whether secrets may be evaluated here without being stored.
    pub(super) sealed: bool,
}

impl Vars {
    pub(super) fn new(names: &[&str]) -> Self {
        Self {
            names: names.iter().map(|name| (*name).to_owned()).collect(),
            sealed: false,
        }
    }

    pub(super) fn and(&self, names: &[&str]) -> Self {
        let mut more = self.clone();
        more.names
            .extend(names.iter().map(|name| (*name).to_owned()));
        more
    }

    pub(super) fn sealed(&self) -> Self {
        Self {
            sealed: true,
            ..self.clone()
        }
    }

    fn with_dollar(&self) -> Vec<String> {
        with_dollar(self.names.iter().map(String::as_str))
    }
}

/// The text inside `${ … }` and where it begins, when the whole text is one expression.
fn unwrapped(text: &str) -> Option<(usize, &str)> {
    let trimmed = text.trim();
    let inner = trimmed.strip_prefix("${")?.strip_suffix('}')?;
    let start = inner.as_ptr().addr() - text.as_ptr().addr();
    Some((start, inner))
}

impl Checker {
    /// Compiles a part of a string that begins at that byte.
    fn compile(
        &mut self,
        at: &At<'_>,
        start: usize,
        text: &str,
        vars: &Vars,
    ) -> Option<Expression> {
        match Expression::compile(text, &vars.with_dollar()) {
            Ok(expression) => {
                self.secret(at, &expression, vars);
                Some(expression)
            }
            Err(errors) => {
                for error in errors {
                    let code = match error.kind {
                        CompileErrorKind::Syntax => "T0401",
                        CompileErrorKind::Variable => "T0402",
                        CompileErrorKind::Function => "T0403",
                        CompileErrorKind::Recursion => "T0404",
                    };
                    let span = at.node.span_at(start + error.at);
                    let message = format!("in the expression: {}", error.message);
                    self.error(code, span, &at.pointer, message);
                    self.help(error.help);
                }
                None
            }
        }
    }

    /// A secret that is read must be declared, and should not end up in stored data.
    fn secret(&mut self, at: &At<'_>, expression: &Expression, vars: &Vars) {
        if !expression.mentions_secrets() {
            return;
        }
        if !vars.sealed {
            let message = "the value of a secret may end up in stored data here".to_owned();
            self.warn("T0505", at.node.span, &at.pointer, message);
        }
        for name in secret_names(expression.text()) {
            if !self.names.secrets.contains(&name) {
                let message = format!("secret `{name}` is not listed under use.secrets");
                self.error_at("T0303", at, message);
                let known = self.names.secrets.iter().map(String::as_str);
                let near = crate::finding::nearest(&name, known).map(str::to_owned);
                self.help(near.map(|near| format!("did you mean `{near}`?")));
            }
        }
    }

    /// A string that is always jq.
    pub(super) fn expression(
        &mut self,
        at: &At<'_>,
        what: &str,
        vars: &Vars,
    ) -> Option<Expression> {
        let text = self.string(at, what)?;
        let (start, inner) = unwrapped(text).unwrap_or((0, text));
        self.compile(at, start, inner, vars)
    }

    /// An optional member that is always jq.
    pub(super) fn condition(&mut self, at: &At<'_>, key: &str, vars: &Vars) -> Option<Expression> {
        let member = at.member(key)?;
        self.expression(&member, &format!("`{key}`"), vars)
    }

    /// A data place.
    pub(super) fn template(&mut self, at: &At<'_>, vars: &Vars) -> Option<Template> {
        self.part(at, vars).map(Template::new)
    }

    /// An optional member that is a data place.
    pub(super) fn data(&mut self, at: &At<'_>, key: &str, vars: &Vars) -> Option<Template> {
        let member = at.member(key)?;
        self.template(&member, vars)
    }

    fn part(&mut self, at: &At<'_>, vars: &Vars) -> Option<Part> {
        match &at.node.value {
            Value::String(text) => self.text_part(at, text, vars),
            Value::Array(_) => {
                let parts: Vec<_> = at.items().map(|item| self.part(&item, vars)).collect();
                let parts: Vec<_> = parts.into_iter().collect::<Option<_>>()?;
                if parts.iter().all(|part| matches!(part, Part::Literal(_))) {
                    return Some(Part::Literal(at.node.to_data()));
                }
                Some(Part::Array(parts))
            }
            Value::Object(_) => {
                let part = |(key, _, member): (&str, _, At<'_>)| {
                    self.part(&member, vars).map(|part| (key.to_owned(), part))
                };
                let parts: Vec<_> = at.members().map(part).collect();
                let parts: Vec<_> = parts.into_iter().collect::<Option<_>>()?;
                if parts
                    .iter()
                    .all(|(_, part)| matches!(part, Part::Literal(_)))
                {
                    return Some(Part::Literal(at.node.to_data()));
                }
                Some(Part::Object(parts))
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => {
                Some(Part::Literal(at.node.to_data()))
            }
        }
    }

    fn text_part(&mut self, at: &At<'_>, text: &str, vars: &Vars) -> Option<Part> {
        let literal = at.node.to_data();
        if let Some((start, inner)) = unwrapped(text) {
            return self.compile(at, start, inner, vars).map(Part::Expression);
        }
        if self.mode == Mode::Loose {
            let compiled = Expression::compile(text, &vars.with_dollar());
            return Some(match compiled {
                Ok(expression) => Part::Loose(expression, literal),
                Err(_taken_literally) => Part::Literal(literal),
            });
        }
        if let Some(start) = text.find("${") {
            let message = "`${` within a text is not evaluated".to_owned();
            self.warn("T0501", at.node.span_at(start), &at.pointer, message);
            self.help(Some(
                "write one expression: ${ \"text \\(.x)\" }".to_owned(),
            ));
        } else if looks_like_jq(text, vars) {
            let message = format!("`{text}` looks like an expression but is taken literally");
            self.warn("T0502", at.node.span, &at.pointer, message);
            self.help(Some(format!("to evaluate it write ${{ {text} }}")));
        }
        Some(Part::Literal(literal))
    }

    /// `from` and `as`: a string is an expression, an object a data place.
    fn shape(&mut self, at: &At<'_>, what: &str, vars: &Vars) -> Option<Template> {
        match &at.node.value {
            Value::String(_) => self.expression(at, what, vars).map(Template::expression),
            Value::Object(_) => self.template(at, vars),
            _ => {
                self.wrong(at, what, "a string or a map");
                None
            }
        }
    }

    /// A member `input`.
    pub(super) fn input(&mut self, at: &At<'_>, vars: &Vars) -> Input {
        let Some(at) = at.member("input") else {
            return Input::default();
        };
        self.object(&at, "`input`", &["schema", "from"]);
        let from = at.member("from");
        Input {
            schema: self.schema(&at),
            from: from.and_then(|from| self.shape(&from, "`from`", &vars.sealed())),
        }
    }

    /// A member `output` or `export`.
    pub(super) fn output(&mut self, at: &At<'_>, key: &str, vars: &Vars) -> Output {
        let Some(at) = at.member(key) else {
            return Output::default();
        };
        self.object(&at, &format!("`{key}`"), &["schema", "as"]);
        let as_ = at.member("as");
        Output {
            schema: self.schema(&at),
            as_: as_.and_then(|as_| self.shape(&as_, "`as`", vars)),
        }
    }

    fn schema(&mut self, at: &At<'_>) -> Option<Schema> {
        let at = at.member("schema")?;
        self.object(&at, "`schema`", &["format", "document", "resource"]);
        let format = self.text(&at, "format");
        if let Some(format) = format.filter(|format| format.split(':').next() != Some("json")) {
            let message = format!("schemas of format `{format}` are not supported; json is");
            self.error_at("T0422", &at, message);
        }
        match self.exactly_one(&at, "`schema`", &["document", "resource"])? {
            "document" => {
                let document = at.member("document")?;
                match Schema::new(&document.node.to_json()) {
                    Ok(schema) => Some(schema),
                    Err(error) => {
                        self.error_at("T0415", &document, format!("not a JSON Schema: {error}"));
                        None
                    }
                }
            }
            _ => {
                let resource = at.member("resource")?;
                self.schema_elsewhere(&resource)
            }
        }
    }

    /// A schema in a document of its own. It is had when the definition is published: no run is
    /// there yet whose input could be put into its address.
    fn schema_elsewhere(&mut self, at: &At<'_>) -> Option<Schema> {
        let vars = Vars::new(&["secrets"]).sealed();
        let endpoint = self.resource(at, &vars)?;
        if let Uri::Template(template) = &endpoint.uri
            && !template.is_literal()
        {
            let message = "the address of a schema is known when the flow is published";
            self.error_at(
                "T0413",
                at,
                format!("{message}: there is no input to put into it"),
            );
            return None;
        }
        if self.resources.len() == RESOURCES_MAX {
            let message = format!("a definition needs at most {RESOURCES_MAX} documents elsewhere");
            self.error_at("T0004", at, message);
            return None;
        }
        self.resources.push(Resource {
            pointer: at.pointer.clone(),
            endpoint,
            span: at.node.span,
        });
        let Some(text) = self.contents.get(&at.pointer) else {
            return Some(Schema::absent());
        };
        let read = resource::read(text);
        match read.and_then(|json| {
            Schema::new(&json).map_err(|error| format!("not a JSON Schema: {error}"))
        }) {
            Ok(schema) => Some(schema),
            Err(error) => {
                self.error_at(
                    "T0417",
                    at,
                    format!("the document there cannot be used: {error}"),
                );
                None
            }
        }
    }

    /// A duration: map, ISO 8601 text, or expression.
    pub(super) fn duration(&mut self, at: &At<'_>, vars: &Vars) -> Option<TimeSpan> {
        match &at.node.value {
            Value::String(text) => {
                if let Some((start, inner)) = unwrapped(text) {
                    let compiled = self.compile(at, start, inner, vars);
                    return compiled.map(TimeSpan::Expression);
                }
                self.span(at, Span::parse(text))
            }
            Value::Object(members) => {
                let units = UNITS.map(|(unit, _)| unit);
                let before = self.findings.len();
                self.object(at, "a duration", &units);
                if members.is_empty() {
                    self.error_at("T0105", at, "a duration needs at least one unit".to_owned());
                }
                for (key, _, member) in at.members() {
                    if member.node.as_i64().is_none() && units.contains(&key) {
                        self.wrong(&member, &format!("`{key}`"), "a whole number");
                    }
                }
                if self.findings.len() > before {
                    return None;
                }
                self.span(at, Span::from_data(&at.node.to_data()))
            }
            _ => {
                self.wrong(at, "a duration", "a map or an ISO 8601 text");
                None
            }
        }
    }

    fn span(&mut self, at: &At<'_>, read: Result<Span, SpanError>) -> Option<TimeSpan> {
        match read {
            Ok(span) => Some(TimeSpan::Fixed(span)),
            Err(error) => {
                let code = match error {
                    SpanError::Text(_) => "T0410",
                    SpanError::Negative(_) => "T0411",
                };
                self.error_at(code, at, error.to_string());
                None
            }
        }
    }

    /// An optional member that is a duration.
    pub(super) fn duration_in(&mut self, at: &At<'_>, key: &str, vars: &Vars) -> Option<TimeSpan> {
        let member = at.member(key)?;
        self.duration(&member, vars)
    }

    /// A timeout: `{after}` or a name.
    pub(super) fn timeout(&mut self, at: &At<'_>, vars: &Vars) -> Option<TimeSpan> {
        let at = at.member("timeout")?;
        if let Some(name) = at.node.as_str() {
            let names: Vec<String> = self.names.use_.timeouts.keys().cloned().collect();
            self.known("T0301", &at, "timeout", &names);
            return self.names.use_.timeouts.get(name).cloned();
        }
        self.timeout_map(&at, vars)
    }

    pub(super) fn timeout_map(&mut self, at: &At<'_>, vars: &Vars) -> Option<TimeSpan> {
        self.object(at, "`timeout`", &["after"]);
        let after = self.required(at, "`timeout`", "after")?;
        self.duration(&after, vars)
    }

    /// Where a call goes.
    pub(super) fn endpoint(&mut self, at: &At<'_>, vars: &Vars) -> Option<Endpoint> {
        match &at.node.value {
            Value::String(_) => Some(Endpoint {
                uri: self.uri(at, vars)?,
                authentication: None,
            }),
            Value::Object(_) => {
                self.object(at, "an endpoint", &["uri", "authentication"]);
                let uri = self.required(at, "an endpoint", "uri");
                let uri = uri.and_then(|uri| self.uri(&uri, vars));
                let authentication = at.member("authentication");
                let authentication = authentication.map(|at| self.authentication(&at, vars));
                Some(Endpoint {
                    uri: uri?,
                    authentication: match authentication {
                        None => None,
                        Some(policy) => Some(policy?),
                    },
                })
            }
            _ => {
                self.wrong(at, "an endpoint", "a URI or a map");
                None
            }
        }
    }

    pub(super) fn uri(&mut self, at: &At<'_>, vars: &Vars) -> Option<Uri> {
        let text = self.string(at, "a URI")?;
        if let Some((start, inner)) = unwrapped(text) {
            return self
                .compile(at, start, inner, &vars.sealed())
                .map(Uri::Expression);
        }
        match UriTemplate::parse(text) {
            Ok(template) if !text.is_empty() && !text.contains(char::is_whitespace) => {
                Some(Uri::Template(template))
            }
            Ok(_) => {
                self.error_at("T0413", at, format!("`{text}` is not a URI"));
                None
            }
            Err(byte) => {
                let message = "a brace of the URI template is not closed, or holds nothing";
                self.error(
                    "T0413",
                    at.node.span_at(byte),
                    &at.pointer,
                    message.to_owned(),
                );
                None
            }
        }
    }

    /// `{name?, endpoint}`.
    pub(super) fn resource(&mut self, at: &At<'_>, vars: &Vars) -> Option<Endpoint> {
        self.object(at, "an external resource", &["name", "endpoint"]);
        self.text(at, "name");
        let endpoint = self.required(at, "an external resource", "endpoint")?;
        self.endpoint(&endpoint, vars)
    }
}

/// Names in `$secrets.NAME` and `$secrets["NAME"]`.
fn secret_names(text: &str) -> Vec<String> {
    let mut names = Vec::new();
    for (_, rest) in text
        .match_indices("$secrets")
        .map(|(at, word)| text.split_at(at + word.len()))
    {
        let quoted = rest
            .strip_prefix("[\"")
            .or_else(|| rest.strip_prefix(".\""));
        let name = match quoted {
            Some(quoted) => quoted.split('"').next().map(str::to_owned),
            None => rest.strip_prefix('.').map(|rest| {
                let word = |c: &char| c.is_ascii_alphanumeric() || *c == '_';
                rest.chars().take_while(word).collect()
            }),
        };
        names.extend(name.filter(|name: &String| !name.is_empty()));
    }
    names
}

/// Whether a text in a data place was probably meant as an expression.
fn looks_like_jq(text: &str, vars: &Vars) -> bool {
    let text = text.trim();
    if let Some(rest) = text.strip_prefix('.') {
        let next = rest.chars().next();
        return next.is_some_and(|c| c.is_ascii_alphabetic() || c == '[' || c == '_')
            && !rest.contains('/');
    }
    let Some(rest) = text.strip_prefix('$') else {
        return false;
    };
    let name: String = rest
        .chars()
        .take_while(|c| c.is_ascii_alphanumeric() || *c == '_')
        .collect();
    vars.names.contains(&name)
}
