//! The program: its parts joined, its command line in front of them.

mod adapters;
mod apps;
mod cli;
mod config;
mod dev;
mod membership;
mod node;
mod operator;
mod telemetry;

use std::process::ExitCode;

use mimalloc::MiMalloc;

/// Runs and calls are many small values that one thread makes and another drops.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    cli::main()
}
