//! Our `serf` beside the real one: the same calls, against the same real agent, with the same outcome.

mod agent;
mod beyond;
mod calls;
mod outcome;
mod peer;
