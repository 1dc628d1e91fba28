//! [pure] From text to a checked definition, with everything that was found on the way.

mod calls;
mod codes;
mod cron;
mod events;
mod lists;
mod policies;
mod processes;
mod reader;
mod shared;
mod tasks;
mod values;

use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::Arc;

use sha2::{Digest, Sha256};

use crate::data::Data;
use crate::document::{Definition, Document, Schedule};
use crate::finding::{Finding, Report, Severity, nearest};
use crate::resource::Contents;
use crate::template::Mode;
use crate::yaml;
pub use codes::CODES;
use reader::{At, Checker, Names};
use values::Vars;

const ROOT: [&str; 8] = [
    "document", "input", "use", "do", "timeout", "output", "schedule", "evaluate",
];
const DOCUMENT: [&str; 8] = [
    "dsl",
    "namespace",
    "name",
    "version",
    "title",
    "summary",
    "tags",
    "metadata",
];

/// Reads and checks a definition. All that is wrong is reported, not the first only.
///
/// Documents that lie elsewhere are not looked at: a definition that needs some cannot be run.
#[must_use]
pub fn check(source: &str) -> Report {
    check_with(source, &Contents::new())
}

/// The same, with documents that lie elsewhere.
#[must_use]
pub fn check_with(source: &str, contents: &Contents) -> Report {
    let node = match yaml::parse(source) {
        Ok(node) => node,
        Err(findings) => {
            return Report {
                definition: None,
                findings,
            };
        }
    };
    let mut checker = Checker {
        findings: Vec::new(),
        unsupported: Vec::new(),
        mode: Mode::Strict,
        names: Names::default(),
        task_count: 0,
        index: HashMap::new(),
        identity: (String::new(), String::new()),
        has_timeout: node.get("timeout").is_some(),
        contents: contents.clone(),
        resources: Vec::new(),
    };
    let root = At {
        node: &node,
        pointer: String::new(),
    };
    let definition = checker.definition(&root, source);
    let mut findings = checker.findings;
    findings.sort_by_key(|finding| (finding.line, finding.column));
    findings.dedup();
    let sound = findings
        .iter()
        .all(|finding| finding.severity != Severity::Error);
    Report {
        definition: definition.filter(|_| sound).map(Arc::new),
        findings,
    }
}

pub(crate) fn unsupported(definition: &Definition) -> Vec<Finding> {
    definition.unsupported.clone()
}

impl Checker {
    fn definition(&mut self, root: &At<'_>, source: &str) -> Option<Definition> {
        if !self.map(root, "a definition") {
            return None;
        }
        if root.node.get("specVersion").is_some() || root.node.get("states").is_some() {
            let message = "this is the Serverless Workflow language 0.8 or 0.9; 1.x is wanted";
            self.error_at("T0100", root, message.to_owned());
            return None;
        }
        self.root_members(root);
        let document = self.required(root, "a definition", "document");
        let document = document.and_then(|at| self.document(&at));
        if let Some(document) = &document {
            self.identity = (document.namespace.clone(), document.name.clone());
        }
        self.evaluate(root);
        if let Some(at) = root.member("use") {
            self.shared(&at);
        }
        let vars = Vars::new(&["secrets", "workflow", "runtime"]);
        let input = self.input(root, &vars);
        let output = self.output(root, "output", &vars.and(&["context"]));
        let timeout = self.timeout(root, &vars);
        let schedule = root.member("schedule").and_then(|at| {
            if input.schema.is_some() {
                let message = "runs of a schedule by the clock have the input {}".to_owned();
                self.warn("T0507", root.key_span("schedule"), &at.pointer, message);
            }
            self.schedule(&at)
        });
        let tasks = self.required(root, "a definition", "do");
        let tasks = tasks.and_then(|at| self.list_of_tasks(&at, &Vars::default()));
        let mut hash = Sha256::new();
        hash.update(source.as_bytes());
        // A document elsewhere that was not given has no content yet.
        self.contents.hash_into(&mut hash);
        let hash = hash.finalize();
        Some(Definition {
            document: document?,
            use_: std::mem::take(&mut self.names.use_),
            input,
            output,
            timeout,
            tasks: tasks?,
            schedule,
            source: source.into(),
            hash: hash.iter().fold(String::new(), |mut text, byte| {
                // A string takes all that is written.
                let _written = write!(text, "{byte:02x}");
                text
            }),
            resources: std::mem::take(&mut self.resources),
            json: root.node.to_data(),
            index: std::mem::take(&mut self.index),
            unsupported: std::mem::take(&mut self.unsupported),
        })
    }

