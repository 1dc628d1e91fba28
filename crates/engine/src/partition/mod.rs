//! [pure] The deterministic machine of runs: inputs are decided, events are evolved, actions asked for.

mod action;
mod announce;
mod catching;
mod codec;
mod decide;
mod documents;
mod due;
mod event;
mod hash;
mod input;
mod insistence;
mod journal;
mod machine;
mod packed;
mod payloads;
mod rest;
mod run;
mod runs;
mod saved;
mod scope;
mod state;
mod steps;
pub(crate) mod tasks;
mod weight;
mod why;
mod work;

pub use action::{Action, Call, Purpose, Wake};
pub use announce::Audience;
pub use codec::{KINDS, SNAPSHOT_VERSION};
pub(crate) use codec::{decode, encode, get, put};
pub use due::{Timer, Timers};
pub(crate) use event::as_json;
pub use event::{
    Begun, BranchOutcome, CallClass, Caught, Entered, Event, Given, Lane, Outcome, StepKind, What,
};
pub use input::{Begin, Control, Input, Reply};
pub use insistence::{Insist, Insistence};
pub(crate) use journal::Open;
pub use machine::{Definitions, Partition, Settings};
pub use payloads::{Looking, Payloads, blob_of};
pub use rest::{Attic, Rest, Spot};
pub use run::{Doing, Ending, Run, Step, TryPhase};
pub use runs::Runs;
pub use saved::SavedEntry;
pub use state::{Finished, State};
