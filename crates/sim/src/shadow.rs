//! [pure] The log of one partition as it must be: every batch that was acknowledged or read back, byte for
//! byte, and the state that its records add up to.

use taraf_base::Timestamp;
use taraf_log::machine::recovery::Recovery;
use taraf_log::machine::{Machine, checkpoint};
use taraf_log::record;
use taraf_log::{Batch, Chunk, PartitionId, Position};

/// Bytes read at once.
const READ_BYTES: usize = 1 << 20;

/// What a partition's log must hold for ever.
pub(crate) struct Shadow<M> {
    pub(crate) partition: PartitionId,
    batches: Vec<Batch>,
    mirror: M,
}

/// Events with their time, in order.
pub(crate) type Told<M> = Vec<(Timestamp, <M as Machine>::Event)>;

impl<M: Machine> Shadow<M> {
    pub(crate) fn new(partition: PartitionId, empty: M) -> Self {
        Self {
            partition,
            batches: Vec::new(),
            mirror: empty,
        }
    }

    /// The last record.
    pub(crate) fn tail(&self) -> Position {
        self.batches.last().map_or(Position::ZERO, Batch::last)
    }

    /// The state after it.
    pub(crate) const fn mirror(&self) -> &M {
        &self.mirror
    }

    /// Takes a batch that is durable. The events are those that are new.
    ///
    /// # Errors
    /// When it stands where another batch does, leaves a hole, or cannot be read.
    pub(crate) fn extend(&mut self, batch: &Batch) -> Result<Told<M>, String> {
        let partition = self.partition;
        let tail = self.tail();
        if batch.first <= tail {
            let at = self
                .batches
                .partition_point(|known| known.last() < batch.first);
            return match self.batches.get(at) {
                Some(known) if known == batch => Ok(Vec::new()),
                known => Err(format!(
                    "{partition}: batch {} at record {} stands where batch {:?} was durable",
                    batch.id,
                    batch.first,
                    known.map(|known| known.id)
                )),
            };
        }
        if batch.first != tail.next() {
            let first = batch.first;
            return Err(format!(
                "{partition}: a hole between records {tail} and {first}"
            ));
        }
        let records = record::decode_all(&batch.frames, batch.first, batch.count)
            .map_err(|error| format!("{partition}: batch {}: {error}", batch.id))?;
        let mut told = Vec::new();
        for record in &records {
            // Whether it is right is for who applies the records to find out.
            if record.header.kind == checkpoint::KIND {
                continue;
            }
            let event = M::decode(&record.header, record.body)
                .map_err(|error| format!("{partition}: record {}: {error}", record.position))?;
            self.mirror.evolve(&event, record.time);
            told.push((record.time, event));
        }
        self.batches.push(batch.clone());
        Ok(told)
    }

    /// Compares with what a log answers from its first record on, and takes what is new.
    ///
    /// # Errors
    /// When something that was durable is not there or is different.
    pub(crate) fn compare(
        &mut self,
        tail: Position,
        mut read: impl FnMut(Position, usize) -> Result<Chunk, taraf_log::Error>,
    ) -> Result<Told<M>, String> {
        let partition = self.partition;
        if tail < self.tail() {
            let lost = self.tail();
            return Err(format!(
                "{partition}: it ends at record {tail}; {lost} was acknowledged"
            ));
        }
        let (mut from, mut told) = (Position::FIRST, Vec::new());
        while from <= tail {
            let chunk = match read(from, READ_BYTES) {
                Ok(chunk) => chunk,
                Err(taraf_log::Error::Trimmed { first }) if first > from => {
                    from = first;
                    continue;
                }
                Err(error) => return Err(format!("{partition}: reading record {from}: {error}")),
            };
            let Some(last) = chunk.batches.last() else {
                return Err(format!(
                    "{partition}: record {from} is missing, the tail is {tail}"
                ));
            };
            from = last.last().next();
            for batch in &chunk.batches {
                told.extend(self.extend(batch)?);
            }
        }
        Ok(told)
    }

    /// Replays everything from the first record into an empty machine and compares.
    ///
    /// # Errors
    /// When the states differ.
    pub(crate) fn replay(&mut self, empty: M) -> Result<(), String> {
        let partition = self.partition;
        let mut recovery = Recovery::new(partition, empty, self.tail());
        for batch in &self.batches {
            let chunk = Chunk {
                batches: vec![batch.clone()],
            };
            let applied = recovery.apply(&chunk);
            applied.map_err(|error| format!("{partition}: replay from 0: {error}"))?;
        }
        let replayed = recovery.finish().machine.state_hash();
        self.check_hash("replay from the first record", replayed)
    }

    /// Whether a state at the tail is this one.
    ///
    /// # Errors
    /// When it is another.
    pub(crate) fn check_hash(&mut self, whose: &str, hash: u64) -> Result<(), String> {
        let expected = self.mirror.state_hash();
        if hash == expected {
            return Ok(());
        }
        Err(format!(
            "{}: at record {} the state of {whose} has the hash {hash:016x}, that of the \
             records {expected:016x}",
            self.partition,
            self.tail()
        ))
    }
}
