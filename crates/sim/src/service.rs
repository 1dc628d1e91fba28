//! [pure] The services that flows call: what they answer is a function of the effect key and the attempt
//! alone, so that a run's output does not depend on crashes.

use serde_json::json;
use taraf_flow::{Data, FlowError};

/// One call in so many is answered by an error that a repetition may overcome.
const FAILS_ONE_IN: u64 = 4;

/// What the service answers.
pub(crate) fn answer(key: &str, attempt: u32) -> Result<Data, FlowError> {
    let seen = hash(key, attempt);
    if seen.is_multiple_of(FAILS_ONE_IN) {
        let status = if seen.is_multiple_of(3) { 400 } else { 503 };
        let error = FlowError::communication(format!("the service answered {status}"));
        return Err(error.with_status(status));
    }
    // Long enough, now and then, that a run must let others have their turn.
    let long = usize::try_from(seen % 7).unwrap_or(0);
    let filler = "x".repeat(if seen.is_multiple_of(5) {
        200 * long
    } else {
        long
    });
    Ok(Data::from(
        json!({ "n": seen % 100, "by": "service", "filler": filler }),
    ))
}

/// FNV-1a, the same on every machine.
fn hash(key: &str, attempt: u32) -> u64 {
    let mut hash = 0xCBF2_9CE4_8422_2325_u64;
    for byte in key.bytes().chain(attempt.to_le_bytes()) {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3);
    }
    hash >> 8
}
