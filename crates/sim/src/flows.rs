//! [pure] Random flows: every kind of task that runs, nested, made from the seed.

use std::sync::Arc;

use serde_json::{Map, Value, json};
use taraf_flow::{Definition, check};

use crate::dice::Dice;

/// Lists inside lists.
const DEPTH_MAX: u32 = 3;
/// Tasks of one flow.
const TASKS_MAX: u32 = 14;
/// Milliseconds of the longest `wait`.
const WAIT_MAX: u64 = 8_000;

/// Where a task stands, as far as what it may be depends on it.
#[derive(Clone, Copy)]
struct Place {
    depth: u32,
    in_fork: bool,
    /// Name of the loop variable or error that expressions may read, if any.
    local: Option<&'static str>,
}

struct Maker<'a> {
    dice: &'a mut Dice,
    left: u32,
    names: u32,
    with_timeouts: bool,
}

/// A flow of that number.
///
/// # Panics
/// When the flow is refused: then this file writes what the language does not allow.
#[expect(
    clippy::panic,
    reason = "a flow that this file makes and the checker refuses"
)]
pub(crate) fn random(dice: &mut Dice, number: usize) -> Arc<Definition> {
    let with_timeouts = dice.percent(20);
    let mut maker = Maker {
        left: TASKS_MAX,
        names: 0,
        with_timeouts,
        dice,
    };
    let place = Place {
        depth: 0,
        in_fork: false,
        local: None,
    };
    let tasks = maker.list(place);
    let mut document = json!({
        "document": {
            "dsl": "1.0.3", "namespace": "sim", "name": format!("flow-{number}"), "version": "1.0.0",
        },
        "do": tasks,
    });
    if maker.with_timeouts && maker.dice.percent(30) {
        document["timeout"] = json!({"after": {"seconds": maker.dice.between(5, 60)}});
    }
    let text = document.to_string();
    let report = check(&text);
    let findings = report.findings;
    report
        .definition
        .unwrap_or_else(|| panic!("a random flow is refused: {findings:?}\n{text}"))
}

