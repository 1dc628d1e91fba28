//! [pure] `raise`: an error of the author's.

use taraf_flow::tasks::RaisedError;
use taraf_flow::{FlowError, Task};

use super::super::run::Step;
use super::super::work::{Work, template};

pub(super) fn begin(
    work: &mut Work<'_>,
    step: &Step,
    task: &Task,
    raised: &RaisedError,
) -> Result<(), FlowError> {
    let scope = work.scope(step, task);
    let document = template(Some(&raised.template), &step.input, &scope)?;
    // Whether it is an error or a mistake in one, it is raised.
    Err(FlowError::from_data(&document).unwrap_or_else(|mistake| mistake))
}
