//! [pure] A member as membership knows it.

use std::net::SocketAddr;

use bytes::Bytes;

use crate::moment::Moment;
use crate::wire::memberlist::{State, Versions};
use crate::wire::{Address, Name};

/// The protocol of memberlist that our kind understands at most; Serf's is 5, and it takes any higher one.
pub const OUR_PROTOCOL: u8 = 6;

/// One member of the cluster, ourselves included.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Unique in the cluster.
    pub name: Name,
    /// The address bytes exactly as received: Serf compares them literally.
    pub address: Address,
    /// UDP and TCP port.
    pub port: u16,
    /// Serf's tags, undecoded.
    pub meta: Bytes,
    /// Raised by the member itself, to overrule what is said about it.
    pub incarnation: u32,
    /// What is believed of it.
    pub state: State,
    /// Since when.
    pub changed: Moment,
    /// What it understands; none if it never said.
    pub versions: Option<Versions>,
}

impl Member {
    /// Where to send to.
    #[must_use]
    pub fn socket(&self) -> SocketAddr {
        self.address.socket(self.port)
    }

    /// True for those that are dead or have left.
    #[must_use]
    pub fn is_gone(&self) -> bool {
        matches!(self.state, State::Dead | State::Left)
    }

    /// memberlist 3: TCP pings are answered.
    #[must_use]
    pub fn answers_tcp_pings(&self) -> bool {
        self.understands(3)
    }

    /// memberlist 4: an indirect probe that failed is answered with a nack.
    #[must_use]
    pub fn sends_nacks(&self) -> bool {
        self.understands(4)
    }

    /// memberlist 5: a packet may begin with a checksum.
    #[must_use]
    pub fn understands_crc(&self) -> bool {
        self.understands(5)
    }

    /// Ours, not Serf: it takes part in what Serf does not do.
    #[must_use]
    pub fn is_our_kind(&self) -> bool {
        self.understands(OUR_PROTOCOL)
    }

    fn understands(&self, protocol: u8) -> bool {
        let max = self.versions.map_or(0, |versions| versions.protocol_max);
        max >= protocol
    }
}
