//! Whole members on a network in memory: what they tell, in simulated time.

mod deaths;
mod events;
mod extensions;
mod going;
mod keys;
mod net;
mod restart;

use net::Net;
