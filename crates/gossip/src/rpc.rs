//! Serf's RPC: how programs and people ask an agent, and how it tells them what happens.
//!
//! [`codec`] has the bytes, [`Agent`] what an agent must be able to do, [`Server`] the connections of those
//! who ask, [`Client`] one that asks. Serf's own command line and client libraries are served, and Serf's own
//! agent is asked, without either noticing.

mod agent;
mod client;
pub mod codec;
mod connection;
pub mod dial;
pub mod event;
mod filter;
mod lines;
mod listener;
mod matching;
mod server;

pub use agent::{
    Agent, Answered, Coordinate, Joined, KeyCommand, KeysAnswer, QueryKey, QueryRequest, Refused,
    Reply, Stats,
};
pub use client::{Client, Error, Incoming};
pub use filter::{EventKind, Filter, InvalidFilter};
pub use lines::{Level, Line, Lines, UnknownLevel};
pub use listener::{Bound, Listener};
pub use server::{Limits, Server, Settings};
