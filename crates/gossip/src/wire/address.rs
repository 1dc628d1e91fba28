//! [pure] Addresses as members announce them: 4 or 16 bytes, which Serf compares as they are.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::Error;

/// An announced address, in the form in which it was announced.
///
/// Invariant: the bytes are kept. `127.0.0.1` in 4 and in 16 bytes are two addresses to Serf, and a member
/// that changes from one to the other conflicts with itself; hence equality here is that of the bytes, and
/// only [`Address::ip`] says where both lead.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Address {
    /// As an agent announces that is bound to one IPv4 address.
    Four([u8; 4]),
    /// An IPv6 address, or an IPv4 address as `::ffff:a.b.c.d`, which an agent announces that is bound to all.
    Sixteen([u8; 16]),
}

impl Address {
    /// The address of these bytes.
    ///
    /// # Errors
    /// When they are neither 4 nor 16.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Error> {
        if let Ok(four) = bytes.try_into() {
            return Ok(Self::Four(four));
        }
        let sixteen = bytes
            .try_into()
            .map_err(|_length| Error::Address { bytes: bytes.len() })?;
        Ok(Self::Sixteen(sixteen))
    }

    /// The bytes on the wire.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Four(bytes) => bytes,
            Self::Sixteen(bytes) => bytes,
        }
    }

    /// Where it leads: an IPv4 address in either form is one.
    #[must_use]
    pub fn ip(&self) -> IpAddr {
        match *self {
            Self::Four(bytes) => Ipv4Addr::from(bytes).into(),
            Self::Sixteen(bytes) => Ipv6Addr::from(bytes).to_canonical(),
        }
    }

    /// Where it leads, with a port.
    #[must_use]
    pub fn socket(&self, port: u16) -> SocketAddr {
        SocketAddr::new(self.ip(), port)
    }

    /// The same address in 16 bytes, as an agent announces it that is bound to all addresses.
    #[must_use]
    pub fn to_sixteen(self) -> Self {
        match self {
            Self::Four(bytes) => Self::Sixteen(Ipv4Addr::from(bytes).to_ipv6_mapped().octets()),
            Self::Sixteen(_) => self,
        }
    }
}

/// In its shortest form: 4 bytes where they are enough.
impl From<IpAddr> for Address {
    fn from(ip: IpAddr) -> Self {
        match ip.to_canonical() {
            IpAddr::V4(ip) => Self::Four(ip.octets()),
            IpAddr::V6(ip) => Self::Sixteen(ip.octets()),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.ip().fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_of_an_address_lead_to_one_place_and_are_not_equal() {
        let short = Address::from(IpAddr::from([127, 0, 0, 2]));
        let long = short.to_sixteen();
        assert_ne!(short, long);
        assert_eq!(short.ip(), long.ip());
        assert_eq!(long.as_bytes().len(), 16);
        assert_eq!(long.socket(7946).to_string(), "127.0.0.2:7946");
        assert_eq!(Address::from_bytes(long.as_bytes()).unwrap(), long);
        assert_eq!(Address::from_bytes(short.as_bytes()).unwrap(), short);
        assert_eq!(long.to_sixteen(), long);
    }

    #[test]
    fn an_address_of_another_length_is_refused() {
        for bytes in [0, 1, 3, 5, 15, 17] {
            let error = Address::from_bytes(&vec![1; bytes]).unwrap_err();
            assert!(error.to_string().contains(&bytes.to_string()), "{error}");
        }
    }
}
