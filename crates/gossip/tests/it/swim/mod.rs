//! Membership on the network: among ourselves and with the real Serf.

mod among;
mod foreign;
mod foreign_more;
mod foreign_words;
mod hostile;
mod ours;
mod proxy;
mod theirs;
mod trouble;

use std::net::{IpAddr, Ipv4Addr};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

/// Nothing here takes longer, unless it is broken.
const LIMIT: Duration = Duration::from_secs(60);
/// The port of all; everybody has an address of their own.
const PORT: u16 = 7946;

/// A loopback address that nobody else has: another for each process and each call.
fn address() -> IpAddr {
    static NEXT: AtomicU16 = AtomicU16::new(1);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let process = std::process::id().to_le_bytes();
    // The last byte is neither 0 nor 255; more than 250 addresses are not needed.
    let host = u8::try_from(number).unwrap();
    Ipv4Addr::new(127, process[1] | 0x80, process[0], host).into()
}

/// Waits until a value is as it should be.
async fn eventually<T>(what: &str, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let wait = async {
        loop {
            if let Some(value) = ask().await {
                return value;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let value = tokio::time::timeout(LIMIT, wait).await;
    value.unwrap_or_else(|_elapsed| panic!("never: {what}"))
}
