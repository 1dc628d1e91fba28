//! The program.

mod adapters;
mod apps;
mod config;
mod dev;
mod node;
mod operator;
mod telemetry;

fn main() {}
