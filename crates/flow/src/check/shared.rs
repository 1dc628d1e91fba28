//! [pure] What a definition shares: `use`.

use std::sync::Arc;

use super::reader::{At, Checker};
use super::values::Vars;
use crate::document::Extension;
use crate::retry::{Backoff, Policy};
use crate::tasks::RaisedError;

const EXTENDABLE: [&str; 12] = [
    "call",
    "composite",
    "emit",
    "for",
    "listen",
    "raise",
    "run",
    "set",
    "switch",
    "try",
    "wait",
    "all",
];

/// What is visible in a value that any task may use.
fn anywhere() -> Vars {
    Vars::new(&[
        "context",
        "input",
        "secrets",
        "task",
        "workflow",
        "runtime",
        "authorization",
        "error",
    ])
}

impl Checker {
    pub(super) fn shared(&mut self, at: &At<'_>) {
        let known = [
            "authentications",
            "catalogs",
            "errors",
            "extensions",
            "functions",
            "retries",
            "secrets",
            "timeouts",
        ];
        if !self.object(at, "`use`", &known) {
            return;
        }
        self.secrets(at);
        self.functions_by_name(at);
        for (name, member) in self.named(at, "authentications") {
            if let Some(policy) = self.policy(&member, &anywhere()) {
                self.names.use_.authentications.insert(name, policy);
            }
        }
        for (name, member) in self.named(at, "timeouts") {
            if let Some(timeout) = self.timeout_map(&member, &anywhere()) {
                self.names.use_.timeouts.insert(name, timeout);
            }
        }
        for (name, member) in self.named(at, "errors") {
            if let Some(error) = self.raised_error(&member, &anywhere()) {
                self.names.use_.errors.insert(name, error);
            }
        }
        for (name, member) in self.named(at, "retries") {
            if let Some(policy) = self.retry_policy(&member, &anywhere()) {
                self.names.use_.retries.insert(name, Arc::new(policy));
            }
        }
        for (name, member) in self.named(at, "catalogs") {
            self.object(&member, "a catalog", &["endpoint"]);
            let endpoint = self.required(&member, "a catalog", "endpoint");
            if let Some(endpoint) = endpoint.and_then(|at| self.endpoint(&at, &anywhere())) {
                self.names.use_.catalogs.insert(name, endpoint);
            }
        }
        for (name, member) in self.named(at, "functions") {
            let span = member.node.span;
            if let Some(task) = self.task(&member, &name, span, &Vars::default(), &[]) {
                self.names.use_.functions.insert(name, task);
            }
        }
        self.extensions(at);
    }

