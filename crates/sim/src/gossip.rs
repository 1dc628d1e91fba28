//! A simulation of a cluster: thousands of the members that an agent runs, on one thread, one seed, a network that
//! loses, delays and splits, processes that stand still and die, clocks that jump.

mod bug;
mod conditions;
mod faults;
mod formulae;
mod frozen;
mod ledger;
mod process;
mod scenario;
mod text;
mod world;

pub use bug::Bug;
pub use frozen::{FrozenPlan, FrozenReport, simulate_frozen};
pub use scenario::{Plan, Report, simulate};
