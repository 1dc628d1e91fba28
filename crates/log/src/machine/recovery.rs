//! Brings an empty machine to the end of its log: newest snapshot, then every record after it.

use std::panic::{AssertUnwindSafe, catch_unwind};

use taraf_base::Timestamp;

use super::{DecodeError, Machine, checkpoint, snapshot};
use crate::record::{self, FrameError, Record};
use crate::snapshot::{Data, Reader};
use crate::{Chunk, Error, Log, PartitionId, Position};

/// Bytes asked for at once.
pub const READ_BYTES_MAX: usize = 1 << 20;

/// A machine at a position of its log.
#[derive(Debug)]
pub struct Recovered<M> {
    /// The state.
    pub machine: M,
    /// The last record it has seen.
    pub position: Position,
    /// The time of that record.
    pub time: Timestamp,
    /// The newest snapshot.
    pub snapshot: Position,
}

/// Brings a machine to the tail of its log, fed with what is read from it: first
/// [`Recovery::restore`], then [`Recovery::apply`] for as long as [`Recovery::next`] wants more.
#[derive(Debug)]
pub struct Recovery<M> {
    partition: PartitionId,
    tail: Position,
    accepts_replay: bool,
    recovered: Recovered<M>,
}

impl<M: Machine> Recovery<M> {
    /// The recovery of an empty machine to `tail`. Records after it are not touched.
    #[must_use]
    pub const fn new(partition: PartitionId, machine: M, tail: Position) -> Self {
        Self {
            partition,
            tail,
            accepts_replay: false,
            recovered: Recovered {
                machine,
                position: Position::ZERO,
                time: Timestamp::EPOCH,
                snapshot: Position::ZERO,
            },
        }
    }

    /// The same, going on with what the records say where a checkpoint says otherwise.
    #[must_use]
    pub fn accepting(self, accepts_replay: bool) -> Self {
        Self {
            accepts_replay,
            ..self
        }
    }

    /// Begins at a snapshot of record `at`.
    ///
    /// # Errors
    /// [`Error::Poisoned`] when it is none of ours, or of a record that the log does not hold;
    /// [`Error::Diverged`] when it restores to another state than the one that was taken.
    pub fn restore(&mut self, at: Position, mut data: Reader<'_>) -> Result<(), Error> {
        let (partition, tail) = (self.partition, self.tail);
        if at > tail {
            let why = format!("{partition} has a snapshot of record {at}, but ends at {tail}");
            return Err(Error::Poisoned(why));
        }
        let restored = snapshot::restore(&mut self.recovered.machine, &mut data);
        let (time, hashes) = restored.map_err(|error| {
            Error::Poisoned(format!("{partition}, snapshot at record {at}: {error}"))
        })?;
        self.compare(at, hashes)?;
        self.recovered.time = time;
        self.recovered.position = at;
        self.recovered.snapshot = at;
        Ok(())
    }

    /// The record to read from, unless the tail is reached.
    #[must_use]
    pub fn next(&self) -> Option<Position> {
        (self.recovered.position < self.tail).then(|| self.recovered.position.next())
    }

    /// Applies what was read from [`Recovery::next`] on.
    ///
    /// # Errors
    /// [`Error::Poisoned`] naming the record that is missing or cannot be applied;
    /// [`Error::Diverged`] when the state is not what a checkpoint says.
    pub fn apply(&mut self, chunk: &Chunk) -> Result<(), Error> {
        let (partition, tail) = (self.partition, self.tail);
        let from = self.recovered.position.next();
        if chunk.batches.is_empty() {
            let why = format!("{partition} should end at record {tail}, but {from} is missing");
            return Err(Error::Poisoned(why));
        }
        for batch in &chunk.batches {
            let records = record::decode_all(&batch.frames, batch.first, batch.count)
                .map_err(|error| bad_batch(partition, batch.first, &error))?;
            // A snapshot may have been taken within a batch; what it holds is not applied twice.
            let missing = |r: &&Record<'_>| r.position >= from && r.position <= tail;
            for record in records.iter().filter(missing) {
                if let Some(hashes) = self.recovered.apply(partition, record)? {
                    self.compare(record.position, hashes)?;
                }
            }
        }
        Ok(())
    }

