//! [pure] User events, and the state that Serf adds to an exchange of two members.
#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use bytes::{BufMut, Bytes, BytesMut};

use super::{LTime, begins, code, ltime, name, names};
use crate::wire::memberlist::STATES_MAX;
use crate::wire::msgpack::{Decoder, Encoder};
use crate::wire::{Error, Name};

/// The most slots of recent events in an exchange. An agent of Serf has 512.
const EVENT_SLOTS_MAX: usize = 4_096;
/// The most events of one time in an exchange.
const EVENTS_AT_MAX: usize = 4_096;
/// The most events in an exchange, whatever their times.
const EVENTS_MAX: usize = 16_384;
/// The most bytes of what a member says of its settings.
const SETTINGS_BYTES_MAX: usize = 1_024;

/// An event that a person or program sends to all members.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserEvent {
    /// Of the event clock.
    pub ltime: LTime,
    /// What happened.
    pub name: Name,
    /// More about it. Shares the bytes of the packet.
    pub payload: Bytes,
    /// Whether the newest of this name stands for all (`CC`, "can coalesce").
    pub coalesce: bool,
}

/// An event in an exchange.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// What happened.
    pub name: Name,
    /// More about it. Bytes of its own, fit to be kept.
    pub payload: Bytes,
}

/// The events of one time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventsAt {
    /// Of the event clock.
    pub ltime: LTime,
    /// In the order in which they came.
    pub events: Vec<Event>,
}

/// What Serf adds to an exchange.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PushPull {
    /// The member clock.
    pub ltime: LTime,
    /// For each member the time of its last intent.
    pub status_ltimes: Vec<(Name, LTime)>,
    /// Those that left on purpose.
    pub left_members: Vec<Name>,
    /// The event clock.
    pub event_ltime: LTime,
    /// Recent events. Serf sends its whole ring with nil in empty slots, and reads any list; ours has what there is.
    pub events: Vec<EventsAt>,
    /// The query clock.
    pub query_ltime: LTime,
    /// Ours: what the sender says of itself. Serf passes it over.
    pub said: Option<Said>,
}

/// What a member of our kind says of itself in an exchange, so that others see how it differs from them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Said {
    /// Who.
    pub node: Name,
    /// Its wall clock, in milliseconds since 1970.
    pub clock_ms: u64,
    /// Those of its settings that should be the same everywhere, for people.
    pub settings: String,
}

// === impl UserEvent ===

impl UserEvent {
    pub(super) fn decode(decoder: &mut Decoder<'_>) -> Result<Self, Error> {
        let mut event = Self {
            ltime: LTime(0),
            name: Name::default(),
            payload: Bytes::new(),
            coalesce: false,
        };
        let fields = ["LTime", "Name", "Payload", "CC"];
        decoder.fields("user event", &fields, |decoder, field| {
            match field {
                "LTime" => event.ltime = ltime(decoder)?,
                "Name" => event.name = name(decoder)?,
                "Payload" => event.payload = decoder.bytes()?,
                _ => event.coalesce = decoder.bool()?,
            }
            Ok(())
        })?;
        Ok(event)
    }

    /// Writes it, its code first.
    pub fn encode(&self, out: &mut BytesMut) {
        out.put_u8(code::USER_EVENT);
        let mut encoder = Encoder::gossip(out);
        encoder.map(4);
        encoder.key("CC").bool(self.coalesce);
        encoder.key("LTime").uint(self.ltime);
        encoder.key("Name").text(self.name.as_bytes());
        encoder.key("Payload").bytes_or_nil(&self.payload);
    }
}

// === impl PushPull ===

impl PushPull {
    /// Reads the user state of an exchange.
    ///
    /// # Errors
    /// When it is empty, another message, cut, beyond a limit, or wrong in a field.
    pub fn decode(bytes: &Bytes) -> Result<Self, Error> {
        let mut decoder = Decoder::new(bytes);
        begins(
            &mut decoder,
            code::PUSH_PULL,
            "Serf message type in a push/pull",
        )?;
        let fields = [
            "LTime",
            "StatusLTimes",
            "LeftMembers",
            "EventLTime",
            "Events",
            "QueryLTime",
            "Said",
        ];
        let mut read = Self::default();
        decoder.fields("Serf push/pull", &fields, |decoder, field| {
            match field {
                "LTime" => read.ltime = ltime(decoder)?,
                "StatusLTimes" => {
                    read.status_ltimes.clear();
                    for _ in 0..decoder.map(STATES_MAX)? {
                        let member = name(decoder)?;
                        read.status_ltimes.push((member, ltime(decoder)?));
                    }
                }
                "LeftMembers" => {
                    read.left_members.clear();
                    for _ in 0..decoder.array(STATES_MAX)? {
                        read.left_members.push(name(decoder)?);
                    }
                }
                "EventLTime" => read.event_ltime = ltime(decoder)?,
                "Events" => read.events = decode_events(decoder)?,
                "Said" => read.said = Some(Said::decode(decoder)?),
                _ => read.query_ltime = ltime(decoder)?,
            }
            Ok(())
        })?;
        Ok(read)
    }

