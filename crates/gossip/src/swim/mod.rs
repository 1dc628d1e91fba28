//! [pure] Membership: who is there, told by probes, suspicion, refutation, gossip and push/pull.
//!
//! [`Swim`] is driven by its owner, who tells it the time with every input:
//!
//! ```text
//! Swim::new(config, envelope, chance, nonce, now, delegate)
//! packet(now, from, bytes, delegate)          timer(now, delegate)         next_deadline()
//! stream_accepted(now, from) -> StreamId?     stream_bytes(now, id, bytes, delegate)
//! stream_ended(now, id, why, delegate)        stream_refused(now, id, why, delegate)
//! join(now, token, addresses, delegate) -> Output::Joined
//! leave(now, token, delegate)                 update_meta(now, token, delegate) -> Output::Finished
//! send_user(to, body, has_checksum)           broadcasts_waiting(now)      envelope() set_keyring(keyring)
//! members() member(name) me() health_score() counters()                    output() -> Option<Output>
//! ```

mod awareness;
mod broadcast;
mod config;
mod counters;
mod delegate;
mod gossip;
mod join;
mod leave;
mod machine;
mod member;
mod members;
mod output;
mod packets;
mod probe;
mod push_pull;
mod refusal;
mod relay;
mod silence;
mod states;
mod streams;
mod suspicion;
mod timers;
mod watch;

pub use broadcast::{Queue, transmit_limit};
pub use config::Config;
pub use counters::Counters;
pub use delegate::{Delegate, Doubt};
pub use machine::Swim;
pub use member::{Member, OUR_PROTOCOL};
pub use output::{Joined, Output, StreamId, Token};

pub use crate::wire::Name;
pub use crate::wire::memberlist::{State, Versions};

#[cfg(test)]
mod tests;
