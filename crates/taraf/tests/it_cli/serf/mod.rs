//! Our `serf` beside the real one: the same calls, against the same real agent, with the same outcome.

mod agent;
mod calls;
mod outcome;
mod peer;
