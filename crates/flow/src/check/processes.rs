//! [pure] `run`: containers, scripts, shell commands, other flows.

use super::reader::{At, Checker};
use super::values::Vars;
use crate::tasks::{Kind, Process, Return, Run};
use crate::yaml::Value;

impl Checker {
    pub(super) fn run(&mut self, at: &At<'_>, vars: &Vars) -> Option<Kind> {
        self.cannot_run(at.node.span, &at.pointer, "`run`");
        let kinds = ["container", "script", "shell", "workflow"];
        let known = [
            "container",
            "script",
            "shell",
            "workflow",
            "await",
            "return",
        ];
        self.object(at, "`run`", &known);
        let await_ = self.flag(at, "await", true);
        let words = ["stdout", "stderr", "code", "all", "none"];
        let return_ = at.member("return");
        let return_ = return_.and_then(|return_| self.word(&return_, "`return`", &words));
        let kind = self.exactly_one(at, "`run`", &kinds)?;
        let inner = at.member(kind)?;
        let process = match kind {
            "container" => self.container(&inner, vars),
            "script" => self.script(&inner, vars),
            "shell" => self.shell(&inner),
            _ => self.workflow(&inner),
        };
        Some(Kind::Run(Box::new(Run {
            process,
            with: self.template(&inner, vars)?,
            await_,
            return_: match return_ {
                Some("stderr") => Return::Stderr,
                Some("code") => Return::Code,
                Some("all") => Return::All,
                Some("none") => Return::None,
                _ => Return::Stdout,
            },
        })))
    }

    fn container(&mut self, at: &At<'_>, vars: &Vars) -> Process {
        let known = [
            "image",
            "name",
            "command",
            "ports",
            "volumes",
            "environment",
            "stdin",
            "arguments",
            "lifetime",
            "pullPolicy",
        ];
        self.object(at, "`container`", &known);
        self.required(at, "`container`", "image");
        for key in ["image", "name", "command", "stdin"] {
            self.text(at, key);
        }
        for key in ["ports", "volumes", "environment"] {
            if let Some(member) = at.member(key) {
                self.map(&member, &format!("`{key}`"));
            }
        }
        self.arguments(at);
        if let Some(policy) = at.member("pullPolicy") {
            self.word(
                &policy,
                "`pullPolicy`",
                &["ifNotPresent", "always", "never"],
            );
        }
        if let Some(lifetime) = at.member("lifetime") {
            self.object(&lifetime, "`lifetime`", &["cleanup", "after"]);
            let cleanup = self.required(&lifetime, "`lifetime`", "cleanup");
            let words = ["always", "never", "eventually"];
            let cleanup = cleanup.and_then(|cleanup| self.word(&cleanup, "`cleanup`", &words));
            self.duration_in(&lifetime, "after", vars);
            let after = lifetime.node.get("after").is_some();
            if cleanup.is_some_and(|word| (word == "eventually") != after) {
                let message = "`after` goes with `cleanup: eventually`, and only with it";
                self.error_at("T0421", &lifetime, message.to_owned());
            }
        }
        Process::Container
    }

    fn script(&mut self, at: &At<'_>, vars: &Vars) -> Process {
        let known = [
            "language",
            "code",
            "source",
            "stdin",
            "arguments",
            "environment",
        ];
        self.object(at, "`script`", &known);
        if let Some(member) = self.required(at, "`script`", "language")
            && let Some(language) = self.string(&member, "`language`")
            && !["js", "javascript", "python"].contains(&language)
        {
            let message = format!("scripts in `{language}` are not supported; js and python are");
            self.error_at("T0422", &member, message);
        }
        self.text(at, "stdin");
        self.arguments(at);
        if let Some(environment) = at.member("environment") {
            self.map(&environment, "`environment`");
        }
        match self.exactly_one(at, "`script`", &["code", "source"]) {
            Some("code") => {
                self.text(at, "code");
            }
            Some(_) => {
                if let Some(source) = at.member("source") {
                    self.resource(&source, vars);
                }
            }
            None => {}
        }
        Process::Script
    }

    fn shell(&mut self, at: &At<'_>) -> Process {
        self.object(
            at,
            "`shell`",
            &["command", "stdin", "arguments", "environment"],
        );
        self.required(at, "`shell`", "command");
        for key in ["command", "stdin"] {
            self.text(at, key);
        }
        self.arguments(at);
        if let Some(environment) = at.member("environment") {
            self.map(&environment, "`environment`");
        }
        Process::Shell
    }

    fn workflow(&mut self, at: &At<'_>) -> Process {
        self.object(at, "`workflow`", &["namespace", "name", "version", "input"]);
        for key in ["namespace", "name"] {
            self.required(at, "`workflow`", key);
        }
        for key in ["namespace", "name", "version"] {
            self.text(at, key);
        }
        if let Some(input) = at.member("input")
            && !matches!(input.node.value, Value::Object(_) | Value::String(_))
        {
            self.wrong(&input, "`input`", "a map or an expression");
        }
        Process::Workflow
    }
}
