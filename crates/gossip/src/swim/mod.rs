//! [pure] Membership: who is there, told by probes, suspicion, refutation, gossip and push/pull.
//!
//! [`Swim`] is driven by its owner, who tells it the time with every input:
//!
//! ```text
//! Swim::new(config, keyring, chance, now, delegate)
//! packet(now, from, bytes, delegate)          timer(now, delegate)         next_deadline()
//! stream_accepted(now, from) -> StreamId?     stream_bytes(now, id, bytes, delegate)
//! stream_ended(now, id, why, delegate)        join(now, token, addresses, delegate) -> Output::Joined
//! leave(now, token, delegate)                 update_meta(now, token, delegate) -> Output::Finished
//! send_user(now, to, body, is_checked)        broadcasts_waiting(now)      keyring() keyring_mut()
//! members() member(name) me() health_score() counters()                    output() -> Option<Output>
//! ```

mod broadcast;
mod config;
mod delegate;
mod member;
mod name;
mod output;

pub use broadcast::{Queue, transmit_limit};
pub use config::Config;
pub use delegate::Delegate;
pub use member::{Member, State, Versions};
pub use name::Name;
pub use output::{Joined, Output, StreamId, Token};
