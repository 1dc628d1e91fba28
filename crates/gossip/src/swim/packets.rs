//! [pure] Packets: several messages packed, sealed and sent; those that come opened, each to its place.

use std::net::SocketAddr;

use bytes::{Bytes, BytesMut};

use super::delegate::Doubt;
use super::machine::Turn;
use super::states::encode;
use super::{Delegate, Output, Swim, transmit_limit};
use crate::moment::Moment;
use crate::wire::keyring::Keyring;
use crate::wire::memberlist::Message;
use crate::wire::packet::{self, Builder, Options, PART_BYTES, PARTS_MAX};
use crate::wire::{Envelope, Nonce};

/// The type byte of a user message.
const USER_BYTES: usize = 1;

/// Nonces of encryption: a number of 96 bits that begins at random and goes up by one.
///
/// Invariant: no nonce comes twice. Two members that share a key meet only if one begins where another will come by,
/// which is less likely than that two random nonces are equal.
#[derive(Debug)]
pub(super) struct Nonces {
    last: u128,
}

impl Nonces {
    pub(super) fn new(first: Nonce) -> Self {
        let mut bytes = [0; 16];
        for (byte, from) in bytes.iter_mut().zip(first) {
            *byte = from;
        }
        Self {
            last: u128::from_le_bytes(bytes),
        }
    }

    pub(super) fn next(&mut self) -> Nonce {
        self.last = self.last.wrapping_add(1);
        let bytes = self.last.to_le_bytes();
        std::array::from_fn(|place| bytes[place])
    }
}

impl Swim {
    /// Takes a packet. What cannot be read is counted and logged, and changes nothing.
    pub fn packet(
        &mut self,
        now: Moment,
        from: SocketAddr,
        bytes: BytesMut,
        delegate: &mut dyn Delegate,
    ) {
        self.counters.packets_in += 1;
        self.counters.packet_bytes_in += u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        let messages = match packet::decode(bytes, &self.envelope) {
            Ok(messages) => messages,
            Err(error) => {
                self.counters.packets_bad += 1;
                tracing::error!("failed to read a packet from {from}: {error}");
                return;
            }
        };
        let turn = &mut Turn { now, delegate };
        for message in messages {
            match message {
                Ok(message) => self.message(turn, message, from),
                Err(error) => {
                    self.counters.packets_bad += 1;
                    tracing::error!("failed to read a message from {from}: {error}");
                }
            }
        }
        self.drop_overtaken();
    }

    fn message(&mut self, turn: &mut Turn<'_>, message: Message, from: SocketAddr) {
        match message {
            Message::Ping(ping) => self.pinged(turn, ping, from),
            Message::IndirectPing(asked) => self.relay(turn, asked, from),
            Message::Ack(ack) => self.acked(turn, &ack),
            Message::Nack(nack) => self.nacked(nack.seq),
            Message::Suspect(suspect) => {
                let is_about_me = suspect.node == self.config.name;
                self.suspect(turn, suspect, Doubt::Message);
                if is_about_me {
                    self.answer_accuser(from);
                }
            }
            Message::Alive(alive) => self.alive(turn, alive),
            Message::Dead(dead) => {
                let is_about_me = dead.node == self.config.name;
                self.dead(turn, dead, None);
                if is_about_me {
                    self.answer_accuser(from);
                }
            }
            Message::User(body) => {
                let is_taken =
                    self.refusal_told(turn, &body, from) || self.asked_to_look(turn, &body, from);
                if !is_taken {
                    turn.delegate.message(turn.now, &body, from);
                }
            }
        }
    }

    /// Sends a message, and with it what fits of what is to be told.
    pub(super) fn send(&mut self, turn: &mut Turn<'_>, to: SocketAddr, message: &Message) {
        let message = encode(message);
        let room = self
            .packet_room()
            .saturating_sub(message.len() + PART_BYTES);
        let mut parts = vec![message];
        parts.append(&mut self.broadcasts(turn, room));
        // The member behind the address is not looked up, so nobody knows whether it understands checksums.
        self.send_parts(to, false, parts);
    }

    /// Sends messages together, and nothing else.
    pub(super) fn send_parts(&mut self, to: SocketAddr, has_checksum: bool, parts: Vec<Bytes>) {
        let Some(plain) = self.pack(parts) else {
            tracing::error!("failed to make a packet for {to}: the messages do not fit");
            return;
        };
        let options = Options {
            has_checksum,
            compresses: self.config.compress,
        };
        let bytes = packet::seal(&plain, options, &self.envelope, || self.nonces.next());
        self.counters.packets_out += 1;
        self.counters.packet_bytes_out += u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        self.outputs.push_back(Output::Packet { to, bytes });
    }

    /// One message goes as it is, however long: it is the sender's to know whether it passes.
    fn pack(&self, mut parts: Vec<Bytes>) -> Option<Bytes> {
        if parts.len() < 2 {
            return parts.pop();
        }
        let mut builder = Builder::new(&self.envelope);
        parts
            .into_iter()
            .all(|part| builder.push(part))
            .then_some(builder)?
            .finish()
    }

    /// What is to be told and fits into `room`: first what is ours, then what the layer above has.
    pub(super) fn broadcasts(&mut self, turn: &mut Turn<'_>, room: usize) -> Vec<Bytes> {
        let limit = transmit_limit(self.config.retransmit_mult, self.members.len());
        let mut parts = Vec::new();
        let used = self
            .queue
            .take(PART_BYTES, room, limit, PARTS_MAX - 1, &mut parts);
        self.finish_broadcasts();
        let room = room.saturating_sub(used);
        if room > PART_BYTES + USER_BYTES && parts.len() < PARTS_MAX - 1 {
            let mut bodies = Vec::new();
            let overhead = PART_BYTES + USER_BYTES;
            turn.delegate
                .broadcasts(turn.now, overhead, room, &mut bodies);
            // More parts than a packet may have are only possible if the delegate queues many empty ones.
            bodies.truncate(PARTS_MAX - 1 - parts.len());
            parts.extend(bodies.into_iter().map(|body| encode(&Message::User(body))));
        }
        parts
    }

    /// How many bytes the parts of one packet may take, each with its overhead.
    pub(super) fn packet_room(&self) -> usize {
        Builder::new(&self.envelope).room()
    }

    /// How packets and streams are closed and opened.
    #[must_use]
    pub fn envelope(&self) -> &Envelope {
        &self.envelope
    }

    /// Other gossip keys from now on.
    pub fn set_keyring(&mut self, keyring: Option<Keyring>) {
        self.envelope = self.envelope.with_keyring(keyring);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nonces_go_up_from_where_they_began_and_wrap() {
        let mut nonces = Nonces::new([0; 12]);
        assert_eq!(nonces.next(), [1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        let mut nonces = Nonces::new([0xFF; 12]);
        assert_eq!(nonces.next(), [0; 12]);
        assert_eq!(nonces.next()[0], 1);
    }
}
