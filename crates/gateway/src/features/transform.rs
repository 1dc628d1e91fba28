//! [pure] Changes of requests and answers on their way: headers, query, and JSON bodies by jq.

use std::collections::BTreeMap;

use http::header::{
    ACCEPT_ENCODING, ACCEPT_RANGES, CONNECTION, CONTENT_LENGTH, ETAG, EXPECT, HOST, HeaderName,
    HeaderValue, RANGE, TE, TRAILER, TRANSFER_ENCODING, UPGRADE,
};
use http::{HeaderMap, Uri};
use serde::Deserialize;
use taraf_flow::Expression;
use taraf_service::trace;
use url::form_urlencoded;

use super::Wrong;
use super::text::Text;
use crate::path::Pattern;

/// The most changes of one list.
const CHANGES_MAX: usize = 100;
/// The largest body that may be transformed, whatever a route says: more is no JSON for jq.
const BODY_BYTES_MAX: usize = 16 << 20;
/// What jq is told beside the body.
const VARIABLES: [&str; 2] = ["request", "response"];
/// Headers that say how a message is framed or where it goes: the gateway's own business.
const OURS: [HeaderName; 11] = [
    CONNECTION,
    CONTENT_LENGTH,
    EXPECT,
    HOST,
    TE,
    TRAILER,
    TRANSFER_ENCODING,
    UPGRADE,
    trace::REQUEST_ID,
    trace::TRACEPARENT,
    HeaderName::from_static("keep-alive"),
];
const OUR_PREFIX: &str = "x-taraf-";

/// Changes of requests and answers on their way.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Transform {
    /// Changes of the request.
    pub request: RequestTransform,
    /// Changes of the answer.
    pub response: ResponseTransform,
    /// The most bytes of a body that is transformed: 1 MiB; at most 16 MiB.
    pub body_max: usize,
}

impl Default for Transform {
    fn default() -> Self {
        Self {
            request: RequestTransform::default(),
            response: ResponseTransform::default(),
            body_max: 1 << 20,
        }
    }
}

/// Changes of a request.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RequestTransform {
    /// Changes of its headers, after the gateway's own.
    pub headers: HeaderChanges,
    /// Changes of its query.
    pub query: QueryChanges,
    /// jq that makes the body; `$request` is what came.
    pub body: Option<String>,
}

/// Changes of an answer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ResponseTransform {
    /// Changes of its headers.
    pub headers: HeaderChanges,
    /// jq that makes the body of an answer of the class 2xx; `$request` and `$response` are what came.
    pub body: Option<String>,
}

/// Changes of headers: first those removed, then those set, then those added.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HeaderChanges {
    /// Taken off.
    pub remove: Vec<String>,
    /// Put in place of what is there. `{cif}` stands for a parameter of the route's path.
    pub set: BTreeMap<String, String>,
    /// Put beside what is there.
    pub add: BTreeMap<String, String>,
}

/// Changes of a query: first those removed, then those set.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct QueryChanges {
    /// Parameters taken off.
    pub remove: Vec<String>,
    /// Parameters put in place of what is there.
    pub set: BTreeMap<String, String>,
}

/// The changes of a route, compiled.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) request: Heads,
    query: Query,
    pub(crate) request_body: Option<Expression>,
    pub(crate) response: Heads,
    pub(crate) response_body: Option<Expression>,
    pub(crate) body_bytes_max: usize,
}

#[derive(Debug, Default)]
pub(crate) struct Heads {
    remove: Vec<HeaderName>,
    set: Vec<(HeaderName, Filled)>,
    add: Vec<(HeaderName, Filled)>,
}

#[derive(Debug)]
enum Filled {
    Fixed(HeaderValue),
    Text(Text),
}

#[derive(Debug)]
struct Query {
    gone: Vec<String>,
    set: Vec<(String, Text)>,
}

impl Plan {
    pub(crate) fn build(transform: &Transform, pattern: &Pattern) -> Result<Self, Vec<Wrong>> {
        let mut wrong = Vec::new();
        if transform.body_max > BODY_BYTES_MAX {
            let why = format!("{} is more than {BODY_BYTES_MAX} bytes", transform.body_max);
            wrong.push(Wrong::new("transform.body_max", why));
        }
        let Transform {
            request, response, ..
        } = transform;
        let plan = Self {
            request: heads(
                "transform.request.headers",
                &request.headers,
                pattern,
                &mut wrong,
            ),
            query: query(&request.query, pattern, &mut wrong),
            request_body: jq("transform.request.body", request.body.as_ref(), &mut wrong),
            response: heads(
                "transform.response.headers",
                &response.headers,
                pattern,
                &mut wrong,
            ),
            response_body: jq(
                "transform.response.body",
                response.body.as_ref(),
                &mut wrong,
            ),
            body_bytes_max: transform.body_max,
        };
        if let Some(body) = &plan.request_body
            && body.mentions("response")
        {
            let why = "`$response` is not there yet when a request is made";
            wrong.push(Wrong::new("transform.request.body", why));
        }
        if wrong.is_empty() {
            Ok(plan)
        } else {
            Err(wrong)
        }
    }

