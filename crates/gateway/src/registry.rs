//! [pure] Accounts, API keys, plans and usage as a machine over the log.

use std::collections::BTreeMap;
use std::io::{self, Write};
use taraf_log::snapshot::Reader;

use serde::{Deserialize, Serialize};
use taraf_base::{Timestamp, typed_id};
use taraf_log::machine::{Decision, DecodeError, Header, Machine};

use crate::quota::{Month, Plan};

mod decide;
mod evolve;
mod keys;
pub mod record;
pub(crate) mod rows;
mod snapshot;
pub mod state;

pub use record::Event;
pub use state::{Account, Key, Registry, Usage};

typed_id!(
    /// Who has keys.
    pub struct AccountId, "acc"
);
typed_id!(
    /// One API key, not its secret.
    pub struct KeyId, "key"
);

/// The longest name, label or e-mail address, in bytes.
pub const TEXT_BYTES_MAX: usize = 254;
/// The most keys of an account that are not revoked.
pub const KEYS_PER_ACCOUNT_MAX: usize = 100;
/// The most accounts.
pub const ACCOUNTS_MAX: usize = 1_000_000;
/// The most lines whose units are given back at once.
pub const RETURNS_MAX: usize = 1_000;
/// The most ended keys that are forgotten at once.
pub const FORGOTTEN_MAX: usize = 1_000;
/// A snapshot is taken when there is a record for so many keys that it holds: what is written for
/// snapshots stays in proportion to what happens, and a start applies at most that many records.
const KEYS_PER_RECORD: u64 = 4;
/// The most plans.
pub const PLANS_MAX: usize = 1_000;

/// SHA-256 of a key's text, after the pepper if there is one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct KeyHash(#[serde(with = "serde_bytes")] pub [u8; 32]);

impl std::fmt::Debug for KeyHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Enough to compare two by eye, too little to be of use.
        write!(f, "KeyHash({:02x}{:02x}…)", self.0[0], self.0[1])
    }
}

/// What may be asked of the machine. Ids and hashes are made by who asks: the machine has no chance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// Make or change a plan.
    SetPlan {
        /// Its name.
        name: String,
        /// What it allows.
        plan: Plan,
    },
    /// Make an account.
    CreateAccount {
        /// The account's id, fresh.
        id: AccountId,
        /// Its name, unique.
        name: String,
        /// Its e-mail address, unique.
        email: Option<String>,
    },
    /// Make a key, and its account when there is none by that name.
    CreateKey {
        /// The account's id, fresh, for the case that it must be made.
        account: AccountId,
        /// The account's name.
        name: String,
        /// The e-mail address to register; refused when known.
        email: Option<String>,
        /// The key.
        key: NewKey,
    },
    /// Make a key that takes the place of another, which goes on for a while.
    Rotate {
        /// The key to replace.
        id: KeyId,
        /// The new key's id, fresh.
        new: KeyId,
        /// The new key's hash.
        hash: KeyHash,
        /// Until when the old key is taken.
        overlap_until: Timestamp,
    },
    /// Refuse a key from now on.
    Revoke {
        /// The key.
        id: KeyId,
    },
    /// Change what people call a key.
    Label {
        /// The key.
        id: KeyId,
        /// The new label.
        label: String,
    },
    /// Charge units of the month's quota before they are spent.
    Reserve {
        /// The first key of the line whose quota it is.
        line: KeyId,
        /// The month to charge.
        month: Month,
        /// How many units are wanted.
        units: u64,
    },
    /// Give back units that were reserved and will not be spent.
    Return {
        /// The line.
        line: KeyId,
        /// The month that was charged.
        month: Month,
        /// How many.
        units: u64,
    },
    /// Give back units of many lines, each named once; at most [`RETURNS_MAX`].
    ReturnMany {
        /// Line, month and number.
        units: Vec<(KeyId, Month, u64)>,
    },
    /// Forget keys that ended long ago, at most [`FORGOTTEN_MAX`] at a time.
    Forget {
        /// Those that ended before this.
        before: Timestamp,
    },
    /// A key was used on a day.
    Used {
        /// The key.
        id: KeyId,
        /// Days since 1970-01-01.
        day: u32,
    },
}

