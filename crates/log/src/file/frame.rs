//! [pure] The bytes of a segment: its header, and the frames of batches and claims in it.
//!
//! Drawn in `docs/protocols/log.md`. All numbers are little endian; a frame starts at a multiple of
//! [`ALIGN`] and its checksum is seeded with the segment's random salt, so that what an earlier use
//! of a recycled file left behind is never taken for a frame of this one.
#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use std::collections::BTreeMap;

use bytes::Bytes;

use crate::record::Fields;
use crate::{Batch, BatchId, Epoch, PartitionId, Position};

/// Frames start at multiples of this.
pub(super) const ALIGN: usize = 8;
/// Bytes of a frame before its records.
pub(super) const FRAME_BYTES: usize = 80;
/// Bytes of a segment's header before its table of partitions.
pub(super) const HEADER_BYTES: usize = 72;
/// Bytes of one row of that table.
pub(super) const ROW_BYTES: usize = 32;

const FORMAT: u16 = 1;
const SEGMENT_MAGIC: [u8; 8] = *b"TARAFSEG";
const FRAME_MAGIC: [u8; 4] = *b"TFB\x01";
const KIND_BATCH: u8 = 0;
const KIND_CLAIM: u8 = 1;
/// Where a segment header says how many rows its table has.
const ROWS_AT: usize = 56;
/// The checksum of a segment header covers what follows it.
const HEADER_COVERED: usize = 12;
/// The checksum of a frame covers what follows it.
const FRAME_COVERED: usize = 8;

/// Where each partition of a stripe ends: its last record, and the batch or claim at the tail.
pub(super) type Tails = BTreeMap<PartitionId, (Position, BatchId)>;

/// The number of a frame in its stripe: dense, the first is 1.
pub(super) type Sequence = u64;

/// What a segment says about itself. Durable before the file gets its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SegmentHeader {
    pub(super) stripe: u16,
    pub(super) number: u64,
    /// The highest epoch of the stripe when the segment was made; for people who look.
    pub(super) epoch: Epoch,
    /// Unlike that of any earlier use of the file.
    pub(super) salt: u64,
    /// The number of the first frame. Where it begins, the segments before it end.
    pub(super) first: Sequence,
    /// Frames up to this one were durable before the segment got its name.
    pub(super) sealed: Sequence,
    /// The size of the file, which is whole from the start: a shorter one was cut.
    pub(super) bytes: u64,
    /// Where the partitions ended before `first`, so that earlier segments may go.
    pub(super) tails: Tails,
}

/// A batch or a claim as it lies in a segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Frame {
    pub(super) sequence: Sequence,
    /// Frames up to this one were durable when this one was written: what tells a torn write, where
    /// any part may be missing, from damage to something that was once whole.
    pub(super) synced: Sequence,
    pub(super) partition: PartitionId,
    /// A claim has no records and stands as batch 0 of its epoch.
    pub(super) batch: Batch,
}

/// What a frame says of itself before its checksum was looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Peek {
    /// Bytes of the frame, padding included.
    pub(super) size: usize,
    pub(super) sequence: Sequence,
    pub(super) partition: PartitionId,
    /// Its last record; below the first in a claim.
    pub(super) last: Position,
}

/// Why there is no frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Invalid {
    /// Nothing, a part of a frame, or other bytes.
    NotAFrame,
    /// A whole frame of a kind that this program does not know.
    Unknown(u8),
}

impl SegmentHeader {
    /// Bytes of the header with its table, up to where the first frame starts.
    pub(super) fn size(&self) -> usize {
        let rows = self.tails.len().saturating_mul(ROW_BYTES);
        HEADER_BYTES.saturating_add(rows)
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let rows = u32::try_from(self.tails.len()).expect("partitions are numbered in 32 bits");
        let mut bytes = vec![0; self.size()];
        let mut fields = Fields::new(&mut bytes);
        fields.put(&SEGMENT_MAGIC);
        fields.put(&[0; 4]);
        fields.put(&FORMAT.to_le_bytes());
        fields.put(&self.stripe.to_le_bytes());
        fields.put(&self.number.to_le_bytes());
        fields.put(&self.epoch.0.to_le_bytes());
        fields.put(&self.salt.to_le_bytes());
        fields.put(&self.first.to_le_bytes());
        fields.put(&self.sealed.to_le_bytes());
        fields.put(&rows.to_le_bytes());
        fields.put(&self.bytes.to_le_bytes());
        fields.put(&[0; 4]);
        for (partition, (tail, last)) in &self.tails {
            fields.put(&partition.0.to_le_bytes());
            fields.put(&[0; 4]);
            fields.put(&tail.0.to_le_bytes());
            fields.put(&last.epoch.0.to_le_bytes());
            fields.put(&last.n.to_le_bytes());
        }
        let (head, covered) = bytes.split_at_mut(HEADER_COVERED);
        let crc = crc32c::crc32c(covered);
        Fields::new(head.split_at_mut(8).1).put(&crc.to_le_bytes());
        bytes
    }

