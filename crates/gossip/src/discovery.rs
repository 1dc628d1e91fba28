//! Members find one another by multicast DNS, as Serf's agents do under a common name.
//!
//! [`Service`] and [`members_in`] are the packets, [`start`] the sockets. Serf 0.9.4 answers and is answered.

mod beacon;
mod packet;

pub use beacon::{Settings, StartError, start};
pub use packet::{InvalidName, Service, members_in, question};

#[cfg(test)]
mod tests;
