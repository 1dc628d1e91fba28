//! [pure] When a snapshot is taken, and what it keeps beside the machine's own: the time and the
//! state's hash.
//!
//! ```text
//! format u8 | time i64 | state hash u64 | the machine's bytes
//! ```

use std::io::{BufRead as _, Read as _};

use taraf_base::Timestamp;

use super::{DecodeError, Machine};
use crate::Position;
use crate::snapshot::{Data, Reader};

const FORMAT: u8 = 1;
/// Snapshots of one position at rest: trimming follows the one before the newest, so that after
/// two nothing is held.
const REST_SNAPSHOTS: u32 = 2;

/// When snapshots are taken: one at a time, after so many records, and while a leader rests.
#[derive(Debug)]
pub(super) struct Pace {
    /// Records between two snapshots; 0 takes none.
    every: u64,
    since: u64,
    is_running: bool,
    /// Where the leader last rested, and the snapshots that it took there.
    rested: (Position, u32),
}

impl Pace {
    /// The pace of a leader at `position`, whose newest snapshot is of `snapshot`.
    pub(super) const fn new(every: u64, position: Position, snapshot: Position) -> Self {
        Self {
            every,
            since: position.0.saturating_sub(snapshot.0),
            is_running: false,
            rested: (Position::ZERO, 0),
        }
    }

    /// Counts `records` more; when it is time for a snapshot of `machine` one begins.
    pub(super) fn begin_if_due<M: Machine>(&mut self, records: u64, machine: &M) -> bool {
        self.since = self.since.saturating_add(records);
        let is_due = || self.since >= machine.snapshot_every(self.every);
        self.every > 0 && self.since >= self.every && is_due() && self.begin()
    }

    /// A leader rests at `position`: a snapshot begins unless there are enough of that position.
    pub(super) fn begin_at_rest(&mut self, position: Position) -> bool {
        if self.rested.0 != position {
            self.rested = (position, 0);
        }
        let is_done = position == Position::ZERO || self.rested.1 >= REST_SNAPSHOTS;
        if self.every == 0 || is_done || !self.begin() {
            return false;
        }
        self.rested.1 = self.rested.1.saturating_add(1);
        true
    }

    /// The snapshot that began is stored, or never will be.
    pub(super) const fn ended(&mut self) {
        self.is_running = false;
    }

    const fn begin(&mut self) -> bool {
        if self.is_running {
            return false;
        }
        self.is_running = true;
        self.since = 0;
        true
    }
}

/// Everything needed to go on without the records before.
pub(super) fn take<M: Machine>(mut machine: M, time: Timestamp) -> Data {
    Data::new(move |to| {
        to.write_all(&[FORMAT])?;
        to.write_all(&time.as_millis().to_le_bytes())?;
        to.write_all(&machine.state_hash().to_le_bytes())?;
        machine.write_snapshot(to)
    })
}

/// Restores the machine and answers the time of the last record it has seen, and the hashes of what was
/// restored and what was taken. A snapshot of an earlier version has none that could be compared.
///
/// # Errors
/// When the bytes are no snapshot.
pub(super) fn restore<M: Machine>(
    machine: &mut M,
    from: &mut Reader<'_>,
) -> Result<(Timestamp, (u64, u64)), DecodeError> {
    let [format] = first(from)?;
    if format != FORMAT {
        return Err(DecodeError::UnknownKind(format));
    }
    let time = Timestamp::from_millis(i64::from_le_bytes(first(from)?));
    let taken = u64::from_le_bytes(first(from)?);
    let is_current = M::is_current(from.fill_buf()?);
    machine.read_snapshot(from)?;
    let restored = machine.state_hash();
    Ok((time, (restored, if is_current { taken } else { restored })))
}

fn first<const N: usize>(from: &mut Reader<'_>) -> Result<[u8; N], DecodeError> {
    let mut bytes = [0; N];
    let cut = |_| DecodeError::Malformed("the snapshot is cut off".to_owned());
    from.read_exact(&mut bytes).map_err(cut)?;
    Ok(bytes)
}