    /// How many rows a header claims to have, unchecked.
    pub(super) fn rows(bytes: &[u8]) -> usize {
        let field = bytes.get(ROWS_AT..).and_then(<[u8]>::first_chunk::<4>);
        field.map_or(0, |rows| {
            usize::try_from(u32::from_le_bytes(*rows)).unwrap_or(usize::MAX)
        })
    }

    /// Reads a header; the error says what is wrong with it.
    pub(super) fn decode(bytes: &[u8]) -> Result<Self, String> {
        let cut = || "the segment's header is cut off".to_owned();
        let mut reader = Reader(bytes);
        if reader.take::<8>().ok_or_else(cut)? != SEGMENT_MAGIC {
            return Err("the file is not a segment".to_owned());
        }
        let crc = reader.u32().ok_or_else(cut)?;
        let covered = reader.0;
        let format = reader.u16().ok_or_else(cut)?;
        if format > FORMAT {
            return Err(format!("format {format} of a newer program"));
        }
        let stripe = reader.u16().ok_or_else(cut)?;
        let mut numbers = [0; 5];
        for number in &mut numbers {
            *number = reader.u64().ok_or_else(cut)?;
        }
        let [number, epoch, salt, first, sealed] = numbers;
        let rows = reader.u32().ok_or_else(cut)?;
        let bytes = reader.u64().ok_or_else(cut)?;
        let _reserved = reader.u32().ok_or_else(cut)?;
        let table = usize::try_from(rows)
            .ok()
            .and_then(|n| n.checked_mul(ROW_BYTES));
        let fixed = HEADER_BYTES.saturating_sub(HEADER_COVERED);
        let covered_len = table.and_then(|n| n.checked_add(fixed)).ok_or_else(cut)?;
        let covered = covered.get(..covered_len).ok_or_else(cut)?;
        if crc32c::crc32c(covered) != crc {
            return Err("the segment header's checksum does not match".to_owned());
        }
        let mut tails = Tails::new();
        for _ in 0..rows {
            let partition = PartitionId(reader.u32().ok_or_else(cut)?);
            let _reserved = reader.u32().ok_or_else(cut)?;
            let tail = Position(reader.u64().ok_or_else(cut)?);
            tails.insert(partition, (tail, reader.batch_id().ok_or_else(cut)?));
        }
        Ok(Self {
            stripe,
            number,
            epoch: Epoch(epoch),
            salt,
            first,
            sealed,
            bytes,
            tails,
        })
    }
}

impl Frame {
    /// A claim of the partition, at its tail.
    pub(super) fn claim(
        partition: PartitionId,
        tail: Position,
        prev: BatchId,
        epoch: Epoch,
    ) -> Self {
        Self {
            sequence: 0,
            synced: 0,
            partition,
            batch: Batch {
                prev,
                id: BatchId::claim(epoch),
                first: tail.next(),
                count: 0,
                frames: Bytes::new(),
            },
        }
    }

    pub(super) fn is_claim(&self) -> bool {
        self.batch.count == 0
    }

    /// Bytes in the segment, with the padding.
    pub(super) fn size(&self) -> usize {
        size(self.batch.frames.len())
    }

