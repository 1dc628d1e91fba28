//! [pure] `for`: a list of tasks for each item, the input of each being the output of the one before.

use taraf_flow::tasks::For;
use taraf_flow::{Data, FlowError, Kind, Task};

use super::super::event::{Given, Lane, What};
use super::super::run::{Doing, Step};
use super::super::work::{Next, Work, condition};

pub(super) fn begin(
    work: &mut Work<'_>,
    id: u32,
    step: &Step,
    task: &Task,
    each: &For,
) -> Result<(), FlowError> {
    let scope = work.scope(step, task);
    let items = each.in_.eval_items(&step.input, &scope)?;
    let bytes: usize = items.iter().map(Data::size).sum();
    if bytes > work.limits.data_bytes {
        return Err(FlowError::runtime(format!(
            "the items of the loop have {bytes} bytes"
        )));
    }
    work.bytes = work.bytes.saturating_add(bytes);
    work.record(What::Looped {
        step: id,
        items: items.into(),
    });
    work.queue.push(Next::Iterate {
        step: id,
        index: 0,
        input: Given::Input,
    });
    Ok(())
}

/// Begins an iteration, unless no item is left or `while` is false.
pub(in super::super) fn iterate(work: &mut Work<'_>, id: u32, index: u32, input: Given) {
    let Some((step, task)) = work.step(id) else {
        return;
    };
    let (Doing::For { items, .. }, Kind::For(each)) = (&step.doing, &task.kind) else {
        return;
    };
    let place = usize::try_from(index).unwrap_or(usize::MAX);
    let Some(item) = items.get(place) else {
        work.queue.push(Next::Raw {
            step: id,
            raw: input,
            then: None,
        });
        return;
    };
    let mut scope = work.scope(&step, &task);
    scope
        .locals
        .push((each.at.clone(), Data::from(serde_json::json!(index))));
    scope.locals.push((each.each.clone(), item.clone()));
    let data = work.run.given(id, &input);
    match condition(each.while_.as_ref(), &data, &scope, true) {
        Ok(true) => {
            work.record(What::Iterated {
                step: id,
                index,
                input,
            });
            work.queue.push(Next::Enter {
                lane: Lane::first(id),
                index: 0,
            });
        }
        Ok(false) => work.queue.push(Next::Raw {
            step: id,
            raw: input,
            then: None,
        }),
        Err(error) => work.queue.push(Next::Failed { step: id, error }),
    }
}
