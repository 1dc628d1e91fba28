//! A small machine that shows every path of a replica: named sums, and inputs that misbehave.

use std::collections::BTreeMap;
use std::io::{self, Read as _, Write};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use taraf_log::snapshot::Reader;

use bytes::Bytes;
use taraf_base::Timestamp;
use taraf_log::blob::{Blob, BlobId};
use taraf_log::machine::{Decision, DecodeError, Header, Machine, Observer};

const ADDED: u8 = 1;
const CURSED: u8 = 2;

#[derive(Clone, Debug, Default)]
pub(crate) struct Ledger {
    pub sums: BTreeMap<u64, u64>,
    /// Amounts of detached paddings, as recorded.
    pub amounts: Vec<u64>,
    pub count: u64,
    pub time: i64,
    /// Whether paddings are kept as blobs; then their lengths are the amounts.
    pub detaches: bool,
    /// Whether this copy applies a record in a way that no other does.
    pub is_faulty: bool,
    /// Snapshots that were taken of this copy.
    pub taken: Arc<AtomicUsize>,
}

/// By what is recorded.
impl PartialEq for Ledger {
    fn eq(&self, other: &Self) -> bool {
        (&self.sums, self.count, self.time) == (&other.sums, other.count, other.time)
    }
}

impl Eq for Ledger {}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Input {
    /// One event.
    Add(u64, u64),
    /// A group of that many events that must be applied together.
    Spread(Vec<u64>),
    /// No event.
    Ask(u64),
    /// A large event.
    Big(usize),
    /// `decide` panics.
    Boom,
    /// `evolve` panics.
    Curse,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    Added {
        name: u64,
        amount: u64,
        padding: usize,
    },
    Cursed,
}

/// The blob of a padding.
pub(crate) fn padded(bytes: u64) -> Blob {
    let bytes = Bytes::from(vec![0x55; usize::try_from(bytes).unwrap()]);
    let id = BlobId::of(&bytes);
    Blob { id, bytes }
}

impl Machine for Ledger {
    type Input = Input;
    type Event = Event;
    type Action = String;
    type Reply = u64;

    fn decide(&self, input: Input, _now: Timestamp) -> Decision<Self> {
        let added = |name, amount| Event::Added {
            name,
            amount,
            padding: 0,
        };
        let (events, reply) = match input {
            Input::Add(name, amount) => {
                let sum = self.sums.get(&name).unwrap_or(&0) + amount;
                (vec![added(name, amount)], sum)
            }
            Input::Spread(names) => (names.into_iter().map(|name| added(name, 1)).collect(), 0),
            Input::Ask(name) => (Vec::new(), *self.sums.get(&name).unwrap_or(&0)),
            Input::Big(padding) => (
                vec![Event::Added {
                    name: 0,
                    amount: 0,
                    padding,
                }],
                0,
            ),
            Input::Boom => panic!("boom"),
            Input::Curse => (vec![Event::Cursed], 0),
        };
        let actions = events.iter().map(|event| format!("{event:?}")).collect();
        Decision {
            events,
            actions,
            reply,
        }
    }

    fn detach(&self, events: &mut [Event], has_room: bool) -> Vec<Arc<Blob>> {
        let mut blobs = Vec::new();
        for event in events {
            if let Event::Added {
                amount, padding, ..
            } = event
                && *padding > 0
                && self.detaches
                && has_room
            {
                *amount = u64::try_from(*padding).unwrap();
                blobs.push(Arc::new(padded(*amount)));
                *padding = 0;
            }
        }
        blobs
    }

    fn evolve(&mut self, event: &Event, at: Timestamp) {
        assert!(at.as_millis() >= self.time, "record time goes back");
        self.time = at.as_millis();
        self.count += 1;
        match event {
            Event::Added { name, amount, .. } => {
                let more = u64::from(self.is_faulty && self.count == 7);
                *self.sums.entry(*name).or_default() += amount + more;
                if self.detaches {
                    self.amounts.push(*amount);
                }
            }
            Event::Cursed => panic!("cursed"),
        }
    }

