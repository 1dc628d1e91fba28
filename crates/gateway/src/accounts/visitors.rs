//! How often one address may register.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::quota::{Bucket, Rate};

const HOUR: Duration = Duration::from_secs(3_600);
/// Addresses that are remembered. When as many have registered within an hour, registration as a whole
/// waits, which is what a flood of them should bring about.
const ADDRESSES_MAX: usize = 10_000;

/// A bucket for each address that registered lately.
#[derive(Debug)]
pub(super) struct Visitors {
    rate: Rate,
    buckets: Mutex<HashMap<IpAddr, Bucket>>,
}

impl Visitors {
    pub(super) fn new(per_hour: u32) -> Self {
        Self {
            rate: Rate::per(per_hour, HOUR, per_hour),
            buckets: Mutex::default(),
        }
    }

    /// Admits an address, or says how long it must wait.
    pub(super) fn admit(&self, from: IpAddr, now_ns: u64) -> Result<(), Duration> {
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        let place = network(from);
        if !buckets.contains_key(&place) && buckets.len() >= ADDRESSES_MAX {
            buckets.retain(|_, bucket| !bucket.is_full(now_ns));
            if buckets.len() >= ADDRESSES_MAX {
                return Err(HOUR);
            }
        }
        let bucket = buckets.entry(place).or_default();
        bucket
            .take(self.rate, now_ns, 1)
            .map_err(|empty| empty.wait)
    }
}

/// One subscriber has a whole /64 of IPv6 addresses.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sixth_registration_of_an_hour_must_wait() {
        let visitors = Visitors::new(5);
        let (one, other) = ("192.0.2.1".parse().unwrap(), "192.0.2.2".parse().unwrap());
        for _ in 0..5 {
            visitors.admit(one, 0).unwrap();
        }
        assert_eq!(visitors.admit(one, 0), Err(HOUR / 5));
        visitors.admit(other, 0).unwrap();
        let later = u64::try_from((HOUR / 5).as_nanos()).unwrap();
        visitors.admit(one, later).unwrap();
    }

    #[test]
    fn a_network_of_ipv6_is_one_visitor() {
        let visitors = Visitors::new(1);
        visitors.admit("2001:db8::1".parse().unwrap(), 0).unwrap();
        assert!(visitors.admit("2001:db8::2".parse().unwrap(), 0).is_err());
        visitors
            .admit("2001:db8:0:1::2".parse().unwrap(), 0)
            .unwrap();
    }
}
