//! [pure] One member as a whole: membership and Serf's layer joined into one machine with commands.
//!
//! Whoever drives a [`Cluster`] hands it packets, bytes of streams, commands and the time, and performs what
//! [`Cluster::output`] says after each. Nothing here opens a socket or a file or asks for the hour.
//!
//! ```text
//! packet stream_accepted stream_bytes stream_ended timer      user_event query respond   at once
//! join leave force_leave set_tags keys                        answered later, by Token
//! next_deadline output                                        members stats coordinate history
//! ```

mod commands;
mod config;
mod keys;
mod leave;
mod machine;
mod output;
mod rejoin;

pub use config::Config;
pub use machine::Cluster;
pub use output::{Members, Output, Seen};

#[cfg(test)]
mod tests;
