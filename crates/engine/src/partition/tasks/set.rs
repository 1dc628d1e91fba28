//! [pure] `set`: the data become what is written.

use taraf_flow::{FlowError, Task, Template};

use super::super::event::Given;
use super::super::run::Step;
use super::super::work::{Next, Work, template};

pub(super) fn begin(
    work: &mut Work<'_>,
    id: u32,
    step: &Step,
    task: &Task,
    value: &Template,
) -> Result<(), FlowError> {
    let scope = work.scope(step, task);
    let data = template(Some(value), &step.input, &scope)?;
    work.queue.push(Next::Raw {
        step: id,
        raw: Given::Data(data),
        then: None,
    });
    Ok(())
}
