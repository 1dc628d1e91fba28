//! `taraf flow …`: flows as files, tried and tested here; flows of the server.

mod bench;
mod case;
mod check;
mod command;
mod diff;
mod mock;
mod publish;
mod testing;
mod trace;
mod trying;

pub(crate) use command::{Args, run};
