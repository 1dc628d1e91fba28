//! [pure] What two members exchange over a stream: all that each knows of all.
#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use bytes::{BufMut, Bytes, BytesMut};

use super::{META_BYTES_MAX, NAME_BYTES_MAX, Versions, code};
use crate::wire::msgpack::{Decoder, Encoder};
use crate::wire::{Address, Error, Name};

/// The most members in one exchange: with more than 100,000 names gossip would not converge either.
pub const STATES_MAX: usize = 131_072;
/// The most bytes that the layer above may add, as in newer versions of memberlist.
pub(in crate::wire) const USER_STATE_BYTES_MAX: usize = 20 << 20;

/// What a member is to whoever says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// 0
    Alive,
    /// 1
    Suspect,
    /// 2
    Dead,
    /// 3
    Left,
}

/// One member in an exchange.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeState {
    /// The member.
    pub name: Name,
    /// Where it is.
    pub address: Address,
    /// Its port.
    pub port: u16,
    /// What the layer above lets it carry. Bytes of their own, fit to be kept.
    pub meta: Bytes,
    /// Of which of its incarnations this is said.
    pub incarnation: u32,
    /// What it is.
    pub state: State,
    /// What it understands.
    pub versions: Option<Versions>,
}

/// All that one side of an exchange knows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PushPull {
    /// Whether the exchange is a join.
    pub is_join: bool,
    /// The members.
    pub states: Vec<NodeState>,
    /// How many more came that nobody could use: without a name, an address, a known state, or longer than
    /// [`NAME_BYTES_MAX`] and [`META_BYTES_MAX`]. One such member must not keep two others apart. Never written.
    pub unusable: usize,
    /// What the layer above adds: [`crate::wire::serf::PushPull`], or nothing.
    pub user_state: Bytes,
}

impl State {
    fn from_code(code: u64) -> Option<Self> {
        Some(match code {
            0 => Self::Alive,
            1 => Self::Suspect,
            2 => Self::Dead,
            3 => Self::Left,
            _ => return None,
        })
    }

    const fn code(self) -> u8 {
        match self {
            Self::Alive => 0,
            Self::Suspect => 1,
            Self::Dead => 2,
            Self::Left => 3,
        }
    }
}

/// The first structure of an exchange.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::wire) struct Header {
    pub(in crate::wire) states: usize,
    pub(in crate::wire) user_state_bytes: usize,
    pub(in crate::wire) is_join: bool,
}

impl Header {
    pub(in crate::wire) fn decode(decoder: &mut Decoder<'_>) -> Result<Self, Error> {
        let fields = ["Nodes", "UserStateLen", "Join"];
        let mut header = Self::default();
        decoder.fields("push/pull", &fields, |decoder, field| {
            match field {
                "Nodes" => header.states = size("members", decoder.uint()?, STATES_MAX)?,
                "UserStateLen" => {
                    let bytes = decoder.uint()?;
                    header.user_state_bytes =
                        size("user state in bytes", bytes, USER_STATE_BYTES_MAX)?;
                }
                _ => header.is_join = decoder.bool()?,
            }
            Ok(())
        })?;
        Ok(header)
    }
}

impl NodeState {
    /// Nothing, when it is a member that nobody can use.
    ///
    /// # Errors
    /// When it is no such structure, or cut.
    pub(in crate::wire) fn decode(decoder: &mut Decoder<'_>) -> Result<Option<Self>, Error> {
        let fields = [
            "Name",
            "Addr",
            "Port",
            "Meta",
            "Incarnation",
            "State",
            "Vsn",
        ];
        let (mut name, mut address, mut meta): (&[u8], &[u8], &[u8]) = (&[], &[], &[]);
        let (mut port, mut incarnation, mut state) = (0_u64, 0_u64, 0);
        let mut versions: &[u8] = &[];
        decoder.fields("member", &fields, |decoder, field| {
            match field {
                "Name" => name = decoder.text()?,
                "Addr" => address = decoder.slice()?,
                "Port" => port = decoder.uint()?,
                "Meta" => meta = decoder.slice()?,
                "Incarnation" => incarnation = decoder.uint()?,
                "State" => state = decoder.uint()?,
                _ => versions = decoder.slice()?,
            }
            Ok(())
        })?;
        let is_short = name.len() <= NAME_BYTES_MAX && meta.len() <= META_BYTES_MAX;
        let parts = (
            Address::from_bytes(address),
            u16::try_from(port),
            u32::try_from(incarnation),
            State::from_code(state),
            Versions::decode(versions),
        );
        let (Ok(address), Ok(port), Ok(incarnation), Some(state), Ok(versions)) = parts else {
            return Ok(None);
        };
        if name.is_empty() || !is_short {
            return Ok(None);
        }
        Ok(Some(Self {
            name: Name::new(name),
            address,
            port,
            meta: Bytes::copy_from_slice(meta),
            incarnation,
            state,
            versions,
        }))
    }

    fn encode(&self, encoder: &mut Encoder<'_>) {
        encoder.map(7);
        encoder.key("Addr").bytes(self.address.as_bytes());
        encoder.key("Incarnation").uint(self.incarnation);
        encoder.key("Meta").bytes_or_nil(&self.meta);
        encoder.key("Name").text(self.name.as_bytes());
        encoder.key("Port").uint(self.port);
        encoder.key("State").uint(self.state.code());
        Versions::encode(self.versions, encoder.key("Vsn"));
    }
}

impl PushPull {
    /// Writes it, its code first.
    pub fn encode(&self, out: &mut BytesMut) {
        out.put_u8(code::PUSH_PULL);
        let mut encoder = Encoder::gossip(out);
        encoder.map(3);
        encoder.key("Join").bool(self.is_join);
        encoder.key("Nodes").size(self.states.len());
        encoder.key("UserStateLen").size(self.user_state.len());
        for state in &self.states {
            state.encode(&mut encoder);
        }
        out.put_slice(&self.user_state);
    }
}

pub(in crate::wire) fn size(what: &'static str, found: u64, max: usize) -> Result<usize, Error> {
    match usize::try_from(found) {
        Ok(size) if size <= max => Ok(size),
        _ => Err(Error::TooLarge { what, found, max }),
    }
}
