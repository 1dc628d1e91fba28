//! [pure] One task: its common members and the kinds that steer.

use std::sync::Arc;

use super::reader::{At, Checker};
use super::values::Vars;
use crate::data::Data;
use crate::document::{Directive, Task};
use crate::error::ErrorFilter;
use crate::tasks::{Case, Catch, For, Fork, Kind, RaisedError, Try};
use crate::template::Template;
use crate::yaml::{Span, Value};

const KINDS: [&str; 12] = [
    "call", "do", "emit", "for", "fork", "listen", "raise", "run", "set", "switch", "try", "wait",
];
const COMMON: [&str; 7] = [
    "if", "input", "output", "export", "timeout", "then", "metadata",
];
/// The most branches of a fork.
const MAX_BRANCHES: usize = 256;

impl Checker {
    pub(super) fn task(
        &mut self,
        at: &At<'_>,
        name: &str,
        span: Span,
        locals: &Vars,
        siblings: &[String],
    ) -> Option<Arc<Task>> {
        self.count_task(at);
        if !self.map(at, "a task") {
            return None;
        }
        let kind = self.kind_of(at, name)?;
        let own: &[&str] = match kind {
            "call" => &["call", "with"],
            "for" => &["for", "while", "do"],
            "listen" => &["listen", "foreach"],
            "try" => &["try", "catch"],
            other => &[other],
        };
        let known: Vec<&str> = COMMON.iter().chain(own).copied().collect();
        self.object(at, &format!("a task of kind `{kind}`"), &known);
        let raw = locals.and(&["context", "secrets", "task", "workflow", "runtime"]);
        let inside = raw.and(&["input", "authorization"]);
        let condition = self.condition(at, "if", &raw);
        let input = self.input(at, &raw);
        let output = self.output(at, "output", &inside);
        let export = self.output(at, "export", &inside.and(&["output"]));
        let timeout = self.timeout(at, &raw);
        let then = match at.member("then") {
            Some(then) => self.directive(&then, siblings),
            None => Some(Directive::Continue),
        };
        let metadata = at.member("metadata").map(|metadata| {
            self.map(&metadata, "`metadata`");
            metadata.node.to_data()
        });
        let kind = self.kind(at, kind, locals, &inside, siblings);
        let bounded = |member: &str, present: bool| at.node.get(member).is_none() || present;
        if !bounded("if", condition.is_some()) || !bounded("timeout", timeout.is_some()) {
            return None;
        }
        let task = Arc::new(Task {
            name: name.into(),
            reference: at.pointer.as_str().into(),
            condition,
            input,
            output,
            export,
            timeout,
            then: then?,
            metadata: metadata.unwrap_or_else(Data::object),
            kind: kind?,
            position: (span.line, span.column),
            json: at.node.to_data(),
        });
        self.index
            .insert(Arc::clone(&task.reference), Arc::clone(&task));
        Some(task)
    }