    /// The members of a map of names.
    fn named<'a>(&mut self, at: &At<'a>, key: &str) -> Vec<(String, At<'a>)> {
        let Some(at) = at.member(key) else {
            return Vec::new();
        };
        self.map(&at, &format!("`{key}`"));
        at.members()
            .map(|(name, _, member)| (name.to_owned(), member))
            .collect()
    }

    fn secrets(&mut self, at: &At<'_>) {
        let Some(at) = at.member("secrets") else {
            return;
        };
        self.list(&at, "`secrets`");
        for item in at.items() {
            if let Some(name) = self.string(&item, "a secret's name") {
                self.names.secrets.push(name.to_owned());
            }
        }
        self.names.use_.secrets.clone_from(&self.names.secrets);
    }

    /// Functions and catalogs may be named before they are defined.
    fn functions_by_name(&mut self, at: &At<'_>) {
        let names = |key: &str| -> Vec<String> {
            let members = at.node.get(key).and_then(|node| node.as_object());
            let members = members.unwrap_or_default().iter();
            members.map(|member| member.key.clone()).collect()
        };
        self.names.functions = names("functions");
        self.names.catalogs = names("catalogs");
    }

    fn extensions(&mut self, at: &At<'_>) {
        let Some(at) = at.member("extensions") else {
            return;
        };
        self.list(&at, "`extensions`");
        for item in at.items() {
            let Some((name, _, member)) = self.one_key(&item, "an extension") else {
                continue;
            };
            self.cannot_run(item.node.span, &item.pointer, "an extension");
            self.object(
                &member,
                "an extension",
                &["extend", "when", "before", "after"],
            );
            let extend = self.required(&member, "an extension", "extend");
            let extend = extend.and_then(|at| self.word(&at, "`extend`", &EXTENDABLE));
            let when = self.condition(&member, "when", &anywhere());
            let mut tasks = |key: &str| {
                let member = member.member(key)?;
                self.list_of_tasks(&member, &Vars::default())
            };
            let (before, after) = (tasks("before"), tasks("after"));
            self.names.use_.extensions.push(Extension {
                name: name.to_owned(),
                extend: extend.unwrap_or_default().to_owned(),
                when,
                before,
                after,
            });
        }
    }

    /// The error of a `raise`, inline.
    pub(super) fn raised_error(&mut self, at: &At<'_>, vars: &Vars) -> Option<Arc<RaisedError>> {
        let known = ["type", "status", "title", "detail", "instance"];
        if !self.object(at, "an error", &known) {
            return None;
        }
        for key in ["type", "title", "detail", "instance"] {
            if let Some(member) = at.member(key) {
                self.string(&member, &format!("`{key}`"));
            }
        }
        self.required(at, "an error", "type");
        if let Some(status) = self.required(at, "an error", "status")
            && status.node.as_i64().is_none()
        {
            self.wrong(&status, "`status`", "a whole number");
        }
        let template = self.template(at, vars)?;
        Some(Arc::new(RaisedError { template }))
    }

    /// A retry policy, inline.
    pub(super) fn retry_policy(&mut self, at: &At<'_>, vars: &Vars) -> Option<Policy> {
        let known = ["when", "exceptWhen", "delay", "backoff", "jitter", "limit"];
        if !self.object(at, "a retry policy", &known) {
            return None;
        }
        let mut policy = Policy {
            when: self.condition(at, "when", vars),
            except_when: self.condition(at, "exceptWhen", vars),
            delay: self.duration_in(at, "delay", vars),
            ..Policy::default()
        };
        if let Some(backoff) = at.member("backoff") {
            let kinds = ["constant", "linear", "exponential"];
            self.object(&backoff, "`backoff`", &kinds);
            let kind = self.exactly_one(&backoff, "`backoff`", &kinds);
            if let Some(member) = kind.and_then(|kind| backoff.member(kind)) {
                self.map(&member, "the backoff's definition");
            }
            policy.backoff = match kind {
                Some("constant") => Backoff::Constant,
                Some("linear") => Backoff::Linear,
                Some(_) => Backoff::Exponential,
                None => Backoff::None,
            };
        }
        if let Some(jitter) = at.member("jitter") {
            policy.jitter = self.jitter(&jitter, vars);
        }
        if let Some(limit) = at.member("limit") {
            self.object(&limit, "`limit`", &["attempt", "duration"]);
            policy.duration = self.duration_in(&limit, "duration", vars);
            if let Some(attempt) = limit.member("attempt") {
                self.object(&attempt, "`attempt`", &["count", "duration"]);
                policy.attempt_duration = self.duration_in(&attempt, "duration", vars);
                if let Some(count) = attempt.member("count") {
                    let number = count.node.as_i64();
                    policy.count = number.and_then(|n| u32::try_from(n).ok());
                    if policy.count.is_none() {
                        self.wrong(&count, "`count`", "a whole number, not negative");
                    }
                }
            }
        }
        if policy.count.is_none() && policy.duration.is_none() {
            let message = "nothing ends these retries".to_owned();
            self.warn("T0504", at.node.span, &at.pointer, message);
            self.help(Some("set limit.attempt.count or limit.duration".to_owned()));
        }
        Some(policy)
    }

    fn jitter(
        &mut self,
        at: &At<'_>,
        vars: &Vars,
    ) -> Option<(crate::duration::TimeSpan, crate::duration::TimeSpan)> {
        use crate::duration::TimeSpan::Fixed;
        self.object(at, "`jitter`", &["from", "to"]);
        let from = self.required(at, "`jitter`", "from");
        let from = from.and_then(|at| self.duration(&at, vars));
        let to = self.required(at, "`jitter`", "to");
        let to = to.and_then(|at| self.duration(&at, vars));
        let (from, to) = from.zip(to)?;
        if let (Fixed(from), Fixed(to)) = (&from, &to)
            && from.approximate() > to.approximate()
        {
            let message = "`from` of a jitter is more than `to`".to_owned();
            self.error_at("T0416", at, message);
        }
        Some((from, to))
    }
}
