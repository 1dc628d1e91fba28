//! [pure] Events: `listen`, `emit`, and the strategies that schedules share.

use super::reader::{At, Checker};
use super::values::Vars;
use crate::tasks::{Correlation, Emit, EventFilter, Foreach, Kind, Listen, Read, Strategy, Until};
use crate::yaml::Value;

/// Attributes whose literal values are URIs, instants or data rather than patterns.
const NO_PATTERNS: [&str; 4] = ["data", "source", "dataschema", "time"];

impl Checker {
    pub(super) fn emit(&mut self, at: &At<'_>, vars: &Vars) -> Option<Kind> {
        self.cannot_run(at.node.span, &at.pointer, "`emit`");
        self.object(at, "`emit`", &["event"]);
        let event = self.required(at, "`emit`", "event")?;
        self.object(&event, "`event`", &["with"]);
        let with = self.required(&event, "`event`", "with")?;
        self.attributes(&with);
        self.required(&with, "an event", "type");
        let with = self.template(&with, vars)?;
        Some(Kind::Emit(Box::new(Emit { with })))
    }

    fn attributes(&mut self, at: &At<'_>) {
        if !self.map(at, "`with`") {
            return;
        }
        for key in [
            "id",
            "source",
            "type",
            "time",
            "subject",
            "datacontenttype",
            "dataschema",
        ] {
            if let Some(member) = at.member(key) {
                self.string(&member, &format!("`{key}`"));
            }
        }
    }

    pub(super) fn listen(
        &mut self,
        at: &At<'_>,
        inner: &At<'_>,
        locals: &Vars,
        vars: &Vars,
    ) -> Option<Kind> {
        self.cannot_run(inner.node.span, &inner.pointer, "`listen`");
        self.object(inner, "`listen`", &["to", "read"]);
        let to = self.required(inner, "`listen`", "to");
        let to = to.and_then(|to| self.strategy(&to, vars, true));
        let read = inner
            .member("read")
            .and_then(|read| self.word(&read, "`read`", &["data", "envelope", "raw"]));
        let foreach = at.member("foreach");
        let foreach = foreach.map(|foreach| self.foreach(&foreach, locals, vars));
        Some(Kind::Listen(Box::new(Listen {
            to: to?,
            read: match read {
                Some("envelope") => Read::Envelope,
                Some("raw") => Read::Raw,
                _ => Read::Data,
            },
            foreach: match foreach {
                None => None,
                Some(foreach) => Some(foreach?),
            },
        })))
    }

    pub(super) fn foreach(&mut self, at: &At<'_>, locals: &Vars, vars: &Vars) -> Option<Foreach> {
        self.object(at, "`foreach`", &["item", "at", "do", "output", "export"]);
        let item = self.variable(at, "item", "item");
        let index = self.variable(at, "at", "index");
        let names: [&str; 2] = [&item, &index];
        let tasks = at.member("do");
        let tasks = tasks.map(|tasks| self.list_of_tasks(&tasks, &locals.and(&names)));
        let vars = vars.and(&names);
        Some(Foreach {
            output: self.output(at, "output", &vars),
            export: self.output(at, "export", &vars.and(&["output"])),
            tasks: match tasks {
                None => None,
                Some(tasks) => Some(tasks?),
            },
            item,
            at: index,
        })
    }

    pub(super) fn strategy(&mut self, at: &At<'_>, vars: &Vars, until: bool) -> Option<Strategy> {
        let known: &[&str] = match (at.node.get("any").is_some(), until) {
            (true, true) => &["one", "any", "all", "until"],
            _ => &["one", "any", "all"],
        };
        if !self.object(at, "a strategy for events", known) {
            return None;
        }
        let kind = self.exactly_one(at, "a strategy for events", &["one", "any", "all"])?;
        let member = at.member(kind)?;
        if kind == "one" {
            return self.filter(&member, vars).map(Strategy::One);
        }
        if !self.list(&member, &format!("`{kind}`")) {
            return None;
        }
        let filters: Vec<_> = member
            .items()
            .map(|item| self.filter(&item, vars))
            .collect();
        let until = at.member("until").filter(|_| until && kind == "any");
        let until = until.map(|until| match until.node.value {
            Value::String(_) => self
                .expression(&until, "`until`", vars)
                .map(Until::Condition),
            _ => self
                .strategy(&until, vars, false)
                .map(|strategy| Until::Strategy(Box::new(strategy))),
        });
        let filters: Vec<EventFilter> = filters.into_iter().collect::<Option<_>>()?;
        Some(match (kind, until) {
            ("all", _) => Strategy::All(filters),
            (_, None) => Strategy::Any(filters, None),
            (_, Some(until)) => Strategy::Any(filters, Some(until?)),
        })
    }

    fn filter(&mut self, at: &At<'_>, vars: &Vars) -> Option<EventFilter> {
        if !self.object(at, "an event filter", &["with", "correlate"]) {
            return None;
        }
        let with = self.required(at, "an event filter", "with");
        let correlate = at.member("correlate");
        let correlate = correlate.map(|correlate| self.correlate(&correlate, vars));
        let with = with?;
        self.attributes(&with);
        if with.members().next().is_none() {
            let message = "an event filter needs at least one attribute".to_owned();
            self.error_at("T0105", &with, message);
        }
        let mut attributes = Vec::new();
        for (name, _, member) in with.members() {
            if let Some(text) = member.node.as_str()
                && !NO_PATTERNS.contains(&name)
                && !text.trim().starts_with("${")
                && let Err(error) = regex::Regex::new(text)
            {
                let error = error.to_string();
                let last = error.lines().last().unwrap_or_default();
                let message = format!("`{text}` is no regular expression: {last}");
                self.error_at("T0414", &member, message);
            }
            let template = self.template(&member, vars);
            attributes.push(template.map(|template| (name.into(), template)));
        }
        Some(EventFilter {
            with: attributes.into_iter().collect::<Option<_>>()?,
            correlate: match correlate {
                None => Vec::new(),
                Some(correlate) => correlate?,
            },
        })
    }

    fn correlate(&mut self, at: &At<'_>, vars: &Vars) -> Option<Vec<Correlation>> {
        if !self.map(at, "`correlate`") {
            return None;
        }
        let mut correlations = Vec::new();
        for (name, _, member) in at.members() {
            self.object(&member, "a correlation", &["from", "expect"]);
            let from = self.required(&member, "a correlation", "from");
            let from = from.and_then(|from| self.expression(&from, "`from`", vars));
            let expect = self.data(&member, "expect", vars);
            correlations.push(from.map(|from| Correlation {
                name: name.into(),
                from,
                expect,
            }));
        }
        correlations.into_iter().collect()
    }
}
