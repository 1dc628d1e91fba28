//! One line for each call, by tracing with the target `access`.
//!
//! Deliberately absent: keys, queries, bodies, headers. A sensitive route is logged by its pattern.

use std::time::Duration;

use super::Call;

pub(super) fn write(call: &Call, time: Duration) {
    let caller = call.caller.as_deref();
    // A path without a route may hold anything, a mistyped secret too; of a sensitive one its pattern
    // says enough.
    let path = match call.route.as_deref() {
        None => "-",
        Some(entry) if entry.route.is_sensitive => entry.route.path.as_str(),
        Some(_) => &call.path,
    };
    tracing::info!(
        target: "access",
        method = %call.method,
        path,
        route = call.route.as_ref().map_or("-", |entry| entry.route.id.as_str()),
        status = call.ending.status,
        bytes = call.ending.bytes,
        whole = call.ending.is_whole,
        ms = u64::try_from(time.as_millis()).unwrap_or(u64::MAX),
        key = caller.map(|caller| tracing::field::display(caller.key)),
        account = caller.map(|caller| tracing::field::display(caller.account)),
        peer = %call.peer.address.ip(),
        request_id = call.request_id.to_str().unwrap_or("-"),
        trace_id = format_args!("{:032x}", call.trace.trace_id),
        "call"
    );
}
