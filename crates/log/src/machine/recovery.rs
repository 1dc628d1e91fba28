//! Brings an empty machine to the end of its log: newest snapshot, then every record after it.

use std::panic::{AssertUnwindSafe, catch_unwind};

use taraf_base::Timestamp;

use super::{DecodeError, Machine, snapshot};
use crate::record::{self, FrameError, Record};
use crate::{Error, Log, PartitionId, Position};

/// Bytes asked for at once.
const READ_BYTES_MAX: usize = 1 << 20;

/// A machine at a position of its log.
pub(super) struct Recovered<M> {
    pub(super) machine: M,
    /// The last record it has seen.
    pub(super) position: Position,
    /// The time of that record.
    pub(super) time: Timestamp,
    /// The newest snapshot.
    pub(super) snapshot: Position,
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
) -> Result<Recovered<M>, Error> {
    let mut recovered = Recovered {
        machine,
        position: Position::ZERO,
        time: Timestamp::EPOCH,
        snapshot: Position::ZERO,
    };
    if let Some((at, bytes)) = log.get_snapshot(partition, Position::MAX).await? {
        recovered.restore(partition, at, &bytes, tail)?;
    }
    while recovered.position < tail {
        let from = recovered.position.next();
        let chunk = log.read(partition, from, READ_BYTES_MAX).await?;
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
                recovered.apply(partition, record)?;
            }
        }
        tokio::task::yield_now().await;
    }
    Ok(recovered)
}

impl<M: Machine> Recovered<M> {
    fn restore(
        &mut self,
        partition: PartitionId,
        at: Position,
        bytes: &[u8],
        tail: Position,
    ) -> Result<(), Error> {
        if at > tail {
            let why = format!("{partition} has a snapshot of record {at}, but ends at {tail}");
            return Err(Error::Poisoned(why));
        }
        self.time = snapshot::restore(&mut self.machine, bytes).map_err(|error| {
            Error::Poisoned(format!("{partition}, snapshot at record {at}: {error}"))
        })?;
        self.position = at;
        self.snapshot = at;
        Ok(())
    }

    fn apply(&mut self, partition: PartitionId, record: &Record<'_>) -> Result<(), Error> {
        if record.position != self.position.next() {
            let why = format!("{partition}: record {} is missing", self.position.next());
            return Err(Error::Poisoned(why));
        }
        let event = M::decode(&record.header, record.body)
            .map_err(|error| bad_record(partition, record, &error))?;
        evolve(&mut self.machine, &event, record.time)
            .map_err(|panic| Error::Poisoned(format!("{partition}, {}: {panic}", name(record))))?;
        self.position = record.position;
        self.time = record.time;
        Ok(())
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
