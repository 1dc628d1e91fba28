//! [pure] Where events and runs hold documents.

use std::sync::Arc;

use taraf_flow::{Data, DataName};

use super::event::{Begun, Given, Outcome, What};
use super::run::{Doing, Ending, Run};

impl What {
    /// Goes through its documents.
    pub(super) fn each_data(&self, see: &mut dyn FnMut(&Data)) {
        match self {
            Self::Started(begun) => {
                see(&begun.raw);
                begun.input.iter().for_each(see);
            }
            Self::Entered(entered) => entered.input.iter().for_each(see),
            Self::Looped { items, .. } => items.iter().for_each(see),
            Self::Iterated {
                input: Given::Data(data),
                ..
            }
            | Self::Scheduled { request: data, .. }
            | Self::Answered {
                outcome: Outcome::Ok(data),
                ..
            }
            | Self::Completed { output: data } => see(data),
            Self::TaskCompleted {
                output, context, ..
            } => {
                if let Given::Data(data) = output {
                    see(data);
                }
                context.iter().for_each(see);
            }
            Self::Iterated { .. }
            | Self::Answered { .. }
            | Self::Skipped { .. }
            | Self::Waiting { .. }
            | Self::Joined { .. }
            | Self::Caught(_)
            | Self::Retried { .. }
            | Self::TaskFaulted { .. }
            | Self::TaskCancelled { .. }
            | Self::Paused { .. }
            | Self::Suspended
            | Self::Resumed { .. }
            | Self::Faulted { .. }
            | Self::Cancelled { .. }
            | Self::Removed
            | Self::Moved => {}
        }
    }

    /// Whether one of them is kept elsewhere.
    pub(super) fn names_some(&self) -> bool {
        let mut names_some = false;
        self.each_data(&mut |data| names_some |= data.name().is_some());
        names_some
    }

    /// The names of those that are kept elsewhere.
    pub(crate) fn names(&self) -> Vec<DataName> {
        let mut names = Vec::new();
        self.each_data(&mut |data| names.extend(data.name()));
        names
    }

    /// Changes the documents that are wanted.
    pub(super) fn change_data(
        &mut self,
        wanted: &dyn Fn(&Data) -> bool,
        change: &mut dyn FnMut(&mut Data),
    ) {
        let mut is_wanted = false;
        self.each_data(&mut |data| is_wanted |= wanted(data));
        if !is_wanted {
            return;
        }
        let mut change = |data: &mut Data| {
            if wanted(data) {
                change(data);
            }
        };
        match self {
            Self::Started(begun) => change_begun(begun, &mut change),
            Self::Entered(entered) => entered.input.iter_mut().for_each(change),
            Self::Looped { items, .. } => change_items(items, &mut change),
            Self::Iterated {
                input: Given::Data(data),
                ..
            }
            | Self::Scheduled { request: data, .. }
            | Self::Answered {
                outcome: Outcome::Ok(data),
                ..
            }
            | Self::Completed { output: data } => change(data),
            Self::TaskCompleted {
                output, context, ..
            } => {
                if let Given::Data(data) = output {
                    change(data);
                }
                context.iter_mut().for_each(change);
            }
            // These hold none.
            _ => {}
        }
    }
}

impl Run {
    /// Changes the documents in its state.
    pub(super) fn change_data(&mut self, change: &mut dyn FnMut(&mut Data)) {
        change_begun(&mut self.begun, change);
        change(&mut self.context);
        if let Some((_, Ending::Completed(output))) = &mut self.ended {
            change(output);
        }
        for step in self.steps.values_mut() {
            change(&mut step.raw);
            change(&mut step.input);
            match &mut step.doing {
                Doing::For { items, .. } => change_items(items, change),
                Doing::Call {
                    request, answer, ..
                } => {
                    change(request);
                    if let Some(Outcome::Ok(data)) = answer {
                        change(data);
                    }
                }
                Doing::Instant
                | Doing::Do
                | Doing::Fork { .. }
                | Doing::Try { .. }
                | Doing::Wait { .. } => {}
            }
        }
        for lane in self.lanes.values_mut() {
            change(&mut lane.data);
        }
    }
}

fn change_begun(begun: &mut Arc<Begun>, change: &mut dyn FnMut(&mut Data)) {
    let begun = Arc::make_mut(begun);
    change(&mut begun.raw);
    begun.input.iter_mut().for_each(change);
}

fn change_items(items: &mut Arc<[Data]>, change: &mut dyn FnMut(&mut Data)) {
    let mut changed: Vec<Data> = items.to_vec();
    changed.iter_mut().for_each(change);
    *items = changed.into();
}
