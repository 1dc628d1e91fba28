//! [pure] What a replica keeps beside a machine's own snapshot: the time and the state's hash.
//!
//! ```text
//! format u8 | time i64 | state hash u64 | the machine's bytes
//! ```

use taraf_base::Timestamp;

use super::{DecodeError, Machine};

const FORMAT: u8 = 1;

/// Everything needed to go on from a position without the records before it.
pub(super) fn take<M: Machine>(machine: &M, time: Timestamp) -> Vec<u8> {
    let state = machine.snapshot();
    let mut bytes = Vec::with_capacity(state.len().saturating_add(17));
    bytes.push(FORMAT);
    bytes.extend_from_slice(&time.as_millis().to_le_bytes());
    bytes.extend_from_slice(&machine.state_hash().to_le_bytes());
    bytes.extend_from_slice(&state);
    bytes
}

/// Restores the machine and answers the time of the last record it has seen.
///
/// # Errors
/// When the bytes are no snapshot, or the restored state is not the one that was taken.
pub(super) fn restore<M: Machine>(machine: &mut M, bytes: &[u8]) -> Result<Timestamp, DecodeError> {
    let cut = || DecodeError::Malformed("the snapshot is cut off".to_owned());
    let (&[format], rest) = bytes.split_first_chunk::<1>().ok_or_else(cut)?;
    if format != FORMAT {
        return Err(DecodeError::UnknownKind(format));
    }
    let (time, rest) = rest.split_first_chunk::<8>().ok_or_else(cut)?;
    let (hash, state) = rest.split_first_chunk::<8>().ok_or_else(cut)?;
    machine.restore(state)?;
    let (taken, restored) = (u64::from_le_bytes(*hash), machine.state_hash());
    if taken != restored {
        return Err(DecodeError::Malformed(format!(
            "the restored state has the hash {restored:016x}, the one taken had {taken:016x}"
        )));
    }
    Ok(Timestamp::from_millis(i64::from_le_bytes(*time)))
}
