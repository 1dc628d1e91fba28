//! Which address an agent tells the others: one in a fixed form, for as long as its name lives.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

use crate::wire::Address;

/// Where others reach us, in the form in which they are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Advertised {
    /// The address.
    pub address: Address,
    /// The port.
    pub port: u16,
}

/// Bound to all addresses, and none of them is one to tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no private IP address found, and explicit IP not provided: set one with -advertise")]
pub struct NoAddress;

/// What an agent tells that is bound to `bound` and was perhaps told to tell something else.
///
/// As Serf's: 4 bytes for one address of IPv4, 16 when bound to all and nothing is said.
///
/// # Errors
/// When there is no address to tell.
pub fn advertised(bound: SocketAddr, told: Option<SocketAddr>) -> Result<Advertised, NoAddress> {
    if let Some(told) = told {
        let port = if told.port() == 0 {
            bound.port()
        } else {
            told.port()
        };
        return Ok(Advertised {
            address: told.ip().into(),
            port,
        });
    }
    let port = bound.port();
    if !bound.ip().is_unspecified() {
        return Ok(Advertised {
            address: bound.ip().into(),
            port,
        });
    }
    let ip = own_address(bound.is_ipv6()).ok_or(NoAddress)?;
    Ok(Advertised {
        address: Address::from(ip).to_sixteen(),
        port,
    })
}

/// The address of ours from which a packet to anywhere would leave. Nothing is sent.
fn own_address(is_ipv6: bool) -> Option<IpAddr> {
    // TEST-NET-1 and the documentation prefix: the default route, and nobody.
    let v4 = (
        IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)),
    );
    let v6 = (
        IpAddr::V6(Ipv6Addr::UNSPECIFIED),
        IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1)),
    );
    let tried = if is_ipv6 { vec![v4, v6] } else { vec![v4] };
    tried.into_iter().find_map(|(from, to)| {
        let socket = UdpSocket::bind((from, 0)).ok()?;
        socket.connect((to, 9)).ok()?;
        let ip = socket.local_addr().ok()?.ip();
        (!ip.is_unspecified()).then_some(ip)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_bound_address_is_told_in_its_short_form_and_an_other_one_if_so_told() {
        let bound: SocketAddr = "127.0.0.9:7946".parse().unwrap();
        let told = advertised(bound, None).unwrap();
        assert_eq!(
            (told.address.as_bytes(), told.port),
            ([127, 0, 0, 9].as_slice(), 7946)
        );
        let told = advertised(bound, Some("10.0.0.1:0".parse().unwrap())).unwrap();
        assert_eq!(
            (told.address.as_bytes(), told.port),
            ([10, 0, 0, 1].as_slice(), 7946)
        );
        let told = advertised(bound, Some("[fd00::1]:5".parse().unwrap())).unwrap();
        assert_eq!((told.address.as_bytes().len(), told.port), (16, 5));
    }

    #[test]
    fn bound_to_all_the_long_form_is_told() {
        let bound: SocketAddr = "0.0.0.0:7946".parse().unwrap();
        match advertised(bound, None) {
            Ok(told) => assert_eq!(told.address.as_bytes().len(), 16),
            // A machine without a route has nothing to tell.
            Err(error) => assert_eq!(error, NoAddress),
        }
    }
}
