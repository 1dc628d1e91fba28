//! The command line: one file per command, and what they share.

mod backup;
mod call;
mod completions;
mod entry;
mod explain;
mod failure;
mod flow;
mod flow_name;
mod import;
mod input;
mod key;
mod operator;
mod output;
mod progress;
mod repair;
mod restore;
mod run;
mod run_query;
mod run_view;
mod serf;
mod serve;
mod services;
mod start;
mod status;
mod table;
mod verify;
mod version;
mod yaml;

pub(crate) use entry::main;
