//! [pure] What is told of a decision to whoever listens to lifecycle events.

use std::fmt;
use std::sync::Arc;

use taraf_base::Timestamp;
use taraf_flow::event::CloudEvent;
use taraf_log::machine::Decision;

use super::action::Action;
use super::event::{Event, What};
use super::machine::Partition;
use super::run::Run;
use crate::lifecycle::Telling;

/// Whether somebody listens to lifecycle events now: telling costs time, and changes no state.
#[derive(Clone)]
pub struct Audience(Arc<dyn Fn() -> bool + Send + Sync>);

impl Audience {
    /// Asks this each time.
    pub fn new(is_there: impl Fn() -> bool + Send + Sync + 'static) -> Self {
        Self(Arc::new(is_there))
    }

    /// Nobody ever.
    #[must_use]
    pub fn none() -> Self {
        Self::new(|| false)
    }

    fn is_there(&self) -> bool {
        (self.0)()
    }
}

impl fmt::Debug for Audience {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Audience").field(&self.is_there()).finish()
    }
}

impl Partition {
    /// Adds what is to be told of the events, before what they ask for.
    pub(super) fn announce(&self, decision: &mut Decision<Self>, now: Timestamp) {
        if decision.events.is_empty() || !self.settings.audience.is_there() {
            return;
        }
        let told = self.lifecycle(&decision.events, now).into_iter();
        let told = told.map(|event| Action::Tell(Arc::new(event)));
        decision.actions.splice(0..0, told);
    }

    fn lifecycle(&self, events: &[Event], now: Timestamp) -> Vec<CloudEvent> {
        let mut told = Vec::new();
        for group in events.chunk_by(|one, next| one.run == next.run) {
            let Some(first) = group.first() else {
                continue;
            };
            let telling = match &first.what {
                What::Started(begun) => {
                    let run = Run::new(first.run, Arc::clone(begun), now);
                    Some(Telling::of_new(run))
                }
                What::Moved | What::Removed => None,
                _ => {
                    let run = self.state.runs.get(&first.run);
                    run.map(|run| Telling::of(run.into_owned()))
                }
            };
            let Some(mut telling) = telling else {
                continue;
            };
            for event in group {
                telling.tell(&event.what, now);
            }
            told.extend(telling.told(now));
        }
        told
    }
}
