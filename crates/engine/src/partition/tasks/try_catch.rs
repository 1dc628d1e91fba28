//! [pure] `try`: a list whose errors are caught. What is done about them is in `catching.rs`.

use taraf_flow::tasks::Try;
use taraf_flow::{FlowError, Task};

use super::super::event::{Lane, What};
use super::super::run::Step;
use super::super::work::{Next, Work};

pub(super) fn begin(
    work: &mut Work<'_>,
    id: u32,
    step: &Step,
    task: &Task,
    tried: &Try,
) -> Result<(), FlowError> {
    let scope = work.scope(step, task);
    if let Some(until) = work.attempt_until(tried, step, &scope)? {
        work.record(What::Retried {
            step: id,
            attempt: 1,
            until: Some(until),
        });
    }
    work.queue.push(Next::Enter {
        lane: Lane::first(id),
        index: 0,
    });
    Ok(())
}
