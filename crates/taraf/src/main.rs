//! The program: its parts joined, its command line in front of them.

mod adapters;
mod apps;
mod cli;
mod config;
mod dev;
mod node;
mod operator;
mod telemetry;

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::main()
}
