//! [pure] How a run is shown: its columns, its final answer, and the exit code of that.

use serde_json::{Value, json};

use super::failure::Exit;
use super::table::{Column, lookup};

/// Columns of a list of runs, the ones that decide first.
pub(crate) const LIST: [Column; 6] = [
    Column::text("id", "id"),
    Column::state("status", "status"),
    Column::of("flow", flow),
    Column::text("created", "created"),
    Column::text("ended", "ended"),
    Column::text("why", "why"),
];

/// What `run show` tells of one run.
pub(crate) const ONE: [Column; 12] = [
    Column::text("id", "id"),
    Column::state("status", "status"),
    Column::text("why", "why"),
    Column::of("flow", flow),
    Column::text("owner", "owner"),
    Column::text("idempotency key", "idempotency_key"),
    Column::text("created", "created"),
    Column::text("started", "started"),
    Column::text("ended", "ended"),
    Column::text("input", "input"),
    Column::text("output", "output"),
    Column::text("error", "error"),
];

/// Columns of the steps of a run.
pub(crate) const JOURNAL: [Column; 5] = [
    Column::text("at", "at"),
    Column::text("event", "event"),
    Column::text("task", "task"),
    Column::number("attempt", "attempt"),
    Column::of("detail", detail),
];

/// `NAMESPACE/NAME@VERSION`.
pub(crate) fn flow(run: &Value) -> String {
    let flow = lookup(run, "flow");
    if let Some(text) = flow.as_str() {
        return text.to_owned();
    }
    let part = |name: &str| lookup(flow, name).as_str().unwrap_or("?").to_owned();
    format!("{}/{}@{}", part("namespace"), part("name"), part("version"))
}

/// What a step is about: its error, its timer, else its data.
fn detail(entry: &Value) -> String {
    if let Some(error) = entry.get("error").filter(|error| !error.is_null()) {
        let part = |name: &str| lookup(error, name).as_str().unwrap_or("").to_owned();
        return format!("{} {}", part("title"), part("detail"))
            .trim()
            .to_owned();
    }
    if let Some(until) = lookup(entry, "until").as_str() {
        return format!("until {until}");
    }
    match lookup(entry, "data") {
        Value::Null => String::new(),
        data => data.to_string(),
    }
}

/// A step as one line of talk.
pub(crate) fn step_line(entry: &Value) -> String {
    let part = |name: &str| lookup(entry, name).as_str().unwrap_or("").to_owned();
    let attempt = match lookup(entry, "attempt").as_u64() {
        Some(attempt) if attempt > 1 => format!("attempt {attempt}"),
        _ => String::new(),
    };
    let cells = [part("at"), part("event"), part("task"), attempt];
    let cells: Vec<String> = cells.into_iter().filter(|cell| !cell.is_empty()).collect();
    cells.join("  ")
}

/// Whether nothing more will happen to the run.
pub(crate) fn is_final(run: &Value) -> bool {
    matches!(status(run), "completed" | "faulted" | "cancelled")
}

pub(crate) fn status(run: &Value) -> &str {
    lookup(run, "status").as_str().unwrap_or("")
}

/// Why the run is where it is, in one sentence.
pub(crate) fn why(run: &Value) -> String {
    match lookup(run, "why").as_str() {
        Some(why) if !why.is_empty() => why.to_owned(),
        _ => format!("the run is {}", status(run)),
    }
}

/// The exit code of a command that waited for the run.
pub(crate) fn exit(run: &Value) -> Exit {
    match status(run) {
        "completed" => Exit::Done,
        "faulted" | "cancelled" => Exit::Failed,
        _ => Exit::TimedOut,
    }
}

/// The problem of a faulted run.
pub(crate) fn problem(run: &Value) -> Value {
    match lookup(run, "error") {
        Value::Null => json!({ "title": why(run) }),
        error => error.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_exit_code_follows_the_state() {
        let check = |status: &str, code| {
            assert_eq!(exit(&json!({ "status": status })).code(), code, "{status}");
        };
        check("completed", 0);
        check("faulted", 1);
        check("cancelled", 1);
        check("running", 7);
        check("waiting", 7);
    }

    #[test]
    fn a_run_without_a_reason_still_says_something() {
        assert_eq!(why(&json!({"status": "running"})), "the run is running");
        assert_eq!(why(&json!({"status": "waiting", "why": "waits"})), "waits");
    }

    #[test]
    fn a_flow_is_written_as_it_is_named() {
        let run = json!({"flow": {"namespace": "shop", "name": "order", "version": "1.0.0"}});
        assert_eq!(flow(&run), "shop/order@1.0.0");
    }
}
