//! [pure] `wait`: nothing until an instant.

use taraf_flow::{FlowError, Task, TimeSpan};

use super::super::event::What;
use super::super::run::Step;
use super::super::work::Work;

pub(super) fn begin(
    work: &mut Work<'_>,
    id: u32,
    step: &Step,
    task: &Task,
    span: &TimeSpan,
) -> Result<(), FlowError> {
    let scope = work.scope(step, task);
    let until = span.eval(&step.input, &scope)?.end(work.now);
    work.record(What::Waiting { step: id, until });
    Ok(())
}
