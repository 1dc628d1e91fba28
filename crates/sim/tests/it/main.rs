//! The simulation under many seeds, and the bugs that it must find.
#![expect(clippy::panic, reason = "a test stops at the first surprise")]

mod bugs;
mod clusters;
mod seeds;
