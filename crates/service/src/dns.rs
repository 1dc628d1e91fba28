//! Names of nodes and services: answered here (`NAME.service.taraf`, `NODE.node.taraf`), published to servers elsewhere.

mod answer;
mod choose;
mod config;
mod error;
mod limit;
mod names;
mod packet;
mod server;
#[cfg(test)]
mod tests;
pub mod update;
mod zone;

pub use config::{Config, LISTEN};
pub use error::Error;
pub use names::{Instance, Names, Node, Tags, tag_label};
pub use packet::{QUESTION_BYTES_MAX, Responder, Transport};
pub use server::{Counters, Server};
pub use zone::Zone;
