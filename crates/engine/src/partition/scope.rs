//! [pure] What expressions of a run see, and the actions that need it.

use std::sync::{Arc, LazyLock};

use taraf_base::Timestamp;
use taraf_flow::{Data, Definition, Kind, Scope, Task, TaskList};

use super::action::{Action, Call, Wake};
use super::event::Lane;
use super::run::{Doing, Run, Step, TryPhase};

/// Who runs the flow, for `$runtime`.
const RUNTIME: &str = "taraf";

/// `$runtime`
pub(super) fn runtime() -> Data {
    static ALWAYS_THE_SAME: LazyLock<Data> = LazyLock::new(|| {
        Data::from_entries([
            ("name", Data::string(RUNTIME)),
            ("version", Data::string(env!("CARGO_PKG_VERSION"))),
            ("metadata", Data::object()),
        ])
    });
    ALWAYS_THE_SAME.clone()
}

/// An instant as `startedAt` gives it.
fn instant(at: Timestamp) -> Data {
    let millis = at.as_millis();
    Data::from(serde_json::json!({
        "iso8601": at.to_string(),
        "epoch": { "seconds": millis.div_euclid(1_000), "milliseconds": millis },
    }))
}

/// `$workflow`
pub(super) fn workflow(run: &Run, definition: &Definition) -> Data {
    let (id, created) = (run.id, run.created);
    let (definition, raw) = (definition.json.clone(), run.begun.raw.clone());
    // Few expressions look at it, and the input may have to be fetched.
    Data::lazy(move || {
        Data::from_entries([
            ("id", Data::string(&id.to_string())),
            ("definition", definition.clone()),
            ("input", raw.clone()),
            ("startedAt", instant(created)),
        ])
    })
}

/// `$task`
pub(super) fn task(task: &Task, raw: &Data, output: Option<&Data>, started: Timestamp) -> Data {
    let (name, reference) = (Arc::clone(&task.name), Arc::clone(&task.reference));
    let (definition, raw, output) = (task.json.clone(), raw.clone(), output.cloned());
    Data::lazy(move || {
        Data::from_entries([
            ("name", Data::string(&name)),
            ("reference", Data::string(&reference)),
            ("definition", definition.clone()),
            ("input", raw.clone()),
            ("output", output.clone().unwrap_or_default()),
            ("startedAt", instant(started)),
        ])
    })
}

/// Loop variables and caught errors that tasks of a lane see, the innermost last.
pub(super) fn locals(run: &Run, definition: &Definition, lane: Lane) -> Vec<(Arc<str>, Data)> {
    let mut found = Vec::new();
    let mut slot = lane.slot;
    for (_, step) in run.around(lane.step) {
        let kind = definition.task(&step.task).map(|task| &task.kind);
        match (&step.doing, kind) {
            (Doing::For { items, index }, Some(Kind::For(each))) => {
                let at = usize::try_from(*index).unwrap_or(usize::MAX);
                let item = items.get(at).cloned().unwrap_or_default();
                found.push((Arc::clone(&each.at), Data::from(serde_json::json!(index))));
                found.push((Arc::clone(&each.each), item));
            }
            (
                Doing::Try {
                    phase: TryPhase::Handling { error },
                    ..
                },
                Some(Kind::Try(tried)),
            ) if slot == Lane::CATCH => {
                found.push((Arc::clone(&tried.catch.as_), error.to_data()));
            }
            _ => {}
        }
        slot = step.lane.slot;
    }
    found.reverse();
    found
}

/// The list that a lane runs; a fork's branches are one list of which a lane runs one task.
pub(super) fn list(run: &Run, definition: &Definition, lane: Lane) -> Option<Arc<TaskList>> {
    if lane.step == 0 {
        return Some(Arc::clone(&definition.tasks));
    }
    let owner = run.steps.get(&lane.step)?;
    match &definition.task(&owner.task)?.kind {
        Kind::Do(list) => Some(Arc::clone(list)),
        Kind::For(each) => Some(Arc::clone(&each.tasks)),
        Kind::Fork(fork) => Some(Arc::clone(&fork.branches)),
        Kind::Try(tried) if lane.slot == Lane::CATCH => tried.catch.tasks.clone(),
        Kind::Try(tried) => Some(Arc::clone(&tried.tasks)),
        Kind::Set(_)
        | Kind::Call(_)
        | Kind::Switch(_)
        | Kind::Raise(_)
        | Kind::Wait(_)
        | Kind::Listen(_)
        | Kind::Emit(_)
        | Kind::Run(_) => None,
    }
}

/// The scope of a step that has begun.
pub(super) fn of_step(
    run: &Run,
    definition: &Definition,
    step: &Step,
    of: &Task,
    now: Timestamp,
) -> Scope {
    Scope {
        context: Some(run.context.clone()),
        input: Some(step.input.clone()),
        output: None,
        secrets: None,
        authorization: None,
        task: Some(task(of, &step.raw, None, step.started)),
        workflow: Some(workflow(run, definition)),
        runtime: Some(runtime()),
        locals: locals(run, definition, step.lane),
        now,
    }
}

/// The action that makes a wake come.
pub(super) fn action(
    run: &Run,
    definition: Option<&Definition>,
    wake: Wake,
    now: Timestamp,
) -> Option<Action> {
    let id = run.id;
    match wake {
        Wake::Timer { step, purpose, due } => Some(Action::SetTimer {
            run: id,
            step,
            purpose,
            due,
        }),
        Wake::Continue { .. } => Some(Action::Continue { run: id }),
        Wake::Call { step } => call(run, definition?, step, now),
    }
}

fn call(run: &Run, definition: &Definition, step: u32, now: Timestamp) -> Option<Action> {
    let state = run.steps.get(&step)?;
    let Doing::Call {
        class,
        key: Some(key),
        request,
        ..
    } = &state.doing
    else {
        return None;
    };
    let task = definition.task(&state.task)?;
    let deadlines = run.around(step).filter_map(|(_, step)| step.deadline);
    Some(Action::Call(Box::new(Call {
        run: run.id,
        step,
        attempt: state.attempt,
        key: Arc::clone(key),
        task: Arc::clone(task),
        request: request.clone(),
        input: state.input.clone(),
        scope: of_step(run, definition, state, task, now),
        class: *class,
        until: deadlines.chain(run.deadline).min(),
        traceparent: run.begun.traceparent.clone(),
        looking: None,
        secrets: definition.use_.secrets.clone(),
    })))
}