/// A key to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewKey {
    /// The key's id, fresh.
    pub id: KeyId,
    /// The hash of its text.
    pub hash: KeyHash,
    /// Its plan's name.
    pub plan: String,
    /// What people call it.
    pub label: String,
}

/// What the machine answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// It is so now.
    Done,
    /// An account was made.
    Account(AccountId),
    /// A key was made, or was there with this hash.
    Key {
        /// The key.
        id: KeyId,
        /// Its account.
        account: AccountId,
        /// Its plan.
        plan: String,
    },
    /// Units were charged; fewer than wanted when the quota ends, possibly none.
    Granted {
        /// How many may be spent.
        units: u64,
        /// The month's sum, with these.
        charged: u64,
    },
    /// So many keys were forgotten.
    Forgotten(usize),
    /// Nothing changed, for this reason.
    Refused(Refusal),
}

/// Why nothing changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The account's name is taken.
    #[error("the account `{0}` exists")]
    KnownAccount(String),
    /// The e-mail address has an account.
    #[error("the e-mail address has an account")]
    KnownEmail,
    /// No such plan.
    #[error("there is no plan `{0}`")]
    UnknownPlan(String),
    /// No such key.
    #[error("there is no key {0}")]
    UnknownKey(KeyId),
    /// The key was revoked or has expired.
    #[error("the key {0} is revoked")]
    RevokedKey(KeyId),
    /// The hash belongs to a key of another account.
    #[error("the key exists")]
    KnownKey,
    /// A text is empty, too long or has control characters.
    #[error("{what} must have 1 to {TEXT_BYTES_MAX} bytes and no control characters")]
    Text {
        /// Which text.
        what: &'static str,
    },
    /// A plan that allows nothing.
    #[error("a plan needs a rate and a burst of at least 1")]
    Plan,
    /// A limit of the whole is reached.
    #[error("there are too many {0}")]
    TooMany(&'static str),
}

impl Machine for Registry {
    type Input = Input;
    type Event = Event;
    type Action = std::convert::Infallible;
    type Reply = Reply;

    fn decide(&self, input: Input, now: Timestamp) -> Decision<Self> {
        let (events, reply) = match decide::decide(self, input, now) {
            Ok((events, reply)) => (events, reply),
            Err(refusal) => (Vec::new(), Reply::Refused(refusal)),
        };
        Decision {
            events,
            actions: Vec::new(),
            reply,
        }
    }

    fn evolve(&mut self, event: &Event, at: Timestamp) {
        evolve::evolve(self, event, at);
    }

    fn outstanding(&self, _now: Timestamp) -> Vec<Self::Action> {
        Vec::new()
    }

    fn encode(event: &Event, body: &mut Vec<u8>) -> Header {
        record::encode(event, body)
    }

    fn decode(header: &Header, body: &[u8]) -> Result<Event, DecodeError> {
        record::decode(header, body)
    }

    fn write_snapshot(&self, to: &mut dyn Write) -> io::Result<()> {
        snapshot::write(self, to)
    }

    fn read_snapshot(&mut self, from: &mut Reader<'_>) -> Result<(), DecodeError> {
        *self = snapshot::read(from)?;
        Ok(())
    }

    fn is_current(head: &[u8]) -> bool {
        snapshot::is_current(head)
    }

    fn empty(&self) -> Self {
        Self::default()
    }

    fn snapshot_every(&self, least: u64) -> u64 {
        let keys = u64::try_from(self.key_count()).unwrap_or(u64::MAX);
        least.max(keys / KEYS_PER_RECORD)
    }

    fn state_hash(&mut self) -> u64 {
        snapshot::hash(self)
    }
}

/// Usage of the months that are kept, by month.
pub type Months = BTreeMap<Month, Usage>;

#[cfg(test)]
mod tests;
