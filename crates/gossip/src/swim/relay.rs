//! [pure] Probes for others: who could not reach a member asks us to try, and hears either way.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use bytes::Bytes;

use super::Swim;
use super::machine::Turn;
use super::timers::Timer;
use crate::wire::memberlist::{Ack, IndirectPing, Message, Nack, Ping};

/// After this share of the time of a probe for another its asker hears that there was no answer yet.
const NACK_SHARE: f64 = 0.8;

/// Probes under way for others, by our number for them.
pub(super) type Relays = BTreeMap<u32, Relay>;

/// One probe for another.
#[derive(Debug)]
pub(super) struct Relay {
    /// Who asked.
    asker: SocketAddr,
    /// The number under which it was asked.
    sequence: u32,
    wants_nack: bool,
}

impl Swim {
    /// Probes a member for `asker`.
    pub(super) fn relay(&mut self, turn: &mut Turn<'_>, asked: IndirectPing, from: SocketAddr) {
        if self.relays.len() >= self.config.relayed_probes_max {
            self.counters.relays_refused += 1;
            return;
        }
        let asker = asked
            .source
            .map_or(from, |source| source.address.socket(source.port));
        let port = match asked.port {
            0 => self.config.port,
            port => port,
        };
        let number = self.next_sequence();
        let relay = Relay {
            asker,
            sequence: asked.seq,
            wants_nack: asked.wants_nack,
        };
        self.relays.insert(number, relay);
        // In Serf a nack sets out when the asker's own time is over, and speaks against the asker.
        let until = match self.config.extends {
            true => self.config.probe_timeout.mul_f64(NACK_SHARE),
            false => self.config.probe_timeout,
        };
        let until = turn.now + until;
        self.timers.set(until, Timer::Relayed(number));
        let ping = Ping {
            seq: number,
            node: asked.node,
            source: Some(self.own_source()),
        };
        self.send(turn, asked.target.socket(port), &Message::Ping(ping));
    }

    /// An answer has come, perhaps to a probe for another; true if so.
    pub(super) fn relay_answered(&mut self, turn: &mut Turn<'_>, number: u32) -> bool {
        let Some(relay) = self.relays.remove(&number) else {
            return false;
        };
        let ack = Ack {
            seq: relay.sequence,
            payload: Bytes::new(),
        };
        self.send(turn, relay.asker, &Message::Ack(ack));
        true
    }

    /// No answer came in time, unless it did.
    pub(super) fn relay_ends(&mut self, turn: &mut Turn<'_>, number: u32) {
        let Some(mut relay) = self.relays.remove(&number) else {
            return;
        };
        if relay.wants_nack {
            let nack = Nack {
                seq: relay.sequence,
            };
            self.send(turn, relay.asker, &Message::Nack(nack));
            relay.wants_nack = false;
            if self.config.extends {
                // An answer is passed on all the same for the rest of the time.
                let rest = self.config.probe_timeout.mul_f64(1.0 - NACK_SHARE);
                self.timers.set(turn.now + rest, Timer::Relayed(number));
                self.relays.insert(number, relay);
            }
        }
    }
}
