//! A simulation of the whole of what must not be lost: the real engine, the real log and the real accounts on
//! one thread, one seed, a disk that fails and a clock that jumps. For tests only; no program contains it.

mod accounts;
mod bug;
mod clients;
mod context;
mod dice;
mod disk;
mod event;
mod flows;
pub mod gossip;
mod history;
mod opening;
mod plan;
mod planted;
mod process;
mod reference;
mod report;
mod runs;
mod seat;
mod service;
mod shadow;
mod world;

pub use bug::Bug;
pub use report::Outcome;
pub use world::simulate;