    /// Whether the hash that was found is the one that was recorded.
    fn compare(&self, at: Position, (found, recorded): (u64, u64)) -> Result<(), Error> {
        let partition = self.partition;
        let diverged = Error::Diverged {
            partition,
            at,
            found,
            recorded,
        };
        match found == recorded {
            true => Ok(()),
            false if self.accepts_replay => {
                tracing::warn!(%partition, %at, "a state that is not the recorded one is accepted");
                Ok(())
            }
            false => Err(diverged),
        }
    }

    /// The machine, as far as it came.
    #[must_use]
    pub fn finish(self) -> Recovered<M> {
        self.recovered
    }
}

/// Evolves `machine` to `tail`. Records after it are not touched.
///
/// # Errors
/// [`Error::Poisoned`] naming the record or snapshot that cannot be applied; the log's own errors.
pub(super) async fn recover<M: Machine, L: Log>(
    log: &L,
    partition: PartitionId,
    machine: M,
    tail: Position,
    accepts_replay: bool,
) -> Result<Recovered<M>, Error> {
    let mut recovery = Recovery::new(partition, machine, tail).accepting(accepts_replay);
    if let Some((at, data)) = log.get_snapshot(partition, Position::MAX).await? {
        recovery.restore(at, data)?;
    }
    while let Some(from) = recovery.next() {
        let chunk = log.read(partition, from, READ_BYTES_MAX).await?;
        recovery.apply(&chunk)?;
        tokio::task::yield_now().await;
    }
    Ok(recovery.finish())
}

impl<M: Machine> Recovered<M> {
    /// What is stored as its snapshot.
    #[must_use]
    pub fn into_snapshot(self) -> Data {
        snapshot::take(self.machine, self.time)
    }

    /// Applies a record; answers what was found and what is recorded when it is a checkpoint.
    fn apply(
        &mut self,
        partition: PartitionId,
        record: &Record<'_>,
    ) -> Result<Option<(u64, u64)>, Error> {
        if record.position != self.position.next() {
            let why = format!("{partition}: record {} is missing", self.position.next());
            return Err(Error::Poisoned(why));
        }
        let bad = |error| bad_record(partition, record, &error);
        let recorded = checkpoint::decode(&record.header, record.body).map_err(bad)?;
        if recorded.is_none() {
            let event = M::decode(&record.header, record.body).map_err(bad)?;
            evolve(&mut self.machine, &event, record.time).map_err(|panic| {
                Error::Poisoned(format!("{partition}, {}: {panic}", name(record)))
            })?;
        }
        self.position = record.position;
        self.time = record.time;
        let comparable = recorded.filter(|(way, _)| Some(*way) == M::HASHED);
        Ok(comparable.map(|(_, hash)| (self.machine.state_hash(), hash)))
    }
}

/// Evolves and turns a panic into its text. The state is not usable after one.
pub(super) fn evolve<M: Machine>(
    machine: &mut M,
    event: &M::Event,
    at: Timestamp,
) -> Result<(), String> {
    catch_unwind(AssertUnwindSafe(|| machine.evolve(event, at)))
        .map_err(|panic| format!("applying it panicked: {}", panic_text(panic.as_ref())))
}

/// The message of a caught panic.
pub(super) fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "a panic without a message".to_owned())
}

fn name(record: &Record<'_>) -> String {
    let header = record.header;
    format!(
        "record {} (kind {}, version {}, subject {:032x})",
        record.position, header.kind, header.version, header.subject
    )
}

fn bad_record(partition: PartitionId, record: &Record<'_>, error: &DecodeError) -> Error {
    Error::Poisoned(format!("{partition}, {}: {error}", name(record)))
}

fn bad_batch(partition: PartitionId, first: Position, error: &FrameError) -> Error {
    Error::Poisoned(format!("{partition}, batch at record {first}: {error}"))
}