    /// Writes it, its code first.
    pub fn encode(&self, out: &mut BytesMut) {
        out.put_u8(code::PUSH_PULL);
        let mut encoder = Encoder::gossip(out);
        encoder.map(if self.said.is_some() { 7 } else { 6 });
        encoder.key("EventLTime").uint(self.event_ltime);
        encoder.key("Events").array(self.events.len());
        for at in &self.events {
            at.encode(&mut encoder);
        }
        encoder.key("LTime").uint(self.ltime);
        names(encoder.key("LeftMembers"), &self.left_members);
        encoder.key("QueryLTime").uint(self.query_ltime);
        if let Some(said) = &self.said {
            encoder.key("Said").map(3);
            encoder.key("Clock").uint(said.clock_ms);
            encoder.key("Node").text(said.node.as_bytes());
            encoder.key("Settings").text(said.settings.as_bytes());
        }
        encoder.key("StatusLTimes").map(self.status_ltimes.len());
        for (member, ltime) in &self.status_ltimes {
            encoder.text(member.as_bytes());
            encoder.uint(*ltime);
        }
    }
}

impl Said {
    fn decode(decoder: &mut Decoder<'_>) -> Result<Self, Error> {
        let mut said = Self::default();
        decoder.fields(
            "what a member says",
            &["Clock", "Node", "Settings"],
            |decoder, field| {
                match field {
                    "Clock" => said.clock_ms = decoder.uint()?,
                    "Node" => said.node = name(decoder)?,
                    _ => said.settings = decoder.string(SETTINGS_BYTES_MAX)?,
                }
                Ok(())
            },
        )?;
        Ok(said)
    }
}

impl EventsAt {
    fn decode(decoder: &mut Decoder<'_>) -> Result<Self, Error> {
        let mut read = Self {
            ltime: LTime(0),
            events: Vec::new(),
        };
        decoder.fields("recent events", &["LTime", "Events"], |decoder, field| {
            match field {
                "LTime" => read.ltime = ltime(decoder)?,
                _ => {
                    read.events.clear();
                    for _ in 0..decoder.array(EVENTS_AT_MAX)? {
                        read.events.push(Event::decode(decoder)?);
                    }
                }
            }
            Ok(())
        })?;
        Ok(read)
    }

    fn encode(&self, encoder: &mut Encoder<'_>) {
        encoder.map(2);
        encoder.key("Events").array(self.events.len());
        for event in &self.events {
            encoder.map(2);
            encoder.key("Name").text(event.name.as_bytes());
            encoder.key("Payload").bytes_or_nil(&event.payload);
        }
        encoder.key("LTime").uint(self.ltime);
    }
}

impl Event {
    fn decode(decoder: &mut Decoder<'_>) -> Result<Self, Error> {
        let mut event = Self {
            name: Name::default(),
            payload: Bytes::new(),
        };
        decoder.fields("recent event", &["Name", "Payload"], |decoder, field| {
            match field {
                "Name" => event.name = name(decoder)?,
                _ => event.payload = Bytes::copy_from_slice(decoder.slice()?),
            }
            Ok(())
        })?;
        Ok(event)
    }
}

/// The slots that are not nil.
fn decode_events(decoder: &mut Decoder<'_>) -> Result<Vec<EventsAt>, Error> {
    let (mut slots, mut count) = (Vec::new(), 0_usize);
    for _ in 0..decoder.array(EVENT_SLOTS_MAX)? {
        if decoder.nil() {
            continue;
        }
        let at = EventsAt::decode(decoder)?;
        count = count.saturating_add(at.events.len());
        if count > EVENTS_MAX {
            return Err(Error::TooLarge {
                what: "number of recent events",
                found: u64::try_from(count).unwrap_or(u64::MAX),
                max: EVENTS_MAX,
            });
        }
        slots.push(at);
    }
    Ok(slots)
}
