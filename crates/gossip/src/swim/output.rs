//! [pure] What membership asks of its driver.

use std::net::SocketAddr;

use bytes::Bytes;

/// One stream (TCP connection), whichever side opened it. Never used twice by one `Swim`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamId(pub u64);

/// Names something that somebody waits for: a join, a leave, a broadcast. Chosen by the asker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Token(pub u64);

/// One thing to do, in the order given. The driver drains them after every input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Send a UDP packet. It may be lost: an error is counted, not returned.
    Packet {
        /// Where to.
        to: SocketAddr,
        /// The packet, ready to send.
        bytes: Bytes,
    },
    /// Connect, write `request`, then hand over what comes with `stream_bytes` until told to close or the
    /// other side has closed (`stream_ended`).
    OpenStream {
        /// Names the stream from now on.
        id: StreamId,
        /// Where to.
        to: SocketAddr,
        /// What to write first.
        request: Bytes,
    },
    /// Write, then close the stream in good order. It needs no `stream_ended` any more.
    StreamReply {
        /// A stream that was accepted.
        id: StreamId,
        /// What to write.
        bytes: Bytes,
    },
    /// Close the stream now, whatever it is at. It needs no `stream_ended` any more.
    StreamClose {
        /// Which.
        id: StreamId,
    },
    /// A join has ended: every address was contacted or failed.
    Joined(Joined),
    /// What was queued with this token has been sent as often as the limit demands, was replaced by something newer,
    /// or cannot be sent since nobody else is alive: `leave` and `update_meta` end with it.
    Finished(Token),
}

/// How a join ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Joined {
    /// Which join.
    pub token: Token,
    /// How many addresses answered with a state that was merged.
    pub contacted: usize,
    /// The addresses that did not, and why.
    pub failed: Vec<(SocketAddr, String)>,
}
