//! [pure] The account records: kinds, versions and bytes (drawn in `docs/protocols/accounts-log.md`).

use serde::Serialize;
use serde::de::DeserializeOwned;
use taraf_base::Timestamp;
use taraf_log::machine::{DecodeError, Header};

use super::{AccountId, KeyHash, KeyId};
use crate::quota::{Month, Plan};

/// The version that every kind is written in today.
pub const VERSION: u16 = 1;

/// Kind numbers are never used again for something else.
mod kind {
    pub(super) const PLAN_SET: u8 = 1;
    pub(super) const ACCOUNT_CREATED: u8 = 2;
    pub(super) const KEY_CREATED: u8 = 3;
    pub(super) const KEY_ENDS: u8 = 4;
    pub(super) const KEY_LABELLED: u8 = 5;
    pub(super) const KEY_USED: u8 = 6;
    pub(super) const UNITS_RESERVED: u8 = 7;
    pub(super) const UNITS_RETURNED: u8 = 8;
    pub(super) const KEY_REMOVED: u8 = 9;
}

/// What was decided about accounts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A plan is new or changed.
    PlanSet {
        /// Its name.
        name: String,
        /// What it allows now.
        plan: Plan,
    },
    /// An account is new.
    AccountCreated {
        /// Its id.
        id: AccountId,
        /// Its name.
        name: String,
        /// Its e-mail address.
        email: Option<String>,
    },
    /// A key is new.
    KeyCreated {
        /// Its id.
        id: KeyId,
        /// Whose it is.
        account: AccountId,
        /// The first key of its line; itself unless it was rotated.
        line: KeyId,
        /// The hash of its text.
        hash: KeyHash,
        /// Its plan.
        plan: String,
        /// What people call it.
        label: String,
    },
    /// A key is refused from a time on, which may lie ahead.
    KeyEnds {
        /// The key.
        id: KeyId,
        /// From then on.
        ends: Timestamp,
    },
    /// A key has another label.
    KeyLabelled {
        /// The key.
        id: KeyId,
        /// The label.
        label: String,
    },
    /// A key was used on a day; written once a day at most.
    KeyUsed {
        /// The key.
        id: KeyId,
        /// Days since 1970-01-01.
        day: u32,
    },
    /// A key that ended long ago is forgotten.
    KeyRemoved {
        /// The key.
        id: KeyId,
        /// The hash of its text, by which it is found.
        hash: KeyHash,
    },
    /// Units of a month were charged.
    UnitsReserved {
        /// The line.
        line: KeyId,
        /// The month.
        month: Month,
        /// How many.
        units: u64,
    },
    /// Units of a month were given back.
    UnitsReturned {
        /// The line.
        line: KeyId,
        /// The month.
        month: Month,
        /// How many.
        units: u64,
    },
}

// The bodies, version 1: positional MessagePack. The subject of the record is the id that it is about
// and is not repeated in the body.
type PlanSetV1 = (String, u32, u32, Option<u64>);
type AccountCreatedV1 = (String, Option<String>);
type KeyCreatedV1 = (AccountId, KeyId, KeyHash, String, String);
type UnitsV1 = (Month, u64);

pub(super) fn encode(event: &Event, body: &mut Vec<u8>) -> Header {
    let (kind, subject) = match event {
        Event::PlanSet { name, plan } => {
            write(
                body,
                &(name, plan.rate_per_second, plan.burst, plan.quota_per_month),
            );
            (kind::PLAN_SET, 0)
        }
        Event::AccountCreated { id, name, email } => {
            write(body, &(name, email));
            (kind::ACCOUNT_CREATED, id.get())
        }
        Event::KeyCreated {
            id,
            account,
            line,
            hash,
            plan,
            label,
        } => {
            write(body, &(account, line, hash, plan, label));
            (kind::KEY_CREATED, id.get())
        }
        Event::KeyEnds { id, ends } => {
            write(body, &(ends,));
            (kind::KEY_ENDS, id.get())
        }
        Event::KeyLabelled { id, label } => {
            write(body, &(label,));
            (kind::KEY_LABELLED, id.get())
        }
        Event::KeyUsed { id, day } => {
            write(body, &(day,));
            (kind::KEY_USED, id.get())
        }
        Event::KeyRemoved { id, hash } => {
            write(body, &(hash,));
            (kind::KEY_REMOVED, id.get())
        }
        Event::UnitsReserved { line, month, units } => {
            write(body, &(month, units));
            (kind::UNITS_RESERVED, line.get())
        }
        Event::UnitsReturned { line, month, units } => {
            write(body, &(month, units));
            (kind::UNITS_RETURNED, line.get())
        }
    };
    Header {
        kind,
        version: VERSION,
        subject,
    }
}

pub(super) fn decode(header: &Header, body: &[u8]) -> Result<Event, DecodeError> {
    if header.version != VERSION {
        return Err(DecodeError::UnknownVersion {
            kind: header.kind,
            version: header.version,
        });
    }
    let id = KeyId::new(header.subject);
    Ok(match header.kind {
        kind::PLAN_SET => {
            let (name, rate_per_second, burst, quota_per_month): PlanSetV1 = read(body)?;
            let plan = Plan {
                rate_per_second,
                burst,
                quota_per_month,
            };
            Event::PlanSet { name, plan }
        }
        kind::ACCOUNT_CREATED => {
            let (name, email): AccountCreatedV1 = read(body)?;
            let id = AccountId::new(header.subject);
            Event::AccountCreated { id, name, email }
        }
        kind::KEY_CREATED => {
            let (account, line, hash, plan, label): KeyCreatedV1 = read(body)?;
            Event::KeyCreated {
                id,
                account,
                line,
                hash,
                plan,
                label,
            }
        }
        kind::KEY_ENDS => {
            let (ends,) = read(body)?;
            Event::KeyEnds { id, ends }
        }
        kind::KEY_LABELLED => {
            let (label,) = read(body)?;
            Event::KeyLabelled { id, label }
        }
        kind::KEY_USED => {
            let (day,) = read(body)?;
            Event::KeyUsed { id, day }
        }
        kind::KEY_REMOVED => {
            let (hash,) = read(body)?;
            Event::KeyRemoved { id, hash }
        }
        kind::UNITS_RESERVED => {
            let (month, units): UnitsV1 = read(body)?;
            let line = id;
            Event::UnitsReserved { line, month, units }
        }
        kind::UNITS_RETURNED => {
            let (month, units): UnitsV1 = read(body)?;
            let line = id;
            Event::UnitsReturned { line, month, units }
        }
        other => return Err(DecodeError::UnknownKind(other)),
    })
}

fn write(body: &mut Vec<u8>, value: &impl Serialize) {
    rmp_serde::encode::write(body, value).expect("plain values are written to memory");
}

fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, DecodeError> {
    Ok(rmp_serde::from_slice(body)?)
}