    pub(super) fn encode(&self, salt: u64, out: &mut Vec<u8>) {
        let records = &self.batch.frames;
        let len = u32::try_from(records.len()).expect("a batch is limited far below 4 GiB");
        let kind = if self.is_claim() {
            KIND_CLAIM
        } else {
            KIND_BATCH
        };
        let mut header = [0; FRAME_BYTES];
        let mut fields = Fields::new(&mut header);
        fields.put(&FRAME_MAGIC);
        fields.put(&[0; 4]);
        fields.put(&len.to_le_bytes());
        fields.put(&self.batch.count.to_le_bytes());
        fields.put(&[kind, 0, 0, 0]);
        fields.put(&self.partition.0.to_le_bytes());
        for number in [
            self.sequence,
            self.synced,
            self.batch.prev.epoch.0,
            self.batch.prev.n,
            self.batch.id.epoch.0,
            self.batch.id.n,
            self.batch.first.0,
        ] {
            fields.put(&number.to_le_bytes());
        }
        let (head, covered) = header.split_at_mut(FRAME_COVERED);
        let crc = checksum(salt, covered, records);
        Fields::new(head.split_at_mut(4).1).put(&crc.to_le_bytes());
        out.extend_from_slice(&header);
        out.extend_from_slice(records);
        let padding = self
            .size()
            .saturating_sub(FRAME_BYTES)
            .saturating_sub(records.len());
        out.extend(std::iter::repeat_n(0, padding));
    }

    /// Reads the frame at the start of `bytes`.
    pub(super) fn decode(bytes: &[u8], salt: u64) -> Result<Self, Invalid> {
        let frame = Self::read(bytes, salt).ok_or(Invalid::NotAFrame)?;
        let (kind, frame) = frame;
        let is_known = match kind {
            KIND_BATCH => !frame.is_claim(),
            KIND_CLAIM => frame.is_claim(),
            _ => false,
        };
        if is_known {
            Ok(frame)
        } else {
            Err(Invalid::Unknown(kind))
        }
    }

    fn read(bytes: &[u8], salt: u64) -> Option<(u8, Self)> {
        let (header, rest) = bytes.split_first_chunk::<FRAME_BYTES>()?;
        let mut reader = Reader(header);
        if reader.take::<4>()? != FRAME_MAGIC {
            return None;
        }
        let crc = reader.u32()?;
        let covered = reader.0;
        let records = rest.get(..usize::try_from(reader.u32()?).ok()?)?;
        if checksum(salt, covered, records) != crc {
            return None;
        }
        let count = reader.u32()?;
        let [kind, _, _, _] = reader.take::<4>()?;
        let partition = PartitionId(reader.u32()?);
        let (sequence, synced) = (reader.u64()?, reader.u64()?);
        let (prev, id) = (reader.batch_id()?, reader.batch_id()?);
        let batch = Batch {
            prev,
            id,
            first: Position(reader.u64()?),
            count,
            frames: Bytes::copy_from_slice(records),
        };
        let frame = Self {
            sequence,
            synced,
            partition,
            batch,
        };
        Some((kind, frame))
    }

    /// Whether a frame could start here; cheap enough to ask at every place of a file.
    pub(super) fn may_start(bytes: &[u8]) -> bool {
        bytes.starts_with(&FRAME_MAGIC)
    }
}

impl Peek {
    /// Reads the header of the frame at the start of `bytes`, without its records.
    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        let header = bytes.first_chunk::<FRAME_BYTES>()?;
        let mut reader = Reader(header);
        if reader.take::<4>()? != FRAME_MAGIC {
            return None;
        }
        let _crc = reader.u32()?;
        let len = usize::try_from(reader.u32()?).ok()?;
        let count = reader.u32()?;
        let _kind = reader.u32()?;
        let partition = PartitionId(reader.u32()?);
        let (sequence, _synced) = (reader.u64()?, reader.u64()?);
        let (_prev, _id) = (reader.batch_id()?, reader.batch_id()?);
        let first = Position(reader.u64()?);
        Some(Self {
            size: size(len),
            sequence,
            partition,
            last: Position(first.plus(u64::from(count)).0.saturating_sub(1)),
        })
    }
}

/// Bytes that a frame with that many bytes of records takes.
pub(super) fn size(records: usize) -> usize {
    FRAME_BYTES.saturating_add(records).next_multiple_of(ALIGN)
}

fn checksum(salt: u64, header: &[u8], records: &[u8]) -> u32 {
    let crc = crc32c::crc32c_append(crc32c::crc32c(&salt.to_le_bytes()), header);
    crc32c::crc32c_append(crc, records)
}

struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*head)
    }

    fn u16(&mut self) -> Option<u16> {
        self.take().map(u16::from_le_bytes)
    }

    fn u32(&mut self) -> Option<u32> {
        self.take().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Option<u64> {
        self.take().map(u64::from_le_bytes)
    }

    fn batch_id(&mut self) -> Option<BatchId> {
        let epoch = Epoch(self.u64()?);
        let n = self.u64()?;
        Some(BatchId { epoch, n })
    }
}