    fn outstanding(&self, _now: Timestamp) -> Vec<String> {
        self.sums
            .keys()
            .map(|name| format!("outstanding {name}"))
            .collect()
    }

    fn encode(event: &Event, body: &mut Vec<u8>) -> Header {
        let (kind, subject) = match event {
            Event::Added {
                name,
                amount,
                padding,
            } => {
                body.extend_from_slice(&name.to_le_bytes());
                body.extend_from_slice(&amount.to_le_bytes());
                body.resize(body.len() + padding, 0x55);
                (ADDED, u128::from(*name))
            }
            Event::Cursed => (CURSED, 0),
        };
        Header {
            kind,
            version: 1,
            subject,
        }
    }

    fn decode(header: &Header, body: &[u8]) -> Result<Event, DecodeError> {
        let number = |at: usize| {
            let bytes = body.get(at..at + 8).and_then(|bytes| bytes.try_into().ok());
            let cut = || DecodeError::Malformed("cut".to_owned());
            bytes.map(u64::from_le_bytes).ok_or_else(cut)
        };
        match header.kind {
            ADDED => Ok(Event::Added {
                name: number(0)?,
                amount: number(8)?,
                padding: body.len() - 16,
            }),
            CURSED => Ok(Event::Cursed),
            kind => Err(DecodeError::UnknownKind(kind)),
        }
    }

    /// The copy has a counter of its own.
    fn empty(&self) -> Self {
        Self::default()
    }

    fn write_snapshot(&self, to: &mut dyn Write) -> io::Result<()> {
        self.taken.fetch_add(1, Ordering::Relaxed);
        let mut bytes = Vec::new();
        bytes.extend_from_slice(&self.count.to_le_bytes());
        bytes.extend_from_slice(&self.time.to_le_bytes());
        for (name, sum) in &self.sums {
            bytes.extend_from_slice(&name.to_le_bytes());
            bytes.extend_from_slice(&sum.to_le_bytes());
        }
        to.write_all(&bytes)
    }

    fn read_snapshot(&mut self, from: &mut Reader<'_>) -> Result<(), DecodeError> {
        let mut snapshot = Vec::new();
        from.read_to_end(&mut snapshot)?;
        let mut numbers = snapshot
            .chunks_exact(8)
            .map(|b| u64::from_le_bytes(b.try_into().unwrap()));
        let mut next = || {
            numbers
                .next()
                .ok_or_else(|| DecodeError::Malformed("cut".to_owned()))
        };
        self.count = next()?;
        self.time = i64::try_from(next()?).unwrap();
        while let (Ok(name), Ok(sum)) = (next(), next()) {
            self.sums.insert(name, sum);
        }
        Ok(())
    }

    const HASHED: Option<u16> = Some(1);

    fn state_hash(&mut self) -> u64 {
        let mut hash = self.count;
        for (name, sum) in &self.sums {
            for number in [*name, *sum] {
                hash = (hash ^ number)
                    .wrapping_mul(0x0100_0000_01b3)
                    .rotate_left(17);
            }
        }
        hash
    }
}

/// Keeps all that an observer was told.
#[derive(Clone, Default)]
pub(crate) struct Witness(pub(crate) Arc<Mutex<Seen>>);

#[derive(Debug, Default)]
pub(crate) struct Seen {
    pub recovered: Option<Ledger>,
    pub committed: Vec<Event>,
    pub released: Vec<String>,
}

impl Observer<Ledger> for Witness {
    fn recovered(&mut self, ledger: &Ledger, _at: taraf_log::Position, _of: taraf_log::Position) {
        self.0.lock().unwrap().recovered = Some(ledger.clone());
    }

    fn committed(&mut self, _at: taraf_log::Position, events: &[(Timestamp, Event)]) {
        let events = events.iter().map(|(_, event)| event.clone());
        self.0.lock().unwrap().committed.extend(events);
    }

    fn release(&mut self, actions: Vec<String>) {
        self.0.lock().unwrap().released.extend(actions);
    }
}
