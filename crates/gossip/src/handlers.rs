//! Event handlers: scripts that are run when something happens, as Serf runs them.
//!
//! [`Spec`] says which script is run for which events, [`Handlers`] runs them. A script finds what happened in
//! its environment and on its standard input, and answers a query by what it prints.

mod dispatch;
mod environment;
mod ring;
mod run;
mod spec;

pub use dispatch::{Handlers, Settings};
pub use spec::{InvalidSpec, Spec};
