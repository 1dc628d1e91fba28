//! [pure] Intents: what a member is about to do, told before it does it.
#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use bytes::{BufMut, BytesMut};

use super::{LTime, code, ltime, name};
use crate::wire::msgpack::{Decoder, Encoder};
use crate::wire::{Error, Name};

/// "This member leaves on purpose", or is made to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leave {
    /// Of the member clock.
    pub ltime: LTime,
    /// Who leaves.
    pub node: Name,
    /// Whether it is also to be forgotten at once.
    pub prune: bool,
}

/// "This member is here to stay."
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Join {
    /// Of the member clock.
    pub ltime: LTime,
    /// Who joins.
    pub node: Name,
}

impl Leave {
    pub(super) fn decode(decoder: &mut Decoder<'_>) -> Result<Self, Error> {
        let mut leave = Self {
            ltime: LTime(0),
            node: Name::default(),
            prune: false,
        };
        let fields = ["LTime", "Node", "Prune"];
        decoder.fields("leave intent", &fields, |decoder, field| {
            match field {
                "LTime" => leave.ltime = ltime(decoder)?,
                "Node" => leave.node = name(decoder)?,
                _ => leave.prune = decoder.bool()?,
            }
            Ok(())
        })?;
        Ok(leave)
    }

    /// Writes it, its code first.
    pub fn encode(&self, out: &mut BytesMut) {
        out.put_u8(code::LEAVE);
        let mut encoder = Encoder::gossip(out);
        encoder.map(3);
        encoder.key("LTime").uint(self.ltime);
        encoder.key("Node").text(self.node.as_bytes());
        encoder.key("Prune").bool(self.prune);
    }
}

impl Join {
    pub(super) fn decode(decoder: &mut Decoder<'_>) -> Result<Self, Error> {
        let mut join = Self {
            ltime: LTime(0),
            node: Name::default(),
        };
        decoder.fields("join intent", &["LTime", "Node"], |decoder, field| {
            match field {
                "LTime" => join.ltime = ltime(decoder)?,
                _ => join.node = name(decoder)?,
            }
            Ok(())
        })?;
        Ok(join)
    }

    /// Writes it, its code first.
    pub fn encode(&self, out: &mut BytesMut) {
        out.put_u8(code::JOIN);
        let mut encoder = Encoder::gossip(out);
        encoder.map(2);
        encoder.key("LTime").uint(self.ltime);
        encoder.key("Node").text(self.node.as_bytes());
    }
}
