//! Ids, time, secrets, chance, supervised tasks and the causes of errors: what every part needs and none owns.

mod backoff;
mod causes;
pub mod duration;
mod id;
mod random;
mod secret;
mod tasks;
mod timestamp;

pub use backoff::Backoff;
pub use causes::with_causes;
pub use id::ParseIdError;
pub use random::{Rng, random_bytes, random_u64};
pub use secret::Secret;
pub use tasks::Tasks;
pub use timestamp::{ParseTimestampError, Timestamp};

#[doc(hidden)]
pub mod __private {
    pub use crate::id::{decode, encode};
    pub use serde;
}
