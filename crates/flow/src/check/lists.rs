//! [pure] Lists of tasks: names, targets, what can be reached.

use std::collections::HashMap;
use std::sync::Arc;

use super::reader::{At, Checker};
use super::values::Vars;
use crate::document::{Directive, Task, TaskList};
use crate::finding::nearest;
use crate::tasks::Kind;
use crate::yaml::Span;

const RESERVED: [&str; 3] = ["continue", "exit", "end"];
/// The most tasks of a definition.
const MAX_TASKS: usize = 1_000;

impl Checker {
    /// An item with one key: its name, where it stands, its value.
    pub(super) fn one_key<'a>(
        &mut self,
        item: &At<'a>,
        what: &str,
    ) -> Option<(&'a str, Span, At<'a>)> {
        let members: Vec<_> = item.members().collect();
        if members.len() == 1 {
            return members.into_iter().next();
        }
        let message = match members.get(1) {
            _ if item.node.as_object().is_none() => {
                format!(
                    "{what} is a map with one key, its name, not {}",
                    item.node.kind()
                )
            }
            Some((name, ..)) => format!("{what} has one key, its name; here is also `{name}`"),
            None => format!("{what} has one key, its name; here is none"),
        };
        let span = members.get(1).map_or(item.node.span, |(_, span, _)| *span);
        self.error("T0205", span, &item.pointer, message);
        None
    }

    pub(super) fn list_of_tasks(&mut self, at: &At<'_>, locals: &Vars) -> Option<Arc<TaskList>> {
        if !self.list(at, "a list of tasks") {
            return None;
        }
        let mut entries = Vec::new();
        let mut names: Vec<String> = Vec::new();
        for item in at.items() {
            let Some((name, span, member)) = self.one_key(&item, "a task in a list") else {
                continue;
            };
            if RESERVED.contains(&name) {
                let message = format!("`{name}` is a directive and no name for a task");
                if name == "end" && tolerated(at) {
                    self.warn("T0204", span, &member.pointer, message);
                } else {
                    self.error("T0204", span, &member.pointer, message);
                }
            }
            if names.iter().any(|known| known == name) {
                let message = format!("another task of this list is called `{name}`");
                self.error("T0203", span, &member.pointer, message);
            }
            names.push(name.to_owned());
            entries.push((name, span, member));
        }
        let mut tasks = Vec::new();
        for (name, span, member) in entries {
            tasks.push(self.task(&member, name, span, locals, &names));
        }
        let tasks: Option<Vec<_>> = tasks.into_iter().collect();
        let tasks = tasks?;
        self.reachable(&tasks);
        self.subflow_cycle(&tasks, at);
        let indices = names.into_iter().enumerate();
        Some(Arc::new(TaskList {
            names: indices
                .map(|(index, name)| (name, index))
                .collect::<HashMap<_, _>>(),
            tasks,
            reference: at.pointer.as_str().into(),
        }))
    }

    pub(super) fn count_task(&mut self, at: &At<'_>) {
        self.task_count += 1;
        if self.task_count == MAX_TASKS + 1 {
            let message = format!("a definition has at most {MAX_TASKS} tasks");
            self.error_at("T0004", at, message);
        }
    }

    /// A directive: a word, or a task of the same list.
    pub(super) fn directive(&mut self, at: &At<'_>, siblings: &[String]) -> Option<Directive> {
        let text = self.string(at, "`then`")?;
        let directive = match text {
            "continue" => Some(Directive::Continue),
            "exit" => Some(Directive::Exit),
            "end" => Some(Directive::End),
            name => {
                let index = siblings.iter().position(|sibling| sibling == name);
                index.map(Directive::Goto)
            }
        };
        if directive.is_none() {
            self.error_at(
                "T0312",
                at,
                format!("task `{text}` does not exist in this list"),
            );
            let names = siblings.iter().map(String::as_str).chain(RESERVED);
            let near = nearest(text, names).map(str::to_owned);
            self.help(near.map(|near| format!("did you mean `{near}`?")));
        }
        directive
    }

    /// Warns of tasks that nothing leads to, and of loops that nothing ends.
    fn reachable(&mut self, tasks: &[Arc<Task>]) {
        let mut reached = vec![false; tasks.len()];
        let mut open = vec![0_usize];
        while let Some(index) = open.pop() {
            let Some(task) = tasks.get(index).filter(|_| !reached[index]) else {
                continue;
            };
            reached[index] = true;
            for directive in ways_out(task) {
                match directive {
                    Directive::Continue => open.push(index + 1),
                    Directive::Goto(target) => {
                        open.push(target);
                        if target <= index && !self.has_timeout && task.timeout.is_none() {
                            let span = span_of(task);
                            let message =
                                format!("`{}` jumps back and no timeout ends the loop", task.name);
                            self.warn("T0506", span, &task.reference, message);
                        }
                    }
                    Directive::Exit | Directive::End => {}
                }
            }
        }
        for (task, reached) in tasks.iter().zip(reached) {
            if !reached {
                let message = format!("nothing leads to the task `{}`", task.name);
                self.warn("T0503", span_of(task), &task.reference, message);
            }
        }
    }

    /// A flow that runs itself before anything could decide otherwise.
    fn subflow_cycle(&mut self, tasks: &[Arc<Task>], at: &At<'_>) {
        if at.pointer != "/do" {
            return;
        }
        for task in tasks {
            match &task.kind {
                Kind::Switch(_) => return,
                Kind::Run(run) if task.condition.is_none() => {
                    let member = |key| {
                        let with = run.with.as_literal()?;
                        with.get(key)?.as_str()
                    };
                    let names = member("namespace").zip(member("name"));
                    if names.as_ref() == Some(&self.identity) {
                        let message = "the flow runs itself without a condition".to_owned();
                        self.error("T0423", span_of(task), &task.reference, message);
                    }
                }
                _ => {}
            }
        }
    }
}

/// A use case of the specification calls a task `end`, in an inner list where no `then` says so.
fn tolerated(list: &At<'_>) -> bool {
    let says_end = |task: &At<'_>| {
        task.node
            .get("then")
            .is_some_and(|t| t.as_str() == Some("end"))
    };
    list.pointer != "/do"
        && list
            .items()
            .all(|item| !item.members().any(|(_, _, task)| says_end(&task)))
}

fn span_of(task: &Task) -> Span {
    let (line, column) = task.position;
    let length = u32::try_from(task.name.chars().count()).unwrap_or(1);
    Span {
        line,
        column,
        length: length.max(1),
    }
}

/// Where a task may lead.
fn ways_out(task: &Task) -> Vec<Directive> {
    let mut ways = Vec::new();
    if task.condition.is_some() {
        ways.push(Directive::Continue);
    }
    match &task.kind {
        Kind::Raise(_) => return ways,
        Kind::Switch(cases) => {
            ways.extend(cases.iter().map(|case| case.then));
            if cases.iter().all(|case| case.when.is_some()) {
                ways.push(task.then);
            }
        }
        Kind::Try(try_) => {
            ways.push(task.then);
            ways.extend(try_.catch.then);
        }
        _ => ways.push(task.then),
    }
    ways
}
