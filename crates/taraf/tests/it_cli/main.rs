//! The real program from outside: its exit codes, its words, and what it answers to bad input.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a failing helper is a failing test"
)]

mod check;
mod exits;
mod golden;
mod importing;
mod program;
mod serf;
mod server;
mod stub;
mod testing;
mod trying;