    /// Whether an expression wants to know of the request.
    pub(crate) fn asks_for_request(&self) -> bool {
        let bodies = [&self.request_body, &self.response_body];
        bodies
            .into_iter()
            .flatten()
            .any(|body| body.mentions("request"))
    }

    /// Changes the head of a request that is ready to be sent to the service.
    pub(crate) fn change_request(&self, headers: &mut HeaderMap, values: &[String]) {
        self.request.apply(headers, values);
        if self.response_body.is_some() {
            // What is read must be whole and not compressed.
            headers.remove(ACCEPT_ENCODING);
            headers.remove(RANGE);
        }
    }

    /// Changes the head of an answer; `is_body_made` when its body is not what the service sent.
    pub(crate) fn change_answer(
        &self,
        headers: &mut HeaderMap,
        values: &[String],
        is_body_made: bool,
    ) {
        if is_body_made {
            for name in ["content-md5", "digest", "content-digest", "repr-digest"] {
                headers.remove(name);
            }
            headers.remove(CONTENT_LENGTH);
            headers.remove(ACCEPT_RANGES);
            weaken(headers);
        }
        self.response.apply(headers, values);
    }

    /// The query after the changes.
    pub(crate) fn change_query(&self, uri: &Uri, values: &[String]) -> Option<String> {
        let Query { gone, set } = &self.query;
        if gone.is_empty() {
            return uri.query().map(str::to_owned);
        }
        let is_gone = |pair: &&str| {
            let name = form_urlencoded::parse(pair.as_bytes()).next();
            name.is_some_and(|(name, _)| gone.iter().any(|gone| *gone == name))
        };
        let kept = uri.query().unwrap_or_default().split('&');
        let mut pairs: Vec<String> = kept
            .filter(|pair| !pair.is_empty() && !is_gone(pair))
            .map(str::to_owned)
            .collect();
        for (name, value) in set {
            let mut pair = form_urlencoded::Serializer::new(String::new());
            pairs.push(pair.append_pair(name, &value.fill(values)).finish());
        }
        (!pairs.is_empty()).then(|| pairs.join("&"))
    }
}

impl Heads {
    fn apply(&self, headers: &mut HeaderMap, values: &[String]) {
        for name in &self.remove {
            headers.remove(name);
        }
        for (name, value) in &self.set {
            if let Some(value) = value.fill(values) {
                headers.insert(name, value);
            }
        }
        for (name, value) in &self.add {
            if let Some(value) = value.fill(values) {
                headers.append(name, value);
            }
        }
    }
}

impl Filled {
    /// Nothing for a value that no header can hold: a caller's parameter may have any letters.
    fn fill(&self, values: &[String]) -> Option<HeaderValue> {
        match self {
            Self::Fixed(value) => Some(value.clone()),
            Self::Text(text) => HeaderValue::try_from(text.fill(values)).ok(),
        }
    }
}

/// A strong validator is one of bytes, and those have changed.
fn weaken(headers: &mut HeaderMap) {
    let Some(tag) = headers.get(ETAG) else {
        return;
    };
    if tag.as_bytes().starts_with(b"W/") {
        return;
    }
    let weak = [b"W/", tag.as_bytes()].concat();
    match HeaderValue::from_bytes(&weak) {
        Ok(weak) => headers.insert(ETAG, weak),
        Err(_odd) => headers.remove(ETAG),
    };
}

fn heads(at: &str, changes: &HeaderChanges, pattern: &Pattern, wrong: &mut Vec<Wrong>) -> Heads {
    let count = changes.remove.len() + changes.set.len() + changes.add.len();
    if count > CHANGES_MAX {
        wrong.push(Wrong::new(
            at,
            format!("{count} changes are more than {CHANGES_MAX}"),
        ));
    }
    let mut heads = Heads::default();
    for (number, name) in changes.remove.iter().enumerate() {
        match header(name) {
            Ok(name) => heads.remove.push(name),
            Err(why) => wrong.push(Wrong::new(format!("{at}.remove.{number}"), why)),
        }
    }
    for (of, written, list) in [
        ("set", &changes.set, &mut heads.set),
        ("add", &changes.add, &mut heads.add),
    ] {
        for (name, value) in written {
            let made = header(name).and_then(|known| Ok((known, filled(value, pattern)?)));
            match made {
                Ok(change) => list.push(change),
                Err(why) => wrong.push(Wrong::new(format!("{at}.{of}.{name}"), why)),
            }
        }
    }
    heads
}

fn header(name: &str) -> Result<HeaderName, String> {
    let known = HeaderName::try_from(name)
        .map_err(|_odd| format!("`{name}` is not the name of a header"))?;
    if OURS.contains(&known) || known.as_str().starts_with(OUR_PREFIX) {
        return Err(format!("`{known}` is the gateway's own"));
    }
    Ok(known)
}

