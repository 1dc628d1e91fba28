//! [pure] What a state machine is: decide what follows, evolve by what is written.

use std::io::{self, Write};
use std::sync::Arc;

use taraf_base::Timestamp;

use crate::Position;
use crate::blob::Blob;
use crate::record::Header;
use crate::snapshot::Reader;

/// A deterministic state machine whose events are the records of a partition.
///
/// `decide` runs on the leader alone; what it finds out becomes events. `evolve` applies events and
/// is all that replay runs, so that a new program never changes the meaning of an old log.
pub trait Machine: Send + 'static + Sized {
    /// What may be proposed. Comes from outside: validated by `decide`, never asserted.
    type Input: Send + 'static;
    /// What is recorded.
    type Event: Send + Sync + 'static;
    /// What must be done once the events are durable.
    type Action: Send + 'static;
    /// What the proposer is told once the events are durable.
    type Reply: Send + 'static;

    /// What follows from `input` in this state. May evaluate and may be slow; must not change
    /// anything, and may use no time but `now`. A panic refuses this input alone.
    fn decide(&self, input: Self::Input, now: Timestamp) -> Decision<Self>;

    /// Takes large payloads out of events that were decided: the events only name them from here on, and
    /// whoever drives the machine makes them durable before the events. Asked on the leader alone,
    /// between deciding and applying. While there is no room beside the log, nothing more may be
    /// answered: payloads that are not kept yet stay in their events.
    fn detach(&self, _events: &mut [Self::Event], _has_room: bool) -> Vec<Arc<Blob>> {
        Vec::new()
    }

    /// Applies one recorded event. Pure and total: no clock, chance, evaluation, `HashMap` order,
    /// float comparison or panic. `at` is the time of the record.
    fn evolve(&mut self, event: &Self::Event, at: Timestamp);

    /// After replay: everything that the state says must be under way (calls, timers).
    fn outstanding(&self, now: Timestamp) -> Vec<Self::Action>;

    /// Appends the event's body and answers its header, always in the newest version.
    fn encode(event: &Self::Event, body: &mut Vec<u8>) -> Header;

    /// Reads an event of any version ever written.
    ///
    /// # Errors
    /// On an unknown kind or version, which stops the partition: a record is never skipped.
    fn decode(header: &Header, body: &[u8]) -> Result<Self::Event, DecodeError>;

    /// Writes the whole state, versioned.
    ///
    /// # Errors
    /// As `to` answers.
    fn write_snapshot(&self, to: &mut dyn Write) -> io::Result<()>;

    /// Replaces the (empty) state by that of a snapshot of any version ever written.
    ///
    /// # Errors
    /// When the bytes are no snapshot that this program knows, or cannot be read.
    fn read_snapshot(&mut self, from: &mut Reader<'_>) -> Result<(), DecodeError>;

    /// Whether a snapshot that begins so has the version that [`Machine::write_snapshot`] writes. The hash
    /// of a state that was restored from an earlier one says nothing about the program that took it.
    #[must_use]
    fn is_current(_head: &[u8]) -> bool {
        true
    }

    /// The whole state as bytes, for states that are small.
    #[must_use]
    fn snapshot(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.write_snapshot(&mut bytes)
            .expect("memory takes all that is written");
        bytes
    }

    /// Replaces the state by that of such bytes.
    ///
    /// # Errors
    /// As [`Machine::read_snapshot`].
    fn restore(&mut self, snapshot: &[u8]) -> Result<(), DecodeError> {
        self.read_snapshot(&mut snapshot.into())
    }

    /// An empty state with the settings of this one, into which the log can be replayed: so snapshots
    /// are taken, beside the leader, whose inputs never wait for one.
    #[must_use]
    fn empty(&self) -> Self;

    /// After how many records the next snapshot is due; `least` is what the configuration says. A machine
    /// with a large state answers more, so that what is written for snapshots stays in proportion to
    /// what happens.
    #[must_use]
    fn snapshot_every(&self, least: u64) -> u64 {
        least
    }

    /// Set when [`Machine::state_hash`] costs no more than what changed since it was last asked: then the
    /// leader writes it down now and then, and whoever applies its records compares. The number says
    /// how the hash is made: one that was made in another way is not compared.
    const HASHED: Option<u16> = None;

    /// A hash over the whole state, equal for equal states on every machine and build. It may remember
    /// what it worked out.
    fn state_hash(&mut self) -> u64;
}

/// What follows from an input: one atomic group of events, and what they cause.
#[derive(Debug)]
pub struct Decision<M: Machine> {
    /// Recorded together or not at all; none when nothing changes.
    pub events: Vec<M::Event>,
    /// Released in order once the events are durable.
    pub actions: Vec<M::Action>,
    /// Told once the events (and all before them) are durable.
    pub reply: M::Reply,
}

/// Who is told what happened to a machine. Called on the replica's task: hand over, do not wait.
pub trait Observer<M: Machine>: Send + 'static {
    /// The state after replay up to `position`, from the snapshot of record `snapshot` on, before
    /// anything else is called.
    fn recovered(&mut self, machine: &M, position: Position, snapshot: Position);
    /// Events that are durable now, in order. `position` is the last record that is durable with them:
    /// not every record is an event, so there may be none.
    fn committed(&mut self, position: Position, events: &[(Timestamp, M::Event)]);
    /// Actions whose cause is durable now, in order.
    fn release(&mut self, actions: Vec<M::Action>);
}

/// For machines that nobody watches.
impl<M: Machine> Observer<M> for () {
    fn recovered(&mut self, _machine: &M, _position: Position, _snapshot: Position) {}
    fn committed(&mut self, _position: Position, _events: &[(Timestamp, M::Event)]) {}
    fn release(&mut self, _actions: Vec<M::Action>) {}
}

/// Why a record or snapshot cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// A newer program wrote it, or it was never ours.
    #[error("the kind {0} is unknown")]
    UnknownKind(u8),
    /// A newer program wrote it.
    #[error("version {version} of kind {kind} is unknown")]
    UnknownVersion {
        /// The record's kind.
        kind: u8,
        /// Its version.
        version: u16,
    },
    /// The bytes are not what the kind and version say.
    #[error("the bytes are not well formed: {0}")]
    Malformed(String),
}

/// What is read of a snapshot was checked before.
impl From<io::Error> for DecodeError {
    fn from(error: io::Error) -> Self {
        Self::Malformed(error.to_string())
    }
}

impl From<rmp_serde::decode::Error> for DecodeError {
    fn from(error: rmp_serde::decode::Error) -> Self {
        Self::Malformed(error.to_string())
    }
}
