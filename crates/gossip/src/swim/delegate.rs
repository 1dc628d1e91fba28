//! [pure] What the layer above (Serf) gives to membership and hears from it.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;

use super::{Member, Name};
use crate::moment::Moment;

/// Why a member is doubted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Doubt {
    /// It did not answer our probe.
    Probe,
    /// Another told us.
    Message,
    /// Another's state says so.
    PushPull,
    /// Its port refuses a connection, and it does not answer.
    Refusal,
}

/// The layer above [`Swim`](super::Swim), called from inside its inputs.
///
/// A delegate only takes notes: it cannot reach the `Swim` that calls it. What it wants sent it queues and
/// hands over in [`Delegate::broadcasts`], or its owner sends it with
/// [`Swim::send_user`](super::Swim::send_user) after the input. Its owner calls
/// [`Swim::broadcasts_waiting`](super::Swim::broadcasts_waiting) when it has queued something.
pub trait Delegate {
    /// Our own `Meta` (Serf's tags), at most 512 bytes.
    fn meta(&self) -> Bytes;

    /// A user message (type 8) has come, over UDP or TCP; `body` is without the type byte.
    fn message(&mut self, now: Moment, body: &Bytes, from: SocketAddr);

    /// Appends to `into` what should go along in a packet: bodies of user messages, without the type byte.
    ///
    /// Each takes `overhead` bytes more than its length; together they take at most `room`.
    fn broadcasts(&mut self, now: Moment, overhead: usize, room: usize, into: &mut Vec<Bytes>);

    /// The user state to send in a push/pull.
    fn local_state(&mut self, is_join: bool) -> Bytes;

    /// The user state that came in a push/pull. Not called when it was empty.
    fn merge_state(&mut self, now: Moment, state: &Bytes, is_join: bool);

    /// The payload of our acks to direct probes (Serf's coordinate); empty for none.
    fn ack_payload(&mut self) -> Bytes;

    /// A direct probe was answered in time, with `payload`.
    fn ping_complete(&mut self, now: Moment, node: &Name, rtt: Duration, payload: &Bytes);

    /// A member is alive that was unknown, dead or gone. Also called for ourselves, at the start.
    fn member_joined(&mut self, now: Moment, member: &Member);

    /// A member is dead, or has left (see [`Member::state`]).
    fn member_left(&mut self, now: Moment, member: &Member);

    /// A live member's `Meta` is different now.
    fn member_updated(&mut self, now: Moment, member: &Member);

    /// The cluster that a member with this `Meta` says it belongs to, if that is another than ours.
    fn other_cluster(&self, _meta: &Bytes) -> Option<String> {
        None
    }

    /// The cluster that we say we belong to.
    fn own_cluster(&self) -> Option<&str> {
        None
    }

    /// `theirs` claims the name of `mine` from another address. `mine` may be ourselves.
    fn conflict(&mut self, now: Moment, mine: &Member, theirs: &Member);

    /// `by` doubts `node`, which was not doubted by them before.
    fn suspected(&mut self, _now: Moment, _node: &Name, _by: &Name, _why: Doubt) {}

    /// `node` has said that it is alive after all.
    fn refuted(&mut self, _now: Moment, _node: &Name) {}
}