    fn kind_of(&mut self, at: &At<'_>, name: &str) -> Option<&'static str> {
        let has_for = at.node.get("for").is_some();
        let mut kinds = KINDS
            .into_iter()
            .filter(|kind| at.node.get(kind).is_some() && !(*kind == "do" && has_for));
        match (kinds.next(), kinds.next()) {
            (Some(kind), None) => Some(kind),
            (Some(first), Some(second)) => {
                let message = format!("task `{name}` is both `{first}` and `{second}`");
                self.error("T0202", at.key_span(second), &at.pointer, message);
                None
            }
            (None, _) => {
                let message = format!("task `{name}` is of no kind: one of {}", KINDS.join(", "));
                self.error_at("T0201", at, message);
                let keys = at.node.as_object().unwrap_or_default();
                let mut keys = keys.iter().map(|member| member.key.as_str());
                let near = keys.find_map(|key| {
                    if COMMON.contains(&key) {
                        return None;
                    }
                    let near = crate::finding::nearest(key, KINDS)?;
                    Some(format!("did you mean `{near}` by `{key}`?"))
                });
                self.help(near);
                None
            }
        }
    }

    fn kind(
        &mut self,
        at: &At<'_>,
        kind: &str,
        locals: &Vars,
        vars: &Vars,
        siblings: &[String],
    ) -> Option<Kind> {
        let inner = at.member(kind)?;
        match kind {
            "do" => self.list_of_tasks(&inner, locals).map(Kind::Do),
            "set" => self.set(&inner, vars).map(Kind::Set),
            "switch" => self.switch(&inner, vars, siblings).map(Kind::Switch),
            "for" => self.for_(at, &inner, locals, vars),
            "fork" => self.fork(&inner, locals).map(Kind::Fork),
            "try" => self.try_(at, &inner, locals, vars, siblings),
            "raise" => self.raise(&inner, vars).map(Kind::Raise),
            "wait" => self.duration(&inner, vars).map(Kind::Wait),
            "call" => self.call(at, &inner, vars, locals),
            "listen" => self.listen(at, &inner, locals, vars),
            "emit" => self.emit(&inner, vars),
            _ => self.run(&inner, vars),
        }
    }

    fn set(&mut self, at: &At<'_>, vars: &Vars) -> Option<Template> {
        match &at.node.value {
            Value::Object(members) if members.is_empty() => {
                self.error_at("T0105", at, "`set` needs at least one member".to_owned());
                None
            }
            Value::Object(_) | Value::String(_) => self.template(at, vars),
            _ => {
                self.wrong(at, "`set`", "a map or a string");
                None
            }
        }
    }

    fn switch(&mut self, at: &At<'_>, vars: &Vars, siblings: &[String]) -> Option<Vec<Case>> {
        if !self.list(at, "`switch`") {
            return None;
        }
        if at.items().next().is_none() {
            self.error_at("T0105", at, "`switch` needs at least one case".to_owned());
        }
        let (mut cases, mut default) = (Vec::new(), false);
        for item in at.items() {
            let Some((name, span, case)) = self.one_key(&item, "a case of a switch") else {
                continue;
            };
            self.object(&case, "a case of a switch", &["when", "then"]);
            let when = self.condition(&case, "when", vars);
            if case.node.get("when").is_none() {
                if default {
                    let message = "a switch has at most one case without `when`".to_owned();
                    self.error("T0313", span, &case.pointer, message);
                }
                default = true;
            }
            let then = self.required(&case, "a case of a switch", "then");
            let then = then.and_then(|then| self.directive(&then, siblings));
            cases.push(then.map(|then| Case {
                name: name.into(),
                when,
                then,
            }));
        }
        cases.into_iter().collect()
    }

    /// The name of a variable that a member declares.
    pub(super) fn variable(&mut self, at: &At<'_>, key: &str, default: &str) -> Arc<str> {
        let Some(member) = at.member(key) else {
            return default.into();
        };
        let Some(text) = self.string(&member, &format!("`{key}`")) else {
            return default.into();
        };
        let mut letters = text.chars();
        let fits = letters
            .next()
            .is_some_and(|c| c.is_ascii_alphabetic() || c == '_')
            && letters.all(|c| c.is_ascii_alphanumeric() || c == '_');
        if !fits {
            let message = format!("`{text}` is no name for a variable");
            self.error_at("T0104", &member, message);
        }
        text.into()
    }

    fn for_(&mut self, at: &At<'_>, inner: &At<'_>, locals: &Vars, vars: &Vars) -> Option<Kind> {
        self.object(inner, "`for`", &["each", "in", "at"]);
        let each = self.variable(inner, "each", "item");
        let index = self.variable(inner, "at", "index");
        let in_ = self
            .required(inner, "`for`", "in")
            .and_then(|in_| match &in_.node.value {
                Value::Array(_) => self.template(&in_, vars),
                _ => self
                    .expression(&in_, "`in`", vars)
                    .map(Template::expression),
            });
        let names: [&str; 2] = [&each, &index];
        let while_ = self.condition(at, "while", &vars.and(&names));
        let tasks = self.required(at, "a task of kind `for`", "do");
        let tasks = tasks.and_then(|tasks| self.list_of_tasks(&tasks, &locals.and(&names)));
        Some(Kind::For(Box::new(For {
            in_: in_?,
            while_,
            tasks: tasks?,
            each,
            at: index,
        })))
    }

    fn fork(&mut self, at: &At<'_>, locals: &Vars) -> Option<Fork> {
        self.object(at, "`fork`", &["branches", "compete"]);
        let compete = self.flag(at, "compete", false);
        let branches = self.required(at, "`fork`", "branches")?;
        if branches.items().count() > MAX_BRANCHES {
            let message = format!("a fork has at most {MAX_BRANCHES} branches");
            self.error_at("T0004", &branches, message);
        }
        Some(Fork {
            branches: self.list_of_tasks(&branches, locals)?,
            compete,
        })
    }

    fn raise(&mut self, at: &At<'_>, vars: &Vars) -> Option<Arc<RaisedError>> {
        self.object(at, "`raise`", &["error"]);
        let error = self.required(at, "`raise`", "error")?;
        if let Some(name) = error.node.as_str() {
            let names: Vec<String> = self.names.use_.errors.keys().cloned().collect();
            self.known("T0301", &error, "error", &names);
            return self.names.use_.errors.get(name).cloned();
        }
        self.raised_error(&error, vars)
    }

    fn try_(
        &mut self,
        at: &At<'_>,
        inner: &At<'_>,
        locals: &Vars,
        vars: &Vars,
        siblings: &[String],
    ) -> Option<Kind> {
        let tasks = self.list_of_tasks(inner, locals);
        let catch = self.required(at, "a task of kind `try`", "catch");
        let catch = catch.and_then(|catch| self.catch(&catch, locals, vars, siblings));
        Some(Kind::Try(Box::new(Try {
            tasks: tasks?,
            catch: catch?,
        })))
    }

    fn catch(
        &mut self,
        at: &At<'_>,
        locals: &Vars,
        vars: &Vars,
        siblings: &[String],
    ) -> Option<Catch> {
        let known = ["errors", "as", "when", "exceptWhen", "retry", "do", "then"];
        if !self.object(at, "`catch`", &known) {
            return None;
        }
        let as_ = self.variable(at, "as", "error");
        let vars = vars.and(&[&as_]);
        let errors = at.member("errors").and_then(|errors| {
            self.object(&errors, "`errors`", &["with"]);
            let with = errors.member("with")?;
            self.error_filter(&with)
        });
        let retry = at.member("retry").and_then(|retry| {
            let Some(name) = retry.node.as_str() else {
                return self.retry_policy(&retry, &vars).map(Arc::new);
            };
            let names: Vec<String> = self.names.use_.retries.keys().cloned().collect();
            self.known("T0301", &retry, "retry policy", &names);
            self.names.use_.retries.get(name).cloned()
        });
        let tasks = at.member("do");
        let tasks = tasks.map(|tasks| self.list_of_tasks(&tasks, &locals.and(&[&as_])));
        let then = at.member("then");
        let then = then.map(|then| self.directive(&then, siblings));
        Some(Catch {
            errors,
            when: self.condition(at, "when", &vars),
            except_when: self.condition(at, "exceptWhen", &vars),
            retry,
            as_,
            tasks: match tasks {
                None => None,
                Some(tasks) => Some(tasks?),
            },
            then: match then {
                None => None,
                Some(then) => Some(then?),
            },
        })
    }

    fn error_filter(&mut self, at: &At<'_>) -> Option<ErrorFilter> {
        let known = ["type", "status", "instance", "title", "detail", "details"];
        if !self.object(at, "an error filter", &known) {
            return None;
        }
        if at.members().next().is_none() {
            let message = "an error filter needs at least one member".to_owned();
            self.error_at("T0105", at, message);
        }
        let status = at.member("status").and_then(|status| {
            let number = status.node.as_i64().and_then(|n| u16::try_from(n).ok());
            if number.is_none() {
                self.wrong(&status, "`status`", "a whole number");
            }
            number
        });
        let detail = self.text(at, "detail");
        Some(ErrorFilter {
            type_: self.text(at, "type"),
            status,
            instance: self.text(at, "instance"),
            title: self.text(at, "title"),
            detail: detail.or_else(|| self.text(at, "details")),
        })
    }
}