    fn root_members(&mut self, root: &At<'_>) {
        for (key, span, member) in root.members() {
            if !ROOT.contains(&key) && !key.starts_with("x-") {
                let message = format!("a definition has no member `{key}`");
                self.error("T0101", span, &member.pointer, message);
                self.help(Some(match nearest(key, ROOT) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => "own members begin with `x-`".to_owned(),
                }));
            }
        }
    }

    fn document(&mut self, at: &At<'_>) -> Option<Document> {
        if !self.object(at, "`document`", &DOCUMENT) {
            return None;
        }
        let required = |checker: &mut Self, key: &str| {
            let member = checker.required(at, "`document`", key)?;
            let text = checker.string(&member, &format!("`{key}`"))?;
            Some((text.to_owned(), member))
        };
        let dsl = required(self, "dsl");
        if let Some((text, member)) = &dsl {
            match semver::Version::parse(text) {
                Ok(version) if version.major == 1 => {}
                Ok(_) => {
                    let message = format!("the language version is 1.x, not {text}");
                    self.error_at("T0110", member, message);
                }
                Err(_) => {
                    let message = format!("`{text}` is no semantic version");
                    self.error_at("T0104", member, message);
                }
            }
        }
        let version = required(self, "version");
        if let Some((text, member)) = &version
            && semver::Version::parse(text).is_err()
        {
            let message = format!("`{text}` is no semantic version such as 1.0.0");
            self.error_at("T0104", member, message);
        }
        let namespace = required(self, "namespace");
        let name = required(self, "name");
        for (text, member) in namespace.iter().chain(&name) {
            if !is_name(text) {
                let message =
                    format!("`{text}` is no name: 1 to 63 letters, digits and inner hyphens");
                self.error_at("T0104", member, message);
            }
        }
        let free = |checker: &mut Self, key: &str| {
            let member = at.member(key)?;
            checker.map(&member, &format!("`{key}`"));
            Some(member.node.to_data())
        };
        self.retention(at);
        Some(Document {
            title: self.text(at, "title"),
            summary: self.text(at, "summary"),
            tags: free(self, "tags").unwrap_or_else(Data::object),
            metadata: free(self, "metadata").unwrap_or_else(Data::object),
            dsl: dsl?.0,
            namespace: namespace?.0,
            name: name?.0,
            version: version?.0,
        })
    }

    /// `metadata.taraf.retention`
    fn retention(&mut self, document: &At<'_>) {
        let ours = document.member("metadata").and_then(|at| {
            let taraf = at.member("taraf")?;
            taraf.member("retention")
        });
        let Some(at) = ours else {
            return;
        };
        if let Some(text) = self.string(&at, "`retention`")
            && taraf_base::duration::parse(text).is_err()
        {
            let message = format!("`{text}` is not how long runs are kept; `30d` is");
            self.error_at("T0410", &at, message);
        }
    }

    fn evaluate(&mut self, root: &At<'_>) {
        let Some(at) = root.member("evaluate") else {
            return;
        };
        self.object(&at, "`evaluate`", &["language", "mode"]);
        if let Some(member) = at.member("language")
            && let Some(language) = self.string(&member, "`language`")
            && language != "jq"
        {
            let message = format!("expressions in `{language}` are not supported; jq is");
            self.error_at("T0422", &member, message);
        }
        if let Some(member) = at.member("mode") {
            let mode = self.word(&member, "`mode`", &["strict", "loose"]);
            if mode == Some("loose") {
                self.mode = Mode::Loose;
            }
        }
    }

    fn schedule(&mut self, at: &At<'_>) -> Option<Schedule> {
        let known = ["every", "cron", "after", "on", "read"];
        self.object(at, "`schedule`", &known);
        self.cannot_run(at.node.span, &at.pointer, "a schedule");
        if let Some(read) = at.member("read") {
            self.word(&read, "`read`", &["data", "envelope", "raw"]);
        }
        let kind = self.exactly_one(at, "`schedule`", &["every", "cron", "after", "on"])?;
        let member = at.member(kind)?;
        let vars = Vars::new(&["runtime"]);
        match kind {
            "every" => self.duration(&member, &vars).map(Schedule::Every),
            "after" => self.duration(&member, &vars).map(Schedule::After),
            "on" => self.strategy(&member, &vars, true).map(Schedule::On),
            _ => {
                let text = self.string(&member, "`cron`")?;
                if let Err(message) = cron::check(text) {
                    self.error_at("T0412", &member, message);
                }
                Some(Schedule::Cron(text.to_owned()))
            }
        }
    }
}

/// Letters, digits and inner hyphens, at most 63.
fn is_name(text: &str) -> bool {
    let edge = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
    text.len() <= 63
        && edge(text.chars().next())
        && edge(text.chars().last())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
}

#[cfg(test)]
mod tests;
