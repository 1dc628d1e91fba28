//! [pure] `switch`: the first case that holds says where to go.

use taraf_flow::tasks::Case;
use taraf_flow::{FlowError, Task};

use super::super::event::Given;
use super::super::run::Step;
use super::super::work::{Next, Work, condition};

pub(super) fn begin(
    work: &mut Work<'_>,
    id: u32,
    step: &Step,
    task: &Task,
    cases: &[Case],
) -> Result<(), FlowError> {
    let scope = work.scope(step, task);
    let mut chosen = None;
    // The default is a case without `when`, wherever it stands.
    let mut default = None;
    for case in cases {
        match &case.when {
            None => default = Some(case.then),
            when @ Some(_) => {
                if condition(when.as_ref(), &step.input, &scope, false)? {
                    chosen = Some(case.then);
                    break;
                }
            }
        }
    }
    work.queue.push(Next::Raw {
        step: id,
        raw: Given::Input,
        then: chosen.or(default),
    });
    Ok(())
}