impl Maker<'_> {
    fn list(&mut self, place: Place) -> Value {
        let count = self.dice.between(1, 4);
        let names: Vec<String> = (0..count).map(|_| self.name()).collect();
        let mut tasks = Vec::new();
        for (at, name) in names.iter().enumerate() {
            let task = self.task(place, &names[at + 1..]);
            tasks.push(json!({ name: task }));
        }
        Value::Array(tasks)
    }

    fn name(&mut self) -> String {
        self.names += 1;
        format!("t{}", self.names)
    }

    fn task(&mut self, place: Place, later: &[String]) -> Value {
        self.left = self.left.saturating_sub(1);
        let may_nest = place.depth < DEPTH_MAX && self.left > 0;
        let mut task = match self.dice.between(0, if may_nest { 12 } else { 6 }) {
            0 => self.set(place),
            1 | 2 => self.call(),
            3 => json!({"wait": {"milliseconds": self.dice.between(1, WAIT_MAX)}}),
            4 => self.switch(place, later),
            5 if self.dice.percent(30) => self.raise(),
            5 | 6 => self.call(),
            7 => json!({"do": self.list(deeper(place))}),
            8 | 9 => self.for_each(place),
            10 => self.fork(place),
            _ => self.try_catch(place),
        };
        self.dress(&mut task, place, later);
        task
    }

    /// What every kind of task may have.
    fn dress(&mut self, task: &mut Value, place: Place, later: &[String]) {
        let Some(task) = task.as_object_mut() else {
            return;
        };
        if self.dice.percent(12) {
            let test = self.test(place);
            put(task, "if", test);
        }
        if self.dice.percent(10) {
            put(
                task,
                "input",
                json!({"from": "${ {n: ((.n? // 0) + 2), was: .n?} }"}),
            );
        }
        if self.dice.percent(15) {
            put(
                task,
                "output",
                json!({"as": "${ {n: (.n? // 1), of: $input.n?} }"}),
            );
        }
        if !place.in_fork && self.dice.percent(15) {
            let context = "${ {seen: (($context.seen? // 0) + 1), n: (.n? // 0)} }";
            put(task, "export", json!({"as": context}));
        }
        if self.with_timeouts && self.dice.percent(25) {
            let after = self.dice.between(200, 9_000);
            put(task, "timeout", json!({"after": {"milliseconds": after}}));
        }
        if !task.contains_key("switch") && self.dice.percent(6) {
            let then = match later.last() {
                Some(name) if self.dice.percent(60) => name.clone(),
                _ => "exit".to_owned(),
            };
            put(task, "then", json!(then));
        }
    }

    fn test(&mut self, place: Place) -> Value {
        let modulus = self.dice.between(2, 3);
        let what = match place.local {
            Some("item") if self.dice.percent(50) => "$item",
            Some("error") if self.dice.percent(50) => "$error.status",
            _ => "(.n? // 0)",
        };
        json!(format!("${{ ({what} % {modulus}) == 0 }}"))
    }

    fn set(&mut self, place: Place) -> Value {
        let n = self.dice.between(1, 9);
        let from = match place.local {
            Some("item") => format!("${{ (.n? // 0) * 3 + $item + {n} }}"),
            Some("error") => format!("${{ $error.status + {n} }}"),
            _ => format!("${{ (.n? // 0) + ($context.seen? // 0) + {n} }}"),
        };
        let mut fields = json!({"n": from, "tag": self.dice.between(0, 99)});
        if self.dice.percent(20) {
            // Much data in one group: the run pauses.
            fields["bulk"] = json!("y".repeat(700));
        }
        json!({ "set": fields })
    }

    fn call(&mut self) -> Value {
        let method = *self.dice.pick(&["get", "post", "put", "post"]);
        let mut call = json!({
            "call": "http",
            "with": {"method": method, "endpoint": "http://service/x"},
        });
        if method != "get" {
            call["with"]["body"] = json!({"n": "${ .n? // 0 }"});
        }
        if method == "post" && self.dice.percent(40) {
            call["metadata"] = json!({"taraf": {"atMostOnce": true}});
        }
        call
    }

    fn switch(&mut self, place: Place, later: &[String]) -> Value {
        let mut cases = Vec::new();
        for case in 0..self.dice.between(1, 2) {
            let then = self.directive(place, later);
            let when = self.test(place);
            cases.push(json!({ format!("case{case}"): {"when": when, "then": then} }));
        }
        if self.dice.percent(50) {
            let then = self.directive(place, later);
            cases.push(json!({"default": {"then": then}}));
        }
        json!({ "switch": cases })
    }

    fn directive(&mut self, place: Place, later: &[String]) -> String {
        match self.dice.between(0, 9) {
            0..5 if !later.is_empty() => self.dice.pick(later).clone(),
            5 => "exit".to_owned(),
            // Which branch ends the run would be decided by chance.
            6 if !place.in_fork => "end".to_owned(),
            _ => "continue".to_owned(),
        }
    }

    fn raise(&mut self) -> Value {
        let status = *self.dice.pick(&[400_u16, 409, 503]);
        let type_ = format!("https://example.org/errors/{status}");
        json!({"raise": {"error": {"type": type_, "status": status, "title": "raised"}}})
    }

    fn for_each(&mut self, place: Place) -> Value {
        let items = match self.dice.between(0, 2) {
            0 => "${ [1, 2, 3] }",
            1 => "${ [range(0; ((.n? // 0) % 4))] }",
            _ => "${ [5, 6] }",
        };
        let inside = Place {
            local: Some("item"),
            ..deeper(place)
        };
        let list = self.list(inside);
        let mut task = json!({"for": {"each": "item", "in": items}, "do": list});
        if self.dice.percent(25) {
            task["while"] = json!("${ (.n? // 0) < 60 }");
        }
        task
    }

    fn fork(&mut self, place: Place) -> Value {
        let inside = Place {
            in_fork: true,
            ..deeper(place)
        };
        let mut branches = Vec::new();
        for _ in 0..self.dice.between(1, 3) {
            let name = self.name();
            branches.push(json!({ name: self.task(inside, &[]) }));
        }
        json!({"fork": {"compete": self.dice.percent(50), "branches": branches}})
    }

    fn try_catch(&mut self, place: Place) -> Value {
        let tried = self.list(deeper(place));
        let mut catch = json!({});
        if self.dice.percent(30) {
            catch["errors"] = json!({"with": {"status": *self.dice.pick(&[400_u16, 503])}});
        }
        if self.dice.percent(65) {
            let backoff = *self.dice.pick(&["constant", "linear", "exponential"]);
            let mut retry = json!({
                "delay": {"milliseconds": self.dice.between(10, 1_500)},
                "backoff": {backoff: {}},
                "limit": {"attempt": {"count": self.dice.between(1, 4)}},
            });
            if self.with_timeouts && self.dice.percent(40) {
                let most = self.dice.between(500, 9_000);
                retry["limit"]["attempt"]["duration"] = json!({"milliseconds": most});
            }
            catch["retry"] = retry;
        }
        if self.dice.percent(60) {
            let inside = Place {
                local: Some("error"),
                ..deeper(place)
            };
            catch["do"] = self.list(inside);
        }
        json!({"try": tried, "catch": catch})
    }
}

fn deeper(place: Place) -> Place {
    Place {
        depth: place.depth + 1,
        ..place
    }
}

fn put(task: &mut Map<String, Value>, name: &str, value: Value) {
    task.insert(name.to_owned(), value);
}
