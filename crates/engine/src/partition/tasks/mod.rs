//! [pure] What each kind of task does when it begins; a file each.

pub(crate) mod call;
mod compose;
pub(super) mod each;
pub(super) mod fork;
mod raise;
mod set;
mod switch;
mod try_catch;
mod wait;

use taraf_flow::{FlowError, Kind};

use super::work::Work;

/// Begins the work of a step that was entered.
pub(super) fn begin(work: &mut Work<'_>, id: u32) -> Result<(), FlowError> {
    let Some((step, task)) = work.step(id) else {
        return Ok(());
    };
    match &task.kind {
        Kind::Do(_) => compose::begin(work, id),
        Kind::Set(template) => return set::begin(work, id, &step, &task, template),
        Kind::Call(call) => return call::begin(work, id, &step, &task, call),
        Kind::Switch(cases) => return switch::begin(work, id, &step, &task, cases),
        Kind::For(each) => return each::begin(work, id, &step, &task, each),
        Kind::Fork(fork) => return fork::begin(work, id, fork),
        Kind::Try(tried) => return try_catch::begin(work, id, &step, &task, tried),
        Kind::Raise(raised) => return raise::begin(work, &step, &task, raised),
        Kind::Wait(span) => return wait::begin(work, id, &step, &task, span),
        Kind::Listen(_) | Kind::Emit(_) | Kind::Run(_) => {
            let kind = task.kind.name();
            return Err(FlowError::configuration(format!(
                "`{kind}` tasks are not built yet"
            )));
        }
    }
    Ok(())
}
