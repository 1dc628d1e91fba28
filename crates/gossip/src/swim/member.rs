//! [pure] A member as membership knows it.

use std::net::SocketAddr;

use bytes::Bytes;

use super::Name;
use crate::moment::Moment;
use crate::wire::Address;

/// What is believed of a member. The numbers are those of a push/pull.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It answers, or nobody has doubted it.
    Alive,
    /// A probe failed; it can still refute.
    Suspect,
    /// Nobody heard from it in time.
    Dead,
    /// It said that it leaves.
    Left,
}

impl State {
    /// True for [`State::Dead`] and [`State::Left`].
    #[must_use]
    pub const fn is_gone(self) -> bool {
        matches!(self, Self::Dead | Self::Left)
    }
}

/// The protocol versions that a member understands and speaks: the six bytes of `Vsn`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Versions {
    /// memberlist: the least it understands.
    pub protocol_min: u8,
    /// memberlist: the highest it understands.
    pub protocol_max: u8,
    /// memberlist: what it speaks.
    pub protocol: u8,
    /// Serf: the least it understands.
    pub delegate_min: u8,
    /// Serf: the highest it understands.
    pub delegate_max: u8,
    /// Serf: what it speaks.
    pub delegate: u8,
}

impl Versions {
    /// What Serf 0.9.4 announces.
    pub const SERF: Self = Self {
        protocol_min: 1,
        protocol_max: 5,
        protocol: 2,
        delegate_min: 2,
        delegate_max: 5,
        delegate: 5,
    };

    /// As on the wire.
    #[must_use]
    pub const fn to_bytes(self) -> [u8; 6] {
        [
            self.protocol_min,
            self.protocol_max,
            self.protocol,
            self.delegate_min,
            self.delegate_max,
            self.delegate,
        ]
    }

    /// From the bytes of an alive message; none if there are not all six.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let &[
            protocol_min,
            protocol_max,
            protocol,
            delegate_min,
            delegate_max,
            delegate,
            ..,
        ] = bytes
        else {
            return None;
        };
        Some(Self {
            protocol_min,
            protocol_max,
            protocol,
            delegate_min,
            delegate_max,
            delegate,
        })
    }

    /// memberlist 3: TCP pings are answered.
    #[must_use]
    pub const fn answers_tcp_pings(self) -> bool {
        self.protocol_max >= 3
    }

    /// memberlist 4: a failed indirect probe is answered with a nack.
    #[must_use]
    pub const fn sends_nacks(self) -> bool {
        self.protocol_max >= 4
    }

    /// memberlist 5: a packet may begin with a checksum.
    #[must_use]
    pub const fn understands_crc(self) -> bool {
        self.protocol_max >= 5
    }
}

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
    /// What it understands; zeros if it never said.
    pub versions: Versions,
}

impl Member {
    /// Where to send to; none when the address bytes are no IP address.
    #[must_use]
    pub fn socket_address(&self) -> Option<SocketAddr> {
        Some(SocketAddr::new(self.address.to_ip()?, self.port))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_keep_their_six_bytes() {
        assert_eq!(Versions::SERF.to_bytes(), [1, 5, 2, 2, 5, 5]);
        assert_eq!(Versions::from_bytes(&[1, 5, 2, 2, 5, 5]), Some(Versions::SERF));
        assert_eq!(Versions::from_bytes(&[1, 5, 2, 2, 5]), None);
        assert_eq!(Versions::from_bytes(&[1, 5, 2, 2, 5, 5, 9]), Some(Versions::SERF));
    }
}