fn filled(value: &str, pattern: &Pattern) -> Result<Filled, String> {
    let text = Text::parse(value, pattern)?;
    let shown = HeaderValue::try_from(text.fill(&[]))
        .map_err(|_odd| format!("`{value}` has letters that a header cannot hold"))?;
    Ok(if text.is_fixed() {
        Filled::Fixed(shown)
    } else {
        Filled::Text(text)
    })
}

fn query(changes: &QueryChanges, pattern: &Pattern, wrong: &mut Vec<Wrong>) -> Query {
    let at = "transform.request.query";
    let count = changes.remove.len() + changes.set.len();
    if count > CHANGES_MAX {
        wrong.push(Wrong::new(
            at,
            format!("{count} changes are more than {CHANGES_MAX}"),
        ));
    }
    let gone = changes.remove.iter().chain(changes.set.keys());
    let mut query = Query {
        gone: gone.cloned().collect(),
        set: Vec::new(),
    };
    for (name, value) in &changes.set {
        match Text::parse(value, pattern) {
            Ok(text) => query.set.push((name.clone(), text)),
            Err(why) => wrong.push(Wrong::new(format!("{at}.set.{name}"), why)),
        }
    }
    query
}

fn jq(at: &str, text: Option<&String>, wrong: &mut Vec<Wrong>) -> Option<Expression> {
    match Expression::new(text?, &VARIABLES) {
        Ok(expression) => Some(expression),
        Err(error) => {
            wrong.push(Wrong::new(at, error.to_string()));
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(json: serde_json::Value) -> Result<Plan, Vec<Wrong>> {
        let written: Transform = serde_json::from_value(json).unwrap();
        Plan::build(&written, &Pattern::parse("/x/{cif}").unwrap())
    }

    #[test]
    fn headers_are_removed_set_and_added_in_this_order() {
        let plan = plan(serde_json::json!({"request": {"headers": {
            "remove": ["cookie", "x-a"], "set": {"x-a": "1", "x-cif": "RO{cif}"}, "add": {"x-a": "2"},
        }}}))
        .unwrap();
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("cookie", "c"),
            ("x-a", "0"),
            ("x-cif", "?"),
            ("x-b", "kept"),
        ] {
            headers.append(name, value.parse().unwrap());
        }
        plan.change_request(&mut headers, &["123".to_owned()]);
        let all: Vec<_> = headers.get_all("x-a").iter().collect();
        assert_eq!(all, ["1", "2"]);
        assert_eq!(
            (&headers["x-cif"], &headers["x-b"]),
            (&"RO123".parse().unwrap(), &"kept".parse().unwrap())
        );
        assert!(!headers.contains_key("cookie"));
        // What a caller wrote into the path and no header can hold is left out.
        plan.change_request(&mut headers, &["1\n2".to_owned()]);
        assert_eq!(headers["x-cif"], "RO123");
    }

    #[test]
    fn a_query_keeps_what_is_not_changed_as_it_was() {
        let plan = plan(serde_json::json!({"request": {"query": {
            "remove": ["debug"], "set": {"cif": "{cif}", "fel": "a b"},
        }}}))
        .unwrap();
        let check = |from: &'static str, to: &str| {
            let uri = Uri::from_static(from);
            let values = ["1/2".to_owned()];
            assert_eq!(
                plan.change_query(&uri, &values).as_deref(),
                Some(to),
                "{from}"
            );
        };
        check("/x", "cif=1%2F2&fel=a+b");
        check(
            "/x?q=%20&debug=1&de%62ug&cif=9&z",
            "q=%20&z&cif=1%2F2&fel=a+b",
        );
    }

    #[test]
    fn a_made_body_has_no_strong_validator_and_no_digest() {
        let plan = plan(serde_json::json!({"response": {"body": "."}})).unwrap();
        let mut headers = HeaderMap::new();
        for (name, value) in [("etag", "\"a\""), ("content-length", "3"), ("digest", "x")] {
            headers.insert(name, value.parse().unwrap());
        }
        plan.change_answer(&mut headers, &[], true);
        assert_eq!(headers.len(), 1);
        assert_eq!(headers[ETAG], "W/\"a\"");
        plan.change_answer(&mut headers, &[], true);
        assert_eq!(headers[ETAG], "W/\"a\"");
    }

    #[test]
    fn what_is_wrong_names_its_member() {
        let wrong = plan(serde_json::json!({
            "body_max": 100_000_000,
            "request": {"headers": {"set": {"host": "x", "x a": "1", "x-b": "{other}"}},
                        "query": {"set": {"q": "{"}}, "body": "$response"},
            "response": {"headers": {"remove": ["x-taraf-account"]}, "body": ".["},
        }))
        .unwrap_err();
        let at: Vec<_> = wrong.iter().map(|wrong| wrong.at.as_str()).collect();
        let expected = [
            "transform.body_max",
            "transform.request.headers.set.host",
            "transform.request.headers.set.x a",
            "transform.request.headers.set.x-b",
            "transform.request.query.set.q",
            "transform.response.headers.remove.0",
            "transform.response.body",
            "transform.request.body",
        ];
        assert_eq!(at, expected, "{wrong:?}");
    }
}
