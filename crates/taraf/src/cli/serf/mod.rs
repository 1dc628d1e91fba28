//! Serf's command line: the same commands, flags, outputs and exit codes, a file per command.

mod agent;
mod columns;
mod command;
mod connect;
mod entry;
mod event;
mod flags;
mod force_leave;
mod help;
mod info;
mod join;
mod json;
mod keygen;
mod keys;
mod leave;
mod members;
mod monitor;
mod number;
mod query;
mod quote;
mod reachability;
mod rtt;
mod tags;
mod version;

pub(crate) use entry::{as_part_of_taraf, as_serf};
